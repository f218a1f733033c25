//! From a labelled dataset to a fitted classifier.

pub mod fitting;
pub mod golden;
pub mod svm;
pub mod vgg19;
