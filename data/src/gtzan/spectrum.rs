//! [`Spectrum`]: what is left of a clip of GTZAN when it is encoded anew or made louder.

use features::LogMel;
use serde::{Deserialize, Deserializer};

use crate::{Result, digest::hex};

/// Groups of neighbouring mel bands in a [`Spectrum`].
const GROUPS: usize = 16;
/// Mel bands of the features that spectra are of.
const N_MELS: usize = 128;

/// The mean level of a clip in 16 groups of mel bands, in half dB from the mean of all: what is left of a clip when it is encoded anew or
/// made louder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spectrum([i8; GROUPS]);

impl Spectrum {
    /// The spectrum of a log-mel of 128 bands; `None` of another.
    #[must_use]
    pub fn of(log_mel: &LogMel) -> Option<Self> {
        if log_mel.n_mels() != N_MELS {
            return None;
        }
        let width = N_MELS / GROUPS;
        let db = log_mel.db();
        let levels: [f64; GROUPS] = std::array::from_fn(|group| {
            let bands = group * width..(group + 1) * width;
            let sum: f64 = bands.map(|band| db.row(band).iter().map(|&db| f64::from(db)).sum::<f64>()).sum();
            sum / (width * log_mel.n_frames()) as f64
        });
        let mean = levels.iter().sum::<f64>() / GROUPS as f64;
        Some(Self(levels.map(|level| (2.0 * (level - mean)).round().clamp(-127.0, 127.0) as i8)))
    }

    /// The root mean square of the differences of all groups, in dB.
    #[must_use]
    pub fn distance(&self, other: &Self) -> f64 {
        let difference = |(&a, &b): (&i8, &i8)| (f64::from(a) - f64::from(b)) / 2.0;
        let sum: f64 = self.0.iter().zip(&other.0).map(difference).map(|difference| difference * difference).sum();
        (sum / GROUPS as f64).sqrt()
    }

    /// 32 hexadecimal digits, as the catalogue has it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0.map(i8::cast_unsigned))
    }

    /// The levels of the groups in dB, from the mean of all.
    #[must_use]
    pub fn decibels(&self) -> [f64; GROUPS] {
        self.0.map(|half| f64::from(half) / 2.0)
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut values = [0; GROUPS];
        if text.len() != 2 * GROUPS || !text.is_ascii() {
            return None;
        }
        for (index, value) in values.iter_mut().enumerate() {
            *value = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?.cast_signed();
        }
        Some(Self(values))
    }

    /// Reads a cell of the catalogue, which may be empty.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        Self::from_hex(&text).map(Some).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no spectrum")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn log_mel(tilt: f32) -> LogMel {
        LogMel::new(Array2::from_shape_fn((128, 344), |(band, _)| -40.0 - tilt * band as f32)).expect("finite")
    }

    #[test]
    fn a_spectrum_is_of_the_shape_and_not_of_the_level() {
        let of = |tilt| Spectrum::of(&log_mel(tilt)).expect("128 bands");
        let louder = LogMel::new(log_mel(0.25).db().mapv(|db| db + 12.0)).expect("finite");
        assert_eq!(of(0.25), Spectrum::of(&louder).expect("128 bands"));
        assert_eq!(of(0.0).distance(&of(0.0)), 0.0);
        assert!(of(0.0).distance(&of(0.25)) > 9.0);
        let text = of(0.25).to_hex();
        assert_eq!(Spectrum::from_hex(&text), Some(of(0.25)));
        for bad in ["", "00", &"zz".repeat(16), &"é".repeat(16)] {
            assert_eq!(Spectrum::from_hex(bad), None, "{bad}");
        }
        assert!(Spectrum::of(&LogMel::new(Array2::zeros((64, 344))).expect("finite")).is_none());
    }
}
