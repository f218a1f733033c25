//! Corpora on a disk: trees, stores and audits, from outside the crate.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

mod audits;
mod sounds;
mod stores;
mod trees;
