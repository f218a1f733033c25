//! From a labelled dataset to a fitted classifier.

pub mod band_limited;
pub mod cached_file;
pub mod conformal;
pub mod dataset;
pub mod ensemble;
pub mod golden;
pub mod learner;
pub mod plan;
pub mod predictions;
pub mod pretrained;
pub mod publish;
pub mod svm;
pub mod transfer;
pub mod vgg19;

pub use self::{
    dataset::TrainingData,
    learner::{FitInput, Fitted, Learner, SvmLearner, Vgg19Learner},
    plan::TrainingPlan,
    pretrained::Pretrained,
    publish::Published,
    transfer::{InitProvenance, InitialNetwork},
};
