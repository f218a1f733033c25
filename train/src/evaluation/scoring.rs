//! What a classifier says of the clips of a set.

use anyhow::{Context, Result};
use data::{LabelledClip, LabelledDataset};
use models::Classifier;
use rayon::prelude::*;

use crate::{console::progress::Stage, evaluation::metrics::Scored};

/// What a classifier says of clips, and by what.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The clips.
    pub scored: Vec<Scored>,
    /// The vectors that it decided by, `[clip][passage][dimension]`: see [`Classifier::predict_and_embed`]. None where they were not
    /// kept.
    pub passages: Vec<Vec<Vec<f32>>>,
}

/// Scores the clips `indices` of `set`, in that order, on `threads` threads.
///
/// # Errors
/// When a genre of the set is no label of the classifier, or a clip cannot be read.
pub fn score(
    classifier: &dyn Classifier,
    set: &LabelledDataset,
    indices: &[usize],
    threads: usize,
) -> Result<Vec<Scored>> {
    each(classifier, set, indices, threads, |index, unheard| {
        let prediction = classifier.predict(&set.analysis(index)?)?;
        Ok(Scored { probabilities: prediction.probabilities, ..unheard })
    })
}

/// As [`score`], and keeps what the classifier decided by.
///
/// # Errors
/// Those of [`score`].
pub fn judge(classifier: &dyn Classifier, set: &LabelledDataset, indices: &[usize], threads: usize) -> Result<Judged> {
    let judged = each(classifier, set, indices, threads, |index, unheard| {
        let (prediction, passages) = classifier.predict_and_embed(&set.analysis(index)?)?;
        Ok((Scored { probabilities: prediction.probabilities, ..unheard }, passages))
    })?;
    let (scored, passages) = judged.into_iter().unzip();
    Ok(Judged { scored, passages })
}

fn each<T: Send>(
    classifier: &dyn Classifier,
    set: &LabelledDataset,
    indices: &[usize],
    threads: usize,
    hear: impl Fn(usize, Scored) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let stage = Stage::new("scoring");
    let done = std::sync::atomic::AtomicUsize::new(0);
    let one = |&index: &usize| {
        let clip = &set.clips()[index];
        // Said before it is heard: that may take long.
        let unheard = scored(clip, classifier.labels(), Vec::new())
            .with_context(|| format!("{} cannot judge it", classifier.identity()))?;
        let heard = hear(index, unheard).with_context(|| format!("failed to classify {}", clip.clip_id))?;
        stage.at(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, indices.len());
        Ok(heard)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")?;
    pool.install(|| indices.par_iter().map(one).collect())
}

/// A clip with what was said of it, a probability for each of `labels`.
///
/// # Errors
/// When its genre is none of them.
pub fn scored(clip: &LabelledClip, labels: &[String], probabilities: Vec<f64>) -> Result<Scored> {
    let truth = labels.iter().position(|label| label == clip.genre.name());
    Ok(Scored {
        clip_id: clip.clip_id.clone(),
        credit: [&clip.artist, &clip.title].into_iter().flatten().cloned().collect::<Vec<_>>().join(": "),
        group: clip.group.clone(),
        truth: truth.with_context(|| format!("clip {} is {}, which was not trained on", clip.clip_id, clip.genre))?,
        probabilities,
    })
}
