//! [`Registry`]: which models a process has: those that are named, or all that the repository holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use super::{
    loaded::LoadedModels,
    pool::lock,
    slot::{ModelSlot, Refreshed, Source},
};
use crate::{
    Error, Rejection, Result,
    config::{ModelKind, ModelName},
    repository::{Contents, RepositoryErrorKind},
    telemetry::Metrics,
};

/// Models that are served at once, at most, where none is named.
pub const MAX_MODELS: usize = 256;

/// The slots of the models of a process.
///
/// Where models are named, they are those. Else they are all that the repository holds of the kinds of the role: [`find`]
/// adds what is new and retires what is gone. Until there is any model, those are waited for that have the names of the kinds that
/// predict by themselves.
///
/// [`find`]: Registry::find
#[derive(Debug)]
pub struct Registry {
    kinds: &'static [ModelKind],
    /// In the order of [`rank`].
    slots: RwLock<Vec<Arc<ModelSlot>>>,
    /// The models that are named, or else those that have the names of the kinds.
    expected: BTreeSet<ModelName>,
    source: Option<Source>,
    loaded: Arc<LoadedModels>,
    metrics: Arc<Metrics>,
    /// Models of other kinds, and the version of which that is known. Locked while the repository is searched.
    others: Mutex<BTreeMap<ModelName, String>>,
}

/// What [`Registry::find`] found.
#[derive(Debug, Default)]
pub struct Found {
    /// New slots, and what loading their model gave.
    pub added: Vec<(Arc<ModelSlot>, Result<Refreshed>)>,
    /// Models that were loaded and are gone.
    pub retired: Vec<ModelName>,
    /// Models of which it is not known what they are, since the repository gave no answer.
    pub problems: Vec<String>,
}

/// `svm`, `vgg19` and `ensemble` first, then by name.
fn rank(name: &ModelName) -> (usize, &str) {
    (name.kind().map_or(usize::MAX, |kind| kind as usize), name)
}

impl Registry {
    pub(super) fn new(kinds: &'static [ModelKind], source: Option<Source>, metrics: Arc<Metrics>) -> Self {
        let named = source.as_ref().map(|source| source.models.clone()).filter(|named| !named.is_empty());
        let expected: BTreeSet<ModelName> = match named {
            Some(named) => named.into_iter().collect(),
            None => by_themselves(kinds).map(ModelName::from).collect(),
        };
        let (slots, loaded, others) = Default::default();
        let mut registry = Self { kinds, slots, expected, source, loaded, metrics, others };
        let slots: Vec<_> = registry.expected.iter().map(|name| registry.waited_for(name)).collect();
        registry.slots = RwLock::new(sorted(slots));
        registry
    }

    /// The slot of a model that is found.
    fn slot(&self, name: &ModelName) -> ModelSlot {
        let slot = ModelSlot::new(name.clone(), self.kinds, self.source.clone(), Arc::clone(&self.metrics));
        slot.sharing(Arc::clone(&self.loaded))
    }

    /// The slot of a model without which the process is not ready.
    fn waited_for(&self, name: &ModelName) -> Arc<ModelSlot> {
        Arc::new(self.slot(name).required())
    }

    /// The slots of all models: `svm`, `vgg19` and `ensemble` first, then the others in the order of their names.
    #[must_use]
    pub fn slots(&self) -> Vec<Arc<ModelSlot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The slot of the model of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<ModelSlot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.iter().find(|slot| **slot.name() == *name).cloned()
    }

    /// Whether every required model is ready, and at least one is.
    ///
    /// # Errors
    /// [`Rejection::NotReady`], for the first that is not.
    pub(crate) fn ready(&self) -> Result<(), Rejection> {
        let slots = self.slots();
        for slot in slots.iter().filter(|slot| slot.is_required()) {
            slot.ready()?;
        }
        match slots.first() {
            Some(first) if slots.iter().all(|slot| slot.get().is_none()) => first.ready().map(drop),
            _ => Ok(()),
        }
    }

    /// Whether the repository is searched for models.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.models.is_empty() && source.pinned.is_none())
    }

    /// The kinds of the process that none of its models has, where it has others and serves all that there are; and why there is no
    /// model of the name of that kind. Blocks.
    #[must_use]
    pub fn missing(&self) -> Vec<(ModelKind, Error)> {
        let Some(source) = self.source.as_ref().filter(|_| self.is_open()) else { return Vec::new() };
        let slots = self.slots();
        let has = |kind: ModelKind| slots.iter().any(|slot| slot.kind() == Some(kind) || *slot.name() == kind.into());
        let absent = by_themselves(self.kinds).filter(|kind| !has(*kind)).map(|kind| (kind, ModelName::from(kind)));
        absent.filter_map(|(kind, name)| Some((kind, source.repository.current(&name).err()?.of(&name)))).collect()
    }

    /// Searches the repository: gives a slot to each model that is new, loads it, and retires the slot of each that is gone.
    /// Blocks.
    ///
    /// # Errors
    /// [`Error::Artifact`] when the repository cannot be listed, [`Error::Usage`] when it holds too many models; then nothing
    /// changes.
    pub fn find(&self) -> Result<Found> {
        let mut found = Found::default();
        let Some(source) = self.source.as_ref().filter(|_| self.is_open()) else { return Ok(found) };
        let mut others = lock(&self.others);
        let names = match self.names(source)? {
            Some(names) => names,
            None => return Ok(found),
        };
        let before = self.slots();
        let known = |name: &ModelName| before.iter().find(|slot| slot.name() == name).cloned();
        others.retain(|name, _| names.contains(name));
        let mut next = Vec::new();
        for name in &names {
            let slot = known(name);
            let is_loaded = slot.as_ref().is_some_and(|slot| slot.get().is_some());
            // One that is loaded stays for as long as its folder, whatever becomes of `CURRENT`.
            if is_loaded || self.serves(source, name, &mut others, &mut found.problems) {
                next.push(slot.unwrap_or_else(|| Arc::new(self.slot(name))));
            }
        }
        if next.is_empty() {
            let waited_for = self.expected.iter().map(|name| known(name).unwrap_or_else(|| self.waited_for(name)));
            next.extend(waited_for);
        }
        if next.len() > MAX_MODELS {
            return Err(Error::Usage(format!(
                "--artifacts: {} holds {} models, and at most {MAX_MODELS} are served at once; name those to serve with --model",
                source.repository.address(),
                next.len()
            )));
        }
        for slot in &next {
            // Loaded before requests see it.
            if known(slot.name()).is_none() {
                found.added.push((Arc::clone(slot), slot.refresh()));
            }
        }
        let next = sorted(next);
        *self.slots.write().unwrap_or_else(PoisonError::into_inner) = next.clone();
        for gone in before.iter().filter(|slot| !next.iter().any(|kept| kept.name() == slot.name())) {
            gone.retire();
            if gone.get().is_some() {
                found.retired.push(gone.name().clone());
            }
        }
        Ok(found)
    }

    /// The names of what may be models in the repository; `None` where it cannot say, or is the folder of one model.
    fn names(&self, source: &Source) -> Result<Option<BTreeSet<ModelName>>> {
        let listed = source.repository.contents().map_err(|error| Error::Artifact {
            name: ModelName::from(self.kinds.first().copied().unwrap_or(ModelKind::Svm)),
            artifacts: source.repository.address(),
            source: error.to_string().into(),
        })?;
        Ok(match listed {
            Contents::Unlisted => None,
            Contents::Models(names) => Some(names.iter().filter_map(|name| name.parse().ok()).collect()),
            // It has the name of its kind. What cannot be read, or has another kind, is told where it is loaded.
            Contents::One => {
                let any = ModelName::from(ModelKind::Svm);
                let kind = source.repository.current(&any).and_then(|version| source.repository.kind(&any, &version));
                let kind = kind.ok().and_then(|kind| ModelKind::named(&kind)).filter(|kind| self.kinds.contains(kind));
                kind.map(|kind| BTreeSet::from([ModelName::from(kind)]))
            }
        })
    }

    /// Whether a folder holds a model for this process. One that cannot be read does, so that its problem is told.
    fn serves(
        &self,
        source: &Source,
        name: &ModelName,
        others: &mut BTreeMap<ModelName, String>,
        problems: &mut Vec<String>,
    ) -> bool {
        let unknown = |error: &crate::repository::RepositoryError| {
            matches!(error.kind(), RepositoryErrorKind::Unreachable | RepositoryErrorKind::Denied)
        };
        if let Some(kind) = name.kind()
            && !self.kinds.contains(&kind)
        {
            return false;
        }
        let version = match source.repository.current(name) {
            Ok(version) => version,
            Err(error) if error.kind() == RepositoryErrorKind::NotFound => return false,
            Err(error) if unknown(&error) => {
                problems.push(error.to_string());
                return false;
            }
            Err(_) => return true,
        };
        if name.kind().is_some() {
            return true;
        }
        if others.get(name) == Some(&version) {
            return false;
        }
        let kind = match source.repository.kind(name, &version) {
            Ok(kind) => kind,
            Err(error) if unknown(&error) => {
                problems.push(error.to_string());
                return false;
            }
            Err(_) => return true,
        };
        let serves = ModelKind::named(&kind).is_none_or(|kind| self.kinds.contains(&kind));
        if serves {
            others.remove(name);
        } else {
            others.insert(name.clone(), version);
        }
        serves
    }
}

/// Those of these kinds that need no members.
fn by_themselves(kinds: &[ModelKind]) -> impl Iterator<Item = ModelKind> {
    kinds.iter().copied().filter(|kind| ModelKind::MEMBERS.contains(kind))
}

fn sorted(mut slots: Vec<Arc<ModelSlot>>) -> Vec<Arc<ModelSlot>> {
    slots.sort_by(|a, b| rank(a.name()).cmp(&rank(b.name())));
    slots
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use models::vgg19::Backend;

    use super::*;
    use crate::{Limits, repository::Repository};

    fn registry(root: &Path, kinds: &'static [ModelKind], models: &[&str]) -> Registry {
        let repository = Arc::new(Repository::open(&root.to_string_lossy()).expect("a folder"));
        let models = models.iter().map(|name| name.parse().expect("a name")).collect();
        let source = Source { repository, device: Backend::default(), models, pinned: None };
        Registry::new(kinds, Some(source), Arc::default())
    }

    fn names(registry: &Registry) -> Vec<String> {
        registry.slots().iter().map(|slot| slot.name().to_string()).collect()
    }

    /// The folder of a model as far as a search reads it; it does not load.
    fn pretend(root: &Path, name: &str, kind: &str) {
        let version = root.join(name).join("0123456789ab");
        fs::create_dir_all(&version).expect("a folder");
        fs::write(version.join("artifact.json"), format!("{{\"model\": \"{kind}\"}}")).expect("writes");
        fs::write(root.join(name).join("CURRENT"), "0123456789ab\n").expect("writes");
    }

    #[test]
    fn what_is_there_is_found_by_its_kind() {
        let root = tempfile::tempdir().expect("a folder");
        let all = registry(root.path(), &ModelKind::ALL, &[]);
        assert_eq!(all.find().expect("lists").added.len(), 0);
        assert_eq!(names(&all), ["svm", "vgg19"], "both are waited for");

        pretend(root.path(), "dances", "svm");
        pretend(root.path(), "alto.2", "vgg19");
        fs::create_dir_all(root.path().join("notes/0123456789ab")).expect("a folder");
        for no_name in ["Loud", ".hidden", "a b", "0123456789ab"] {
            pretend(root.path(), no_name, "svm");
        }
        let found = all.find().expect("lists");
        assert_eq!(names(&all), ["alto.2", "dances"]);
        assert!(found.added.iter().all(|(_, loaded)| loaded.is_err()), "there are no weights: {found:?}");
        assert!(found.retired.is_empty(), "`svm` and `vgg19` were waited for, and never there: {found:?}");
        assert!(all.ready().is_err());
        for (kind, name) in [(ModelKind::Svm, "dances"), (ModelKind::Vgg19, "alto.2")] {
            let one = registry(root.path(), kind.role().kinds(), &[]);
            one.find().expect("lists");
            assert_eq!(names(&one), [name]);
            // A second search reads no manifest that it has read before, and finds the same.
            assert!(one.find().expect("lists").added.is_empty());
        }

        pretend(root.path(), "svm", "svm");
        all.find().expect("lists");
        assert_eq!(names(&all), ["svm", "alto.2", "dances"]);
        fs::remove_dir_all(root.path().join("dances")).expect("removes");
        all.find().expect("lists");
        assert_eq!(names(&all), ["svm", "alto.2"]);
        assert!(all.get("dances").is_none() && all.get("svm").is_some() && all.get("../svm").is_none());
    }

    #[test]
    fn what_is_named_is_served_and_nothing_else() {
        let root = tempfile::tempdir().expect("a folder");
        pretend(root.path(), "svm", "svm");
        let named = registry(root.path(), &ModelKind::ALL, &["salsa", "dances", "salsa"]);
        assert!(!named.is_open() && named.find().expect("nothing to do").added.is_empty());
        assert_eq!(names(&named), ["dances", "salsa"]);
        assert!(named.slots().iter().all(|slot| slot.is_required() && slot.kind().is_none()));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_told_and_too_many_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        pretend(root.path(), "dances", "svm");
        fs::write(root.path().join("dances/0123456789ab/artifact.json"), "{").expect("writes");
        pretend(root.path(), "salsa", "svm");
        fs::write(root.path().join("salsa/CURRENT"), "../dances\n").expect("writes");
        pretend(root.path(), "future", "transformer");
        let svm = registry(root.path(), ModelKind::Svm.role().kinds(), &[]);
        svm.find().expect("lists");
        assert_eq!(names(&svm), ["dances", "future", "salsa"]);
        for slot in svm.slots() {
            assert!(slot.status(&Limits::default()).problem.is_some(), "{slot:?}");
        }

        for number in 0..=MAX_MODELS {
            pretend(root.path(), &format!("m{number}"), "svm");
        }
        let error = svm.find().expect_err("too many");
        assert!(error.to_string().contains("--model"), "{error}");
        assert_eq!(names(&svm).len(), 3, "what was found before is served on");
    }
}
