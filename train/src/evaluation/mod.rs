//! How good a classifier is: scoring, metrics, comparison, bad recordings, the report, the model card.

pub mod card;
pub mod comparison;
pub mod conformal;
pub mod documents;
pub mod learning;
pub mod metrics;
pub mod projection;
pub mod ranking;
pub mod report;
pub mod robustness;
pub mod scoring;
pub mod text;
