//! The command line of `serve`: arguments, configuration, `classify` and `health`.

pub mod args;
pub mod classify;
pub mod config;
pub mod probe;
pub(crate) mod run;
pub(crate) mod settings_file;
