//! The inverse transform: overlap-add of windowed frames, a block at a time.

use pulp::{Simd, WithSimd};

use super::{BLOCK_FRAMES, BlockRow, MAX_LANES, Spectrogram, Stft, load_block};
use crate::{Error, Result, simd};

impl Stft {
    /// The signal of `length` samples whose spectrogram is nearest to `spectrogram` by least squares: overlap-add of the
    /// windowed inverse transforms over the sum of the squared windows (Griffin & Lim 1984, `librosa.istft`).
    ///
    /// # Errors
    /// [`Error::Shape`] if `spectrogram` has not `n_fft / 2 + 1` rows.
    pub fn istft(&self, spectrogram: &Spectrogram, length: usize) -> Result<Vec<f32>> {
        let (re, im) = (spectrogram.re.view(), spectrogram.im.view());
        if re.nrows() != self.n_bins() || re.dim() != im.dim() {
            return Err(Error::Shape {
                what: "the spectrogram to invert",
                expected: format!("two parts of {} rows", self.n_bins()),
                found: format!("{:?} and {:?}", re.dim(), im.dim()),
            });
        }
        let mut signal = OverlapAdd::new(self, re.ncols(), length);
        for first in (0..signal.frames()).step_by(BLOCK_FRAMES) {
            let count = BLOCK_FRAMES.min(signal.frames() - first);
            let (re_block, im_block) = signal.block();
            load_block(re, first, count, re_block);
            load_block(im, first, count, im_block);
            signal.add(first, count);
        }
        Ok(signal.finish())
    }
}

/// A signal that is put together from the spectra of its frames.
pub(crate) struct OverlapAdd<'a> {
    stft: &'a Stft,
    length: usize,
    frames: usize,
    sum: Vec<f32>,
    re: Vec<BlockRow>,
    im: Vec<BlockRow>,
    work: Vec<f64>,
    /// Samples of as many frames as there are lanes, side by side.
    windowed: Vec<f64>,
}

impl<'a> OverlapAdd<'a> {
    /// Makes room for a signal of `length` samples, of `frames` frames or as many of them as begin before its end.
    pub(crate) fn new(stft: &'a Stft, frames: usize, length: usize) -> Self {
        // librosa too leaves out the frames that begin after the end.
        let frames = frames.min((length + 2 * stft.offset()).div_ceil(stft.hop_length));
        Self {
            stft,
            length,
            frames,
            sum: vec![0.0; (frames.max(1) - 1) * stft.hop_length + stft.n_fft()],
            re: vec![[0.0; BLOCK_FRAMES]; stft.n_bins()],
            im: vec![[0.0; BLOCK_FRAMES]; stft.n_bins()],
            work: vec![0.0; stft.fft.work_len() * MAX_LANES],
            windowed: vec![0.0; stft.n_fft() * MAX_LANES],
        }
    }

    /// Frames to be added.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Where the real and the imaginary parts of the next block go.
    pub(crate) fn block(&mut self) -> (&mut [BlockRow], &mut [BlockRow]) {
        (&mut self.re, &mut self.im)
    }

    /// Adds the first `count` frames of the block as those from `first` on; blocks come in order.
    pub(crate) fn add(&mut self, first: usize, count: usize) {
        simd::dispatch(AddBlock { signal: self, first, count });
    }

    /// The signal: the sum over that of the squared windows.
    pub(crate) fn finish(self) -> Vec<f32> {
        let Self { stft, length, frames, sum, .. } = self;
        let squares: Vec<f32> = stft.window.iter().map(|w| (w * w) as f32).collect();
        let mut weight = vec![0.0; sum.len()];
        for frame in 0..frames {
            for (total, square) in weight[frame * stft.hop_length..].iter_mut().zip(&squares) {
                *total += square;
            }
        }
        let mut signal: Vec<f32> = sum
            .iter()
            .zip(&weight)
            .skip(stft.offset())
            .take(length)
            .map(|(&s, &w)| if w > f32::MIN_POSITIVE { s / w } else { s })
            .collect();
        signal.resize(length, 0.0);
        signal
    }
}

/// Inverts the frames of a block and adds them, windowed, to the signal.
struct AddBlock<'a, 'b> {
    signal: &'a mut OverlapAdd<'b>,
    first: usize,
    count: usize,
}

/// The values of the frames from `lane` on, in double precision.
#[inline(always)]
fn load<S: Simd>(simd: S, row: &BlockRow, lane: usize) -> S::f64s {
    let mut vector = [simd.splat_f64s(0.0)];
    for (to, from) in pulp::bytemuck::cast_slice_mut::<_, f64>(&mut vector).iter_mut().zip(&row[lane..]) {
        *to = f64::from(*from);
    }
    vector[0]
}

impl WithSimd for AddBlock<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { signal: OverlapAdd { stft, sum, re, im, work, windowed, .. }, first, count } = self;
        for lane in (0..count).step_by(S::F64_LANES) {
            let (vectors, _) = S::as_mut_simd_f64s(work);
            let (samples, _) = S::as_mut_simd_f64s(windowed);
            stft.fft.inverse(
                simd,
                vectors,
                #[inline(always)]
                |bin| [load(simd, &re[bin], lane), load(simd, &im[bin], lane)],
                #[inline(always)]
                |i, value| samples[i] = simd.mul_f64s(value, simd.splat_f64s(stft.window[i])),
            );
            // Frame after frame, so that the order of additions does not depend on the number of lanes.
            for i in 0..S::F64_LANES.min(count - lane) {
                let target = &mut sum[(first + lane + i) * stft.hop_length..];
                for (to, from) in target.iter_mut().zip(windowed[i..].iter().step_by(S::F64_LANES)).take(stft.n_fft()) {
                    *to += *from as f32;
                }
            }
        }
    }
}
