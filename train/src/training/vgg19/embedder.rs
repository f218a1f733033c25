//! [`Embedder`]: the embeddings of clips by frozen convolutions, and their cache on disk.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use burn::tensor::{Device, Tensor};
use features::{Extractor, FeatureSpec, Fingerprint, LogMel};
use models::vgg19::{Axes, Columns, LogCovariance, Preprocessor, Vgg19, Vgg19Config, Vgg19Parameters};

use super::config::FitContext;
use crate::training::cached_file;

/// Revision of what a file holds; raise it when the embeddings of the same clip change.
const REVISION: u32 = 3;

/// Embeddings of one clip: of its segments, by which it is evaluated, and of its windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One for each segment.
    pub segments: Vec<Vec<f32>>,
    /// One for each window; none for a clip that is one.
    pub windows: Vec<Vec<f32>>,
}

/// The frozen convolutions of a network, and a cache of what they gave.
#[derive(Debug)]
pub struct Embedder {
    network: Vgg19,
    /// What the head takes.
    config: Vgg19Config,
    /// Of a head that takes log-covariances.
    axes: Option<Axes>,
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
        let mut key = serde_json::to_string(&(
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
        if parts.config.log_covariance.is_some() {
            // The axes are numbers of the network: all of them count.
            let axes: Vec<u8> = parts.axes.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
            key += &format!(" {:?} {}", parts.config.pooled_blocks, Fingerprint::of(&axes));
        }
        Ok(Self {
            network: parts.network(&context.device)?,
            config: parts.config.clone(),
            axes: parts.axes_on(&context.device),
            input: parts.preprocessor(spec),
            cache: Cache::new(context.embeddings.clone(), &key),
            device: context.device.clone(),
        })
    }

    /// All statistics of all blocks of one clip, before any is chosen, and the log-covariances that the head takes. A clip whose embeddings are in
    /// the cache is not computed again.
    ///
    /// # Errors
    /// When the clip is too short, or the cache cannot be written.
    pub fn embed(&self, log_mel: &LogMel, extractor: &Extractor) -> Result<Embedded> {
        let dim = self.config.normalisations.len() * stored_dim(&self.config);
        self.cache.get_or(log_mel, dim, || self.compute(log_mel, dim, extractor))
    }

    /// What the head takes of each segment of a clip, `[segment][dimension]`.
    ///
    /// # Errors
    /// Those of [`Embedder::embed`].
    pub fn segments(&self, log_mel: &LogMel, extractor: &Extractor) -> Result<Vec<Vec<f32>>> {
        let embedded = self.embed(log_mel, extractor)?;
        Ok(embedded.segments.iter().map(|segment| chosen(&self.config, segment)).collect())
    }

    /// What the head takes of each segment of a clip and, `with_windows`, of each window; else there is no window.
    ///
    /// # Errors
    /// Those of [`Embedder::embed`].
    pub fn rows(&self, log_mel: &LogMel, extractor: &Extractor, with_windows: bool) -> Result<Embedded> {
        let embedded = self.embed(log_mel, extractor)?;
        let chosen = |rows: &[Vec<f32>]| rows.iter().map(|row| chosen(&self.config, row)).collect();
        let windows = if with_windows { chosen(&embedded.windows) } else { Vec::new() };
        Ok(Embedded { segments: chosen(&embedded.segments), windows })
    }

    /// Dimensions of what the head takes.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.config.embedding_dim()
    }

    fn compute(&self, log_mel: &LogMel, dim: usize, extractor: &Extractor) -> Result<Embedded> {
        let config = everything(&self.config);
        let rows = |tensor: Tensor<2>| -> Result<Vec<Vec<f32>>> {
            let values = values(tensor)?;
            Ok(values.chunks(dim).map(<[f32]>::to_vec).collect())
        };
        let n_frames = log_mel.n_frames();
        let window = extractor.spec().segmentation.window;
        let mut embedded = Embedded { segments: Vec::new(), windows: Vec::new() };
        for span in extractor.segment_spans(n_frames)? {
            let z = self.input.standardise(&log_mel.frames(span.start, span.end)?);
            let activations = self.network.activations(self.input.planes(&[z], &self.device));
            let columns = Columns::new(&config, self.axes.as_ref(), &activations);
            embedded.segments.append(&mut rows(columns.embed(None))?);
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

/// The configuration of all statistics of a network, of every block that it has; without log-covariances.
pub(super) fn everything(config: &Vgg19Config) -> Vgg19Config {
    use models::vgg19::Statistic::{Average, Deviation, Maximum};
    Vgg19Config {
        normalisations: config.normalisations.clone(),
        pooled_blocks: (1..=config.n_blocks()).collect(),
        statistics: vec![Average, Maximum, Deviation],
        log_covariance: None,
        n_classes: config.n_classes,
    }
}

/// Dimensions of what is stored of one normalisation: every statistic of every block, then the log-covariances that the head takes.
fn stored_dim(config: &Vgg19Config) -> usize {
    everything(config).dim_per_normalisation() + log_covariance_dim(config)
}

/// Dimensions of the log-covariances that the head takes of one normalisation.
fn log_covariance_dim(config: &Vgg19Config) -> usize {
    let dim = |of: LogCovariance| config.pooled_blocks.iter().map(|&block| of.dim_of(block)).sum();
    config.log_covariance.map_or(0, dim)
}

/// Takes from what is stored what `config` asks for: some statistics, and all log-covariances.
fn chosen(config: &Vgg19Config, stored: &[f32]) -> Vec<f32> {
    let all = everything(config);
    let mut chosen = Vec::with_capacity(config.embedding_dim());
    for normalisation in stored.chunks(stored_dim(config)) {
        for block in &config.pooled_blocks {
            for statistic in &config.statistics {
                let mut offset = 0;
                for other in &all.pooled_blocks {
                    let channels = models::vgg19::channels(*other);
                    for candidate in &all.statistics {
                        if other == block && candidate == statistic {
                            chosen.extend_from_slice(&normalisation[offset..offset + channels]);
                        }
                        offset += channels;
                    }
                }
            }
        }
        chosen.extend_from_slice(&normalisation[all.dim_per_normalisation()..]);
    }
    chosen
}

/// A folder of embeddings. The name of a file says the network, the input and the clip.
#[derive(Debug)]
struct Cache {
    /// `None` keeps nothing.
    folder: Option<PathBuf>,
    /// All but the clip.
    key: String,
}

impl Cache {
    /// A cache in `folder` of the embeddings that `key` tells apart: the digest of the weights, the input, the device.
    #[must_use]
    fn new(folder: Option<PathBuf>, key: &str) -> Self {
        Self { folder, key: format!("{REVISION} {key}") }
    }

    /// What the cache has of this clip, or what `compute` gives, which is then written.
    ///
    /// # Errors
    /// Those of `compute`; when the folder cannot be written.
    fn get_or(&self, clip: &LogMel, dim: usize, compute: impl FnOnce() -> Result<Embedded>) -> Result<Embedded> {
        let Some(folder) = &self.folder else { return compute() };
        let mut bytes = format!("{} {} {}\n", self.key, clip.n_mels(), clip.n_frames()).into_bytes();
        bytes.extend(clip.db().iter().flat_map(|value| value.to_le_bytes()));
        let path = folder.join(Fingerprint::of(&bytes).to_string());
        if let Some(embedded) = cached_file::read(&path).and_then(|bytes| decode(&bytes, dim)) {
            return Ok(embedded);
        }
        let embedded = compute()?;
        cached_file::write(&path, &encode(&embedded)).with_context(|| cannot_write(folder))?;
        Ok(embedded)
    }
}

/// What a message says of a folder for embeddings that cannot be written.
pub(super) fn cannot_write(folder: &Path) -> String {
    format!("failed to write embeddings to {}; name another folder with --cache", folder.display())
}

/// Numbers of segments and windows as `u32`, then the embeddings as `f32`.
fn encode(embedded: &Embedded) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in [embedded.segments.len(), embedded.windows.len()] {
        bytes.extend((n as u32).to_le_bytes());
    }
    for row in embedded.segments.iter().chain(&embedded.windows) {
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

fn decode(bytes: &[u8], dim: usize) -> Option<Embedded> {
    let (words, _) = bytes.as_chunks::<4>();
    let [segments, windows, values @ ..] = words else { return None };
    let (segments, windows) = (u32::from_le_bytes(*segments) as usize, u32::from_le_bytes(*windows) as usize);
    if values.len() != segments.checked_add(windows)?.checked_mul(dim)? {
        return None;
    }
    let mut rows = values.chunks(dim).map(|row| row.iter().map(|&value| f32::from_le_bytes(value)).collect());
    Some(Embedded { segments: rows.by_ref().take(segments).collect(), windows: rows.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, fs};

    #[test]
    fn a_clip_is_computed_once_and_again_when_its_file_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(folder.path().join("new")), "network");
        let clip = |value: f32| LogMel::new(ndarray::Array2::from_elem((2, 3), value)).unwrap();
        let embedded = Embedded { segments: vec![vec![1.0, 2.0]], windows: vec![vec![3.0, -0.0], vec![5.0, 6.0]] };
        let computed = Cell::new(0);
        let compute = || {
            computed.set(computed.get() + 1);
            Ok(embedded.clone())
        };
        for _ in 0..3 {
            assert_eq!(cache.get_or(&clip(1.0), 2, compute).unwrap(), embedded);
        }
        assert_eq!(computed.get(), 1);
        cache.get_or(&clip(2.0), 2, compute).unwrap();
        Cache::new(Some(folder.path().join("new")), "other").get_or(&clip(1.0), 2, compute).unwrap();
        assert_eq!(computed.get(), 3, "another clip and another network are other embeddings");

        for entry in fs::read_dir(folder.path().join("new")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
        assert_eq!(cache.get_or(&clip(1.0), 2, compute).unwrap(), embedded);
        assert_eq!(computed.get(), 4);
    }
}
