//! A [`Vgg19`] with the features that it was trained on: a [`Classifier`].

use burn::tensor::{Device, Tensor, TensorData};
use features::{ClipFeatures, Extractor, Span};
use labels::LabelSet;

use super::{
    device::Backend,
    gradcam::{GradCam, Map},
    log_covariance::Axes,
    network::{Columns, Vgg19, Vgg19Config},
    parameters::Vgg19Parameters,
    preprocessing::Preprocessor,
};
use crate::{
    Classifier, Error, Explain, Identity, PredictOutput, PredictRequest, Prediction, Result, WindowPrediction,
    artifact::Artifact, pool,
};

/// Frames, of all normalisations, that go through the convolutions together at most, unless a single segment has more: with
/// one normalisation two segments of 30 s, or five of 11 s; with two half as many. Short segments cost less together, since the
/// filters are read once for all; long ones cost the same alone, and more of them at once take only memory (`docs/vgg19.md`).
pub const BATCH_FRAMES: usize = 704;

/// The classifier of an artifact of model `vgg19`.
#[derive(Debug)]
pub struct Vgg19Classifier {
    identity: Identity,
    labels: LabelSet,
    extractor: Extractor,
    config: Vgg19Config,
    preprocessor: Preprocessor,
    network: Vgg19,
    /// Of a head that takes log-covariances.
    axes: Option<Axes>,
    grad_cam: GradCam,
    temperature: f64,
    device: Device,
}

/// A request on its way through the network.
struct Progress<'a> {
    request: PredictRequest<'a>,
    /// All of one length.
    segments: Vec<Span>,
    /// The windows of the timeline, each with the index of the segment that it is predicted in.
    windows: Vec<(usize, Span)>,
    /// The outputs of the first of the segments.
    outputs: Vec<SegmentOutput>,
}

/// What the network gives for one segment.
struct SegmentOutput {
    /// The embedding that the head decides by.
    embedding: Vec<f32>,
    probabilities: Vec<f64>,
    /// Of the windows that are predicted in it.
    windows: Vec<WindowPrediction>,
    /// Where an explanation is asked for.
    map: Option<Map>,
}

/// A segment that goes through the network next.
struct NextSegment<'s, 'a> {
    /// Index of its request.
    owner: usize,
    progress: &'s Progress<'a>,
    /// Index of the segment in the clip.
    index: usize,
}

impl NextSegment<'_, '_> {
    fn span(&self) -> Span {
        self.progress.segments[self.index]
    }
}

impl Vgg19Classifier {
    /// What a [`Manifest`](crate::artifact::Manifest) calls this model.
    pub const NAME: &str = "vgg19";

    /// Joins a network with its labels and features, on a device.
    ///
    /// # Errors
    /// [`Error::Labels`] when there are more or fewer labels than classes; [`Error::Network`] when the specification has
    /// another number of bands, or descriptors, which a network does not take.
    pub fn new(
        identity: Identity,
        labels: LabelSet,
        extractor: Extractor,
        parameters: &Vgg19Parameters,
        device: &Device,
    ) -> Result<Self> {
        if labels.len() != parameters.config.n_classes {
            let detail = format!("there are {} of them, and {} classes", labels.len(), parameters.config.n_classes);
            return Err(Error::Labels { detail });
        }
        let spec = extractor.spec();
        if spec.mel.n_mels != parameters.mean.len() {
            let detail =
                format!("it was trained on {} bands, the features have {}", parameters.mean.len(), spec.mel.n_mels);
            return Err(Error::Network { detail });
        }
        if !spec.descriptors.is_empty() {
            return Err(Error::Network {
                detail: "its features have descriptors, and it takes the log-mel alone".into(),
            });
        }
        let preprocessor = parameters.preprocessor(spec);
        if preprocessor.rows().min(preprocessor.min_frames) < parameters.config.min_size() {
            let detail = format!("windows of {} frames or fewer bands are too small for it", preprocessor.min_frames);
            return Err(Error::Network { detail });
        }
        let network = parameters.network(device)?;
        Ok(Self {
            identity,
            labels,
            extractor,
            config: parameters.config.clone(),
            preprocessor,
            network,
            axes: parameters.axes_on(device),
            grad_cam: GradCam::new(parameters, device),
            temperature: parameters.temperature,
            device: device.clone(),
        })
    }

    /// Reads the network of an artifact.
    ///
    /// # Errors
    /// Those of [`Vgg19Parameters::from_tensors`], [`Backend::open`], [`Extractor::new`] and [`Vgg19Classifier::new`].
    pub fn from_artifact(artifact: &Artifact, backend: Backend) -> Result<Self> {
        let manifest = artifact.manifest();
        let identity = Identity {
            name: manifest.model.clone(),
            version: artifact.version().to_owned(),
            fingerprint: manifest.fingerprint.clone(),
        };
        let parameters = Vgg19Parameters::from_tensors(artifact.weights()?)?;
        Self::new(
            identity,
            manifest.labels.clone(),
            Extractor::new(manifest.spec.clone())?,
            &parameters,
            &backend.open()?,
        )
    }

    /// Cuts the clip of a request into segments and windows.
    fn begin<'a>(&self, request: &PredictRequest<'a>) -> Result<Progress<'a>> {
        request.check_class(self.labels.len())?;
        self.extractor.check_bands(request.features)?;
        let n_frames = request.features.log_mel().n_frames();
        let segments = self.extractor.segment_spans(n_frames)?;
        // Where segments overlap, the later one has more of what comes next. A window that no segment holds whole is predicted in
        // the one that holds its start.
        let home = |window: &Span| segments.iter().rposition(|segment| segment.start <= window.start).unwrap_or(0);
        let windows =
            self.extractor.window_spans(n_frames)?.into_iter().map(|window| (home(&window), window)).collect();
        Ok(Progress { request: *request, segments, windows, outputs: Vec::new() })
    }

    /// What goes through the convolutions next: segments of one width, in the order of the requests. None when all are done.
    fn next_batch<'s, 'a>(&self, requests: &'s [Result<Progress<'a>>]) -> Vec<NextSegment<'s, 'a>> {
        let remaining = || {
            let requests =
                requests.iter().enumerate().filter_map(|(owner, request)| Some((owner, request.as_ref().ok()?)));
            requests.flat_map(|(owner, progress)| {
                (progress.outputs.len()..progress.segments.len()).map(move |index| NextSegment {
                    owner,
                    progress,
                    index,
                })
            })
        };
        let width = |next: &NextSegment<'_, '_>| {
            let span = next.span();
            (span.end - span.start).max(self.preprocessor.min_frames)
        };
        let Some(first) = remaining().next() else { return Vec::new() };
        let width_of_all = width(&first);
        let segments = (BATCH_FRAMES / (width_of_all * self.config.normalisations.len()).max(1)).max(1);
        remaining().filter(|next| width(next) == width_of_all).take(segments).collect()
    }

    /// Runs a batch: the convolutions all at once, the rest segment by segment, so that none depends on the others.
    fn forward(&self, batch: &[NextSegment<'_, '_>]) -> Vec<Result<SegmentOutput>> {
        let standardised = batch.iter().map(|next| {
            let span = next.span();
            self.preprocessor.standardise_part(next.progress.request.features.log_mel(), span.start..span.end)
        });
        let planes = self.preprocessor.planes(&standardised.collect::<Vec<_>>(), &self.device);
        let activations = self.network.activations(planes);
        let output = |(position, next): (usize, &NextSegment<'_, '_>)| {
            let n = self.config.normalisations.len();
            let alone: Vec<_> = activations.iter().map(|block| block.clone().narrow(0, position * n, n)).collect();
            self.output(next, &alone)
        };
        batch.iter().enumerate().map(output).collect()
    }

    /// The output of a segment, from the activations of the blocks.
    fn output(&self, next: &NextSegment<'_, '_>, activations: &[Tensor<4>]) -> Result<SegmentOutput> {
        let segment = next.span();
        let here = next.progress.windows.iter().filter(|(home, _)| *home == next.index);
        let windows: Vec<_> = here.map(|(_, window)| window).collect();
        let columns = Columns::new(&self.config, self.axes.as_ref(), activations);
        let mut embeddings = vec![columns.embed(None)];
        embeddings.extend(windows.iter().map(|window| {
            let part = window.start - segment.start..window.end - segment.start;
            columns.embed(Some(part))
        }));
        let embedding = values(embeddings[0].clone(), "embeddings")?;
        let logits = values(self.network.head.forward(Tensor::cat(embeddings, 0)), "logits")?;
        Self::check_finite(&logits)?;
        let mut rows = logits.chunks(self.labels.len()).map(|row| softmax(row, self.temperature));
        let probabilities = rows.next().unwrap_or_default();
        let windows = windows.into_iter().zip(rows).map(|(window, probabilities)| WindowPrediction {
            start_seconds: window.start_seconds,
            end_seconds: window.end_seconds,
            probabilities,
        });
        let map = match (next.progress.request.explain, activations.last()) {
            (Some(_), Some(last)) => Some(self.grad_cam.map(segment, last)?),
            _ => None,
        };
        Ok(SegmentOutput { embedding, probabilities, windows: windows.collect(), map })
    }

    fn check_finite(logits: &[f32]) -> Result<()> {
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::Network { detail: "its logits are not finite; train it again".into() });
        }
        Ok(())
    }

    /// Runs all requests to their ends, but those that are cancelled.
    ///
    /// Each segment goes through the network once, with others of its width, whichever clip they are of; the windows of the
    /// timeline are pooled from the activations of their part of it.
    fn infer<'a>(&self, requests: &[PredictRequest<'a>]) -> Vec<Result<Progress<'a>>> {
        let mut all: Vec<_> = requests.iter().map(|request| self.begin(request)).collect();
        loop {
            fail_cancelled(&mut all);
            let batch = self.next_batch(&all);
            if batch.is_empty() {
                return all;
            }
            let owners: Vec<_> = batch.iter().map(|next| next.owner).collect();
            for (owner, output) in owners.into_iter().zip(self.forward(&batch)) {
                match (&mut all[owner], output) {
                    (Ok(progress), Ok(output)) => progress.outputs.push(output),
                    (slot, Err(error)) => *slot = Err(error),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
    }

    /// The output for a request whose segments are all done.
    fn finish(&self, progress: Progress<'_>) -> PredictOutput {
        let Progress { request, outputs, .. } = progress;
        let probabilities = pool(outputs.iter().map(|output| output.probabilities.as_slice()));
        let (mut windows, mut maps, mut vectors) = (Vec::new(), Vec::new(), Vec::new());
        for output in outputs {
            vectors.push(output.embedding);
            windows.extend(output.windows);
            maps.extend(output.map);
        }
        let features_digest = features::digest(request.features, &[]);
        let prediction = Prediction { probabilities, windows, features_digest, novelty: None, labels_90: None };
        let explanation = request.explain.map(|explain| {
            let label = match explain {
                Explain::Predicted => prediction.best(),
                Explain::Label(label) => label,
            };
            let n_frames = request.features.log_mel().n_frames();
            self.grad_cam.explain(&maps, label, n_frames, &self.preprocessor, self.extractor.spec())
        });
        PredictOutput { prediction, explanation, vectors }
    }
}

/// Puts [`Error::Cancelled`] in place of the requests that are not done, and that were cancelled.
fn fail_cancelled(requests: &mut [Result<Progress<'_>>]) {
    for slot in requests {
        if let Ok(progress) = slot
            && progress.outputs.len() < progress.segments.len()
            && let Err(cancelled) = progress.request.check_cancelled()
        {
            *slot = Err(cancelled);
        }
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

    fn labels(&self) -> &LabelSet {
        &self.labels
    }

    fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    fn explains(&self) -> bool {
        true
    }

    fn predict_batch(&self, requests: &[PredictRequest<'_>]) -> Vec<Result<PredictOutput>> {
        self.infer(requests).into_iter().map(|progress| Ok(self.finish(progress?))).collect()
    }

    fn embed(&self, features: &ClipFeatures) -> Result<Vec<Vec<f32>>> {
        self.extractor.check_bands(features)?;
        let log_mel = features.log_mel();
        let spans = self.extractor.segment_spans(log_mel.n_frames())?;
        let embed = |span: Span| {
            let standardised = self.preprocessor.standardise_part(log_mel, span.start..span.end);
            let activations = self.network.activations(self.preprocessor.planes(&[standardised], &self.device));
            let columns = Columns::new(&self.config, self.axes.as_ref(), &activations);
            values(columns.embed(None), "embeddings")
        };
        spans.into_iter().map(embed).collect()
    }

    /// Each segment with a row of zeros beside it: a product with a vector rounds in another order than one with a matrix, and
    /// [`Classifier::predict_batch`] multiplies a segment together with its windows.
    fn predict_embedded(&self, segments: &[Vec<f32>]) -> Result<Vec<f64>> {
        let dim = self.config.embedding_dim();
        let each = segments.iter().map(|segment| {
            if segment.len() != dim {
                let detail = format!("has {} dimensions, the model was trained on {dim}", segment.len());
                return Err(Error::Vector { detail });
            }
            let mut rows = segment.clone();
            rows.resize(2 * dim, 0.0);
            let rows = Tensor::<2>::from_data(TensorData::new(rows, [2, dim]), &self.device);
            let logits = values(self.network.head.forward(rows), "logits")?;
            Self::check_finite(&logits)?;
            Ok(softmax(&logits[..self.labels.len()], self.temperature))
        });
        let each = each.collect::<Result<Vec<_>>>()?;
        Ok(pool(each.iter().map(Vec::as_slice)))
    }
}

/// The values of a tensor, row by row.
fn values(tensor: Tensor<2>, what: &str) -> Result<Vec<f32>> {
    tensor
        .into_data()
        .try_to_vec::<f32>()
        .map_err(|error| Error::Network { detail: format!("the device gives {what} that are not f32: {error:?}") })
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
