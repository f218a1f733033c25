//! [`Repository`]: the source of artifacts, a folder or an object store.

mod folder;
#[cfg(feature = "object-store")]
mod store;

use std::{
    env,
    ops::Deref,
    path::{Path, PathBuf},
};

use models::artifact::names;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{Error, config::ModelName};
use folder::Folder;
#[cfg(feature = "object-store")]
use store::Store;

/// `Result` with [`RepositoryError`].
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

/// Artifacts in a folder or in an object store, laid out as [`models::artifact`] says.
///
/// The address may be that of all artifacts, of one model, or of one version. In the last case that is the only version,
/// whatever `CURRENT` beside it contains.
///
/// Its methods block: call them from threads that may wait, not from an async runtime.
#[derive(Debug)]
pub struct Repository(Source);

#[derive(Debug)]
enum Source {
    Folder(Folder),
    #[cfg(feature = "object-store")]
    Store(Store),
}

/// What a repository holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// One model, or one version of it, whose name is not known.
    One,
    /// Folders whose names are such as models have, in their order. What is in them is not known yet.
    Models(Vec<String>),
    /// A web server cannot say.
    Unlisted,
}

/// A version of a model in a local folder that [`Artifact::open`](models::artifact::Artifact::open) can read. What was
/// downloaded is removed when this is dropped.
#[derive(Debug)]
pub struct Fetched {
    folder: PathBuf,
    /// Holds what was downloaded.
    _temporary: Option<TempDir>,
}

impl Repository {
    /// The repository at `address`: a path; or `file://`, `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix`, or `http(s)://host/prefix` for files behind a web server.
    ///
    /// Credentials, regions and endpoints of stores are those of the environment variables `AWS_*`, `GOOGLE_*` and
    /// `AZURE_*`; those of a web server may be in its URL. No request is sent yet.
    ///
    /// # Errors
    /// [`RepositoryErrorKind::Address`] for an invalid address.
    pub fn open(address: &str) -> Result<Self> {
        let text = |name: std::ffi::OsString| name.into_string().ok();
        Self::open_with(address, env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))))
    }

    /// [`Repository::open`], with these environment variables instead of those of the process.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn open_with(address: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        if address.is_empty() {
            return Err(RepositoryError::address("", "it is empty; name a folder or the URL of a store"));
        }
        if !address.contains("://") {
            return Ok(Self(Source::Folder(Folder::new(address.into()))));
        }
        if let Some(path) = file_path(address) {
            return Ok(Self(Source::Folder(Folder::new(path?))));
        }
        #[cfg(feature = "object-store")]
        {
            let variables: Vec<_> = variables.into_iter().collect();
            Ok(Self(Source::Store(Store::open(address, &variables)?)))
        }
        #[cfg(not(feature = "object-store"))]
        {
            drop(variables);
            // Not the whole address: it may hold a password.
            let scheme = address.split_once("://").map_or(address, |(scheme, _)| scheme);
            let detail = "built without feature `object-store`; give a folder, or run \
                          `cargo build --release -p serve --features object-store`";
            Err(RepositoryError::address(format!("{scheme}://…"), detail))
        }
    }

    /// Its address, for a message: without credentials.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.0 {
            Source::Folder(folder) => folder.address(),
            #[cfg(feature = "object-store")]
            Source::Store(store) => store.address(),
        }
    }

    /// What it holds. A folder that does not exist holds nothing. Blocks.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn contents(&self) -> Result<Contents> {
        match &self.0 {
            Source::Folder(folder) => folder.contents(),
            #[cfg(feature = "object-store")]
            Source::Store(store) => store.contents(),
        }
    }

    /// The kind of a version of `model`, as its manifest says; nothing else of it is read or checked. Blocks.
    ///
    /// # Errors
    /// [`RepositoryErrorKind::NotFound`] for a version that does not exist; [`RepositoryErrorKind::Broken`] for a manifest that
    /// does not say; others if the source cannot be read.
    pub fn kind(&self, model: &str, version: &str) -> Result<String> {
        match &self.0 {
            Source::Folder(folder) => folder.kind(model, version),
            #[cfg(feature = "object-store")]
            Source::Store(store) => store.kind(model, version),
        }
    }

    /// The version of `model` that is in use. Blocks.
    ///
    /// # Errors
    /// [`RepositoryErrorKind::NotFound`] if there is no such model yet; others if the source cannot be read.
    pub fn current(&self, model: &str) -> Result<String> {
        match &self.0 {
            Source::Folder(folder) => folder.current(model),
            #[cfg(feature = "object-store")]
            Source::Store(store) => store.current(model),
        }
    }

    /// Every version of `model`, in the order of their names; none if there is no such model. A web server cannot
    /// list: behind `http(s)://` it is only the version in use. Blocks.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn versions(&self, model: &str) -> Result<Vec<String>> {
        match &self.0 {
            Source::Folder(folder) => folder.versions(model),
            #[cfg(feature = "object-store")]
            Source::Store(store) => store.versions(model),
        }
    }

    /// A version of `model` as a local folder, to be validated by [`Artifact::open`](models::artifact::Artifact::open).
    /// Blocks.
    ///
    /// # Errors
    /// [`RepositoryErrorKind::NotFound`] for a version that does not exist, and for an invalid name;
    /// [`RepositoryErrorKind::Broken`] if a listed file is missing or too large; others if the source cannot be read.
    pub fn fetch(&self, model: &str, version: &str) -> Result<Fetched> {
        match &self.0 {
            Source::Folder(folder) => folder.fetch(model, version),
            #[cfg(feature = "object-store")]
            Source::Store(store) => store.fetch(model, version),
        }
    }
}

impl Fetched {
    fn local(folder: PathBuf) -> Self {
        Self { folder, _temporary: None }
    }

    #[cfg(feature = "object-store")]
    fn downloaded(folder: PathBuf, temporary: TempDir) -> Self {
        Self { folder, _temporary: Some(temporary) }
    }
}

impl Deref for Fetched {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.folder
    }
}

/// Why reading a [`Repository`] failed. It contains no password and no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {detail}")]
pub struct RepositoryError {
    kind: RepositoryErrorKind,
    location: String,
    detail: String,
}

/// The kind of a [`RepositoryError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepositoryErrorKind {
    /// The address is invalid.
    Address,
    /// Nothing is there, or not yet.
    NotFound,
    /// The store gave no usable response; it may recover.
    Unreachable,
    /// The store or the operating system denies access.
    Denied,
    /// What is there is not an artifact's.
    Broken,
}

impl RepositoryError {
    fn new(kind: RepositoryErrorKind, location: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, location: location.into(), detail: detail.into() }
    }

    fn address(address: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(RepositoryErrorKind::Address, format!("the address `{}`", address.into()), detail)
    }

    fn not_found(location: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(RepositoryErrorKind::NotFound, location, detail)
    }

    fn broken(location: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(RepositoryErrorKind::Broken, location, detail)
    }

    fn io(location: impl Into<String>, action: &str, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => RepositoryErrorKind::Denied,
            _ => RepositoryErrorKind::Broken,
        };
        Self::new(kind, location, format!("failed to {action} it: {error}"))
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> RepositoryErrorKind {
        self.kind
    }

    /// The error of a server of the model `name`.
    pub(crate) fn of(self, name: &ModelName) -> Error {
        let name = name.clone();
        match self.kind {
            RepositoryErrorKind::Address => Error::Usage(self.to_string()),
            RepositoryErrorKind::NotFound => Error::NoArtifact { name, artifacts: self.location, reason: self.detail },
            _ => Error::Artifact { name, artifacts: self.location, source: self.detail.into() },
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

/// Detail for a file over the limit.
fn too_large(limit: u64) -> String {
    format!("it is larger than {limit} bytes, the limit of an artifact's file; write the artifact again")
}

/// A name in a message, escaped and shortened.
fn quoted(name: &str) -> String {
    const SHOWN: usize = 64;
    let shown: String = name.chars().take(SHOWN).collect();
    let rest = if shown.len() < name.len() { "…" } else { "" };
    format!("`{}{rest}`", shown.escape_debug())
}

/// Names from a store or a request are used in paths only in the form that `models` writes.
fn is_version(name: &str) -> bool {
    names::check_version(name).is_ok()
}

/// Whether a folder may be that of a model.
fn is_model(name: &str) -> bool {
    names::check_model(name).is_ok()
}

/// The kind that a manifest of these bytes says.
fn kind_in(manifest: &[u8], location: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Kind {
        model: String,
    }
    match serde_json::from_slice::<Kind>(manifest) {
        Ok(Kind { model }) => Ok(model),
        Err(error) => Err(RepositoryError::broken(location, format!("not a manifest: {error}"))),
    }
}

fn no_version(name: &str) -> String {
    format!("{} is not a version: expected 12 hexadecimal digits in lower case", quoted(name))
}

/// The path of a `file://` address; `None` for any other address.
fn file_path(address: &str) -> Option<Result<PathBuf>> {
    let path = address.strip_prefix("file://")?;
    let path = path.strip_prefix("localhost").unwrap_or(path);
    let decoded = percent_decode_str(path).decode_utf8().ok();
    Some(match decoded.filter(|_| path.starts_with('/') && !path.contains(['?', '#'])) {
        Some(path) => Ok(PathBuf::from(&*path)),
        None => Err(RepositoryError::address("file://…", "it names no folder of this machine; write file:///folder")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_its_folder() {
        let is_file = |name: &str| names::check_file(name).is_ok();
        assert!(is_version("0123456789ab") && is_file("weights.safetensors"));
        assert!(["vgg19", "dances", "a.b-c_9", &"x".repeat(64)].into_iter().all(is_model) && !is_model("0123456789ab"));
        for bad in ["", ".", "..", "../x", "/x", "a/b", "a\\b", ".x", "a\0b", "é", "Artifact.JSON", "0123456789AB"] {
            assert!(!is_version(bad) && !is_model(bad), "{bad:?}");
            assert!(!is_file(bad) || bad == "0123456789AB", "{bad:?}");
        }
        assert!(!is_file(&"x".repeat(65)) && !is_model(&"x".repeat(65)));
    }

    #[test]
    fn a_long_name_is_shortened() {
        assert_eq!(quoted("a\nb"), r"`a\nb`");
        assert!(quoted(&"x".repeat(1000)).len() < 100);
    }

    #[test]
    fn a_file_address_is_a_path() {
        let path = |address: &str| file_path(address).map(|path| path.map_err(|error| error.kind()));
        for (address, expected) in [("file:///a/b", "/a/b"), ("file:///a%20b/", "/a b/"), ("file://localhost/a", "/a")]
        {
            assert_eq!(path(address), Some(Ok(expected.into())), "{address}");
        }
        for address in ["file://host/a", "file://a", "file:///a?b", "file:///a#b", "file://"] {
            assert_eq!(path(address), Some(Err(RepositoryErrorKind::Address)), "{address}");
        }
        assert_eq!(path("s3://bucket"), None);
    }
}
