//! Where energy rises: the half-wave rectified flux of the log-mel, its covariance over bands and its statistics.

use super::{POOLED_BANDS, mean_of, pooled, stats, symmetric::Symmetric, upper_triangle};

/// Added to the diagonal of the covariance, in dB².
const COVARIANCE_FLOOR: f64 = 0.5;
/// Bands of the statistics: name, and the share of the mel bands where they begin and end, in 32nds.
const RANGES: [(&str, usize, usize); 4] = [("all", 0, 32), ("low", 0, 3), ("mid", 3, 12), ("high", 12, 32)];
/// Added to the mean under the crest, in dB.
const CREST_FLOOR: f64 = 0.1;

pub(super) fn covariance_names() -> Vec<String> {
    upper_triangle(POOLED_BANDS).map(|(i, j)| format!("onset.cov.{i}.{j}")).collect()
}

pub(super) fn statistics_names() -> Vec<String> {
    RANGES
        .iter()
        .flat_map(|(range, ..)| ["mean", "std", "skewness", "crest"].map(|name| format!("onset.{range}.{name}")))
        .collect()
}

/// By how many dB each band is louder than in the frame before, where it is: `[n_mels, n_frames − 1]`. A single frame
/// gives one of zeros.
pub(super) fn flux(log_mel: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let rise = |band: &Vec<f64>| match band.len() {
        0 | 1 => vec![0.0],
        _ => band.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0)).collect(),
    };
    log_mel.iter().map(rise).collect()
}

/// Second moments of the flux of 16 bands, plus a floor on the diagonal, as the vector of their matrix logarithm.
pub(super) fn covariance(flux: &[Vec<f64>]) -> Vec<f64> {
    let bands = pooled(flux);
    let n_frames = bands[0].len() as f64;
    let moments = Symmetric::from_lower(POOLED_BANDS, |i, j| {
        let sum: f64 = bands[i].iter().zip(&bands[j]).map(|(a, b)| a * b).sum();
        sum / n_frames + if i == j { COVARIANCE_FLOOR } else { 0.0 }
    });
    moments.log_vector(COVARIANCE_FLOOR)
}

/// Mean, deviation, skewness and crest (largest over mean) of the flux of all bands and of three ranges.
pub(super) fn statistics(flux: &[Vec<f64>]) -> Vec<f64> {
    let n_frames = flux[0].len();
    RANGES
        .iter()
        .flat_map(|&(_, first, last)| {
            let strength = mean_of(&flux[first * flux.len() / 32..last * flux.len() / 32], n_frames);
            let mean = stats::mean(&strength);
            let largest = strength.iter().copied().fold(0.0, f64::max);
            [mean, stats::std(&strength, mean), stats::skewness(&strength), largest / (mean + CREST_FLOOR)]
        })
        .collect()
}
