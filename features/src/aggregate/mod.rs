//! From the frames of a segment to one vector: a group of dimensions for each [`Descriptor`].

mod bands;
mod cepstrum;
mod modulation;
mod onset;
mod stats;
mod symmetric;
mod tracks;

use std::cell::OnceCell;

use ndarray::Array2;

use crate::{
    ClipFeatures, FeatureSpec, Result,
    descriptors::{descriptor::Descriptor, mfcc::Mfcc},
};
use modulation::ModulationSpectra;

/// Computes the vectors of a [`FeatureSpec`].
#[derive(Debug)]
pub(crate) struct Aggregator {
    descriptors: Vec<Descriptor>,
    n_mels: usize,
    mfcc: Mfcc,
}

/// What the groups are computed from; made once a segment, shared by the groups.
struct Frames<'a> {
    analysis: &'a ClipFeatures,
    /// `[n_mels, n_frames]`, in dB.
    log_mel: Vec<Vec<f64>>,
    /// `[n_mfcc, n_frames]`.
    mfcc: Vec<Vec<f64>>,
    modulation: OnceCell<ModulationSpectra>,
    flux: OnceCell<Vec<Vec<f64>>>,
}

impl Frames<'_> {
    fn modulation(&self) -> &ModulationSpectra {
        self.modulation.get_or_init(|| ModulationSpectra::new(&self.mfcc))
    }

    fn flux(&self) -> &[Vec<f64>] {
        self.flux.get_or_init(|| onset::flux(&self.log_mel))
    }
}

impl Aggregator {
    pub(crate) fn new(spec: &FeatureSpec) -> Result<Self> {
        let n_mels = spec.mel.n_mels;
        Ok(Self { descriptors: spec.descriptors.clone(), n_mels, mfcc: Mfcc::new(n_mels, spec.n_mfcc)? })
    }

    /// Name of each dimension.
    pub(crate) fn names(&self) -> Vec<String> {
        self.descriptors.iter().flat_map(|&descriptor| self.group_names(descriptor)).collect()
    }

    fn group_names(&self, descriptor: Descriptor) -> Vec<String> {
        let n_mfcc = self.mfcc.n_mfcc();
        match descriptor {
            Descriptor::Mfcc => cepstrum::statistics_names(n_mfcc),
            Descriptor::MfccDelta => cepstrum::delta_names(n_mfcc),
            Descriptor::MfccCorrelation => cepstrum::correlation_names(n_mfcc),
            Descriptor::MfccMean => cepstrum::mean_names(),
            Descriptor::MfccModulation => modulation::energy_names(n_mfcc),
            Descriptor::MfccModulationCovariance => modulation::covariance_names(n_mfcc),
            Descriptor::OnsetCovariance => onset::covariance_names(),
            Descriptor::OnsetStatistics => onset::statistics_names(),
            Descriptor::MelRoughness => bands::roughness_names(),
            Descriptor::MelSkewness => bands::skewness_names(),
            Descriptor::MelContrast => bands::contrast_names(),
            _ => tracks::names(descriptor),
        }
    }

    /// The vector of a segment, of as many dimensions as there are names.
    pub(crate) fn vector(&self, analysis: &ClipFeatures) -> Result<Vec<f32>> {
        let log_mel = analysis.log_mel().db();
        let frames = Frames {
            analysis,
            mfcc: widened(&self.mfcc.apply(log_mel)?),
            log_mel: log_mel.outer_iter().map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect(),
            modulation: OnceCell::new(),
            flux: OnceCell::new(),
        };
        let mut vector = Vec::with_capacity(self.n_mels);
        for &descriptor in &self.descriptors {
            vector.extend(group_values(descriptor, &frames)?.into_iter().map(|value| value as f32));
        }
        Ok(vector)
    }
}

fn group_values(descriptor: Descriptor, frames: &Frames<'_>) -> Result<Vec<f64>> {
    Ok(match descriptor {
        Descriptor::Mfcc => cepstrum::statistics(&frames.mfcc),
        Descriptor::MfccDelta => cepstrum::deltas(&frames.mfcc),
        Descriptor::MfccCorrelation => cepstrum::correlations(&frames.mfcc),
        Descriptor::MfccMean => cepstrum::means(&frames.mfcc),
        Descriptor::MfccModulation => frames.modulation().energies(),
        Descriptor::MfccModulationCovariance => frames.modulation().covariances(),
        Descriptor::OnsetCovariance => onset::covariance(frames.flux()),
        Descriptor::OnsetStatistics => onset::statistics(frames.flux()),
        Descriptor::MelRoughness => bands::roughness(&frames.log_mel),
        Descriptor::MelSkewness => bands::skewness(&frames.log_mel),
        Descriptor::MelContrast => bands::contrast(&frames.log_mel),
        _ => tracks::values(descriptor, frames.analysis)?,
    })
}

fn widened(matrix: &Array2<f32>) -> Vec<Vec<f64>> {
    matrix.outer_iter().map(|row| row.iter().map(|&value| f64::from(value)).collect()).collect()
}

/// Bands that the log-mel is pooled to where a descriptor wants few.
const POOLED_BANDS: usize = 16;

/// Means of adjacent bands, 16 of them from the lowest to the highest: `[16, n_frames]`.
fn pooled(bands: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n_frames = bands.first().map_or(0, Vec::len);
    (0..POOLED_BANDS)
        .map(|band| {
            mean_of(&bands[band * bands.len() / POOLED_BANDS..(band + 1) * bands.len() / POOLED_BANDS], n_frames)
        })
        .collect()
}

/// Mean over rows of each column.
fn mean_of(rows: &[Vec<f64>], n_frames: usize) -> Vec<f64> {
    let mut mean = vec![0.0; n_frames];
    for row in rows {
        for (sum, value) in mean.iter_mut().zip(row) {
            *sum += value;
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= rows.len().max(1) as f64);
    mean
}

/// Indices of the upper triangle of a square matrix, row by row.
fn upper_triangle(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i..n).map(move |j| (i, j)))
}

#[cfg(test)]
mod tests;
