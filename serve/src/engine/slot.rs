//! [`ModelSlot`]: the version of a model that is in use, and how the next one replaces it.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use features::Clip;
use models::{Classifier, Identity, Prediction, artifact::Artifact, vgg19::Backend};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::pool::lock;
use crate::{Error, Rejection, Result, config::ModelKind, repository::Repository, telemetry::Metrics};

/// Versions beside the one in use that stay loaded once a request has named them.
const MAX_NAMED: usize = 2;
/// Reads of `CURRENT` for which a broken version is left out, at most, before it is tried again.
const MAX_PAUSE: u32 = 64;

/// One model: the version in use, and those that requests have named.
///
/// A request takes its version once, at its start, so that no response mixes two, and a version that was replaced lives until
/// its last response is out.
#[derive(Debug)]
pub struct ModelSlot {
    kind: ModelKind,
    metrics: Arc<Metrics>,
    current: RwLock<Current>,
    named: Mutex<VecDeque<Arc<dyn Classifier>>>,
    source: Option<Source>,
    /// Locked while `CURRENT` is read, by one thread at a time.
    broken: Mutex<Broken>,
}

/// A model and the state of its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ModelStatus {
    /// `svm` or `vgg19`.
    #[schema(example = "svm")]
    pub(crate) name: String,
    /// The route that predicts by it.
    #[schema(example = "/predict")]
    pub(crate) route: String,
    /// `ready` or `unavailable`.
    pub(crate) state: Availability,
    /// The version in use.
    pub(crate) version: Option<String>,
    /// Its labels.
    pub(crate) labels: Vec<String>,
    /// Fingerprint of the features that it takes.
    pub(crate) fingerprint: Option<String>,
    /// Why there is no version in use, or why a newer one is not.
    pub(crate) problem: Option<String>,
}

/// Whether a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ModelState)]
pub(crate) enum Availability {
    /// It does.
    Ready,
    /// It does not.
    Unavailable,
}

/// Every model.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ModelList {
    /// In the order of their roles.
    pub(crate) models: Vec<ModelStatus>,
}

/// Where versions come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The artifacts.
    pub repository: Arc<Repository>,
    /// What computes the model, if it is a network.
    pub device: Backend,
    /// The version to serve whatever `CURRENT` says.
    pub pinned: Option<String>,
}

#[derive(Debug, Default)]
struct Current {
    model: Option<Arc<dyn Classifier>>,
    /// Why there is none, or why a newer one is not in use.
    problem: Option<String>,
}

/// The version that could not be used last, so that it is not tried each time.
#[derive(Debug, Default)]
struct Broken {
    version: String,
    pause: u32,
    left: u32,
}

/// What [`ModelSlot::refresh`] found in `CURRENT`.
#[derive(Debug)]
pub enum Refreshed {
    /// What it was before.
    Unchanged,
    /// Another version, which is in use now.
    Replaced(Identity),
}

impl ModelSlot {
    /// Without a model; one is [`put`](ModelSlot::put), or comes by [`refresh`](ModelSlot::refresh) from `source`.
    #[must_use]
    pub fn new(kind: ModelKind, source: Option<Source>, metrics: Arc<Metrics>) -> Self {
        Self { kind, metrics, current: RwLock::default(), named: Mutex::default(), source, broken: Mutex::default() }
    }

    /// Which model it is.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    /// The version in use, once there is one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<dyn Classifier>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).model.clone()
    }

    /// The version in use.
    ///
    /// # Errors
    /// [`Rejection::NotReady`] before there is one.
    pub(crate) fn ready(&self) -> Result<Arc<dyn Classifier>, Rejection> {
        self.get().ok_or_else(|| {
            let reason = self.problem().unwrap_or_else(|| format!("no {} model is loaded yet", self.kind.name()));
            Rejection::NotReady { reason: reason.into() }
        })
    }

    /// Why there is no version in use, or why a newer one is not; for a person.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// The state of the slot.
    pub(crate) fn status(&self) -> ModelStatus {
        let model = self.get();
        let identity = model.as_ref().map(|model| model.identity());
        let problem = self.problem().or_else(|| model.is_none().then(|| "no model is loaded yet".to_owned()));
        ModelStatus {
            name: self.kind.name().to_owned(),
            route: self.kind.route().to_owned(),
            state: if model.is_some() { Availability::Ready } else { Availability::Unavailable },
            version: identity.map(|identity| identity.version.clone()),
            labels: model
                .as_ref()
                .map(|model| model.labels().iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            fingerprint: identity.map(|identity| identity.fingerprint.to_string()),
            problem,
        }
    }

    /// Puts `model` in use; requests under way keep the one that they began with.
    pub fn put(&self, model: Arc<dyn Classifier>) {
        let version = model.identity().version.clone();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = current.model.replace(model);
        current.problem = None;
        drop(current);
        let before = before.as_ref().map(|model| model.identity().version.as_str());
        self.metrics.serves(self.kind.name(), &version, before.filter(|before| *before != version));
    }

    /// Reads `CURRENT`; if it names another version than the one in use, loads that, checks every byte, has it predict, and
    /// replaces the old one. Blocks.
    ///
    /// # Errors
    /// [`Error`], once for each version that cannot be used; the old one stays in use.
    pub fn refresh(&self) -> Result<Refreshed> {
        let Some(source) = &self.source else { return Ok(Refreshed::Unchanged) };
        let mut broken = lock(&self.broken);
        let refreshed = self.wanted_version(source).and_then(|version| {
            if self.get().is_some_and(|model| model.identity().version == version) {
                *broken = Broken::default();
                self.current.write().unwrap_or_else(PoisonError::into_inner).problem = None;
                return Ok(Refreshed::Unchanged);
            }
            if broken.version == version && broken.left > 0 {
                broken.left -= 1;
                return Ok(Refreshed::Unchanged);
            }
            if broken.version != version {
                *broken = Broken { version: version.clone(), ..Broken::default() };
            }
            let loaded = source.load(self.kind, &version).map_err(|error| match error {
                Error::NoArtifact { kind, artifacts, reason } if source.pinned.is_some() => {
                    Error::NoArtifact { kind, artifacts, reason: format!("{reason}; --model-version names it") }
                }
                error => error,
            });
            match &loaded {
                Ok(_) => *broken = Broken::default(),
                // It may be in the middle of being copied: it is tried again, ever less often.
                Err(_) => {
                    broken.pause = (broken.pause * 2).clamp(1, MAX_PAUSE);
                    broken.left = broken.pause;
                    self.metrics.refused(self.kind.name());
                }
            }
            let model = loaded?;
            let identity = model.identity().clone();
            self.put(model);
            Ok(Refreshed::Replaced(identity))
        });
        if let Err(error) = &refreshed {
            self.current.write().unwrap_or_else(PoisonError::into_inner).problem = Some(error.public());
        }
        refreshed
    }

    fn wanted_version(&self, source: &Source) -> Result<String> {
        match &source.pinned {
            Some(version) => Ok(version.clone()),
            None => source.repository.current(self.kind.name()).map_err(|error| error.of(self.kind)),
        }
    }

    /// A version by name: the one in use, one that was named before, or one that is loaded now. Blocks.
    ///
    /// # Errors
    /// [`Rejection::UnknownVersion`] for one that does not exist, or cannot be used.
    pub(crate) fn version(&self, version: &str) -> Result<Arc<dyn Classifier>, Rejection> {
        let is_it = |model: &Arc<dyn Classifier>| model.identity().version == version;
        if let Some(model) = self.get().filter(is_it) {
            return Ok(model);
        }
        // Held while it loads, so that many requests for one version load it once.
        let mut named = lock(&self.named);
        if let Some(at) = named.iter().position(is_it)
            && let Some(model) = named.remove(at)
        {
            named.push_back(Arc::clone(&model));
            return Ok(model);
        }
        let unknown = || Rejection::UnknownVersion { model: self.kind };
        let source = self.source.as_ref().ok_or_else(unknown)?;
        let model = source.load(self.kind, version).map_err(|error| {
            tracing::debug!(model = self.kind.name(), "a request named a version that cannot be used: {error}");
            unknown()
        })?;
        if named.len() == MAX_NAMED {
            named.pop_front();
        }
        named.push_back(Arc::clone(&model));
        Ok(model)
    }

    /// Every version that requests may name, in the order of their names, and whether it is loaded. Blocks.
    ///
    /// # Errors
    /// [`Rejection::Internal`] when they cannot be listed.
    pub(crate) fn versions(&self) -> Result<Vec<(String, bool)>, Rejection> {
        let mut loaded: Vec<String> = lock(&self.named).iter().map(|model| model.identity().version.clone()).collect();
        loaded.extend(self.get().map(|model| model.identity().version.clone()));
        let mut names = match &self.source {
            Some(source) => source.repository.versions(self.kind.name()).map_err(Rejection::internal)?,
            None => Vec::new(),
        };
        names.extend(loaded.iter().cloned());
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().map(|name| (name.clone(), loaded.contains(&name))).collect())
    }
}

impl Source {
    /// Loads a version, checks every byte of it, and has it predict a test tone.
    ///
    /// # Errors
    /// [`Error::NoArtifact`], [`Error::Artifact`], [`Error::WrongModel`], [`Error::Warm`].
    pub fn load(&self, kind: ModelKind, version: &str) -> Result<Arc<dyn Classifier>> {
        let folder = self.repository.fetch(kind.name(), version).map_err(|error| error.of(kind))?;
        load(&folder, kind, self.device)
    }
}

/// Has networks compute on `threads` threads, whichever worker calls them, and opens their device, so that a missing device
/// is reported before a missing artifact. Once in a process.
///
/// Burn spreads its work over the global pool of rayon, which has a thread for each core unless it is built before. A worker
/// that gives work to it sleeps until that is done.
///
/// # Errors
/// [`Error::System`] when there are no threads to be had; [`Error::Device`].
pub fn open_network(device: Backend, threads: usize) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("network-{index}"));
    let built = pool.build_global().map_err(std::io::Error::other);
    built.map_err(|source| Error::System { what: "the threads of the network", source })?;
    device.open().map(drop).map_err(|source| Error::Device { source: Box::new(source) })
}

/// Loads the artifact in `folder`, the folder of a version, onto `device` if it is a network, checks it, and has it predict a
/// test tone.
///
/// # Errors
/// As [`Source::load`].
pub fn load(folder: &Path, kind: ModelKind, device: Backend) -> Result<Arc<dyn Classifier>> {
    let fail = |source: models::Error| Error::of_artifact(kind, folder.display().to_string(), source);
    let artifact = Artifact::open(folder).map_err(fail)?;
    let found = &artifact.manifest().model;
    if found != kind.name() {
        return Err(Error::WrongModel { kind, artifacts: folder.display().to_string(), found: found.clone() });
    }
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
    let seconds = spec.seconds(spec.segmentation.min_frames + 2);
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

/// Checks that every probability is within 0 to 1, and that those of the clip and of each window sum to 1.
///
/// # Errors
/// What is wrong, for a log.
pub(crate) fn check(prediction: &Prediction, labels: usize) -> Result<(), &'static str> {
    if prediction.windows.is_empty() {
        return Err("it has no window");
    }
    let of_windows = prediction.windows.iter().map(|window| &window.probabilities);
    for probabilities in std::iter::once(&prediction.probabilities).chain(of_windows) {
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
    use models::WindowPrediction;

    use super::*;

    fn prediction(probabilities: &[f64]) -> Prediction {
        let window = WindowPrediction { start_seconds: 0.0, end_seconds: 1.0, probabilities: probabilities.to_vec() };
        let features_digest = Fingerprint::of(b"a test");
        Prediction { probabilities: probabilities.to_vec(), windows: vec![window], features_digest }
    }

    #[test]
    fn only_a_distribution_is_a_prediction() {
        assert_eq!(check(&prediction(&[0.25, 0.75]), 2), Ok(()));
        for bad in [vec![], vec![1.0], vec![0.5, 0.6], vec![f64::NAN, 1.0], vec![-0.5, 1.5], vec![f64::INFINITY, 0.0]] {
            assert!(check(&prediction(&bad), 2).is_err(), "{bad:?}");
        }
        assert!(check(&Prediction { windows: vec![], ..prediction(&[0.5, 0.5]) }, 2).is_err());
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
        let address = folder.path().to_string_lossy().into_owned();
        for kind in ModelKind::ALL {
            let repository = Arc::new(Repository::open(&address).expect("a folder"));
            let source = Source { repository, device: Backend::default(), pinned: None };
            let slot = ModelSlot::new(kind, Some(source), Arc::default());
            let error = slot.refresh().expect_err("nothing to load");
            assert!(matches!(error, Error::NoArtifact { .. }), "{error}");
            assert_eq!(error.exit_code(), 2);
            let message = error.to_string();
            for words in ["cargo run --release -p train", &address, kind.name()] {
                assert!(message.contains(words), "{message}");
            }
            // What every client may read names no folder.
            assert!(slot.problem().is_some_and(|problem| !problem.contains(&address)), "{:?}", slot.problem());
        }
    }
}
