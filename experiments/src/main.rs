//! `experiments`: run, sweep, compare, report, leaderboard, ladder, export.

use std::process::ExitCode;

use clap::Parser as _;
use experiments::cli::{
    args::{Cli, Command},
    commands,
};
use train::console::{interrupt, output};

fn main() -> ExitCode {
    let cli = Cli::parse();
    interrupt::handle();
    let result = match &cli.command {
        Command::Run(args) => commands::run::run(args),
        Command::Sweep(args) => commands::sweep::run(args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Report(args) => commands::report::run(args),
        Command::Leaderboard(args) => commands::leaderboard::run(args),
        Command::Ladder(args) => commands::ladder::run(args),
        Command::Export(args) => commands::export::run(args),
    };
    output::end("experiments", result)
}
