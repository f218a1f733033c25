//! The command line of `serve`: arguments and configuration file, the server, `classify`, `health`, and what a package needs.

mod args;
mod artifacts;
pub mod classify;
mod config_file;
pub mod health;
pub mod manual;
mod run;

pub use args::{Cli, Task};
pub use artifacts::ArtifactsArgs;
pub use config_file::ConfigArgs;
pub use run::run;
