//! The command line of `serve`: arguments and configuration file, the server, `classify`, `health`, and what a package needs.

mod args;
mod artifacts;
pub mod classify;
mod config_file;
pub mod health;
pub mod manual;
mod run;

use std::{
    ffi::OsString,
    io::{self, Write as _},
};

pub use args::{Cli, Task};
pub use artifacts::ArtifactsArgs;
pub use config_file::ConfigArgs;
pub use run::run;

use crate::Result;

/// The exit code of a program that did what it was told.
pub(crate) const SUCCESS: u8 = 0;
/// That of one that did not.
pub(crate) const FAILURE: u8 = 1;

/// The program: does what a command line says, program name first, and gives the exit code. The name stands in the messages on usage.
///
/// Signals are handled as by a program of its own: whatever handlers the process had for SIGINT and SIGTERM are replaced.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    start(args).unwrap_or_else(|error| {
        // Standard error may be closed.
        drop(writeln!(io::stderr(), "serve: {error}"));
        error.exit_code()
    })
}

fn start(args: impl IntoIterator<Item = OsString>) -> Result<u8> {
    match Cli::try_read(args.into_iter().collect(), config_file::default_file())? {
        // `--help`, `--version`, or arguments that cannot be used.
        Err(said) => {
            drop(said.print());
            Ok(u8::try_from(said.exit_code()).unwrap_or(FAILURE))
        }
        Ok(Task::Serve(config)) => run(&config).map(|()| SUCCESS),
        Ok(Task::Classify(args)) => classify::run(&args),
        Ok(Task::Probe(probe)) => health::run(&probe),
        Ok(Task::Completions(args)) => manual::completions(&args),
        Ok(Task::Man(args)) => manual::man(&args),
        Ok(Task::Print(settings)) => {
            let lines: String = settings.iter().map(|setting| format!("{setting}\n")).collect();
            manual::print(lines.as_bytes())
        }
    }
}
