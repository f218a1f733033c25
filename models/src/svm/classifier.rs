//! An [`Svm`] with the features that it was trained on: a [`Classifier`].

use features::{ClipFeatures, Extractor, FeatureVector, Span};
use labels::LabelSet;

use super::machine::Svm;
use crate::{
    Classifier, Error, Identity, PredictOutput, PredictRequest, Prediction, Result, WindowPrediction,
    artifact::Artifact, pool,
};

/// The classifier of an artifact of model `svm`.
#[derive(Debug)]
pub struct SvmClassifier {
    identity: Identity,
    labels: LabelSet,
    extractor: Extractor,
    svm: Svm,
}

impl SvmClassifier {
    /// What a [`Manifest`](crate::artifact::Manifest) calls this model.
    pub const NAME: &str = "svm";

    /// Joins a machine with its labels and features.
    ///
    /// # Errors
    /// [`Error::Labels`] when there are more or fewer labels than classes; [`Error::Vector`] when the extractor gives
    /// vectors of another size than the machine takes.
    pub fn new(identity: Identity, labels: LabelSet, extractor: Extractor, svm: Svm) -> Result<Self> {
        if labels.len() != svm.n_classes() {
            let detail = format!("there are {} of them, and {} classes", labels.len(), svm.n_classes());
            return Err(Error::Labels { detail });
        }
        if extractor.names().len() != svm.dim() {
            let detail = format!(
                "of this specification has {} dimensions, the model was trained on {}",
                extractor.names().len(),
                svm.dim()
            );
            return Err(Error::Vector { detail });
        }
        Ok(Self { identity, labels, extractor, svm })
    }

    /// Reads the machine of an artifact.
    ///
    /// # Errors
    /// Those of [`Svm::from_tensors`], [`Extractor::new`] and [`SvmClassifier::new`].
    pub fn from_artifact(artifact: &Artifact) -> Result<Self> {
        let manifest = artifact.manifest();
        let identity = Identity {
            name: manifest.model.clone(),
            version: artifact.version().to_owned(),
            fingerprint: manifest.fingerprint.clone(),
        };
        let extractor = Extractor::new(manifest.spec.clone())?;
        Self::new(identity, manifest.labels.clone(), extractor, Svm::from_tensors(artifact.weights()?)?)
    }

    /// The vectors of spans of a clip, unless the request is cancelled.
    fn vectors(&self, request: &PredictRequest<'_>, spans: Vec<Span>) -> Result<Vec<FeatureVector>> {
        let vector = |span| {
            request.check_cancelled()?;
            Ok(self.extractor.vector(request.features, span)?)
        };
        spans.into_iter().map(vector).collect()
    }

    fn classify(&self, vectors: &[FeatureVector]) -> Result<Vec<WindowPrediction>> {
        let classify = |vector: &FeatureVector| {
            Ok(WindowPrediction {
                start_seconds: vector.start_seconds,
                end_seconds: vector.end_seconds,
                probabilities: self.svm.probabilities(&vector.vector)?,
            })
        };
        vectors.iter().map(classify).collect()
    }

    fn predict_request(&self, request: &PredictRequest<'_>) -> Result<PredictOutput> {
        request.check_class(self.labels.len())?;
        let n_frames = request.features.log_mel().n_frames();
        let vectors = self.vectors(request, self.extractor.segment_spans(n_frames)?)?;
        let features_digest = features::digest(request.features, &vectors);
        let segments = self.classify(&vectors)?;
        // A clip of one short segment is its own only window.
        let windows = match segments.as_slice() {
            [only] if n_frames <= self.extractor.spec().segmentation.window.frames => vec![only.clone()],
            _ => self.classify(&self.vectors(request, self.extractor.window_spans(n_frames)?)?)?,
        };
        let probabilities = pool(segments.iter().map(|segment| segment.probabilities.as_slice()));
        let prediction = Prediction { probabilities, windows, features_digest, novelty: None, labels_90: None };
        let vectors = vectors.into_iter().map(|vector| vector.vector).collect();
        Ok(PredictOutput { prediction, explanation: None, vectors })
    }

    /// The machine.
    #[must_use]
    pub fn svm(&self) -> &Svm {
        &self.svm
    }
}

impl Classifier for SvmClassifier {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn labels(&self) -> &LabelSet {
        &self.labels
    }

    fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    /// One request after the other. Nothing is explained: a support vector machine takes a segment as one vector.
    fn predict_batch(&self, requests: &[PredictRequest<'_>]) -> Vec<Result<PredictOutput>> {
        requests.iter().map(|request| self.predict_request(request)).collect()
    }

    fn embed(&self, features: &ClipFeatures) -> Result<Vec<Vec<f32>>> {
        Ok(self.extractor.segments(features)?.into_iter().map(|segment| segment.vector).collect())
    }

    fn predict_embedded(&self, segments: &[Vec<f32>]) -> Result<Vec<f64>> {
        let each = segments.iter().map(|vector| self.svm.probabilities(vector)).collect::<Result<Vec<_>>>()?;
        Ok(pool(each.iter().map(Vec::as_slice)))
    }
}
