//! `train`: fit, evaluate, inspect, audit.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    ExitCode::from(train::cli::main(env::args_os()))
}
