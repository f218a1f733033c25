//! Datasets on a disk: audio folders, feature stores and audits, from outside the crate.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

mod audio_folders;
mod audits;
mod feature_stores;
mod fixtures;
mod leaks;
