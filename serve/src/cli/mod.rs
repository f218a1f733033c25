//! The command line of `serve`: arguments, the server, `classify` and `health`.

mod args;
pub mod classify;
pub mod health;
mod run;

pub use args::{Cli, Task};
pub use run::run;
