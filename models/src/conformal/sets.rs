//! [`PredictionSets`]: the labels that hold the true one for nine tracks in ten, by split conformal prediction.
//!
//! The score of a label is that of adaptive prediction sets (Y. Romano, M. Sesia and E. J. Candès, "Classification with valid and adaptive
//! coverage", NeurIPS 2020, without its random part): the probability of all labels that are more probable. Over clips that no model was
//! fitted on, the threshold is the smallest value that so many scores of true labels do not exceed; a set is every label whose score does
//! not exceed it. It holds the true label for that share of exchangeable clips, whatever the probabilities are worth: bad ones make large
//! sets. Clips whose artists the models had not seen make it hold for tracks of new artists. A penalty for the labels behind the first few
//! (RAPS) made the sets larger (decision 0028).

use safetensors::SafeTensors;

use super::OwnTensor;
use crate::{Error, Result, svm::f64s};

/// Share of the tracks whose set is to hold the true label.
pub const COVERAGE: f64 = 0.9;
pub(super) const THRESHOLD: &str = "sets.threshold";

/// Makes sets of labels of probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionSets {
    /// Largest score of a label in a set, 0 to 1.
    threshold: f64,
}

impl PredictionSets {
    /// Calibrates sets by clips that the model was not fitted on: their probabilities and true labels. `None` of so few clips that no
    /// threshold holds what it promises: fewer than nine.
    #[must_use]
    pub fn calibrate<'a>(clips: impl IntoIterator<Item = (&'a [f64], usize)>) -> Option<Self> {
        let mut scores: Vec<f64> =
            clips.into_iter().map(|(probabilities, truth)| score(probabilities, truth)).collect();
        scores.sort_unstable_by(f64::total_cmp);
        // ⌈(n + 1) · coverage⌉, counted from 1; what rounding adds to a whole number counts for nothing.
        let rank = ((scores.len() + 1) as f64 * COVERAGE - 1e-9).ceil() as usize;
        let threshold = *scores.get(rank.checked_sub(1)?)?;
        threshold.is_finite().then_some(Self { threshold: threshold.min(1.0) })
    }

    /// The labels of a clip with these probabilities, the most probable first; at least one, if there is a label.
    #[must_use]
    pub fn labels(&self, probabilities: &[f64]) -> Vec<usize> {
        let mut labels = ranked(probabilities);
        let mut before = 0.0;
        let mut kept = 0;
        for (rank, &label) in labels.iter().enumerate() {
            if rank > 0 && before > self.threshold {
                break;
            }
            before += probabilities[label];
            kept += 1;
        }
        labels.truncate(kept);
        labels
    }

    /// Largest score of a label in a set.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// `sets.threshold`: F64 `[1]`.
    pub(super) fn tensors(&self) -> Vec<OwnTensor> {
        vec![OwnTensor::f64s(THRESHOLD, vec![1], &[self.threshold])]
    }

    /// Reads what [`PredictionSets::tensors`] wrote; `None` of weights without.
    pub(super) fn from_tensors(file: &SafeTensors<'_>) -> Result<Option<Self>> {
        if !file.names().contains(&THRESHOLD) {
            return Ok(None);
        }
        let threshold = f64s(file, THRESHOLD, [Some(1)])?.0[0];
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::tensor(THRESHOLD, format!("is {threshold}, not within 0 to 1")));
        }
        Ok(Some(Self { threshold }))
    }
}

/// The score of a label: what the labels before it have together; of equals the first is before. Infinite for a label that there is not.
fn score(probabilities: &[f64], label: usize) -> f64 {
    let ranked = ranked(probabilities);
    match ranked.iter().position(|other| *other == label) {
        Some(rank) => ranked[..rank].iter().map(|&other| probabilities[other]).sum(),
        None => f64::INFINITY,
    }
}

/// The labels, the most probable first; of equals the first.
fn ranked(probabilities: &[f64]) -> Vec<usize> {
    let mut labels: Vec<usize> = (0..probabilities.len()).collect();
    labels.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    labels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sets(threshold: f64) -> PredictionSets {
        PredictionSets { threshold }
    }

    #[test]
    fn a_set_is_filled_up_to_the_threshold_and_never_empty() {
        let probabilities = [0.1, 0.5, 0.3, 0.1];
        // Scores of labels 1, 2, 0, 3: 0, 0.5, 0.8, 0.9.
        assert_eq!(sets(0.0).labels(&probabilities), [1]);
        assert_eq!(sets(0.49).labels(&probabilities), [1]);
        assert_eq!(sets(0.51).labels(&probabilities), [1, 2]);
        assert_eq!(sets(0.85).labels(&probabilities), [1, 2, 0]);
        assert_eq!(sets(1.0).labels(&probabilities), [1, 2, 0, 3]);
        assert!((score(&probabilities, 0) - 0.8).abs() < 1e-12);
        assert!((score(&probabilities, 3) - 0.9).abs() < 1e-12);
        assert_eq!(score(&probabilities, 4), f64::INFINITY);
        assert_eq!(sets(1.0).labels(&[]), Vec::<usize>::new());
    }

    #[test]
    fn too_few_clips_calibrate_nothing() {
        let probabilities = [0.7, 0.3];
        let clip = (probabilities.as_slice(), 0);
        assert_eq!(PredictionSets::calibrate([clip; 8]), None);
        assert!(PredictionSets::calibrate([clip; 9]).is_some());
    }

    proptest! {
        #[test]
        fn a_label_is_in_the_set_if_its_score_is_not_over_the_threshold(
            weights in prop::collection::vec(0.0f64..1.0, 2..8), threshold in 0.0f64..1.0,
        ) {
            let total: f64 = weights.iter().sum::<f64>().max(1e-9);
            let probabilities: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            let labels = sets(threshold).labels(&probabilities);
            for label in 0..probabilities.len() {
                let within = score(&probabilities, label) <= threshold;
                prop_assert!(labels.contains(&label) == (within || label == labels[0]));
            }
        }
    }

    /// Clips of five labels whose probabilities are not honest: too sure. Half of them calibrate, and the others are covered.
    #[test]
    fn nine_clips_in_ten_have_their_label_in_the_set() {
        let mut state = 7u64;
        let mut uniform = move || {
            // Knuth's MMIX generator; its high bits are good.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut clip = || {
            let truth = (uniform() * 5.0) as usize;
            let mut weights: Vec<f64> = (0..5).map(|_| libm::exp(3.0 * uniform())).collect();
            weights[truth] *= libm::exp(2.0 * uniform());
            let total: f64 = weights.iter().map(|weight| weight * weight).sum();
            (weights.iter().map(|weight| weight * weight / total).collect::<Vec<f64>>(), truth)
        };
        let (calibration, test): (Vec<_>, Vec<_>) =
            ((0..4000).map(|_| clip()).collect(), (0..4000).map(|_| clip()).collect());
        let sets =
            PredictionSets::calibrate(calibration.iter().map(|(p, truth)| (p.as_slice(), *truth))).expect("enough");
        let covered =
            test.iter().filter(|(p, truth)| sets.labels(p).contains(truth)).count() as f64 / test.len() as f64;
        assert!((0.88..0.93).contains(&covered), "{covered}");
    }
}
