//! [`Classifier`]: what every model does, whatever it is made of.

use std::path::Path;

use features::{Analysis, Clip, Extractor, Fingerprint};
use serde::Serialize;

use crate::{
    Error, Prediction, Result,
    artifact::{self, Artifact},
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier},
};

/// A model that names the genre of a clip. Used from any number of threads at once.
pub trait Classifier: Send + Sync + std::fmt::Debug {
    /// Which model this is.
    fn identity(&self) -> &Identity;

    /// Names of the classes, in the order of the probabilities; unique, at least two.
    fn labels(&self) -> &[String];

    /// Computes the features that this model was trained on.
    fn extractor(&self) -> &Extractor;

    /// Names the genre of an analysis made by [`Classifier::extractor`].
    ///
    /// # Errors
    /// [`Error::Features`] for an analysis that is too short or was made to another specification.
    fn predict(&self, analysis: &Analysis) -> Result<Prediction>;

    /// Names the genre of a clip of any rate.
    ///
    /// # Errors
    /// [`Error::Features`] for a clip that is too short.
    fn predict_clip(&self, clip: &Clip) -> Result<Prediction> {
        self.predict(&self.extractor().analyse(clip)?)
    }
}

/// Which model gave an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Kind of model, such as `svm`.
    pub name: String,
    /// Version of its artifact: 12 hexadecimal digits that name its content.
    pub version: String,
    /// Fingerprint of the features that it hears.
    pub fingerprint: Fingerprint,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

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
    match artifact.manifest().model.as_str() {
        SvmClassifier::NAME => Ok(Box::new(SvmClassifier::from_artifact(artifact)?)),
        Vgg19Classifier::NAME => Ok(Box::new(Vgg19Classifier::from_artifact(artifact, backend)?)),
        other => Err(Error::UnknownModel { model: other.to_owned(), known: "`svm` and `vgg19`" }),
    }
}
