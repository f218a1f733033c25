//! How a path leads to a version of a model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{CURRENT, MANIFEST, current, names};
use crate::{Error, Result};

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
        return not_found(&dir, format!("{CURRENT} beside it names a version that is not there"));
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
