//! An [`Svm`] with the features that it hears: a [`Classifier`].

use features::{ClipFeatures, Extractor, FeatureVector, Span};

use super::Svm;
use crate::{
    Classifier, Error, Identity, PredictOutput, PredictRequest, Prediction, Result, WindowPrediction,
    artifact::Artifact, pool,
};

/// The classifier of an artifact of model `svm`.
#[derive(Debug)]
pub struct SvmClassifier {
    identity: Identity,
    labels: Vec<String>,
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
    pub fn new(identity: Identity, labels: Vec<String>, extractor: Extractor, svm: Svm) -> Result<Self> {
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

    /// The vectors of pieces of a song, as long as it is wanted.
    fn hear(&self, job: &PredictRequest<'_>, pieces: Vec<Span>) -> Result<Vec<FeatureVector>> {
        let hear = |piece| {
            job.check_cancelled()?;
            Ok(self.extractor.vector(job.features, piece)?)
        };
        pieces.into_iter().map(hear).collect()
    }

    fn classify(&self, pieces: &[FeatureVector]) -> Result<Vec<WindowPrediction>> {
        let classify = |piece: &FeatureVector| {
            Ok(WindowPrediction {
                start_seconds: piece.start_seconds,
                end_seconds: piece.end_seconds,
                probabilities: self.svm.probabilities(&piece.vector)?,
            })
        };
        pieces.iter().map(classify).collect()
    }

    /// The prediction for one clip.
    fn judge_one(&self, job: &PredictRequest<'_>) -> Result<PredictOutput> {
        job.check_class(self.labels.len())?;
        let n_frames = job.features.log_mel().n_frames();
        let heard = self.hear(job, self.extractor.segment_spans(n_frames)?)?;
        let features_digest = features::digest(job.features, &heard);
        let passages = self.classify(&heard)?;
        // A clip of one short passage is its own only window.
        let windows = match passages.as_slice() {
            [only] if n_frames <= self.extractor.spec().segmentation.window.frames => vec![only.clone()],
            _ => self.classify(&self.hear(job, self.extractor.window_spans(n_frames)?)?)?,
        };
        let probabilities = pool(passages.iter().map(|passage| passage.probabilities.as_slice()));
        let prediction = Prediction { probabilities, windows, features_digest };
        Ok(PredictOutput { prediction, explanation: None })
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

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    /// One job after the other. Nothing is explained: a support vector machine hears a song as one vector.
    fn predict_batch(&self, jobs: &[PredictRequest<'_>]) -> Vec<Result<PredictOutput>> {
        jobs.iter().map(|job| self.judge_one(job)).collect()
    }

    fn embed(&self, features: &ClipFeatures) -> Result<Vec<Vec<f32>>> {
        Ok(self.extractor.segments(features)?.into_iter().map(|segment| segment.vector).collect())
    }

    fn predict_embedded(&self, segments: &[Vec<f32>]) -> Result<Vec<f64>> {
        let each = segments.iter().map(|vector| self.svm.probabilities(vector)).collect::<Result<Vec<_>>>()?;
        Ok(pool(each.iter().map(Vec::as_slice)))
    }
}
