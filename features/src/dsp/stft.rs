//! Short-time Fourier transform and its inverse, as `librosa.stft` and `librosa.istft` 0.11.
//!
//! Frames are windowed and transformed in double precision and rounded to `f32` at the end, as librosa does, sixteen frames
//! at a time: the work for them stays in the cache and a row of the result is written a cache line at a time.

mod inverse;

pub(crate) use inverse::OverlapAdd;
use ndarray::{Array2, ArrayView2};
use pulp::{Simd, WithSimd, bytemuck};

use crate::{
    Error, Result,
    dsp::fft::RealFft,
    simd,
    spec::{StftSpec, Window},
};

/// Frames that are transformed together, at any SIMD width.
pub const BLOCK_FRAMES: usize = 16;

/// One value of each frame of a block.
pub type BlockRow = [f32; BLOCK_FRAMES];

/// A planned short-time Fourier transform.
#[derive(Clone, Debug)]
pub struct Stft {
    hop_length: usize,
    center: bool,
    window: Vec<f64>,
    fft: RealFft,
}

/// The complex spectrogram of a signal, `[n_fft / 2 + 1, frames]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrogram {
    /// Real parts.
    pub re: Array2<f32>,
    /// Imaginary parts.
    pub im: Array2<f32>,
}

impl Spectrogram {
    /// The moduli, `[n_fft / 2 + 1, frames]`.
    #[must_use]
    pub fn magnitude(&self) -> Array2<f32> {
        let mut magnitude = self.re.as_standard_layout().into_owned();
        let im = self.im.as_standard_layout();
        if let (Some(magnitude), Some(im)) = (magnitude.as_slice_mut(), im.as_slice()) {
            simd::dispatch(Moduli { magnitude, im });
        }
        magnitude
    }
}

/// Turns the real parts in `magnitude` into moduli.
pub(crate) struct Moduli<'a> {
    pub(crate) magnitude: &'a mut [f32],
    pub(crate) im: &'a [f32],
}

impl WithSimd for Moduli<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (re, &im) in self.magnitude.iter_mut().zip(self.im) {
            let (x, y) = (f64::from(*re), f64::from(im));
            *re = (x * x + y * y).sqrt() as f32;
        }
    }
}

impl Stft {
    /// Plans the transform that `spec` describes.
    ///
    /// # Errors
    /// [`Error::Spec`] if `n_fft` is odd or not in 16..=32768, or `hop_length` not in 1..=8 · `n_fft`.
    pub fn new(spec: &StftSpec) -> Result<Self> {
        let &StftSpec { n_fft, hop_length, window, center } = spec;
        if !(16..=32768).contains(&n_fft) {
            return Err(Error::Spec { field: "n_fft", problem: format!("must be in 16..=32768, not {n_fft}") });
        }
        if !(1..=8 * n_fft).contains(&hop_length) {
            let problem = format!("must be in 1..={} (8 frames), not {hop_length}", 8 * n_fft);
            return Err(Error::Spec { field: "hop_length", problem });
        }
        Ok(Self { hop_length, center, window: periodic(window, n_fft), fft: RealFft::new(n_fft)? })
    }

    /// Samples in a frame.
    #[must_use]
    pub fn n_fft(&self) -> usize {
        self.window.len()
    }

    /// Samples between the starts of two frames.
    #[must_use]
    pub fn hop_length(&self) -> usize {
        self.hop_length
    }

    /// Frequencies of a spectrum, `n_fft / 2 + 1`.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.fft.n_bins()
    }

    /// Frames of a signal of `len` samples: `1 + len / hop_length` if centred, else only those that lie within the signal;
    /// 0 of an empty one.
    #[must_use]
    pub fn n_frames(&self, len: usize) -> usize {
        match len {
            0 => 0,
            _ if self.center => 1 + len / self.hop_length,
            _ if len < self.n_fft() => 0,
            _ => 1 + (len - self.n_fft()) / self.hop_length,
        }
    }

    /// The power spectrogram |X|² of `samples`, `[n_fft / 2 + 1, frames]`.
    ///
    /// # Errors
    /// [`Error::Empty`] without a sample; [`Error::Shape`] if not centred and shorter than a frame.
    pub fn power(&self, samples: &[f32]) -> Result<Array2<f32>> {
        let mut power = Array2::zeros((self.n_bins(), self.frames_of(samples)?));
        self.power_blocks(samples, |first, frames, block| store_block(block, &mut power, first, frames))?;
        Ok(power)
    }

    /// The magnitude spectrogram |X| of `samples`, `[n_fft / 2 + 1, frames]`.
    ///
    /// # Errors
    /// As [`power`](Self::power).
    pub fn magnitude(&self, samples: &[f32]) -> Result<Array2<f32>> {
        let mut magnitude = Array2::zeros((self.n_bins(), self.frames_of(samples)?));
        let mut block = vec![[0.0; BLOCK_FRAMES]; self.n_bins()];
        self.blocks(samples, &mut Magnitude(&mut block), |first, frames, Magnitude(block)| {
            store_block(block, &mut magnitude, first, frames);
        })?;
        Ok(magnitude)
    }

    /// The complex spectrogram of `samples`, `[n_fft / 2 + 1, frames]`.
    ///
    /// # Errors
    /// As [`power`](Self::power).
    pub fn complex(&self, samples: &[f32]) -> Result<Spectrogram> {
        let shape = (self.n_bins(), self.frames_of(samples)?);
        let (mut re, mut im) = (Array2::zeros(shape), Array2::zeros(shape));
        let mut blocks = [vec![[0.0; BLOCK_FRAMES]; self.n_bins()], vec![[0.0; BLOCK_FRAMES]; self.n_bins()]];
        let [re_block, im_block] = &mut blocks;
        self.blocks(samples, &mut Parts(re_block, im_block), |first, frames, Parts(re_block, im_block)| {
            store_block(re_block, &mut re, first, frames);
            store_block(im_block, &mut im, first, frames);
        })?;
        Ok(Spectrogram { re, im })
    }

    /// Hands the power spectrogram to `each(first_frame, frames, block)` block by block, without keeping it: `block[bin][i]`
    /// is |X|² of frame `first_frame + i`, where only `i < frames` counts.
    ///
    /// # Errors
    /// As [`power`](Self::power).
    pub fn power_blocks(&self, samples: &[f32], mut each: impl FnMut(usize, usize, &[BlockRow])) -> Result<()> {
        let mut block = vec![[0.0; BLOCK_FRAMES]; self.n_bins()];
        self.blocks(samples, &mut Power(&mut block), |first, frames, Power(block)| each(first, frames, block))
    }

    /// Samples of silence before the signal.
    fn offset(&self) -> usize {
        if self.center { self.n_fft() / 2 } else { 0 }
    }

    fn frames_of(&self, samples: &[f32]) -> Result<usize> {
        match (samples.len(), self.n_frames(samples.len())) {
            (0, _) => Err(Error::Empty),
            (found, 0) => Err(Error::Shape {
                what: "a signal for a transform that is not centred",
                expected: format!("at least {} samples", self.n_fft()),
                found: found.to_string(),
            }),
            (_, frames) => Ok(frames),
        }
    }

    fn blocks<K: Sink>(&self, samples: &[f32], sink: &mut K, mut each: impl FnMut(usize, usize, &K)) -> Result<()> {
        let total = self.frames_of(samples)?;
        let span_len = (BLOCK_FRAMES - 1) * self.hop_length + self.n_fft();
        let padding = self.offset();
        // Room for the widest level, whatever the level.
        let mut work = vec![0.0; self.fft.work_len() * MAX_LANES];
        let mut padded = vec![0.0; span_len];
        for first in (0..total).step_by(BLOCK_FRAMES) {
            let frames = BLOCK_FRAMES.min(total - first);
            let start = first * self.hop_length;
            let within = start.checked_sub(padding).and_then(|start| samples.get(start..start + span_len));
            let span = if let Some(span) = within {
                span
            } else {
                padded.fill(0.0);
                let (skip, from) = (padding.saturating_sub(start), start.saturating_sub(padding));
                if let (Some(target), Some(source)) = (padded.get_mut(skip..), samples.get(from..)) {
                    let n = target.len().min(source.len());
                    target[..n].copy_from_slice(&source[..n]);
                }
                &padded
            };
            simd::dispatch(ForwardBlock { stft: self, span, frames, work: &mut work, sink: &mut *sink });
            each(first, frames, sink);
        }
        Ok(())
    }
}

/// Frames in a vector of the widest level.
const MAX_LANES: usize = 8;

/// The periodic `window` of `n` samples, as `scipy.signal.get_window`.
fn periodic(window: Window, n: usize) -> Vec<f64> {
    let Window::Hann = window;
    (0..n).map(|i| 0.5 - 0.5 * libm::cos(std::f64::consts::TAU * i as f64 / n as f64)).collect()
}

/// Copies columns `first..first + frames` of a matrix to the left of `block`.
pub(crate) fn load_block(matrix: ArrayView2<'_, f32>, first: usize, frames: usize, block: &mut [BlockRow]) {
    for (row, values) in matrix.outer_iter().zip(block) {
        match row.as_slice().map(|row| &row[first..first + frames]) {
            // A whole row of a block is a few instructions, not a call.
            Some(row) => match row.as_array() {
                Some(row) => *values = *row,
                None => values[..frames].copy_from_slice(row),
            },
            None => values.iter_mut().zip(row.iter().skip(first).take(frames)).for_each(|(to, from)| *to = *from),
        }
    }
}

/// Copies the left of `block` to columns `first..first + frames` of a matrix in standard layout.
pub(crate) fn store_block(block: &[BlockRow], out: &mut Array2<f32>, first: usize, frames: usize) {
    for (mut row, values) in out.outer_iter_mut().zip(block) {
        if let Some(row) = row.as_slice_mut().map(|row| &mut row[first..first + frames]) {
            match row.as_mut_array() {
                Some(row) => *row = *values,
                None => row.copy_from_slice(&values[..frames]),
            }
        }
    }
}

/// Where the spectra of a block go.
trait Sink {
    /// Takes frequency `bin` of the frames from `lane` on.
    fn put<S: Simd>(&mut self, simd: S, bin: usize, lane: usize, re: S::f64s, im: S::f64s);
}

/// Rounds a vector to the `f32` of its frames.
#[inline(always)]
fn store<S: Simd>(row: &mut BlockRow, lane: usize, values: S::f64s) {
    for (to, from) in row[lane..].iter_mut().zip(bytemuck::cast_slice::<_, f64>(&[values])) {
        *to = *from as f32;
    }
}

#[inline(always)]
fn power<S: Simd>(simd: S, re: S::f64s, im: S::f64s) -> S::f64s {
    simd.add_f64s(simd.mul_f64s(re, re), simd.mul_f64s(im, im))
}

struct Power<'a>(&'a mut [BlockRow]);
impl Sink for Power<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, bin: usize, lane: usize, re: S::f64s, im: S::f64s) {
        store::<S>(&mut self.0[bin], lane, power(simd, re, im));
    }
}

struct Magnitude<'a>(&'a mut [BlockRow]);
impl Sink for Magnitude<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, bin: usize, lane: usize, re: S::f64s, im: S::f64s) {
        store::<S>(&mut self.0[bin], lane, simd.sqrt_f64s(power(simd, re, im)));
    }
}

struct Parts<'a>(&'a mut [BlockRow], &'a mut [BlockRow]);
impl Sink for Parts<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, _: S, bin: usize, lane: usize, re: S::f64s, im: S::f64s) {
        store::<S>(&mut self.0[bin], lane, re);
        store::<S>(&mut self.1[bin], lane, im);
    }
}

/// Windows and transforms the frames of one block.
struct ForwardBlock<'a, K> {
    stft: &'a Stft,
    /// The samples of all [`BLOCK_FRAMES`] frames.
    span: &'a [f32],
    frames: usize,
    work: &'a mut [f64],
    sink: &'a mut K,
}

impl<K: Sink> WithSimd for ForwardBlock<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { stft, span, frames, work, sink } = self;
        for lane in (0..frames).step_by(S::F64_LANES) {
            window_frames::<S>(&span[lane * stft.hop_length..], stft.hop_length, &stft.window, work);
            let (vectors, _) = S::as_mut_simd_f64s(work);
            stft.fft.forward(
                simd,
                vectors,
                #[inline(always)]
                |bin, re, im| sink.put(simd, bin, lane, re, im),
            );
        }
    }
}

/// Multiplies as many frames as there are lanes by the window, and puts sample `i` of all of them side by side.
#[inline(always)]
fn window_frames<S: Simd>(span: &[f32], hop_length: usize, window: &[f64], work: &mut [f64]) {
    // Squares of eight samples, so that every cache line is written once.
    const SQUARE: usize = 8;
    let (squares, _) = window.as_chunks::<SQUARE>();
    for (i, (weights, out)) in squares.iter().zip(work.chunks_exact_mut(SQUARE * S::F64_LANES)).enumerate() {
        let mut samples = [[0.0; SQUARE]; MAX_LANES];
        for (lane, samples) in samples.iter_mut().take(S::F64_LANES).enumerate() {
            if let Some(source) = span[lane * hop_length + i * SQUARE..].first_chunk() {
                *samples = *source;
            }
        }
        for (j, (&w, out)) in weights.iter().zip(out.chunks_exact_mut(S::F64_LANES)).enumerate() {
            for (to, samples) in out.iter_mut().zip(&samples) {
                *to = f64::from(samples[j]) * w;
            }
        }
    }
    for i in squares.len() * SQUARE..window.len() {
        for (lane, to) in work[i * S::F64_LANES..][..S::F64_LANES].iter_mut().enumerate() {
            *to = f64::from(span[lane * hop_length + i]) * window[i];
        }
    }
}

#[cfg(test)]
mod tests;
