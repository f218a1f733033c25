//! [`Music`]: the clips of an experiment, opened once for all of its jobs.

use std::{cell::OnceCell, collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, Result};
use data::{FaultFiltered, Fold, LabelledDataset, Split};
use features::{Extractor, FeatureSpec};
use train::{cli::commands, console::interrupt::Scratch, evaluation::describe, training::svm::TrainingSet};

use crate::declarations::declaration::Data;

/// A set with what is dealt of it.
pub(crate) struct Music {
    pub(crate) set: LabelledDataset,
    /// Every genre of the set.
    pub(crate) labels: Vec<String>,
    /// Parts of GTZAN that are dealt to folds.
    parts: BTreeSet<FaultFiltered>,
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
        let everyone: Vec<usize> = (0..set.len()).collect();
        let labels = describe::labels(&set, &everyone);
        Ok(Self { set, labels, parts: data.parts.clone(), vectors: OnceCell::new(), _scratch: scratch })
    }

    /// The folds of a split, each with every genre to fit on.
    pub(crate) fn folds(&self, split: Split, seed: u64) -> Result<Vec<Fold>> {
        let folds = self.set.folds(split, &self.parts, seed)?;
        describe::check_folds(&self.set, &self.labels, split, &folds)?;
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
