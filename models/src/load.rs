//! From an artifact to the classifier that it holds.

use std::path::Path;

use crate::{
    Classifier, Error, Result,
    artifact::{self, Artifact},
    conformal::Conformal,
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

/// Makes the model that an opened artifact holds; a network computes on the first device of `backend`.
///
/// # Errors
/// [`Error::UnknownModel`] for a kind that this program does not have; [`Error::Tensor`] and its like for weights that
/// do not fit the labels, or the features; [`Error::Device`].
pub fn from_artifact(artifact: &Artifact, backend: Backend) -> Result<Box<dyn Classifier>> {
    let classifier: Box<dyn Classifier> = match artifact.manifest().model.as_str() {
        SvmClassifier::NAME => Box::new(SvmClassifier::from_artifact(artifact)?),
        Vgg19Classifier::NAME => Box::new(Vgg19Classifier::from_artifact(artifact, backend)?),
        other => return Err(Error::UnknownModel { model: other.to_owned(), known: "`svm` and `vgg19`" }),
    };
    Ok(Conformal::from_tensors(artifact.weights()?)?.with(classifier))
}
