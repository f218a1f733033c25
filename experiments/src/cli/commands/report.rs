//! `experiments report`: the page of a kept result.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use train::{
    console::output::{self, print_json},
    evaluation::{
        comparison::Paired,
        metrics::{Coverage, Faults, coverage_curve},
        projection::Map,
        report::{self, Against, Provenance, Report},
    },
};

use super::chosen::{by, common, found};
use crate::{
    cli::args::ReportArgs,
    results::{
        compare::scored,
        store::{Results, RunResult, StoredResult},
    },
};

/// Writes the page of one seed of a result: the least, where none was asked for.
///
/// # Errors
/// When there is no such result, or what it is to be compared with did not judge the same clips; when the page cannot be written.
pub fn run(args: &ReportArgs) -> Result<()> {
    let results = Results::new(&args.results.results);
    let found = |name: &str| found(&results, name, args.seed);
    let of = found(&args.name)?;
    let other = args.against.as_deref().map(found).transpose()?;
    let Some(judged) = common(&of, other.as_ref().unwrap_or(&of), args.split) else {
        let and = args.against.as_ref().map(|other| format!(" and {other}")).unwrap_or_default();
        bail!("{}{and} have no split and seed that was asked for", args.name);
    };
    let of = by(of, &judged)?;
    let other = other.map(|other| by(other, &judged)).transpose()?;
    let seeds = |kept: &[StoredResult]| -> BTreeSet<u64> { kept.iter().map(|kept| kept.outcome.seed).collect() };
    let mut both = seeds(&of);
    if let Some(other) = &other {
        both = both.intersection(&seeds(other)).copied().collect();
    }
    let Some(&seed) = both.first() else { bail!("the two have no seed in common") };
    let with_seed = |kept: &[StoredResult]| kept.iter().find(|kept| kept.outcome.seed == seed).cloned();
    let kept = with_seed(&of).context("a result of that seed")?;
    let other = other.and_then(|other| with_seed(&other));

    let RunResult { evaluation, leaks, remarks, .. } = &kept.outcome;
    let clips = scored(&kept)?;
    let compared = other.map(|other| -> Result<_> {
        if other.outcome.evaluation.labels != evaluation.labels {
            bail!("the two do not know the same genres");
        }
        Ok((called(&other.outcome), Paired::new(&evaluation.labels, &clips, &scored(&other)?, seed)?))
    });
    let compared = compared.transpose()?;
    let split = split(&kept.outcome);
    let page = report::html(&Report {
        model: &called(&kept.outcome),
        split: &split,
        leaks,
        warnings: remarks,
        evaluation,
        scored: &clips,
        against: compared.as_ref().map(|(model, paired)| Against { model, paired }),
        learning: None,
        map: Map::of_probabilities(&clips, seed).as_ref(),
        curves: &[],
        provenance: Provenance {
            command: &command(&kept.outcome),
            data: &format!("{} of {}, as the split deals them", kept.outcome.data.clips, kept.outcome.data.description),
            digests: &digests(&kept.outcome),
            training: &json!({ "made_from": kept.outcome.made_from, "folds": kept.outcome.folds }),
        },
    });
    fs::write(&args.out, page).with_context(|| format!("failed to write {}", args.out.display()))?;
    if args.json {
        return print_json(&json!({
            "report": args.out,
            "name": kept.outcome.name,
            "point": kept.outcome.point,
            "split": kept.outcome.split,
            "seed": seed,
            "key": kept.outcome.key,
            "evaluation": evaluation,
            "coverage": Coverage::new(&coverage_curve(&clips)),
            "known_faults": Faults::of(&clips),
            "against": compared.map(|(model, paired)| json!({ "model": model, "paired": paired })),
        }));
    }
    let more = both.len() - 1;
    let more = if more == 0 { String::new() } else { format!("; {more} other seed(s) are kept, --seed chooses") };
    output::line(format!("{} on {split}: {}{more}", called(&kept.outcome), args.out.display()))
}

fn called(RunResult { name, point, seed, .. }: &RunResult) -> String {
    if point.is_empty() { format!("{name}, seed {seed}") } else { format!("{name} ({point}), seed {seed}") }
}

fn split(RunResult { split, pieces, .. }: &RunResult) -> String {
    pieces.map_or_else(|| split.clone(), |pieces| format!("{split} ({pieces} pieces of each clip)"))
}

fn command(RunResult { split, seed, .. }: &RunResult) -> String {
    format!("experiments run FILE --data CORPUS --split {split} --seed {seed}")
}

fn digests(outcome: &RunResult) -> [(&'static str, String); 2] {
    [
        ("music that was dealt to folds", outcome.data.digest.clone()),
        ("key: all that decides the result", outcome.key.clone()),
    ]
}
