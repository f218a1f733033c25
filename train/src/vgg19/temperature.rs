//! [`Calibration`]: the temperature that makes probabilities honest (Guo et al. 2017).

use models::{most_probable, pool, vgg19::softmax};
use serde::Serialize;

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
        let temperature = if clips.is_empty() { 1.0 } else { minimum(|log| loss(libm::exp(log))) };
        Self {
            temperature,
            accuracy: right as f64 / n,
            log_loss_before: loss(1.0),
            log_loss: loss(temperature),
            n: clips.len(),
        }
    }
}

/// Where a function of the logarithm of the temperature is least, by golden-section search; the temperature.
fn minimum(f: impl Fn(f64) -> f64) -> f64 {
    let ratio = (libm::sqrt(5.0) - 1.0) / 2.0;
    let [mut low, mut high] = RANGE.map(libm::log);
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_a, mut at_b) = (f(a), f(b));
    for _ in 0..STEPS {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - ratio * (high - low);
            at_a = f(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + ratio * (high - low);
            at_b = f(b);
        }
    }
    libm::exp((low + high) / 2.0)
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
