//! The command line of `train`. Nothing else imports it.

pub mod args;
pub mod commands;
