//! [`Dataset`]: clips, as audio or as features.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use labels::Label;

use super::{
    audio::{AudioDataset, has_folder_of},
    feature_store::FeatureStore,
};
use crate::{Error, Result};

/// Clips with their labels.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a program has a few datasets, never a list of thousands")]
pub enum Dataset {
    /// Audio files.
    Audio(AudioDataset),
    /// Their features.
    FeatureStore(FeatureStore),
}

impl Dataset {
    /// Opens what `path` holds: a feature store; or one in its `logmel`, unless folders of the store's labels stand beside it; else audio
    /// (see [`AudioDataset::open`]).
    ///
    /// # Errors
    /// [`Error::NoDataset`], naming what was looked for and what is there; those of [`FeatureStore::open`] and
    /// [`AudioDataset::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let inner = path.join("logmel");
        if FeatureStore::is_at(path) {
            return FeatureStore::open(path).map(Self::FeatureStore);
        }
        if FeatureStore::is_at(&inner) {
            let store = FeatureStore::open(&inner)?;
            let labels: BTreeSet<&Label> = (0..store.len()).map(|row| store.label(row)).collect();
            if !has_folder_of(path, &labels) {
                return Ok(Self::FeatureStore(store));
            }
        }
        match AudioDataset::open(path) {
            Err(Error::NoDataset { path, looked_for, found }) => Err(Error::NoDataset {
                path,
                looked_for: format!(
                    "a feature store (logmel.safetensors and ids.txt), here or in logmel; or {looked_for}"
                ),
                found,
            }),
            audio => audio.map(Self::Audio),
        }
    }

    /// Whether `path` holds a dataset at all, broken or not.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        FeatureStore::is_at(path) || FeatureStore::is_at(&path.join("logmel")) || AudioDataset::open(path).is_ok()
    }

    /// Clips.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Audio(audio) => audio.clips().len(),
            Self::FeatureStore(store) => store.len(),
        }
    }

    /// Never: a dataset without a clip is not opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Clips of each label.
    #[must_use]
    pub fn by_label(&self) -> BTreeMap<Label, usize> {
        let mut counts = BTreeMap::new();
        match self {
            Self::Audio(audio) => {
                audio.clips().iter().for_each(|clip| *counts.entry(clip.label.clone()).or_default() += 1)
            }
            Self::FeatureStore(store) => {
                (0..store.len()).for_each(|row| *counts.entry(store.label(row).clone()).or_default() += 1);
            }
        }
        counts
    }

    /// Gives clips other labels. Of audio, clips whose label has none are left out.
    pub(crate) fn relabel(&mut self, of: &BTreeMap<Label, Option<Label>>) {
        match self {
            Self::Audio(audio) => audio.relabel(of),
            Self::FeatureStore(store) => store.relabel(of),
        }
    }
}
