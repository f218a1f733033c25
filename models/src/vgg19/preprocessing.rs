//! [`Preprocessor`]: from a log-mel to the three planes that the network takes.

use std::{borrow::Cow, ops::Range};

use burn::tensor::{Device, Tensor, TensorData};
use features::{LogMel, descriptors::delta};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::network::Normalisation;

/// How one log-mel becomes three planes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// The same in all three.
    #[default]
    Repeat,
    /// The log-mel, its slope and its curvature in time.
    Deltas,
    /// The log-mel, its mean over 9 frames, and its mean over 9 bands: three resolutions.
    Resolutions,
}

/// Slope and curvature of a standardised log-mel, brought to about the size of the log-mel itself.
pub const DELTA_GAINS: [f32; 2] = [8.0, 32.0];
/// Frames, or bands, that a coarse resolution is the mean of.
pub const COARSE: usize = 9;

/// What makes the network's input of a log-mel.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessor {
    /// How bands are normalised; each normalisation is an input of its own.
    pub normalisations: Vec<Normalisation>,
    /// The planes.
    pub channels: Channels,
    /// Mean of each band in dB.
    pub mean: Vec<f32>,
    /// Deviation of each band in dB; over 0.
    pub deviation: Vec<f32>,
    /// A shorter log-mel is repeated until it has as many frames.
    pub min_frames: usize,
    /// Rows of a plane for each band, 1 to [`MAX_BAND_UPSAMPLING`]. The filters were trained on photographs, in which things
    /// are larger than two neighbouring bands.
    pub band_upsampling: usize,
}

/// Most rows that a band may be drawn as.
pub const MAX_BAND_UPSAMPLING: usize = 8;

impl Preprocessor {
    /// Bands.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.mean.len()
    }

    /// `(dB − mean) / deviation`, band by band; repeated in time where it is short.
    ///
    /// # Shapes
    /// - `log_mel`: `[n_mels, frames]`
    /// - result: `[n_mels, max(frames, min_frames)]`
    #[must_use]
    pub fn standardise(&self, log_mel: &LogMel) -> Array2<f32> {
        self.standardise_part(log_mel, 0..log_mel.n_frames())
    }

    /// The same of the part `frames`, which must lie in the log-mel and not be empty.
    pub(super) fn standardise_part(&self, log_mel: &LogMel, frames: Range<usize>) -> Array2<f32> {
        let db = log_mel.db();
        Array2::from_shape_fn((db.nrows(), frames.len().max(self.min_frames)), |(band, frame)| {
            (db[[band, frames.start + frame % frames.len()]] - self.mean[band]) / self.deviation[band]
        })
    }

    /// Rows of a plane.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.n_mels() * self.band_upsampling
    }

    /// The planes of a batch of standardised log-mels of one size, all normalisations of the first before those of the second. Rows between
    /// the centres of two bands are interpolated linearly, those beyond the outermost centres repeat them.
    ///
    /// # Shapes
    /// - `batch`: each `[n_mels, frames]`
    /// - result: `[n · normalisations, 3, n_mels · band_upsampling, frames]`
    #[must_use]
    pub fn planes(&self, batch: &[Array2<f32>], device: &Device) -> Tensor<4> {
        let (n_mels, frames) = batch.first().map_or((0, 0), Array2::dim);
        let rows = n_mels * self.band_upsampling;
        let n = batch.len() * self.normalisations.len();
        let mut values: Vec<f32> = Vec::with_capacity(n * 3 * rows * frames);
        for (log_mel, normalisation) in batch
            .iter()
            .flat_map(|log_mel| self.normalisations.iter().map(move |normalisation| (log_mel, normalisation)))
        {
            let log_mel = &match normalisation {
                Normalisation::None => Cow::Borrowed(log_mel),
                Normalisation::Cmn => Cow::Owned(less_its_mean(log_mel.view())),
            };
            let [second, third] = match self.channels {
                Channels::Repeat => [log_mel.clone().into_owned(), log_mel.clone().into_owned()],
                Channels::Deltas => [
                    delta::delta(log_mel.view(), delta::Order::First) * DELTA_GAINS[0],
                    delta::delta(log_mel.view(), delta::Order::Second) * DELTA_GAINS[1],
                ],
                Channels::Resolutions => [smoothed(log_mel.view(), Axis(1)), smoothed(log_mel.view(), Axis(0))],
            };
            for plane in [log_mel.as_ref(), &second, &third] {
                for row in 0..rows {
                    let centre = (row as f32 + 0.5) / self.band_upsampling as f32 - 0.5;
                    let at = centre.clamp(0.0, n_mels.saturating_sub(1) as f32);
                    let (below, weight) = (at as usize, at - at.floor());
                    let above = plane.row((below + 1).min(n_mels - 1));
                    values.extend(plane.row(below).iter().zip(above).map(|(b, a)| b * (1.0 - weight) + a * weight));
                }
            }
        }
        Tensor::from_data(TensorData::new(values, [n, 3, rows, frames]), device)
    }
}

/// Each band less its mean over all frames.
fn less_its_mean(log_mel: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut result = log_mel.to_owned();
    for mut band in result.rows_mut() {
        let mean = band.iter().map(|&value| f64::from(value)).sum::<f64>() / band.len().max(1) as f64;
        band.mapv_inplace(|value| (f64::from(value) - mean) as f32);
    }
    result
}

/// Running mean of [`COARSE`] values along an axis, of fewer at its ends.
fn smoothed(values: ArrayView2<'_, f32>, axis: Axis) -> Array2<f32> {
    let mut result = Array2::zeros(values.raw_dim());
    for (source, mut target) in values.lanes(axis).into_iter().zip(result.lanes_mut(axis)) {
        let n = source.len();
        for i in 0..n {
            let (start, end) = (i.saturating_sub(COARSE / 2), (i + COARSE / 2 + 1).min(n));
            target[i] = (start..end).map(|j| source[j]).sum::<f32>() / (end - start) as f32;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(channels: Channels) -> Preprocessor {
        Preprocessor {
            normalisations: vec![Normalisation::None],
            channels,
            mean: vec![-10.0, -20.0],
            deviation: vec![2.0, 4.0],
            min_frames: 5,
            band_upsampling: 1,
        }
    }

    #[test]
    fn bands_are_standardised_and_short_clips_repeated() {
        let log_mel = LogMel::new(ndarray::array![[-8.0, -10.0], [-16.0, -28.0]]).unwrap();
        let expected = ndarray::array![[1.0, 0.0, 1.0, 0.0, 1.0], [1.0, -2.0, 1.0, -2.0, 1.0]];
        assert_eq!(input(Channels::Repeat).standardise(&log_mel), expected);
    }

    #[test]
    fn rows_between_bands_are_interpolated() {
        let upsampled = Preprocessor { band_upsampling: 2, ..input(Channels::Repeat) };
        let tensor = upsampled.planes(&[ndarray::array![[0.0, 8.0], [4.0, 8.0]]], &Device::flex());
        assert_eq!((tensor.dims(), upsampled.rows()), ([1, 3, 4, 2], 4));
        // Centres of the rows, in bands: −1/4, 1/4, 3/4, 5/4.
        let plane = [0.0, 8.0, 1.0, 8.0, 3.0, 8.0, 4.0, 8.0];
        assert_eq!(tensor.into_data().try_to_vec::<f32>().unwrap(), [plane, plane, plane].concat());
    }

    #[test]
    fn cepstral_mean_normalisation_removes_what_an_equaliser_does() {
        let normalisations = vec![Normalisation::None, Normalisation::Cmn];
        let input = Preprocessor { normalisations, min_frames: 3, ..input(Channels::Repeat) };
        let plain = LogMel::new(ndarray::array![[-8.0, -10.0, -6.0], [-16.0, -28.0, -22.0]]).unwrap();
        let equalised = LogMel::new(ndarray::array![[-5.0, -7.0, -3.0], [-26.0, -38.0, -32.0]]).unwrap();
        let tensor = input.planes(&[input.standardise(&plain), input.standardise(&equalised)], &Device::flex());
        assert_eq!(tensor.dims(), [4, 3, 2, 3]);
        let values = tensor.into_data().try_to_vec::<f32>().unwrap();
        let planes: Vec<_> = values.chunks(6).step_by(3).collect();
        assert_eq!(planes[0], [1.0, 0.0, 2.0, 1.0, -2.0, -0.5], "none");
        assert_eq!(planes[1], [0.0, -1.0, 1.0, 1.5, -1.5, 0.0], "CMN: the means are 1 and -0.5");
        assert_eq!(planes[2], [2.5, 1.5, 3.5, -1.5, -4.5, -3.0], "none, of the second log-mel");
        assert_eq!(planes[3], planes[1]);
    }

    #[test]
    fn the_first_plane_is_the_log_mel_and_the_others_are_what_their_name_says() {
        let ramp = Array2::from_shape_fn((2, 20), |(band, frame)| band as f32 + 0.125 * frame as f32);
        let planes = |channels| {
            let tensor = input(channels).planes(&[ramp.clone(), ramp.clone()], &Device::flex());
            assert_eq!(tensor.dims(), [2, 3, 2, 20]);
            tensor.into_data().try_to_vec::<f32>().unwrap()
        };
        let first: Vec<f32> = ramp.iter().copied().collect();
        let repeat = planes(Channels::Repeat);
        assert_eq!(repeat.len(), 6 * 40);
        assert!(repeat.chunks(40).all(|plane| plane == first));
        let deltas = planes(Channels::Deltas);
        assert_eq!(&deltas[..40], &first);
        assert!(deltas[40..80].iter().all(|value| (value - 1.0).abs() < 1e-5), "slope 1/8, gain 8");
        assert!(deltas[80..120].iter().all(|value| value.abs() < 1e-4), "a ramp is not curved");
        let resolutions = planes(Channels::Resolutions);
        assert!((resolutions[40 + 10] - first[10]).abs() < 1e-6, "the mean around a point of a ramp is the point");
        assert!((resolutions[80] - 0.5).abs() < 1e-6, "the mean of both bands");
    }
}
