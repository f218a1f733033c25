//! From an artifact to the classifier that it holds.

use std::{fs, path::Path, sync::Arc};

use crate::{
    Classifier, Error, Result,
    artifact::{self, Artifact},
    conformal::Conformal,
    ensemble::{EnsembleClassifier, EnsembleParameters, Member},
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier},
};

/// Loads the model of the artifact that `path` leads to, as [`artifact::resolve`] finds it, onto the default device.
///
/// # Errors
/// Those of [`artifact::resolve`], [`Artifact::open`] and [`from_artifact`].
pub fn load(path: &Path) -> Result<Box<dyn Classifier>> {
    from_artifact(&Artifact::open(&artifact::resolve(path, None)?)?, Backend::default())
}

/// Makes the model that an opened artifact holds; a network computes on the first device of `backend`. The members of an ensemble
/// are looked for in the folder of artifacts that the ensemble lies in.
///
/// # Errors
/// [`Error::UnknownModel`] for a kind that this program does not have; [`Error::Tensor`] and its like for weights that
/// do not fit the labels, or the features; [`Error::Device`]; [`Error::Member`] and [`Error::Ensemble`] for an ensemble whose
/// members are not there, or cannot be joined, and the errors of [`Artifact::open`] for a member that is damaged.
pub fn from_artifact(artifact: &Artifact, backend: Backend) -> Result<Box<dyn Classifier>> {
    match artifact.manifest().model.as_str() {
        EnsembleClassifier::NAME => {
            let EnsembleParameters { members } = EnsembleParameters::from_tensors(artifact.weights()?)?;
            let members = members.iter().map(|member| beside(artifact, member, backend)).collect::<Result<_>>()?;
            Ok(Box::new(EnsembleClassifier::from_artifact(artifact, members)?))
        }
        _ => single(artifact, backend),
    }
}

/// Makes the model that an opened artifact holds, unless that is an ensemble.
fn single(artifact: &Artifact, backend: Backend) -> Result<Box<dyn Classifier>> {
    let classifier: Box<dyn Classifier> = match artifact.manifest().model.as_str() {
        SvmClassifier::NAME => Box::new(SvmClassifier::from_artifact(artifact)?),
        Vgg19Classifier::NAME => Box::new(Vgg19Classifier::from_artifact(artifact, backend)?),
        other => {
            return Err(Error::UnknownModel { model: other.to_owned(), known: "`svm`, `vgg19` and `ensemble`" });
        }
    };
    Ok(Conformal::from_tensors(artifact.weights()?)?.with(classifier))
}

/// The member of an ensemble in the folder of artifacts that the ensemble lies in.
fn beside(artifact: &Artifact, member: &Member, backend: Backend) -> Result<Arc<dyn Classifier>> {
    let wrong = |detail: String| Error::Member { name: member.name.clone(), version: member.version.clone(), detail };
    // Also of `.` and of a link.
    let dir = fs::canonicalize(artifact.dir()).unwrap_or_else(|_| artifact.dir().to_owned());
    let root = dir.ancestors().nth(2).unwrap_or(Path::new("."));
    let found = match Artifact::open(&root.join(&member.name).join(&member.version)) {
        Err(Error::NotFound { .. }) => {
            let detail = format!("is not in {}; copy it there, or train the ensemble again", root.display());
            return Err(wrong(detail));
        }
        found => found?,
    };
    match found.manifest().model.as_str() {
        EnsembleClassifier::NAME => Err(wrong("is an ensemble too; train one of other models".to_owned())),
        _ => single(&found, backend).map(Arc::from),
    }
}
