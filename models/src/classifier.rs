//! [`Classifier`]: what every model does, whatever it is made of.

use features::{Clip, ClipFeatures, Extractor, Fingerprint};
use labels::LabelSet;
use serde::Serialize;

use crate::{Error, Explain, Explanation, Prediction, Result, conformal::Conformal};

/// A model that predicts the label of a clip. Used from any number of threads at once.
pub trait Classifier: Send + Sync + std::fmt::Debug {
    /// Which model this is.
    fn identity(&self) -> &Identity;

    /// The labels of the classes, in the order of the probabilities; at least two.
    fn labels(&self) -> &LabelSet;

    /// Computes the features that this model was trained on.
    fn extractor(&self) -> &Extractor;

    /// Whether it can explain a label: [`PredictRequest::explain`] of another model is answered without an explanation.
    fn explains(&self) -> bool {
        false
    }

    /// Predicts the labels of several clips.
    ///
    /// There is a result for each request, in their order, and it is the one that the request would get alone: to the bit on
    /// [`Backend::Flex`](crate::vgg19::Backend::Flex), to rounding on other devices.
    ///
    /// # Errors
    /// Each request has its own. [`Error::Features`] for features of a clip that is too short, or of another specification;
    /// [`Error::NoSuchClass`] for a class to explain that the model does not have; [`Error::Cancelled`] for a request that was
    /// cancelled.
    fn predict_batch(&self, requests: &[PredictRequest<'_>]) -> Vec<Result<PredictOutput>>;

    /// Predicts the label of one clip.
    ///
    /// # Errors
    /// Those of [`Classifier::predict_batch`].
    fn predict_one(&self, request: PredictRequest<'_>) -> Result<PredictOutput> {
        // One request has one result.
        self.predict_batch(&[request]).pop().unwrap_or(Err(Error::Cancelled))
    }

    /// Predicts the label of a clip from its features, which [`Classifier::extractor`] computed.
    ///
    /// # Errors
    /// [`Error::Features`] for features of a clip that is too short, or of another specification.
    fn predict(&self, features: &ClipFeatures) -> Result<Prediction> {
        Ok(self.predict_one(PredictRequest::new(features))?.prediction)
    }

    /// Predicts the label of a clip of any sample rate.
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
    /// of [`Classifier::embed`], to the bit on [`Backend::Flex`](crate::vgg19::Backend::Flex), to rounding on other devices.
    ///
    /// # Errors
    /// [`Error::Vector`] for vectors of another length than the model takes, or of a model that decides by none.
    fn predict_embedded(&self, segments: &[Vec<f32>]) -> Result<Vec<f64>> {
        let _ = segments;
        Err(Error::Vector { detail: format!("is nothing that {} decides by", self.identity().name) })
    }

    /// What its predictions are worth was calibrated on, where it was: what [`Classifier::predict_batch`] adds to predictions, for those
    /// who have vectors and probabilities alone.
    fn conformal(&self) -> Option<&Conformal> {
        None
    }

    /// Explains which places of a clip speak for the class of index `label`; `None` from a model that cannot say.
    ///
    /// # Errors
    /// Those of [`Classifier::predict`]; [`Error::NoSuchClass`].
    fn explain(&self, features: &ClipFeatures, label: usize) -> Result<Option<Explanation>> {
        Ok(self
            .predict_one(PredictRequest { explain: Some(Explain::Label(label)), ..PredictRequest::new(features) })?
            .explanation)
    }
}

/// A clip whose label is to be predicted.
#[derive(Clone, Copy)]
pub struct PredictRequest<'a> {
    /// Its features, by [`Classifier::extractor`].
    pub features: &'a ClipFeatures,
    /// What is to be explained, if anything.
    pub explain: Option<Explain>,
    /// Whether the request was cancelled: asked before each segment, on the thread that called.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> PredictRequest<'a> {
    /// A request that is never cancelled, with nothing to explain.
    #[must_use]
    pub fn new(features: &'a ClipFeatures) -> Self {
        Self { features, explain: None, cancelled: &|| false }
    }

    /// Refuses to go on with a request that was cancelled.
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

/// What a model returns for a request.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictOutput {
    /// The probabilities.
    pub prediction: Prediction,
    /// Which places of the clip speak for a class, if that was asked for and the model can say.
    pub explanation: Option<Explanation>,
    /// The vectors of the segments that it was predicted by, as [`Classifier::embed`] gives them; empty from a model that decides by none.
    pub vectors: Vec<Vec<f32>>,
}

/// Which model made a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Kind of model, such as `svm`.
    pub name: String,
    /// Version of its artifact: 12 hexadecimal digits that name its content.
    pub version: String,
    /// Fingerprint of the features that it was trained on.
    pub fingerprint: Fingerprint,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}
