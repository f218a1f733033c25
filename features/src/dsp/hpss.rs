//! Harmonic/percussive separation, as `librosa.decompose.hpss` and `librosa.effects.hpss` 0.11.
//!
//! Fitzgerald, "Harmonic/percussive separation using median filtering" (2010), with the margins of Driedger, Müller & Disch,
//! "Extending harmonic-percussive separation of audio signals" (2014).

use ndarray::{Array2, ArrayView2};
use simd::{Simd, WithSimd};

use crate::{
    Error, Result,
    dsp::stft::{BLOCK_FRAMES, BlockRow, Moduli, OverlapAdd, Stft, load_block, store_block},
};

/// How a magnitude spectrogram is separated. The default is librosa's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hpss {
    /// Frames (harmonic) and bins (percussive) of the median filters; odd.
    pub kernel: usize,
    /// Exponent of the soft masks, over 0; infinity gives hard ones.
    pub power: f64,
    /// How many times larger than the other part a part must be, at least 1: over 1, what is neither is in no part.
    pub margin: f64,
}

impl Default for Hpss {
    fn default() -> Self {
        Self { kernel: 31, power: 2.0, margin: 1.0 }
    }
}

/// Two parts of one whole, such as masks `[bins, frames]` or signals.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts<T> {
    /// What lasts in time: notes.
    pub harmonic: T,
    /// What is spread over frequency: drums.
    pub percussive: T,
}

impl Hpss {
    /// # Errors
    /// [`Error::Spec`] if `kernel` is even, `power` not over 0, or `margin` below 1 or not finite.
    fn validate(&self) -> Result<()> {
        let wrong = |field, problem| Err(Error::Spec { field, problem });
        if self.kernel.is_multiple_of(2) {
            return wrong("kernel", format!("must be odd, not {}", self.kernel));
        }
        if self.power.is_nan() || self.power <= 0.0 {
            return wrong("power", format!("must be over 0, not {}", self.power));
        }
        if !self.margin.is_finite() || self.margin < 1.0 {
            return wrong("margin", format!("must be finite and at least 1, not {}", self.margin));
        }
        Ok(())
    }

    /// The soft masks, 0 to 1, of a magnitude spectrogram `[bins, frames]`.
    ///
    /// # Errors
    /// [`Error::Spec`] for an even kernel, a power not over 0 or a margin below 1.
    pub fn masks(&self, magnitude: ArrayView2<'_, f32>) -> Result<Parts<Array2<f32>>> {
        self.validate()?;
        let Parts { mut harmonic, mut percussive } = medians(magnitude, [self.kernel; 2])?;
        if let (Some(harmonic), Some(percussive)) = (harmonic.as_slice_mut(), percussive.as_slice_mut()) {
            simd::dispatch(SoftMasks { hpss: self, harmonic, percussive });
        }
        Ok(Parts { harmonic, percussive })
    }

    /// The magnitudes of both parts, each `[bins, frames]` as `magnitude` is.
    ///
    /// # Errors
    /// As [`masks`](Self::masks).
    pub fn magnitudes(&self, magnitude: ArrayView2<'_, f32>) -> Result<Parts<Array2<f32>>> {
        let mut parts = self.masks(magnitude)?;
        parts.harmonic *= &magnitude;
        parts.percussive *= &magnitude;
        Ok(parts)
    }

    /// The waveforms of both parts of a signal, each as long as `samples` (`librosa.effects.hpss` with the STFT of `stft`).
    ///
    /// # Errors
    /// As [`masks`](Self::masks) and [`Stft::complex`].
    pub fn waveforms(&self, stft: &Stft, samples: &[f32]) -> Result<Parts<Vec<f32>>> {
        self.validate()?;
        let whole = stft.complex(samples)?;
        let mut harmonic = whole.magnitude();
        median_in_time(&mut harmonic, self.kernel);
        // All else is done block by block, without a spectrogram of masks or of the percussive part.
        let mut parts = [(); 2].map(|()| OverlapAdd::new(stft, harmonic.ncols(), samples.len()));
        let mut blocks = [(); 5].map(|()| vec![[0.0; BLOCK_FRAMES]; stft.n_bins()]);
        let [re, im, magnitude, harmonic_mask, percussive_mask] = &mut blocks;
        let frames = parts[0].frames();
        for first in (0..frames).step_by(BLOCK_FRAMES) {
            let count = BLOCK_FRAMES.min(frames - first);
            load_block(whole.re.view(), first, count, re);
            load_block(whole.im.view(), first, count, im);
            load_block(harmonic.view(), first, count, harmonic_mask);
            magnitude.copy_from_slice(re);
            simd::dispatch(Moduli { magnitude: magnitude.as_flattened_mut(), im: im.as_flattened() });
            simd::dispatch(RunningMedian { kernel: self.kernel, lines: magnitude, medians: percussive_mask });
            let (harmonic, percussive) = (harmonic_mask.as_flattened_mut(), percussive_mask.as_flattened_mut());
            simd::dispatch(SoftMasks { hpss: self, harmonic, percussive });
            for (part, mask) in parts.iter_mut().zip([&*harmonic_mask, &*percussive_mask]) {
                let (part_re, part_im) = part.block();
                multiply(re, mask, part_re);
                multiply(im, mask, part_im);
                part.add(first, count);
            }
        }
        let [harmonic, percussive] = parts.map(OverlapAdd::finish);
        Ok(Parts { harmonic, percussive })
    }
}

/// The running medians of a magnitude spectrogram `[bins, frames]` from which masks are made: over the first of `kernels` in frames
/// (harmonic), and over the second in bins (percussive).
///
/// # Errors
/// [`Error::Spec`] for an even kernel.
pub fn medians(magnitude: ArrayView2<'_, f32>, kernels: [usize; 2]) -> Result<Parts<Array2<f32>>> {
    if let Some(kernel) = kernels.iter().find(|kernel| kernel.is_multiple_of(2)) {
        return Err(Error::Spec { field: "kernel", problem: format!("must be odd, not {kernel}") });
    }
    let [in_time, in_frequency] = kernels;
    let mut harmonic = magnitude.as_standard_layout().into_owned();
    median_in_time(&mut harmonic, in_time);
    Ok(Parts { harmonic, percussive: median_in_frequency(magnitude, in_frequency) })
}

/// Products of two blocks.
fn multiply(values: &[BlockRow], gains: &[BlockRow], out: &mut [BlockRow]) {
    for ((out, value), gain) in out.as_flattened_mut().iter_mut().zip(values.as_flattened()).zip(gains.as_flattened()) {
        *out = value * gain;
    }
}

/// The harmonic and the percussive part of a signal, each as long as `samples`, with librosa's parameters
/// (`librosa.effects.hpss` with the STFT of `stft`).
///
/// # Errors
/// As [`Stft::complex`].
pub fn separate(stft: &Stft, samples: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
    let Parts { harmonic, percussive } = Hpss::default().waveforms(stft, samples)?;
    Ok((harmonic, percussive))
}

/// Replaces each row of a matrix in standard layout by its running median over `kernel` (odd) frames, mirrored at the ends
/// (`scipy.ndimage.median_filter(size=(1, kernel), mode="reflect")`).
fn median_in_time(values: &mut Array2<f32>, kernel: usize) {
    let (rows, frames) = values.dim();
    let Some(values) = values.as_slice_mut() else { return };
    let mut lines = vec![[0.0; BLOCK_FRAMES]; frames];
    let mut medians = lines.clone();
    for first in (0..rows).step_by(BLOCK_FRAMES) {
        let lanes = BLOCK_FRAMES.min(rows - first);
        // Rows become lanes in squares, so that every cache line is written once.
        for start in (0..frames).step_by(BLOCK_FRAMES) {
            for lane in 0..lanes {
                let row = &values[(first + lane) * frames..][..frames];
                for (line, &value) in lines[start..].iter_mut().zip(&row[start..]).take(BLOCK_FRAMES) {
                    line[lane] = value;
                }
            }
        }
        simd::dispatch(RunningMedian { kernel, lines: &lines, medians: &mut medians });
        for start in (0..frames).step_by(BLOCK_FRAMES) {
            for lane in 0..lanes {
                let row = &mut values[(first + lane) * frames..][..frames];
                for (line, value) in medians[start..].iter().zip(&mut row[start..]).take(BLOCK_FRAMES) {
                    *value = line[lane];
                }
            }
        }
    }
}

/// The running median of each column over `kernel` (odd) bins, mirrored at the ends
/// (`scipy.ndimage.median_filter(size=(kernel, 1), mode="reflect")`).
fn median_in_frequency(values: ArrayView2<'_, f32>, kernel: usize) -> Array2<f32> {
    let (bins, frames) = values.dim();
    let mut out = Array2::zeros((bins, frames));
    let mut lines = vec![[0.0; BLOCK_FRAMES]; bins];
    let mut medians = lines.clone();
    for first in (0..frames).step_by(BLOCK_FRAMES) {
        let lanes = BLOCK_FRAMES.min(frames - first);
        load_block(values, first, lanes, &mut lines);
        simd::dispatch(RunningMedian { kernel, lines: &lines, medians: &mut medians });
        store_block(&medians, &mut out, first, lanes);
    }
    out
}

/// Index within `0..len` of `i`, which may lie beyond either end, by mirroring: `d c b a | a b c d | d c b a`.
#[inline(always)]
fn mirrored(i: isize, len: usize) -> usize {
    let period = 2 * len as isize;
    let i = i.rem_euclid(period);
    (if i < len as isize { i } else { period - 1 - i }) as usize
}

/// Medians along `lines`, of each lane alone.
///
/// A sorted window slides along: with a minimum and a maximum at each position the newest value goes in, with a
/// comparison and a selection the oldest comes out. Nothing branches on the data, so that all lanes go together.
struct RunningMedian<'a> {
    kernel: usize,
    lines: &'a [BlockRow],
    medians: &'a mut [BlockRow],
}

impl WithSimd for RunningMedian<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { kernel, lines, medians } = self;
        if lines.is_empty() {
            return;
        }
        let (vectors, _) = S::as_simd_f32s(lines.as_flattened());
        let (medians, _) = S::as_mut_simd_f32s(medians.as_flattened_mut());
        let zero = simd.splat_f32s(0.0);
        if kernel == 31 {
            // librosa's kernel, of a size known to the compiler.
            slide(simd, &mut [zero; 31], vectors, medians);
        } else {
            slide(simd, &mut vec![zero; kernel], vectors, medians);
        }
    }
}

/// Runs `window` along every column of `values`, whose lines are as many vectors as make a [`BlockRow`].
#[inline(always)]
fn slide<S: Simd>(simd: S, window: &mut (impl AsMut<[S::f32s]> + ?Sized), values: &[S::f32s], medians: &mut [S::f32s]) {
    let width = BLOCK_FRAMES / S::F32_LANES;
    let (window, len) = (window.as_mut(), values.len() / width);
    let half = window.len() / 2;
    for column in 0..width {
        let line = |i: isize| values[mirrored(i, len) * width + column];
        window.fill(simd.splat_f32s(f32::INFINITY));
        for i in 0..window.len() {
            insert(simd, window, line(i as isize - half as isize));
        }
        medians[column] = window[half];
        for i in 1..len {
            let (old, new) = (line(i as isize - 1 - half as isize), line((i + half) as isize));
            replace(simd, window, old, new);
            medians[i * width + column] = window[half];
        }
    }
}

/// Puts `new` into its position of a sorted window and drops the largest value.
#[inline(always)]
fn insert<S: Simd>(simd: S, window: &mut [S::f32s], new: S::f32s) {
    let mut below = simd.splat_f32s(f32::NEG_INFINITY);
    for slot in window {
        let value = *slot;
        *slot = simd.max_f32s(below, simd.min_f32s(value, new));
        below = value;
    }
}

/// Puts `new` into a sorted window and takes out `old`, which is in it.
#[inline(always)]
fn replace<S: Simd>(simd: S, window: &mut [S::f32s], old: S::f32s, new: S::f32s) {
    // `larger` is the window with `new` in it, from one position further up; the positions below `old` stay, the others take it.
    let mut below = window[0];
    let mut current = simd.min_f32s(below, new);
    for i in 1..window.len() {
        let value = window[i];
        let larger = simd.max_f32s(below, simd.min_f32s(value, new));
        window[i - 1] = simd.select_f32s(simd.less_than_f32s(current, old), current, larger);
        (below, current) = (value, larger);
    }
    let larger = simd.max_f32s(below, new);
    let last = window.len() - 1;
    window[last] = simd.select_f32s(simd.less_than_f32s(current, old), current, larger);
}

/// Turns two filtered spectrograms into their masks (`librosa.util.softmask`).
struct SoftMasks<'a> {
    hpss: &'a Hpss,
    harmonic: &'a mut [f32],
    percussive: &'a mut [f32],
}

impl WithSimd for SoftMasks<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { hpss: &Hpss { power, margin, .. }, harmonic, percussive } = self;
        let silent = if margin == 1.0 { 0.5 } else { 0.0 };
        let margin = margin as f32;
        // One loop for each kind of power, so that the common one is free of calls.
        if power == 2.0 {
            for (h, p) in harmonic.iter_mut().zip(percussive) {
                (*h, *p) =
                    (soft_mask(*h, *p * margin, silent, |x| x * x), soft_mask(*p, *h * margin, silent, |x| x * x));
            }
        } else if power.is_finite() {
            let raise = |x| libm::pow(f64::from(x), power) as f32;
            for (h, p) in harmonic.iter_mut().zip(percussive) {
                (*h, *p) = (soft_mask(*h, *p * margin, silent, raise), soft_mask(*p, *h * margin, silent, raise));
            }
        } else {
            let hard = |x, other| if x > other { 1.0 } else { 0.0 };
            for (h, p) in harmonic.iter_mut().zip(percussive) {
                (*h, *p) = (hard(*h, *p * margin), hard(*p, *h * margin));
            }
        }
    }
}

/// `x^power / (x^power + other^power)`, or `silent` where both are all but zero.
#[inline(always)]
fn soft_mask(x: f32, other: f32, silent: f32, raise: impl Fn(f32) -> f32) -> f32 {
    let larger = if x > other { x } else { other };
    let quiet = larger < f32::MIN_POSITIVE;
    // Divided by the larger one, so that no power over- or underflows.
    let scale = if quiet { 1.0 } else { larger };
    let (x, other) = (raise(x / scale), raise(other / scale));
    let mask = x / (x + other);
    if quiet { silent } else { mask }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::{StftSpec, Window};
    use simd::{Level, with_level};

    /// The definition: sort every window.
    fn naive(values: &Array2<f32>, kernel: usize) -> Array2<f32> {
        let (half, frames) = ((kernel / 2) as isize, values.ncols());
        Array2::from_shape_fn(values.dim(), |(row, t)| {
            let mut window: Vec<f32> =
                (-half..=half).map(|k| values[[row, mirrored(t as isize + k, frames)]]).collect();
            window.sort_by(f32::total_cmp);
            window[kernel / 2]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn is_the_median_of_every_window(
            rows in 1_usize..40, frames in 1_usize..80, half in prop::sample::select(vec![0_usize, 1, 2, 5, 15]),
            levels in 1_u32..200, seed: u32,
        ) {
            // Few levels make many equal values.
            let value = |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 7) % levels;
            let values = Array2::from_shape_fn((rows, frames), |(r, t)| value((r * frames + t) as u32) as f32);
            let want = naive(&values, 2 * half + 1);
            let mut in_time = values.clone();
            median_in_time(&mut in_time, 2 * half + 1);
            prop_assert_eq!(&in_time, &want);
            let transposed = median_in_frequency(values.t(), 2 * half + 1);
            prop_assert_eq!(&transposed.t(), &want);
        }
    }

    fn spectrogram() -> Array2<f32> {
        Array2::from_shape_fn((70, 50), |(b, t)| {
            let (tone, click) = (b % 9 == 4, t % 11 == 3);
            ((b * 31 + t * 17) % 13) as f32 * 0.01 + f32::from(tone) + f32::from(click)
        })
    }

    #[test]
    fn tones_and_clicks_part() {
        let masks = Hpss { kernel: 9, ..Hpss::default() }.masks(spectrogram().view()).expect("valid");
        assert!(masks.harmonic[[13, 7]] > 0.9 && masks.percussive[[13, 7]] < 0.1);
        assert!(masks.harmonic[[15, 14]] < 0.1 && masks.percussive[[15, 14]] > 0.9);
        for (h, p) in masks.harmonic.iter().zip(&masks.percussive) {
            assert!((h + p - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        for shape in [(0, 0), (0, 5), (5, 0)] {
            let masks = Hpss::default().masks(Array2::zeros(shape).view()).expect("valid");
            assert_eq!(masks.harmonic.dim(), shape);
        }
    }

    #[test]
    fn silence_is_shared() {
        let silence = Array2::zeros((40, 8));
        let masks = |margin| Hpss { margin, ..Hpss::default() }.masks(silence.view()).expect("valid");
        assert!(masks(1.0).harmonic.iter().chain(&masks(1.0).percussive).all(|&m| m == 0.5));
        assert!(masks(2.0).harmonic.iter().chain(&masks(2.0).percussive).all(|&m| m == 0.0));
    }

    #[test]
    fn the_parts_of_a_signal_add_up_to_it() {
        let spec = StftSpec { n_fft: 256, hop_length: 64, window: Window::Hann, center: true };
        let stft = Stft::new(&spec).expect("valid");
        let signal: Vec<f32> = (0..4001)
            .map(|i| libm::sin(0.2 * f64::from(i)) as f32 * 0.5 + f32::from(u8::from(i % 997 == 500)))
            .collect();
        let parts = Hpss::default().waveforms(&stft, &signal).expect("a signal");
        for ((h, p), s) in parts.harmonic.iter().zip(&parts.percussive).zip(&signal) {
            assert!((h + p - s).abs() < 1e-5);
        }
    }

    #[test]
    fn has_the_same_bits_at_every_level() {
        let levels = Level::available();
        for power in [1.5, 2.0, f64::INFINITY] {
            let hpss = Hpss { power, ..Hpss::default() };
            let run = |level| with_level(level, || hpss.magnitudes(spectrogram().view()).expect("valid"));
            for &level in &levels[1..] {
                assert_eq!(run(level), run(levels[0]), "{}", level.name());
            }
        }
    }

    #[test]
    fn refuses_what_cannot_be() {
        for bad in [
            Hpss { kernel: 30, ..Hpss::default() },
            Hpss { kernel: 0, ..Hpss::default() },
            Hpss { power: 0.0, ..Hpss::default() },
            Hpss { power: f64::NAN, ..Hpss::default() },
            Hpss { margin: 0.9, ..Hpss::default() },
            Hpss { margin: f64::INFINITY, ..Hpss::default() },
        ] {
            assert!(matches!(bad.masks(spectrogram().view()), Err(Error::Spec { .. })), "{bad:?}");
        }
    }
}
