//! What is done to a clip before it goes through the network in training: a random crop, and what [`Augment`] says.

use data::rng::Rng;
use ndarray::{Array2, ArrayView2, Axis, Slice};

use super::config::Augment;

/// Points of the random equaliser, evenly spaced over the bands.
const EQUALISER_POINTS: usize = 5;
/// Spans of bands, and of frames, that are silenced.
const MASKS: usize = 2;

/// A random crop of `frames` frames of a standardised log-mel `[n_mels, n_frames]`; shorter ones are repeated.
///
/// `db_per_unit` is the deviation that the log-mel was divided by, so that the equaliser's dB are dB.
pub(super) fn crop(
    z: ArrayView2<'_, f32>,
    frames: usize,
    augment: &Augment,
    db_per_unit: f32,
    rng: &mut Rng,
) -> Array2<f32> {
    let (n_mels, n_frames) = z.dim();
    let tempo = libm::exp(rng.uniform(-augment.stretch, augment.stretch));
    let shift = rng.below(2 * augment.shift + 1) as f64 - augment.shift as f64;
    let taken = ((frames as f64 * tempo).round() as usize).clamp(1, n_frames.max(frames));
    let start = if n_frames >= taken { rng.below(n_frames - taken + 1) } else { rng.below(n_frames) };
    let step = taken as f64 / frames as f64;
    let gains: Vec<f64> =
        (0..EQUALISER_POINTS).map(|_| rng.normal() * augment.equaliser / f64::from(db_per_unit)).collect();
    let mut crop = Array2::zeros((n_mels, frames));
    for frame in 0..frames {
        // Centre of the frame, as bilinear interpolation between pixel centres has it.
        let at = ((frame as f64 + 0.5) * step - 0.5).clamp(0.0, (taken - 1) as f64);
        let (left, weight) = (at.floor() as usize, (at - at.floor()) as f32);
        let column = |offset: usize| (start + offset.min(taken - 1)) % n_frames;
        let (left, right) = (column(left), column(left + 1));
        for band in 0..n_mels {
            let source = (band as f64 + shift).clamp(0.0, (n_mels - 1) as f64) as usize;
            let value = z[[source, left]] * (1.0 - weight) + z[[source, right]] * weight;
            crop[[band, frame]] = value + between(&gains, band as f64 / (n_mels - 1).max(1) as f64) as f32;
        }
    }
    for axis in [Axis(0), Axis(1)] {
        for _ in 0..MASKS {
            let length = crop.len_of(axis);
            let width = rng.below(augment.mask.min(length - 1) + 1);
            let start = rng.below(length - width + 1);
            crop.slice_axis_mut(axis, Slice::from(start..start + width)).fill(0.0);
        }
    }
    crop
}

/// The piecewise linear curve through `points`, at `position` of 0 to 1.
fn between(points: &[f64], position: f64) -> f64 {
    let at = position * (points.len() - 1) as f64;
    let left = (at as usize).min(points.len() - 2);
    points[left] + (points[left + 1] - points[left]) * (at - left as f64)
}

/// The share of the first of two mixed clips, a half to 1: the larger of a draw from `Beta(alpha, alpha)` and its rest.
pub(super) fn mixing_share(alpha: f64, rng: &mut Rng) -> f64 {
    if alpha <= 0.0 {
        return 1.0;
    }
    let (a, b) = (gamma(alpha, rng), gamma(alpha, rng));
    let share = if a + b > 0.0 { a / (a + b) } else { 1.0 };
    share.max(1.0 - share)
}

/// A draw from the gamma distribution of this shape and scale 1 (Marsaglia and Tsang 2000).
fn gamma(shape: f64, rng: &mut Rng) -> f64 {
    if shape < 1.0 {
        let boost = libm::pow(rng.unit().max(f64::MIN_POSITIVE), 1.0 / shape);
        return gamma(shape + 1.0, rng) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x = rng.normal();
        let v = libm::pow(1.0 + c * x, 3.0);
        if v > 0.0 && libm::log(rng.unit().max(f64::MIN_POSITIVE)) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(frames: usize) -> Array2<f32> {
        Array2::from_shape_fn((8, frames), |(band, frame)| (100 * band + frame) as f32)
    }

    #[test]
    fn without_augmentation_a_crop_is_a_span_of_the_clip() {
        let z = ramp(50);
        let mut starts = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let crop = crop(z.view(), 16, &Augment::NONE, 1.0, &mut Rng::new(seed));
            let start = crop[[0, 0]] as usize;
            starts.insert(start);
            assert_eq!(crop, z.slice_axis(Axis(1), Slice::from(start..start + 16)));
        }
        assert!(starts.len() > 25 && starts.contains(&0) && starts.contains(&34), "every start occurs: {starts:?}");
    }

    #[test]
    fn a_short_clip_is_repeated() {
        let crop = crop(ramp(5).view(), 12, &Augment::NONE, 1.0, &mut Rng::new(1));
        assert!((0..12).all(|frame| crop[[0, frame]] == ((crop[[0, 0]] as usize + frame) % 5) as f32));
    }

    #[test]
    fn every_augmentation_keeps_the_size_and_is_drawn_from_the_seed() {
        let augment = Augment { mixup: 0.3, mask: 6, stretch: 0.3, shift: 2, equaliser: 6.0 };
        for seed in 0..50 {
            let drawn = |seed| crop(ramp(60).view(), 32, &augment, 2.0, &mut Rng::new(seed));
            assert_eq!(drawn(seed).dim(), (8, 32));
            assert!(drawn(seed).iter().all(|value| value.is_finite()));
            assert_eq!(drawn(seed), drawn(seed));
            assert_ne!(drawn(seed), drawn(seed + 1000));
        }
    }

    #[test]
    fn shares_are_those_of_a_beta_distribution() {
        let mut rng = Rng::new(7);
        let shares: Vec<_> = (0..20_000).map(|_| mixing_share(0.3, &mut rng)).collect();
        assert!(shares.iter().all(|share| (0.5..=1.0).contains(share)));
        // Var(Beta(a, a)) = 1 / (4 (2a + 1)); the folding keeps the square of the distance to a half.
        let variance = shares.iter().map(|share| (share - 0.5).powi(2)).sum::<f64>() / shares.len() as f64;
        assert!((variance - 1.0 / (4.0 * 1.6)).abs() < 0.004, "{variance}");
        assert_eq!(mixing_share(0.0, &mut rng), 1.0);
    }
}
