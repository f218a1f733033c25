//! [`Calibration`]: the temperature that makes probabilities honest (Guo et al. 2017).

use models::{most_probable, pool, vgg19::softmax};
use serde::Serialize;

use crate::golden;

/// Least and largest temperature.
const RANGE: [f64; 2] = [0.05, 20.0];
/// Halvings of the range, by the golden section.
const STEPS: usize = 60;

/// What clips that were not fitted on say of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// What logits are divided by.
    pub temperature: f64,
    /// Share of the clips that is right.
    pub accuracy: f64,
    /// Mean of −ln of the probability of the true class, without the temperature.
    pub log_loss_before: f64,
    /// The same with it.
    pub log_loss: f64,
    /// Clips.
    pub n: usize,
}

impl Calibration {
    /// Fits the temperature to logits of the passages of clips, `[clip][passage][class]`; clips without a passage are
    /// left out. Without any, the temperature is 1.
    #[must_use]
    pub fn fit(clips: &[Vec<Vec<f32>>], labels: &[usize]) -> Self {
        let clips: Vec<_> = clips.iter().zip(labels).filter(|(passages, _)| !passages.is_empty()).collect();
        let n = clips.len().max(1) as f64;
        let probabilities = |passages: &[Vec<f32>], temperature: f64| {
            let rows: Vec<_> = passages.iter().map(|row| softmax(row, temperature)).collect();
            pool(rows.iter().map(Vec::as_slice))
        };
        let loss = |temperature: f64| -> f64 {
            let of_clip = |(passages, label): &(&Vec<Vec<f32>>, &usize)| {
                -libm::log(probabilities(passages, temperature)[**label].max(1e-15))
            };
            clips.iter().map(of_clip).sum::<f64>() / n
        };
        let right =
            clips.iter().filter(|(passages, label)| most_probable(&probabilities(passages, 1.0)) == **label).count();
        let temperature = if clips.is_empty() {
            1.0
        } else {
            libm::exp(golden::minimum(RANGE.map(libm::log), STEPS, |log| loss(libm::exp(log))))
        };
        Self {
            temperature,
            accuracy: right as f64 / n,
            log_loss_before: loss(1.0),
            log_loss: loss(temperature),
            n: clips.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overconfident_logits_are_cooled_to_their_accuracy() {
        // Right three times in four, and always sure: with two classes the best temperature makes p = 3/4.
        let clips: Vec<_> = (0..400).map(|_| vec![vec![8.0f32, 0.0]]).collect();
        let labels: Vec<_> = (0..400).map(|i| usize::from(i % 4 == 0)).collect();
        let calibration = Calibration::fit(&clips, &labels);
        assert!((calibration.temperature - 8.0 / 3f64.ln()).abs() < 1e-6, "{calibration:?}");
        assert_eq!(calibration.accuracy, 0.75);
        assert!(calibration.log_loss < calibration.log_loss_before);
        assert_eq!(Calibration::fit(&[Vec::new()], &[0]).temperature, 1.0);
    }
}
