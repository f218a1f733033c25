//! [`Calibration`]: the temperature that makes probabilities honest (Guo et al. 2017).

use std::collections::BTreeMap;

use models::{most_probable, pool, vgg19::softmax};
use serde::Serialize;

/// Least and largest temperature.
const RANGE: [f64; 2] = [0.05, 20.0];
/// Halvings of the range of its logarithm.
const STEPS: usize = 60;

/// What clips that were not fitted on say of a configuration.
///
/// All clips of an artist leave the training together, and a class of four artists loses a quarter of what is known of it
/// with each; clips of one artist are also right or wrong together. So in the choice of the temperature every artist counts
/// alike, however many clips there are of it, and the temperature is the one at which the mean probability of the answers
/// is the share of them that is right. (The temperature of the least log-loss is decided by a few clips of large artists
/// that are surely wrong, and is too high for artists at large.)
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// What logits are divided by.
    pub temperature: f64,
    /// Share of the clips that is right.
    pub accuracy: f64,
    /// The same with every artist counted alike.
    pub accuracy_by_artist: f64,
    /// Mean of −ln of the probability of the true class, without the temperature.
    pub log_loss_before: f64,
    /// The same with it.
    pub log_loss: f64,
    /// Clips.
    pub n: usize,
}

/// A clip that was not fitted on.
struct Clip<'a> {
    segments: &'a [Vec<f32>],
    label: usize,
    /// 1 / clips of its artist.
    weight: f64,
}

impl Clip<'_> {
    fn probabilities(&self, temperature: f64) -> Vec<f64> {
        let rows: Vec<_> = self.segments.iter().map(|row| softmax(row, temperature)).collect();
        pool(rows.iter().map(Vec::as_slice))
    }
}

impl Calibration {
    /// Fits the temperature to logits of the segments of clips, `[clip][segment][class]`, of which clips of the same group
    /// share an artist; clips without a segment are left out. Without any, the temperature is 1.
    #[must_use]
    pub fn fit(logits: &[Vec<Vec<f32>>], labels: &[usize], groups: &[String]) -> Self {
        let clips_with_segments =
            || logits.iter().zip(labels).zip(groups).filter(|((segments, _), _)| !segments.is_empty());
        let mut of_artist = BTreeMap::<&str, usize>::new();
        for (_, group) in clips_with_segments() {
            *of_artist.entry(group).or_default() += 1;
        }
        let clips: Vec<_> = clips_with_segments()
            .map(|((segments, &label), group)| Clip { segments, label, weight: 1.0 / of_artist[group.as_str()] as f64 })
            .collect();
        let n = clips.len().max(1) as f64;
        let log_loss = |temperature: f64| {
            let of_clip = |clip: &Clip<'_>| -libm::log(clip.probabilities(temperature)[clip.label].max(1e-15));
            clips.iter().map(of_clip).sum::<f64>() / n
        };
        let right = |clip: &&Clip<'_>| most_probable(&clip.probabilities(1.0)) == clip.label;
        let artists = of_artist.len().max(1) as f64;
        let accuracy_by_artist = clips.iter().filter(right).map(|clip| clip.weight).sum::<f64>() / artists;
        let confidence = |temperature: f64| {
            let largest = |clip: &Clip<'_>| clip.probabilities(temperature).into_iter().fold(0.0, f64::max);
            clips.iter().map(|clip| clip.weight * largest(clip)).sum::<f64>() / artists
        };
        let temperature = if clips.is_empty() {
            1.0
        } else {
            // The higher the temperature, the less confident.
            let [mut low, mut high] = RANGE.map(libm::log);
            for _ in 0..STEPS {
                let middle = (low + high) / 2.0;
                if confidence(libm::exp(middle)) > accuracy_by_artist { low = middle } else { high = middle }
            }
            libm::exp((low + high) / 2.0)
        };
        Self {
            temperature,
            accuracy: clips.iter().filter(right).count() as f64 / n,
            accuracy_by_artist,
            log_loss_before: log_loss(1.0),
            log_loss: log_loss(temperature),
            n: clips.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artists(names: impl Iterator<Item = usize>) -> Vec<String> {
        names.map(|name| format!("artist {name}")).collect()
    }

    #[test]
    fn overconfident_logits_are_cooled_to_their_accuracy() {
        // Right three times in four, and always sure: with two classes the temperature makes p = 3/4.
        let clips: Vec<_> = (0..400).map(|_| vec![vec![8.0f32, 0.0]]).collect();
        let labels: Vec<_> = (0..400).map(|i| usize::from(i % 4 == 0)).collect();
        let calibration = Calibration::fit(&clips, &labels, &artists(0..400));
        assert!((calibration.temperature - 8.0 / 3f64.ln()).abs() < 1e-6, "{calibration:?}");
        assert_eq!((calibration.accuracy, calibration.accuracy_by_artist), (0.75, 0.75));
        assert!(calibration.log_loss < calibration.log_loss_before);
        assert_eq!(Calibration::fit(&[Vec::new()], &[0], &artists(0..1)).temperature, 1.0);
    }

    #[test]
    fn an_artist_counts_once_however_many_clips_there_are() {
        // Two artists of a clip each, both right; a third with 98 clips, all wrong.
        let clips: Vec<_> = (0..100).map(|_| vec![vec![8.0f32, 0.0]]).collect();
        let labels: Vec<_> = (0..100).map(|i| usize::from(i > 1)).collect();
        let calibration = Calibration::fit(&clips, &labels, &artists((0..100).map(|i: usize| i.min(2))));
        assert!((calibration.accuracy_by_artist - 2.0 / 3.0).abs() < 1e-12, "{calibration:?}");
        assert!((calibration.temperature - 8.0 / 2f64.ln()).abs() < 1e-6, "{calibration:?}");
    }

    #[test]
    fn the_temperature_ends_with_its_range() {
        let clip = |right: bool| Calibration::fit(&[vec![vec![3.0f32, 0.0]]], &[usize::from(!right)], &artists(0..1));
        assert!((clip(true).temperature - RANGE[0]).abs() < 1e-6);
        assert!((clip(false).temperature - RANGE[1]).abs() < 1e-6);
    }
}
