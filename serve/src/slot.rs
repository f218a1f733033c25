//! [`Slot`]: where the model in use sits, and how one gets there.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use features::Clip;
use models::{
    Classifier, Prediction,
    artifact::{self, Artifact},
};

use crate::{Error, Result, Role};

/// The model in use. Requests take it once, at their start, so that no answer mixes two.
#[derive(Debug, Default)]
pub struct Slot {
    model: RwLock<Option<Arc<dyn Classifier>>>,
}

impl Slot {
    /// The model in use, once there is one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<dyn Classifier>> {
        self.model.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `model` in the place of whichever was there; requests under way keep the one that they began with.
    pub fn put(&self, model: Arc<dyn Classifier>) {
        *self.model.write().unwrap_or_else(PoisonError::into_inner) = Some(model);
    }
}

/// Opens the device that `role` computes on, so that one which is not there is found before an artifact is.
///
/// # Errors
/// [`Error::Device`].
pub fn open_device(role: Role) -> Result<()> {
    let Some(device) = role.device() else { return Ok(()) };
    device.open().map(drop).map_err(|source| Error::Device { source: Box::new(source) })
}

/// Loads the artifact that `artifacts` leads to onto the device of `role`, checks it, and has it predict a test tone.
///
/// # Errors
/// [`Error::NoArtifact`], [`Error::Artifact`], [`Error::WrongModel`], [`Error::Warm`].
pub fn load_and_warm(artifacts: &Path, role: Role) -> Result<Arc<dyn Classifier>> {
    let fail = |source: models::Error| match source {
        models::Error::NotFound { detail, .. } => {
            Error::NoArtifact { model: role.model(), artifacts: artifacts.to_owned(), reason: detail }
        }
        source => Error::Artifact { model: role.model(), artifacts: artifacts.to_owned(), source: Box::new(source) },
    };
    let version = artifact::resolve(artifacts, Some(role.model())).map_err(fail)?;
    let artifact = Artifact::open(&version).map_err(fail)?;
    let found = &artifact.manifest().model;
    if found != role.model() {
        return Err(Error::WrongModel { role, artifacts: version, found: found.clone() });
    }
    // A model that is no network computes on no device.
    let device = role.device().unwrap_or_default();
    let model = models::from_artifact(&artifact, device).map_err(fail)?;
    warm(&*model)?;
    Ok(model.into())
}

/// Has `model` predict a chord of the shortest length that it takes, which also touches every table that it will need.
fn warm(model: &dyn Classifier) -> Result<()> {
    let fail = |problem: String| Error::Warm { model: model.identity().to_string(), problem };
    let spec = model.extractor().spec();
    let rate = spec.sample_rate;
    // Two frames more than the fewest: centring and rounding may cost one.
    let seconds = spec.seconds(spec.segment.min_frames + 2);
    let clip = Clip::new(chord(seconds, rate), rate).map_err(|error| fail(error.to_string()))?;
    let prediction = model.predict_clip(&clip).map_err(|error| fail(error.to_string()))?;
    check(&prediction, model.labels().len()).map_err(|problem| fail(problem.to_owned()))
}

/// A chord of three triangle waves under a slow swell: arithmetic alone, so the same bits everywhere.
fn chord(seconds: f64, rate: u32) -> Vec<f32> {
    let samples = (seconds * f64::from(rate)).ceil().max(1.0) as u32;
    let triangle = |phase: f64| 1.0 - 4.0 * (phase - phase.floor() - 0.5).abs();
    (0..samples)
        .map(|n| {
            let t = f64::from(n) / f64::from(rate);
            let swell = 0.6 + 0.4 * triangle(t * 2.0);
            let sum: f64 = [220.0, 277.18, 329.63].map(|hz| triangle(t * hz)).iter().sum();
            (0.2 * swell * sum) as f32
        })
        .collect()
}

/// Whether every probability is one, and those of each answer sum to 1.
///
/// # Errors
/// What is wrong, for a log.
pub(crate) fn check(prediction: &Prediction, labels: usize) -> Result<(), &'static str> {
    if prediction.segments.is_empty() {
        return Err("it has no segment");
    }
    let of_segments = prediction.segments.iter().map(|segment| &segment.probabilities);
    for probabilities in std::iter::once(&prediction.probabilities).chain(of_segments) {
        if probabilities.len() != labels {
            return Err("it has not one probability for each label");
        }
        if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
            return Err("a probability is not within 0 to 1");
        }
        if (probabilities.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            return Err("its probabilities do not sum to 1");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use features::Fingerprint;
    use models::SegmentPrediction;

    use super::*;

    fn prediction(probabilities: &[f64]) -> Prediction {
        let segment = SegmentPrediction { start_seconds: 0.0, end_seconds: 1.0, probabilities: probabilities.to_vec() };
        let features_digest = Fingerprint::of(b"a test");
        Prediction { probabilities: probabilities.to_vec(), segments: vec![segment], features_digest }
    }

    #[test]
    fn only_a_distribution_is_an_answer() {
        assert_eq!(check(&prediction(&[0.25, 0.75]), 2), Ok(()));
        for bad in [vec![], vec![1.0], vec![0.5, 0.6], vec![f64::NAN, 1.0], vec![-0.5, 1.5], vec![f64::INFINITY, 0.0]] {
            assert!(check(&prediction(&bad), 2).is_err(), "{bad:?}");
        }
        assert!(check(&Prediction { segments: vec![], ..prediction(&[0.5, 0.5]) }, 2).is_err());
    }

    #[test]
    fn the_chord_is_audible_and_within_full_scale() {
        let samples = chord(1.5, 22_050);
        assert_eq!(samples.len(), 33_075);
        let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!((0.2..=1.0).contains(&peak), "{peak}");
    }

    #[test]
    fn an_empty_folder_has_no_artifact() {
        let folder = tempfile::tempdir().expect("a folder");
        for role in Role::ALL {
            let error = load_and_warm(folder.path(), role).expect_err("nothing to load");
            assert!(matches!(error, Error::NoArtifact { .. }), "{error}");
            assert_eq!(error.exit_code(), 2);
            let message = error.to_string();
            for words in ["cargo run --release -p train", &folder.path().display().to_string(), role.model()] {
                assert!(message.contains(words), "{message}");
            }
        }
    }
}
