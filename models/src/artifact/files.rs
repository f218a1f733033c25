//! Reading an artifact, of which every byte is checked before any is used, and writing one: all of it, or nothing.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use features::FeatureSpec;
use labels::LabelSet;
use serde_json::Value;

use super::{
    MANIFEST, METRICS, REPORT, WEIGHTS, digest,
    manifest::{DataDescription, Manifest, PROGRAM, SplitMetrics},
    names, version_of,
};
use crate::{Error, Result, conformal::Conformal, svm::Svm, vgg19::Vgg19Parameters};

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
    files: BTreeMap<String, Cow<'static, [u8]>>,
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
        let manifest = read_bounded(&path, MANIFEST_LIMIT)?;
        let read = |path: &Path, _: &str| {
            if fs::symlink_metadata(path).is_err() {
                return Err(Error::MissingFile { path: path.to_owned() });
            }
            read_bounded(path, FILE_LIMIT).map(Cow::Owned)
        };
        Self::check(dir, || folder_name(dir), &manifest, |manifest| check_listing(dir, manifest), read)
    }

    /// Reads a version that is part of the program: the names and the bytes of its files. They are checked as those of a folder
    /// are, and not copied.
    ///
    /// # Errors
    /// Those of [`Artifact::open`].
    pub fn embedded(version: &str, files: &[(&str, &'static [u8])]) -> Result<Self> {
        // For messages: there is no such folder.
        let dir = Path::new("embedded").join(version);
        let find = |wanted: &str| files.iter().find(|(name, _)| *name == wanted).map(|(_, bytes)| *bytes);
        let missing = |path: &Path| Error::MissingFile { path: path.to_owned() };
        let manifest = find(MANIFEST).ok_or_else(|| missing(&dir.join(MANIFEST)))?;
        let check_listing = |manifest: &Manifest| {
            let listed = |name: &str| name == MANIFEST || manifest.files.contains_key(name);
            match files.iter().find(|(name, _)| !listed(name)) {
                Some((name, _)) => Err(unlisted(dir.join(name))),
                None => Ok(()),
            }
        };
        let read = |path: &Path, name: &str| find(name).map(Cow::Borrowed).ok_or_else(|| missing(path));
        Self::check(&dir, || Ok(version.to_owned()), manifest, check_listing, read)
    }

    /// Checks the files of the version that has the name `named`, in this order: what the manifest itself says, the list of the
    /// files, and their bytes, which `read` gives by path and name.
    fn check(
        dir: &Path,
        named: impl FnOnce() -> Result<String>,
        manifest: &[u8],
        check_listing: impl FnOnce(&Manifest) -> Result<()>,
        read: impl Fn(&Path, &str) -> Result<Cow<'static, [u8]>>,
    ) -> Result<Self> {
        let path = dir.join(MANIFEST);
        // The format comes first: a newer program may name versions in another way. Damage comes next, so that what a
        // flipped bit makes of the content is never mistaken for what was written.
        Manifest::check_format(manifest, &path)?;
        let (version, named) = (version_of(manifest), named()?);
        if named != version {
            return Err(Error::Version { path, expected: named, found: version });
        }

        let manifest = Manifest::from_json(manifest, &path)?;
        check_listing(&manifest)?;
        let mut files = BTreeMap::new();
        for (name, expected) in &manifest.files {
            let path = dir.join(names::check_file(name)?);
            let bytes = read(&path, name)?;
            let found = digest(&bytes);
            if found != *expected {
                return Err(Error::Digest { path, expected: expected.clone(), found });
            }
            files.insert(name.clone(), bytes);
        }
        Ok(Self { dir: dir.to_owned(), version, manifest, files })
    }

    /// The folder that it was read from; of one that is part of the program `embedded/<version>`, which is no folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// 12 hexadecimal digits that name its content.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its `artifact.json`.
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
        self.files.get(name).map(Cow::as_ref).ok_or_else(missing)
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
            return Err(unlisted(path));
        }
    }
    Ok(())
}

fn unlisted(path: PathBuf) -> Error {
    Error::UnexpectedFile { path, detail: "artifact.json does not list it" }
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

/// An artifact that is not written yet.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Kind of model, such as `svm`: 1 to 32 of `a–z 0–9 - _`.
    pub model: String,
    /// The labels of the classes, in the order of the model's outputs; at least two.
    pub labels: LabelSet,
    /// The features that the model takes.
    pub spec: FeatureSpec,
    /// Hyperparameters, seeds, counts, warnings. Must not depend on time, host or path.
    pub training: Value,
    /// The clips that it was trained on.
    pub data: DataDescription,
    /// How good it is, by split.
    pub metrics: Vec<SplitMetrics>,
    /// The bytes of `weights.safetensors`.
    pub weights: Vec<u8>,
    /// The bytes of `metrics.json`.
    pub metrics_json: Vec<u8>,
    /// The bytes of `report.html`.
    pub report_html: Vec<u8>,
}

/// Where an artifact was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its folder.
    pub dir: PathBuf,
    /// Its version, the name of the folder.
    pub version: String,
}

impl Draft {
    /// [`Draft::write_as`], under the name of its kind: to `root/<kind>/<version>/`.
    ///
    /// # Errors
    /// Those of [`Draft::write_as`].
    pub fn write(&self, root: &Path) -> Result<Written> {
        self.write_as(root, &self.model)
    }

    /// Writes the artifact as a version of the model `name` to `root/<name>/<version>/`, by way of a temporary folder beside
    /// it that is renamed when all is on the disk. A version that is there already is left as it is. `CURRENT` is not touched:
    /// see [`set_current`](super::set_current). The name is that of the folder alone: nothing in the artifact depends on it.
    ///
    /// # Errors
    /// [`Error::Labels`], [`Error::Name`], [`Error::Features`] for a draft that would be refused when read;
    /// [`Error::Exists`] when the version is there but damaged; [`Error::Io`].
    pub fn write_as(&self, root: &Path, name: &str) -> Result<Written> {
        self.write_with(root, name, &[])
    }

    /// [`Draft::write_as`] with further files, each with its name, which is none of those that every artifact has.
    ///
    /// # Errors
    /// Those of [`Draft::write_as`].
    pub fn write_with(&self, root: &Path, name: &str, further: &[(&str, &[u8])]) -> Result<Written> {
        let mut files: BTreeMap<&str, &[u8]> = further.iter().copied().collect();
        files.extend([(WEIGHTS, self.weights.as_slice()), (METRICS, &self.metrics_json), (REPORT, &self.report_html)]);
        let manifest = Manifest {
            format: Svm::format_of(&self.weights)
                .max(Vgg19Parameters::format_of(&self.weights))
                .max(Conformal::format_of(&self.weights)),
            program: PROGRAM.to_owned(),
            model: self.model.clone(),
            labels: self.labels.clone(),
            fingerprint: self.spec.fingerprint(),
            spec: self.spec.clone(),
            training: self.training.clone(),
            data: self.data.clone(),
            metrics: self.metrics.clone(),
            files: files.iter().map(|(&name, bytes)| (name.to_owned(), digest(bytes))).collect(),
        };
        manifest.check()?;
        let parent = root.join(names::check_model(name)?);
        let json = |detail: String| Error::Json { path: parent.join(MANIFEST), detail };
        let manifest_json = manifest.to_json().map_err(|error| json(error.to_string()))?;
        // Refuses what JSON cannot hold, such as a NaN, which is written as `null`.
        if Manifest::from_json(&manifest_json, &parent.join(MANIFEST))? != manifest {
            return Err(json("a value does not survive being written as JSON".into()));
        }

        let version = version_of(&manifest_json);
        let dir = parent.join(&version);
        if dir.exists() {
            return Self::keep(dir, version);
        }
        fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
        let staging = readable(tempfile::Builder::new().prefix(".writing-"), 0o777)
            .tempdir_in(&parent)
            .map_err(Error::io("create a temporary folder in", &parent))?;
        for (name, bytes) in files.into_iter().chain([(MANIFEST, manifest_json.as_slice())]) {
            let path = staging.path().join(name);
            let mut file = File::create_new(&path).map_err(Error::io("create", &path))?;
            file.write_all(bytes).map_err(Error::io("write", &path))?;
            file.sync_all().map_err(Error::io("flush", &path))?;
        }
        sync_dir(staging.path())?;
        match fs::rename(staging.path(), &dir) {
            Ok(()) => {
                // Renamed: there is nothing left for the guard to remove.
                let _ = staging.keep();
                sync_dir(&parent)?;
                Ok(Written { dir, version })
            }
            // Another process was first.
            Err(_) if dir.exists() => Self::keep(dir, version),
            Err(source) => Err(Error::Io { action: "create", path: dir, source }),
        }
    }

    /// The version names its bytes, so a folder of that name that reads without an error is the artifact.
    fn keep(dir: PathBuf, version: String) -> Result<Written> {
        match Artifact::open(&dir) {
            Ok(_) => Ok(Written { dir, version }),
            Err(error) => Err(Error::Exists { path: dir, detail: error.to_string() }),
        }
    }
}

/// Replaces `path` by a file of these bytes; a reader sees the old or the new, never a part.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = readable(tempfile::Builder::new().prefix(".writing-"), 0o666)
        .tempfile_in(parent)
        .map_err(Error::io("create a temporary file in", parent))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.as_file().sync_all().map_err(Error::io("flush", path))?;
    file.persist(path).map_err(|error| Error::Io { action: "replace", path: path.to_owned(), source: error.error })?;
    sync_dir(parent)
}

/// Temporary files are private by default; what becomes an artifact is as readable as the umask leaves `mode`, since the
/// server may run as another user.
fn readable<'a, 'b>(builder: &'a mut tempfile::Builder<'b, 'b>, mode: u32) -> &'a mut tempfile::Builder<'b, 'b> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Makes a rename in a folder last through a loss of power. Only Unix opens folders.
fn sync_dir(dir: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(dir).and_then(|file| file.sync_all()).map_err(Error::io("flush", dir))?;
    }
    Ok(())
}
