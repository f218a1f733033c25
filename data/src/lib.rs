//! Where clips come from, and what is known about them.
//!
//! A [`Corpus`] is a folder: an audio tree or a log-mel store. [`extract`] turns the first into the second, and a
//! [`LabelledSet`] joins several into the one list that training and evaluation read. [`catalogue`] knows GTZAN's 1000
//! clips, [`Split`] deals clips to folds and says what leaks, [`audit`] finds what is wrong with a corpus.
//!
//! ```no_run
//! use data::{ExtractOptions, LabelledSet, Part, Split};
//!
//! # fn main() -> data::Result<()> {
//! let set = LabelledSet::open(&["data/gtzan"], &features::FeatureSpec::gtzan_store(), &ExtractOptions::default())?;
//! let folds = Split::FaultFiltered(Part::Valid).folds(&set.items(), 0)?;
//! println!("{} clips to fit, {} to judge by", folds[0].train.len(), folds[0].test.len());
//! # Ok(())
//! # }
//! ```

mod artist;
pub mod audit;
mod catalogue;
mod corpus;
mod csv;
mod error;
mod extract;
pub mod frames;
mod genre;
mod known;
mod merged;
pub mod rng;
mod split;
mod store;
pub mod synth;
mod tree;

pub use artist::{Credit, artist_groups, artist_key};
pub use audit::{Audit, Fault, Finding};
pub use catalogue::{Catalogue, CatalogueEntry, FaultFiltered, catalogue};
pub use corpus::Corpus;
pub use error::{Error, Result};
pub use extract::{ExtractOptions, ExtractReport, extract};
pub use frames::manifest;
pub use genre::Genre;
pub use known::{KnownFault, known_faults};
pub use merged::{Description, LabelledClip, LabelledSet};
pub use polars::frame::DataFrame;
pub use split::{Fold, Part, Split, SplitItem, grouped_kfold};
pub use store::{STORE_VERSION, Store};
pub use tree::{AudioClip, AudioTree, Skipped};
