//! How good a classifier is: scoring, metrics, the report, the model card.

pub mod card;
pub mod describe;
pub mod learning;
pub mod map;
pub mod metrics;
pub mod report;
pub mod scoring;
