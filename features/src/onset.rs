//! Onset strength: how much louder each frame is than the one before.

use ndarray::ArrayView2;

use crate::spectral::Rows;

/// Onset strength of each frame in dB (≥ 0) from a log-mel spectrogram `[n_mels, frames]` in dB: the rise over the frame
/// before, falls counted as 0, averaged over the bands.
///
/// As `librosa.onset.onset_strength` with its defaults (spectral flux: `lag` 1, `max_size` 1, no detrending). With
/// `center`, which is right for a centred spectrogram, the series is delayed by `n_fft / (2 · hop_length)` frames more.
/// It has as many values as the spectrogram has frames, the first of them 0; for one frame that is all. A `hop_length` of 0 counts as 1.
#[must_use]
pub fn onset_strength(log_mel: ArrayView2<'_, f32>, n_fft: usize, hop_length: usize, center: bool) -> Vec<f32> {
    let s = Rows::new(log_mel);
    let mut strength = vec![0.0f32; s.frames()];
    if s.frames() < 2 || s.bins() == 0 {
        return strength;
    }
    let mut rise = vec![0.0f64; s.frames() - 1];
    for band in 0..s.bins() {
        let row = s.row(band);
        for ((rise, &before), &here) in rise.iter_mut().zip(row).zip(&row[1..]) {
            let difference = here - before;
            *rise += f64::from(if difference > 0.0 { difference } else { 0.0 });
        }
    }
    let delay = 1 + if center { n_fft / (2 * hop_length.max(1)) } else { 0 };
    for (strength, rise) in strength.iter_mut().skip(delay).zip(rise) {
        *strength = (rise / s.bins() as f64) as f32;
    }
    strength
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
    fn degenerate_spectrograms() {
        for (bands, frames) in [(128, 0), (128, 1), (0, 5), (128, 2)] {
            let s = ndarray::Array2::from_elem((bands, frames), -80.0);
            assert_eq!(onset_strength(s.view(), 2048, 512, true), vec![0.0; frames]);
            assert_eq!(onset_strength(s.view(), 2048, 0, true).len(), frames);
        }
    }
}
