//! `experiments leaderboard`: what was found so far.

use anyhow::Result;
use train::console::output::{self, print_json, write_table};

use super::say_summaries;
use crate::{
    cli::args::LeaderboardArgs,
    results::{
        store::Results,
        summary::{self, Summary},
    },
};

/// Prints a table for each split, the best first.
///
/// # Errors
/// When a result cannot be read, or the table cannot be written.
pub fn run(args: &LeaderboardArgs) -> Result<()> {
    let mut summaries = Summary::of_all(&Results::new(&args.results.results).all()?)?;
    let asked = args.split.map(|split| split.to_string());
    summaries.retain(|summary| asked.as_ref().is_none_or(|asked| *asked == summary.split));
    if let Some(path) = &args.out {
        write_table(&mut summary::frame(&summaries)?, path)?;
    }
    if args.json {
        return print_json(&summaries);
    }
    if summaries.is_empty() {
        return output::line(format!(
            "No result in {}; `experiments run FILE` makes some.",
            args.results.results.display()
        ));
    }
    say_summaries(&summaries)
}
