//! The frame-wise features of a clip: the log-mel spectrogram, which a feature store keeps and both models take, and the series of
//! descriptors that need more than it.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Axis, Slice};

use crate::{
    Error, Result,
    spec::{Descriptor, Quantisation},
};

/// A log-mel spectrogram in dB, of shape `[n_mels, n_frames]`, with at least one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct LogMel {
    db: Array2<f32>,
}

impl LogMel {
    /// Wraps a matrix of shape `[n_mels, n_frames]` in dB.
    ///
    /// # Errors
    /// [`Error::Shape`] when it has no band or no frame, or holds a value that is not finite.
    pub fn new(db: Array2<f32>) -> Result<Self> {
        if db.is_empty() {
            return Err(shape_error("at least one band and one frame".into(), format!("{:?}", db.shape())));
        }
        if let Some(value) = db.iter().find(|v| !v.is_finite()) {
            return Err(shape_error("finite decibels".into(), value.to_string()));
        }
        Ok(Self { db: db.as_standard_layout().into_owned() })
    }

    /// Reads the 8-bit levels of a store, row-major `[n_mels, n_frames]`: `dB = floor_db + step_db · level`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `levels` does not have `n_mels · n_frames` values.
    pub fn from_levels(levels: &[u8], n_mels: usize, n_frames: usize, quantisation: &Quantisation) -> Result<Self> {
        let table: Vec<f32> = (0..=u8::MAX).map(|level| quantisation.db(level)).collect();
        let db = levels.iter().map(|&level| table[usize::from(level)]).collect();
        let db = Array2::from_shape_vec((n_mels, n_frames), db)
            .map_err(|_| shape_error(format!("{n_mels} × {n_frames} levels"), levels.len().to_string()))?;
        Self::new(db)
    }

    /// The 8-bit levels that a store keeps, row-major `[n_mels, n_frames]`.
    #[must_use]
    pub fn levels(&self, quantisation: &Quantisation) -> Vec<u8> {
        self.db.iter().map(|&db| quantisation.level(db)).collect()
    }

    /// This spectrogram as a store would give it back.
    #[must_use]
    pub fn quantised(mut self, quantisation: &Quantisation) -> Self {
        self.db.mapv_inplace(|db| quantisation.db(quantisation.level(db)));
        self
    }

    /// Decibels, `[n_mels, n_frames]`.
    #[must_use]
    pub fn db(&self) -> ArrayView2<'_, f32> {
        self.db.view()
    }

    /// Mel bands.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.db.nrows()
    }

    /// Frames in time.
    #[must_use]
    pub fn n_frames(&self) -> usize {
        self.db.ncols()
    }

    /// Frames `start..end` alone.
    ///
    /// # Errors
    /// [`Error::Shape`] when the range is empty or ends after the last frame.
    pub fn frames(&self, start: usize, end: usize) -> Result<Self> {
        if start >= end || end > self.n_frames() {
            return Err(shape_error(format!("frames within 0..{}", self.n_frames()), format!("{start}..{end}")));
        }
        Ok(Self { db: self.db.slice_axis(Axis(1), Slice::from(start..end)).as_standard_layout().into_owned() })
    }
}

/// The frame-wise features of one clip: the log-mel and the series, from which its vectors are computed.
///
/// A row of a log-mel store is one whose `series` are empty.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFeatures {
    log_mel: LogMel,
    series: BTreeMap<Descriptor, Array2<f32>>,
}

impl From<LogMel> for ClipFeatures {
    fn from(log_mel: LogMel) -> Self {
        Self { log_mel, series: BTreeMap::new() }
    }
}

impl ClipFeatures {
    /// Joins a log-mel with series of shape `[rows, n_frames]`, one for each descriptor that needs more than the log-mel.
    ///
    /// # Errors
    /// [`Error::Shape`] when a series has another number of frames than the log-mel.
    pub fn new(log_mel: LogMel, series: BTreeMap<Descriptor, Array2<f32>>) -> Result<Self> {
        for values in series.values() {
            if values.ncols() != log_mel.n_frames() {
                return Err(Error::Shape {
                    what: "series of a descriptor",
                    expected: format!("{} frames", log_mel.n_frames()),
                    found: format!("{} frames", values.ncols()),
                });
            }
        }
        Ok(Self { log_mel, series })
    }

    /// The log-mel spectrogram.
    #[must_use]
    pub fn log_mel(&self) -> &LogMel {
        &self.log_mel
    }

    /// The series of a descriptor, `[rows, n_frames]`, where it was computed.
    #[must_use]
    pub fn series(&self, descriptor: Descriptor) -> Option<ArrayView2<'_, f32>> {
        self.series.get(&descriptor).map(Array2::view)
    }

    /// Every series that was computed, ordered by descriptor.
    pub fn all_series(&self) -> impl Iterator<Item = (Descriptor, ArrayView2<'_, f32>)> {
        self.series.iter().map(|(&descriptor, values)| (descriptor, values.view()))
    }

    /// Frames `start..end` alone.
    ///
    /// # Errors
    /// [`Error::Shape`] when the range is empty or ends after the last frame.
    pub fn frames(&self, start: usize, end: usize) -> Result<Self> {
        let log_mel = self.log_mel.frames(start, end)?;
        let series = self
            .series
            .iter()
            .map(|(&d, values)| (d, values.slice_axis(Axis(1), Slice::from(start..end)).to_owned()))
            .collect();
        Ok(Self { log_mel, series })
    }
}

impl Quantisation {
    /// The level of a value in dB: the nearest, halves away from zero, clamped to 0..=255.
    #[must_use]
    pub fn level(&self, db: f32) -> u8 {
        // A float that is out of range saturates in `as`, which is the clamp.
        ((f64::from(db) - self.floor_db) / self.step_db).round() as u8
    }

    /// The dB of a level.
    #[must_use]
    pub fn db(&self, level: u8) -> f32 {
        (self.floor_db + self.step_db * f64::from(level)) as f32
    }
}

fn shape_error(expected: String, found: String) -> Error {
    Error::Shape { what: "log-mel", expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STORE: Quantisation = Quantisation { floor_db: -80.0, step_db: 0.5 };

    proptest! {
        #[test]
        fn levels_survive_a_round_trip(levels in proptest::collection::vec(any::<u8>(), 12)) {
            let log_mel = LogMel::from_levels(&levels, 3, 4, &STORE).expect("3 × 4 levels");
            prop_assert_eq!(log_mel.levels(&STORE), levels);
            prop_assert_eq!(log_mel.clone().quantised(&STORE), log_mel);
        }

        #[test]
        fn quantisation_is_within_half_a_step_inside_its_range(db in -80.0f32..47.5) {
            let back = STORE.db(STORE.level(db));
            prop_assert!((back - db).abs() <= 0.2500001);
        }
    }

    #[test]
    fn out_of_range_levels_clamp() {
        assert_eq!(STORE.level(-200.0), 0);
        assert_eq!(STORE.level(200.0), 255);
        assert!(LogMel::from_levels(&[1, 2, 3], 2, 2, &STORE).is_err());
    }
}
