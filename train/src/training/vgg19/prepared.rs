//! [`PreparedDataset`]: the clips of a training as the network takes them.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result};
use data::{LabelledDataset, labels::LabelSet};
use features::{Extractor, LogMel};
use models::vgg19::Preprocessor;
use ndarray::Array2;
use rayon::prelude::*;

use super::{
    config::{Standardisation, TrainingConfig},
    embedder::{Embedded, Embedder},
    embeddings::Embeddings,
};
use crate::{console::progress::Stage, training::band_limited};

/// Clips whose embeddings are in memory while they are computed; threads wait for the last of so many.
const EMBEDDED_AT_ONCE: usize = 512;

/// Clips of a dataset with their labels; log-mels are read as they are needed.
pub struct PreparedDataset<'a> {
    dataset: &'a LabelledDataset,
    indices: Vec<usize>,
    extractor: &'a Extractor,
    /// Class of each clip.
    pub labels: Vec<usize>,
    /// Clips that may share an artist have the same.
    pub groups: Vec<String>,
}

impl<'a> PreparedDataset<'a> {
    /// The clips `indices` of `dataset`.
    ///
    /// # Errors
    /// When a label is not among `labels`.
    pub fn new(
        dataset: &'a LabelledDataset,
        indices: &[usize],
        labels: &[String],
        extractor: &'a Extractor,
    ) -> Result<Self> {
        Ok(Self {
            dataset,
            indices: indices.to_vec(),
            extractor,
            labels: dataset.classes(indices, &LabelSet::from_names(labels)?)?,
            groups: indices.iter().map(|&index| dataset.clips()[index].group.clone()).collect(),
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
            dataset: self.dataset,
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
        let features = self.dataset.features(index).map_err(anyhow::Error::from);
        let name = || format!("failed to read {}", self.dataset.clips()[index].clip_id);
        Ok(features.with_context(name)?.log_mel().clone())
    }

    /// The log-mels of the segments of one clip.
    pub(super) fn segments(&self, member: usize) -> Result<Vec<LogMel>> {
        let log_mel = self.log_mel(member)?;
        let spans = self.extractor.segment_spans(log_mel.n_frames())?;
        spans.into_iter().map(|span| Ok(log_mel.frames(span.start, span.end)?)).collect()
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

    /// What a head is fitted on: of every clip the embeddings of its segments and, where the configuration says so, of its windows and of its
    /// band-limited copy. What is too much to hold goes to a file in `folder`, if there is one.
    ///
    /// # Errors
    /// When a clip cannot be read, or the file cannot be written.
    pub fn embeddings(
        &self,
        embedder: &Embedder,
        config: &TrainingConfig,
        folder: Option<&Path>,
    ) -> Result<Embeddings> {
        let stage = Stage::new("embedding clips");
        let done = AtomicUsize::new(0);
        let one = |&member: &usize| -> Result<Embedded> {
            let log_mel = self.log_mel(member)?;
            let mut embedded = embedder.rows(&log_mel, self.extractor, config.windows)?;
            if config.band_limited {
                let copy = band_limited::copy(&log_mel, self.extractor)?;
                embedded.windows.append(&mut embedder.segments(&copy, self.extractor)?);
            }
            stage.at(done.fetch_add(1, Ordering::Relaxed) + 1, self.len());
            Ok(embedded)
        };
        let mut embeddings = Embeddings::new(embedder.dim(), folder);
        for members in (0..self.len()).collect::<Vec<_>>().chunks(EMBEDDED_AT_ONCE) {
            for Embedded { segments, windows } in members.par_iter().map(one).collect::<Result<Vec<_>>>()? {
                embeddings.push(&segments, &windows)?;
            }
        }
        Ok(embeddings)
    }
}
