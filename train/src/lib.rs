//! Fit, tune, evaluate, report.

pub mod svm;
