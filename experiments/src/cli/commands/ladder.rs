//! `experiments ladder`: what leaks are worth.

use std::fs;

use anyhow::{Context as _, Result};
use train::console::output::{self, print_json, write_table};

use super::{all, only, read_all, say_remarks};
use crate::{
    cli::args::LadderArgs,
    results::{
        ladder::{Ladder, jobs},
        picture,
        summary::{self, Summary},
    },
    runner::run::Job,
};

/// Climbs the ladder with every file.
///
/// # Errors
/// When a file is wrong, before anything is done; those of the jobs; when the picture or the table cannot be written.
pub fn run(args: &LadderArgs) -> Result<()> {
    let mut experiments = read_all(&args.files)?;
    for experiment in &mut experiments {
        only(&mut experiment.seeds, &args.seeds, &experiment.name, "seed")?;
    }
    let folds = args.folds.into();
    let jobs: Vec<_> = experiments.iter().map(|experiment| jobs(experiment, folds)).collect();
    let done = all(&args.place, &jobs.concat())?;
    let mut results = done.iter().map(|done| &done.kept);
    let ladder = |(experiment, jobs): (_, &Vec<Job>)| {
        Ladder::new(experiment, &results.by_ref().take(jobs.len()).collect::<Vec<_>>())
    };
    let ladders = experiments.iter().zip(&jobs).map(ladder).collect::<Result<Vec<_>>>()?;
    if let Some(path) = &args.picture {
        fs::write(path, picture::svg(&ladders)).with_context(|| format!("failed to write {}", path.display()))?;
    }
    let summaries: Vec<Summary> = ladders.iter().flat_map(|ladder| ladder.rungs.clone()).collect();
    if let Some(path) = &args.out {
        write_table(&mut summary::frame(&summaries)?, path)?;
    }
    if args.place.run.json {
        return print_json(&ladders);
    }
    say_remarks(&summaries)?;
    for Ladder { name, rungs } in &ladders {
        output::line(format!("\n{name}"))?;
        let rungs: Vec<&Summary> = rungs.iter().collect();
        let begin = |summary: &Summary| {
            let whole = summary.of_whole_clips.map_or_else(|| "–".to_owned(), |accuracy| format!("{accuracy:.3}"));
            vec![summary.split.clone(), summary.judged(), whole]
        };
        output::write(&summary::figures(&["split", "judged", "clips by their pieces"], &rungs, begin))?;
    }
    Ok(())
}
