//! Predictions of the clips of a dataset.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use data::{LabelledClip, LabelledDataset};
use features::ClipFeatures;
use models::{Classifier, Novelty};
use rayon::prelude::*;
use serde_json::Value;

use crate::{console::progress::Stage, evaluation::metrics::Scored};

/// Predictions of clips, and the embeddings behind them.
#[derive(Clone, Debug)]
pub struct ScoredClips {
    /// The clips.
    pub scored: Vec<Scored>,
    /// The embeddings of their segments, `[clip][segment][dimension]`: see [`Classifier::embed`]. Empty where the clips
    /// were scored by several models.
    pub embeddings: Vec<Vec<Vec<f32>>>,
}

/// The vectors of the segments of a clip of the dataset, `[segment][dimension]`, where they are at hand.
pub type KnownVectors<'a> = &'a (dyn Fn(usize) -> Result<Option<Vec<Vec<f32>>>> + Sync);

/// Scores the clips `indices` of `set`, in that order, on `threads` threads: by vectors that are `known`, else by those that the
/// classifier computes. No timeline and no digest is made.
///
/// # Errors
/// When a label of the dataset is none of the classifier, or a clip cannot be read.
pub fn score(
    classifier: &dyn Classifier,
    set: &LabelledDataset,
    indices: &[usize],
    threads: usize,
    known: KnownVectors<'_>,
) -> Result<ScoredClips> {
    let stage = Stage::new("scoring");
    let done = std::sync::atomic::AtomicUsize::new(0);
    let predict = |index: usize| -> Result<(Vec<f64>, Vec<Vec<f32>>)> {
        if let Some(vectors) = known(index)? {
            return Ok((classifier.predict_embedded(&vectors)?, vectors));
        }
        let features = set.features(index)?;
        let vectors = classifier.embed(&features)?;
        let probabilities = match vectors.as_slice() {
            [] => classifier.predict(&features)?.probabilities,
            vectors => classifier.predict_embedded(vectors)?,
        };
        Ok((probabilities, vectors))
    };
    // Refused before anything that may take long.
    let truths = set.classes(indices, classifier.labels());
    let truths = truths.with_context(|| format!("{} cannot score it", classifier.identity()))?;
    let one = |(&index, truth): (&usize, usize)| -> Result<_> {
        let clip = &set.clips()[index];
        let unscored = scored(clip, truth, Vec::new());
        let predicted = predict(index).with_context(|| format!("failed to classify {}", clip.clip_id));
        let (probabilities, vectors) = predicted?;
        stage.at(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, indices.len());
        Ok((Scored { probabilities, ..unscored }, vectors))
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")?;
    let (scored, embeddings) =
        pool.install(|| indices.par_iter().zip(truths).map(one).collect::<Result<Vec<_>>>())?.into_iter().unzip();
    Ok(ScoredClips { scored, embeddings })
}

/// The probabilities of a clip that is in no dataset, and how unlike the training set it is, where the classifier can tell. No timeline and
/// no digest is made.
///
/// # Errors
/// Those of [`Classifier::predict`].
pub fn predict(classifier: &dyn Classifier, features: &ClipFeatures) -> models::Result<(Vec<f64>, Option<Novelty>)> {
    let vectors = classifier.embed(features)?;
    if vectors.is_empty() {
        let prediction = classifier.predict(features)?;
        return Ok((prediction.probabilities, prediction.novelty));
    }
    let novelty = match classifier.conformal() {
        Some(conformal) => conformal.novelty_of(&vectors, features, classifier.extractor())?,
        None => None,
    };
    Ok((classifier.predict_embedded(&vectors)?, novelty))
}

/// How many of some clips an artifact says that it was fitted on, whose training says `training`.
pub fn seen_in_training<'a>(training: &Value, scored: impl IntoIterator<Item = &'a Scored>) -> usize {
    let fitted: BTreeSet<&str> =
        training["clip_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    scored.into_iter().filter(|clip| fitted.contains(clip.clip_id.as_str())).count()
}

/// A clip with a probability for each class, of which `truth` is its own.
#[must_use]
pub fn scored(clip: &LabelledClip, truth: usize, probabilities: Vec<f64>) -> Scored {
    Scored {
        clip_id: clip.clip_id.clone(),
        metadata: [&clip.artist, &clip.title].into_iter().flatten().cloned().collect::<Vec<_>>().join(": "),
        group: clip.group.clone(),
        truth,
        probabilities,
    }
}
