//! The SVM that is part of the program, so that it predicts wherever it is.

use models::{
    artifact::{Artifact, MANIFEST},
    svm::SvmClassifier,
};

use super::{Contents, RepositoryError, Result, kind_in, quoted};

// `VERSION` and `FILES`, by build.rs.
include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// What its address is called in messages, and in place of a folder.
pub(super) const ADDRESS: &str = "embedded";

pub(super) fn contents() -> Contents {
    Contents::Models(vec![SvmClassifier::NAME.to_owned()])
}

pub(super) fn kind(model: &str, version: &str) -> Result<String> {
    check(model, version)?;
    let manifest = FILES.iter().find(|(name, _)| *name == MANIFEST).map_or(&[][..], |(_, bytes)| *bytes);
    kind_in(manifest, ADDRESS)
}

pub(super) fn current(model: &str) -> Result<String> {
    match model {
        SvmClassifier::NAME => Ok(VERSION.to_owned()),
        _ => Err(absent(format!("the program itself holds `{}` alone, not {}", SvmClassifier::NAME, quoted(model)))),
    }
}

pub(super) fn versions(model: &str) -> Vec<String> {
    current(model).into_iter().collect()
}

/// Refuses what is not the one version of the one model.
pub(super) fn check(model: &str, version: &str) -> Result<()> {
    if current(model)? == version {
        return Ok(());
    }
    Err(absent(format!("the program itself holds the version {VERSION}, not {}", quoted(version))))
}

/// The one version.
pub(super) fn artifact() -> models::Result<Artifact> {
    Artifact::embedded(VERSION, &FILES)
}

fn absent(detail: String) -> RepositoryError {
    RepositoryError::not_found(ADDRESS, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_and_predicts_ten_labels() {
        let artifact = artifact().expect("whole");
        assert_eq!((artifact.version(), artifact.manifest().labels.len()), (VERSION, 10));
        assert_eq!(kind("svm", VERSION).expect("says"), artifact.manifest().model);
        assert!(kind("vgg19", VERSION).is_err() && kind("svm", "0123456789ab").is_err());
        models::from_artifact(&artifact, models::vgg19::Backend::default()).expect("loads");
    }
}
