//! Short-time Fourier transform and its inverse, as `librosa.stft` and `librosa.istft` 0.11.
//!
//! Frames are windowed and transformed in double precision and rounded to `f32` at the end, as librosa does, sixteen frames
//! at a time: the work for them stays in the cache and a row of the result is written a cache line at a time.

use std::ops::{Deref, DerefMut};

use ndarray::{Array2, ArrayView2};
use pulp::{Simd, WithSimd, bytemuck};

use crate::{
    Error, Result,
    dsp::fft::RealFft,
    spec::{StftSpec, Window},
};

/// Frames that are transformed together, at any SIMD width.
pub(crate) const BLOCK_FRAMES: usize = 16;

/// One value of each frame of a block.
pub(crate) type BlockRow = [f32; BLOCK_FRAMES];

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
        check_lengths(n_fft, hop_length)?;
        Ok(Self { hop_length, center, window: periodic(window, n_fft), fft: RealFft::new(n_fft)? })
    }

    /// Plans the transform of frames of as many samples as `window` has, which are multiplied by it; else as [`Stft::new`].
    ///
    /// # Errors
    /// As [`Stft::new`], and [`Error::Spec`] for a weight that is not finite.
    pub fn with_window(window: &[f64], hop_length: usize, center: bool) -> Result<Self> {
        check_lengths(window.len(), hop_length)?;
        if let Some(weight) = window.iter().find(|weight| !weight.is_finite()) {
            return Err(Error::Spec { field: "window", problem: format!("must be finite, not {weight}") });
        }
        Ok(Self { hop_length, center, window: window.to_vec(), fft: RealFft::new(window.len())? })
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
    pub(crate) fn power_blocks(&self, samples: &[f32], mut each: impl FnMut(usize, usize, &[BlockRow])) -> Result<()> {
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
        // Enough for the widest level, whatever the level.
        let mut work = Lines::zeros(self.fft.work_len() * MAX_LANES);
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

fn check_lengths(n_fft: usize, hop_length: usize) -> Result<()> {
    if !(16..=32768).contains(&n_fft) {
        return Err(Error::Spec { field: "n_fft", problem: format!("must be in 16..=32768, not {n_fft}") });
    }
    if !(1..=8 * n_fft).contains(&hop_length) {
        let problem = format!("must be in 1..={} (8 frames), not {hop_length}", 8 * n_fft);
        return Err(Error::Spec { field: "hop_length", problem });
    }
    Ok(())
}

/// Frames in a vector of the widest level.
const MAX_LANES: usize = 8;

/// Numbers that begin on a cache line, so that no vector lies across two: a processor of Intel's stores such a vector in twice the time.
#[derive(Debug)]
struct Lines {
    values: Vec<f64>,
    start: usize,
}

impl Lines {
    /// `n` zeros.
    fn zeros(n: usize) -> Self {
        const LINE: usize = 64;
        let values = vec![0.0; n + LINE / size_of::<f64>()];
        let start = values.as_ptr().align_offset(LINE).min(values.len() - n);
        Self { values, start }
    }
}

impl Deref for Lines {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values[self.start..]
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values[self.start..]
    }
}

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
    // A length that the compiler knows: without it the store is masked.
    for (to, from) in row[lane..lane + S::F64_LANES].iter_mut().zip(bytemuck::cast_slice::<_, f64>(&[values])) {
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
    work: Lines,
    /// Samples of as many frames as there are lanes, side by side.
    windowed: Lines,
}

impl<'a> OverlapAdd<'a> {
    /// Allocates a signal of `length` samples, of `frames` frames or as many of them as begin before its end.
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
            work: Lines::zeros(stft.fft.work_len() * MAX_LANES),
            windowed: Lines::zeros(stft.n_fft() * MAX_LANES),
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
    let values = bytemuck::cast_slice_mut::<_, f64>(&mut vector);
    // A length that the compiler knows: without it the loop is not unrolled, and the inverse takes a third longer.
    for (to, from) in values.iter_mut().zip(&row[lane..lane + S::F64_LANES]) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use simd::{Level, with_level};

    fn spec(n_fft: usize, hop_length: usize, center: bool) -> StftSpec {
        StftSpec { n_fft, hop_length, window: Window::Hann, center }
    }

    fn plan(n_fft: usize, hop_length: usize, center: bool) -> Stft {
        Stft::new(&spec(n_fft, hop_length, center)).expect("a valid specification")
    }

    /// A chirp with a click in it.
    fn signal(len: usize) -> Vec<f32> {
        let mut x: Vec<f32> = (0..len).map(|i| libm::sin(1e-5 * (i * i) as f64) as f32 * 0.5).collect();
        if let Some(middle) = x.get_mut(len / 2) {
            *middle += 0.4;
        }
        x
    }

    #[test]
    fn counts_frames_as_librosa() {
        let (centred, plain) = (plan(2048, 512, true), plan(2048, 512, false));
        for (len, with, without) in [(0, 0, 0), (1, 1, 0), (511, 1, 0), (512, 2, 0), (2048, 5, 1), (2560, 6, 2)] {
            assert_eq!((centred.n_frames(len), plain.n_frames(len)), (with, without), "{len} samples");
        }
    }

    #[test]
    fn refuses_what_has_no_frame() {
        assert!(matches!(plan(64, 16, true).power(&[]), Err(Error::Empty)));
        assert!(matches!(plan(64, 16, false).power(&[0.5; 63]), Err(Error::Shape { .. })));
        assert_eq!(plan(64, 16, false).power(&[0.5; 64]).map(|p| p.dim()).ok(), Some((33, 1)));
        assert_eq!(plan(64, 16, true).power(&[0.5]).map(|p| p.dim()).ok(), Some((33, 1)));
        for bad in [spec(0, 1, true), spec(15, 1, true), spec(17, 1, true), spec(65536, 1, true), spec(64, 0, true)] {
            assert!(Stft::new(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_frame_is_the_same_wherever_it_lies() {
        // Frame t of a whole signal, and the only frame of a signal that has just its samples.
        let stft = plan(128, 48, false);
        let x = signal(48 * 40 + 128);
        let whole = stft.power(&x).expect("long enough");
        for t in 0..whole.ncols() {
            let alone = stft.power(&x[48 * t..48 * t + 128]).expect("one frame");
            assert_eq!(alone.column(0), whole.column(t), "frame {t}");
        }
    }

    #[test]
    fn power_magnitude_and_complex_agree() {
        let stft = plan(90, 20, true);
        let x = signal(777);
        let (power, magnitude) = (stft.power(&x).expect("signal"), stft.magnitude(&x).expect("signal"));
        let from_parts = stft.complex(&x).expect("signal").magnitude();
        for ((p, m), c) in power.iter().zip(&magnitude).zip(&from_parts) {
            assert!((p.sqrt() - m).abs() <= 1e-6 * m.max(1e-6));
            assert!((c - m).abs() <= 1e-6 * m.max(1e-6));
        }
    }

    #[test]
    fn has_the_same_bits_at_every_level() {
        let stft = plan(256, 64, true);
        let x = signal(64 * 37 + 5);
        let run = |level| {
            with_level(level, || {
                let parts = stft.complex(&x).expect("signal");
                let back = stft.istft(&parts, x.len()).expect("its own spectrogram");
                (stft.power(&x).expect("signal"), stft.magnitude(&x).expect("signal"), parts, back)
            })
        };
        let levels = Level::available();
        let want = run(levels[0]);
        for &level in &levels[1..] {
            assert!(run(level) == want, "{} differs from scalar", level.name());
        }
    }

    #[test]
    fn a_window_is_given_by_its_weights() {
        let x = signal(777);
        let hann = Stft::with_window(&periodic(Window::Hann, 90), 20, true).expect("finite");
        assert_eq!(hann.complex(&x).expect("signal"), plan(90, 20, true).complex(&x).expect("signal"));
        let rectangle = Stft::with_window(&[1.0; 64], 64, false).expect("finite");
        let power = rectangle.power(&x).expect("signal");
        // Parseval: what lies within the frame, twice but at either end.
        let energy: f32 = x[..64].iter().map(|v| v * v).sum();
        let twice: f32 = power.column(0).iter().map(|p| 2.0 * p).sum();
        let total = (twice - power[[0, 0]] - power[[32, 0]]) / 64.0;
        assert!((total - energy).abs() < 1e-5 * energy, "{total} for {energy}");
        for bad in [vec![1.0; 63], vec![1.0; 8], vec![f64::NAN; 64]] {
            assert!(matches!(Stft::with_window(&bad, 16, true), Err(Error::Spec { .. })));
        }
    }

    #[test]
    fn the_inverse_refuses_another_size() {
        let parts = plan(64, 16, true).complex(&signal(100)).expect("signal");
        assert!(matches!(plan(128, 16, true).istft(&parts, 100), Err(Error::Shape { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_inverse_undoes_it(
            half in 8_usize..80, divisor in 2_usize..8, x in prop::collection::vec(-1.0_f32..1.0, 1..2000),
        ) {
            let n_fft = 2 * half;
            let stft = plan(n_fft, (n_fft / divisor).max(1), true);
            let parts = stft.complex(&x).expect("signal");
            let back = stft.istft(&parts, x.len()).expect("its own spectrogram");
            prop_assert_eq!(back.len(), x.len());
            // The last samples may lie beyond the last frame's centre, where the window's sum is small.
            let safe = (parts.re.ncols() - 1) * stft.hop_length();
            for (i, (a, b)) in back.iter().zip(&x).enumerate().take(safe.max(1)) {
                prop_assert!((a - b).abs() < 1e-5, "sample {} of {}: {} for {}", i, x.len(), a, b);
            }
        }

        #[test]
        fn never_fails_on_any_length(len in 1_usize..3000, hop in 1_usize..512) {
            let stft = plan(64, hop, true);
            let power = stft.power(&signal(len)).expect("signal");
            prop_assert_eq!(power.dim(), (33, stft.n_frames(len)));
            prop_assert!(power.iter().all(|p| p.is_finite()));
        }
    }
}
