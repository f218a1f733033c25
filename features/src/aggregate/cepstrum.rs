//! Vectors from the MFCC over time: their statistics, and the spectra of their trajectories over windows of 64 frames.
//!
//! At the frame rate of the preset `gtzan-store` (11.5 a second) a window of the modulation spectra lasts 5.6 s and they reach 5.7 Hz:
//! from phrases to sixteenth notes. After Lee, Shih, Yu & Lin, "Automatic music genre classification based on modulation spectral
//! analysis of spectral and cepstral features", 2009.

use ndarray::Array2;
use simd::{Simd, WithSimd};

use super::stats::{self, Symmetric, upper_triangle, widened};
use crate::descriptors::delta::{Order, delta};

/// Coefficients of the means alone: the shape of the spectrum without its level (the 0th) and its fine detail.
pub const MEAN_MFCC: std::ops::Range<usize> = 1..13;
/// Percentiles of the statistics.
pub const PERCENTILES: [f64; 3] = [10.0, 50.0, 90.0];
/// Coefficients that are correlated.
pub const CORRELATED_MFCC: usize = 20;
/// Least product of two deviations, times the number of frames, that has a correlation.
pub const LEAST_MOVEMENT: f64 = 1e-9;

pub(super) fn statistics_names(n_mfcc: usize) -> Vec<String> {
    (0..n_mfcc)
        .flat_map(|k| ["mean", "std", "p10", "p50", "p90"].map(|name| format!("mfcc.stats.{k}.{name}")))
        .collect()
}

pub(super) fn delta_names(n_mfcc: usize) -> Vec<String> {
    (0..n_mfcc).flat_map(|k| ["delta.mean", "delta.std", "delta2.std"].map(|name| format!("mfcc.{k}.{name}"))).collect()
}

pub(super) fn correlation_names(n_mfcc: usize) -> Vec<String> {
    let n = n_mfcc.min(CORRELATED_MFCC);
    upper_triangle(n).filter(|(i, j)| i < j).map(|(i, j)| format!("mfcc.corr.{i}.{j}")).collect()
}

pub(super) fn mean_names() -> Vec<String> {
    MEAN_MFCC.map(|k| format!("mfcc.{k}.mean")).collect()
}

/// Mean, deviation and percentiles of each coefficient.
pub(super) fn statistics(mfcc: &[Vec<f64>]) -> Vec<f64> {
    mfcc.iter()
        .flat_map(|values| {
            let mean = stats::mean(values);
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            [mean, stats::std(values, mean)]
                .into_iter()
                .chain(PERCENTILES.map(|p| stats::percentile_of_sorted(&sorted, p)))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Mean and deviation of the first derivative and deviation of the second, of each coefficient.
pub(super) fn deltas(mfcc: &[Vec<f64>]) -> Vec<f64> {
    let n_frames = mfcc.first().map_or(0, Vec::len);
    let matrix = Array2::from_shape_fn((mfcc.len(), n_frames), |(k, t)| mfcc[k][t] as f32);
    let first = widened(&delta(matrix.view(), Order::First));
    let second = widened(&delta(matrix.view(), Order::Second));
    first
        .iter()
        .zip(&second)
        .flat_map(|(first, second)| {
            let mean = stats::mean(first);
            [mean, stats::std(first, mean), stats::std(second, stats::mean(second))]
        })
        .collect()
}

/// Pearson's correlation in time of each pair of coefficients; 0 where one of them does not move.
pub(super) fn correlations(mfcc: &[Vec<f64>]) -> Vec<f64> {
    let n = mfcc.len().min(CORRELATED_MFCC);
    let centred: Vec<Vec<f64>> = mfcc[..n]
        .iter()
        .map(|values| {
            let mean = stats::mean(values);
            values.iter().map(|value| value - mean).collect()
        })
        .collect();
    let product = |i: usize, j: usize| -> f64 { centred[i].iter().zip(&centred[j]).map(|(a, b)| a * b).sum() };
    upper_triangle(n)
        .filter(|(i, j)| i < j)
        .map(|(i, j)| {
            let scale = (product(i, i) * product(j, j)).sqrt();
            if scale > LEAST_MOVEMENT { product(i, j) / scale } else { 0.0 }
        })
        .collect()
}

/// Mean of the coefficients 1 to 12.
pub(super) fn means(mfcc: &[Vec<f64>]) -> Vec<f64> {
    mfcc[MEAN_MFCC].iter().map(|values| stats::mean(values)).collect()
}

/// Frames of a window.
pub const WINDOW: usize = 64;
/// Frames from one window to the next.
pub const HOP: usize = 32;
/// Bins of the spectrum of a window.
const BINS: usize = WINDOW / 2 + 1;
/// Coefficients of the covariances.
pub const COVARIANCE_MFCC: usize = 20;
/// First and last bin of each covariance.
pub const COVARIANCE_BANDS: [(usize, usize); 4] = [(1, 3), (4, 8), (9, 16), (17, 32)];
/// Added to the diagonal of a covariance, in dB²: below it there is quantisation and noise.
pub const COVARIANCE_FLOOR: f64 = 20.0;
/// First and last bin of each energy; about a half to a third of an octave.
pub const ENERGY_BANDS: [(usize, usize); 8] = [(1, 1), (2, 3), (4, 5), (6, 8), (9, 13), (14, 18), (19, 25), (26, 32)];
/// Added to an energy before its logarithm, in dB².
pub const ENERGY_FLOOR: f64 = 4.0;

/// Spectra of every window of every coefficient.
pub(super) struct ModulationSpectra {
    /// `[n_mfcc][windows · BINS]`, real parts.
    re: Vec<Vec<f64>>,
    /// The same, imaginary parts.
    im: Vec<Vec<f64>>,
    n_windows: usize,
}

pub(super) fn modulation_energy_names(n_mfcc: usize) -> Vec<String> {
    (0..n_mfcc)
        .flat_map(|k| (0..ENERGY_BANDS.len()).map(move |band| format!("mfcc.modulation.{k}.band{band}")))
        .collect()
}

pub(super) fn modulation_covariance_names(n_mfcc: usize) -> Vec<String> {
    let n = n_mfcc.min(COVARIANCE_MFCC);
    (0..COVARIANCE_BANDS.len())
        .flat_map(|band| upper_triangle(n).map(move |(i, j)| format!("mfcc.modcov.band{band}.{i}.{j}")))
        .collect()
}

impl ModulationSpectra {
    /// Transforms trajectories `[n_mfcc, n_frames]`: windows of 64 frames every 32, each less its mean and under a Hann
    /// window, divided by the root of the window's energy. Fewer than 64 frames are one window, padded with zeros.
    pub(super) fn new(trajectories: &[Vec<f64>]) -> Self {
        let n_frames = trajectories.first().map_or(0, Vec::len);
        let length = n_frames.min(WINDOW);
        let starts: Vec<usize> = (0..=n_frames - length).step_by(HOP).collect();
        let turn = |step: usize, of: usize| std::f64::consts::TAU * (step % of.max(1)) as f64 / of.max(1) as f64;
        let window: Vec<f64> = (0..length).map(|n| 0.5 - 0.5 * libm::cos(turn(n, length))).collect();
        let scale = 1.0 / window.iter().map(|w| w * w).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let table = |f: fn(f64) -> f64| -> Vec<[f64; BINS]> {
            let turns: Vec<f64> = (0..WINDOW).map(|n| f(turn(n, WINDOW))).collect();
            (0..length).map(|n| std::array::from_fn(|bin| turns[n * bin % WINDOW])).collect()
        };
        let (cos, sin) = (table(libm::cos), table(libm::sin));
        let transform = |trajectory: &Vec<f64>| {
            let mut re = Vec::with_capacity(starts.len() * BINS);
            let mut im = Vec::with_capacity(starts.len() * BINS);
            for &start in &starts {
                let frames = &trajectory[start..start + length];
                let mean = frames.iter().sum::<f64>() / length as f64;
                let shaped: Vec<f64> = frames.iter().zip(&window).map(|(x, w)| (x - mean) * w * scale).collect();
                let (of_cos, of_sin) = simd::dispatch(Transform { frames: &shaped, cos: &cos, sin: &sin });
                re.extend_from_slice(&of_cos);
                im.extend(of_sin.map(|sum| -sum));
            }
            (re, im)
        };
        let (re, im) = trajectories.iter().map(transform).unzip();
        Self { re, im, n_windows: starts.len() }
    }

    /// Mean energy of each coefficient in each band of [`ENERGY_BANDS`], as `ln(energy + floor)`.
    pub(super) fn energies(&self) -> Vec<f64> {
        let coefficients = self.re.iter().zip(&self.im);
        coefficients
            .flat_map(|(re, im)| {
                ENERGY_BANDS.map(|(first, last)| {
                    let sum: f64 = self.values_of(first, last).map(|at| re[at] * re[at] + im[at] * im[at]).sum();
                    libm::log(sum / self.count(first, last) + ENERGY_FLOOR)
                })
            })
            .collect()
    }

    /// For each band of [`COVARIANCE_BANDS`], the real part of the cross-spectral covariance of the coefficients, plus a
    /// floor on its diagonal, as the upper triangle of its matrix logarithm; off the diagonal times √2, so that Euclidean
    /// distances are those of the whole matrices.
    pub(super) fn covariances(&self) -> Vec<f64> {
        let n = self.re.len().min(COVARIANCE_MFCC);
        COVARIANCE_BANDS
            .iter()
            .flat_map(|&(first, last)| {
                let mut sums = vec![[-0.0; COVARIANCE_MFCC]; n];
                for at in self.values_of(first, last) {
                    let mut column = [[0.0; COVARIANCE_MFCC]; 2];
                    for (i, (re, im)) in self.re.iter().zip(&self.im).take(n).enumerate() {
                        (column[0][i], column[1][i]) = (re[at], im[at]);
                    }
                    simd::dispatch(AddProducts { sums: &mut sums, re: &column[0], im: &column[1] });
                }
                let covariance = Symmetric::from_lower(n, |i, j| {
                    sums[i][j] / self.count(first, last) + if i == j { COVARIANCE_FLOOR } else { 0.0 }
                });
                covariance.log_vector(COVARIANCE_FLOOR)
            })
            .collect()
    }

    /// Where the values of the bins `first..=last` are, of all windows.
    fn values_of(&self, first: usize, last: usize) -> impl Iterator<Item = usize> {
        (0..self.n_windows).flat_map(move |window| (first..=last).map(move |bin| window * BINS + bin))
    }

    fn count(&self, first: usize, last: usize) -> f64 {
        (self.n_windows * (last + 1 - first)) as f64
    }
}

/// Sums of frames times the rows of two tables, a lane for each bin; each sum runs from the first frame to the last.
struct Transform<'a> {
    frames: &'a [f64],
    cos: &'a [[f64; BINS]],
    sin: &'a [[f64; BINS]],
}

impl WithSimd for Transform<'_> {
    type Output = ([f64; BINS], [f64; BINS]);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        // What a sum of `Iterator` begins with.
        let (mut of_cos, mut of_sin) = ([-0.0; BINS], [-0.0; BINS]);
        for ((&x, cos), sin) in self.frames.iter().zip(self.cos).zip(self.sin) {
            for bin in 0..BINS {
                of_cos[bin] += x * cos[bin];
                of_sin[bin] += x * sin[bin];
            }
        }
        (of_cos, of_sin)
    }
}

/// Adds the real part of the product of every pair of values.
struct AddProducts<'a> {
    sums: &'a mut [[f64; COVARIANCE_MFCC]],
    re: &'a [f64; COVARIANCE_MFCC],
    im: &'a [f64; COVARIANCE_MFCC],
}

impl WithSimd for AddProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (i, sums) in self.sums.iter_mut().enumerate() {
            let (re, im) = (self.re[i], self.im[i]);
            for (sum, (other_re, other_im)) in sums.iter_mut().zip(self.re.iter().zip(self.im)) {
                *sum += re * other_re + im * other_im;
            }
        }
    }
}
