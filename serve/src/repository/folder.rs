//! A folder on this machine.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use models::artifact::{self, CURRENT, MANIFEST, MANIFEST_LIMIT};

use super::{Contents, RepositoryError, Result, is_model, is_version, kind_in, no_version, too_large};

/// A folder of artifacts, of one model, or of one version.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn address(&self) -> String {
        self.root.display().to_string()
    }

    pub(super) fn contents(&self) -> Result<Contents> {
        if [MANIFEST, CURRENT].iter().any(|file| self.root.join(file).is_file()) {
            return Ok(Contents::One);
        }
        let mut names = Vec::new();
        // What is wrong with it is told where a model is looked for in it.
        if !self.root.is_dir() {
            return Ok(Contents::Models(names));
        }
        let fail = |error: std::io::Error| RepositoryError::io(self.address(), "list", &error);
        for entry in fs::read_dir(&self.root).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            // A link to a folder is one.
            names.extend(name.to_str().filter(|name| is_model(name) && entry.path().is_dir()).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(Contents::Models(names))
    }

    pub(super) fn kind(&self, model: &str, version: &str) -> Result<String> {
        let path = self.fetch(model, version)?.join(MANIFEST);
        let location = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes));
        read.map_err(|error| RepositoryError::io(&location, "read", &error))?;
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(RepositoryError::broken(location, too_large(MANIFEST_LIMIT)));
        }
        kind_in(&bytes, &location)
    }

    pub(super) fn current(&self, model: &str) -> Result<String> {
        let folder = artifact::resolve(&self.root, Some(model)).map_err(|error| self.located(error.into(), model))?;
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

    pub(super) fn fetch(&self, model: &str, version: &str) -> Result<PathBuf> {
        let absent = |detail: String| Err(RepositoryError::not_found(self.root.display().to_string(), detail));
        if !is_version(version) {
            return absent(no_version(version));
        }
        if let Some(fixed) = self.fixed()? {
            return match fixed == version {
                true => Ok(self.root.clone()),
                false => absent(format!("it is the version {fixed}, not {version}")),
            };
        }
        let mut folders = self.folders(model).into_iter().map(|folder| folder.join(version));
        match folders.find(|folder| folder.join(MANIFEST).is_file()) {
            Some(folder) => Ok(folder),
            None => absent(format!("there is no version {version} of {model}")),
        }
    }

    /// The same error with the path of the file `CURRENT`, if it is of one.
    fn located(&self, error: RepositoryError, model: &str) -> RepositoryError {
        let mut files = self.folders(model).into_iter().map(|folder| folder.join(CURRENT));
        match files.find(|path| path.is_file()).filter(|_| error.location == CURRENT) {
            Some(path) => RepositoryError::broken(path.display().to_string(), error.detail),
            None => error,
        }
    }

    /// Whether it has a file that says which version of `model` is in use, or is the folder of a version.
    pub(super) fn names_a_version(&self, model: &str) -> bool {
        self.folders(model).iter().any(|folder| folder.join(CURRENT).is_file()) || self.root.join(MANIFEST).is_file()
    }

    /// The version, if this is the folder of one.
    fn fixed(&self) -> Result<Option<String>> {
        if self.root.join(MANIFEST).is_file() { name_of(&self.root).map(Some) } else { Ok(None) }
    }

    /// Folders of the versions of `model`: below all artifacts, or in the folder of the one model.
    fn folders(&self, model: &str) -> Vec<PathBuf> {
        let of_model = is_model(model).then(|| self.root.join(model));
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
