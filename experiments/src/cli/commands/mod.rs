//! The commands, one in each file.

mod chosen;
pub mod compare;
pub mod export;
pub mod ladder;
pub mod leaderboard;
pub mod report;
pub mod run;
pub mod sweep;

use std::{collections::BTreeSet, fmt::Display, io::IsTerminal as _, path::PathBuf};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use train::console::output;

use crate::{
    cli::args::PlaceArgs,
    declarations::declaration::{self, Experiment},
    results::{
        store::Results,
        summary::{self, Summary},
    },
    runner::run::{Done, Job, RunContext, Runner},
};

/// Reads declarations, whose results must not be mixed up.
fn read_all(files: &[PathBuf]) -> Result<Vec<Experiment>> {
    let experiments = files.iter().map(|file| declaration::read(file)).collect::<Result<Vec<_>>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = experiments.iter().find(|experiment| !names.insert(&experiment.name)) {
        bail!("two of the files have the name `{}`", twice.name);
    }
    Ok(experiments)
}

/// Of what is declared, keeps what was asked for; all where nothing was.
fn only<T: PartialEq + Display>(declared: &mut Vec<T>, asked: &[T], name: &str, what: &str) -> Result<()> {
    if let Some(unknown) = asked.iter().find(|asked| !declared.contains(asked)) {
        bail!("{name} declares no {what} {unknown}");
    }
    declared.retain(|value| asked.is_empty() || asked.contains(value));
    Ok(())
}

/// The jobs that an experiment declares.
fn declared(experiment: &Experiment) -> impl Iterator<Item = Job> {
    experiment.splits.iter().flat_map(move |&split| {
        experiment.seeds.iter().map(move |&seed| Job { experiment: experiment.clone(), split, seed })
    })
}

/// Does every job where the arguments say, and says each when it is done. What cannot be done is refused before anything is.
fn all(args: &PlaceArgs, jobs: &[Job]) -> Result<Vec<Done>> {
    let mut runner = Runner::new(RunContext {
        corpora: args.data.corpora.clone(),
        results: Results::new(&args.results.results),
        weights: args.weights.clone(),
        cache: args.cache.clone(),
        threads: args.run.threads.into(),
    });
    jobs.iter().try_for_each(|job| runner.check(job))?;
    let mut all = Vec::new();
    for (number, job) in jobs.iter().enumerate() {
        begin(job, &format!("{} of {}", number + 1, jobs.len()));
        let done = runner.job(job)?;
        say(args, &done)?;
        all.push(done);
    }
    Ok(all)
}

/// Says on a terminal what is done now: the stages of the work draw their bars below.
fn begin(Job { experiment, split, seed }: &Job, number: &str) {
    if std::io::stderr().is_terminal() {
        output::remark(&format!("[{number}] {} by {split}, seed {seed}", experiment.name));
    }
}

/// Says what a job gave; on stderr where stdout is for programs.
fn say(args: &PlaceArgs, Done { kept, found }: &Done) -> Result<()> {
    let outcome = &kept.outcome;
    let [low, high] = outcome.evaluation.ci95;
    let point = if outcome.point.is_empty() { String::new() } else { format!(" ({})", outcome.point) };
    let pieces = outcome.pieces.map(|pieces| format!(", {pieces} pieces")).unwrap_or_default();
    let line = format!(
        "{}{point} by {}{pieces}, seed {}: accuracy {:.3} ({low:.3} to {high:.3}), log-loss {:.3}, {}",
        outcome.name,
        outcome.split,
        outcome.seed,
        outcome.evaluation.accuracy,
        outcome.evaluation.log_loss,
        if *found { "done before" } else { "done now" },
    );
    if args.run.json {
        output::remark(&line);
        return Ok(());
    }
    output::line(line)
}

/// Jobs as JSON.
fn jobs_json(done: &[Done]) -> Vec<Value> {
    let job = |Done { kept, found }: &Done| json!({ "folder": kept.dir, "done_before": found, "result": kept.outcome });
    done.iter().map(job).collect()
}

/// Summaries for people: a table for each split and kind of clips, with what the split leaks.
fn say_summaries(summaries: &[Summary]) -> Result<()> {
    say_remarks(summaries)?;
    let mut rest = summaries;
    while let Some(first) = rest.first() {
        let same = |other: &Summary| (&other.split, other.pieces) == (&first.split, first.pieces);
        let (here, after) = rest.split_at(rest.iter().take_while(|other| same(other)).count());
        rest = after;
        output::line(format!("\n{}, {}\nThis split leaks: {}.", first.split, first.judged(), first.leaks))?;
        let label = |summary: &Summary| (summary.name.clone(), summary.point.clone());
        let points = here.iter().any(|summary| !summary.point.is_empty());
        let changed = here.iter().map(label).collect::<BTreeSet<_>>().len() < here.len();
        let columns = [("experiment", true), ("point", points), ("setting", changed)];
        let heads: Vec<_> = columns.iter().filter(|(_, shown)| *shown).map(|(head, _)| *head).collect();
        let table = summary::figures(&heads, &here.iter().collect::<Vec<_>>(), |summary| {
            let setting = summary.setting.get(..8).unwrap_or_default();
            let cells = [summary.name.as_str(), &summary.point, setting];
            cells.iter().zip(columns).filter(|(_, (_, shown))| *shown).map(|(cell, _)| (*cell).to_owned()).collect()
        });
        output::write(&table)?;
        if here.iter().any(|other| other.n != first.n) {
            output::line("They were not judged on equally many clips, and are not to be compared.")?;
        }
    }
    Ok(())
}

/// What a reader should know before the figures.
fn say_remarks<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> Result<()> {
    for remark in summary::remarks(summaries) {
        output::line(format!("\n{remark}"))?;
    }
    Ok(())
}
