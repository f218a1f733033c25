//! Reading an artifact: every byte is checked before any is used.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use super::{MANIFEST, Manifest, WEIGHTS, digest, names, version_of};
use crate::{Error, Result};

/// Largest `artifact.json` in bytes; ours have some ten thousand.
pub const MANIFEST_LIMIT: u64 = 4 << 20;
/// Largest other file in bytes; the weights of VGG19 in `f32` have 80 million.
pub const FILE_LIMIT: u64 = 1 << 30;

/// An artifact in memory, every byte of which was checked against its digest.
#[derive(Clone)]
pub struct Artifact {
    dir: PathBuf,
    version: String,
    manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
}

impl Artifact {
    /// Reads the version folder `dir`.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no `artifact.json`; [`Error::Format`] for a format that this program does not
    /// read; [`Error::Version`] and [`Error::Digest`] for damage; [`Error::MissingFile`] and [`Error::UnexpectedFile`]
    /// for a folder that holds less, or more; [`Error::Fingerprint`] for features that this program cannot reproduce;
    /// [`Error::Name`], [`Error::TooLarge`], [`Error::Json`], [`Error::Labels`], [`Error::Io`].
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        if !path.is_file() {
            return Err(Error::NotFound {
                path: dir.to_owned(),
                detail: format!("there is no {MANIFEST}; `train` writes one"),
            });
        }
        let bytes = read_bounded(&path, MANIFEST_LIMIT)?;
        // The format comes first: a newer program may name versions in another way. Damage comes next, so that what a
        // flipped bit makes of the content is never mistaken for what was written.
        Manifest::check_format(&bytes, &path)?;
        let version = version_of(&bytes);
        let folder = folder_name(dir)?;
        if folder != version {
            return Err(Error::Version { path, expected: folder, found: version });
        }

        let manifest = Manifest::from_json(&bytes, &path)?;
        check_listing(dir, &manifest)?;
        let mut files = BTreeMap::new();
        for (name, expected) in &manifest.files {
            let path = dir.join(names::check_file(name)?);
            if fs::symlink_metadata(&path).is_err() {
                return Err(Error::MissingFile { path });
            }
            let bytes = read_bounded(&path, FILE_LIMIT)?;
            let found = digest(&bytes);
            if found != *expected {
                return Err(Error::Digest { path, expected: expected.clone(), found });
            }
            files.insert(name.clone(), bytes);
        }
        Ok(Self { dir: dir.to_owned(), version, manifest, files })
    }

    /// The folder that it was read from.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// 12 hexadecimal digits that name its content.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bytes of one of its files.
    ///
    /// # Errors
    /// [`Error::MissingFile`] for a file that the artifact does not list.
    pub fn file(&self, name: &str) -> Result<&[u8]> {
        let missing = || Error::MissingFile { path: self.dir.join(name) };
        self.files.get(name).map(Vec::as_slice).ok_or_else(missing)
    }

    /// The bytes of `weights.safetensors`.
    ///
    /// # Errors
    /// [`Error::MissingFile`] for an artifact without.
    pub fn weights(&self) -> Result<&[u8]> {
        self.file(WEIGHTS)
    }
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifact").field("dir", &self.dir).field("version", &self.version).finish_non_exhaustive()
    }
}

/// Name of the folder, also of `.` and of a link to it.
fn folder_name(dir: &Path) -> Result<String> {
    let dir = fs::canonicalize(dir).map_err(Error::io("find", dir))?;
    Ok(dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

/// Nothing lies in the folder but plain files that the manifest lists.
fn check_listing(dir: &Path, manifest: &Manifest) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(Error::io("look at", &path))?;
        if !kind.is_file() {
            return Err(Error::UnexpectedFile { path, detail: "it is not a plain file" });
        }
        let listed = name.to_str().is_some_and(|name| name == MANIFEST || manifest.files.contains_key(name));
        if !listed {
            return Err(Error::UnexpectedFile { path, detail: "artifact.json does not list it" });
        }
    }
    Ok(())
}

/// Reads a file of at most `limit` bytes, whatever its length claims to be.
pub(super) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
