//! Declared experiments: run once, stored, compared.
//!
//! [Declarations](declarations) say in TOML what is fitted on what, and by which splits and seeds it is evaluated. A
//! [`Runner`](runner::Runner) does each [`Job`](runner::Job) (an experiment by a split with a seed) once: its key is the digest of
//! everything that decides its result, which is [stored](results::store) under that key. Results of several seeds are
//! [summarised](results::summary) and [compared](results::compare) clip by clip; a [leakage study](results::leakage) shows what
//! the leaks of a split are worth; [`robustness`] declares what bad recordings and short ones are; `mlflow` exports results to a server.
//!
//! Fitting, splits and figures are those of [`train`] and [`data`].
//!
//! ```no_run
//! use std::path::Path;
//!
//! use experiments::{declarations, results::{store::Results, summary::Summary}};
//!
//! # fn main() -> anyhow::Result<()> {
//! let experiment = declarations::read(Path::new("experiments/declared/svm.toml"))?;
//! let stored = Results::new(Path::new("experiments/results")).named(&experiment.name)?;
//! for summary in Summary::of_all(&stored)? {
//!     println!("{}: {:.3}", summary.split, summary.accuracy);
//! }
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod declarations;
mod mlflow;
pub mod results;
pub mod robustness;
pub mod runner;
