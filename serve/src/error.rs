//! Why the program could not start, or had to stop.

use crate::config::ModelKind;

/// Why the program could not start, or had to stop. What goes wrong with one request is a [`Rejection`](crate::Rejection).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A flag or its value cannot be used.
    #[error("{0}")]
    Usage(String),
    /// There is no artifact to serve.
    #[error(
        "no {} artifact in {artifacts} ({reason}); train one with `cargo run --release -p train`, name another folder with \
         --artifacts, or wait for one with --wait-for-artifact",
        kind.name()
    )]
    NoArtifact {
        /// The model.
        kind: ModelKind,
        /// Where it was looked for.
        artifacts: String,
        /// What is missing.
        reason: String,
    },
    /// There is an artifact, and it cannot be used.
    #[error("failed to load the {} artifact in {artifacts}: {source}", kind.name())]
    Artifact {
        /// The model.
        kind: ModelKind,
        /// Where it was found.
        artifacts: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The artifact holds another model than the one that is to be served.
    #[error(
        "the artifact in {artifacts} holds the model `{found}`, and `serve {}` serves `{}`; name another folder with --artifacts{}",
        kind.role().name(), kind.name(), or_serve(found)
    )]
    WrongModel {
        /// What was to be served.
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
}

impl Error {
    /// What the process exits with: 2 when the caller can mend it by a flag or by training, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::NoArtifact { .. }
            | Self::WrongModel { .. }
            | Self::Device { .. }
            | Self::Upstream(_) => 2,
            Self::Artifact { .. } | Self::Warm { .. } | Self::Listen { .. } | Self::System { .. } => 1,
        }
    }

    /// What is wrong with an artifact that was looked for in `artifacts`.
    pub(crate) fn of_artifact(kind: ModelKind, artifacts: String, source: models::Error) -> Self {
        match source {
            models::Error::NotFound { detail, .. } => Self::NoArtifact { kind, artifacts, reason: detail },
            source => Self::Artifact { kind, artifacts, source: Box::new(source) },
        }
    }

    /// The same for clients: without folders and addresses.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::NoArtifact { kind, .. } => format!("there is no {} artifact yet", kind.name()),
            Self::WrongModel { kind, .. } | Self::Artifact { kind, .. } => {
                format!("failed to load the next {} artifact; the log says why", kind.name())
            }
            Self::Warm { model, .. } => format!("{model} failed to predict a test tone, so it is not served"),
            _ => "the log says what is wrong".to_owned(),
        }
    }
}

/// Names the role that serves `model`, if there is one.
fn or_serve(model: &str) -> String {
    ModelKind::named(model).map_or_else(String::new, |kind| format!(", or run `serve {}`", kind.role().name()))
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
