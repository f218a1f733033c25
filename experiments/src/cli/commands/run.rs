//! `experiments run`: what files declare.

use anyhow::Result;
use serde_json::json;
use train::console::output::print_json;

use super::{all, declared, jobs_json, only, read_all, say_summaries};
use crate::{cli::args::RunFilesArgs, declarations::declaration::Experiment, results::summary::Summary};

/// Does every job of every file that was not done before.
///
/// # Errors
/// When a file is wrong, before anything is done; those of the jobs.
pub fn run(args: &RunFilesArgs) -> Result<()> {
    let mut experiments = read_all(&args.files)?;
    for Experiment { name, splits, seeds, .. } in &mut experiments {
        only(splits, &args.splits, name, "split")?;
        only(seeds, &args.seeds, name, "seed")?;
    }
    let done = all(&args.place, &experiments.iter().flat_map(declared).collect::<Vec<_>>())?;
    let summaries = Summary::of_all(done.iter().map(|done| &done.kept))?;
    if args.place.run.json {
        return print_json(&json!({ "jobs": jobs_json(&done), "summaries": summaries }));
    }
    say_summaries(&summaries)
}
