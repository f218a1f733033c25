//! From labelled clips to the vectors that a machine is fitted on.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, bail};
use data::{Fold, LabelledDataset, Split};
use features::Extractor;
use rayon::prelude::*;

use crate::{console::progress::Stage, training::svm::TrainingSet};

/// The genres of the clips `indices`, in the order of [`data::Genre`].
#[must_use]
pub fn labels(set: &LabelledDataset, indices: &[usize]) -> Vec<String> {
    let genres: BTreeSet<_> = indices.iter().map(|&index| set.clips()[index].genre).collect();
    genres.into_iter().map(|genre| genre.name().to_owned()).collect()
}

/// Refuses folds of which one leaves a genre of `labels` without a clip to fit on.
///
/// # Errors
/// Which fold, and which genre.
pub fn check_folds(set: &LabelledDataset, labels: &[String], split: Split, folds: &[Fold]) -> Result<()> {
    for (number, fold) in folds.iter().enumerate() {
        let there = self::labels(set, &fold.train);
        if let Some(genre) = labels.iter().find(|genre| !there.contains(genre)) {
            bail!("fold {} of {} by {split} leaves no clip of {genre} to fit on", number + 1, folds.len());
        }
    }
    Ok(())
}

/// The vectors of the clips: their passages, by which they are judged, and their windows, which are fitted on too, so that
/// the machine knows what less than half a minute sounds like.
///
/// # Errors
/// When a clip cannot be read, or its genre is not among `labels`.
pub fn training_set(
    set: &LabelledDataset,
    indices: &[usize],
    labels: &[String],
    extractor: &Extractor,
    threads: usize,
) -> Result<TrainingSet> {
    let stage = Stage::new("describing clips");
    let done = AtomicUsize::new(0);
    let describe = |&index: &usize| -> Result<_> {
        let clip = &set.clips()[index];
        let vectors = || -> Result<_> {
            let analysis = set.analysis(index)?;
            let passages = extractor.segments(&analysis)?;
            let shorter = analysis.log_mel().n_frames() > extractor.spec().segmentation.window.frames;
            let windows = if shorter { extractor.windows(&analysis)? } else { Vec::new() };
            Ok((passages, windows))
        };
        let vectors = vectors().with_context(|| format!("failed to describe {}", clip.clip_id))?;
        stage.at(done.fetch_add(1, Ordering::Relaxed) + 1, indices.len());
        Ok((clip, vectors))
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("failed to start threads")?;
    let described: Vec<_> = pool.install(|| indices.par_iter().map(describe).collect::<Result<_>>())?;
    let mut training = TrainingSet { names: extractor.names().to_vec(), ..TrainingSet::default() };
    for (index, (clip, (passages, windows))) in described.into_iter().enumerate() {
        let label = labels.iter().position(|label| label == clip.genre.name()).context("a genre without a label")?;
        training.labels.push(label);
        training.groups.push(clip.group.clone());
        for (judged, segment) in passages.into_iter().map(|s| (true, s)).chain(windows.into_iter().map(|s| (false, s)))
        {
            training.vectors.push(segment.vector);
            training.clip.push(index);
            training.judged.push(judged);
        }
    }
    Ok(training)
}
