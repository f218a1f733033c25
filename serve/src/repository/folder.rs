//! A folder on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use models::artifact::{self, MANIFEST, names};

use super::{Fetched, RepositoryError, Result, is_version, no_version};

/// A folder of artifacts, of one model, or of one version.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn current(&self, model: &str) -> Result<String> {
        let folder = artifact::resolve(&self.root, Some(model))?;
        let version = name_of(&folder)?;
        if is_version(&version) {
            Ok(version)
        } else {
            Err(RepositoryError::broken(
                folder.display().to_string(),
                format!("the folder holds a version but has another name: {}", no_version(&version)),
            ))
        }
    }

    pub(super) fn versions(&self, model: &str) -> Result<Vec<String>> {
        if let Some(fixed) = self.fixed()? {
            return Ok(vec![fixed]);
        }
        for folder in self.folders(model) {
            let found = versions_in(&folder)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    pub(super) fn fetch(&self, model: &str, version: &str) -> Result<Fetched> {
        let absent = |detail: String| Err(RepositoryError::not_found(self.root.display().to_string(), detail));
        if !is_version(version) {
            return absent(no_version(version));
        }
        if let Some(fixed) = self.fixed()? {
            return match fixed == version {
                true => Ok(Fetched::local(self.root.clone())),
                false => absent(format!("it is the version {fixed}, not {version}")),
            };
        }
        let mut folders = self.folders(model).into_iter().map(|folder| folder.join(version));
        match folders.find(|folder| folder.join(MANIFEST).is_file()) {
            Some(folder) => Ok(Fetched::local(folder)),
            None => absent(format!("there is no version {version} of {model}")),
        }
    }

    /// The version, if this is the folder of one.
    fn fixed(&self) -> Result<Option<String>> {
        if self.root.join(MANIFEST).is_file() { name_of(&self.root).map(Some) } else { Ok(None) }
    }

    /// Folders of the versions of `model`: below all artifacts, or in the folder of the one model.
    fn folders(&self, model: &str) -> Vec<PathBuf> {
        let of_model = names::check_model(model).is_ok().then(|| self.root.join(model));
        of_model.into_iter().chain([self.root.clone()]).collect()
    }
}

/// Name of a folder, also of `.` and of links.
fn name_of(folder: &Path) -> Result<String> {
    let found =
        fs::canonicalize(folder).map_err(|error| RepositoryError::io(folder.display().to_string(), "find", &error))?;
    Ok(found.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

/// Versions in the folder of a model; none without such a folder.
fn versions_in(folder: &Path) -> Result<Vec<String>> {
    match artifact::versions(folder) {
        Ok(mut versions) => {
            versions.retain(|version| folder.join(version).join(MANIFEST).is_file());
            Ok(versions)
        }
        Err(models::Error::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
