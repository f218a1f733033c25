//! Which version of a model is in use, which were before, and which is to stay: the files `CURRENT`, `HISTORY` and `PINNED`.
//!
//! Each is replaced as a whole, and whoever changes one holds a lock on the folder meanwhile, so two programs that put versions in
//! use at the same time do so one after the other. Readers take no lock.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    CURRENT, HISTORY, MANIFEST, PINNED,
    files::{read_bounded, replace},
    names,
};
use crate::{Error, Result};

/// Largest `CURRENT` or `PINNED` in bytes; ours have 13.
pub const CURRENT_LIMIT: u64 = 64;
/// Versions that `HISTORY` holds.
const HISTORY_VERSIONS: usize = 32;
/// Largest `HISTORY`; ours have up to 416 bytes.
const HISTORY_LIMIT: u64 = 4096;
/// Locked by whoever changes one of the files.
const LOCK: &str = ".lock";

/// The version in use, by the file `CURRENT` of a model's folder, such as `artifacts/svm`.
///
/// # Errors
/// [`Error::NotFound`] without `CURRENT`; [`Error::Name`] when it holds anything but a version; [`Error::TooLarge`];
/// [`Error::Io`].
pub fn current(model_dir: &Path) -> Result<String> {
    read_version(&model_dir.join(CURRENT))?
        .ok_or_else(|| Error::NotFound { path: model_dir.to_owned(), detail: format!("there is no file {CURRENT}") })
}

/// Puts a version that lies in `model_dir` in use, and remembers the one before it in `HISTORY`. A reader sees the old or the new
/// one, never a part.
///
/// # Errors
/// [`Error::Pinned`] when another version is to stay; [`Error::Name`] for what is no version; [`Error::NotFound`] for one that is
/// not there; [`Error::Io`].
pub fn set_current(model_dir: &Path, version: &str) -> Result<()> {
    let dir = model_dir.join(names::check_version(version)?);
    if !dir.join(MANIFEST).is_file() {
        return Err(Error::NotFound { path: dir, detail: format!("there is no {MANIFEST} to put in use") });
    }
    let _turn = take_turn(model_dir)?;
    if let Some(pinned) = pinned(model_dir)?.filter(|pinned| pinned != version) {
        return Err(Error::Pinned { path: model_dir.join(PINNED), pinned, version: version.to_owned() });
    }
    // A `CURRENT` or a `HISTORY` that cannot be understood holds nothing to go back to, and must not be in the way.
    if let Some(before) = current(model_dir).ok().filter(|before| before != version) {
        let mut history = history(model_dir).unwrap_or_default();
        history.push(before);
        let text: String = history[history.len().saturating_sub(HISTORY_VERSIONS)..].join("\n");
        // First, so that nothing is lost between the two; the version in use, at the end of it, does no harm.
        replace(&model_dir.join(HISTORY), format!("{text}\n").as_bytes())?;
    }
    replace(&model_dir.join(CURRENT), format!("{version}\n").as_bytes())
}

/// The versions that were in use before, the newest last, by the file `HISTORY`; as many as it holds.
///
/// # Errors
/// [`Error::Name`] when it holds anything but versions; [`Error::TooLarge`]; [`Error::Io`].
pub fn history(model_dir: &Path) -> Result<Vec<String>> {
    let path = model_dir.join(HISTORY);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let bytes = read_bounded(&path, HISTORY_LIMIT)?;
    String::from_utf8_lossy(&bytes).lines().map(|line| names::check_version(line).map(str::to_owned)).collect()
}

/// The version that was in use before the one that is now.
///
/// # Errors
/// Those of [`current`] and [`history`]; [`Error::NotFound`] when none was.
pub fn previous(model_dir: &Path) -> Result<String> {
    let current = current(model_dir)?;
    history(model_dir)?.into_iter().rfind(|version| *version != current).ok_or_else(|| Error::NotFound {
        path: model_dir.to_owned(),
        detail: format!("no other version was in use before {current}"),
    })
}

/// The version that is to stay in use, by the file `PINNED`.
///
/// # Errors
/// [`Error::Name`] when it holds anything but a version; [`Error::TooLarge`]; [`Error::Io`].
pub fn pinned(model_dir: &Path) -> Result<Option<String>> {
    read_version(&model_dir.join(PINNED))
}

/// Keeps the version in use from being replaced: from here on, [`set_current`] refuses every other.
///
/// # Errors
/// [`Error::NotInUse`] when `version` is not the one in use; those of [`current`].
pub fn pin(model_dir: &Path, version: &str) -> Result<()> {
    let _turn = take_turn(model_dir)?;
    let current = current(model_dir)?;
    if current != version {
        return Err(Error::NotInUse { path: model_dir.to_owned(), version: version.to_owned(), current });
    }
    replace(&model_dir.join(PINNED), format!("{version}\n").as_bytes())
}

/// Lets other versions be put in use again, whatever `PINNED` holds. Nothing happens where it does not exist.
///
/// # Errors
/// [`Error::Io`].
pub fn unpin(model_dir: &Path) -> Result<()> {
    let path = model_dir.join(PINNED);
    let _turn = take_turn(model_dir)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// The versions that lie in the folder of a model, in the order of their names. Nothing of them is read: some may be damaged.
///
/// # Errors
/// [`Error::NotFound`] when there is no such folder; [`Error::Io`].
pub fn versions(model_dir: &Path) -> Result<Vec<String>> {
    if !model_dir.is_dir() {
        let detail = "there is no such folder; `train` makes it".to_owned();
        return Err(Error::NotFound { path: model_dir.to_owned(), detail });
    }
    let mut versions = Vec::new();
    for entry in fs::read_dir(model_dir).map_err(Error::io("list", model_dir))? {
        let entry = entry.map_err(Error::io("list", model_dir))?;
        let name = entry.file_name();
        versions.extend(
            name.to_str().filter(|name| names::check_version(name).is_ok() && entry.path().is_dir()).map(str::to_owned),
        );
    }
    versions.sort_unstable();
    Ok(versions)
}

/// The names of the models in the folder `root`, in their order: its folders that have a version, or `CURRENT`, and the name of a
/// model. Nothing of them is read: some may be damaged.
///
/// # Errors
/// [`Error::NotFound`] when there is no such folder; [`Error::Io`].
pub fn models(root: &Path) -> Result<Vec<String>> {
    if !root.is_dir() {
        let detail = "there is no such folder; `train` makes it".to_owned();
        return Err(Error::NotFound { path: root.to_owned(), detail });
    }
    let mut models = Vec::new();
    for entry in fs::read_dir(root).map_err(Error::io("list", root))? {
        let entry = entry.map_err(Error::io("list", root))?;
        let (name, path) = (entry.file_name(), entry.path());
        let Some(name) = name.to_str().filter(|name| names::check_model(name).is_ok()) else { continue };
        if path.join(CURRENT).is_file() || (path.is_dir() && !versions(&path)?.is_empty()) {
            models.push(name.to_owned());
        }
    }
    models.sort_unstable();
    Ok(models)
}

/// The version that a file holds, if it is there.
fn read_version(path: &Path) -> Result<Option<String>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_bounded(path, CURRENT_LIMIT)?;
    names::version_in(&String::from_utf8_lossy(&bytes)).map(|version| Some(version.to_owned()))
}

/// Blocks until no other program changes the files of this folder; none does while the result lives.
fn take_turn(model_dir: &Path) -> Result<File> {
    let path: PathBuf = model_dir.join(LOCK);
    let lock = || -> io::Result<File> {
        let file = File::options().create(true).append(true).open(&path)?;
        match file.lock() {
            // Some network file systems have no locks; there, the last of two wins and a line of `HISTORY` may be lost.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => Ok(file),
        }
    };
    lock().map_err(Error::io("lock", &path))
}

/// The version folder that `path` leads to. It is one itself; or it is the folder of a model, whose `CURRENT` says
/// which; or it holds folders of models, of which `model` says which, and without which there must be only one.
///
/// Nothing of the artifact is read: [`Artifact::open`](super::Artifact::open) does that.
///
/// # Errors
/// [`Error::NotFound`] when it leads nowhere; those of [`current`].
pub fn resolve(path: &Path, model: Option<&str>) -> Result<PathBuf> {
    if path.join(MANIFEST).is_file() {
        return Ok(path.to_owned());
    }
    let not_found = |path: &Path, detail: String| Err(Error::NotFound { path: path.to_owned(), detail });
    let model_dir = if path.join(CURRENT).is_file() {
        path.to_owned()
    } else if path.exists() && !path.is_dir() {
        return not_found(path, "it is a file, not a folder of artifacts".into());
    } else if !path.is_dir() {
        return not_found(path, "there is no such folder; `train` makes `artifacts`".into());
    } else if let Some(model) = model {
        path.join(names::check_model(model)?)
    } else {
        let mut models = models_in(path)?;
        match (models.pop(), models.is_empty()) {
            (Some(only), true) => only,
            (Some(_), false) => return not_found(path, "it holds several models: name the folder of one".into()),
            (None, _) => {
                let detail = format!("neither {MANIFEST} nor {CURRENT} is in it; `train` makes them");
                return not_found(path, detail);
            }
        }
    };
    let dir = model_dir.join(current(&model_dir)?);
    if !dir.join(MANIFEST).is_file() {
        return not_found(&dir, format!("{CURRENT} beside it names a version that does not exist"));
    }
    Ok(dir)
}

/// Folders of models in `root`.
fn models_in(root: &Path) -> Result<Vec<PathBuf>> {
    let mut models = Vec::new();
    for entry in fs::read_dir(root).map_err(Error::io("list", root))? {
        let path = entry.map_err(Error::io("list", root))?.path();
        if path.join(CURRENT).is_file() {
            models.push(path);
        }
    }
    Ok(models)
}
