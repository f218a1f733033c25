//! What a classifier says of the clips of a set.

use anyhow::{Context, Result};
use data::{LabelledClip, LabelledSet};
use models::Classifier;
use rayon::prelude::*;

use crate::{metrics::Scored, progress::Stage};

/// Scores the clips `indices` of `set`, in that order, on `threads` threads.
///
/// # Errors
/// When a genre of the set is no label of the classifier, or a clip cannot be read.
pub fn score(classifier: &dyn Classifier, set: &LabelledSet, indices: &[usize], threads: usize) -> Result<Vec<Scored>> {
    let stage = Stage::new("scoring");
    let done = std::sync::atomic::AtomicUsize::new(0);
    let score = |&index: &usize| {
        let clip = &set.clips()[index];
        let truth = classifier.labels().iter().position(|label| label == clip.genre.name()).with_context(|| {
            format!("clip {} is {}, which {} was not trained on", clip.clip_id, clip.genre, classifier.identity())
        })?;
        let prediction = classifier
            .predict(&set.analysis(index)?)
            .with_context(|| format!("failed to classify {}", clip.clip_id))?;
        stage.at(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, indices.len());
        Ok(Scored {
            clip_id: clip.clip_id.clone(),
            credit: credit(clip),
            group: clip.group.clone(),
            truth,
            probabilities: prediction.probabilities,
        })
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")?;
    pool.install(|| indices.par_iter().map(score).collect())
}

/// Who made a clip and what it is called, as far as is known; for people.
#[must_use]
pub fn credit(clip: &LabelledClip) -> String {
    [&clip.artist, &clip.title].into_iter().flatten().cloned().collect::<Vec<_>>().join(": ")
}
