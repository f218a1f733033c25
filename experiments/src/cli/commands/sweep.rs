//! `experiments sweep`: every point of a grid, and the best of them.

use anyhow::{Context as _, Result};
use serde_json::json;
use train::console::output::{self, print_json};

use super::{all, declared, jobs_json, say_summaries};
use crate::{cli::args::SweepArgs, declarations::declaration, results::summary::Summary};

/// Does every point by every split and seed, and chooses by the first split.
///
/// # Errors
/// When the file is wrong, or would choose by what is to judge, before anything is done; those of the jobs.
pub fn run(args: &SweepArgs) -> Result<()> {
    let points = declaration::read_sweep(&args.file)?;
    let experiments: Vec<_> = points.iter().map(|(experiment, _)| experiment.clone()).collect();
    let done = all(&args.place, &experiments.iter().flat_map(declared).collect::<Vec<_>>())?;
    let summaries = Summary::of_all(done.iter().map(|done| &done.kept))?;
    let by = experiments.first().and_then(|first| first.splits.first()).context("a sweep has a point")?.to_string();
    // They are sorted, the best of each split first.
    let best = summaries.iter().find(|summary| summary.split == by).context("every point was done")?;
    if let Some(path) = &args.best {
        let chosen = points.iter().find(|(experiment, _)| experiment.point == best.point);
        let (_, table) = chosen.context("what was chosen is a point")?;
        std::fs::write(path, toml::to_string(table)?).with_context(|| format!("failed to write {}", path.display()))?;
    }
    if args.place.run.json {
        let object = json!({ "jobs": jobs_json(&done), "summaries": summaries, "chosen_by": by, "chosen": best });
        return print_json(&object);
    }
    say_summaries(&summaries)?;
    output::line(format!(
        "\nChosen by {by} of {} points: {}\nIts figures by {by} flatter: of many points the best is also the luckiest.",
        experiments.len(),
        best.point
    ))
}
