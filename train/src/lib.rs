//! Fit, tune, evaluate, report.
//!
//! The binary `train` is [`cli`] over this library.

pub mod cli;
pub mod console;
pub mod evaluation;
pub mod http;
pub mod onnx;
pub mod places;
pub mod source;
pub mod training;
pub mod verify;
pub mod weights;
