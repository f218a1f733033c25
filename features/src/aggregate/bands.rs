//! Descriptors of the mel bands themselves: roughness along frequency, skewness in time, contrast.

use pulp::{Simd, WithSimd};

use super::{POOLED_BANDS, pooled, stats};
use crate::simd;

/// Edges of the bands of the contrast, in 128ths of the mel bands: about an octave each above the lowest.
const CONTRAST_EDGES: [usize; 9] = [0, 4, 8, 16, 28, 44, 64, 90, 128];
/// Share of the bands that makes a peak or a valley.
const CONTRAST_SHARE: f64 = 0.2;
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

/// How far the mean spectrum is from a straight line through the bands above and below, in dB: peaks that stand in one
/// place, as those of a fixed tuning or of few notes, make it rough. Means over 16 ranges.
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
