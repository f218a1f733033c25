//! Labelled datasets: audio folders, feature stores, and several of them joined.
//!
//! [`Dataset::open`](crate::Dataset::open) opens one folder; [`extract`](crate::extract) makes a feature store of an audio
//! folder; a [`LabelledDataset`](crate::LabelledDataset) joins several and gives their labels indices.

pub(crate) mod audio_folder;
pub(crate) mod extract;
pub(crate) mod feature_store;
pub(crate) mod labelled;
pub(crate) mod metadata;
pub(crate) mod open;
