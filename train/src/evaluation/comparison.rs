//! Two classifiers on the same clips.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::metrics::{Scored, bootstrap_by_group};

/// How the first of two differs from the second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paired {
    /// Clips that both were evaluated on.
    pub n: usize,
    /// Accuracy of the first and of the second.
    pub accuracy: [f64; 2],
    /// Accuracy of the first less that of the second.
    pub difference: f64,
    /// 95 % interval of it: paired, by bootstrap over artists.
    pub ci95: [f64; 2],
    /// Clips that only the first has right.
    pub only_a: usize,
    /// Clips that only the second has right.
    pub only_b: usize,
    /// [`mcnemar`] of these two.
    pub p: f64,
    /// The clips of each class.
    #[serde(rename = "genres")]
    pub classes: BTreeMap<String, PairedClass>,
}

/// The two on the clips of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PairedClass {
    /// Clips.
    pub n: usize,
    /// Those that both have right.
    pub both: usize,
    /// Those that only the first has right.
    pub only_a: usize,
    /// Those that only the second has right.
    pub only_b: usize,
}

impl PairedClass {
    /// Clips that neither has right.
    #[must_use]
    pub fn neither(&self) -> usize {
        self.n.saturating_sub(self.both + self.only_a + self.only_b)
    }
}

impl Paired {
    /// Compares what two classifiers said of the same clips. `labels` are those of the first; `seed` is that of the bootstrap.
    ///
    /// # Errors
    /// When one was evaluated on a clip that the other was not.
    pub fn new(labels: &[String], a: &[Scored], b: &[Scored], seed: u64) -> Result<Self> {
        let pairs = pairs(a, b).context("the two were not evaluated on the same clips")?;
        let mut classes: BTreeMap<String, PairedClass> = BTreeMap::new();
        for (a, b) in &pairs {
            let class = classes.entry(labels.get(a.truth).cloned().unwrap_or_default()).or_default();
            let (right_a, right_b) = (a.right() == 1.0, b.right() == 1.0);
            class.n += 1;
            class.both += usize::from(right_a && right_b);
            class.only_a += usize::from(right_a && !right_b);
            class.only_b += usize::from(!right_a && right_b);
        }
        let n = pairs.len();
        let share = |right: f64| right / n.max(1) as f64;
        let differences: Vec<_> = differences(&pairs).collect();
        let (only_a, only_b) = (classes.values().map(|of| of.only_a).sum(), classes.values().map(|of| of.only_b).sum());
        Ok(Self {
            n,
            accuracy: [share(a.iter().map(Scored::right).sum()), share(b.iter().map(Scored::right).sum())],
            difference: share(differences.iter().map(|(_, difference)| difference).sum()),
            ci95: bootstrap_by_group(differences, seed),
            only_a,
            only_b,
            p: mcnemar(only_a, only_b),
            classes,
        })
    }
}

/// The artist of each pair, and 1 where only the first is right, −1 where only the second is, else 0.
pub fn differences<'a>(pairs: &'a [(&'a Scored, &'a Scored)]) -> impl Iterator<Item = (&'a str, f64)> {
    pairs.iter().map(|(a, b)| (a.group.as_str(), a.right() - b.right()))
}

/// What both say of the same clips, in the order of `a`.
///
/// # Errors
/// When one has a clip that the other has not.
pub fn pairs<'a>(a: &'a [Scored], b: &'a [Scored]) -> Result<Vec<(&'a Scored, &'a Scored)>> {
    let others: BTreeMap<&str, &Scored> = b.iter().map(|clip| (clip.clip_id.as_str(), clip)).collect();
    if a.len() != b.len() {
        bail!("one was evaluated on {} clips, the other on {}", a.len(), b.len());
    }
    a.iter()
        .map(|clip| {
            let other = others
                .get(clip.clip_id.as_str())
                .with_context(|| format!("only one was evaluated on {}", clip.clip_id))?;
            Ok((clip, *other))
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clip(number: usize, right: bool) -> Scored {
        let truth = number % 3;
        let mut probabilities = vec![0.1; 3];
        probabilities[if right { truth } else { (truth + 1) % 3 }] = 0.8;
        Scored {
            clip_id: number.to_string(),
            metadata: String::new(),
            group: (number / 2).to_string(),
            truth,
            probabilities,
        }
    }

    fn labels() -> Vec<String> {
        ["a", "b", "c"].map(String::from).to_vec()
    }

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

    #[test]
    fn clips_are_paired_by_their_ids_and_must_be_the_same() {
        let a: Vec<_> = (0..6).map(|i| clip(i, i != 0)).collect();
        let b: Vec<_> = (0..6).rev().map(|i| clip(i, i % 2 == 0)).collect();
        let paired = Paired::new(&labels(), &a, &b, 1).unwrap();
        assert_eq!((paired.only_a, paired.only_b, paired.accuracy), (3, 1, [5.0 / 6.0, 0.5]));
        // Of the first class are the clips 0 and 3.
        assert_eq!(paired.classes["a"], PairedClass { n: 2, both: 0, only_a: 1, only_b: 1 });
        assert_eq!(paired.classes["c"], PairedClass { n: 2, both: 1, only_a: 1, only_b: 0 });
        assert!(Paired::new(&labels(), &a, &b[1..], 1).is_err());
        assert!(Paired::new(&labels(), &a[1..], &b[1..], 1).is_err());
    }

    proptest! {
        #[test]
        fn the_second_beside_the_first_is_the_same_the_other_way_round(
            right in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..60),
            seed in any::<u64>(),
        ) {
            let of = |which: fn(&(bool, bool)) -> bool| -> Vec<_> {
                right.iter().enumerate().map(|(i, right)| clip(i, which(right))).collect()
            };
            let (a, b) = (of(|right| right.0), of(|right| right.1));
            let there = Paired::new(&labels(), &a, &b, seed).unwrap();
            let back = Paired::new(&labels(), &b, &a, seed).unwrap();
            prop_assert_eq!((there.only_a, there.only_b, there.p), (back.only_b, back.only_a, back.p));
            prop_assert!((there.difference + back.difference).abs() < 1e-12);
            prop_assert!((there.difference - (there.accuracy[0] - there.accuracy[1])).abs() < 1e-12);
            prop_assert!(there.ci95[0] <= there.ci95[1]);
            prop_assert_eq!(there.classes.values().map(|of| of.both + of.only_a + of.only_b + of.neither()).sum::<usize>(), there.n);
        }
    }
}
