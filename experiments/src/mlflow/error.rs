//! Everything that can go wrong between a result and an MLflow server.

use std::path::PathBuf;

/// Why results could not be exported. `url` is the address of the server; `said` is what the server answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The address is left out where it holds a secret.
    #[error("`{url}` {detail}; give the address of an MLflow server, such as http://127.0.0.1:5000")]
    Url { url: String, detail: String },
    #[error("{detail}")]
    Credentials { detail: String },
    #[error("failed to reach {url}: {detail}; check the address, and that the server runs")]
    Connect { url: String, detail: String },
    #[error("{url} gave no whole response: {detail}; what was sent stays, so the same command goes on from there")]
    Cut { url: String, detail: String },
    /// A certificate that no known authority has signed, or no TLS at all.
    #[error("failed to connect securely to {url}: {detail}")]
    Tls { url: String, detail: String },
    #[error("{url} is not an MLflow server: {detail}; check the address")]
    NotMlflow { url: String, detail: String },
    /// Not followed: neither what is sent nor the credentials go to another server.
    #[error("{url} redirects to {to}; give that server's address")]
    Redirect { url: String, to: String },
    #[error(
        "{url} requires authentication (HTTP status 401), and {problem}; set MLFLOW_TRACKING_TOKEN, or \
         MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    )]
    Unauthorised { url: String, problem: &'static str },
    #[error("{url} does not allow this (HTTP status 403): {said}")]
    Forbidden { url: String, said: String },
    #[error("{url} is unavailable (HTTP status {status}): {said}; try again later")]
    Unavailable { url: String, status: u16, said: String },
    /// `code` is MLflow's name of the error. The same request would be refused again.
    #[error("{url} refused {path} (HTTP status {status}, {code}): {said}")]
    Refused { url: String, path: String, status: u16, code: String, said: String },
    #[error(
        "the experiment `{name}` was deleted on {url}, where no other can have its name: restore it (`mlflow experiments \
         restore --experiment-id {id}`), remove it for good (`mlflow gc --experiment-ids {id}`), or name another --prefix"
    )]
    Deleted { url: String, name: String, id: String },
    #[error("`{name}` cannot be the name of an MLflow experiment: {detail}; name another --prefix")]
    Name { name: String, detail: &'static str },
    #[error("the key of {} is not 64 hexadecimal digits; remove the result and run its declaration again", dir.display())]
    Key { dir: PathBuf },
    #[error("failed to read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
}

impl ExportError {
    /// Whether the same request may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Unavailable { .. })
    }
}
