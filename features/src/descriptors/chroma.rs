//! Chroma: the strength of each of the twelve pitch classes, and the tuning.

use libm::{exp, log2, log2f, sqrt};
use ndarray::{Array2, ArrayView2};

use crate::{Error, Result, descriptors::spectral::Rows};

/// Parameters of [`filters`]; the default is `librosa.filters.chroma`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChromaSpec {
    /// Pitch classes in an octave; at least 1.
    pub n_chroma: usize,
    /// Centre of the weighting of octaves, in octaves over A0 (27.5 Hz).
    pub centre_octave: f64,
    /// Deviation of that Gaussian weighting, in octaves; `None` weighs all octaves alike.
    pub octave_width: Option<f64>,
    /// Whether class 0 is C (otherwise A).
    pub base_c: bool,
}

impl Default for ChromaSpec {
    fn default() -> Self {
        Self { n_chroma: 12, centre_octave: 5.0, octave_width: Some(2.0), base_c: true }
    }
}

/// Weights `[n_chroma, n_fft / 2 + 1]` of each bin of a power spectrum in each pitch class, for an instrument tuned
/// `tuning` (in classes, −0.5 to 0.5) off A440: Gaussian bumps, each bin's weights of norm 1 before the octaves are weighted.
///
/// After `librosa.filters.chroma` (Ellis, "Chroma feature analysis and synthesis", 2007).
///
/// # Errors
/// [`Error::Spec`] for no classes, an octave width that is not over 0, or an `n_fft` below 2.
pub fn filters(sample_rate: u32, n_fft: usize, tuning: f64, spec: &ChromaSpec) -> Result<Array2<f32>> {
    let refuse = |field, problem: String| Err(Error::Spec { field, problem });
    let n = spec.n_chroma;
    if n == 0 {
        return refuse("chroma.n_chroma", "is 0, must be at least 1".into());
    }
    if spec.octave_width.is_some_and(|w| w.is_nan() || w <= 0.0) {
        return refuse("chroma.octave_width", "must be over 0".into());
    }
    if n_fft < 2 {
        return refuse("stft.n_fft", format!("is {n_fft}, must be at least 2 for chroma"));
    }
    let bins = n_fft / 2 + 1;
    let classes = n as f64;
    // Pitch of each bin in classes over A0; one bin more than we need, for the width of the last.
    let reference = 440.0 * libm::exp2(tuning / classes) / 16.0;
    let hz = f64::from(sample_rate) / n_fft as f64;
    let mut pitch: Vec<f64> = (0..=bins).map(|k| classes * log2(k as f64 * hz / reference)).collect();
    // 0 Hz has no pitch: librosa puts it one and a half octaves below the first bin.
    pitch[0] = pitch[1] - 1.5 * classes;
    let half = libm::round(classes / 2.0);
    let shift = if spec.base_c { 3 * (n / 12) % n } else { 0 };
    let mut weights = Array2::zeros((n, bins));
    let mut column = vec![0.0f64; n];
    for k in 0..bins {
        let width = (pitch[k + 1] - pitch[k]).max(1.0);
        for (c, weight) in column.iter_mut().enumerate() {
            let distance = (pitch[k] - c as f64 + half + 10.0 * classes).rem_euclid(classes) - half;
            let z = 2.0 * distance / width;
            *weight = exp(-0.5 * (z * z));
        }
        let norm = sqrt(column.iter().map(|w| w * w).sum());
        let norm = if norm < f64::MIN_POSITIVE { 1.0 } else { norm };
        let octave = spec.octave_width.map_or(1.0, |width| {
            let z = (pitch[k] / classes - spec.centre_octave) / width;
            exp(-0.5 * (z * z))
        });
        for c in 0..n {
            weights[[c, k]] = (column[(c + shift) % n] / norm * octave) as f32;
        }
    }
    Ok(weights)
}

/// Frames side by side in [`chroma`].
const LANES: usize = 32;

/// Chromagram `[n_chroma, frames]` (0 to 1, the greatest of a frame 1) of a power spectrogram `[bins, frames]` by
/// `filters` `[n_chroma, bins]`, as `librosa.feature.chroma_stft` (`norm=inf`). A silent frame is all 0.
///
/// # Errors
/// [`Error::Shape`] if the filters are for another number of bins.
pub fn chroma(power: ArrayView2<'_, f32>, filters: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
    let (n, bins) = filters.dim();
    if bins != power.nrows() {
        return Err(Error::Shape {
            what: "bins of the chroma filters",
            expected: power.nrows().to_string(),
            found: bins.to_string(),
        });
    }
    let s = Rows::new(power);
    // Weights of one bin lie together, for the loop below takes them so.
    let by_bin: Vec<f32> = filters.t().iter().copied().collect();
    let mut out = Array2::zeros((n, s.frames()));
    let mut sums = vec![[0.0f32; LANES]; n];
    let mut start = 0;
    while start < s.frames() {
        let width = LANES.min(s.frames() - start);
        sums.fill([0.0; LANES]);
        for k in 0..bins {
            let mut x = [0.0f32; LANES];
            x[..width].copy_from_slice(&s.row(k)[start..start + width]);
            for (sum, &weight) in sums.iter_mut().zip(&by_bin[k * n..(k + 1) * n]) {
                for (sum, x) in sum.iter_mut().zip(x) {
                    *sum += weight * x;
                }
            }
        }
        for lane in 0..width {
            let greatest = sums.iter().map(|sum| sum[lane]).fold(0.0f32, f32::max);
            let norm = if greatest < f32::MIN_POSITIVE { 1.0 } else { greatest };
            for (c, sum) in sums.iter().enumerate() {
                out[[c, start + lane]] = sum[lane] / norm;
            }
        }
        start += width;
    }
    Ok(out)
}

/// Chromagram `[12, frames]` of a power spectrogram `[bins, frames]` at its own tuning: [`estimate_tuning`], [`filters`]
/// and [`chroma`] with librosa's defaults.
///
/// # Errors
/// [`Error::Spec`] for a spectrogram of fewer than 2 bins.
pub fn chroma_stft(power: ArrayView2<'_, f32>, sample_rate: u32) -> Result<Array2<f32>> {
    let n_fft = 2 * power.nrows().saturating_sub(1);
    let tuning = estimate_tuning(power, sample_rate, 12);
    chroma(power, filters(sample_rate, n_fft, tuning, &ChromaSpec::default())?.view())
}

/// Peaks are sought from here …
const PITCH_MIN_HZ: f64 = 150.0;
/// … to below here, in Hz,
const PITCH_MAX_HZ: f64 = 4000.0;
/// and no lower than this part of the greatest bin of their frame.
const PEAK_THRESHOLD: f32 = 0.1;
/// Steps of tuning to a class.
const TUNING_STEPS: usize = 100;

/// Tuning of a clip in classes off A440 (−0.5 to 0.49, in steps of 0.01), from its spectrogram `[bins, frames]`; 0 if
/// it has no peak.
///
/// The commonest deviation among the stronger half of the spectral peaks, each placed by parabolic interpolation, as
/// `librosa.estimate_tuning(S=…)` finds it. `chroma_stft` of librosa hands it the power spectrogram, and so do we.
/// Arithmetic on pitches is `f32`, as librosa's is, so that peaks fall into the same steps.
#[must_use]
pub fn estimate_tuning(spectrogram: ArrayView2<'_, f32>, sample_rate: u32, bins_per_octave: usize) -> f64 {
    let s = Rows::new(spectrogram);
    let peaks = pitch_peaks(&s, sample_rate);
    let Some(threshold) = median(&mut peaks.iter().map(|p| p.magnitude).collect::<Vec<_>>()) else { return 0.0 };
    let mut counts = [0u32; TUNING_STEPS];
    for peak in peaks.iter().filter(|p| p.magnitude >= threshold) {
        let classes = bins_per_octave as f32 * log2f(peak.hz / 27.5);
        let mut residual = classes.rem_euclid(1.0);
        if residual >= 0.5 {
            residual -= 1.0;
        }
        counts[tuning_step(residual)] += 1;
    }
    let mut best = 0;
    for (step, &count) in counts.iter().enumerate() {
        if count > counts[best] {
            best = step;
        }
    }
    tuning_edge(best)
}

/// Lower edge of a step of tuning, as `np.linspace(-0.5, 0.5, 101)` places it.
fn tuning_edge(step: usize) -> f64 {
    step as f64 * (1.0 / TUNING_STEPS as f64) - 0.5
}

/// The step whose edges enclose `residual` (−0.5 to 0.5).
fn tuning_step(residual: f32) -> usize {
    let residual = f64::from(residual);
    let guess = ((residual + 0.5) * TUNING_STEPS as f64) as usize;
    let mut step = guess.min(TUNING_STEPS - 1);
    // The guess is rounded; the edges decide.
    while step > 0 && residual < tuning_edge(step) {
        step -= 1;
    }
    while step + 1 < TUNING_STEPS && residual >= tuning_edge(step + 1) {
        step += 1;
    }
    step
}

struct Peak {
    hz: f32,
    magnitude: f32,
}

/// The peaks that `librosa.piptrack` finds, bin by bin and in each by frame.
fn pitch_peaks(s: &Rows<'_>, sample_rate: u32) -> Vec<Peak> {
    let hz = s.bin_hz(sample_rate);
    let mut threshold = vec![0.0f32; s.frames()];
    for k in 0..s.bins() {
        for (threshold, &m) in threshold.iter_mut().zip(s.row(k)) {
            *threshold = if m > *threshold { m } else { *threshold };
        }
    }
    for threshold in &mut threshold {
        *threshold *= PEAK_THRESHOLD;
    }
    let mut peaks = Vec::new();
    for k in 1..s.bins().saturating_sub(1) {
        let frequency = k as f64 * hz;
        if !(PITCH_MIN_HZ..PITCH_MAX_HZ.min(0.5 * f64::from(sample_rate))).contains(&frequency) {
            continue;
        }
        let frames = s.row(k - 1).iter().zip(s.row(k)).zip(s.row(k + 1)).zip(&threshold);
        for (((&before, &here), &after), &threshold) in frames {
            if here > threshold && here > before && here >= after {
                let curvature = after + before - 2.0 * here;
                let slope = (after - before) / 2.0;
                let shift = if slope.abs() >= curvature.abs() { 0.0 } else { -slope / curvature };
                peaks.push(Peak {
                    hz: ((k as f64 + f64::from(shift)) * hz) as f32,
                    magnitude: here + 0.5 * slope * shift,
                });
            }
        }
    }
    peaks
}

/// The median as `np.median` takes it, `None` of nothing; reorders `values`.
pub(crate) fn median(values: &mut [f32]) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    if !even {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn silence_has_no_chroma_and_no_tuning() -> Result<()> {
        let s = Array2::zeros((1025, 4));
        assert_eq!(estimate_tuning(s.view(), 22_050, 12), 0.0);
        assert!(chroma_stft(s.view(), 22_050)?.iter().all(|&c| c == 0.0));
        assert_eq!(chroma_stft(Array2::zeros((1025, 0)).view(), 22_050)?.dim(), (12, 0));
        Ok(())
    }

    #[test]
    fn few_bins() -> Result<()> {
        assert!(matches!(chroma_stft(Array2::zeros((1, 4)).view(), 22_050), Err(Error::Spec { .. })));
        for bins in 2..9 {
            let chroma = chroma_stft(Array2::from_elem((bins, 4), 0.3).view(), 22_050)?;
            assert!(chroma.iter().all(|c| (0.0..=1.0).contains(c)), "{bins} bins");
        }
        Ok(())
    }

    #[test]
    fn a_bin_at_440_hz_is_an_a() -> Result<()> {
        let mut s = Array2::zeros((1025, 1));
        s[[41, 0]] = 1.0; // 441.4 Hz
        let chroma = chroma_stft(s.view(), 22_050)?;
        assert_eq!(chroma[[9, 0]], 1.0);
        assert!((0..12).filter(|&c| c != 9).all(|c| chroma[[c, 0]] < 0.2));
        Ok(())
    }

    #[test]
    fn filters_of_another_size_are_refused() -> Result<()> {
        let filters = filters(22_050, 512, 0.0, &ChromaSpec::default())?;
        assert!(matches!(chroma(Array2::zeros((1025, 1)).view(), filters.view()), Err(Error::Shape { .. })));
        Ok(())
    }

    proptest! {
        #[test]
        fn a_step_encloses_its_residual(residual in -0.5f32..0.5) {
            let step = tuning_step(residual);
            prop_assert!(tuning_edge(step) <= f64::from(residual));
            prop_assert!(step == TUNING_STEPS - 1 || f64::from(residual) < tuning_edge(step + 1));
        }

        #[test]
        fn median_is_the_middle(mut values in prop::collection::vec(-9.0f32..9.0, 1..40)) {
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let n = sorted.len();
            let want = if n % 2 == 1 { sorted[n / 2] } else { (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0 };
            prop_assert_eq!(median(&mut values), Some(want));
        }

        #[test]
        fn chroma_is_from_0_to_1(v in prop::collection::vec(0.0f32..9.0, 65 * 7)) {
            let s = Array2::from_shape_vec((65, 7), v).expect("the length is right");
            prop_assert!(chroma_stft(s.view(), 22_050)?.iter().all(|c| (0.0..=1.0).contains(c)));
        }
    }
}
