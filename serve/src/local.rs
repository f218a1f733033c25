//! Models without a server: what `serve classify` and the Python module predict by.
//!
//! [`choose`] says which model predicts where none is named, and [`load`] makes an [`Engine`] of those that are wanted, each loaded and checked
//! as a server does it. [`Engine::predict`] is then the way to a prediction, as it is for a request.

use std::sync::Arc;

use features::decode;

use crate::{
    Engine, Limits, Result,
    config::{Compute, ModelKind, ModelName},
    engine::{
        model,
        slot::{self, Source},
    },
    repository::{Contents, Repository},
};

/// The model that predicts where none is named: the ensemble, where it and its members are there; else the SVM, or the only model that
/// there is beside the one that is part of the program. And why the ensemble does not predict, where it is left out. Blocks.
///
/// # Errors
/// The models that there are, where they are several, and none of them is called `svm`.
pub fn choose(repository: &Repository) -> Result<(ModelName, Option<String>), Vec<ModelName>> {
    let (svm, ensemble) = (ModelName::from(ModelKind::Svm), ModelName::from(ModelKind::Ensemble));
    let mut there: Vec<_> = models_in(repository).into_iter().filter(|name| !repository.is_embedded(name)).collect();
    let mut left_out = None;
    if there.contains(&ensemble) {
        left_out = problem_of(repository, &ensemble);
        if left_out.is_none() {
            return Ok((ensemble, None));
        }
        // Named, it is an error; here, another model does.
        there.retain(|name| *name != ensemble);
    }
    match there.as_slice() {
        [only] => Ok((only.clone(), left_out)),
        [] => Ok((svm, left_out)),
        several if several.contains(&svm) => Ok((svm, left_out)),
        several => Err(several.to_vec()),
    }
}

/// Why an ensemble cannot predict, if it cannot be read, or a member of it is not there.
fn problem_of(repository: &Repository, ensemble: &ModelName) -> Option<String> {
    let read = || -> std::result::Result<_, String> {
        let version = repository.current(ensemble).map_err(|error| error.to_string())?;
        let fetched = repository.fetch(ensemble, &version).map_err(|error| error.to_string())?;
        let artifact = fetched.artifact().map_err(|error| error.to_string())?;
        let members = model::members_of(&artifact).map_err(|error| error.to_string())?;
        let missing = members.iter().find_map(|member| {
            let problem = repository.kind(&member.name, &member.version).err()?;
            Some(format!("it joins {member}, which is not there ({problem})"))
        });
        missing.map_or(Ok(()), Err)
    };
    read().err().map(|problem| format!("{ensemble} is left out: {problem}"))
}

/// The models of a repository that can tell, in the order of their names; those alone that have a version in use. Blocks.
#[must_use]
pub fn models_in(repository: &Repository) -> Vec<ModelName> {
    let Ok(Contents::Models(names)) = repository.contents() else { return Vec::new() };
    let names = names.iter().filter_map(|name| name.parse::<ModelName>().ok());
    names.filter(|name| repository.current(name).is_ok()).collect()
}

/// Names for a message.
#[must_use]
pub fn list(names: &[ModelName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An engine that has the models of `source`, each of which a server would take, and `threads` workers; there is no queue, no cache and no
/// watch on new versions. `limits` is how much audio a file may hold. Blocks.
///
/// # Errors
/// Those of [`ModelSlot::refresh`](slot::ModelSlot::refresh), of the first model that cannot be used; `Device` and `System`
/// where a network has nothing to compute on ([`Error`](crate::Error)).
pub fn load(source: &Source, threads: usize, limits: &decode::Limits) -> Result<Arc<Engine>> {
    let Source { repository, device, models, .. } = source;
    let uses_device = |name: &ModelName| match name.kind() {
        Some(kind) => kind.uses_device(),
        // What cannot be read is told below.
        None => repository
            .current(name)
            .and_then(|version| repository.kind(name, &version))
            .is_ok_and(|kind| ModelKind::named(&kind).is_some_and(ModelKind::uses_device)),
    };
    if models.iter().any(uses_device) {
        slot::open_network(*device, threads)?;
    }
    let compute = Compute { device: *device, threads, queue: 0, cache_bytes: 0, ..Compute::default() };
    let decode::Limits { max_bytes, max_seconds } = *limits;
    let limits = Limits { max_body_bytes: max_bytes, max_seconds, ..Limits::default() };
    let engine = Engine::new(&ModelKind::ALL, &limits, &compute, Some(source))?;
    for slot in engine.slots() {
        slot.refresh()?;
    }
    Ok(Arc::new(engine))
}
