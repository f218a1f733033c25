//! `experiments`: run, sweep, compare, report, leaderboard, leakage, robustness, export.

use std::process::ExitCode;

fn main() -> ExitCode {
    experiments::cli::main()
}
