//! The REST API: what a request may ask, what it is answered, and how it is refused.

pub(crate) mod answer;
pub(crate) mod batch;
pub(crate) mod docs;
pub(crate) mod features;
pub(crate) mod health;
pub(crate) mod models;
pub(crate) mod predict;
pub mod problem;
pub(crate) mod rejection;
pub mod upload;
