//! Shape of the spectrum, frame by frame: centroid, bandwidth, rolloff, flatness and contrast.
//!
//! Every function takes a magnitude spectrogram `[bins, frames]` (finite, ≥ 0), bin `k` of which lies at
//! `k · sample_rate / n_fft` Hz with `n_fft = 2 · (bins − 1)`, and gives what `librosa.feature.spectral_*` of version
//! 0.11 gives for it. A spectrogram without frames gives an empty series. Loops run over frames within a bin, so each
//! frame adds its bins in rising order whatever the width of the machine.

use std::borrow::Cow;

use ndarray::{Array2, ArrayView2};
use simd::{Simd, WithSimd};

use crate::{Error, Result};

/// A spectrogram as contiguous rows, copied only where the given one has another layout.
pub(crate) struct Rows<'a> {
    data: Cow<'a, [f32]>,
    bins: usize,
    frames: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(matrix: ArrayView2<'a, f32>) -> Self {
        let (bins, frames) = matrix.dim();
        let data = match matrix.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(matrix.iter().copied().collect()),
        };
        Self { data, bins, frames }
    }

    pub(crate) fn bins(&self) -> usize {
        self.bins
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Bin `k` of all frames.
    pub(crate) fn row(&self, k: usize) -> &[f32] {
        &self.data[k * self.frames..(k + 1) * self.frames]
    }

    /// Hz from one bin to the next; 0 for a spectrogram of a single bin.
    pub(crate) fn bin_hz(&self, sample_rate: u32) -> f64 {
        if self.bins < 2 { 0.0 } else { f64::from(sample_rate) / (2 * (self.bins - 1)) as f64 }
    }
}

/// Spectral centroid of each frame in Hz: the mean frequency, weighted by magnitude; 0 for a silent frame.
#[must_use]
pub fn centroid(magnitude: ArrayView2<'_, f32>, sample_rate: u32) -> Vec<f32> {
    let s = Rows::new(magnitude);
    let hz = s.bin_hz(sample_rate);
    let mut total = vec![0.0f64; s.frames()];
    let mut weighted = vec![0.0f64; s.frames()];
    for k in 0..s.bins() {
        let frequency = k as f64 * hz;
        for ((total, weighted), &m) in total.iter_mut().zip(&mut weighted).zip(s.row(k)) {
            *total += f64::from(m);
            *weighted += frequency * f64::from(m);
        }
    }
    weighted.iter().zip(&total).map(|(w, &t)| (w / norm_or_one(t)) as f32).collect()
}

/// Spectral bandwidth of each frame in Hz: the deviation (`p = 2`) of frequency, weighted by magnitude, about the
/// frame's `centroid` (as [`centroid`] gives it); 0 for a silent frame.
///
/// # Errors
/// [`Error::Shape`] if `centroid` does not hold one value a frame.
pub fn bandwidth(magnitude: ArrayView2<'_, f32>, sample_rate: u32, centroid: &[f32]) -> Result<Vec<f32>> {
    let s = Rows::new(magnitude);
    if centroid.len() != s.frames() {
        return Err(Error::Shape {
            what: "centroids for the spectral bandwidth",
            expected: format!("{} frames", s.frames()),
            found: format!("{}", centroid.len()),
        });
    }
    let hz = s.bin_hz(sample_rate);
    let mut total = vec![0.0f64; s.frames()];
    let mut weighted = vec![0.0f64; s.frames()];
    for k in 0..s.bins() {
        let frequency = k as f64 * hz;
        for (((total, weighted), &m), &c) in total.iter_mut().zip(&mut weighted).zip(s.row(k)).zip(centroid) {
            let deviation = frequency - f64::from(c);
            *total += f64::from(m);
            *weighted += f64::from(m) * (deviation * deviation);
        }
    }
    Ok(weighted.iter().zip(&total).map(|(w, &t)| (w / norm_or_one(t)).sqrt() as f32).collect())
}

/// `librosa.util.normalize` leaves a column alone whose norm is below the least normal `f32`.
fn norm_or_one(norm: f64) -> f64 {
    if norm < f64::from(f32::MIN_POSITIVE) { 1.0 } else { norm }
}

/// Part of the magnitude below the rolloff, by librosa's default.
pub const ROLL_PERCENT: f32 = 0.85;

/// Spectral rolloff of each frame in Hz: the lowest bin below and at which `roll_percent` (0 to 1, [`ROLL_PERCENT`]) of
/// the magnitude lies; 0 for a silent frame.
///
/// Sums are `f32` in rising order as librosa's are, so that a frame on the edge of two bins falls on the same side.
#[must_use]
pub fn rolloff(magnitude: ArrayView2<'_, f32>, sample_rate: u32, roll_percent: f32) -> Vec<f32> {
    let s = Rows::new(magnitude);
    let mut threshold = vec![0.0f32; s.frames()];
    for k in 0..s.bins() {
        for (threshold, &m) in threshold.iter_mut().zip(s.row(k)) {
            *threshold += m;
        }
    }
    for threshold in &mut threshold {
        *threshold *= roll_percent;
    }
    let mut sum = vec![0.0f32; s.frames()];
    let mut below = vec![0u32; s.frames()];
    for k in 0..s.bins() {
        for (((sum, below), &m), &threshold) in sum.iter_mut().zip(&mut below).zip(s.row(k)).zip(&threshold) {
            *sum += m;
            *below += u32::from(*sum < threshold);
        }
    }
    let hz = s.bin_hz(sample_rate);
    let last = s.bins().saturating_sub(1);
    below.iter().map(|&bin| ((bin as usize).min(last) as f64 * hz) as f32).collect()
}

/// Least power that [`flatness`] distinguishes, by librosa's default.
pub const FLATNESS_AMIN: f32 = 1e-10;

/// Spectral flatness of each frame (0 to 1): geometric over arithmetic mean of the power, each power at least `amin`
/// ([`FLATNESS_AMIN`], over 0 and not subnormal); 1 for a silent frame.
///
/// The geometric mean multiplies the mantissas and adds the exponents, which needs no logarithm for each bin.
#[must_use]
pub fn flatness(magnitude: ArrayView2<'_, f32>, amin: f32) -> Vec<f32> {
    const MANTISSA: u32 = (1 << (f32::MANTISSA_DIGITS - 1)) - 1;
    // A mantissa is below 2, so this many multiply to a finite f64.
    const BINS_BETWEEN_LOGS: usize = 512;
    let s = Rows::new(magnitude);
    if s.bins() == 0 {
        return vec![1.0; s.frames()];
    }
    let amin = amin.max(f32::MIN_POSITIVE);
    let mut sum = vec![0.0f64; s.frames()];
    let mut mantissa = vec![1.0f64; s.frames()];
    let mut exponent = vec![0i32; s.frames()];
    let mut log = vec![0.0f64; s.frames()];
    for k in 0..s.bins() {
        for (((sum, mantissa), exponent), &m) in sum.iter_mut().zip(&mut mantissa).zip(&mut exponent).zip(s.row(k)) {
            let power = m * m;
            let power = if power > amin { power } else { amin };
            let bits = power.to_bits();
            *sum += f64::from(power);
            *mantissa *= f64::from(f32::from_bits((bits & MANTISSA) | 1.0f32.to_bits()));
            *exponent += (bits >> (f32::MANTISSA_DIGITS - 1)) as i32 - 127;
        }
        if k % BINS_BETWEEN_LOGS == BINS_BETWEEN_LOGS - 1 {
            for (log, mantissa) in log.iter_mut().zip(&mut mantissa) {
                *log += libm::log(*mantissa);
                *mantissa = 1.0;
            }
        }
    }
    let bins = s.bins() as f64;
    (0..s.frames())
        .map(|t| {
            let log = log[t] + libm::log(mantissa[t]) + f64::from(exponent[t]) * std::f64::consts::LN_2;
            (libm::exp(log / bins) / (sum[t] / bins)) as f32
        })
        .collect()
}

/// Parameters of [`contrast`]; the default is librosa's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastSpec {
    /// Octave bands above the first, which reaches from 0 to `f_min`; at least 1.
    pub n_bands: usize,
    /// Upper edge of the first band in Hz, over 0.
    pub f_min: f64,
    /// Part of a band's bins that make its peak, and its valley; over 0, below 1.
    pub quantile: f64,
}

impl Default for ContrastSpec {
    fn default() -> Self {
        Self { n_bands: 6, f_min: 200.0, quantile: 0.02 }
    }
}

/// Bins of one band of [`contrast`].
struct Band {
    bins: std::ops::Range<usize>,
    /// How many of them make the peak, and the valley.
    extremes: usize,
}

impl ContrastSpec {
    /// The bands over a spectrogram of `bins` bins that are `hz` apart, as `librosa.feature.spectral_contrast` cuts them:
    /// each reaches one bin below its lower edge and, but for the last, leaves its uppermost bin to the next.
    fn bands(&self, bins: usize, hz: f64, sample_rate: u32) -> Result<Vec<Band>> {
        let refuse = |field, problem: String| Err(Error::Spec { field, problem });
        if self.n_bands == 0 {
            return refuse("contrast.n_bands", "is 0, must be at least 1".into());
        }
        if self.f_min.is_nan() || self.f_min <= 0.0 {
            return refuse("contrast.f_min", format!("is {} Hz, must be over 0", self.f_min));
        }
        if !(self.quantile > 0.0 && self.quantile < 1.0) {
            return refuse("contrast.quantile", format!("is {}, must be over 0 and below 1", self.quantile));
        }
        let octave = |i: usize| self.f_min * libm::exp2(i as f64);
        let nyquist = 0.5 * f64::from(sample_rate);
        if octave(self.n_bands - 1) >= nyquist {
            return refuse(
                "contrast.n_bands",
                format!("{} octaves over {} Hz exceed half the sample rate, {nyquist} Hz", self.n_bands, self.f_min),
            );
        }
        let mut bands = Vec::with_capacity(self.n_bands + 1);
        for band in 0..=self.n_bands {
            let low = if band == 0 { 0.0 } else { octave(band - 1) };
            let high = octave(band);
            let first = (0..bins).find(|&k| k as f64 * hz >= low).unwrap_or(bins);
            let beyond = (first..bins).find(|&k| k as f64 * hz > high).unwrap_or(bins);
            let start = if band > 0 { first.saturating_sub(1) } else { first };
            let end = if band == self.n_bands { bins } else { beyond.max(start) };
            let extremes = libm::rint(self.quantile * (end - start) as f64).max(1.0) as usize;
            // librosa has no value for a band of one bin; we keep that bin.
            let end = if band < self.n_bands && end - start > 1 { end - 1 } else { end };
            bands.push(Band { extremes: extremes.min(end - start), bins: start..end });
        }
        Ok(bands)
    }
}

/// Spectral contrast `[n_bands + 1, frames]` in dB (≥ 0): in each octave band, the level of the mean of its strongest
/// bins over that of its weakest (Jiang et al., "Music type classification by spectral contrast feature", 2002).
///
/// As in librosa, a level is `10·log10` of a magnitude of at least 1e-10, and of the strongest bins, as of the weakest, no more
/// than 80 dB below the greatest of their own in the clip. A silent frame gives 0, and so does a band without a bin.
///
/// # Errors
/// [`Error::Spec`] for parameters out of range, or bands beyond half the sample rate.
pub fn contrast(magnitude: ArrayView2<'_, f32>, sample_rate: u32, spec: &ContrastSpec) -> Result<Array2<f32>> {
    let s = Rows::new(magnitude);
    let bands = spec.bands(s.bins(), s.bin_hz(sample_rate), sample_rate)?;
    let frames = s.frames();
    let mut valley = vec![0.0f64; bands.len() * frames];
    let mut peak = vec![0.0f64; bands.len() * frames];
    for (b, band) in bands.iter().enumerate() {
        if band.bins.is_empty() {
            continue;
        }
        let valley = &mut valley[b * frames..][..frames];
        let peak = &mut peak[b * frames..][..frames];
        if band.extremes <= MAX_SLOTS {
            simd::dispatch(ExtremesByInsertion { s: &s, band, valley, peak });
        } else {
            extremes_by_selection(&s, band, valley, peak);
        }
    }
    decibels(&mut valley);
    decibels(&mut peak);
    Ok(Array2::from_shape_fn((bands.len(), frames), |(b, t)| (peak[b * frames + t] - valley[b * frames + t]) as f32))
}

/// Frames side by side in [`ExtremesByInsertion`].
const LANES: usize = 16;
/// Up to this many extremes, keeping them sorted without a branch beats selection.
const MAX_SLOTS: usize = 16;

/// Means of the least and of the greatest bins of `band`, `LANES` frames at a time: each bin sinks through the sorted
/// extremes by minima and maxima alone.
struct ExtremesByInsertion<'a> {
    s: &'a Rows<'a>,
    band: &'a Band,
    valley: &'a mut [f64],
    peak: &'a mut [f64],
}

impl WithSimd for ExtremesByInsertion<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { s, band, valley, peak } = self;
        let slots = band.extremes.min(MAX_SLOTS);
        let mut start = 0;
        while start < s.frames() {
            let width = LANES.min(s.frames() - start);
            let mut least = [[f32::INFINITY; LANES]; MAX_SLOTS];
            let mut greatest = [[f32::NEG_INFINITY; LANES]; MAX_SLOTS];
            for k in band.bins.clone() {
                let mut low = [0.0f32; LANES];
                low[..width].copy_from_slice(&s.row(k)[start..start + width]);
                let mut high = low;
                for (least, greatest) in least[..slots].iter_mut().zip(&mut greatest[..slots]) {
                    for lane in 0..LANES {
                        let (a, x) = (least[lane], low[lane]);
                        least[lane] = if x < a { x } else { a };
                        low[lane] = if x < a { a } else { x };
                        let (a, x) = (greatest[lane], high[lane]);
                        greatest[lane] = if x > a { x } else { a };
                        high[lane] = if x > a { a } else { x };
                    }
                }
            }
            for lane in 0..width {
                valley[start + lane] = mean_of_lane(&least[..slots], lane);
                peak[start + lane] = mean_of_lane(&greatest[..slots], lane);
            }
            start += width;
        }
    }
}

#[inline(always)]
fn mean_of_lane(slots: &[[f32; LANES]], lane: usize) -> f64 {
    slots.iter().map(|slot| f64::from(slot[lane])).sum::<f64>() / slots.len() as f64
}

/// The same by selection, a frame at a time, for long frames with many bins in a band.
fn extremes_by_selection(s: &Rows<'_>, band: &Band, valley: &mut [f64], peak: &mut [f64]) {
    let mut column = Vec::with_capacity(band.bins.len());
    let n = band.extremes;
    let mean = |extremes: &mut [f32]| {
        extremes.sort_unstable_by(f32::total_cmp);
        extremes.iter().map(|&m| f64::from(m)).sum::<f64>() / extremes.len() as f64
    };
    for t in 0..s.frames() {
        column.clear();
        column.extend(band.bins.clone().map(|k| s.row(k)[t]));
        column.select_nth_unstable_by(n - 1, f32::total_cmp);
        valley[t] = mean(&mut column[..n]);
        let from = column.len() - n;
        column.select_nth_unstable_by(from, f32::total_cmp);
        peak[t] = mean(&mut column[from..]);
    }
}

/// `librosa.power_to_db` with its defaults, in place.
fn decibels(values: &mut [f64]) {
    let mut max = f64::NEG_INFINITY;
    for v in values.iter_mut() {
        *v = 10.0 * libm::log10(v.max(1e-10));
        max = max.max(*v);
    }
    for v in values {
        *v = v.max(max - 80.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spectrogram(bins: usize, frames: usize) -> impl Strategy<Value = Array2<f32>> {
        prop::collection::vec(prop_oneof![Just(0.0f32), 1e-6f32..1e-3, 0.01f32..50.0], bins * frames)
            .prop_map(move |v| Array2::from_shape_vec((bins, frames), v).expect("the length is right"))
    }

    proptest! {
        #[test]
        fn flatness_is_the_ratio_of_means(s in spectrogram(1100, 3)) {
            for (t, flat) in flatness(s.view(), FLATNESS_AMIN).into_iter().enumerate() {
                let p: Vec<f64> = s.column(t).iter().map(|&m| f64::from((m * m).max(1e-10))).collect();
                let n = p.len() as f64;
                let want = (p.iter().map(|p| p.ln()).sum::<f64>() / n).exp() / (p.iter().sum::<f64>() / n);
                prop_assert!((f64::from(flat) / want - 1.0).abs() < 1e-6);
            }
        }

        #[test]
        fn insertion_and_selection_agree(s in spectrogram(90, 37), slots in 1usize..=MAX_SLOTS) {
            let rows = Rows::new(s.view());
            let band = Band { bins: 3..88, extremes: slots };
            let mut a = (vec![0.0; 37], vec![0.0; 37]);
            let mut b = a.clone();
            simd::dispatch(ExtremesByInsertion { s: &rows, band: &band, valley: &mut a.0, peak: &mut a.1 });
            extremes_by_selection(&rows, &band, &mut b.0, &mut b.1);
            for (x, y) in a.0.iter().chain(&a.1).zip(b.0.iter().chain(&b.1)) {
                prop_assert!((x - y).abs() <= 1e-12 * y);
            }
        }

        #[test]
        fn everything_is_finite_and_in_range(s in spectrogram(65, 9)) {
            let c = centroid(s.view(), 22_050);
            for v in c.iter().chain(&bandwidth(s.view(), 22_050, &c)?).chain(&rolloff(s.view(), 22_050, ROLL_PERCENT)) {
                prop_assert!((0.0..=11_025.0).contains(v));
            }
            prop_assert!(flatness(s.view(), FLATNESS_AMIN).iter().all(|v| (0.0..=1.000_001).contains(v)));
            // From the loudest bin down to the least level, 1e-10.
            let most = 10.0 * s.iter().copied().fold(1e-10, f32::max).log10() + 100.001;
            prop_assert!(contrast(s.view(), 22_050, &ContrastSpec::default())?.iter().all(|v| (0.0..=most).contains(v)));
        }

        #[test]
        fn layout_does_not_matter(s in spectrogram(33, 5)) {
            let columns = s.t().as_standard_layout().into_owned();
            prop_assert_eq!(centroid(s.view(), 8000), centroid(columns.t(), 8000));
        }
    }

    #[test]
    fn silence() -> Result<()> {
        let s = Array2::zeros((1025, 2));
        assert_eq!(centroid(s.view(), 22_050), [0.0, 0.0]);
        assert_eq!(bandwidth(s.view(), 22_050, &[0.0, 0.0])?, [0.0, 0.0]);
        assert_eq!(rolloff(s.view(), 22_050, ROLL_PERCENT), [0.0, 0.0]);
        assert!(flatness(s.view(), FLATNESS_AMIN).iter().all(|f| (f - 1.0).abs() < 1e-6));
        assert!(contrast(s.view(), 22_050, &ContrastSpec::default())?.iter().all(|&c| c == 0.0));
        Ok(())
    }

    /// Peaks and valleys are held to 80 dB below the greatest of their own, as in librosa: where every valley is silent, the
    /// contrast is over 100 dB.
    #[test]
    fn where_every_valley_is_silent_the_contrast_is_that_to_the_least_level() -> Result<()> {
        let mut s = Array2::zeros((65, 1));
        s[[30, 0]] = 50.0;
        let greatest = contrast(s.view(), 22_050, &ContrastSpec::default())?.iter().copied().fold(0.0, f32::max);
        assert!((greatest - (100.0 + 10.0 * 50.0f32.log10())).abs() < 1e-4, "{greatest}");
        Ok(())
    }

    #[test]
    fn a_single_bin() -> Result<()> {
        let mut s = Array2::zeros((1025, 1));
        s[[100, 0]] = 3.0;
        let hz = (100.0 * 22_050.0 / 2048.0) as f32;
        assert_eq!(centroid(s.view(), 22_050), [hz]);
        assert!(bandwidth(s.view(), 22_050, &[hz])?[0] < 1e-3);
        assert_eq!(rolloff(s.view(), 22_050, ROLL_PERCENT), [hz]);
        Ok(())
    }

    #[test]
    fn no_frames_and_few_bins() -> Result<()> {
        let none = Array2::zeros((1025, 0));
        assert!(centroid(none.view(), 22_050).is_empty());
        assert_eq!(contrast(none.view(), 22_050, &ContrastSpec::default())?.dim(), (7, 0));
        for bins in 0..12 {
            let few = Array2::from_elem((bins, 3), 0.5);
            let contrast = contrast(few.view(), 22_050, &ContrastSpec::default())?;
            assert!(contrast.iter().all(|c| c.is_finite()), "{bins} bins");
            assert!(
                centroid(few.view(), 22_050).iter().chain(&rolloff(few.view(), 22_050, 0.85)).all(|v| v.is_finite())
            );
            assert!(flatness(few.view(), FLATNESS_AMIN).iter().all(|v| v.is_finite()));
        }
        Ok(())
    }

    #[test]
    fn refuses_bands_beyond_nyquist_and_bad_shapes() {
        let s = Array2::zeros((65, 2));
        assert!(matches!(contrast(s.view(), 8000, &ContrastSpec::default()), Err(Error::Spec { .. })));
        let spec = ContrastSpec { quantile: f64::NAN, ..ContrastSpec::default() };
        assert!(matches!(contrast(s.view(), 22_050, &spec), Err(Error::Spec { .. })));
        assert!(matches!(bandwidth(s.view(), 8000, &[0.0]), Err(Error::Shape { .. })));
    }
}
