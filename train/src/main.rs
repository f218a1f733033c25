//! `train`: fit, evaluate, inspect, audit.

use std::process::ExitCode;

use clap::Parser as _;
use train::{
    cli::{Cli, Command},
    commands,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        None => commands::svm::run(&cli.fit),
        Some(Command::Svm(args)) => commands::svm::run(args),
        Some(Command::Extract(args)) => commands::extract::run(args),
        Some(Command::Evaluate(args)) => commands::evaluate::run(args),
        Some(Command::Inspect(args)) => commands::inspect::run(args),
        Some(Command::Audit(args)) => commands::audit::run(args),
        Some(Command::Manifest(args)) => commands::manifest::run(args),
        Some(Command::Synth(args)) => commands::synth::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train: {error:#}");
            ExitCode::FAILURE
        }
    }
}
