//! Everything that can go wrong between a result and an MLflow server.

use std::path::PathBuf;

/// Why results could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none of a server.
    #[error("`{url}` {detail}; give the address of an MLflow server, such as http://127.0.0.1:5000")]
    Url {
        /// The address; left out where it holds a secret.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The variables that say who exports do not do so.
    #[error("{detail}")]
    Credentials {
        /// What is wrong with them, and what to do.
        detail: String,
    },
    /// The host was not found or took no connection.
    #[error("failed to reach {url}: {detail}; check the address, and that the server runs")]
    Connect {
        /// The address.
        url: String,
        /// What failed.
        detail: String,
    },
    /// The connection ended before the answer did.
    #[error("{url} gave no whole answer: {detail}; what was sent stays, so the same command goes on from there")]
    Cut {
        /// The address.
        url: String,
        /// What ended it.
        detail: String,
    },
    /// No secure connection: a certificate that nobody known has signed, or no TLS at all.
    #[error("failed to connect securely to {url}: {detail}")]
    Tls {
        /// The address.
        url: String,
        /// What failed.
        detail: String,
    },
    /// What answers is no MLflow.
    #[error("{url} is no MLflow server: {detail}; check the address")]
    NotMlflow {
        /// The address.
        url: String,
        /// What it did.
        detail: String,
    },
    /// Another address is to be asked. What is sent is not repeated there, nor is who sends it.
    #[error("{url} redirects to {to}; give that server's address")]
    Redirect {
        /// The address.
        url: String,
        /// The other.
        to: String,
    },
    /// The server does not know who asks.
    #[error(
        "{url} lets only those in whom it knows (HTTP status 401), and {who}; set MLFLOW_TRACKING_TOKEN, or \
         MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    )]
    Unauthorised {
        /// The address.
        url: String,
        /// What is wrong with how it was said who asks.
        who: &'static str,
    },
    /// The server knows who asks, and does not let them.
    #[error("{url} does not allow this (HTTP status 403): {said}")]
    Forbidden {
        /// The address.
        url: String,
        /// What it said.
        said: String,
    },
    /// The server says that it cannot just now.
    #[error("{url} cannot just now (HTTP status {status}): {said}; try again later")]
    Busy {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// MLflow refused a request, and would again.
    #[error("{url} refused {path} (HTTP status {status}, {code}): {said}")]
    Refused {
        /// The address.
        url: String,
        /// What was asked.
        path: String,
        /// The status.
        status: u16,
        /// MLflow's name of the error.
        code: String,
        /// What it said.
        said: String,
    },
    /// The experiment was deleted, and keeps its name.
    #[error(
        "the experiment `{name}` was deleted on {url}, where no other can have its name: restore it (`mlflow experiments \
         restore --experiment-id {id}`), remove it for good (`mlflow gc --experiment-ids {id}`), or name another --prefix"
    )]
    Deleted {
        /// The address.
        url: String,
        /// The experiment.
        name: String,
        /// Its number there.
        id: String,
    },
    /// A name that MLflow does not take.
    #[error("`{name}` is no name of an MLflow experiment: {detail}; name another --prefix")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// A result whose key is none.
    #[error("the key of {} is not 64 hexadecimal digits; remove the result and run its declaration again", dir.display())]
    Key {
        /// Its folder.
        dir: PathBuf,
    },
    /// A file of a result cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the same request may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Busy { .. })
    }
}
