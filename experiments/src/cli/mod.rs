//! The command line of `experiments`.

pub mod args;
pub mod commands;
