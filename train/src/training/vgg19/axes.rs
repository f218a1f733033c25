//! The axes of the log-covariances: the leading principal axes of the convolutions' output for random log-mels.
//!
//! Axes that were fitted on clips would change with the clips, and so would the embedding of every clip: folds could not share a cache, and what is
//! held out would have to be embedded for each training. Log-mels that are drawn as smooth noise, whose spectrum falls with the frequency as that of
//! music and of photographs does, excite the filters in much the same directions: axes of these are worth as much as those of the very
//! clips that are evaluated (`docs/decisions/0026-second-order.md`). So the axes depend on the convolutions and the form of the input, and on no clip.

use std::path::Path;

use anyhow::{Context as _, Result};
use data::rng::Rng;
use features::{FeatureSpec, Fingerprint};
use models::vgg19::{Vgg19Parameters, principal_axes};
use ndarray::Array2;

use super::{config::FitContext, embedder::cannot_write};
use crate::training::cached_file;

/// Revision of what a file of axes holds; raise it when they change.
const REVISION: u32 = 1;
/// Stream of the random numbers of all log-mels.
const SEED: u64 = 0x4158_4553;
/// How steeply the spectra of the log-mels fall, in turn; 1 is pink noise.
const EXPONENTS: [f64; 3] = [0.75, 1.0, 1.25];
/// Log-mels.
const LOG_MELS: usize = 9;
/// Octaves of noise in each, from one band or frame on.
const OCTAVES: u32 = 7;

/// The axes for the network of `parts`, whose own are not looked at. They are computed once for each folder of embeddings.
///
/// # Errors
/// When the parts make no network, the device does not compute in `f32`, or the folder cannot be written.
pub(super) fn axes(parts: &Vgg19Parameters, spec: &FeatureSpec, context: &FitContext) -> Result<Vec<Vec<f32>>> {
    let compute = || -> Result<Vec<Vec<f32>>> {
        let preprocessor = parts.preprocessor(spec);
        let frames = spec.segmentation.segment.frames.max(preprocessor.min_frames);
        let log_mels = (0..LOG_MELS).map(|number| noise(number, preprocessor.n_mels(), frames));
        Ok(principal_axes(parts, &preprocessor, log_mels, &context.device)?)
    };
    let Some(folder) = &context.embeddings else { return compute() };
    let key = serde_json::to_string(&(
        "axes",
        REVISION,
        parts.weights.digest(),
        &parts.config.normalisations,
        &parts.config.pooled_blocks,
        parts.config.log_covariance,
        parts.channels,
        parts.band_upsampling,
        parts.mean.len(),
        spec.segmentation,
        context.backend.name(),
    ))?;
    let path = folder.join(Fingerprint::of(key.as_bytes()).to_string());
    if let Some(axes) = read(&path, parts) {
        return Ok(axes);
    }
    let axes = compute()?;
    let bytes: Vec<u8> = axes.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    cached_file::write(&path, &bytes).with_context(|| cannot_write(folder))?;
    Ok(axes)
}

/// What a file holds, should it be whole.
fn read(path: &Path, parts: &Vgg19Parameters) -> Option<Vec<Vec<f32>>> {
    let bytes = cached_file::read(path)?;
    let (words, rest) = bytes.as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    let lengths = parts.config.axes_lengths();
    if !rest.is_empty()
        || values.len() != lengths.iter().sum::<usize>()
        || values.iter().any(|value| !value.is_finite())
    {
        return None;
    }
    let mut values = values.into_iter();
    Some(lengths.into_iter().map(|n| values.by_ref().take(n).collect()).collect())
}

/// A random standardised log-mel of mean 0 and deviation 1, `[n_mels, frames]`: octaves of noise between the points of grids, which are twice as wide from one
/// octave to the next.
fn noise(number: usize, n_mels: usize, frames: usize) -> Array2<f32> {
    let mut rng = Rng::stream(SEED, number as u64);
    let exponent = EXPONENTS[number % EXPONENTS.len()];
    let mut sums = Array2::<f64>::zeros((n_mels, frames));
    for octave in 0..OCTAVES {
        let step = f64::from(1_u32 << octave);
        let offsets = [rng.unit(), rng.unit()];
        // The last position is less than one step beyond its own point, and lies between two.
        let points = |n: usize| (n.saturating_sub(1) >> octave) + 3;
        let grid = Array2::from_shape_simple_fn((points(n_mels), points(frames)), || rng.normal());
        let gain = libm::exp2(f64::from(octave) * (exponent - 1.0));
        for ((band, frame), sum) in sums.indexed_iter_mut() {
            let [y, x] = [band as f64 / step + offsets[0], frame as f64 / step + offsets[1]];
            let (i, j) = (y as usize, x as usize);
            let [a, b] = [y - i as f64, x - j as f64];
            let row = |i: usize| grid[[i, j]] * (1.0 - b) + grid[[i, j + 1]] * b;
            *sum += gain * (row(i) * (1.0 - a) + row(i + 1) * a);
        }
    }
    let n = sums.len().max(1) as f64;
    let mean = sums.sum() / n;
    let deviation = libm::sqrt(sums.iter().map(|sum| (sum - mean) * (sum - mean)).sum::<f64>() / n).max(1e-9);
    sums.mapv(|sum| ((sum - mean) / deviation) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_that_of_the_study() {
        // By NumPy, from the same random numbers.
        let log_mel = noise(0, 128, 344);
        for (at, expected) in [
            ([0, 0], -0.592_54),
            ([0, 1], -0.561_04),
            ([0, 2], 0.500_78),
            ([0, 3], 0.513_28),
            ([5, 100], -0.830_39),
            ([5, 101], 0.036_45),
            ([5, 102], -0.153_35),
        ] {
            assert!((log_mel[at] - expected).abs() < 1e-5, "{at:?}: {}", log_mel[at]);
        }
    }

    #[test]
    fn noise_is_standardised_smooth_and_the_same_every_time() {
        for number in 0..LOG_MELS {
            let log_mel = noise(number, 128, 344);
            let n = log_mel.len() as f64;
            let mean = log_mel.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
            let square = log_mel.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>() / n;
            assert!(mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-5, "{mean} {square}");
            // Neighbours are alike, distant frames are not.
            let product = |lag: usize| {
                let pairs = log_mel
                    .outer_iter()
                    .flat_map(|row| (0..row.len() - lag).map(move |i| f64::from(row[i] * row[i + lag])));
                pairs.sum::<f64>() / n
            };
            assert!(product(1) > 0.4 && product(172).abs() < 0.4, "{} {}", product(1), product(172));
            assert_eq!(log_mel, noise(number, 128, 344));
        }
        assert_ne!(noise(0, 128, 344), noise(3, 128, 344));
        // One band, and fewer frames than the widest grid.
        assert!(noise(1, 1, 5).iter().all(|value| value.is_finite()));
    }
}
