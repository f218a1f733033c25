//! A [`Vgg19`] with the features that it hears: a [`Classifier`].

use burn::tensor::{Device, Tensor};
use features::{Analysis, Extractor, Piece};

use super::{Backend, Input, Parts, Vgg19, Vgg19Config, embed};
use crate::{Classifier, Error, Identity, Prediction, Result, SegmentPrediction, artifact::Artifact, pool};

/// The classifier of an artifact of model `vgg19`.
#[derive(Debug)]
pub struct Vgg19Classifier {
    identity: Identity,
    labels: Vec<String>,
    extractor: Extractor,
    config: Vgg19Config,
    input: Input,
    network: Vgg19,
    temperature: f64,
    device: Device,
}

impl Vgg19Classifier {
    /// What a [`Manifest`](crate::artifact::Manifest) calls this model.
    pub const NAME: &str = "vgg19";

    /// Joins a network with its labels and features, on a device.
    ///
    /// # Errors
    /// [`Error::Labels`] when there are more or fewer labels than classes; [`Error::Network`] when the specification has
    /// another number of bands, or descriptors, which no network hears.
    pub fn new(
        identity: Identity,
        labels: Vec<String>,
        extractor: Extractor,
        parts: &Parts,
        device: &Device,
    ) -> Result<Self> {
        if labels.len() != parts.config.n_classes {
            let detail = format!("there are {} of them, and {} classes", labels.len(), parts.config.n_classes);
            return Err(Error::Labels { detail });
        }
        let spec = extractor.spec();
        if spec.mel.n_mels != parts.mean.len() {
            let detail = format!("it was trained on {} bands, the features have {}", parts.mean.len(), spec.mel.n_mels);
            return Err(Error::Network { detail });
        }
        if !spec.descriptors.is_empty() {
            return Err(Error::Network {
                detail: "its features have descriptors, and it hears the log-mel alone".into(),
            });
        }
        let input = parts.input(spec);
        if input.rows().min(input.min_frames) < parts.config.min_size() {
            let detail = format!("windows of {} frames or fewer bands are too small for it", input.min_frames);
            return Err(Error::Network { detail });
        }
        let network = parts.network(device)?;
        Ok(Self {
            identity,
            labels,
            extractor,
            config: parts.config.clone(),
            input,
            network,
            temperature: parts.temperature,
            device: device.clone(),
        })
    }

    /// Reads the network of an artifact.
    ///
    /// # Errors
    /// Those of [`Parts::from_tensors`], [`Backend::open`], [`Extractor::new`] and [`Vgg19Classifier::new`].
    pub fn from_artifact(artifact: &Artifact, backend: Backend) -> Result<Self> {
        let manifest = artifact.manifest();
        let identity = Identity {
            name: manifest.model.clone(),
            version: artifact.version().to_owned(),
            fingerprint: manifest.fingerprint.clone(),
        };
        let parts = Parts::from_tensors(artifact.weights()?)?;
        Self::new(identity, manifest.labels.clone(), Extractor::new(manifest.spec.clone())?, &parts, &backend.open()?)
    }

    fn hear(&self, analysis: &Analysis, passage: Piece, windows: &[Piece]) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
        let log_mel = analysis.log_mel().frames(passage.start, passage.end)?;
        let planes = self.input.planes(&[self.input.standardise(&log_mel)], &self.device);
        let activations = self.network.activations(planes);
        let mut embeddings = vec![embed(&self.config, &activations, None)];
        for window in windows {
            let part = window.start - passage.start..window.end - passage.start;
            embeddings.push(embed(&self.config, &activations, Some(part)));
        }
        let logits = self.network.head.forward(Tensor::cat(embeddings, 0));
        let logits = logits.into_data().try_to_vec::<f32>().map_err(|error| Error::Network {
            detail: format!("the device gives logits that are not f32: {error:?}"),
        })?;
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::Network { detail: "its logits are not finite; train it again".into() });
        }
        let mut rows = logits.chunks(self.labels.len()).map(|row| softmax(row, self.temperature));
        Ok((rows.next().unwrap_or_default(), rows.collect()))
    }
}

/// `exp(l / temperature)` of each logit, normalised to a sum of 1.
#[must_use]
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut powers: Vec<_> = logits.iter().map(|&logit| libm::exp(f64::from(logit - largest) / temperature)).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter_mut().for_each(|power| *power /= sum);
    powers
}

impl Classifier for Vgg19Classifier {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    /// Each passage goes through the network once; the windows of the timeline are pooled from what the blocks say of
    /// their part of it.
    fn predict(&self, analysis: &Analysis) -> Result<Prediction> {
        self.extractor.check_bands(analysis)?;
        let n_frames = analysis.log_mel().n_frames();
        let passages = self.extractor.passage_pieces(n_frames)?;
        let windows = self.extractor.window_pieces(n_frames)?;
        // Where passages overlap, the later one hears more of what comes next. A window that no passage holds whole is
        // heard in the one that holds its start.
        let home = |window: &Piece| passages.iter().rposition(|passage| passage.start <= window.start).unwrap_or(0);
        let mut judged = Vec::with_capacity(passages.len());
        let mut segments = Vec::with_capacity(windows.len());
        for (index, &passage) in passages.iter().enumerate() {
            let mine: Vec<_> = windows.iter().copied().filter(|window| home(window) == index).collect();
            let (whole, parts) = self.hear(analysis, passage, &mine)?;
            judged.push(whole);
            segments.extend(mine.into_iter().zip(parts).map(|(window, probabilities)| SegmentPrediction {
                start_seconds: window.start_seconds,
                end_seconds: window.end_seconds,
                probabilities,
            }));
        }
        Ok(Prediction {
            probabilities: pool(judged.iter().map(Vec::as_slice)),
            segments,
            features_digest: features::digest(analysis, &[]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::softmax;

    #[test]
    fn probabilities_sum_to_one_and_temperature_flattens_them() {
        let sharp = softmax(&[1.0, 3.0, -200.0], 1.0);
        assert!((sharp.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((sharp[1] / sharp[0] - std::f64::consts::E.powi(2)).abs() < 1e-9);
        let flat = softmax(&[1.0, 3.0, -200.0], 4.0);
        assert!(flat[1] < sharp[1] && flat[1] > flat[0]);
    }
}
