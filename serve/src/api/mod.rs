//! The REST API: requests, responses, and their description.

pub(crate) mod docs;
pub(crate) mod features;
pub(crate) mod models;
pub(crate) mod predict;
pub(crate) mod together;
pub mod upload;
