//! Why an artifact could not be had.

use crate::{Error, config::ModelKind};

/// Why something could not be had from a [`Repository`](super::Repository). It shows no password and no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {detail}")]
pub struct RepositoryError {
    kind: RepositoryErrorKind,
    place: String,
    detail: String,
}

/// Whose turn it is after a [`RepositoryError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepositoryErrorKind {
    /// The address can lead nowhere: the caller's.
    Address,
    /// There is nothing, or not yet: it may come.
    NotFound,
    /// The store gave no answer that can be used: it may come back.
    Unreachable,
    /// The store, or the operating system, refuses to show it: a matter of credentials and rights.
    Denied,
    /// There is something, and it is not what an artifact has there.
    Broken,
}

impl RepositoryError {
    pub(super) fn new(kind: RepositoryErrorKind, place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, place: place.into(), detail: detail.into() }
    }

    pub(super) fn address(address: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(RepositoryErrorKind::Address, format!("the address `{}`", address.into()), detail)
    }

    pub(super) fn not_found(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(RepositoryErrorKind::NotFound, place, detail)
    }

    pub(super) fn broken(place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(RepositoryErrorKind::Broken, place, detail)
    }

    pub(super) fn io(place: impl Into<String>, action: &str, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => RepositoryErrorKind::Denied,
            _ => RepositoryErrorKind::Broken,
        };
        Self::new(kind, place, format!("failed to {action} it: {error}"))
    }

    /// Whose turn it is.
    #[must_use]
    pub fn kind(&self) -> RepositoryErrorKind {
        self.kind
    }

    /// What a server of the model `kind` says of it.
    pub(crate) fn of(self, kind: ModelKind) -> Error {
        match self.kind {
            RepositoryErrorKind::Address => Error::Usage(self.to_string()),
            RepositoryErrorKind::NotFound => Error::NoArtifact { kind, artifacts: self.place, reason: self.detail },
            _ => Error::Artifact { kind, artifacts: self.place, source: self.detail.into() },
        }
    }
}

impl From<models::Error> for RepositoryError {
    fn from(error: models::Error) -> Self {
        match error {
            models::Error::NotFound { path, detail } => Self::not_found(path.display().to_string(), detail),
            models::Error::Io { action, path, source } => Self::io(path.display().to_string(), action, &source),
            models::Error::TooLarge { path, limit } => Self::broken(path.display().to_string(), too_large(limit)),
            error => Self::broken("CURRENT", error.to_string()),
        }
    }
}

/// Of a file that is larger than it may be.
pub(super) fn too_large(limit: u64) -> String {
    format!("it has over {limit} bytes, which no artifact of this program has; write the artifact again")
}
