//! Why the program could not start, or had to stop.

use crate::config::{ModelKind, ModelName, Role};

/// Why the program could not start, or had to stop. What goes wrong with one request is a [`Rejection`](crate::Rejection).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A flag or its value cannot be used.
    #[error("{0}")]
    Usage(String),
    /// There is no artifact to serve.
    #[error(
        "no {name} artifact in {artifacts} ({reason}); train one with `cargo run --release -p train`, copy one there, name another \
         folder with --artifacts, or wait for one with --wait-for-artifact"
    )]
    NoArtifact {
        /// The model.
        name: ModelName,
        /// Where it was looked for.
        artifacts: String,
        /// What is missing.
        reason: String,
    },
    /// There is an artifact, and it cannot be used.
    #[error("failed to load the {name} artifact in {artifacts}: {source}")]
    Artifact {
        /// The model.
        name: ModelName,
        /// Where it was found.
        artifacts: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The artifact holds another kind of model than the role serves.
    #[error(
        "the artifact in {artifacts} holds the model `{found}`, and {}; name another folder with --artifacts{}",
        serves(kinds),
        or_serve(found)
    )]
    WrongModel {
        /// The model that was to be served.
        name: ModelName,
        /// The kinds that it may have.
        kinds: &'static [ModelKind],
        /// The artifact's folder.
        artifacts: String,
        /// What the artifact holds.
        found: String,
    },
    /// A member of an ensemble is not there.
    #[error(
        "the {name} artifact in {artifacts} joins {member}, which is not there ({reason}); copy it there, or train the ensemble again \
         with `cargo run --release -p train -- ensemble`"
    )]
    Member {
        /// The ensemble.
        name: ModelName,
        /// Where it was looked for.
        artifacts: String,
        /// Name and version of the member.
        member: String,
        /// What is missing.
        reason: String,
    },
    /// A new version of a model is of another kind than the one in use.
    #[error(
        "the artifact in {artifacts} holds a model of the kind `{found}`, and the version of {name} in use is of the kind `{}`; \
         train it under another name with --name",
        kind.name()
    )]
    OtherKind {
        /// The model.
        name: ModelName,
        /// The kind of the version in use.
        kind: ModelKind,
        /// The artifact's folder.
        artifacts: String,
        /// What the artifact holds.
        found: String,
    },
    /// The device cannot be used.
    #[error("{source}; name another with --device")]
    Device {
        /// Which, and why not.
        source: Box<models::Error>,
    },
    /// The model was loaded, and failed to predict the clip that every model is tested with.
    #[error("the {model} artifact failed to predict a test tone, so it is not served: {problem}")]
    Warm {
        /// The model's name.
        model: String,
        /// What was wrong with its prediction.
        problem: String,
    },
    /// A model server that `web` is to forward to has an address that cannot be used.
    #[error("{0}")]
    Upstream(String),
    /// The server failed to bind to its address.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// `host:port` as it was asked for.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The operating system refused threads, signals or the async runtime.
    #[error("failed to start {what}: {source}")]
    System {
        /// What was to be started.
        what: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// What was found cannot be written.
    #[error("failed to write {what}: {source}")]
    Write {
        /// The file or folder.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl Error {
    /// What the process exits with: 2 when the caller can mend it by a flag or by training, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::NoArtifact { .. }
            | Self::WrongModel { .. }
            | Self::OtherKind { .. }
            | Self::Member { .. }
            | Self::Device { .. }
            | Self::Upstream(_) => 2,
            Self::Artifact { .. }
            | Self::Warm { .. }
            | Self::Listen { .. }
            | Self::System { .. }
            | Self::Write { .. } => 1,
        }
    }

    /// What is wrong with an artifact that was looked for in `artifacts`.
    pub(crate) fn of_artifact(name: ModelName, artifacts: String, source: models::Error) -> Self {
        match source {
            models::Error::NotFound { detail, .. } => Self::NoArtifact { name, artifacts, reason: detail },
            source => Self::Artifact { name, artifacts, source: Box::new(source) },
        }
    }

    /// The same for clients: without folders and addresses.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::NoArtifact { name, .. } => format!("there is no {name} artifact yet"),
            Self::WrongModel { name, .. } | Self::OtherKind { name, .. } | Self::Artifact { name, .. } => {
                format!("failed to load the next {name} artifact; the log says why")
            }
            Self::Member { name, member, .. } => {
                format!("{name} joins {member}, which is not among the artifacts of this server")
            }
            Self::Warm { model, .. } => format!("{model} failed to predict a test tone, so it is not served"),
            _ => "the log says what is wrong".to_owned(),
        }
    }
}

/// Names the role that serves these kinds of models, and the kinds.
fn serves(kinds: &[ModelKind]) -> String {
    let names: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
    let role = if let [kind] = kinds { kind.role() } else { Role::All };
    let names = match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    };
    format!("`serve {}` serves {names}", role.name())
}

/// Names the role that serves `model`, if there is one.
fn or_serve(model: &str) -> String {
    ModelKind::named(model).map_or_else(String::new, |kind| format!(", or run `serve {}`", kind.role().name()))
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
