//! [`Repository`]: where artifacts come from, a folder or an object store.

#[cfg(feature = "object-store")]
mod connect;
mod error;
mod folder;
#[cfg_attr(
    not(feature = "object-store"),
    expect(dead_code, reason = "names of files are checked for object stores alone")
)]
mod names;
#[cfg(feature = "object-store")]
mod store;

use std::{env, ops::Deref, path::Path, path::PathBuf};

use tempfile::TempDir;

use folder::Folder;
#[cfg(feature = "object-store")]
use store::Store;

pub use error::{RepositoryError, RepositoryErrorKind};

/// `Result` with [`RepositoryError`].
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

/// Artifacts in a folder or in an object store, laid out as [`models::artifact`] says.
///
/// The address may be that of all artifacts, of one model, or of one version. The last is then the only one there is,
/// whatever `CURRENT` beside it says.
///
/// Its methods block: they are for threads that may wait, not for those of an async runtime.
#[derive(Debug)]
pub struct Repository(Place);

#[derive(Debug)]
enum Place {
    Folder(Folder),
    #[cfg(feature = "object-store")]
    Store(Store),
}

/// A version of a model in a local folder that [`Artifact::open`](models::artifact::Artifact::open) can read. What was
/// downloaded is removed when this is dropped.
#[derive(Debug)]
pub struct Fetched {
    folder: PathBuf,
    /// Around what was downloaded.
    _temporary: Option<TempDir>,
}

impl Repository {
    /// The repository at `address`: a path; or `file://`, `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix`, or `http(s)://host/prefix` for files behind a web server.
    ///
    /// Credentials, regions and endpoints of stores are those of the environment variables `AWS_*`, `GOOGLE_*` and
    /// `AZURE_*`; those of a web server may be in its URL. Nothing is asked of a store yet.
    ///
    /// # Errors
    /// [`RepositoryErrorKind::Address`] for an address that cannot lead anywhere.
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
            return Ok(Self(Place::Folder(Folder::new(address.into()))));
        }
        #[cfg(feature = "object-store")]
        return match connect::parse(address)? {
            connect::Target::Folder(path) => Ok(Self(Place::Folder(Folder::new(path)))),
            connect::Target::Store(url) => {
                let variables: Vec<_> = variables.into_iter().collect();
                connect::connect(&url, &variables).and_then(Store::new).map(|store| Self(Place::Store(store)))
            }
        };
        #[cfg(not(feature = "object-store"))]
        {
            drop(variables);
            if let Some(path) = address.strip_prefix("file://").filter(|path| path.starts_with('/')) {
                let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
                return Ok(Self(Place::Folder(Folder::new(path.as_ref().into()))));
            }
            // Not the address as it is: it may hold a password.
            let scheme = address.split_once("://").map_or(address, |(scheme, _)| scheme);
            let detail = "built without feature `object-store`; give a folder, or run \
                          `cargo build --release -p serve --features object-store`";
            Err(RepositoryError::address(format!("{scheme}://…"), detail))
        }
    }

    /// The version of `model` that is in use. Blocks.
    ///
    /// # Errors
    /// [`RepositoryErrorKind::NotFound`] where there is no such model yet; others where that cannot be told.
    pub fn current(&self, model: &str) -> Result<String> {
        match &self.0 {
            Place::Folder(folder) => folder.current(model),
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.current(model),
        }
    }

    /// Every version of `model`, in the order of their names; none where there is no such model. A web server cannot
    /// list: of one behind `http(s)://` it is the version in use alone. Blocks.
    ///
    /// # Errors
    /// Where that cannot be told.
    pub fn versions(&self, model: &str) -> Result<Vec<String>> {
        match &self.0 {
            Place::Folder(folder) => folder.versions(model),
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.versions(model),
        }
    }

    /// A version of `model` as a local folder. What is in it is for [`Artifact::open`](models::artifact::Artifact::open)
    /// to judge. Blocks.
    ///
    /// # Errors
    /// [`RepositoryErrorKind::NotFound`] for a version that is not there, and for what is no version;
    /// [`RepositoryErrorKind::Broken`] for one that lacks a file which it lists, or has one that is larger than any of an
    /// artifact; others where it cannot be had.
    pub fn fetch(&self, model: &str, version: &str) -> Result<Fetched> {
        match &self.0 {
            Place::Folder(folder) => folder.fetch(model, version),
            #[cfg(feature = "object-store")]
            Place::Store(store) => store.fetch(model, version),
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
