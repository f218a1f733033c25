//! [`Signal`]: what kind of sound a clip is, by statistics of its log-mel that cost little beside it.
//!
//! A classifier of music has a label for everything. What it is given may be speech, noise or a tone, and these differ from music in
//! ways that need no training set: noise has a smooth spectrum and frames that do not depend on each other, tones have all their power
//! in a few bands, a hum does not change, and speech is broken up by pauses in which the whole spectrum changes. The thresholds were
//! set on synthetic sounds and on GTZAN's `train` and `valid` parts (`docs/decisions/0028-novelty.md`), so that hardly any music is
//! taken for another kind. The distance from a training set, which catches more, is in the crate `models`.

use ndarray::{ArrayView2, Axis, Slice};
use serde::{Deserialize, Serialize};

use crate::{ClipFeatures, Extractor, Result};

/// What kind of sound a clip is. Silence is an error of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// A hum or a tone that does not change.
    Constant,
    /// Tones alone: beeps, a sweep.
    Tonal,
    /// Noise, rain, applause, clicks.
    NoiseLike,
    /// Speech, or what is broken up as speech is.
    SpeechLike,
    /// None of these.
    Music,
}

impl Signal {
    /// Every kind, in the order in which they are tried.
    pub const ALL: [Self; 5] = [Self::Constant, Self::Tonal, Self::NoiseLike, Self::SpeechLike, Self::Music];

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Tonal => "tonal",
            Self::NoiseLike => "noise-like",
            Self::SpeechLike => "speech-like",
            Self::Music => "music",
        }
    }

    /// What a clip of this kind sounds like, for a person: a sentence; none of music.
    #[must_use]
    pub fn sentence(self) -> Option<&'static str> {
        match self {
            Self::Constant => Some("It sounds like a constant hum or tone."),
            Self::Tonal => Some("It sounds like plain tones."),
            Self::NoiseLike => Some("It sounds like noise."),
            Self::SpeechLike => Some("It sounds like speech."),
            Self::Music => None,
        }
    }

    /// Whether it is music as far as this tells.
    #[must_use]
    pub fn is_music(self) -> bool {
        self == Self::Music
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Seconds between two frames that the statistics are defined for, about: those of GTZAN's store. Frames that follow more closely are
/// left out, so that a change from one to the next is that of the same time.
const STEP_SECONDS: f64 = 1920.0 / 22_050.0;
/// Bands whose flatness is taken, in Hz.
const FLATNESS_HZ: [f64; 2] = [150.0, 8_000.0];
/// Levels further below the loudest band of the clip, in dB, count as this far below it: they are inaudible.
const AUDIBLE_DB: f64 = 60.0;
/// The same of the level of frames.
const LEVEL_DB: f64 = 50.0;

/// The statistics that decide; levels and spectra in dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignalStatistics {
    /// From the 5th to the 95th percentile of the level of frames; music has 6 to 25.
    pub range: f64,
    /// Deviation of the level.
    pub level_deviation: f64,
    /// Deviation over time of the spectral flatness (mean of the bands in dB, less the level of their mean power): how much the kind of
    /// spectrum changes. Noise has under 0.6, music 1.8 to 5, speech over 5.5.
    pub flatness_deviation: f64,
    /// Mean change of a band from frame to frame; a hum has 0, music 3 to 8.
    pub flux: f64,
    /// Mean square of that change over twice the variance of a band (J. von Neumann 1941): 1 where frames do not depend on each other,
    /// as those of noise; music has 0.2 to 0.8.
    pub independence: f64,
    /// Mean distance of a band from the mean of its neighbours; music has 2.1 to 3.8, noise 1.1 to 1.7.
    pub roughness: f64,
    /// Mean share of the power that the three strongest bands of a frame have, 0 to 1; music has 0.4 to 0.7, a tone 1.
    pub concentration: f64,
}

impl SignalStatistics {
    /// Of a log-mel in dB, `[n_mels, n_frames]` with three bands and two frames at least, whose bands have these centres in Hz. Every sum
    /// is in a fixed order. Of less than that all are 0.
    #[must_use]
    pub fn new(db: ArrayView2<'_, f32>, centres: &[f64]) -> Self {
        let (n_mels, n_frames) = db.dim();
        if n_mels < 3 || n_frames < 2 || centres.len() != n_mels {
            return Self {
                range: 0.0,
                level_deviation: 0.0,
                flatness_deviation: 0.0,
                flux: 0.0,
                independence: 0.0,
                roughness: 0.0,
                concentration: 0.0,
            };
        }
        let loudest = db.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let floor = f64::from(loudest) - AUDIBLE_DB;
        let audible = db.mapv(|value| f64::from(value).max(floor));
        let power = db.mapv(|value| power_of(f64::from(value)));
        let least = power_of(floor);

        let (mut levels, mut flatness, mut concentration) = (Vec::new(), Vec::new(), 0.0);
        let chosen: Vec<usize> =
            (0..n_mels).filter(|&band| (FLATNESS_HZ[0]..FLATNESS_HZ[1]).contains(&centres[band])).collect();
        let n_chosen = chosen.len().max(1) as f64;
        for frame in 0..n_frames {
            let (of_frame, powers) = (audible.column(frame), power.column(frame));
            let total: f64 = powers.iter().sum();
            levels.push(10.0 * libm::log10(total + LEAST_POWER));
            let mean_db = chosen.iter().map(|&band| of_frame[band]).sum::<f64>() / n_chosen;
            let mean_power = chosen.iter().map(|&band| powers[band].max(least)).sum::<f64>() / n_chosen;
            flatness.push(mean_db - 10.0 * libm::log10(mean_power.max(LEAST_POWER)));
            concentration += strongest(powers.iter().copied()) / (total + LEAST_POWER);
        }
        let top = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        levels.iter_mut().for_each(|level| *level = level.max(top - LEVEL_DB));

        let (mut flux, mut squares, mut variance) = (0.0, 0.0, 0.0);
        for row in audible.axis_iter(Axis(0)) {
            let mean = row.iter().sum::<f64>() / n_frames as f64;
            variance += row.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n_frames as f64;
            for (before, after) in row.iter().zip(row.iter().skip(1)) {
                flux += (after - before).abs();
                squares += (after - before) * (after - before);
            }
        }
        let changes = (n_mels * (n_frames - 1)) as f64;
        let mut roughness = 0.0;
        for band in 1..n_mels - 1 {
            for frame in 0..n_frames {
                let neighbours = (audible[[band - 1, frame]] + audible[[band + 1, frame]]) / 2.0;
                roughness += (audible[[band, frame]] - neighbours).abs();
            }
        }
        Self {
            level_deviation: deviation(&levels),
            range: percentile(&mut levels, 0.95) - percentile(&mut levels, 0.05),
            flatness_deviation: deviation(&flatness),
            flux: flux / changes,
            independence: (squares / changes) / (2.0 * variance / n_mels as f64 + 1e-6),
            roughness: roughness / ((n_mels - 2) * n_frames) as f64,
            concentration: concentration / n_frames as f64,
        }
    }

    /// The kind of sound that has such statistics.
    #[must_use]
    pub fn signal(&self) -> Signal {
        let Self { range, level_deviation, flatness_deviation, flux, independence, roughness, concentration } = *self;
        let level = level_deviation < 0.1;
        if flatness_deviation < 1.0 && (level || (level_deviation < 0.5 && flux < 0.8)) {
            return Signal::Constant;
        }
        // The level of music changes by more.
        if concentration > 0.88 || level {
            return Signal::Tonal;
        }
        let steady = flatness_deviation < 0.7;
        let independent = independence > 0.9 && roughness < 2.1 && flatness_deviation < 1.2;
        // Clicks, sweeps, and claps that are few.
        let smooth = roughness < 0.5 || (range > 25.0 && flatness_deviation < 2.5 && concentration < 0.3);
        if steady || independent || smooth {
            return Signal::NoiseLike;
        }
        if self.speech() > 0.0 { Signal::SpeechLike } else { Signal::Music }
    }

    /// Over 0 for speech: a logistic regression of synthetic speech against GTZAN, from which music is kept away by one unit.
    #[must_use]
    pub fn speech(&self) -> f64 {
        SPEECH_BIAS
            + SPEECH_RANGE * self.range
            + SPEECH_FLATNESS * self.flatness_deviation
            + SPEECH_FLUX * self.flux
            + SPEECH_INDEPENDENCE * self.independence
            + SPEECH_CONCENTRATION * self.concentration
    }
}

// Fitted by `experiments/bench/novelty.py signal`.
const SPEECH_BIAS: f64 = -8.4;
const SPEECH_RANGE: f64 = 0.18;
const SPEECH_FLATNESS: f64 = 1.59;
const SPEECH_FLUX: f64 = 0.11;
const SPEECH_INDEPENDENCE: f64 = 4.51;
const SPEECH_CONCENTRATION: f64 = -15.27;

/// Keeps logarithms and quotients finite.
const LEAST_POWER: f64 = 1e-10;

fn power_of(db: f64) -> f64 {
    libm::exp(db * (std::f64::consts::LN_10 / 10.0))
}

/// Sum of the three largest of values that are not negative.
fn strongest(values: impl Iterator<Item = f64>) -> f64 {
    let mut top = [0.0; 3];
    for value in values {
        if value > top[2] {
            top[2] = value;
            if top[2] > top[1] {
                top.swap(1, 2);
            }
            if top[1] > top[0] {
                top.swap(0, 1);
            }
        }
    }
    top[0] + top[1] + top[2]
}

/// Population deviation.
fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    libm::sqrt(values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n)
}

/// The value below which that share lies, between neighbours by a line, as numpy has it. Sorts `values`, of which there is one at least.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = share * (values.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(values.len() - 1);
    values[below] + (values[above] - values[below]) * (at - below as f64)
}

impl Extractor {
    /// What kind of sound a clip is: the kind that most of its segments have; of equals the last in the order of [`Signal::ALL`], so
    /// that a clip that is half music is music.
    ///
    /// # Errors
    /// Those of [`Extractor::segment_spans`]; [`Error::Shape`](crate::Error::Shape) when `features` has another number of bands than the
    /// specification.
    pub fn signal(&self, features: &ClipFeatures) -> Result<Signal> {
        self.check_bands(features)?;
        let log_mel = features.log_mel();
        let hop_seconds = self.spec().stft.hop_length as f64 / f64::from(self.spec().sample_rate);
        let stride = (STEP_SECONDS / hop_seconds).round().max(1.0) as isize;
        let mut counts = [0usize; Signal::ALL.len()];
        for span in self.segment_spans(log_mel.n_frames())? {
            let frames = log_mel.frames(span.start, span.end)?;
            let db = frames.db();
            let thinned = db.slice_axis(Axis(1), Slice::new(0, None, stride));
            let signal = SignalStatistics::new(thinned, self.band_centres()).signal();
            if let Some(place) = Signal::ALL.iter().position(|other| *other == signal) {
                counts[place] += 1;
            }
        }
        let last_of_most = (0..counts.len()).max_by_key(|&place| counts[place]);
        Ok(last_of_most.map_or(Signal::Music, |place| Signal::ALL[place]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clip, FeatureSpec, LogMel};

    fn statistics(level: impl Fn(usize, usize) -> usize) -> SignalStatistics {
        let extractor = Extractor::new(FeatureSpec::gtzan_store()).expect("valid");
        let quantisation = extractor.spec().quantisation.expect("a store has levels");
        let levels: Vec<u8> = (0..128 * 40).map(|at| level(at / 40, at % 40) as u8).collect();
        let log_mel = LogMel::from_levels(&levels, 128, 40, &quantisation).expect("128 × 40 levels");
        SignalStatistics::new(log_mel.db(), extractor.band_centres())
    }

    /// `experiments/parity/novelty_golden.py`.
    #[test]
    fn statistics_are_those_of_numpy() {
        let busy = statistics(|b, t| (37 * b + 101 * t + 7 * ((b * t) % 53)) % 160 + 40);
        let peaked = statistics(|b, t| 200 - (3 * b.abs_diff(30 + t % 3)).min(160) - (11 * t) % 37);
        let expected = [
            [
                3.1519854167,
                0.926142448204,
                0.655649229827,
                22.1310096154,
                0.996637806609,
                21.7428571429,
                0.333073530882,
            ],
            [
                16.5499985809,
                5.35955693053,
                2.43680742351,
                3.88321314103,
                1.22101363937,
                0.0189484126984,
                0.413115068577,
            ],
        ];
        for (found, expected) in [busy, peaked].iter().zip(expected) {
            let values = [
                found.range,
                found.level_deviation,
                found.flatness_deviation,
                found.flux,
                found.independence,
                found.roughness,
                found.concentration,
            ];
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-9 * (1.0 + expected), "{found:?} {expected}");
            }
        }
    }

    /// Seconds of samples, from the time and a number within ±1 that is drawn for each.
    fn signal(spec: FeatureSpec, seconds: f64, sample: impl Fn(f64, f64) -> f64) -> Signal {
        let mut state = 1u64;
        let samples = (0..(seconds * 22_050.0) as usize).map(|n| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let drawn = (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            sample(n as f64 / 22_050.0, drawn) as f32
        });
        let clip = Clip::new(samples.collect(), 22_050).expect("finite");
        let extractor = Extractor::new(spec).expect("valid");
        extractor.signal(&extractor.extract(&clip).expect("long enough")).expect("its own features")
    }

    #[test]
    fn what_is_no_music_is_told_by_any_specification() {
        let tone = |hz: f64, t: f64| libm::sin(std::f64::consts::TAU * hz * t);
        for spec in [FeatureSpec::gtzan_store(), FeatureSpec::librosa()] {
            for seconds in [4.0, 35.0] {
                let of = |sample: &dyn Fn(f64, f64) -> f64| signal(spec.clone(), seconds, sample);
                let hum = |t: f64| 0.2 * tone(50.0, t) + 0.1 * tone(100.0, t) + 0.05 * tone(150.0, t);
                assert_eq!(of(&|_, drawn| 0.3 * drawn), Signal::NoiseLike);
                let [steady, humming] = [of(&|t, _| 0.3 * tone(440.0, t)), of(&|t, _| hum(t))];
                // Where frames are centred, the first and the last are half silent.
                if spec.stft.center {
                    assert!(!steady.is_music() && !humming.is_music());
                } else {
                    assert_eq!([steady, humming], [Signal::Constant; 2]);
                }
                // It rises from 100 to 300 Hz and falls back, each in a second.
                let siren = |t: f64| tone(200.0, t - 0.5 * libm::sin(std::f64::consts::PI * t) / std::f64::consts::PI);
                assert!(!of(&|t, _| 0.3 * siren(t)).is_music());
                assert!(!of(&|t, _| if t % 0.5 < 0.0005 { 0.9 } else { 0.0 }).is_music());
            }
        }
    }

    #[test]
    fn too_little_to_tell_is_no_panic() {
        let nothing = SignalStatistics::new(ndarray::Array2::zeros((2, 9)).view(), &[1.0, 2.0]);
        assert_eq!((nothing.flux, nothing.signal()), (0.0, Signal::Constant));
        let names: Vec<String> =
            Signal::ALL.iter().map(|signal| serde_json::to_string(signal).expect("a string")).collect();
        assert_eq!(names, Signal::ALL.map(|signal| format!("\"{signal}\"")));
    }
}
