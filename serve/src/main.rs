//! `serve`: see `serve --help`, and `docs/api.md` for the routes.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    ExitCode::from(serve::cli::main(env::args_os()))
}
