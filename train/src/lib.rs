//! Fit, tune, evaluate, report.
//!
//! The binary `train` is a thin door to this library: [`cli`] says what a person may type, [`commands`] do it.

pub mod cli;
pub mod console;
pub mod evaluation;
pub mod http;
pub mod source;
pub mod training;
pub mod verify;
pub mod weights;
