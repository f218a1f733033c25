//! What fitting costs on CPUs, fast: [`AdamW`] in one pass over memory, and the gradient of softmax [`Regression`] with dropout.
//!
//! AdamW is an [`Optimizer`](burn::optim::Optimizer) of Burn and gives the bits of Burn's own. The regression takes its random numbers from a
//! function, so any generator will do.
//!
//! ```
//! use optimiser::Regression;
//!
//! // Two rows of two numbers, of two classes; no dropout, so the generator is never asked.
//! let (rows, targets) = ([1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]);
//! let mut gradient = Regression::new(2, [2, 2], 0.0).gradient_at(&[0.0; 4], &[0.0; 2]);
//! gradient.add(&rows, &targets, || 0);
//! assert_eq!(gradient.finish().weight, [-0.25, 0.25, 0.25, -0.25]);
//! ```

mod adamw;
mod regression;

#[cfg(test)]
mod testing;

pub use adamw::AdamW;
pub use regression::{Gradient, GradientSum, ROWS, Regression, dropped_out};
