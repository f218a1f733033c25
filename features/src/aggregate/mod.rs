//! From the frames of a segment to one vector: a group of dimensions for each [`Descriptor`].
//!
//! What is public are the constants of the descriptors, for programs that compute the same by other means.

pub mod cepstrum;
pub mod log_mel;
mod series;
pub mod stats;

use std::cell::OnceCell;

use ndarray::{ArrayView2, CowArray, Ix2};

use crate::{
    ClipFeatures, FeatureSpec, Result,
    descriptors::mfcc::Mfcc,
    spec::{Descriptor, FloorSpec},
};
use cepstrum::ModulationSpectra;
use stats::widened;

/// Computes the vectors of a [`FeatureSpec`].
#[derive(Debug)]
pub(crate) struct Aggregator {
    descriptors: Vec<Descriptor>,
    n_mels: usize,
    floor: Option<FloorSpec>,
    mfcc: Mfcc,
}

/// What the groups are computed from; made once a segment, shared by the groups.
struct Frames<'a> {
    features: &'a ClipFeatures,
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
        self.flux.get_or_init(|| log_mel::flux(&self.log_mel))
    }
}

impl Aggregator {
    pub(crate) fn new(spec: &FeatureSpec) -> Result<Self> {
        let n_mels = spec.mel.n_mels;
        let mfcc = Mfcc::new(n_mels, spec.n_mfcc)?;
        Ok(Self { descriptors: spec.descriptors.clone(), n_mels, floor: spec.floor, mfcc })
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
            Descriptor::MfccModulation => cepstrum::modulation_energy_names(n_mfcc),
            Descriptor::MfccModulationCovariance => cepstrum::modulation_covariance_names(n_mfcc),
            Descriptor::OnsetCovariance => log_mel::onset_covariance_names(),
            Descriptor::OnsetStatistics => log_mel::onset_statistics_names(),
            Descriptor::MelRoughness => log_mel::roughness_names(),
            Descriptor::MelSkewness => log_mel::skewness_names(),
            Descriptor::MelContrast => log_mel::contrast_names(),
            _ => series::names(descriptor),
        }
    }

    /// The vector of a segment, of as many dimensions as there are names.
    pub(crate) fn vector(&self, features: &ClipFeatures) -> Result<Vec<f32>> {
        let log_mel = self.floored(features.log_mel().db());
        let frames = Frames {
            features,
            mfcc: widened(&self.mfcc.apply(log_mel.view())?),
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

    /// A log-mel held above the floor of the specification: see [`FloorSpec`].
    fn floored<'a>(&self, log_mel: ArrayView2<'a, f32>) -> CowArray<'a, f32, Ix2> {
        let Some(floor) = self.floor else { return log_mel.into() };
        let line = floor.line(self.n_mels);
        let mut above = Vec::with_capacity(log_mel.len());
        for (band, line) in log_mel.outer_iter().zip(&line) {
            above.extend(band.iter().map(|db| db - line));
        }
        if above.is_empty() {
            return log_mel.into();
        }
        let middle = above.len() / 2;
        let (_, &mut level, _) = above.select_nth_unstable_by(middle, f32::total_cmp);
        let mut floored = log_mel.to_owned();
        for (mut band, line) in floored.outer_iter_mut().zip(&line) {
            let floor = line + level - floor.range_db as f32;
            band.mapv_inplace(|db| db.max(floor));
        }
        floored.into()
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
        Descriptor::OnsetCovariance => log_mel::onset_covariance(frames.flux()),
        Descriptor::OnsetStatistics => log_mel::onset_statistics(frames.flux()),
        Descriptor::MelRoughness => log_mel::roughness(&frames.log_mel),
        Descriptor::MelSkewness => log_mel::skewness(&frames.log_mel),
        Descriptor::MelContrast => log_mel::contrast(&frames.log_mel),
        _ => series::values(descriptor, frames.features)?,
    })
}

#[cfg(test)]
mod tests {
    //! Against the reference in numpy: `experiments/parity/descriptors_golden.py`.

    use serde::Deserialize;

    use super::Aggregator;
    use crate::{
        ClipFeatures, FeatureSpec, LogMel,
        spec::{FloorSpec, Needs},
    };

    #[derive(Deserialize)]
    struct Golden {
        names: Vec<String>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        frames: usize,
        seed: u64,
        /// Bands that are not silent.
        bands: usize,
        floor: bool,
        vector: Vec<f64>,
    }

    /// The same levels as the script's `synthetic`.
    fn levels(case: &Case) -> Vec<u8> {
        let mut state = case.seed;
        let mut level = |band: usize, frame: usize| {
            if band >= case.bands {
                return 0;
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let beat = if frame.is_multiple_of(6) { 20 } else { 0 };
            (150 - band / 2 + band * frame % 17 + beat + (state >> 59) as usize) as u8
        };
        (0..128).flat_map(|band| (0..case.frames).map(|frame| level(band, frame)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn descriptors_of_a_log_mel_are_those_of_the_reference() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/golden/descriptors.json")).expect("the script writes JSON");
        let mut spec = FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some are left");
        let names = Aggregator::new(&spec).expect("valid").names();
        let at: Vec<usize> = golden
            .names
            .iter()
            .map(|name| names.iter().position(|ours| ours == name).unwrap_or_else(|| panic!("no dimension {name}")))
            .collect();
        assert_eq!(names.len(), golden.names.len());
        for case in &golden.cases {
            spec.floor = case.floor.then_some(FloorSpec::MUSIC);
            let aggregator = Aggregator::new(&spec).expect("valid");
            let quantisation = spec.quantisation.as_ref().expect("a store has levels");
            let log_mel = LogMel::from_levels(&levels(case), 128, case.frames, quantisation).expect("128 bands");
            let vector = aggregator.vector(&ClipFeatures::from(log_mel)).expect("long enough");
            assert_eq!(vector.len(), names.len());
            for ((&at, name), &expected) in at.iter().zip(&golden.names).zip(&case.vector) {
                let found = f64::from(vector[at]);
                assert!(
                    (found - expected).abs() <= 2e-4 * (1.0 + expected.abs()),
                    "{name} of {} frames: {found}, the reference has {expected}",
                    case.frames
                );
            }
        }
    }
}
