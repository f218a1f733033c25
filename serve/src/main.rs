//! `serve`: see `serve --help`, and `docs/api.md` for the routes.

use std::{env, io, io::IsTerminal as _, process::ExitCode};

use clap::Parser as _;
use serve::{Error, cli::Cli};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start() -> serve::Result<()> {
    let config = Cli::parse().into_config()?;
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false);
    tracing_subscriber::registry().with(lines).with(log_levels()?).init();
    serve::run(&config)
}

/// `RUST_LOG`, such as `warn` or `info,hyper=debug`; `info` without it.
fn log_levels() -> serve::Result<Targets> {
    let wanted = env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty()).unwrap_or_else(|| "info".to_owned());
    wanted.parse().map_err(|error| Error::Usage(format!("RUST_LOG is `{wanted}`, which is no list of levels: {error}")))
}
