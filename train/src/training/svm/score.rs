//! How good probabilities are, and the temperature that makes them better.

use models::svm::coupling::tempered;
use serde::Serialize;

use crate::training::golden;

use super::{TrainingSet, cross_validation::HeldOut, search::Hyperparameters};

/// Least probability that counts in a log-loss.
const MIN_PROBABILITY: f64 = 1e-15;

/// How good one point of the grid is, by cross-validation on clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The point.
    #[serde(flatten)]
    pub hyperparameters: Hyperparameters,
    /// Share of clips that was right, 0 to 1.
    pub accuracy: f64,
    /// Mean negative natural logarithm of the probability of the right class.
    pub log_loss: f64,
}

/// Accuracy and log-loss of clips from the probabilities of their segments; clips without a segment's are left out.
pub(super) fn of_clips(set: &TrainingSet, segments: &[Vec<f64>], temperature: f64) -> (f64, f64) {
    let losses = losses(set, segments, temperature);
    let n = losses.len().max(1) as f64;
    let right = losses.iter().filter(|(_, right, _)| *right).count() as f64;
    (right / n, losses.iter().map(|(_, _, loss)| loss).sum::<f64>() / n)
}

/// Probabilities of each clip from those of its segments; none for a clip without.
pub(super) fn probabilities_of_clips(set: &TrainingSet, segments: &[Vec<f64>], temperature: f64) -> Vec<Vec<f64>> {
    let mut by_clip: Vec<Vec<Vec<f64>>> = vec![Vec::new(); set.labels.len()];
    for (&clip, probabilities) in set.clip.iter().zip(segments) {
        if !probabilities.is_empty() {
            by_clip[clip].push(tempered(probabilities, temperature));
        }
    }
    by_clip.iter().map(|segments| models::pool(segments.iter().map(Vec::as_slice))).collect()
}

/// For each clip that has probabilities: its index, whether it is right, and its loss.
fn losses(set: &TrainingSet, segments: &[Vec<f64>], temperature: f64) -> Vec<(usize, bool, f64)> {
    let clips = probabilities_of_clips(set, segments, temperature);
    let scored = clips.into_iter().enumerate().filter(|(_, probabilities)| !probabilities.is_empty());
    scored
        .map(|(clip, probabilities)| {
            let label = set.labels[clip];
            let right = models::most_probable(&probabilities) == label;
            (clip, right, -libm::log(probabilities[label].max(MIN_PROBABILITY)))
        })
        .collect()
}

/// The temperature that makes the log-loss of clips least, or 1 where one chosen without a fold does not help on that
/// fold. `repeats` are the folds and the probabilities of their segments.
pub(super) fn temperature(set: &TrainingSet, repeats: &[(&[HeldOut], Vec<Vec<f64>>)]) -> f64 {
    let everywhere: Vec<&[Vec<f64>]> = repeats.iter().map(|(_, segments)| segments.as_slice()).collect();
    let plain: f64 = everywhere.iter().map(|segments| total_loss(set, segments, 1.0)).sum();
    let mut crossed = 0.0;
    for (folds, segments) in repeats {
        for held in *folds {
            let mut outside = segments.clone();
            let mut inside = vec![Vec::new(); segments.len()];
            for &segment in &held.segments {
                inside[segment] = std::mem::take(&mut outside[segment]);
            }
            crossed += total_loss(set, &inside, best_temperature(set, &[outside.as_slice()]));
        }
    }
    if crossed < plain { best_temperature(set, &everywhere) } else { 1.0 }
}

fn total_loss(set: &TrainingSet, segments: &[Vec<f64>], temperature: f64) -> f64 {
    losses(set, segments, temperature).iter().map(|(_, _, loss)| loss).sum()
}

/// Golden-section search over the logarithm of the temperature, 1/4 to 4.
fn best_temperature(set: &TrainingSet, repeats: &[&[Vec<f64>]]) -> f64 {
    const STEPS: usize = 24;
    let loss = |logarithm: f64| -> f64 {
        repeats.iter().map(|segments| total_loss(set, segments, libm::exp(logarithm))).sum()
    };
    libm::exp(golden::minimum([-libm::log(4.0), libm::log(4.0)], STEPS, loss))
}
