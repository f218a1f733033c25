//! What an answer is worth, by conformal prediction (V. Vovk, A. Gammerman and G. Shafer, "Algorithmic learning in a random world",
//! 2005): a p-value for whether a clip is like the training set ([`NoveltyDetector`]), and a set of labels that holds the true one for
//! nine tracks in ten ([`PredictionSets`]). Both are calibrated on clips of artists that the models behind them had not seen, and are an
//! optional part of `weights.safetensors`: artifacts of earlier programs have neither.

mod novelty;
mod sets;

use std::collections::HashMap;

use features::{ClipFeatures, Extractor};
use labels::LabelSet;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

pub use self::{
    novelty::{Distances, LEVEL, NoveltyDetector, NoveltyParameters, combined, distances, project},
    sets::{COVERAGE, PredictionSets},
};
use crate::{Classifier, Error, Identity, Novelty, PredictOutput, PredictRequest, Result, format::FormatVersion};

/// What was calibrated on clips of held-out artists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conformal {
    /// Tells clips that are unlike the training set.
    pub novelty: Option<NoveltyDetector>,
    /// Makes sets of labels.
    pub sets: Option<PredictionSets>,
}

/// A tensor that is to be written.
#[derive(Clone, Debug)]
struct OwnTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl OwnTensor {
    fn f64s(name: &str, shape: Vec<usize>, values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.to_owned(), dtype: Dtype::F64, shape, bytes }
    }

    fn f32s(name: &str, shape: Vec<usize>, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.to_owned(), dtype: Dtype::F32, shape, bytes }
    }
}

impl Conformal {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.novelty.is_none() && self.sets.is_none()
    }

    /// Whether a tensor of `weights.safetensors` is of this part, and not of the model.
    pub(crate) fn has_tensor(name: &str) -> bool {
        name == sets::THRESHOLD || novelty::NAMES.contains(&name)
    }

    /// The weights of a model with this part: the bytes of a safetensors file that holds none of it. Equal parts give equal bytes.
    ///
    /// # Shapes
    /// - `novelty.mean`: F32 `[D]`; `novelty.axes`: F32 `[R, D]`
    /// - `novelty.centres`: F64 `[C, R]`; `novelty.precision`: F64 `[R]`
    /// - `novelty.nearest`: F64 `[C, 2]`; `novelty.relative`: F64 `[2]`
    /// - `novelty.frames`: F64 `[L]`, falling; `novelty.calibration`: F64 `[L, N]`, rising; `novelty.threshold`: F64 `[1]`
    /// - `sets.threshold`: F64 `[1]`
    ///
    /// # Errors
    /// [`Error::Weights`] for bytes that are no safetensors file, or hold this part already.
    pub fn add_to(&self, weights: &[u8]) -> Result<Vec<u8>> {
        if self.is_empty() {
            return Ok(weights.to_vec());
        }
        let fail = |error: safetensors::SafeTensorError| Error::Weights { detail: error.to_string() };
        let file = SafeTensors::deserialize(weights).map_err(fail)?;
        if let Some(name) = file.names().into_iter().find(|name| Self::has_tensor(name)) {
            return Err(Error::Weights { detail: format!("there is a tensor `{name}` already") });
        }
        let (_, metadata) = SafeTensors::read_metadata(weights).map_err(fail)?;
        let fields: Option<HashMap<String, String>> = metadata.metadata().clone();
        let own: Vec<OwnTensor> = self
            .novelty
            .iter()
            .flat_map(NoveltyDetector::tensors)
            .chain(self.sets.iter().flat_map(PredictionSets::tensors))
            .collect();
        let added = own
            .iter()
            .map(|tensor| {
                Ok((tensor.name.clone(), TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(fail)?;
        safetensors::serialize(file.tensors().into_iter().chain(added), fields).map_err(fail)
    }

    /// Reads this part of `weights.safetensors`; empty where it holds none.
    ///
    /// # Errors
    /// [`Error::Weights`] for bytes that are no safetensors file; [`Error::Tensor`] for a tensor that is missing, or not as it must be.
    pub fn from_tensors(weights: &[u8]) -> Result<Self> {
        let fail = |error: safetensors::SafeTensorError| Error::Weights { detail: error.to_string() };
        let file = SafeTensors::deserialize(weights).map_err(fail)?;
        Ok(Self { novelty: NoveltyDetector::from_tensors(&file)?, sets: PredictionSets::from_tensors(&file)? })
    }

    /// The oldest format of artifacts that has a place for these weights, as far as this part is concerned.
    pub(crate) fn format_of(weights: &[u8]) -> FormatVersion {
        match SafeTensors::deserialize(weights) {
            Ok(file) if file.names().into_iter().any(Self::has_tensor) => FormatVersion::CONFORMAL,
            _ => FormatVersion::FIRST,
        }
    }

    /// A classifier whose predictions say what they are worth; the same classifier where this part is empty.
    #[must_use]
    pub fn with(self, classifier: Box<dyn Classifier>) -> Box<dyn Classifier> {
        if self.is_empty() { classifier } else { Box::new(ConformalClassifier { classifier, conformal: self }) }
    }

    /// What a prediction of a clip is worth, from the vectors of its segments: see [`NoveltyDetector::p_value`].
    fn complete(&self, output: &mut PredictOutput, request: &PredictRequest<'_>, extractor: &Extractor) -> Result<()> {
        let prediction = &mut output.prediction;
        prediction.labels_90 = self.sets.as_ref().map(|sets| sets.labels(&prediction.probabilities));
        prediction.novelty = self.novelty_of(&output.vectors, request.features, extractor)?;
        Ok(())
    }

    /// How unlike the training set a clip is, from the vectors of its segments and its features; `None` without a detector.
    ///
    /// # Errors
    /// Those of [`NoveltyDetector::p_value`]; [`Error::Features`] for features of another specification than that of `extractor`.
    pub fn novelty_of(
        &self,
        vectors: &[Vec<f32>],
        features: &ClipFeatures,
        extractor: &Extractor,
    ) -> Result<Option<Novelty>> {
        let Some(detector) = &self.novelty else { return Ok(None) };
        let p_value = detector.p_value(vectors, features.log_mel().n_frames())?;
        Ok(Some(Novelty { p_value, threshold: detector.threshold(), signal: extractor.signal(features)? }))
    }
}

/// A classifier whose predictions say what they are worth.
#[derive(Debug)]
struct ConformalClassifier {
    classifier: Box<dyn Classifier>,
    conformal: Conformal,
}

impl Classifier for ConformalClassifier {
    fn identity(&self) -> &Identity {
        self.classifier.identity()
    }

    fn labels(&self) -> &LabelSet {
        self.classifier.labels()
    }

    fn extractor(&self) -> &Extractor {
        self.classifier.extractor()
    }

    fn conformal(&self) -> Option<&Conformal> {
        Some(&self.conformal)
    }

    fn explains(&self) -> bool {
        self.classifier.explains()
    }

    fn predict_batch(&self, requests: &[PredictRequest<'_>]) -> Vec<Result<PredictOutput>> {
        let complete = |(output, request): (Result<PredictOutput>, &PredictRequest<'_>)| -> Result<PredictOutput> {
            let mut output = output?;
            self.conformal.complete(&mut output, request, self.classifier.extractor())?;
            Ok(output)
        };
        self.classifier.predict_batch(requests).into_iter().zip(requests).map(complete).collect()
    }

    fn embed(&self, features: &ClipFeatures) -> Result<Vec<Vec<f32>>> {
        self.classifier.embed(features)
    }

    fn predict_embedded(&self, segments: &[Vec<f32>]) -> Result<Vec<f64>> {
        self.classifier.predict_embedded(segments)
    }
}
