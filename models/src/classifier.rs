//! [`Classifier`]: what every model does, whatever it is made of.

use std::path::Path;

use features::{Clip, ClipFeatures, Extractor, Fingerprint};
use serde::Serialize;

use crate::{
    Error, Explain, Explanation, Prediction, Result,
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

    /// Names the genres of several songs: the one way in, which all others go by.
    ///
    /// There is an answer for each job, in their order, and it is the one that the job would get alone: to the bit on
    /// [`Backend::Flex`], to rounding on other devices.
    ///
    /// # Errors
    /// Each job has its own. [`Error::Features`] for an analysis that is too short or was made to another specification;
    /// [`Error::NoSuchClass`] for a class to explain that the model does not have; [`Error::Cancelled`] for a job that was
    /// not wanted any more.
    fn predict_batch(&self, requests: &[PredictRequest<'_>]) -> Vec<Result<PredictOutput>>;

    /// Names the genre of one song.
    ///
    /// # Errors
    /// Those of [`Classifier::predict_batch`].
    fn predict_one(&self, request: PredictRequest<'_>) -> Result<PredictOutput> {
        // One request has one answer.
        self.predict_batch(&[request]).pop().unwrap_or(Err(Error::Cancelled))
    }

    /// Names the genre of an analysis made by [`Classifier::extractor`].
    ///
    /// # Errors
    /// [`Error::Features`] for an analysis that is too short or was made to another specification.
    fn predict(&self, features: &ClipFeatures) -> Result<Prediction> {
        Ok(self.predict_one(PredictRequest::new(features))?.prediction)
    }

    /// Names the genre of a clip of any rate.
    ///
    /// # Errors
    /// [`Error::Features`] for a clip that is too short.
    fn predict_clip(&self, clip: &Clip) -> Result<Prediction> {
        self.predict(&self.extractor().extract(clip)?)
    }

    /// The vectors that the model decides by: one for each segment, all of one length, as they are before the model standardises
    /// them. They show which clips are alike to the model. No timeline and no digest is computed for them. A model that decides by
    /// no vectors gives none.
    ///
    /// # Errors
    /// Those of [`Classifier::predict`].
    fn embed(&self, features: &ClipFeatures) -> Result<Vec<Vec<f32>>> {
        let _ = features;
        Ok(Vec::new())
    }

    /// The probabilities of a clip from the vectors of its segments: those of [`Classifier::predict`] where the vectors are those
    /// of [`Classifier::embed`], to the bit on [`Backend::Flex`], to rounding on other devices.
    ///
    /// # Errors
    /// [`Error::Vector`] for vectors of another length than the model takes, or of a model that decides by none.
    fn predict_embedded(&self, segments: &[Vec<f32>]) -> Result<Vec<f64>> {
        let _ = segments;
        Err(Error::Vector { detail: format!("is nothing that {} decides by", self.identity().name) })
    }

    /// Says where in a song the class of index `label` was heard; `None` from a model that cannot say.
    ///
    /// # Errors
    /// Those of [`Classifier::predict`]; [`Error::NoSuchClass`].
    fn explain(&self, features: &ClipFeatures, label: usize) -> Result<Option<Explanation>> {
        Ok(self
            .predict_one(PredictRequest { explain: Some(Explain::Label(label)), ..PredictRequest::new(features) })?
            .explanation)
    }
}

/// A song to be judged.
#[derive(Clone, Copy)]
pub struct PredictRequest<'a> {
    /// What [`Classifier::extractor`] made of it.
    pub features: &'a ClipFeatures,
    /// What is to be explained, if anything.
    pub explain: Option<Explain>,
    /// Whether the request was cancelled: asked before each segment, on the thread that called.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> PredictRequest<'a> {
    /// A job that is wanted to its end, with nothing to explain.
    #[must_use]
    pub fn new(features: &'a ClipFeatures) -> Self {
        Self { features, explain: None, cancelled: &|| false }
    }

    /// Refuses to go on with a job that nobody waits for.
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        if (self.cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Refuses a class that a model of `n_classes` does not have.
    pub(crate) fn check_class(&self, n_classes: usize) -> Result<()> {
        match self.explain {
            Some(Explain::Label(index)) if index >= n_classes => Err(Error::NoSuchClass { index, n_classes }),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for PredictRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PredictRequest")
            .field("n_frames", &self.features.log_mel().n_frames())
            .field("explain", &self.explain)
            .finish_non_exhaustive()
    }
}

/// What a model says of a song.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictOutput {
    /// Its genre.
    pub prediction: Prediction,
    /// Where it was heard, if that was asked for and the model can say.
    pub explanation: Option<Explanation>,
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
