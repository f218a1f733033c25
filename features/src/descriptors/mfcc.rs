//! Mel-frequency cepstral coefficients, as `librosa.feature.mfcc(S=log_mel)` 0.11.

use ndarray::{Array2, ArrayView2};
use simd::{Simd, WithSimd};

use crate::{
    Error, Result,
    dsp::stft::{BLOCK_FRAMES, BlockRow, load_block, store_block},
};

/// The orthonormal discrete cosine transform (type 2) over the bands of a log-mel spectrogram.
#[derive(Clone, Debug)]
pub struct Mfcc {
    n_mels: usize,
    /// Rows of the transform, one for each coefficient.
    basis: Vec<Vec<f64>>,
}

impl Mfcc {
    /// The first `n_mfcc` coefficients (the 0th among them) of `n_mels` bands.
    ///
    /// # Errors
    /// [`Error::Spec`] unless `1 ≤ n_mfcc ≤ n_mels`.
    pub fn new(n_mels: usize, n_mfcc: usize) -> Result<Self> {
        if n_mfcc == 0 || n_mfcc > n_mels {
            let problem = format!("must be in 1..={n_mels}, the number of mel bands, not {n_mfcc}");
            return Err(Error::Spec { field: "n_mfcc", problem });
        }
        let row = |k: usize| {
            let scale = (if k == 0 { 1.0 } else { 2.0 } / n_mels as f64).sqrt();
            // The angle is a multiple of a quarter turn over n_mels: whole turns are taken off exactly.
            let angle = |n: usize| (k * (2 * n + 1) % (4 * n_mels)) as f64 / (2 * n_mels) as f64 * std::f64::consts::PI;
            (0..n_mels).map(|n| scale * libm::cos(angle(n))).collect()
        };
        Ok(Self { n_mels, basis: (0..n_mfcc).map(row).collect() })
    }

    /// Weight of each band in each coefficient, `[n_mfcc][n_mels]`.
    #[must_use]
    pub fn basis(&self) -> &[Vec<f64>] {
        &self.basis
    }

    /// Coefficients.
    #[must_use]
    pub fn n_mfcc(&self) -> usize {
        self.basis.len()
    }

    /// The coefficients `[n_mfcc, frames]` of a log-mel spectrogram `[n_mels, frames]` in dB.
    ///
    /// # Errors
    /// [`Error::Shape`] if `log_mel` has another number of bands.
    pub fn apply(&self, log_mel: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        if log_mel.nrows() != self.n_mels {
            return Err(Error::Shape {
                what: "bands of the log-mel spectrogram under the MFCC",
                expected: self.n_mels.to_string(),
                found: log_mel.nrows().to_string(),
            });
        }
        let mut mfcc = Array2::zeros((self.n_mfcc(), log_mel.ncols()));
        let mut block = vec![[0.0; BLOCK_FRAMES]; self.n_mels];
        let mut wide = vec![[0.0; BLOCK_FRAMES]; self.n_mels];
        let mut out = vec![[0.0; BLOCK_FRAMES]; self.n_mfcc()];
        for first in (0..log_mel.ncols()).step_by(BLOCK_FRAMES) {
            let frames = BLOCK_FRAMES.min(log_mel.ncols() - first);
            load_block(log_mel, first, frames, &mut block);
            simd::dispatch(Sums { basis: &self.basis, log_mel: &block, wide: &mut wide, out: &mut out });
            store_block(&out, &mut mfcc, first, frames);
        }
        Ok(mfcc)
    }
}

/// Sums over the bands in double precision, from the lowest band up.
struct Sums<'a> {
    basis: &'a [Vec<f64>],
    log_mel: &'a [BlockRow],
    wide: &'a mut [[f64; BLOCK_FRAMES]],
    out: &'a mut [BlockRow],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (wide, narrow) in self.wide.iter_mut().zip(self.log_mel) {
            *wide = narrow.map(f64::from);
        }
        for (out, basis) in self.out.iter_mut().zip(self.basis) {
            let mut sum = [0.0; BLOCK_FRAMES];
            for (&weight, values) in basis.iter().zip(&*self.wide) {
                for (sum, &value) in sum.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
            *out = sum.map(|sum| sum as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simd::{Level, with_level};

    fn log_mel() -> Array2<f32> {
        Array2::from_shape_fn((24, 35), |(b, t)| ((b * 37 + t * 101) % 83) as f32 - 80.0)
    }

    #[test]
    fn all_coefficients_keep_the_energy() {
        let log_mel = log_mel();
        let mfcc = Mfcc::new(24, 24).and_then(|m| m.apply(log_mel.view())).expect("24 bands");
        for (bands, coefficients) in log_mel.columns().into_iter().zip(mfcc.columns()) {
            let energy = |v: ndarray::ArrayView1<f32>| v.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
            assert!((energy(bands) - energy(coefficients)).abs() < 1e-6 * energy(bands));
        }
    }

    #[test]
    fn a_flat_spectrum_has_only_the_0th() {
        let flat = Array2::from_elem((16, 3), -20.0);
        let mfcc = Mfcc::new(16, 5).and_then(|m| m.apply(flat.view())).expect("16 bands");
        for ((k, _), &c) in mfcc.indexed_iter() {
            assert!((c - if k == 0 { -80.0 } else { 0.0 }).abs() < 1e-5, "coefficient {k} is {c}");
        }
    }

    #[test]
    fn has_the_same_bits_at_every_level() {
        let mfcc = Mfcc::new(24, 20).expect("fewer than the bands");
        let run = |level| with_level(level, || mfcc.apply(log_mel().view()).expect("24 bands"));
        let levels = Level::available();
        for &level in &levels[1..] {
            assert_eq!(run(level), run(levels[0]), "{}", level.name());
        }
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert!(Mfcc::new(20, 0).is_err());
        assert!(Mfcc::new(20, 21).is_err());
        let mfcc = Mfcc::new(20, 20).expect("as many as the bands");
        assert!(matches!(mfcc.apply(log_mel().view()), Err(Error::Shape { .. })));
    }
}
