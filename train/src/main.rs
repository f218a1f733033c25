//! `train`: fit, evaluate, inspect, audit.

use std::process::ExitCode;

use clap::Parser as _;
use train::{
    cli::{
        args::{Cli, Command, WeightsCommand},
        commands,
    },
    console::{interrupt, output},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
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
