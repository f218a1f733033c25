//! Two experiments on the same clips.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde::Serialize;
use train::evaluation::{
    comparison::{Paired, differences, pairs},
    metrics::{Scored, bootstrap_by_group},
};

use crate::{declarations::DEFAULT_SEED, results::store::StoredResult};

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
    /// Clips that both were evaluated on with each seed.
    pub n: usize,
    /// Mean over the seeds of the accuracy of the first less that of the second.
    pub difference: f64,
    /// 95 % interval of it: paired, by bootstrap over artists.
    pub ci95: [f64; 2],
    /// Each seed.
    pub seeds: Vec<SeedComparison>,
    /// Each class, over all seeds.
    pub classes: BTreeMap<String, ClassComparison>,
}

/// The two with one seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeedComparison {
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

/// The two on the clips of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassComparison {
    /// Clips, each counted with every seed.
    pub n: usize,
    /// Share that is right of the first and of the second.
    pub recall: [f64; 2],
}

/// Compares results of two experiments by one split, which are paired by their seeds.
///
/// # Errors
/// When no seed is common, or the clips or labels are not the same.
pub fn compare(a: &[StoredResult], b: &[StoredResult]) -> Result<Comparison> {
    let of_b: BTreeMap<u64, &StoredResult> = b.iter().map(|stored| (stored.result.seed, stored)).collect();
    let mut both: Vec<_> = a.iter().filter_map(|stored| Some((stored, *of_b.get(&stored.result.seed)?))).collect();
    both.sort_by_key(|(a, _)| a.result.seed);
    let Some((first, other)) = both.first().map(|(a, b)| (&a.result, &b.result)) else {
        bail!("the two have no seed in common");
    };
    let (mut seeds, mut all) = (Vec::new(), Vec::new());
    let mut classes: BTreeMap<String, ClassComparison> = BTreeMap::new();
    for (a, b) in &both {
        let (scored_a, scored_b) = (scored(a)?, scored(b)?);
        let Paired { ci95, only_a, only_b, p, classes: by_class, .. } =
            paired(a, &scored_a, b, &scored_b, DEFAULT_SEED)?;
        let of_clips = pairs(&scored_a, &scored_b)?;
        all.extend(differences(&of_clips).map(|(group, difference)| (group.to_owned(), difference)));
        for (name, of) in by_class {
            let class = classes.entry(name).or_default();
            class.n += of.n;
            class.recall[0] += (of.both + of.only_a) as f64;
            class.recall[1] += (of.both + of.only_b) as f64;
        }
        let accuracy = [a.result.evaluation.accuracy, b.result.evaluation.accuracy];
        seeds.push(SeedComparison { seed: a.result.seed, accuracy, ci95, only_a, only_b, p });
    }
    for class in classes.values_mut() {
        class.recall = class.recall.map(|right| right / class.n as f64);
    }
    let name = |name: &str, point: &str| if point.is_empty() { name.to_owned() } else { format!("{name} ({point})") };
    Ok(Comparison {
        a: name(&first.name, &first.point),
        b: name(&other.name, &other.point),
        split: first.split.clone(),
        leaks: first.leaks.clone(),
        remarks: both.iter().flat_map(|(a, b)| a.result.remarks.iter().chain(&b.result.remarks)).cloned().collect(),
        n: first.evaluation.n,
        difference: all.iter().map(|(_, difference)| difference).sum::<f64>() / all.len().max(1) as f64,
        ci95: bootstrap_by_group(all.iter().map(|(group, difference)| (group.as_str(), *difference)), DEFAULT_SEED),
        seeds,
        classes,
    })
}

/// Two results on the same clips; `seed` is that of the bootstrap.
///
/// # Errors
/// When their clips or labels are not the same.
pub fn paired(a: &StoredResult, of_a: &[Scored], b: &StoredResult, of_b: &[Scored], seed: u64) -> Result<Paired> {
    let labels = &a.result.evaluation.labels;
    if *labels != b.result.evaluation.labels {
        bail!("the two do not have the same labels");
    }
    Paired::new(labels, of_a, of_b, seed)
}

/// The predictions of the held-out clips of a result.
///
/// # Errors
/// When its table cannot be read.
pub fn scored(stored: &StoredResult) -> Result<Vec<Scored>> {
    Ok(stored.scores()?.iter().map(|row| row.scored.clone()).collect())
}
