//! `experiments`: run, sweep, compare, report, leaderboard, leakage, export.

use std::process::ExitCode;

fn main() -> ExitCode {
    experiments::cli::main()
}
