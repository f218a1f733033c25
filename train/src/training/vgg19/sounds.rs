//! [`PreparedDataset`]: the clips of a training as the network hears them.

use anyhow::{Context as _, Result};
use burn::tensor::{Device, Tensor};
use data::{LabelledDataset, labels::LabelSet};
use features::{Extractor, FeatureSpec, LogMel};
use models::vgg19::{Columns, Preprocessor, Vgg19, Vgg19Config, Vgg19Parameters};
use ndarray::Array2;
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{FitContext, cache::Cache, recipe::Standardisation};
use crate::console::progress::Stage;

/// Clips of a set with their labels; log-mels are read as they are needed.
pub struct PreparedDataset<'a> {
    set: &'a LabelledDataset,
    indices: Vec<usize>,
    extractor: &'a Extractor,
    /// Class of each clip.
    pub labels: Vec<usize>,
    /// Clips that may share an artist have the same.
    pub groups: Vec<String>,
}

/// Embeddings of one clip: its passages, which judge it, and its windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One for each passage.
    pub passages: Vec<Vec<f32>>,
    /// One for each window; none for a clip that is one.
    pub windows: Vec<Vec<f32>>,
}

impl<'a> PreparedDataset<'a> {
    /// The clips `indices` of `set`.
    ///
    /// # Errors
    /// When a label is not among `labels`.
    pub fn new(
        set: &'a LabelledDataset,
        indices: &[usize],
        labels: &[String],
        extractor: &'a Extractor,
    ) -> Result<Self> {
        Ok(Self {
            set,
            indices: indices.to_vec(),
            extractor,
            labels: set.classes(indices, &LabelSet::from_names(labels)?)?,
            groups: indices.iter().map(|&index| set.clips()[index].group.clone()).collect(),
        })
    }

    /// Clips.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Some of these clips.
    #[must_use]
    pub fn some(&self, members: &[usize]) -> Self {
        Self {
            set: self.set,
            indices: members.iter().map(|&member| self.indices[member]).collect(),
            extractor: self.extractor,
            labels: members.iter().map(|&member| self.labels[member]).collect(),
            groups: members.iter().map(|&member| self.groups[member].clone()).collect(),
        }
    }

    /// The log-mel of one clip.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn log_mel(&self, member: usize) -> Result<LogMel> {
        let index = self.indices[member];
        let analysis = self.set.features(index).map_err(anyhow::Error::from);
        Ok(analysis.with_context(|| format!("failed to read {}", self.set.clips()[index].clip_id))?.log_mel().clone())
    }

    /// The log-mels of the passages of one clip.
    pub(super) fn passages(&self, member: usize) -> Result<Vec<LogMel>> {
        let log_mel = self.log_mel(member)?;
        let pieces = self.extractor.segment_spans(log_mel.n_frames())?;
        pieces.into_iter().map(|piece| Ok(log_mel.frames(piece.start, piece.end)?)).collect()
    }

    /// Mean and deviation that each band is standardised by: over all frames of all clips, or on a line.
    ///
    /// # Errors
    /// When a clip cannot be read.
    pub fn standardisation(&self, how: Standardisation) -> Result<(Vec<f32>, Vec<f32>)> {
        let n_mels = self.extractor.spec().mel.n_mels;
        if let Standardisation::Line { low, high, deviation } = how {
            let mean = |band| low + (high - low) * band as f32 / (n_mels - 1).max(1) as f32;
            return Ok(((0..n_mels).map(mean).collect(), vec![deviation; n_mels]));
        }
        let (mut sums, mut squares, mut frames) = (vec![0.0; n_mels], vec![0.0; n_mels], 0usize);
        for member in 0..self.len() {
            let log_mel = self.log_mel(member)?;
            frames += log_mel.n_frames();
            for (band, row) in log_mel.db().outer_iter().enumerate() {
                for &value in row {
                    sums[band] += f64::from(value);
                    squares[band] += f64::from(value) * f64::from(value);
                }
            }
        }
        if how == Standardisation::Global {
            let (sum, square) = (sums.iter().sum::<f64>(), squares.iter().sum::<f64>());
            sums.fill(sum / n_mels as f64);
            squares.fill(square / n_mels as f64);
        }
        let n = frames.max(1) as f64;
        let of_band = |(sum, square): (&f64, &f64)| {
            let mean = sum / n;
            // Bands that never change are left as they are.
            let deviation = libm::sqrt((square / n - mean * mean).max(0.0));
            (mean as f32, if deviation > 1e-3 { deviation as f32 } else { 1.0 })
        };
        Ok(sums.iter().zip(&squares).map(of_band).unzip())
    }

    /// The standardised log-mels of the clips of a batch.
    pub(super) fn standardised(&self, members: &[usize], input: &Preprocessor) -> Result<Vec<Array2<f32>>> {
        members.par_iter().map(|&member| Ok(input.standardise(&self.log_mel(member)?))).collect()
    }

    /// The embeddings of every clip by frozen convolutions.
    ///
    /// # Errors
    /// When a clip cannot be read.
    pub fn embed(&self, embedder: &Embedder) -> Result<Vec<Embedded>> {
        let stage = Stage::new("embedding clips");
        let done = AtomicUsize::new(0);
        let one = |member: usize| -> Result<Embedded> {
            let embedded = embedder.embed(&self.log_mel(member)?, self.extractor)?;
            stage.at(done.fetch_add(1, Ordering::Relaxed) + 1, self.len());
            Ok(embedded)
        };
        (0..self.len()).into_par_iter().map(one).collect()
    }
}

/// The frozen convolutions of a network, and a cache of what they gave.
#[derive(Debug)]
pub struct Embedder {
    network: Vgg19,
    /// What the head takes.
    config: Vgg19Config,
    input: Preprocessor,
    cache: Cache,
    device: Device,
}

impl Embedder {
    /// The convolutions of `parts`, with a cache in the folder of the context.
    ///
    /// # Errors
    /// When the parts make no network.
    pub fn new(parts: &Vgg19Parameters, spec: &FeatureSpec, context: &FitContext) -> Result<Self> {
        let key = serde_json::to_string(&(
            parts.weights.digest(),
            parts.config.n_blocks(),
            &parts.config.normalisations,
            parts.channels,
            parts.band_upsampling,
            &parts.mean,
            &parts.deviation,
            spec.segmentation,
            context.backend.name(),
        ))?;
        Ok(Self {
            network: parts.network(&context.device)?,
            config: parts.config.clone(),
            input: parts.input(spec),
            cache: Cache::new(context.embeddings.clone(), &key),
            device: context.device.clone(),
        })
    }

    /// All statistics of all blocks of one clip, see [`chosen`]. A clip whose embeddings are in the cache is not computed again.
    ///
    /// # Errors
    /// When the clip is too short, or the cache cannot be written.
    pub fn embed(&self, log_mel: &LogMel, extractor: &Extractor) -> Result<Embedded> {
        let config = everything(&self.config);
        self.cache.get_or(log_mel, config.embedding_dim(), || self.compute(log_mel, &config, extractor))
    }

    /// What the head takes of each segment of a clip, `[segment][dimension]`.
    ///
    /// # Errors
    /// Those of [`Embedder::embed`].
    pub fn segments(&self, log_mel: &LogMel, extractor: &Extractor) -> Result<Vec<Vec<f32>>> {
        let embedded = self.embed(log_mel, extractor)?;
        Ok(embedded.passages.iter().map(|segment| chosen(&self.config, segment)).collect())
    }

    fn compute(&self, log_mel: &LogMel, config: &Vgg19Config, extractor: &Extractor) -> Result<Embedded> {
        let rows = |tensor: Tensor<2>| -> Result<Vec<Vec<f32>>> {
            let values = values(tensor)?;
            Ok(values.chunks(config.embedding_dim()).map(<[f32]>::to_vec).collect())
        };
        let n_frames = log_mel.n_frames();
        let window = extractor.spec().segmentation.window;
        let mut embedded = Embedded { passages: Vec::new(), windows: Vec::new() };
        for span in extractor.segment_spans(n_frames)? {
            let z = self.input.standardise(&log_mel.frames(span.start, span.end)?);
            let activations = self.network.activations(self.input.planes(&[z], &self.device));
            let columns = Columns::new(config, &activations);
            embedded.passages.append(&mut rows(columns.embed(None))?);
            let length = span.end - span.start;
            if length > window.frames {
                for start in (0..=length - window.frames).step_by(window.hop) {
                    let part = columns.embed(Some(start..start + window.frames));
                    embedded.windows.append(&mut rows(part)?);
                }
            }
        }
        Ok(embedded)
    }
}

/// The values of a tensor, row by row.
///
/// # Errors
/// When the device does not compute in `f32`.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.into_data().try_to_vec::<f32>().map_err(|error| anyhow::anyhow!("the device does not give f32: {error:?}"))
}

/// The configuration of the largest embedding of a network: every statistic of every block that it has.
pub(super) fn everything(config: &Vgg19Config) -> Vgg19Config {
    use models::vgg19::Statistic::{Average, Deviation, Maximum};
    Vgg19Config {
        normalisations: config.normalisations.clone(),
        pooled_blocks: (1..=config.n_blocks()).collect(),
        statistics: vec![Average, Maximum, Deviation],
        n_classes: config.n_classes,
    }
}

/// Takes from the largest embedding (every statistic of every block) what `config` asks for.
#[must_use]
pub fn chosen(config: &Vgg19Config, largest: &[f32]) -> Vec<f32> {
    let all = everything(config);
    let mut chosen = Vec::with_capacity(config.embedding_dim());
    for view in largest.chunks(all.dim_per_normalisation()) {
        for block in &config.pooled_blocks {
            for statistic in &config.statistics {
                let mut offset = 0;
                for other in &all.pooled_blocks {
                    let channels = models::vgg19::channels(*other);
                    for candidate in &all.statistics {
                        if other == block && candidate == statistic {
                            chosen.extend_from_slice(&view[offset..offset + channels]);
                        }
                        offset += channels;
                    }
                }
            }
        }
    }
    chosen
}
