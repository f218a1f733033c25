//! [`Repository`]: the source of artifacts, a folder, an object store, the program itself, or several of these.

mod embedded;
mod folder;
mod search;
#[cfg(feature = "object-store")]
mod store;

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use models::artifact::{Artifact, CURRENT, names, places};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
#[cfg(feature = "object-store")]
use tempfile::TempDir;
use utoipa::ToSchema;

use crate::{Error, config::ModelName};
use folder::Folder;
use search::{Layer, Search};
#[cfg(feature = "object-store")]
use store::Store;

/// `Result` with [`RepositoryError`].
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

/// Artifacts in a folder or in an object store, laid out as [`models::artifact`] says, or the SVM that is part of the program.
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
    Embedded,
    Search(Search),
}

/// Where a model comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ModelOrigin)]
pub enum Origin {
    /// The folder or the store that was named, or the folder that was found.
    Artifacts,
    /// What is served until a version of the model is in use there.
    Fallback,
    /// The program, of which it is a part.
    Embedded,
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

/// A version of a model that can be read without blocking for long: in a local folder, or in the program. What was downloaded is
/// removed when this is dropped.
#[derive(Debug)]
pub struct Fetched {
    files: Files,
    origin: Origin,
    /// That of the repository, without credentials.
    address: String,
}

#[derive(Debug)]
enum Files {
    Folder(PathBuf),
    #[cfg(feature = "object-store")]
    Downloaded {
        folder: PathBuf,
        /// Removed when dropped.
        _scratch: TempDir,
    },
    Embedded,
}

impl Repository {
    /// The repository that `named` leads to, or else those that are found: `artifacts` beside the program, in `share/tonearm` of a
    /// package, in the user's data folder, in the current folder, and at last the program itself. What does not have a version in
    /// use there is looked for in `fallback`. See [`Repository::open`].
    ///
    /// # Errors
    /// [`RepositoryErrorKind::Address`] for an invalid address.
    pub fn find(named: Option<&str>, fallback: Option<&str>) -> Result<Self> {
        let layer = |repository, origin| Layer { repository, origin };
        let fallback = fallback.map(Self::open).transpose()?;
        let found = match (named, fallback.is_some()) {
            (Some(named), false) => return Self::open(named),
            (Some(named), true) => vec![Self::open(named)?],
            (None, _) => places::all().into_iter().map(|place| Self(Source::Folder(Folder::new(place)))).collect(),
        };
        let mut layers: Vec<Layer> = found.into_iter().map(|found| layer(found, Origin::Artifacts)).collect();
        layers.extend(fallback.map(|fallback| layer(fallback, Origin::Fallback)));
        if named.is_none() {
            layers.push(layer(Self(Source::Embedded), Origin::Embedded));
        }
        Ok(Self(Source::Search(Search::new(layers))))
    }

    /// The repository at `address`: a path; or `file://`, `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix`, or `http(s)://host/prefix` for files behind a web server; or `embedded` for the program itself.
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
        if address == embedded::ADDRESS {
            return Ok(Self(Source::Embedded));
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
            Source::Embedded => embedded::ADDRESS.to_owned(),
            Source::Search(search) => search.address(),
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
            Source::Embedded => Ok(embedded::contents()),
            Source::Search(search) => search.contents(),
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
            Source::Embedded => embedded::kind(model, version),
            Source::Search(search) => search.kind(model, version),
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
            Source::Embedded => embedded::current(model),
            Source::Search(search) => search.current(model),
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
            Source::Embedded => Ok(embedded::versions(model)),
            Source::Search(search) => search.versions(model),
        }
    }

    /// A version of `model`, to be validated by [`Fetched::artifact`]. Blocks.
    ///
    /// # Errors
    /// [`RepositoryErrorKind::NotFound`] for a version that does not exist, and for an invalid name;
    /// [`RepositoryErrorKind::Broken`] if a listed file is missing or too large; others if the source cannot be read.
    pub fn fetch(&self, model: &str, version: &str) -> Result<Fetched> {
        let files = match &self.0 {
            Source::Folder(folder) => folder.fetch(model, version).map(Files::Folder)?,
            #[cfg(feature = "object-store")]
            Source::Store(store) => store.fetch(model, version)?,
            Source::Embedded => embedded::check(model, version).map(|()| Files::Embedded)?,
            Source::Search(search) => return search.fetch(model, version),
        };
        let origin = if matches!(files, Files::Embedded) { Origin::Embedded } else { Origin::Artifacts };
        Ok(Fetched { files, origin, address: self.address() })
    }

    /// Whether the version of `model` in use is the one that is part of the program. Blocks.
    #[must_use]
    pub fn is_embedded(&self, model: &str) -> bool {
        match &self.0 {
            Source::Embedded => embedded::current(model).is_ok(),
            Source::Search(search) => search.is_embedded(model),
            _ => false,
        }
    }

    /// Whether something says that a version of `model` is in use, even if there is no such version.
    fn names_a_version(&self, model: &str) -> bool {
        match &self.0 {
            Source::Folder(folder) => folder.names_a_version(model),
            // What they say without a version in use is that there is none.
            _ => false,
        }
    }
}

impl Fetched {
    /// The version in the folder `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        let address = folder.display().to_string();
        Self { files: Files::Folder(folder.to_owned()), origin: Origin::Artifacts, address }
    }

    /// Reads it, and checks every byte.
    ///
    /// # Errors
    /// Those of [`Artifact::open`].
    pub fn artifact(&self) -> models::Result<Artifact> {
        match self.folder() {
            Some(folder) => Artifact::open(folder),
            None => embedded::artifact(),
        }
    }

    /// Its folder, unless it is in the program.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.files {
            Files::Folder(folder) => Some(folder),
            #[cfg(feature = "object-store")]
            Files::Downloaded { folder, .. } => Some(folder),
            Files::Embedded => None,
        }
    }

    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The address of its repository: without credentials, and not for clients.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for Fetched {
    /// Its folder, for a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.folder() {
            Some(folder) => write!(f, "{}", folder.display()),
            None => f.write_str("the program"),
        }
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
            error => Self::broken(CURRENT, error.to_string()),
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
