//! Degraded audio: what happens to a recording on its way to whoever classifies it, each with its parameters.
//!
//! The same clip, parameters and seed give the same bits on every CPU. Codecs are not here: they are the work of other programs.

use features::{Clip, dsp::resample::SAMPLE_RATES};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, biquad::Biquad, rng::Rng};

/// Largest gain or loss, in dB.
const MOST_DB: f64 = 120.0;
/// Largest delay of an echo, in milliseconds.
const MOST_DELAY: f64 = 10_000.0;
/// Echoes at most.
const MOST_ECHOES: usize = 64;
/// Order of the low-pass and the high-pass: 48 dB an octave.
const ORDER: usize = 8;

/// Something that is done to a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Degradation {
    /// Louder or softer.
    Gain {
        /// By so many dB, −120 to 120.
        db: f64,
    },
    /// Louder, and cut off at full scale (±1).
    Clipping {
        /// By so many dB, −120 to 120.
        db: f64,
    },
    /// Noise is added.
    Noise {
        /// Its spectrum.
        colour: NoiseColour,
        /// Its RMS in dB, −120 to 120.
        db: f64,
        /// What has 0 dB.
        relative_to: NoiseReference,
    },
    /// Bass is raised or lowered, by a shelf.
    Bass {
        /// By so many dB, −120 to 120.
        db: f64,
        /// Where half of that is reached, in Hz.
        #[serde(default = "bass_hz")]
        hz: f64,
    },
    /// Treble is raised or lowered, by a shelf.
    Treble {
        /// By so many dB, −120 to 120.
        db: f64,
        /// Where half of that is reached, in Hz.
        #[serde(default = "treble_hz")]
        hz: f64,
    },
    /// What is above a frequency is taken away, by 48 dB an octave (Butterworth).
    LowPass {
        /// Where 3 dB are taken, in Hz. A clip without anything above stays as it is.
        hz: f64,
    },
    /// What is below a frequency is taken away, by 48 dB an octave (Butterworth).
    HighPass {
        /// Where 3 dB are taken, in Hz, below half of the sample rate.
        hz: f64,
    },
    /// Another sample rate, by [`Clip::resampled`].
    SampleRate {
        /// In Hz, 1,000 to 768,000.
        hz: u32,
    },
    /// A room of a few reflections: `output · (input · x(t) + Σ gain · x(t − ms))`. The clip becomes longer by the last of them.
    Echoes {
        /// Gain of the sound itself.
        input: f64,
        /// Gain of all of it.
        output: f64,
        /// The reflections, 1 to 64.
        taps: Vec<Echo>,
    },
    /// Faster or slower, with its pitch, as a record or a tape is.
    Speed {
        /// 0.1 to 10; above 1 is faster.
        factor: f64,
    },
    /// Silence in places that are drawn, as of packets that were lost: one gap in every so many seconds.
    Gaps {
        /// Length of a gap in seconds, above 0.
        seconds: f64,
        /// In each so many seconds of the clip there is one; longer than a gap.
        every: f64,
    },
}

/// A reflection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Echo {
    /// How much later it is heard, in milliseconds, 0 to 10,000.
    pub ms: f64,
    /// Its gain, −10 to 10.
    pub gain: f64,
}

/// The spectrum of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseColour {
    /// Equal power in each Hz.
    White,
    /// Equal power in each octave: white noise through P. Kellet's filter (musicdsp.org, 1999).
    Pink,
    /// 6 dB less with each octave: white noise through a leaky integrator.
    Brown,
}

/// What a level is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseReference {
    /// An RMS of 1.
    FullScale,
    /// The RMS of the clip.
    Clip,
}

fn bass_hz() -> f64 {
    100.0
}

fn treble_hz() -> f64 {
    3_000.0
}

impl Degradation {
    /// Checks what types do not say.
    ///
    /// # Errors
    /// [`Error::Option`] with the field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let within = |name, value: f64, low: f64, high: f64| match (low..=high).contains(&value) {
            true => Ok(()),
            false => Err(Error::Option { name, problem: format!("is {value}; expected {low} to {high}") }),
        };
        let of_db = |db| within("db", db, -MOST_DB, MOST_DB);
        let of_hz = |hz| within("hz", hz, 10.0, f64::from(*SAMPLE_RATES.end()));
        match self {
            Self::Gain { db } | Self::Clipping { db } | Self::Noise { db, .. } => of_db(*db),
            Self::Bass { db, hz } | Self::Treble { db, hz } => of_db(*db).and_then(|()| of_hz(*hz)),
            Self::LowPass { hz } | Self::HighPass { hz } => of_hz(*hz),
            Self::SampleRate { hz } => {
                within("hz", f64::from(*hz), f64::from(*SAMPLE_RATES.start()), f64::from(*SAMPLE_RATES.end()))
            }
            Self::Echoes { input, output, taps } => {
                within("input", *input, -10.0, 10.0)?;
                within("output", *output, -10.0, 10.0)?;
                within("taps", taps.len() as f64, 1.0, MOST_ECHOES as f64)?;
                taps.iter().try_for_each(|Echo { ms, gain }| {
                    within("ms", *ms, 0.0, MOST_DELAY)?;
                    within("gain", *gain, -10.0, 10.0)
                })
            }
            Self::Speed { factor } => within("factor", *factor, 0.1, 10.0),
            Self::Gaps { seconds, every } => {
                within("seconds", *seconds, 0.001, 60.0)?;
                within("every", *every, *seconds, 3_600.0)
            }
        }
    }

    /// Does it to a clip; what is drawn is drawn from `rng`. Samples beyond full scale stay as they are, but for
    /// [`Clipping`](Self::Clipping): see [`to_16_bits`].
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate); [`Error::Option`] for a frequency that the sample rate of the clip has no place for;
    /// [`Error::Features`] for a rate that is out of range.
    pub fn apply(&self, clip: &Clip, rng: &mut Rng) -> Result<Clip> {
        self.validate()?;
        let rate = f64::from(clip.sample_rate());
        let mut samples = clip.samples().to_vec();
        let has_place = |hz: f64| match hz < 0.48 * rate {
            true => Ok(()),
            false => Err(Error::Option {
                name: "hz",
                problem: format!("is {hz}, and the clip has {rate} samples a second; expected less than 0.48 of that"),
            }),
        };
        match self {
            Self::Gain { db } => scale(&mut samples, *db),
            Self::Clipping { db } => {
                scale(&mut samples, *db);
                samples.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
            }
            Self::Noise { colour, db, relative_to } => {
                let reference = match relative_to {
                    NoiseReference::FullScale => 1.0,
                    NoiseReference::Clip => rms(&samples),
                };
                let noise = colour.noise(samples.len(), rng);
                let factor = amplitude(*db) * reference / rms(&noise).max(f64::MIN_POSITIVE);
                let add = |(sample, noise): (&mut f32, &f32)| *sample += (factor * f64::from(*noise)) as f32;
                samples.iter_mut().zip(&noise).for_each(add);
            }
            Self::Bass { db, hz } => {
                has_place(*hz)?;
                Biquad::low_shelf_at(rate, *hz, *db).apply(&mut samples);
            }
            Self::Treble { db, hz } => {
                has_place(*hz)?;
                Biquad::high_shelf_at(rate, *hz, *db).apply(&mut samples);
            }
            Self::LowPass { hz } if has_place(*hz).is_err() => {}
            Self::LowPass { hz } => {
                qualities().for_each(|q| Biquad::low_pass_at(rate, *hz, q).apply(&mut samples));
            }
            Self::HighPass { hz } => {
                has_place(*hz)?;
                qualities().for_each(|q| Biquad::high_pass_at(rate, *hz, q).apply(&mut samples));
            }
            Self::SampleRate { hz } => return Ok(clip.resampled(*hz)?.into_owned()),
            Self::Echoes { input, output, taps } => samples = echoes(&samples, rate, *input, *output, taps),
            Self::Speed { factor } => {
                let faster = Clip::new(samples, (rate * factor).round() as u32)?;
                return Ok(faster.resampled(clip.sample_rate())?.into_owned());
            }
            Self::Gaps { seconds, every } => {
                let frames = |seconds: f64| ((seconds * rate).round() as usize).max(1);
                let (gap, every) = (frames(*seconds), frames(*every));
                for stretch in samples.chunks_mut(every) {
                    // The last stretch has its share of a gap.
                    let gap = gap * stretch.len() / every;
                    let start = rng.below(stretch.len() - gap + 1);
                    stretch[start..start + gap].fill(0.0);
                }
            }
        }
        Ok(Clip::new(samples, clip.sample_rate())?)
    }
}

/// The clip as a file of 16 bits holds it: rounded, without dither, and cut off at full scale.
///
/// # Errors
/// None: the samples of a clip are numbers.
pub fn to_16_bits(clip: &Clip) -> Result<Clip> {
    let samples = i16_samples(clip).map(|sample| f32::from(sample) / 32_768.0).collect();
    Ok(Clip::new(samples, clip.sample_rate())?)
}

/// The samples of a clip as a file of 16 bits has them: full scale is 32,768, rounded to the nearest.
pub fn i16_samples(clip: &Clip) -> impl Iterator<Item = i16> + '_ {
    clip.samples().iter().map(|sample| (sample * 32_768.0).round_ties_even().clamp(-32_768.0, 32_767.0) as i16)
}

impl NoiseColour {
    /// So many samples of it, of any level.
    fn noise(self, n: usize, rng: &mut Rng) -> Vec<f32> {
        let white = std::iter::repeat_with(|| 2.0 * rng.unit() - 1.0).take(n);
        match self {
            Self::White => white.map(|white| white as f32).collect(),
            Self::Pink => {
                const POLES: [[f64; 2]; 6] = [
                    [0.998_86, 0.055_517_9],
                    [0.993_32, 0.075_075_9],
                    [0.969, 0.153_852],
                    [0.866_5, 0.310_485_6],
                    [0.55, 0.532_952_2],
                    [-0.761_6, -0.016_898],
                ];
                let (mut state, mut last) = ([0.0; 6], 0.0);
                let next = |white: f64| {
                    let mut pink = last + 0.536_2 * white;
                    for (state, [pole, gain]) in state.iter_mut().zip(POLES) {
                        *state = pole * *state + gain * white;
                        pink += *state;
                    }
                    last = 0.115_926 * white;
                    pink as f32
                };
                white.map(next).collect()
            }
            Self::Brown => {
                let mut level = 0.0;
                let next = |white: f64| {
                    level = (level + 0.02 * white) / 1.02;
                    level as f32
                };
                white.map(next).collect()
            }
        }
    }
}

/// The qualities of the second-order parts of a Butterworth filter of [`ORDER`].
fn qualities() -> impl Iterator<Item = f64> {
    let angle = |part: usize| std::f64::consts::PI * (2 * part + 1) as f64 / (2 * ORDER) as f64;
    (0..ORDER / 2).map(move |part| 0.5 / libm::sin(angle(part)))
}

fn echoes(samples: &[f32], rate: f64, input: f64, output: f64, taps: &[Echo]) -> Vec<f32> {
    let delayed: Vec<(usize, f64)> =
        taps.iter().map(|Echo { ms, gain }| ((ms * rate / 1_000.0) as usize, *gain)).collect();
    let longest = delayed.iter().map(|(delay, _)| *delay).max().unwrap_or(0);
    let at = |index: Option<usize>| index.and_then(|index| samples.get(index)).map_or(0.0, |&x| f64::from(x));
    let one = |index: usize| {
        let reflected: f64 = delayed.iter().map(|(delay, gain)| gain * at(index.checked_sub(*delay))).sum();
        (output * (input * at(Some(index)) + reflected)) as f32
    };
    (0..samples.len() + longest).map(one).collect()
}

fn amplitude(db: f64) -> f64 {
    libm::pow(10.0, db / 20.0)
}

fn scale(samples: &mut [f32], db: f64) {
    let factor = amplitude(db);
    samples.iter_mut().for_each(|sample| *sample = (factor * f64::from(*sample)) as f32);
}

fn rms(samples: &[f32]) -> f64 {
    let squares: f64 = samples.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
    (squares / samples.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests;
