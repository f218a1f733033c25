//! [`Prediction`]: what a classifier says of a clip.

use features::Fingerprint;
use serde::Serialize;

/// Calibrated probabilities of a clip, and of each of its windows in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// One for each label, in the order of [`Classifier::labels`](crate::Classifier::labels); they sum to 1.
    pub probabilities: Vec<f64>,
    /// The same for each window of the clip in time; at least one.
    #[serde(rename = "segments")]
    pub windows: Vec<WindowPrediction>,
    /// [`features::digest`] of what was heard: training and serving give the same for the same file.
    pub features_digest: Fingerprint,
}

/// Calibrated probabilities of one window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowPrediction {
    /// Where it starts, in seconds from the start of the clip.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
    /// One for each label; they sum to 1.
    pub probabilities: Vec<f64>,
}

impl Prediction {
    /// Index of the most probable label; of equals the first.
    #[must_use]
    pub fn best(&self) -> usize {
        most_probable(&self.probabilities)
    }
}

/// Index of the largest probability; of equals the first. 0 of none.
#[must_use]
pub fn most_probable(probabilities: &[f64]) -> usize {
    let better = |best, index| if probabilities[index] > probabilities[best] { index } else { best };
    (1..probabilities.len()).fold(0, better)
}

/// Probabilities of a clip from those of its passages: their mean, normalised to a sum of 1.
///
/// Training scores clips by this function and serving answers by it. Empty without a passage; all must be of one
/// length.
#[must_use]
pub fn pool<'a>(passages: impl IntoIterator<Item = &'a [f64]>) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    for probabilities in passages {
        sums.resize(probabilities.len(), 0.0);
        for (sum, probability) in sums.iter_mut().zip(probabilities) {
            *sum += probability;
        }
    }
    let total: f64 = sums.iter().sum();
    if total > 0.0 {
        sums.iter_mut().for_each(|sum| *sum /= total);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_the_mean_of_its_passages() {
        assert_eq!(pool([[0.5, 0.25, 0.25].as_slice(), &[0.0, 0.75, 0.25]]), [0.25, 0.5, 0.25]);
        assert_eq!(pool(std::iter::empty()), Vec::<f64>::new());
    }

    #[test]
    fn of_equals_the_first_is_best() {
        assert_eq!(most_probable(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(most_probable(&[0.6, 0.4]), 0);
        assert_eq!(most_probable(&[]), 0);
    }
}
