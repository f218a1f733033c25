//! Vectors from the log-mel itself: its bands (roughness along frequency, skewness in time, contrast) and its onsets (the
//! half-wave rectified flux, its covariance over bands and its statistics).

use simd::{Simd, WithSimd};

use super::stats::{self, POOLED_BANDS, Symmetric, mean_of, pooled, upper_triangle};

/// Edges of the bands of the contrast, in 128ths of the mel bands: about an octave each above the lowest.
pub const CONTRAST_EDGES: [usize; 9] = [0, 4, 8, 16, 28, 44, 64, 90, 128];
/// Share of the bands that makes a peak or a valley.
pub const CONTRAST_SHARE: f64 = 0.2;
/// Frames whose bands are ordered at once.
const LANES: usize = 16;

pub(super) fn roughness_names() -> Vec<String> {
    (0..POOLED_BANDS).map(|band| format!("mel.roughness.{band}")).collect()
}

pub(super) fn skewness_names() -> Vec<String> {
    (0..POOLED_BANDS).map(|band| format!("mel.skewness.{band}")).collect()
}

pub(super) fn contrast_names() -> Vec<String> {
    (1..CONTRAST_EDGES.len()).map(|band| format!("mel.contrast.{}.std", band - 1)).collect()
}

/// How far the mean spectrum is from a straight line through the bands above and below, in dB: peaks that stay in one
/// band, as those of a fixed tuning or of few notes, make it rough. Means over 16 ranges.
pub(super) fn roughness(log_mel: &[Vec<f64>]) -> Vec<f64> {
    let mean: Vec<f64> = log_mel.iter().map(|band| stats::mean(band)).collect();
    let last = mean.len() - 1;
    let rough: Vec<f64> = (0..=last)
        .map(|band| {
            // The lowest and the highest band take their neighbour's value.
            let band = band.clamp(1, last - 1);
            (mean[band] - 0.5 * (mean[band - 1] + mean[band + 1])).abs()
        })
        .collect();
    (0..POOLED_BANDS)
        .map(|range| stats::mean(&rough[range * rough.len() / POOLED_BANDS..(range + 1) * rough.len() / POOLED_BANDS]))
        .collect()
}

/// Skewness in time of 16 pooled bands, each less the mean level of the clip.
pub(super) fn skewness(log_mel: &[Vec<f64>]) -> Vec<f64> {
    pooled(log_mel).iter().map(|band| stats::skewness(band)).collect()
}

/// Deviation in time of the contrast of eight ranges: the mean of the loudest fifth of a range's bands less that of the
/// quietest fifth. After Jiang, Lu, Zhang, Tao & Cai, "Music type classification by spectral contrast feature", 2002.
pub(super) fn contrast(log_mel: &[Vec<f64>]) -> Vec<f64> {
    let n_frames = log_mel[0].len();
    let edges = CONTRAST_EDGES.map(|edge| edge * log_mel.len() / 128);
    edges
        .windows(2)
        .map(|range| {
            let bands = &log_mel[range[0]..range[1]];
            let share = ((CONTRAST_SHARE * bands.len() as f64).round() as usize).max(1);
            let mut contrast = vec![0.0; n_frames];
            let mut lines = vec![[0.0; LANES]; bands.len()];
            for (block, contrasts) in contrast.chunks_mut(LANES).enumerate() {
                for (line, band) in lines.iter_mut().zip(bands) {
                    let frames = &band[block * LANES..][..contrasts.len()];
                    line[..frames.len()].copy_from_slice(frames);
                }
                let of_lanes = simd::dispatch(Contrast { lines: &mut lines, share });
                contrasts.copy_from_slice(&of_lanes[..contrasts.len()]);
            }
            stats::std(&contrast, stats::mean(&contrast))
        })
        .collect()
}

/// The mean of the `share` largest values of each lane less that of the smallest; `share` is at least 1 and at most the number of
/// lines. Each sum runs from the smallest to the largest.
struct Contrast<'a> {
    lines: &'a mut [[f64; LANES]],
    share: usize,
}

impl WithSimd for Contrast<'_> {
    type Output = [f64; LANES];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [f64; LANES] {
        let Self { lines, share } = self;
        let last = lines.len();
        // Bubbles: only the ends need an order.
        for pass in 0..share {
            for at in 1..last - pass {
                order(lines, at);
            }
        }
        for pass in 0..share {
            for at in (pass + 1..last).rev() {
                order(lines, at);
            }
        }
        let (low, high) = (mean(&lines[..share]), mean(&lines[last - share..]));
        std::array::from_fn(|lane| high[lane] - low[lane])
    }
}

/// Puts the smaller value of each lane of two neighbouring lines into the first.
#[inline(always)]
fn order(lines: &mut [[f64; LANES]], at: usize) {
    let (before, after) = lines.split_at_mut(at);
    if let (Some(first), Some(second)) = (before.last_mut(), after.first_mut()) {
        for (a, b) in first.iter_mut().zip(second) {
            (*a, *b) = if *b < *a { (*b, *a) } else { (*a, *b) };
        }
    }
}

#[inline(always)]
fn mean(lines: &[[f64; LANES]]) -> [f64; LANES] {
    // What a sum of `Iterator` begins with.
    let mut sum = [-0.0; LANES];
    for line in lines {
        for (sum, value) in sum.iter_mut().zip(line) {
            *sum += value;
        }
    }
    sum.map(|sum| sum / lines.len() as f64)
}

/// Added to the diagonal of the covariance, in dB².
pub const COVARIANCE_FLOOR: f64 = 0.5;
/// Bands of the statistics: name, and the share of the mel bands where they begin and end, in 32nds.
pub const RANGES: [(&str, usize, usize); 4] = [("all", 0, 32), ("low", 0, 3), ("mid", 3, 12), ("high", 12, 32)];
/// Added to the mean under the crest, in dB.
pub const CREST_FLOOR: f64 = 0.1;

pub(super) fn onset_covariance_names() -> Vec<String> {
    upper_triangle(POOLED_BANDS).map(|(i, j)| format!("onset.cov.{i}.{j}")).collect()
}

pub(super) fn onset_statistics_names() -> Vec<String> {
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
pub(super) fn onset_covariance(flux: &[Vec<f64>]) -> Vec<f64> {
    let bands = pooled(flux);
    let n_frames = bands[0].len() as f64;
    let moments = Symmetric::from_lower(POOLED_BANDS, |i, j| {
        let sum: f64 = bands[i].iter().zip(&bands[j]).map(|(a, b)| a * b).sum();
        sum / n_frames + if i == j { COVARIANCE_FLOOR } else { 0.0 }
    });
    moments.log_vector(COVARIANCE_FLOOR)
}

/// Mean, deviation, skewness and crest (largest over mean) of the flux of all bands and of three ranges.
pub(super) fn onset_statistics(flux: &[Vec<f64>]) -> Vec<f64> {
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
