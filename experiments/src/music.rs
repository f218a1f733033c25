//! [`Music`]: the clips of an experiment, opened once for all of its jobs.

use std::{cell::OnceCell, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use data::{Fold, LabelledSet, Split};
use features::{Extractor, FeatureSpec};
use train::{commands, describe, interrupt::Scratch, svm::TrainingSet};

use crate::declaration::Data;

/// A set with what is dealt of it.
pub(crate) struct Music {
    pub(crate) set: LabelledSet,
    /// Every genre of the set.
    pub(crate) labels: Vec<String>,
    /// Clips that are dealt to folds.
    dealt: Vec<usize>,
    vectors: OnceCell<TrainingSet>,
    _scratch: Option<Scratch>,
}

impl Music {
    pub(crate) fn open(corpora: &[PathBuf], spec: &FeatureSpec, data: &Data, threads: usize) -> Result<Self> {
        let scratch = Scratch::new().ok();
        let mut set = commands::open_set(corpora, spec, threads, scratch.as_ref())?;
        commands::say_rejected(set.rejected());
        if let Some(pieces) = data.pieces {
            set = set.in_pieces(pieces)?;
        }
        let dealt = |&index: &usize| set.clips()[index].part.is_none_or(|part| data.parts.contains(&part));
        let everyone: Vec<usize> = (0..set.len()).collect();
        let labels = describe::labels(&set, &everyone);
        let dealt = everyone.into_iter().filter(dealt).collect();
        Ok(Self { set, labels, dealt, vectors: OnceCell::new(), _scratch: scratch })
    }

    /// The folds of a split, each with every genre to fit on.
    pub(crate) fn folds(&self, split: Split, seed: u64) -> Result<Vec<Fold>> {
        let items = self.set.items();
        let folds = match split {
            // The parts are those of the split.
            Split::FaultFiltered(_) => split.folds(&items, seed)?,
            _ => {
                let dealt: Vec<_> = self.dealt.iter().map(|&index| items[index]).collect();
                let back = |positions: Vec<usize>| positions.into_iter().map(|at| self.dealt[at]).collect();
                let folds = split.folds(&dealt, seed)?.into_iter();
                folds.map(|Fold { train, test }| Fold { train: back(train), test: back(test) }).collect()
            }
        };
        for (number, fold) in folds.iter().enumerate() {
            let there = describe::labels(&self.set, &fold.train);
            if let Some(genre) = self.labels.iter().find(|genre| !there.contains(genre)) {
                bail!("fold {} of {} by {split} leaves no clip of {genre} to fit on", number + 1, folds.len());
            }
        }
        Ok(folds)
    }

    /// The vectors of every clip, described once.
    pub(crate) fn vectors(&self, threads: usize) -> Result<&TrainingSet> {
        if self.vectors.get().is_none() {
            let everyone: Vec<usize> = (0..self.set.len()).collect();
            let vectors = describe::training_set(&self.set, &everyone, &self.labels, &self.extractor()?, threads)?;
            let _ = self.vectors.set(vectors);
        }
        self.vectors.get().context("the vectors were described")
    }

    pub(crate) fn extractor(&self) -> Result<Extractor> {
        Ok(Extractor::new(self.set.spec().clone())?)
    }
}
