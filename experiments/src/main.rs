//! `experiments`: run, sweep, compare, leaderboard, ladder.

use std::{process::ExitCode, thread};

use clap::Parser as _;
use experiments::{
    cli::{Cli, Command},
    commands,
};
use train::{
    interrupt,
    output::{self, ReaderGone},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    interrupt::handle();
    let result = match &cli.command {
        Command::Run(args) => commands::run::run(args),
        Command::Sweep(args) => commands::sweep::run(args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Leaderboard(args) => commands::leaderboard::run(args),
        Command::Ladder(args) => commands::ladder::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(_) if interrupt::is_ending() => loop {
            // The handler ends the program as soon as it has cleaned up.
            thread::park();
        },
        Err(error) => {
            output::remark(&format!("experiments: {}", output::one_line(&error)));
            ExitCode::FAILURE
        }
    }
}
