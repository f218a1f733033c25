//! Onset strength: how much louder each frame is than the one before.

use ndarray::ArrayView2;

use crate::descriptors::{chroma::median, spectral::Rows};

/// Onset strength of each frame in dB (≥ 0) from a log-mel spectrogram `[n_mels, frames]` in dB: the rise over the frame
/// before, falls counted as 0, averaged over the bands.
///
/// As `librosa.onset.onset_strength` with its defaults (spectral flux: `lag` 1, `max_size` 1, no detrending). With
/// `center`, which is right for a centred spectrogram, the series is delayed by `n_fft / (2 · hop_length)` frames more.
/// It has as many values as the spectrogram has frames, the first of them 0; for one frame that is all. A `hop_length`
/// of 0 counts as 1.
#[must_use]
pub fn onset_strength(log_mel: ArrayView2<'_, f32>, n_fft: usize, hop_length: usize, center: bool) -> Vec<f32> {
    let s = Rows::new(log_mel);
    let mut sums = vec![0.0f64; s.frames().saturating_sub(1)];
    for band in 0..s.bins() {
        let row = s.row(band);
        for ((sum, &before), &here) in sums.iter_mut().zip(row).zip(row.iter().skip(1)) {
            *sum += f64::from(rise(before, here));
        }
    }
    let bands = s.bins().max(1) as f64;
    delayed(sums.into_iter().map(|sum| (sum / bands) as f32), s.frames(), n_fft, hop_length, center)
}

/// [`onset_strength`] with the median over the bands (`aggregate=np.median`), by which `librosa.beat.beat_track` finds
/// the tempo: what moves in a few bands only does not count.
#[must_use]
pub fn median_onset_strength(log_mel: ArrayView2<'_, f32>, n_fft: usize, hop_length: usize, center: bool) -> Vec<f32> {
    let s = Rows::new(log_mel);
    let mut rises = Vec::with_capacity(s.bins());
    let medians = (1..s.frames()).map(|t| {
        rises.clear();
        rises.extend((0..s.bins()).map(|band| rise(s.row(band)[t - 1], s.row(band)[t])));
        median(&mut rises).unwrap_or(0.0)
    });
    delayed(medians, s.frames(), n_fft, hop_length, center)
}

fn rise(before: f32, here: f32) -> f32 {
    let difference = here - before;
    if difference > 0.0 { difference } else { 0.0 }
}

/// The strength of the second frame and all after it, where librosa puts it among `frames` frames.
fn delayed(
    strength: impl Iterator<Item = f32>,
    frames: usize,
    n_fft: usize,
    hop_length: usize,
    center: bool,
) -> Vec<f32> {
    let delay = 1 + if center { n_fft / (2 * hop_length.max(1)) } else { 0 };
    let mut out = vec![0.0; delay.min(frames)];
    out.extend(strength.take(frames - out.len()));
    out
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rises_are_averaged_and_delayed() {
        let s = array![[0.0f32, 4.0, 1.0, 1.0, 2.0], [0.0, 2.0, 8.0, 8.0, 8.0]];
        assert_eq!(onset_strength(s.view(), 2048, 512, false), [0.0, 3.0, 3.0, 0.0, 0.5]);
        assert_eq!(onset_strength(s.view(), 2048, 512, true), [0.0, 0.0, 0.0, 3.0, 3.0]);
    }

    #[test]
    fn the_median_ignores_what_rises_in_few_bands() {
        let s = array![[0.0f32, 9.0, 9.0], [0.0, 1.0, 2.0], [0.0, 0.0, 3.0]];
        assert_eq!(median_onset_strength(s.view(), 2048, 512, false), [0.0, 1.0, 1.0]);
    }

    #[test]
    fn degenerate_spectrograms() {
        for (bands, frames) in [(128, 0), (128, 1), (0, 5), (128, 2)] {
            let s = ndarray::Array2::from_elem((bands, frames), -80.0);
            assert_eq!(onset_strength(s.view(), 2048, 512, true), vec![0.0; frames]);
            assert_eq!(median_onset_strength(s.view(), 2048, 512, true), vec![0.0; frames]);
            assert_eq!(onset_strength(s.view(), 2048, 0, true).len(), frames);
        }
    }
}
