//! [`Prediction`] and [`Explanation`]: what a classifier returns for a clip.

use features::{Fingerprint, Signal};
use serde::Serialize;

/// Calibrated probabilities of a clip, and of each of its windows in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// One for each label, in the order of [`Classifier::labels`](crate::Classifier::labels); they sum to 1.
    pub probabilities: Vec<f64>,
    /// The same for each window of the clip in time; at least one.
    #[serde(rename = "segments")]
    pub windows: Vec<WindowPrediction>,
    /// [`features::digest`] of the features: training and serving give the same for the same file.
    pub features_digest: Fingerprint,
    /// How unlike the training set the clip is; `None` of a model that was not calibrated for it.
    pub novelty: Option<Novelty>,
    /// Indices of the labels that hold the true one for nine tracks in ten ([`PredictionSets`](crate::conformal::PredictionSets)), the most
    /// probable first; `None` of a model that was not calibrated for it.
    pub labels_90: Option<Vec<usize>>,
}

/// How unlike the training set of a model a clip is, and what kind of sound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Novelty {
    /// Share of clips of new artists that are at least as unlike the training set, over 0 to 1: calibrated on clips whose artist was held
    /// out ([`NoveltyDetector`](crate::conformal::NoveltyDetector)).
    pub p_value: f64,
    /// A clip is unlike the training set from this p-value on down.
    pub threshold: f64,
    /// What kind of sound it is.
    pub signal: Signal,
}

impl Novelty {
    /// Whether what is predicted for the clip says little: it is unlike the training set, or no music.
    #[must_use]
    pub fn is_out_of_distribution(&self) -> bool {
        self.p_value <= self.threshold || !self.signal.is_music()
    }

    /// That in plain words; `None` of a clip that is like the training set.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        const UNLIKE: &str = "This does not resemble the music that the model was trained on.";
        match (self.is_out_of_distribution(), self.signal.sentence()) {
            (false, _) => None,
            (true, None) => Some(UNLIKE.to_owned()),
            (true, Some(sentence)) => Some(format!("{UNLIKE} {sentence}")),
        }
    }
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

/// Probabilities of a clip from those of its segments: their mean, normalised to a sum of 1.
///
/// Training scores clips by this function and serving predicts by it. Empty without a segment; all must be of one
/// length.
#[must_use]
pub fn pool<'a>(segments: impl IntoIterator<Item = &'a [f64]>) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    for probabilities in segments {
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

/// Which class is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// The most probable one of the whole clip.
    Predicted,
    /// The class of that index among [`Classifier::labels`](crate::Classifier::labels).
    Label(usize),
}

/// How much each place of a clip, in time and frequency, speaks for one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Index of the class that is explained.
    pub label: usize,
    /// Rows, from low to high frequency; at least one.
    pub rows: usize,
    /// Columns, from the start of the clip on; at least one.
    pub columns: usize,
    /// Length of the clip; the last column may reach past it.
    pub seconds: f64,
    /// Length of a column.
    pub seconds_per_column: f64,
    /// Edges of the rows in Hz, rising; `rows + 1` of them.
    pub row_edges_hz: Vec<f64>,
    /// Row-major `[rows, columns]`, each 0 to 1. The largest is 1, unless nothing speaks for the class: then all are 0.
    pub values: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_the_mean_of_its_segments() {
        assert_eq!(pool([[0.5, 0.25, 0.25].as_slice(), &[0.0, 0.75, 0.25]]), [0.25, 0.5, 0.25]);
        assert_eq!(pool(std::iter::empty()), Vec::<f64>::new());
    }

    #[test]
    fn a_clip_is_novel_by_its_p_value_or_by_its_kind_of_sound() {
        let novelty = |p_value, signal| Novelty { p_value, threshold: 0.05, signal };
        assert_eq!(novelty(0.051, Signal::Music).note(), None);
        let unlike = "This does not resemble the music that the model was trained on.";
        assert_eq!(novelty(0.05, Signal::Music).note().as_deref(), Some(unlike));
        let speech = novelty(0.9, Signal::SpeechLike);
        assert!(speech.is_out_of_distribution());
        assert_eq!(speech.note(), Some(format!("{unlike} It sounds like speech.")));
    }

    #[test]
    fn of_equals_the_first_is_best() {
        assert_eq!(most_probable(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(most_probable(&[0.6, 0.4]), 0);
        assert_eq!(most_probable(&[]), 0);
    }
}
