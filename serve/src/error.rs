//! Why the program could not start, or had to stop.

use std::path::PathBuf;

use crate::Role;

/// Why the program could not start, or had to stop. What goes wrong with one request is a [`Rejection`](crate::Rejection).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A flag or its value cannot be used.
    #[error("{0}")]
    Usage(String),
    /// There is no artifact to serve.
    #[error(
        "no {model} artifact in {} ({reason}); train one with `cargo run --release -p train`, name another folder with \
         --artifacts, or wait for one with --wait-for-artifact",
        artifacts.display()
    )]
    NoArtifact {
        /// The model's name.
        model: &'static str,
        /// The folder that was searched.
        artifacts: PathBuf,
        /// What was not there.
        reason: String,
    },
    /// There is an artifact, and it cannot be used.
    #[error("failed to load the {model} artifact in {}: {source}", artifacts.display())]
    Artifact {
        /// The model's name.
        model: &'static str,
        /// The folder that was searched.
        artifacts: PathBuf,
        /// What is wrong with it.
        source: Box<models::Error>,
    },
    /// The artifact holds another model than the one that this role serves.
    #[error(
        "the artifact in {} holds the model `{found}`, and `serve {}` serves `{}`; name another folder with --artifacts{}",
        artifacts.display(), role.name(), role.model(), or_serve(found)
    )]
    WrongModel {
        /// What was to be served.
        role: Role,
        /// The artifact's folder.
        artifacts: PathBuf,
        /// What the artifact holds.
        found: String,
    },
    /// The device that was to compute is not there.
    #[error("{source}; name another with --device")]
    Device {
        /// Which, and why not.
        source: Box<models::Error>,
    },
    /// The model was loaded, and gave no sound answer for the clip that every model is tried on.
    #[error("the {model} artifact gave no sound answer for a test tone, so it is not served: {problem}")]
    Warm {
        /// The model's name.
        model: String,
        /// What was wrong with the answer.
        problem: String,
    },
    /// The address cannot be listened on.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// `host:port` as it was asked for.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Threads, signals or the async runtime are not to be had.
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
            Self::Usage(_) | Self::NoArtifact { .. } | Self::WrongModel { .. } | Self::Device { .. } => 2,
            Self::Artifact { .. } | Self::Warm { .. } | Self::Listen { .. } | Self::System { .. } => 1,
        }
    }
}

/// Names the role that serves `model`, if there is one.
fn or_serve(model: &str) -> String {
    let role = Role::ALL.into_iter().find(|role| role.model() == model);
    role.map_or_else(String::new, |role| format!(", or run `serve {}`", role.name()))
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
