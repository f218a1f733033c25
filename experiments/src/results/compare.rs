//! Two experiments on the same clips.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde::Serialize;
use train::evaluation::{
    comparison::{Paired, differences, pairs},
    metrics::{Scored, bootstrap_by_group},
};

use crate::{declarations::declaration::DEFAULT_SEED, results::store::StoredResult};

/// How the first of two differs from the second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first.
    pub a: String,
    /// The second.
    pub b: String,
    /// The split.
    pub split: String,
    /// What it leaks.
    pub leaks: String,
    /// What a reader should know before the figures.
    pub remarks: BTreeSet<String>,
    /// Clips that both judged with each seed.
    pub n: usize,
    /// Mean over the seeds of the accuracy of the first less that of the second.
    pub difference: f64,
    /// 95 % interval of it: paired, by bootstrap over artists.
    pub ci95: [f64; 2],
    /// Each seed.
    pub seeds: Vec<OfSeed>,
    /// Each genre, over all seeds.
    pub genres: BTreeMap<String, OfGenre>,
}

/// The two with one seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfSeed {
    /// The seed.
    pub seed: u64,
    /// Accuracy of the first and of the second.
    pub accuracy: [f64; 2],
    /// 95 % interval of the difference.
    pub ci95: [f64; 2],
    /// Clips that only the first has right.
    pub only_a: usize,
    /// Clips that only the second has right.
    pub only_b: usize,
    /// [`mcnemar`](train::evaluation::comparison::mcnemar) of these two.
    pub p: f64,
}

/// The two on one genre.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OfGenre {
    /// Clips, each counted with every seed.
    pub n: usize,
    /// Share that is right of the first and of the second.
    pub recall: [f64; 2],
}

/// Compares results of two experiments by one split, which are paired by their seeds.
///
/// # Errors
/// When no seed is common, or the clips are not the same.
pub fn compare(a: &[StoredResult], b: &[StoredResult]) -> Result<Comparison> {
    let of_b: BTreeMap<u64, &StoredResult> = b.iter().map(|kept| (kept.outcome.seed, kept)).collect();
    let mut both: Vec<_> = a.iter().filter_map(|kept| Some((kept, *of_b.get(&kept.outcome.seed)?))).collect();
    both.sort_by_key(|(a, _)| a.outcome.seed);
    let Some((first, other)) = both.first().map(|(a, b)| (&a.outcome, &b.outcome)) else {
        bail!("the two have no seed in common");
    };
    let mut seeds = Vec::new();
    let mut all: Vec<(String, f64)> = Vec::new();
    let mut genres: BTreeMap<String, OfGenre> = BTreeMap::new();
    for (a, b) in &both {
        let (scored_a, scored_b) = (scored(a)?, scored(b)?);
        let labels = &a.outcome.evaluation.labels;
        if *labels != b.outcome.evaluation.labels {
            bail!("the two do not know the same genres");
        }
        let paired = Paired::new(labels, &scored_a, &scored_b, DEFAULT_SEED)?;
        all.extend(
            differences(&pairs(&scored_a, &scored_b)?).map(|(group, difference)| (group.to_owned(), difference)),
        );
        for (name, of) in &paired.genres {
            let genre = genres.entry(name.clone()).or_default();
            genre.n += of.n;
            genre.recall[0] += (of.both + of.only_a) as f64;
            genre.recall[1] += (of.both + of.only_b) as f64;
        }
        let Paired { ci95, only_a, only_b, p, .. } = paired;
        let accuracy = [a.outcome.evaluation.accuracy, b.outcome.evaluation.accuracy];
        seeds.push(OfSeed { seed: a.outcome.seed, accuracy, ci95, only_a, only_b, p });
    }
    for genre in genres.values_mut() {
        genre.recall = genre.recall.map(|right| right / genre.n as f64);
    }
    let name = |name: &str, point: &str| if point.is_empty() { name.to_owned() } else { format!("{name} ({point})") };
    Ok(Comparison {
        a: name(&first.name, &first.point),
        b: name(&other.name, &other.point),
        split: first.split.clone(),
        leaks: first.leaks.clone(),
        remarks: both.iter().flat_map(|(a, b)| a.outcome.remarks.iter().chain(&b.outcome.remarks)).cloned().collect(),
        n: first.evaluation.n,
        difference: all.iter().map(|(_, difference)| difference).sum::<f64>() / all.len().max(1) as f64,
        ci95: bootstrap_by_group(all.iter().map(|(group, difference)| (group.as_str(), *difference)), DEFAULT_SEED),
        seeds,
        genres,
    })
}

/// The clips that a result judged.
///
/// # Errors
/// When its table cannot be read.
pub fn scored(kept: &StoredResult) -> Result<Vec<Scored>> {
    Ok(kept.scores()?.into_iter().map(|row| row.scored).collect())
}
