//! Where clips come from, and what is known about them.
//!
//! A [`Dataset`] is a folder: an audio tree or a log-mel store. [`extract`] turns the first into the second, and a
//! [`LabelledDataset`] joins several into the one list that training and evaluation read. [`catalogue`] knows GTZAN's 1000
//! clips, [`Split`] deals clips to folds and says what leaks, [`audit`] finds what is wrong with a corpus.
//!
//! ```no_run
//! use data::{ExtractOptions, LabelledDataset, Part, Split};
//!
//! # fn main() -> data::Result<()> {
//! let set = LabelledDataset::open(&["data/gtzan"], &features::FeatureSpec::gtzan_store(), &ExtractOptions::default())?;
//! let folds = Split::FaultFiltered(Part::Valid).folds(&set.items(), 0)?;
//! println!("{} clips to fit, {} to judge by", folds[0].train.len(), folds[0].test.len());
//! # Ok(())
//! # }
//! ```

pub mod audit;
mod csv;
pub mod dataset;
mod error;
pub mod gtzan;
pub mod rng;
pub mod splits;
pub mod synth;

pub use crate::dataset::audio_folder::{AudioClip, AudioFolder, Skipped};
pub use crate::dataset::corpus::Dataset;
pub use crate::dataset::extract::{ExtractOptions, ExtractReport, extract};
pub use crate::dataset::frames::manifest;
pub use crate::dataset::merged::{Description, LabelledClip, LabelledDataset};
pub use crate::dataset::store::{FeatureStore, STORE_VERSION};
pub use crate::gtzan::catalogue::{Catalogue, CatalogueEntry, FaultFiltered, catalogue};
pub use crate::gtzan::genre::Genre;
pub use crate::gtzan::known_faults::{KnownFault, known_faults};
pub use crate::splits::artist::{TrackMetadata, artist_groups, artist_key};
pub use crate::splits::split::{Fold, Part, Split, SplitItem, grouped_kfold};
pub use audit::{Audit, Fault, Finding};
pub use error::{Error, Result};
pub use polars::frame::DataFrame;
