//! Several repositories that are looked through in their order.

use std::collections::BTreeSet;

use super::{Contents, Fetched, Origin, Repository, RepositoryError, RepositoryErrorKind, Result};

/// Repositories in the order in which a model is looked for: the first that has a version of it in use holds it, whatever those
/// behind it have. What is wrong with that version is an error: it is not passed over.
#[derive(Debug)]
pub(super) struct Search {
    layers: Vec<Layer>,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) repository: Repository,
    /// Where a model of it is said to come from.
    pub(super) origin: Origin,
}

impl Search {
    pub(super) fn new(layers: Vec<Layer>) -> Self {
        Self { layers }
    }

    pub(super) fn address(&self) -> String {
        let addresses: Vec<String> = self.layers.iter().map(|layer| layer.repository.address()).collect();
        addresses.join(", ")
    }

    /// Every model that one of them may hold. A folder of one model is known as that only where none before it holds another.
    pub(super) fn contents(&self) -> Result<Contents> {
        let mut names = BTreeSet::new();
        for Layer { repository, .. } in &self.layers {
            match repository.contents()? {
                Contents::Models(found) => names.extend(found),
                other if names.is_empty() => return Ok(other),
                Contents::One | Contents::Unlisted => {}
            }
        }
        Ok(Contents::Models(names.into_iter().collect()))
    }

    pub(super) fn kind(&self, model: &str, version: &str) -> Result<String> {
        self.first(|layer| layer.repository.kind(model, version))
    }

    pub(super) fn current(&self, model: &str) -> Result<String> {
        self.holder(model).map(|(_, version)| version)
    }

    pub(super) fn is_embedded(&self, model: &str) -> bool {
        self.holder(model).is_ok_and(|(layer, _)| layer.repository.is_embedded(model))
    }

    /// The first that has a version of `model` in use, and that version.
    fn holder(&self, model: &str) -> Result<(&Layer, String)> {
        for layer in &self.layers {
            let Layer { repository, .. } = layer;
            match repository.current(model) {
                Err(error) if error.kind() == RepositoryErrorKind::NotFound && !repository.names_a_version(model) => {}
                current => return current.map(|version| (layer, version)),
            }
        }
        let detail = format!("no version of {model} is in use in any of these");
        Err(RepositoryError::not_found(self.address(), detail))
    }

    pub(super) fn versions(&self, model: &str) -> Result<Vec<String>> {
        let mut versions = BTreeSet::new();
        for Layer { repository, .. } in &self.layers {
            versions.extend(repository.versions(model)?);
        }
        Ok(versions.into_iter().collect())
    }

    /// A version of the first that has it: a version names its content, so it is the same in all of them.
    pub(super) fn fetch(&self, model: &str, version: &str) -> Result<Fetched> {
        self.first(|Layer { repository, origin }| {
            let fetched = repository.fetch(model, version)?;
            // What is part of the program is that, wherever it is looked for.
            let origin = if fetched.origin == Origin::Embedded { Origin::Embedded } else { *origin };
            Ok(Fetched { origin, ..fetched })
        })
    }

    /// What the first of them gives that has something to give.
    fn first<T>(&self, ask: impl Fn(&Layer) -> Result<T>) -> Result<T> {
        let mut absent = RepositoryError::not_found(self.address(), "there is nothing to look through");
        for layer in &self.layers {
            match ask(layer) {
                Err(error) if error.kind() == RepositoryErrorKind::NotFound => absent = error,
                given => return given,
            }
        }
        Err(RepositoryError::not_found(self.address(), absent.detail))
    }
}
