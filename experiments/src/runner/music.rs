//! [`Music`]: the clips of an experiment, opened once for all of its jobs.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Result;
use data::{FaultFiltered, Fold, Split};
use features::FeatureSpec;
use train::{
    console::output,
    training::{
        TrainingData,
        dataset::{check_folds, labels},
    },
};

use crate::declarations::declaration::Data;

/// A dataset with what is dealt of it.
pub(crate) struct Music {
    pub(crate) data: TrainingData,
    /// Every label of the dataset.
    pub(crate) labels: Vec<String>,
    /// Parts of GTZAN that are dealt to folds.
    parts: BTreeSet<FaultFiltered>,
}

impl Music {
    pub(crate) fn open(corpora: &[PathBuf], spec: &FeatureSpec, data: &Data, threads: usize) -> Result<Self> {
        let opened = TrainingData::open(corpora, spec, data.pieces, threads)?;
        output::say_rejected(opened.dataset().rejected());
        let everyone: Vec<usize> = (0..opened.dataset().len()).collect();
        let labels = labels(opened.dataset(), &everyone);
        Ok(Self { data: opened, labels, parts: data.parts.clone() })
    }

    /// The folds of a split, each with every label to fit on.
    pub(crate) fn folds(&self, split: Split, seed: u64) -> Result<Vec<Fold>> {
        let folds = self.data.dataset().folds(split, &self.parts, seed)?;
        check_folds(self.data.dataset(), &self.labels, split, &folds)?;
        Ok(folds)
    }
}
