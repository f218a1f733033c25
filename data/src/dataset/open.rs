//! [`Dataset`]: a folder of clips, in either of its two forms.

use std::path::Path;

use crate::{AudioFolder, Error, FeatureStore, Result};

/// A folder of clips.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a program has a few datasets, never a list of thousands")]
pub enum Dataset {
    /// Audio files, in a folder for each label.
    AudioFolder(AudioFolder),
    /// Their features.
    FeatureStore(FeatureStore),
}

impl Dataset {
    /// Opens what `path` holds: a feature store, else an audio folder (see [`AudioFolder::open`]), else a
    /// feature store in its `logmel`.
    ///
    /// A folder that has both GTZAN's store in `logmel` and audio in `clips` is opened as the store, which has more.
    ///
    /// # Errors
    /// [`Error::NoDataset`], naming what was looked for and what is there; those of [`FeatureStore::open`] and
    /// [`AudioFolder::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let inner = path.join("logmel");
        if FeatureStore::is_at(path) {
            return FeatureStore::open(path).map(Self::FeatureStore);
        }
        if FeatureStore::is_at(&inner) && !AudioFolder::has_labels(path) {
            return FeatureStore::open(&inner).map(Self::FeatureStore);
        }
        match AudioFolder::open(path) {
            Err(Error::NoDataset { path, looked_for, found }) => Err(Error::NoDataset {
                path,
                looked_for: format!(
                    "a feature store (logmel.safetensors and ids.txt), here or in logmel; or {looked_for}"
                ),
                found,
            }),
            folder => folder.map(Self::AudioFolder),
        }
    }

    /// Whether `path` holds a dataset at all, broken or not.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        FeatureStore::is_at(path) || FeatureStore::is_at(&path.join("logmel")) || AudioFolder::open(path).is_ok()
    }

    /// Clips.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::AudioFolder(folder) => folder.clips().len(),
            Self::FeatureStore(store) => store.len(),
        }
    }

    /// Never: a dataset without a clip is not opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
