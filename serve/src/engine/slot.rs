//! [`ModelSlot`]: the version of a model that is in use, and how the next one replaces it.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use models::{Identity, ensemble::Member, vgg19::Backend};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    loaded::LoadedModels,
    model::{Model, Provenance},
    pool::lock,
};
use crate::{
    Error, Limits, Rejection, Result,
    config::{ModelKind, ModelName},
    repository::{Fetched, Origin, Repository, RepositoryErrorKind},
    telemetry::Metrics,
};

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
    name: ModelName,
    /// The kinds that it may have.
    kinds: &'static [ModelKind],
    required: bool,
    metrics: Arc<Metrics>,
    current: RwLock<Current>,
    named: Mutex<VecDeque<Arc<Model>>>,
    source: Option<Source>,
    loaded: Arc<LoadedModels>,
    /// Locked while `CURRENT` is read, by one thread at a time.
    broken: Mutex<Broken>,
    retired: AtomicBool,
}

/// A model and the state of its slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ModelStatus {
    /// Its name: `svm`, `vgg19`, `ensemble`, or that of the folder of its artifacts.
    #[schema(example = "svm")]
    pub(crate) name: String,
    /// Its kind, `svm`, `vgg19` or `ensemble`, once it is known.
    #[serde(default)]
    #[schema(example = "svm")]
    pub(crate) kind: Option<String>,
    /// The shortest route that predicts by it.
    #[schema(example = "/predict")]
    pub(crate) route: String,
    /// The route that predicts by it, in the form that every model has.
    #[serde(default)]
    #[schema(example = "/v1/models/svm/predict")]
    pub(crate) predict: String,
    /// `ready` or `unavailable`.
    pub(crate) state: Availability,
    /// Whether it is ready.
    #[serde(default)]
    pub(crate) ready: bool,
    /// The version in use.
    pub(crate) version: Option<String>,
    /// Where it comes from: the artifacts of the server, its fallback, or the program itself; null where there is none, and where a
    /// server of an earlier release does not say.
    #[serde(default)]
    #[schema(example = "artifacts")]
    pub(crate) origin: Option<Origin>,
    /// Its labels.
    pub(crate) labels: Vec<String>,
    /// Fingerprint of the features that it takes.
    pub(crate) fingerprint: Option<String>,
    /// What it was trained on, and how good it was found to be.
    #[serde(flatten)]
    pub(crate) provenance: Provenance,
    /// How much audio a request may hold; null where a server of an earlier release does not say.
    #[serde(default)]
    pub(crate) limits: Option<RequestLimits>,
    /// Why there is no version in use, or why a newer one is not.
    pub(crate) problem: Option<String>,
}

/// How much audio a request may hold. A server refuses what is beyond it, which a client that reads it here need not send.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RequestLimits {
    /// Bytes of the body of a request of one file, and of each of many files.
    #[schema(example = 67_108_864)]
    pub(crate) max_body_bytes: u64,
    /// Bytes of the body of a request of many files.
    #[schema(example = 268_435_456)]
    pub(crate) max_batch_bytes: u64,
    /// Seconds of decoded audio of each file.
    #[schema(example = 900.0)]
    pub(crate) max_seconds: f64,
}

impl From<&Limits> for RequestLimits {
    fn from(limits: &Limits) -> Self {
        // More than all bodies together may hold is never read.
        let readable = |bytes: u64| bytes.min(limits.max_held_bytes);
        Self {
            max_body_bytes: readable(limits.max_body_bytes),
            max_batch_bytes: readable(limits.max_batch_bytes),
            max_seconds: limits.max_seconds,
        }
    }
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
    /// `svm`, `vgg19` and `ensemble` first, then the others in the order of their names.
    pub(crate) models: Vec<ModelStatus>,
}

impl ModelStatus {
    /// That of a model that is not loaded.
    pub(crate) fn waiting(name: &ModelName, kind: Option<ModelKind>, problem: Option<String>) -> Self {
        Self {
            name: name.to_string(),
            kind: kind.map(|kind| kind.name().to_owned()),
            route: name.route(),
            predict: name.predict_route(),
            state: Availability::Unavailable,
            ready: false,
            version: None,
            origin: None,
            labels: Vec::new(),
            fingerprint: None,
            provenance: Provenance::default(),
            limits: None,
            problem,
        }
    }
}

/// Where models come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The artifacts.
    pub repository: Arc<Repository>,
    /// What computes a model, if it is a network.
    pub device: Backend,
    /// The models to serve; every one that the repository holds, if none is named.
    pub models: Vec<ModelName>,
    /// The version to serve whatever `CURRENT` says.
    pub pinned: Option<String>,
}

#[derive(Debug, Default)]
struct Current {
    model: Option<Arc<Model>>,
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
    /// Without a version; one is [`put`](ModelSlot::put), or comes by [`refresh`](ModelSlot::refresh) from `source`. The model has
    /// one of `kinds`; one whose name is that of a kind has that kind, if it is among them.
    #[must_use]
    pub fn new(name: ModelName, kinds: &'static [ModelKind], source: Option<Source>, metrics: Arc<Metrics>) -> Self {
        let kinds = name.kind().filter(|kind| kinds.contains(kind)).map_or(kinds, |kind| kind.alone());
        Self {
            name,
            kinds,
            required: false,
            metrics,
            current: RwLock::default(),
            named: Mutex::default(),
            source,
            loaded: Arc::default(),
            broken: Mutex::default(),
            retired: AtomicBool::new(false),
        }
    }

    /// The same for a model without which the process is not ready.
    #[must_use]
    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, where other slots load models too: what one of them has in memory is not loaded again.
    #[must_use]
    pub(super) fn sharing(self, loaded: Arc<LoadedModels>) -> Self {
        Self { loaded, ..self }
    }

    /// Whether the process is not ready without the model: it was named, or waited for from the start.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// Which kind of model it is, once that is known.
    #[must_use]
    pub fn kind(&self) -> Option<ModelKind> {
        match (self.get(), self.kinds) {
            (Some(model), _) => Some(model.kind()),
            (None, [kind]) => Some(*kind),
            (None, _) => None,
        }
    }

    /// The version in use, once there is one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Model>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).model.clone()
    }

    /// The version in use.
    ///
    /// # Errors
    /// [`Rejection::NotReady`] before there is one.
    pub(crate) fn ready(&self) -> Result<Arc<Model>, Rejection> {
        self.get().ok_or_else(|| {
            let reason = self.problem().unwrap_or_else(|| format!("no {} model is loaded yet", self.name));
            Rejection::NotReady { reason: reason.into() }
        })
    }

    /// Why there is no version in use, or why a newer one is not; for a person.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// The state of the slot, in a server with these limits.
    pub(crate) fn status(&self, limits: &Limits) -> ModelStatus {
        let model = self.get();
        let problem = self.problem().or_else(|| model.is_none().then(|| "no model is loaded yet".to_owned()));
        let waiting =
            ModelStatus { limits: Some(limits.into()), ..ModelStatus::waiting(&self.name, self.kind(), problem) };
        let Some(model) = model else { return waiting };
        let info = model.info();
        ModelStatus {
            kind: Some(info.kind.to_owned()),
            state: Availability::Ready,
            ready: true,
            version: Some(info.version.clone()),
            origin: model.origin(),
            labels: model.labels().iter().map(ToString::to_string).collect(),
            fingerprint: Some(info.fingerprint.clone()),
            provenance: info.provenance.clone(),
            ..waiting
        }
    }

    /// Puts a version in use; requests under way keep the one that they began with. A slot that was retired takes none.
    pub fn put(&self, model: Arc<Model>) {
        let version = model.version().to_owned();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if self.is_retired() {
            return;
        }
        let before = current.model.replace(model);
        current.problem = None;
        let before = before.as_ref().map(|model| model.version());
        self.metrics.serves(&self.name, &version, before.filter(|before| *before != version));
    }

    /// Ends the slot: it takes no version any more, and its metrics are gone. Requests under way end with the version that they
    /// began with.
    pub(crate) fn retire(&self) {
        let current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        self.retired.store(true, Ordering::Relaxed);
        self.metrics.retired(&self.name, current.model.as_ref().map(|model| model.version()));
    }

    /// Takes the version out of use, since it lacks what it needs. Requests under way end with it, and it may come back.
    fn withdraw(&self, problem: &Error) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.problem = Some(problem.public());
        if let Some(model) = current.model.take() {
            self.metrics.retired(&self.name, Some(model.version()));
        }
    }

    /// Whether the slot has ended.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Reads `CURRENT`; if it names another version than the one in use, loads that, checks every byte, has it predict, and
    /// replaces the old one. Blocks.
    ///
    /// # Errors
    /// [`Error`], once for each version that cannot be used; the old one stays in use, unless it is an ensemble of which a member is
    /// not in the repository any more.
    pub fn refresh(&self) -> Result<Refreshed> {
        let Some(source) = &self.source else { return Ok(Refreshed::Unchanged) };
        let mut broken = lock(&self.broken);
        if let Some(gone) = self.get().and_then(|model| self.gone_member(source, &model)) {
            self.withdraw(&gone);
        }
        let refreshed = self.wanted_version(source).and_then(|version| {
            if self.get().is_some_and(|model| model.version() == version) {
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
            let loaded = self.load(source, &version).map_err(|error| match error {
                Error::NoArtifact { name, artifacts, reason } if source.pinned.is_some() => {
                    Error::NoArtifact { name, artifacts, reason: format!("{reason}; --model-version names it") }
                }
                error => error,
            });
            match &loaded {
                Ok(_) => *broken = Broken::default(),
                // It may be in the middle of being copied: it is tried again, ever less often.
                Err(_) => {
                    broken.pause = (broken.pause * 2).clamp(1, MAX_PAUSE);
                    broken.left = broken.pause;
                    self.metrics.refused(&self.name);
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
            None => source.repository.current(&self.name).map_err(|error| error.of(&self.name)),
        }
    }

    /// Loads a version, checks every byte of it, and has it predict a test tone.
    fn load(&self, source: &Source, version: &str) -> Result<Arc<Model>> {
        let model = self.loaded.get(&self.name, version, || {
            let fetched = source.repository.fetch(&self.name, version).map_err(|error| error.of(&self.name))?;
            Model::load(&fetched, &self.name, self.kinds, source.device, &|member| self.member(source, member))
        })?;
        let (name, artifacts) = (self.name.clone(), source.repository.address());
        let found = model.kind().name().to_owned();
        // An ensemble may have loaded it.
        if !self.kinds.contains(&model.kind()) {
            return Err(Error::WrongModel { name, kinds: self.kinds, artifacts, found });
        }
        // What is in memory may outlive the artifact of a member.
        if let Some(gone) = self.gone_member(source, &model) {
            return Err(gone);
        }
        match self.get().map(|before| before.kind()).filter(|before| *before != model.kind()) {
            None => Ok(model),
            Some(kind) => Err(Error::OtherKind { name, kind, artifacts, found }),
        }
    }

    /// A member of an ensemble of this name: the model that is in memory, or one that is loaded now.
    fn member(&self, source: &Source, member: &Member) -> Result<Arc<Model>> {
        let name: ModelName = member.name.parse().map_err(|problem| self.missing(source, member, problem))?;
        let kind = source.repository.kind(&name, &member.version).map_err(|error| match error.kind() {
            RepositoryErrorKind::NotFound => self.missing(source, member, error.to_string()),
            _ => error.of(&name),
        })?;
        if !ModelKind::named(&kind).is_some_and(|kind| ModelKind::MEMBERS.contains(&kind)) {
            let reason = format!("that version is of the kind `{kind}`, of which none is a member");
            return Err(self.missing(source, member, reason));
        }
        self.loaded.get(&name, &member.version, || {
            let fetched = source.repository.fetch(&name, &member.version).map_err(|error| error.of(&name))?;
            // Members have none themselves.
            let member = |of: &Member| self.member(source, of);
            Model::load(&fetched, &name, &ModelKind::MEMBERS, source.device, &member)
        })
    }

    /// What is wrong where the repository holds a member of the ensemble no longer. A repository that gives no answer may hold it.
    fn gone_member(&self, source: &Source, model: &Model) -> Option<Error> {
        model.info().provenance.members.iter().find_map(|member| {
            let error = source.repository.kind(&member.name, &member.version).err()?;
            let (name, version) = (member.name.clone(), member.version.clone());
            let gone = Member { name, version, weight: member.weight };
            (error.kind() == RepositoryErrorKind::NotFound).then(|| self.missing(source, &gone, error.to_string()))
        })
    }

    fn missing(&self, source: &Source, member: &Member, reason: String) -> Error {
        let (name, artifacts) = (self.name.clone(), source.repository.address());
        Error::Member { name, artifacts, member: member.to_string(), reason }
    }

    /// A version by name: the one in use, one that was named before, or one that is loaded now. Blocks.
    ///
    /// # Errors
    /// [`Rejection::UnknownVersion`] for one that does not exist, or cannot be used.
    pub(crate) fn version(&self, version: &str) -> Result<Arc<Model>, Rejection> {
        let is_it = |model: &Arc<Model>| model.version() == version;
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
        let unknown = || Rejection::UnknownVersion { model: self.name.clone() };
        let source = self.source.as_ref().ok_or_else(unknown)?;
        let model = self.load(source, version).map_err(|error| {
            tracing::debug!(model = %self.name, "a request named a version that cannot be used: {error}");
            unknown()
        })?;
        if named.len() == MAX_NAMED {
            named.pop_front();
        }
        named.push_back(Arc::clone(&model));
        Ok(model)
    }

    /// The versions that are in memory: the one in use first, then those that requests have named. Blocks.
    pub(crate) fn loaded(&self) -> Vec<Arc<Model>> {
        let mut loaded: Vec<Arc<Model>> = self.get().into_iter().collect();
        for named in lock(&self.named).iter() {
            if !loaded.iter().any(|model| Arc::ptr_eq(model, named)) {
                loaded.push(Arc::clone(named));
            }
        }
        loaded
    }

    /// Every version that requests may name, in the order of their names, and whether it is loaded. Blocks.
    ///
    /// # Errors
    /// [`Rejection::Internal`] when they cannot be listed.
    pub(crate) fn versions(&self) -> Result<Vec<(String, bool)>, Rejection> {
        let mut loaded: Vec<String> = lock(&self.named).iter().map(|model| model.version().to_owned()).collect();
        loaded.extend(self.get().map(|model| model.version().to_owned()));
        let mut names = match &self.source {
            Some(source) => source.repository.versions(&self.name).map_err(Rejection::internal)?,
            None => Vec::new(),
        };
        names.extend(loaded.iter().cloned());
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().map(|name| (name.clone(), loaded.contains(&name))).collect())
    }
}

/// Has networks compute on `threads` threads, whichever worker calls them, and opens their device, so that a missing device
/// is reported before a missing artifact.
///
/// Burn spreads its work over the global pool of rayon, which a process has once: where it is there already, it keeps its threads. A
/// worker that gives work to it sleeps until that is done.
///
/// # Errors
/// [`Error::System`] when there are no threads to be had; [`Error::Device`].
pub fn open_network(device: Backend, threads: usize) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("network-{index}"));
    match pool.build_global() {
        // Only what the operating system refuses has a source.
        Err(error) if std::error::Error::source(&error).is_some() => {
            return Err(Error::System { what: "the threads of the network", source: std::io::Error::other(error) });
        }
        _ => {}
    }
    device.open().map(drop).map_err(|source| Error::Device { source: Box::new(source) })
}

/// Loads the artifact in `folder`, the folder of a version, as the model that has the name of its kind. The members of an ensemble
/// are those in the folder of artifacts that it lies in. See [`Model::load`].
///
/// # Errors
/// As [`Model::load`].
pub fn load(folder: &Path, kind: ModelKind, device: Backend) -> Result<Arc<Model>> {
    let root = folder.ancestors().nth(2).unwrap_or(folder);
    let missing = |member: &Member, reason: &str| Error::Member {
        name: kind.into(),
        artifacts: root.display().to_string(),
        member: member.to_string(),
        reason: reason.to_owned(),
    };
    let nested = |member: &Member| Err(missing(member, "an ensemble is no member of another"));
    let member = |member: &Member| -> Result<Arc<Model>> {
        let name: ModelName = member.name.parse().map_err(|problem: String| missing(member, &problem))?;
        let fetched = Fetched::in_folder(&root.join(&member.name).join(&member.version));
        Model::load(&fetched, &name, &ModelKind::MEMBERS, device, &nested).map(Arc::new)
    };
    Model::load(&Fetched::in_folder(folder), &kind.into(), kind.alone(), device, &member).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_has_no_artifact() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = folder.path().to_string_lossy().into_owned();
        for kind in ModelKind::ALL {
            let repository = Arc::new(Repository::open(&address).expect("a folder"));
            let source = Source { repository, device: Backend::default(), models: Vec::new(), pinned: None };
            let slot = ModelSlot::new(kind.into(), &ModelKind::ALL, Some(source), Arc::default());
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
