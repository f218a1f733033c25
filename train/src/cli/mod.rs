//! The command line of `train`. Nothing else imports it.

pub mod args;
pub mod commands;

use std::ffi::OsString;

use clap::Parser as _;

use self::args::{Cli, Command, WeightsCommand};
use crate::console::{interrupt, output};

/// The program: does what a command line says, program name first, and gives the exit code. The name stands in the messages on usage.
///
/// Signals are handled as by a program of its own: an interruption ends the process, whatever handlers it had before.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(said) => return output::end_with(&said),
    };
    interrupt::handle();
    let result = match &cli.command {
        None => commands::train::both(&cli.fit),
        Some(Command::Svm(args)) => commands::train::svm(args),
        Some(Command::Vgg19(args)) => commands::train::vgg19(args),
        Some(Command::Ensemble(args)) => commands::ensemble::run(args),
        Some(Command::Weights { command: WeightsCommand::Fetch(args) }) => commands::models::fetch_weights(args),
        Some(Command::Promote(args)) => commands::models::promote(args),
        Some(Command::Extract(args)) => commands::datasets::extract(args),
        Some(Command::Evaluate(args)) => commands::evaluate::run(args),
        Some(Command::Card(args)) => commands::models::card(args),
        Some(Command::Export(args)) => commands::models::export(args),
        Some(Command::Inspect(args)) => commands::datasets::inspect(args),
        Some(Command::Audit(args)) => commands::datasets::audit(args),
        Some(Command::Manifest(args)) => commands::datasets::manifest(args),
        Some(Command::Synth(args)) => commands::datasets::synth(args),
        Some(Command::Verify(args)) => commands::verify::run(args),
    };
    output::end("train", result)
}
