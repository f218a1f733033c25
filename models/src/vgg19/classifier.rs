//! A [`Vgg19`] with the features that it hears: a [`Classifier`].

use burn::tensor::{Device, Tensor, TensorData};
use features::{ClipFeatures, Extractor, Span};

use super::{
    Backend, Columns, Preprocessor, Vgg19, Vgg19Config, Vgg19Parameters,
    gradcam::{GradCam, Map},
};
use crate::{
    Classifier, Error, Explain, Identity, PredictOutput, PredictRequest, Prediction, Result, WindowPrediction,
    artifact::Artifact, pool,
};

/// Frames, of all views, that go through the convolutions together at most, unless a single passage has more: of one view two
/// passages of 30 s, or five of 11 s; of two half as many. Short passages cost less together, since the filters are read once for all; long ones cost the same alone, and more of
/// them at once take only memory (`docs/vgg19.md`).
pub const BATCH_FRAMES: usize = 704;

/// The classifier of an artifact of model `vgg19`.
#[derive(Debug)]
pub struct Vgg19Classifier {
    identity: Identity,
    labels: Vec<String>,
    extractor: Extractor,
    config: Vgg19Config,
    input: Preprocessor,
    network: Vgg19,
    grad_cam: GradCam,
    temperature: f64,
    device: Device,
}

/// A song on its way through the network.
struct Song<'a> {
    job: PredictRequest<'a>,
    /// All of one length.
    passages: Vec<Span>,
    /// The windows of the timeline, each with the place of the passage that it is heard in.
    windows: Vec<(usize, Span)>,
    /// What the first of the passages said.
    heard: Vec<Heard>,
}

/// What one passage says.
struct Heard {
    probabilities: Vec<f64>,
    /// Of the windows that are heard in it.
    windows: Vec<WindowPrediction>,
    /// Where an explanation is asked for.
    map: Option<Map>,
}

/// A passage that is to be heard.
struct Next<'s, 'a> {
    /// Place of its song.
    owner: usize,
    song: &'s Song<'a>,
    /// Place of the passage in the song.
    index: usize,
}

impl Next<'_, '_> {
    fn passage(&self) -> Span {
        self.song.passages[self.index]
    }
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
        parts: &Vgg19Parameters,
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
            grad_cam: GradCam::new(&parts.config, &parts.head, device),
            temperature: parts.temperature,
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
        let parts = Vgg19Parameters::from_tensors(artifact.weights()?)?;
        Self::new(identity, manifest.labels.clone(), Extractor::new(manifest.spec.clone())?, &parts, &backend.open()?)
    }

    /// Takes up a job.
    fn begin<'a>(&self, job: &PredictRequest<'a>) -> Result<Song<'a>> {
        job.check_class(self.labels.len())?;
        self.extractor.check_bands(job.features)?;
        let n_frames = job.features.log_mel().n_frames();
        let passages = self.extractor.segment_spans(n_frames)?;
        // Where passages overlap, the later one hears more of what comes next. A window that no passage holds whole is heard in
        // the one that holds its start.
        let home = |window: &Span| passages.iter().rposition(|passage| passage.start <= window.start).unwrap_or(0);
        let windows =
            self.extractor.window_spans(n_frames)?.into_iter().map(|window| (home(&window), window)).collect();
        Ok(Song { job: *job, passages, windows, heard: Vec::new() })
    }

    /// What goes through the convolutions next: passages of one width, in the order of the songs. None when all are done.
    fn next_batch<'s, 'a>(&self, songs: &'s [Result<Song<'a>>]) -> Vec<Next<'s, 'a>> {
        let not_heard = || {
            let songs = songs.iter().enumerate().filter_map(|(owner, song)| Some((owner, song.as_ref().ok()?)));
            songs.flat_map(|(owner, song)| {
                (song.heard.len()..song.passages.len()).map(move |index| Next { owner, song, index })
            })
        };
        let width = |next: &Next<'_, '_>| {
            let passage = next.passage();
            (passage.end - passage.start).max(self.input.min_frames)
        };
        let Some(first) = not_heard().next() else { return Vec::new() };
        let width_of_all = width(&first);
        let passages = (BATCH_FRAMES / (width_of_all * self.config.normalisations.len()).max(1)).max(1);
        not_heard().filter(|next| width(next) == width_of_all).take(passages).collect()
    }

    /// Hears a batch: the convolutions all at once, the rest passage by passage, so that none depends on the others.
    fn hear(&self, batch: &[Next<'_, '_>]) -> Vec<Result<Heard>> {
        let standardised = batch.iter().map(|next| {
            let passage = next.passage();
            self.input.standardise_part(next.song.job.features.log_mel(), passage.start..passage.end)
        });
        let planes = self.input.planes(&standardised.collect::<Vec<_>>(), &self.device);
        let given = self.network.activations(planes);
        let hear = |(position, next): (usize, &Next<'_, '_>)| {
            let n = self.config.normalisations.len();
            let alone: Vec<_> = given.iter().map(|block| block.clone().narrow(0, position * n, n)).collect();
            self.hear_one(next, &alone)
        };
        batch.iter().enumerate().map(hear).collect()
    }

    /// What a passage says, from what the blocks gave for it.
    fn hear_one(&self, next: &Next<'_, '_>, activations: &[Tensor<4>]) -> Result<Heard> {
        let passage = next.passage();
        let here = next.song.windows.iter().filter(|(home, _)| *home == next.index);
        let windows: Vec<_> = here.map(|(_, window)| window).collect();
        let columns = Columns::new(&self.config, activations);
        let mut embeddings = vec![columns.embed(None)];
        embeddings.extend(windows.iter().map(|window| {
            let part = window.start - passage.start..window.end - passage.start;
            columns.embed(Some(part))
        }));
        let logits = values(self.network.head.forward(Tensor::cat(embeddings, 0)), "logits")?;
        Self::check_finite(&logits)?;
        let mut rows = logits.chunks(self.labels.len()).map(|row| softmax(row, self.temperature));
        let probabilities = rows.next().unwrap_or_default();
        let windows = windows.into_iter().zip(rows).map(|(window, probabilities)| WindowPrediction {
            start_seconds: window.start_seconds,
            end_seconds: window.end_seconds,
            probabilities,
        });
        let map = match (next.song.job.explain, activations.last()) {
            (Some(_), Some(last)) => Some(self.grad_cam.map(passage, last)?),
            _ => None,
        };
        Ok(Heard { probabilities, windows: windows.collect(), map })
    }

    fn check_finite(logits: &[f32]) -> Result<()> {
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::Network { detail: "its logits are not finite; train it again".into() });
        }
        Ok(())
    }

    /// Hears all songs to their ends, but those that nobody waits for.
    ///
    /// Each passage goes through the network once, with others of its width, whichever song they are of; the windows of the
    /// timeline are pooled from what the blocks say of their part of it.
    fn listen<'a>(&self, jobs: &[PredictRequest<'a>]) -> Vec<Result<Song<'a>>> {
        let mut songs: Vec<_> = jobs.iter().map(|job| self.begin(job)).collect();
        loop {
            leave_unwanted(&mut songs);
            let batch = self.next_batch(&songs);
            if batch.is_empty() {
                return songs;
            }
            let owners: Vec<_> = batch.iter().map(|next| next.owner).collect();
            for (owner, heard) in owners.into_iter().zip(self.hear(&batch)) {
                match (&mut songs[owner], heard) {
                    (Ok(song), Ok(heard)) => song.heard.push(heard),
                    (slot, Err(error)) => *slot = Err(error),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
    }

    /// The answer for a song that was heard to its end.
    fn finish(&self, song: Song<'_>) -> PredictOutput {
        let Song { job, heard, .. } = song;
        let probabilities = pool(heard.iter().map(|heard| heard.probabilities.as_slice()));
        let (mut windows, mut maps) = (Vec::new(), Vec::new());
        for heard in heard {
            windows.extend(heard.windows);
            maps.extend(heard.map);
        }
        let features_digest = features::digest(job.features, &[]);
        let prediction = Prediction { probabilities, windows, features_digest };
        let explanation = job.explain.map(|explain| {
            let label = match explain {
                Explain::Predicted => prediction.best(),
                Explain::Label(label) => label,
            };
            let n_frames = job.features.log_mel().n_frames();
            self.grad_cam.explain(&maps, label, n_frames, &self.input, self.extractor.spec())
        });
        PredictOutput { prediction, explanation }
    }
}

/// Leaves the songs that are not done, and that nobody waits for any more.
fn leave_unwanted(songs: &mut [Result<Song<'_>>]) {
    for slot in songs {
        if let Ok(song) = slot
            && song.heard.len() < song.passages.len()
            && let Err(abandoned) = song.job.check_cancelled()
        {
            *slot = Err(abandoned);
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

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    fn predict_batch(&self, jobs: &[PredictRequest<'_>]) -> Vec<Result<PredictOutput>> {
        self.listen(jobs).into_iter().map(|song| Ok(self.finish(song?))).collect()
    }

    fn embed(&self, features: &ClipFeatures) -> Result<Vec<Vec<f32>>> {
        self.extractor.check_bands(features)?;
        let log_mel = features.log_mel();
        let spans = self.extractor.segment_spans(log_mel.n_frames())?;
        let embed = |span: Span| {
            let standardised = self.input.standardise_part(log_mel, span.start..span.end);
            let activations = self.network.activations(self.input.planes(&[standardised], &self.device));
            values(Columns::new(&self.config, &activations).embed(None), "embeddings")
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
