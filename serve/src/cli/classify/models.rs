//! The models that are asked for, each loaded and checked as the server does it.

use std::sync::Arc;

use super::options::ClassifyArgs;
use crate::{
    Engine, Error, Result,
    config::{ModelKind, ModelName, cores},
    engine::slot::Source,
    local,
    repository::Repository,
};

/// Stands for the models that have the names of the kinds that predict by themselves.
const BOTH: &str = "both";

/// The models that are named, or the one that [`local::choose`] gives; and why the ensemble does not predict, where it is left out.
fn named(args: &ClassifyArgs, repository: &Repository) -> Result<(Vec<ModelName>, Option<String>)> {
    let of_kinds = || ModelKind::MEMBERS.into_iter().map(ModelName::from);
    if !args.model.is_empty() {
        let all = args.model.iter().flat_map(|name| match &**name {
            BOTH => of_kinds().collect(),
            _ => vec![name.clone()],
        });
        return Ok((all.collect(), None));
    }
    match local::choose(repository) {
        Ok((model, left_out)) => Ok((vec![model], left_out)),
        Err(several) => Err(Error::Usage(format!(
            "{} holds several models; name one with --model: {}",
            repository.address(),
            local::list(&several)
        ))),
    }
}

/// An engine with the models that are named, each checked as the server checks it; and which one is left out, and why.
pub(super) fn load(args: &ClassifyArgs) -> Result<(Arc<Engine>, Option<String>)> {
    let threads = args.threads.map_or_else(cores, usize::from);
    let repository = args.artifacts.open()?;
    let (models, left_out) = named(args, &repository)?;
    let source = Source { repository: Arc::new(repository), device: args.device, models, pinned: None };
    // Without a queue: a file waits for its permit before it is read.
    let engine = local::load(&source, threads, &args.limits());
    Ok((engine.map_err(|error| advise(error, &source.repository))?, left_out))
}

/// The advice of [`Error`] is for a server.
fn advise(error: Error, repository: &Repository) -> Error {
    match error {
        Error::NoArtifact { name, artifacts, reason } => {
            let there = local::models_in(repository);
            let others =
                if there.is_empty() { String::new() } else { format!(" (there are: {})", local::list(&there)) };
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
