//! Mono audio in memory.

use crate::{Error, Result};

/// Largest absolute value of a sample: files whose full scale is 2³¹ pass, and no power overflows an `f32`.
const MAX_AMPLITUDE: f32 = 1e10;

/// Mono audio: at least one sample, all finite and within ±1e10, at a known rate.
///
/// Full scale is ±1, as in librosa and libsndfile; samples beyond it stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    samples: Vec<f32>,
    sample_rate: u32,
}

impl Clip {
    /// Wraps `samples` (full scale ±1) at `sample_rate` in Hz.
    ///
    /// # Errors
    /// [`Error::Empty`] without a sample, [`Error::BadSample`] for a NaN, an infinity or a value beyond ±1e10, [`Error::Spec`] for a rate of 0.
    pub fn new(samples: Vec<f32>, sample_rate: u32) -> Result<Self> {
        if samples.is_empty() {
            return Err(Error::Empty);
        }
        if sample_rate == 0 {
            return Err(Error::Spec { field: "sample_rate", problem: "must be at least 1 Hz".into() });
        }
        check_samples(&samples)?;
        Ok(Self { samples, sample_rate })
    }

    /// The samples, full scale ±1.
    #[must_use]
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Samples a second, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate)
    }
}

/// Whether no sample is beyond ±`limit` or not a number.
pub(crate) fn are_within(samples: &[f32], limit: f32) -> bool {
    // Without an early end, so that many are compared at once.
    samples.iter().fold(true, |within, sample| within & (sample.abs() <= limit))
}

/// Refuses what is no sample.
pub(crate) fn check_samples(samples: &[f32]) -> Result<()> {
    if are_within(samples, MAX_AMPLITUDE) {
        return Ok(());
    }
    match samples.iter().position(|s| !s.is_finite() || s.abs() > MAX_AMPLITUDE) {
        Some(index) => Err(Error::BadSample { index, value: samples[index] }),
        None => Ok(()),
    }
}
