//! Fit, tune, evaluate, report.
//!
//! The binary `train` is a thin door to this library: [`cli`] says what a person may type, [`commands`] do it.

pub mod card;
pub mod cli;
pub mod commands;
pub mod describe;
pub mod fitting;
pub mod golden;
pub mod http;
pub mod interrupt;
pub mod learning;
pub mod map;
pub mod metrics;
pub mod output;
pub mod progress;
pub mod report;
pub mod scoring;
pub mod source;
pub mod svm;
pub mod text;
pub mod verify;
pub mod vgg19;
pub mod weights;
