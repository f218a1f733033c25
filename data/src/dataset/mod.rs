//! Labelled datasets: audio in every form that people have it in, feature stores, and several of them joined.
//!
//! [`Dataset::open`](crate::Dataset::open) opens one; [`extract`](crate::extract) makes a feature store of audio;
//! a [`LabelledDataset`](crate::LabelledDataset) joins several, gives their labels indices and finds out which clips belong together.

pub(crate) mod audio;
pub(crate) mod extract;
pub(crate) mod feature_store;
pub(crate) mod labelled;
pub(crate) mod metadata;
pub(crate) mod open;
pub(crate) mod relabel;
pub(crate) mod table;
pub(crate) mod unused;
pub(crate) mod warned;
