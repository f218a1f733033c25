//! How good a classifier is: one [`Evaluation`] from the probabilities that it gave to labelled clips.

mod coverage;
mod faults;
mod paired;

use std::collections::BTreeMap;

use data::rng::Rng;
use serde::{Deserialize, Serialize};

pub use self::{
    coverage::{Coverage, CoveragePoint, Reached, curve as coverage_curve},
    faults::{FaultCount, Faults, FaultyClip},
    paired::{Paired, PairedGenre, differences, mcnemar, pairs},
};
use crate::evaluation::learning::LearningCurve;

/// Resamples of the bootstrap behind [`Evaluation::ci95`].
const BOOTSTRAP_RESAMPLES: usize = 2_000;
/// Bins of equal mass of the calibration error.
const ECE_BINS: usize = 10;
/// Least probability that the log-loss takes the logarithm of.
const LEAST_PROBABILITY: f64 = 1e-15;

/// What a classifier said of one labelled clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Its id.
    pub clip_id: String,
    /// Who made it and what it is called, as far as is known; for people.
    pub credit: String,
    /// What clips that are not independent share: one key for an artist.
    pub group: String,
    /// Index of its true label.
    pub truth: usize,
    /// Probability of each label.
    pub probabilities: Vec<f64>,
}

impl Scored {
    /// Index of the most probable label; the first of equals.
    #[must_use]
    pub fn predicted(&self) -> usize {
        models::most_probable(&self.probabilities)
    }

    /// 1 where that is the true one, else 0.
    #[must_use]
    pub fn right(&self) -> f64 {
        f64::from(u8::from(self.predicted() == self.truth))
    }

    /// The probability of the most probable label.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.probabilities.get(self.predicted()).copied().unwrap_or(0.0)
    }
}

/// Figures of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Clips of this class.
    pub support: usize,
    /// Of the clips called so, how many are.
    pub precision: f64,
    /// Of the clips that are so, how many were called so.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

/// One bin of a reliability diagram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Clips in it.
    pub n: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
}

/// How good a classifier is on a set of labelled clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Clips scored.
    pub n: usize,
    /// Share of clips whose most probable label is the true one.
    pub accuracy: f64,
    /// 95 % interval of the accuracy: percentile bootstrap over artists (clips of one artist are drawn together).
    pub ci95: [f64; 2],
    /// Unweighted mean of the F1 of the classes that have clips.
    pub macro_f1: f64,
    /// Mean of −ln of the probability given to the true label.
    pub log_loss: f64,
    /// Expected calibration error of the most probable label, in ten bins of equal mass.
    pub ece: f64,
    /// The labels, in the order of `confusion`.
    pub labels: Vec<String>,
    /// Counts; rows are the true labels, columns the predicted ones.
    pub confusion: Vec<Vec<usize>>,
    /// Figures of each class.
    pub per_class: BTreeMap<String, ClassFigures>,
    /// The bins behind `ece`, by rising confidence.
    pub reliability: Vec<ReliabilityBin>,
}

impl Evaluation {
    /// Evaluates `scored`; `seed` is that of the bootstrap. Everything but `labels` is zero when nothing was scored.
    #[must_use]
    pub fn new(labels: &[String], scored: &[Scored], seed: u64) -> Self {
        let k = labels.len();
        let n = scored.len();
        let mut confusion = vec![vec![0; k]; k];
        let mut log_loss = 0.0;
        for clip in scored {
            confusion[clip.truth][clip.predicted()] += 1;
            log_loss -= libm::log(clip.probabilities[clip.truth].max(LEAST_PROBABILITY));
        }
        let right: usize = (0..k).map(|i| confusion[i][i]).sum();
        let per_class: BTreeMap<_, _> =
            labels.iter().enumerate().map(|(i, label)| (label.clone(), class_figures(&confusion, i))).collect();
        let present: Vec<_> = per_class.values().filter(|figures| figures.support > 0).collect();
        let reliability = reliability(scored);
        Self {
            n,
            accuracy: share(right, n),
            ci95: bootstrap_by_group(scored.iter().map(|clip| (clip.group.as_str(), clip.right())), seed),
            macro_f1: present.iter().map(|figures| figures.f1).sum::<f64>() / present.len().max(1) as f64,
            log_loss: log_loss / n.max(1) as f64,
            ece: reliability.iter().map(|bin| bin.n as f64 * (bin.confidence - bin.accuracy).abs()).sum::<f64>()
                / n.max(1) as f64,
            labels: labels.to_vec(),
            confusion,
            per_class,
            reliability,
        }
    }
}

/// The document of `metrics.json`: an [`Evaluation`] and what else is known of the same clips, as fields of one object. Fields are
/// added to it, and none is taken away.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics<'a> {
    /// The figures.
    #[serde(flatten)]
    pub evaluation: &'a Evaluation,
    /// How often it is right where it is sure.
    pub coverage: Coverage,
    /// What is known against the clips.
    pub known_faults: Faults,
    /// What more music to fit on was worth; not in `train evaluate`, which fits nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_curve: Option<&'a LearningCurve>,
    /// Where the figures come from.
    pub made_from: MadeFrom,
}

/// Where figures come from: equal digests and an equal seed give equal figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MadeFrom {
    /// The split.
    pub split: String,
    /// Seed of the bootstrap, and of all that was drawn in the training where there was one.
    pub seed: u64,
    /// Digest of the clips that were fitted on.
    pub training_data: String,
    /// Digest of the clips that were judged.
    pub judged_data: String,
    /// Fingerprint of the features.
    pub features: String,
    /// SHA-256 of `weights.safetensors`.
    pub weights: String,
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn class_figures(confusion: &[Vec<usize>], class: usize) -> ClassFigures {
    let right = confusion[class][class];
    let support: usize = confusion[class].iter().sum();
    let called: usize = confusion.iter().map(|row| row[class]).sum();
    ClassFigures {
        support,
        precision: share(right, called),
        recall: share(right, support),
        f1: share(2 * right, support + called),
    }
}

/// Clips sorted by confidence and cut into bins that differ by one clip at most.
fn reliability(scored: &[Scored]) -> Vec<ReliabilityBin> {
    let mut clips: Vec<_> = scored.iter().map(|clip| (clip.confidence(), clip.predicted() == clip.truth)).collect();
    clips.sort_by(|a, b| a.0.total_cmp(&b.0));
    (0..ECE_BINS)
        .map(|bin| &clips[bin * clips.len() / ECE_BINS..(bin + 1) * clips.len() / ECE_BINS])
        .filter(|bin| !bin.is_empty())
        .map(|bin| ReliabilityBin {
            n: bin.len(),
            confidence: bin.iter().map(|clip| clip.0).sum::<f64>() / bin.len() as f64,
            accuracy: share(bin.iter().filter(|clip| clip.1).count(), bin.len()),
        })
        .collect()
}

/// 95 % interval of the mean of values of which those with the same group are not independent: 2.5 % and 97.5 % percentiles of the
/// mean when whole groups are drawn with replacement (Efron & Tibshirani 1993). Zeros when there is no value.
#[must_use]
pub fn bootstrap_by_group<'a>(values: impl IntoIterator<Item = (&'a str, f64)>, seed: u64) -> [f64; 2] {
    let mut groups: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for (group, value) in values {
        let (sum, n) = groups.entry(group).or_default();
        *sum += value;
        *n += 1;
    }
    let groups: Vec<_> = groups.into_values().collect();
    if groups.is_empty() {
        return [0.0, 0.0];
    }
    let mut rng = Rng::new(seed);
    let mut means: Vec<f64> = (0..BOOTSTRAP_RESAMPLES)
        .map(|_| {
            let (sum, n) = (0..groups.len()).fold((0.0, 0), |(sum, n), _| {
                let drawn = groups[rng.below(groups.len())];
                (sum + drawn.0, n + drawn.1)
            });
            sum / n as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let percentile = |p: f64| means[((BOOTSTRAP_RESAMPLES - 1) as f64 * p).round() as usize];
    [percentile(0.025), percentile(0.975)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(k: usize) -> Vec<String> {
        (0..k).map(|i| format!("label {i}")).collect()
    }

    fn scored(truth: usize, probabilities: &[f64], group: &str) -> Scored {
        Scored {
            clip_id: String::new(),
            credit: String::new(),
            group: group.into(),
            truth,
            probabilities: probabilities.to_vec(),
        }
    }

    #[test]
    fn figures_of_a_hand_counted_case() {
        let clips = [
            scored(0, &[0.8, 0.2], "a"),
            scored(0, &[0.4, 0.6], "b"),
            scored(1, &[0.1, 0.9], "c"),
            scored(1, &[0.3, 0.7], "d"),
        ];
        let evaluation = Evaluation::new(&labels(2), &clips, 1);
        assert_eq!(evaluation.accuracy, 0.75);
        assert_eq!(evaluation.confusion, [[1, 1], [0, 2]]);
        assert_eq!(evaluation.per_class["label 0"].recall, 0.5);
        assert_eq!(evaluation.per_class["label 1"].precision, 2.0 / 3.0);
        // F1: 2/3 and 4/5.
        assert!((evaluation.macro_f1 - (2.0 / 3.0 + 0.8) / 2.0).abs() < 1e-12);
        let expected = -(0.8f64.ln() + 0.4f64.ln() + 0.9f64.ln() + 0.7f64.ln()) / 4.0;
        assert!((evaluation.log_loss - expected).abs() < 1e-12);
        // Each clip is a bin of its own: |0.6−0| + |0.7−1| + |0.8−1| + |0.9−1|, over four.
        assert!((evaluation.ece - (0.6 + 0.3 + 0.2 + 0.1) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_sure_mistake_costs_a_finite_loss_and_nothing_scored_gives_zeros() {
        let evaluation = Evaluation::new(&labels(2), &[scored(0, &[0.0, 1.0], "a")], 1);
        assert!(evaluation.log_loss.is_finite() && evaluation.log_loss > 30.0);
        let nothing = Evaluation::new(&labels(2), &[], 1);
        assert_eq!((nothing.n, nothing.accuracy, nothing.ci95), (0, 0.0, [0.0, 0.0]));
    }

    #[test]
    fn one_artist_is_one_draw() {
        // Forty clips of two artists, one always right and one never: a draw is 0, ½ or 1.
        let clips: Vec<_> =
            (0..40).map(|i| scored(i % 2, &[1.0, 0.0], if i % 2 == 0 { "right" } else { "wrong" })).collect();
        assert_eq!(Evaluation::new(&labels(2), &clips, 7).ci95, [0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn figures_stay_in_their_ranges(
            clips in proptest::collection::vec((0usize..3, 0.01f64..1.0, 0.01f64..1.0, 0.01f64..1.0, 0u8..9), 1..60),
            seed in any::<u64>(),
        ) {
            let clips: Vec<_> = clips.iter().map(|&(truth, a, b, c, group)| {
                let sum = a + b + c;
                scored(truth, &[a / sum, b / sum, c / sum], &group.to_string())
            }).collect();
            let evaluation = Evaluation::new(&labels(3), &clips, seed);
            let Evaluation { accuracy, ci95: [low, high], macro_f1, log_loss, ece, .. } = evaluation;
            prop_assert!(low <= high);
            for share in [accuracy, low, high, macro_f1, ece] {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            prop_assert!(log_loss >= 0.0);
            prop_assert_eq!(evaluation.confusion.iter().flatten().sum::<usize>(), clips.len());
            prop_assert_eq!(evaluation.reliability.iter().map(|bin| bin.n).sum::<usize>(), clips.len());
        }
    }
}
