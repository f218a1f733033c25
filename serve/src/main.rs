//! `serve`: see `serve --help`, and `docs/api.md` for the routes.

use std::{env, process::ExitCode};

use serve::cli::{Cli, Task, classify, health, manual};

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("serve: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start() -> serve::Result<ExitCode> {
    match Cli::read(env::args_os())? {
        Task::Serve(config) => serve::cli::run(&config).map(|()| ExitCode::SUCCESS),
        Task::Classify(args) => classify::run(&args),
        Task::Probe(probe) => health::run(&probe),
        Task::Completions(args) => manual::completions(&args),
        Task::Man(args) => manual::man(&args),
        Task::Print(settings) => {
            for setting in settings {
                println!("{setting}");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
