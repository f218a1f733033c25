//! Tempogram and tempo: how often the onsets of a clip return.

use libm::{cos, log1p, log2};
use ndarray::Array2;
use simd::{Simd, WithSimd};

/// Parameters of [`tempo`]; the default is `librosa.feature.tempo`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TempoSpec {
    /// Seconds of the window of the autocorrelation.
    pub window_seconds: f64,
    /// The likeliest tempo in beats a minute.
    pub start_bpm: f64,
    /// Deviation of the tempo about it, in octaves.
    pub std_octaves: f64,
    /// Tempi from here on are ruled out, in beats a minute.
    pub max_bpm: f64,
}

impl Default for TempoSpec {
    fn default() -> Self {
        Self { window_seconds: 8.0, start_bpm: 120.0, std_octaves: 1.0, max_bpm: 320.0 }
    }
}

/// Window of librosa's tempogram, in frames.
pub const TEMPOGRAM_WINDOW: usize = 384;

/// Tempogram `[window, frames]` of an onset strength: for each frame, the autocorrelation (lags 0 to `window − 1` frames)
/// of the Hann-windowed strength around it, scaled to 1 at lag 0; all 0 where the window holds no onset.
///
/// As `librosa.feature.tempogram` (`norm=inf`), whose window is [`TEMPOGRAM_WINDOW`]: the strength is continued by
/// `window / 2` values that fall to 0 in a line. Sums are direct and in `f64`, rising in time, not by way of an FFT.
#[must_use]
pub fn tempogram(onset_strength: &[f32], window: usize) -> Array2<f32> {
    let frames = onset_strength.len();
    let mut out = Array2::zeros((window, frames));
    autocorrelate(onset_strength, window, |lag, row| {
        for (out, &v) in out.row_mut(lag).iter_mut().zip(row) {
            *out = v as f32;
        }
    });
    out
}

/// Tempo in beats a minute from an onset strength at `sample_rate / hop_length` values a second: the lag with the
/// greatest mean of the [`tempogram`], weighed by a log-normal prior (`librosa.feature.tempo`, `aggregate=np.mean`).
///
/// Only tempi of a whole number of frames exist: at 22 050 Hz and hop 512, 117.45 and 123.05 are neighbours. Without any
/// onset it is the tempo nearest to `start_bpm`, as in librosa. It is 0 where there is no tempo to choose: no values,
/// or a window that holds no lag below `max_bpm`.
#[must_use]
pub fn tempo(onset_strength: &[f32], sample_rate: u32, hop_length: usize, spec: &TempoSpec) -> f64 {
    let hop = hop_length.max(1);
    let window = libm::floor(spec.window_seconds * f64::from(sample_rate)) as usize / hop;
    let frames = onset_strength.len();
    if frames == 0 {
        return 0.0;
    }
    let bpm = |lag: usize| 60.0 * f64::from(sample_rate) / (hop * lag) as f64;
    let mut best: Option<(f64, usize)> = None;
    autocorrelate(onset_strength, window, |lag, row| {
        if lag == 0 || bpm(lag) >= spec.max_bpm {
            return;
        }
        let mean = row.iter().sum::<f64>() / frames as f64;
        let octaves = (log2(bpm(lag)) - log2(spec.start_bpm)) / spec.std_octaves;
        let score = log1p(1e6 * mean.max(0.0)) - 0.5 * (octaves * octaves);
        if best.is_none_or(|(greatest, _)| score > greatest) {
            best = Some((score, lag));
        }
    });
    best.map_or(0.0, |(_, lag)| bpm(lag))
}

/// Frames whose sums stay in registers.
const LANES: usize = 16;

/// Hands `use_row` the rows of the tempogram in rising lag.
///
/// With window `w` and lag `l`, frame `t` sums `w[n]·w[n+l] · x[t+n]·x[t+n+l]` over `n`: a filter over the products of
/// `x` with itself, so that neighbouring frames are neighbours in memory.
fn autocorrelate(x: &[f32], window: usize, mut use_row: impl FnMut(usize, &[f64])) {
    let frames = x.len();
    if frames == 0 || window == 0 {
        return;
    }
    let hann: Vec<f64> =
        (0..window).map(|n| 0.5 - 0.5 * cos(2.0 * std::f64::consts::PI * n as f64 / window as f64)).collect();
    let x = ramped(x, window / 2);
    // Whole blocks of frames; what lies beyond the last is 0.
    let padded = frames.next_multiple_of(LANES);
    let mut products = vec![0.0f64; padded + window];
    let mut row = vec![0.0f64; padded];
    let mut scale = vec![0.0f64; padded];
    let mut weights = Vec::with_capacity(window);
    for lag in 0..window {
        weights.clear();
        weights.extend(hann.iter().zip(&hann[lag..]).map(|(a, b)| a * b));
        products.fill(0.0);
        for (product, (a, b)) in products.iter_mut().zip(x.iter().zip(&x[lag.min(x.len())..])) {
            *product = a * b;
        }
        simd::dispatch(Filter { weights: &weights, input: &products, output: &mut row });
        if lag == 0 {
            // No lag correlates better than none, so this is the norm; without an onset, librosa divides by 1.
            for (scale, &energy) in scale.iter_mut().zip(&row) {
                *scale = if energy < f64::MIN_POSITIVE { 1.0 } else { energy };
            }
        }
        for (value, scale) in row.iter_mut().zip(&scale) {
            *value /= scale;
        }
        use_row(lag, &row[..frames]);
    }
}

/// `output[t] = Σ weights[n] · input[t + n]`, `LANES` values of `t` at a time, `n` rising.
///
/// `output` has whole blocks of `LANES`, and `input` at least `output.len() + weights.len() − 1` values.
struct Filter<'a> {
    weights: &'a [f64],
    input: &'a [f64],
    output: &'a mut [f64],
}

impl WithSimd for Filter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (block, sums) in self.output.chunks_exact_mut(LANES).enumerate() {
            let mut lanes = [0.0f64; LANES];
            let input = &self.input[block * LANES..];
            for (&weight, input) in self.weights.iter().zip(input.windows(LANES)) {
                for (lane, &x) in lanes.iter_mut().zip(input) {
                    *lane += weight * x;
                }
            }
            sums.copy_from_slice(&lanes);
        }
    }
}

/// `x` with `pad` values rising from 0 before it and falling to 0 after it (`np.pad(mode="linear_ramp")`).
fn ramped(x: &[f32], pad: usize) -> Vec<f64> {
    let edge = |v: Option<&f32>| v.map_or(0.0, |&v| f64::from(v));
    let ramp = |edge: f64| (0..pad).map(move |i| f64::from((edge * (i as f64 / pad as f64)) as f32));
    let mut out: Vec<f64> = ramp(edge(x.first())).collect();
    out.extend(x.iter().map(|&v| f64::from(v)));
    let tail: Vec<f64> = ramp(edge(x.last())).collect();
    out.extend(tail.iter().rev());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_definition(x: &[f32], window: usize) -> Array2<f64> {
        let padded = ramped(x, window / 2);
        Array2::from_shape_fn((window, x.len()), |(lag, t)| {
            let windowed: Vec<f64> = (0..window)
                .map(|n| {
                    let hann = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / window as f64).cos();
                    hann * padded.get(t + n).copied().unwrap_or(0.0)
                })
                .collect();
            let ac = |lag: usize| windowed.iter().zip(&windowed[lag..]).map(|(a, b)| a * b).sum::<f64>();
            if ac(0) > 0.0 { ac(lag) / ac(0) } else { 0.0 }
        })
    }

    proptest! {
        #[test]
        fn tempogram_agrees_with_the_definition(
            x in prop::collection::vec(prop_oneof![Just(0.0f32), 0.0f32..5.0], 1..50), window in 1usize..40,
        ) {
            let (got, want) = (tempogram(&x, window), by_definition(&x, window));
            prop_assert_eq!(got.dim(), want.dim());
            for (g, w) in got.iter().zip(&want) {
                prop_assert!((f64::from(*g) - w).abs() < 1e-6, "{} {}", g, w);
            }
        }
    }

    #[test]
    fn pulses_have_their_tempo() {
        // One onset every 25 frames of 512 samples at 22 050 Hz.
        let x: Vec<f32> = (0..1292).map(|t| if t % 25 == 0 { 1.0 } else { 0.0 }).collect();
        let bpm = tempo(&x, 22_050, 512, &TempoSpec::default());
        assert!((bpm - 60.0 * 22_050.0 / 512.0 / 25.0).abs() < 1e-9, "{bpm}");
    }

    #[test]
    fn without_onsets_the_prior_decides() {
        let bpm = tempo(&[0.0; 200], 22_050, 512, &TempoSpec::default());
        assert!((bpm - 60.0 * 22_050.0 / 512.0 / 22.0).abs() < 1e-9, "{bpm}");
    }

    #[test]
    fn degenerate_series_and_windows() {
        assert_eq!(tempo(&[], 22_050, 512, &TempoSpec::default()), 0.0);
        assert!(tempo(&[1.0], 22_050, 512, &TempoSpec::default()) > 0.0);
        assert_eq!(tempo(&[1.0; 9], 1, 512, &TempoSpec::default()), 0.0);
        assert!(tempo(&[1.0; 9], 22_050, 0, &TempoSpec { window_seconds: 0.01, ..TempoSpec::default() }) >= 0.0);
        assert_eq!(tempogram(&[], 384).dim(), (384, 0));
        assert_eq!(tempogram(&[1.0; 9], 0).dim(), (0, 9));
    }
}
