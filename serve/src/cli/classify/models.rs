//! The models that are asked for, each loaded and checked as the server does it.

use std::sync::Arc;

use features::decode;

use super::options::ClassifyArgs;
use crate::{
    Engine, Error, Limits, Result,
    config::{Compute, ModelKind, ModelName, cores},
    engine::{
        model,
        slot::{self, Source},
    },
    repository::{Contents, Repository},
};

/// Stands for the models that have the names of the kinds that predict by themselves.
const BOTH: &str = "both";

/// The models that are named; without a name the ensemble, where it and its members are there; else the SVM, or the only model that
/// there is beside the one that is part of the program. And why the ensemble does not predict, where it is left out.
fn named(args: &ClassifyArgs, repository: &Repository) -> Result<(Vec<ModelName>, Option<String>)> {
    let of_kinds = || ModelKind::MEMBERS.into_iter().map(ModelName::from);
    if !args.model.is_empty() {
        let all = args.model.iter().flat_map(|name| match &**name {
            BOTH => of_kinds().collect(),
            _ => vec![name.clone()],
        });
        return Ok((all.collect(), None));
    }
    let (svm, ensemble) = (ModelName::from(ModelKind::Svm), ModelName::from(ModelKind::Ensemble));
    let mut there: Vec<_> = models_in(repository).into_iter().filter(|name| !repository.is_embedded(name)).collect();
    let mut left_out = None;
    if there.contains(&ensemble) {
        left_out = problem_of(repository, &ensemble);
        if left_out.is_none() {
            return Ok((vec![ensemble], None));
        }
        // Named, it is an error; here, another model does.
        there.retain(|name| *name != ensemble);
    }
    let model = match there.as_slice() {
        [only] => only.clone(),
        [] => svm,
        several if several.contains(&svm) => svm,
        several => {
            return Err(Error::Usage(format!(
                "{} holds several models; name one with --model: {}",
                repository.address(),
                list(several)
            )));
        }
    };
    Ok((vec![model], left_out))
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

/// The models of a repository that can tell, in the order of their names.
fn models_in(repository: &Repository) -> Vec<ModelName> {
    let Ok(Contents::Models(names)) = repository.contents() else { return Vec::new() };
    let names = names.iter().filter_map(|name| name.parse::<ModelName>().ok());
    names.filter(|name| repository.current(name).is_ok()).collect()
}

fn list(names: &[ModelName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An engine with the models that are named, each checked as the server checks it; and which one is left out, and why.
pub(super) fn load(args: &ClassifyArgs) -> Result<(Arc<Engine>, Option<String>)> {
    let threads = args.threads.map_or_else(cores, usize::from);
    let repository = args.artifacts.open()?;
    let (models, left_out) = named(args, &repository)?;
    let uses_device = |name: &ModelName| match name.kind() {
        Some(kind) => kind.uses_device(),
        // What cannot be read is told below.
        None => repository
            .current(name)
            .and_then(|version| repository.kind(name, &version))
            .is_ok_and(|kind| ModelKind::named(&kind).is_some_and(ModelKind::uses_device)),
    };
    if models.iter().any(uses_device) {
        slot::open_network(args.device, threads)?;
    }
    let source = Source { repository: Arc::new(repository), device: args.device, models, pinned: None };
    // Without a queue: a file waits for its permit before it is read.
    let compute = Compute { device: args.device, threads, queue: 0, cache_bytes: 0, ..Compute::default() };
    let decode::Limits { max_bytes, max_seconds } = args.limits();
    let limits = Limits { max_body_bytes: max_bytes, max_seconds, ..Limits::default() };
    let engine = Engine::new(&ModelKind::ALL, &limits, &compute, Some(&source))?;
    for slot in engine.slots() {
        slot.refresh().map_err(|error| advise(error, &source.repository))?;
    }
    Ok((Arc::new(engine), left_out))
}

/// The advice of [`Error`] is for a server.
fn advise(error: Error, repository: &Repository) -> Error {
    match error {
        Error::NoArtifact { name, artifacts, reason } => {
            let there = models_in(repository);
            let others = if there.is_empty() { String::new() } else { format!(" (there are: {})", list(&there)) };
            Error::Usage(format!(
                "no {name} artifact in {artifacts} ({reason}); train one with `cargo run --release -p train`, name another folder \
                 with --artifacts, or another model with --model{others}"
            ))
        }
        Error::WrongModel { name, artifacts, found, .. } => Error::Usage(format!(
            "the artifact in {artifacts} holds the model `{found}`; expected `{name}`; name another folder with --artifacts, or \
             another model with --model"
        )),
        error => error,
    }
}
