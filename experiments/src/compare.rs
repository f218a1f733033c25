//! Two experiments on the same clips.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use train::metrics::{Scored, bootstrap_by_group};

use crate::{declaration::DEFAULT_SEED, ensemble::pairs, results::Kept};

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
    /// [`mcnemar`] of these two.
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

/// McNemar's exact test: how probable it is, were both equally good, that the clips which only one has right are dealt as
/// unevenly or more. Two-sided; clips count as independent, so with several by an artist it is too sure.
#[must_use]
pub fn mcnemar(only_a: usize, only_b: usize) -> f64 {
    let n = only_a + only_b;
    let ln_factorial = |k: usize| libm::lgamma(k as f64 + 1.0);
    let probability = |k: usize| {
        libm::exp(ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) - n as f64 * std::f64::consts::LN_2)
    };
    let tail: f64 = (0..=only_a.min(only_b)).map(probability).sum();
    (2.0 * tail).min(1.0)
}

/// Compares results of two experiments by one split, which are paired by their seeds.
///
/// # Errors
/// When no seed is common, or the clips are not the same.
pub fn compare(a: &[Kept], b: &[Kept]) -> Result<Comparison> {
    let of_b: BTreeMap<u64, &Kept> = b.iter().map(|kept| (kept.outcome.seed, kept)).collect();
    let mut both: Vec<_> = a.iter().filter_map(|kept| Some((kept, *of_b.get(&kept.outcome.seed)?))).collect();
    both.sort_by_key(|(a, _)| a.outcome.seed);
    let Some((first, other)) = both.first().map(|(a, b)| (&a.outcome, &b.outcome)) else {
        bail!("the two have no seed in common");
    };
    let mut seeds = Vec::new();
    let mut differences: Vec<(String, f64)> = Vec::new();
    let mut genres: BTreeMap<String, OfGenre> = BTreeMap::new();
    for (a, b) in &both {
        let scored =
            |kept: &Kept| -> Result<Vec<Scored>> { Ok(kept.scores()?.into_iter().map(|row| row.scored).collect()) };
        let (scored_a, scored_b) = (scored(a)?, scored(b)?);
        let pairs = pairs(&scored_a, &scored_b).context("the two did not judge the same clips")?;
        let labels = &a.outcome.evaluation.labels;
        if *labels != b.outcome.evaluation.labels {
            bail!("the two do not know the same genres");
        }
        let start = differences.len();
        let (mut only_a, mut only_b) = (0, 0);
        for (a, b) in pairs {
            let difference = a.right() - b.right();
            only_a += usize::from(difference > 0.0);
            only_b += usize::from(difference < 0.0);
            differences.push((a.group.clone(), difference));
            let genre = genres.entry(labels[a.truth].clone()).or_default();
            genre.n += 1;
            genre.recall[0] += a.right();
            genre.recall[1] += b.right();
        }
        seeds.push(OfSeed {
            seed: a.outcome.seed,
            accuracy: [a.outcome.evaluation.accuracy, b.outcome.evaluation.accuracy],
            ci95: interval(&differences[start..]),
            only_a,
            only_b,
            p: mcnemar(only_a, only_b),
        });
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
        difference: differences.iter().map(|(_, difference)| difference).sum::<f64>() / differences.len().max(1) as f64,
        ci95: interval(&differences),
        seeds,
        genres,
    })
}

fn interval(differences: &[(String, f64)]) -> [f64; 2] {
    bootstrap_by_group(differences.iter().map(|(group, difference)| (group.as_str(), *difference)), DEFAULT_SEED)
}

#[cfg(test)]
mod tests {
    use super::mcnemar;

    #[test]
    fn mcnemar_is_a_fair_coin() {
        // 2 · P(X ≤ 2), X of 10 tosses: 2 · (1 + 10 + 45) / 1024.
        for (a, b, p) in
            [(0, 0, 1.0), (5, 5, 1.0), (8, 2, 2.0 * 56.0 / 1024.0), (2, 8, 2.0 * 56.0 / 1024.0), (6, 0, 2.0 / 64.0)]
        {
            assert!((mcnemar(a, b) - p).abs() < 1e-12, "{a} {b}");
        }
        assert!(mcnemar(1000, 700) < 1e-10 && mcnemar(3200, 3200) == 1.0);
    }
}
