//! Writing an artifact: all of it, or nothing.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use features::FeatureSpec;
use serde_json::Value;

use super::{
    Artifact, DataDescription, FormatVersion, MANIFEST, METRICS, Manifest, REPORT, SplitMetrics, WEIGHTS, digest,
    manifest::PROGRAM, version_of,
};
use crate::{Error, Result};

/// An artifact that is not written yet.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Kind of model, such as `svm`: 1 to 32 of `a–z 0–9 - _`.
    pub model: String,
    /// Names of the classes, in the order of the model's outputs; unique, at least two.
    pub labels: Vec<String>,
    /// The features that the model hears.
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
    /// Writes the artifact to `root/<model>/<version>/`, by way of a temporary folder beside it that is renamed when
    /// all is on the disk. A version that is there already is left as it is. `CURRENT` is not touched: see
    /// [`set_current`](super::set_current).
    ///
    /// # Errors
    /// [`Error::Labels`], [`Error::Name`], [`Error::Features`] for a draft that would be refused when read;
    /// [`Error::Exists`] when the version is there but damaged; [`Error::Io`].
    pub fn write(&self, root: &Path) -> Result<Written> {
        let files =
            BTreeMap::from([(WEIGHTS, &self.weights), (METRICS, &self.metrics_json), (REPORT, &self.report_html)]);
        let manifest = Manifest {
            format: FormatVersion::CURRENT,
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
        let parent = root.join(&self.model);
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
        for (name, bytes) in files.into_iter().chain([(MANIFEST, &manifest_json)]) {
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
