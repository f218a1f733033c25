//! The support vector machine: binary machines over one table of support vectors, one for each pair of classes ([`Scheme`]),
//! Platt's sigmoid on each decision value, and pairwise coupling into one probability for each class.
//!
//! For a feature vector `x` of `D` dimensions,
//!
//! 1. `z = (x − mean) · inverse_deviation`, dimension by dimension;
//! 2. `K_i = exp(−gamma · ‖z − z_i‖²)` for each support vector;
//! 3. `f_p = Σ_i coefficient[p, i] · K_i − rho[p]` for each pair of classes `p = (a, b)`, `a < b`; over 0 speaks for `a`;
//! 4. `r_p = 1 / (1 + exp(A_p · f_p + B_p))`, an estimate of `P(a | a or b, x)` ([`Sigmoid`]);
//! 5. the probabilities nearest to all `r_p` ([`couple`]), then to the power of `1 / temperature`.
//!
//! Where there are too many labels for pairs, `p` is a class, `f_p` over 0 speaks for it against all others, and the
//! probabilities are the odds `r_p / (1 − r_p)` over their sum ([`normalised_odds`]).
//!
//! The support vectors of an exact machine are the clips that its optimum needs. Those of a low-rank one are landmarks that
//! were drawn beforehand; it is the same function of them.
//!
//! Every sum has a fixed order and every `exp` comes from `libm`, so that a vector has the same probabilities, to the
//! last bit, on every machine.

mod classifier;
pub mod kernel;
mod machine;
mod probability;

pub use classifier::SvmClassifier;
pub use machine::{Scheme, Svm, SvmParameters, standardise};
pub(crate) use machine::{f64s, tensor};
pub use probability::{MIN_PROBABILITY, Sigmoid, couple, normalised_odds, pairs, tempered};
