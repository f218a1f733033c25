//! Mel filter banks, as `librosa.filters.mel` 0.11.

use ndarray::{Array2, ArrayView2};
use simd::{Simd, WithSimd};

use crate::{
    Error, Result,
    dsp::stft::{BLOCK_FRAMES, BlockRow, Stft, load_block, store_block},
    spec::{MelNorm, MelScale, MelSpec},
};

/// Where Slaney's scale turns from linear to logarithmic, in Hz and in mel.
const SLANEY_BREAK: (f64, f64) = (1000.0, 15.0);
/// Hz for each mel of its linear part.
const SLANEY_LINEAR: f64 = 200.0 / 3.0;

/// `ln(6.4) / 27`: 27 mel of its logarithmic part raise the frequency 6.4 times.
fn slaney_log_step() -> f64 {
    libm::log(6.4) / 27.0
}

/// Mel of a frequency in Hz (`librosa.hz_to_mel`).
#[must_use]
pub fn hz_to_mel(hz: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Htk => 2595.0 * libm::log10(1.0 + hz / 700.0),
        MelScale::Slaney if hz < SLANEY_BREAK.0 => hz / SLANEY_LINEAR,
        MelScale::Slaney => SLANEY_BREAK.1 + libm::log(hz / SLANEY_BREAK.0) / slaney_log_step(),
    }
}

/// Frequency in Hz of a mel (`librosa.mel_to_hz`).
#[must_use]
pub fn mel_to_hz(mel: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Htk => 700.0 * (libm::pow(10.0, mel / 2595.0) - 1.0),
        MelScale::Slaney if mel < SLANEY_BREAK.1 => mel * SLANEY_LINEAR,
        MelScale::Slaney => SLANEY_BREAK.0 * libm::exp(slaney_log_step() * (mel - SLANEY_BREAK.1)),
    }
}

/// Triangular filters on the bins of a power spectrum, each stored without the zeros around it.
#[derive(Clone, Debug)]
pub struct MelFilterbank {
    n_bins: usize,
    center_frequencies: Vec<f64>,
    bands: Vec<Band>,
}

#[derive(Clone, Debug)]
struct Band {
    first_bin: usize,
    weights: Vec<f32>,
}

impl MelFilterbank {
    /// Filters for the `n_fft / 2 + 1` bins of audio at `sample_rate` Hz.
    ///
    /// With many bands on few bins, low bands may hold no bin; they stay silent, as in librosa.
    ///
    /// # Errors
    /// [`Error::Spec`] if `n_mels` is not in 1..=512, `n_fft` is odd or 0, or not `0 ≤ f_min < f_max ≤ sample_rate / 2`.
    pub fn new(sample_rate: u32, n_fft: usize, spec: &MelSpec) -> Result<Self> {
        let &MelSpec { n_mels, f_min, f_max, scale, norm } = spec;
        let nyquist = f64::from(sample_rate) / 2.0;
        if !(1..=512).contains(&n_mels) {
            return Err(Error::Spec { field: "n_mels", problem: format!("must be in 1..=512, not {n_mels}") });
        }
        if n_fft == 0 || n_fft % 2 == 1 {
            return Err(Error::Spec { field: "n_fft", problem: format!("must be even and at least 2, not {n_fft}") });
        }
        if !(f_min >= 0.0 && f_min < f_max) {
            return Err(Error::Spec { field: "f_min", problem: format!("must be in 0..{f_max} Hz, not {f_min}") });
        }
        if f_max > nyquist || !f_max.is_finite() {
            let problem = format!("must be at most {nyquist} Hz (half the sample rate), not {f_max}");
            return Err(Error::Spec { field: "f_max", problem });
        }
        let (low, high) = (hz_to_mel(f_min, scale), hz_to_mel(f_max, scale));
        let step = (high - low) / (n_mels + 1) as f64;
        let edges: Vec<f64> = (0..n_mels + 2)
            .map(|i| if i == n_mels + 1 { high } else { low + step * i as f64 })
            .map(|mel| mel_to_hz(mel, scale))
            .collect();
        let n_bins = n_fft / 2 + 1;
        let bin_hz = f64::from(sample_rate) / n_fft as f64;
        let bands = edges.array_windows().map(|edges| Band::new(edges, n_bins, bin_hz, norm)).collect();
        Ok(Self { n_bins, center_frequencies: edges[1..=n_mels].to_vec(), bands })
    }

    /// Bands.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.bands.len()
    }

    /// Frequency in Hz at which each band is largest.
    #[must_use]
    pub fn center_frequencies(&self) -> &[f64] {
        &self.center_frequencies
    }

    /// The filters as a matrix `[n_mels, n_fft / 2 + 1]`.
    #[must_use]
    pub fn to_dense(&self) -> Array2<f32> {
        let mut dense = Array2::zeros((self.n_mels(), self.n_bins));
        for (mut row, band) in dense.outer_iter_mut().zip(&self.bands) {
            for (to, &weight) in row.iter_mut().skip(band.first_bin).zip(&band.weights) {
                *to = weight;
            }
        }
        dense
    }

    /// The mel spectrogram `[n_mels, frames]` of a power spectrogram `[n_fft / 2 + 1, frames]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `power` has another number of bins.
    pub fn apply(&self, power: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.check_bins(power.nrows())?;
        let mut mel = Array2::zeros((self.n_mels(), power.ncols()));
        let mut block = vec![[0.0; BLOCK_FRAMES]; self.n_bins];
        let mut out = vec![[0.0; BLOCK_FRAMES]; self.n_mels()];
        for first in (0..power.ncols()).step_by(BLOCK_FRAMES) {
            let frames = BLOCK_FRAMES.min(power.ncols() - first);
            load_block(power, first, frames, &mut block);
            simd::dispatch(Sums { bank: self, power: &block, out: &mut out });
            store_block(&out, &mut mel, first, frames);
        }
        Ok(mel)
    }

    /// The mel spectrogram `[n_mels, frames]` of a signal: the same bits as [`apply`](Self::apply) on [`Stft::power`], but
    /// the power spectrogram is never whole in memory.
    ///
    /// # Errors
    /// As [`Stft::power`]; [`Error::Shape`] if `stft` has another number of bins.
    pub fn spectrogram(&self, stft: &Stft, samples: &[f32]) -> Result<Array2<f32>> {
        self.check_bins(stft.n_bins())?;
        let mut mel = Array2::zeros((self.n_mels(), stft.n_frames(samples.len())));
        let mut out = vec![[0.0; BLOCK_FRAMES]; self.n_mels()];
        stft.power_blocks(samples, |first, frames, power| {
            simd::dispatch(Sums { bank: self, power, out: &mut out });
            store_block(&out, &mut mel, first, frames);
        })?;
        Ok(mel)
    }

    fn check_bins(&self, found: usize) -> Result<()> {
        if found == self.n_bins {
            return Ok(());
        }
        Err(Error::Shape {
            what: "bins of the power spectrum under the mel filters",
            expected: self.n_bins.to_string(),
            found: found.to_string(),
        })
    }
}

impl Band {
    /// The triangle over `[left, centre, right]` Hz.
    fn new(&[left, centre, right]: &[f64; 3], n_bins: usize, bin_hz: f64, norm: MelNorm) -> Self {
        let weight = |bin: usize| {
            let hz = bin as f64 * bin_hz;
            // Rounded before it is scaled, as librosa's array is of f32.
            let triangle = ((hz - left) / (centre - left)).min((right - hz) / (right - centre)).max(0.0) as f32;
            match norm {
                MelNorm::None => triangle,
                MelNorm::Slaney => (f64::from(triangle) * (2.0 / (right - left))) as f32,
            }
        };
        let all: Vec<f32> = (0..n_bins).map(weight).collect();
        let first_bin = all.iter().position(|&w| w > 0.0).unwrap_or(0);
        let end = all.iter().rposition(|&w| w > 0.0).map_or(first_bin, |last| last + 1);
        Self { first_bin, weights: all[first_bin..end].to_vec() }
    }
}

/// Weighted sums over the bins of each band, from the lowest bin up.
struct Sums<'a> {
    bank: &'a MelFilterbank,
    power: &'a [BlockRow],
    out: &'a mut [BlockRow],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, band) in self.out.iter_mut().zip(&self.bank.bands) {
            let mut sum = [0.0; BLOCK_FRAMES];
            for (&weight, power) in band.weights.iter().zip(&self.power[band.first_bin..]) {
                for (sum, &power) in sum.iter_mut().zip(power) {
                    *sum += weight * power;
                }
            }
            *out = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{StftSpec, Window};
    use simd::{Level, with_level};

    const SPEC: MelSpec =
        MelSpec { n_mels: 40, f_min: 0.0, f_max: 11025.0, scale: MelScale::Slaney, norm: MelNorm::Slaney };

    #[test]
    fn scales_are_undone() {
        for scale in [MelScale::Slaney, MelScale::Htk] {
            for hz in [0.0, 20.0, 999.9, 1000.0, 4321.0, 22050.0] {
                let back = mel_to_hz(hz_to_mel(hz, scale), scale);
                assert!((back - hz).abs() < 1e-9 * hz.max(1.0), "{hz} Hz came back as {back}");
            }
        }
        // librosa.hz_to_mel(440), of 3000, and of 440 with htk=True.
        assert!((hz_to_mel(440.0, MelScale::Slaney) - 6.6).abs() < 1e-12);
        assert!((hz_to_mel(3000.0, MelScale::Slaney) - 30.979401986098402).abs() < 1e-9);
        assert!((hz_to_mel(440.0, MelScale::Htk) - 549.6386753811499).abs() < 1e-9);
    }

    #[test]
    fn an_area_normalised_band_has_area_one() {
        let bank = MelFilterbank::new(22050, 8192, &SPEC).expect("valid");
        let bin_hz = 22050.0 / 8192.0;
        for band in &bank.to_dense().outer_iter().collect::<Vec<_>>()[5..] {
            let area: f32 = band.iter().map(|w| w * bin_hz).sum();
            assert!((area - 1.0).abs() < 0.01, "{area}");
        }
    }

    #[test]
    fn without_materialising_it_has_the_same_bits_at_every_level() {
        let spec = StftSpec { n_fft: 512, hop_length: 100, window: Window::Hann, center: true };
        let (stft, bank) = (Stft::new(&spec).expect("valid"), MelFilterbank::new(22050, 512, &SPEC).expect("valid"));
        let samples: Vec<f32> = (0..4321).map(|i| libm::sin(0.003 * f64::from(i * i % 977)) as f32).collect();
        let levels = Level::available();
        let run = |level| with_level(level, || bank.spectrogram(&stft, &samples).expect("signal"));
        let want = run(levels[0]);
        for &level in &levels {
            assert_eq!(run(level), want, "{}", level.name());
            let whole = with_level(level, || bank.apply(stft.power(&samples).expect("signal").view()).expect("bins"));
            assert_eq!(whole, want, "{}", level.name());
        }
    }

    #[test]
    fn is_the_product_with_the_dense_matrix() {
        let bank = MelFilterbank::new(22050, 512, &SPEC).expect("valid");
        let power = Array2::from_shape_fn((257, 21), |(b, t)| ((b * 31 + t * 17) % 101) as f32);
        let (mel, dense) = (bank.apply(power.view()).expect("bins"), bank.to_dense());
        for ((band, t), &got) in mel.indexed_iter() {
            let want: f64 = (0..257).map(|b| f64::from(dense[[band, b]]) * f64::from(power[[b, t]])).sum();
            assert!((f64::from(got) - want).abs() <= 1e-6 * want, "band {band} frame {t}: {got} for {want}");
        }
    }

    #[test]
    fn refuses_what_cannot_be() {
        let refused = |spec: MelSpec| matches!(MelFilterbank::new(22050, 512, &spec), Err(Error::Spec { .. }));
        assert!(refused(MelSpec { n_mels: 0, ..SPEC }));
        assert!(refused(MelSpec { n_mels: 513, ..SPEC }));
        assert!(refused(MelSpec { f_max: 11026.0, ..SPEC }));
        assert!(refused(MelSpec { f_min: 11025.0, ..SPEC }));
        assert!(refused(MelSpec { f_min: -1.0, ..SPEC }));
        assert!(refused(MelSpec { f_min: f64::NAN, ..SPEC }));
        assert!(refused(MelSpec { f_max: f64::NAN, ..SPEC }));
        let bank = MelFilterbank::new(22050, 512, &SPEC).expect("valid");
        assert!(matches!(bank.apply(Array2::zeros((256, 3)).view()), Err(Error::Shape { .. })));
    }
}
