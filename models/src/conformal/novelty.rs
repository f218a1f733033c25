//! [`NoveltyDetector`]: whether a clip is like the training set, by its distance from it in the space of the vectors that a model decides
//! by.
//!
//! For a vector `x` of `D` dimensions,
//!
//! 1. `z = axes · (x − mean)`, `R` principal axes, turned and scaled so that the clips of a class have the identity for their covariance
//!    (one for all classes, shrunken) and all clips a diagonal one, of which `precision` is the inverse;
//! 2. `c = min_k ‖z − centre_k‖²`, the squared Mahalanobis distance from the nearest class `k` (K. Lee et al., "A simple unified
//!    framework for detecting out-of-distribution samples", 2018);
//! 3. `r = c − Σ_i precision_i · z_i²`, the same relative to the distance from all clips (J. Ren et al., "A simple fix to Mahalanobis
//!    distance for improving near-OOD detection", 2021): large where a clip lies between classes;
//! 4. the score `(c − typical_k) / spread_k + (r − typical) / spread`, each beside what clips of held-out artists have: `c` beside
//!    those nearest to the same class, for some classes are wide;
//! 5. the p-value `(1 + scores of held-out clips that are at least as large) / (n + 1)`.
//!
//! The statistics of short clips scatter more, so held-out clips were also cut short: a clip is compared with scores of the longest length
//! that it has. The score of several segments is their mean.

use safetensors::{Dtype, SafeTensors};

use super::OwnTensor;
use crate::{
    Error, Result,
    svm::{f64s, kernel::squared_distance, tensor},
};

/// A clip is unlike the training set from this p-value on down.
pub const LEVEL: f64 = 0.02;

const MEAN: &str = "novelty.mean";
const AXES: &str = "novelty.axes";
const CENTRES: &str = "novelty.centres";
const PRECISION: &str = "novelty.precision";
const NEAREST: &str = "novelty.nearest";
const RELATIVE: &str = "novelty.relative";
const FRAMES: &str = "novelty.frames";
const CALIBRATION: &str = "novelty.calibration";
const THRESHOLD: &str = "novelty.threshold";
pub(super) const NAMES: [&str; 9] = [MEAN, AXES, CENTRES, PRECISION, NEAREST, RELATIVE, FRAMES, CALIBRATION, THRESHOLD];

/// Most axes, classes, lengths and held-out clips that a file may hold.
const MOST: usize = 1 << 16;
/// Far beyond any fit, and keeps every sum finite.
const LARGE: f64 = 1e100;

/// Every number of a [`NoveltyDetector`], not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct NoveltyParameters {
    /// Mean of the clips; `[D]`.
    pub mean: Vec<f32>,
    /// Row-major `[R, D]`.
    pub axes: Vec<f32>,
    /// Row-major `[C, R]`.
    pub centres: Vec<f64>,
    /// Inverse variance of all clips along each axis; `[R]`, 0 or more.
    pub precision: Vec<f64>,
    /// Typical distance from the nearest class, and its spread, over 0, for each class; row-major `[C, 2]`.
    pub nearest: Vec<f64>,
    /// The same of the relative distance; `[2]`.
    pub relative: [f64; 2],
    /// The lengths that held-out clips were cut to, in frames of the log-mel, falling; `[L]`, at least one.
    pub frames: Vec<f64>,
    /// Scores of the held-out clips of each length, rising; row-major `[L, N]`.
    pub calibration: Vec<f64>,
    /// A clip is unlike the training set from this p-value on down; 0 to 1.
    pub threshold: f64,
}

/// Tells clips that are unlike the training set; see the module.
#[derive(Clone, Debug, PartialEq)]
pub struct NoveltyDetector {
    parts: NoveltyParameters,
}

/// The two distances of a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distances {
    /// The nearest class.
    pub class: usize,
    /// Squared distance from it.
    pub nearest: f64,
    /// The same less the squared distance from all clips.
    pub relative: f64,
}

impl NoveltyDetector {
    /// Checks the parts against each other.
    ///
    /// # Errors
    /// [`Error::Tensor`] for the first part whose size or values are not as [`NoveltyParameters`] says.
    pub fn new(parts: NoveltyParameters) -> Result<Self> {
        let NoveltyParameters { mean, axes, centres, precision, nearest, relative, frames, calibration, threshold } =
            &parts;
        let (dim, n_axes, n_lengths) = (mean.len(), precision.len(), frames.len());
        for (name, n) in [(MEAN, dim), (PRECISION, n_axes), (FRAMES, n_lengths)] {
            if !(1..=MOST * MOST).contains(&n) {
                return Err(Error::tensor(name, "is empty"));
            }
        }
        let classes = centres.len() / n_axes;
        let n = calibration.len() / n_lengths;
        let sizes = [
            (AXES, axes.len(), n_axes * dim),
            (CENTRES, centres.len(), classes.max(1) * n_axes),
            (NEAREST, nearest.len(), classes * 2),
            (CALIBRATION, calibration.len(), n.max(1) * n_lengths),
        ];
        if let Some((name, found, expected)) = sizes.into_iter().find(|(_, found, expected)| found != expected) {
            return Err(Error::tensor(name, format!("has {found} values, {expected} fit the other tensors")));
        }
        let finite = |name: &str, values: &[f32]| match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(Error::tensor(name, format!("holds {} at {index}", values[index]))),
            None => Ok(()),
        };
        finite(MEAN, mean)?;
        finite(AXES, axes)?;
        let within = |name: &str, values: &[f64], least: f64, most: f64| match values
            .iter()
            .find(|value| !(least..=most).contains(*value))
        {
            Some(value) => Err(Error::tensor(name, format!("holds {value}, not within {least} to {most}"))),
            None => Ok(()),
        };
        within(CENTRES, centres, -LARGE, LARGE)?;
        within(PRECISION, precision, 0.0, LARGE)?;
        within(NEAREST, nearest, -LARGE, LARGE)?;
        within(RELATIVE, relative, -LARGE, LARGE)?;
        within(FRAMES, frames, 1.0, 1e9)?;
        within(CALIBRATION, calibration, -LARGE, LARGE)?;
        within(THRESHOLD, &[*threshold], 0.0, 1.0)?;
        let mut spreads = nearest.chunks_exact(2).map(|pair| pair[1]).chain([relative[1]]);
        if spreads.any(|spread| spread < 1e-100) {
            return Err(Error::tensor(NEAREST, "holds a spread that is not over 0"));
        }
        if !frames.is_sorted_by(|a, b| a > b) {
            return Err(Error::tensor(FRAMES, "does not fall"));
        }
        if !calibration.chunks_exact(n).all(<[f64]>::is_sorted) {
            return Err(Error::tensor(CALIBRATION, "does not rise"));
        }
        Ok(Self { parts })
    }

    /// Every number of this detector.
    #[must_use]
    pub fn parts(&self) -> &NoveltyParameters {
        &self.parts
    }

    /// A clip is unlike the training set from this p-value on down.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.parts.threshold
    }

    /// The distances of a vector.
    ///
    /// # Errors
    /// [`Error::Vector`] for a vector of another length than the detector was fitted on.
    pub fn distances(&self, vector: &[f32]) -> Result<Distances> {
        let NoveltyParameters { mean, axes, centres, precision, .. } = &self.parts;
        if vector.len() != mean.len() {
            let detail = format!("has {} dimensions, the novelty detector was fitted on {}", vector.len(), mean.len());
            return Err(Error::Vector { detail });
        }
        Ok(distances(&project(vector, mean, axes), centres, precision))
    }

    /// How unlike the training set a vector is; larger is more so.
    ///
    /// # Errors
    /// Those of [`NoveltyDetector::distances`].
    pub fn score(&self, vector: &[f32]) -> Result<f64> {
        let Distances { class, nearest, relative } = self.distances(vector)?;
        Ok(combined(&self.parts.nearest[2 * class..2 * class + 2], self.parts.relative, nearest, relative))
    }

    /// Share of clips of new artists that are at least as unlike the training set as a clip of `n_frames` with these vectors of its
    /// segments: over 0 to 1. 1 for a clip without a vector.
    ///
    /// # Errors
    /// Those of [`NoveltyDetector::distances`].
    pub fn p_value(&self, segments: &[Vec<f32>], n_frames: usize) -> Result<f64> {
        let NoveltyParameters { frames, calibration, .. } = &self.parts;
        if segments.is_empty() {
            return Ok(1.0);
        }
        let mut score = 0.0;
        for segment in segments {
            score += self.score(segment)?;
        }
        score /= segments.len() as f64;
        let length = frames.iter().position(|&length| length <= n_frames as f64).unwrap_or(frames.len() - 1);
        let n = calibration.len() / frames.len();
        let held_out = &calibration[length * n..(length + 1) * n];
        let less = held_out.partition_point(|&other| other < score);
        Ok((1 + n - less) as f64 / (n + 1) as f64)
    }

    /// The tensors, by the names of [`Conformal::add_to`](super::Conformal::add_to).
    pub(super) fn tensors(&self) -> Vec<OwnTensor> {
        let NoveltyParameters { mean, axes, centres, precision, nearest, relative, frames, calibration, threshold } =
            &self.parts;
        let (dim, n_axes, n_lengths) = (mean.len(), precision.len(), frames.len());
        vec![
            OwnTensor::f32s(MEAN, vec![dim], mean),
            OwnTensor::f32s(AXES, vec![n_axes, dim], axes),
            OwnTensor::f64s(CENTRES, vec![centres.len() / n_axes, n_axes], centres),
            OwnTensor::f64s(PRECISION, vec![n_axes], precision),
            OwnTensor::f64s(NEAREST, vec![nearest.len() / 2, 2], nearest),
            OwnTensor::f64s(RELATIVE, vec![2], relative),
            OwnTensor::f64s(FRAMES, vec![n_lengths], frames),
            OwnTensor::f64s(CALIBRATION, vec![n_lengths, calibration.len() / n_lengths], calibration),
            OwnTensor::f64s(THRESHOLD, vec![1], &[*threshold]),
        ]
    }

    /// Reads what [`NoveltyDetector::tensors`] wrote; `None` of weights without.
    pub(super) fn from_tensors(file: &SafeTensors<'_>) -> Result<Option<Self>> {
        if !file.names().into_iter().any(|name| NAMES.contains(&name)) {
            return Ok(None);
        }
        let (mean, [dim]) = tensor(file, MEAN, Dtype::F32, [None], f32::from_le_bytes)?;
        let (precision, [n_axes]) = f64s(file, PRECISION, [None])?;
        let (axes, _) = tensor(file, AXES, Dtype::F32, [Some(n_axes), Some(dim)], f32::from_le_bytes)?;
        let (centres, [classes, _]) = f64s(file, CENTRES, [None, Some(n_axes)])?;
        let (frames, [n_lengths]) = f64s(file, FRAMES, [None])?;
        let relative = f64s(file, RELATIVE, [Some(2)])?.0;
        Self::new(NoveltyParameters {
            mean,
            axes,
            centres,
            precision,
            nearest: f64s(file, NEAREST, [Some(classes), Some(2)])?.0,
            relative: [relative[0], relative[1]],
            frames,
            calibration: f64s(file, CALIBRATION, [Some(n_lengths), None])?.0,
            threshold: f64s(file, THRESHOLD, [Some(1)])?.0[0],
        })
        .map(Some)
    }
}

/// `axes · (x − mean)`, for axes in rows.
#[must_use]
pub fn project(vector: &[f32], mean: &[f32], axes: &[f32]) -> Vec<f64> {
    let centred: Vec<f64> = vector.iter().zip(mean).map(|(&x, &mean)| f64::from(x) - f64::from(mean)).collect();
    let rows = axes.chunks_exact(mean.len().max(1));
    rows.map(|row| row.iter().zip(&centred).map(|(&axis, x)| f64::from(axis) * x).sum()).collect()
}

/// The distances of a projected vector from `centres`, row-major `[C, R]`, the first of equals, and from the origin.
#[must_use]
pub fn distances(z: &[f64], centres: &[f64], precision: &[f64]) -> Distances {
    let mut closest = (0, f64::INFINITY);
    for (class, centre) in centres.chunks_exact(z.len().max(1)).enumerate() {
        let distance = squared_distance(z, centre);
        if distance < closest.1 {
            closest = (class, distance);
        }
    }
    // A distance that is too large for a float is still a distance.
    let nearest = closest.1.min(LARGE);
    let from_all: f64 = z.iter().zip(precision).map(|(z, precision)| precision * z * z).sum();
    Distances { class: closest.0, nearest, relative: nearest - from_all.min(LARGE) }
}

/// The score of two distances beside what is typical: `[typical, spread]` of each.
#[must_use]
pub fn combined(of_class: &[f64], of_all: [f64; 2], nearest: f64, relative: f64) -> f64 {
    (nearest - of_class[0]) / of_class[1] + (relative - of_all[0]) / of_all[1]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two classes in the plane of the first two of three dimensions; scores of held-out clips are 1 to 9, of short ones 11 to 19.
    fn parameters() -> NoveltyParameters {
        NoveltyParameters {
            mean: vec![1.0, 0.0, 0.0],
            axes: vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0],
            centres: vec![-3.0, 0.0, 3.0, 0.0],
            precision: vec![0.1, 1.0],
            nearest: vec![0.0, 1.0, 4.0, 2.0],
            relative: [0.0, 1.0],
            frames: vec![100.0, 20.0],
            calibration: (1..10).chain(11..20).map(f64::from).collect(),
            threshold: 0.1,
        }
    }

    #[test]
    fn the_score_is_that_of_the_definition() {
        let detector = NoveltyDetector::new(parameters()).expect("they fit");
        // z = (3, 2): 4 from the second centre, 0.1 · 9 + 4 from all.
        let distances = detector.distances(&[4.0, 1.0, 77.0]).expect("three dimensions");
        assert_eq!((distances.class, distances.nearest), (1, 4.0));
        assert!((distances.relative - (4.0 - 4.9)).abs() < 1e-12);
        assert!((detector.score(&[4.0, 1.0, 0.0]).expect("fits") - (0.0 - 0.9)).abs() < 1e-12);
        assert!(detector.score(&[4.0, 1.0]).is_err_and(|error| error.to_string().contains("fitted on 3")));
    }

    #[test]
    fn a_p_value_counts_held_out_clips_of_the_same_length() {
        // One class at the origin: the score of (0, y, 0) is 4·y² − 4·y², and of (1 + x, 0, 0) it is x² + x² − 0.1·x².
        let detector = NoveltyDetector::new(NoveltyParameters {
            centres: vec![0.0, 0.0],
            nearest: vec![0.0, 1.0],
            precision: vec![1.0, 1.0],
            ..parameters()
        });
        let detector = detector.expect("they fit");
        let p =
            |squared: f32, n_frames| detector.p_value(&[vec![1.0 + squared.sqrt(), 0.0, 0.0]], n_frames).expect("fits");
        assert_eq!(p(0.0, 100), 1.0);
        assert_eq!(p(4.5, 500), 0.6, "5 to 9 of nine are larger");
        assert_eq!(p(1e30, 100), 0.1);
        assert_eq!(p(12.5, 99), 0.8, "13 to 19 of the short ones");
        assert_eq!(p(12.5, 3), 0.8);
        assert_eq!(detector.p_value(&[], 100).expect("no vector"), 1.0);
        assert!(p(f32::MAX, 100) > 0.0);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let refused = |change: &dyn Fn(&mut NoveltyParameters), word: &str| {
            let mut parts = parameters();
            change(&mut parts);
            let error = NoveltyDetector::new(parts).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(&|parts| parts.mean.clear(), MEAN);
        refused(&|parts| parts.axes.truncate(5), AXES);
        refused(&|parts| parts.axes[0] = f32::NAN, AXES);
        refused(&|parts| parts.centres.truncate(3), CENTRES);
        refused(&|parts| parts.precision[1] = -1.0, PRECISION);
        refused(&|parts| parts.nearest[1] = 0.0, NEAREST);
        refused(&|parts| parts.relative[0] = f64::NAN, RELATIVE);
        refused(&|parts| parts.frames.reverse(), FRAMES);
        refused(&|parts| parts.calibration.reverse(), CALIBRATION);
        refused(&|parts| parts.calibration.clear(), CALIBRATION);
        refused(&|parts| parts.threshold = 1.5, THRESHOLD);
    }

    proptest! {
        /// For scores that are exchangeable with those of the calibration, a p-value is at most p for a share p of them: exactly so for
        /// the share of its own rank, whatever the scores are.
        #[test]
        fn p_values_of_exchangeable_clips_are_uniform(seed in 0u64..1000) {
            let mut state = seed.wrapping_mul(2) + 1;
            let mut uniform = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u32 << 24) as f32
            };
            let detector = |scores: Vec<f64>| NoveltyDetector::new(NoveltyParameters {
                mean: vec![0.0],
                axes: vec![1.0],
                centres: vec![0.0],
                precision: vec![0.0],
                nearest: vec![0.0, 2.0],
                relative: [0.0, 2.0],
                frames: vec![1.0],
                calibration: scores,
                threshold: 0.05,
            }).expect("they fit");
            // The score of x is x². Each of 20 clips beside the 19 others has each of the 20 p-values once.
            let clips: Vec<f32> = (0..20).map(|_| uniform()).collect();
            let square = |x: f32| f64::from(x) * f64::from(x);
            let mut p_values: Vec<f64> = (0..20).map(|left_out| {
                let mut others: Vec<f64> =
                    clips.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, &x)| square(x)).collect();
                others.sort_by(f64::total_cmp);
                detector(others).p_value(&[vec![clips[left_out]]], 1).expect("one dimension")
            }).collect();
            p_values.sort_by(f64::total_cmp);
            // Equal clips, of which there is hardly ever one, have the larger of their p-values.
            for (rank, p) in p_values.iter().enumerate() {
                prop_assert!(*p >= (rank + 1) as f64 / 20.0 - 1e-12);
            }
            let distinct = clips.windows(2).all(|pair| pair[0].to_bits() != pair[1].to_bits());
            prop_assert!(!distinct || (p_values[19] - 1.0).abs() < 1e-12);
        }
    }
}
