//! The Open Inference Protocol: its routes, and the messages in [`inference`].

pub(crate) mod handlers;
pub mod inference;
