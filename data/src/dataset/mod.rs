//! Labelled datasets: audio folders, feature stores, and several of them joined.

pub(crate) mod audio_folder;
pub(crate) mod corpus;
pub(crate) mod extract;
pub mod frames;
pub(crate) mod merged;
pub(crate) mod store;
