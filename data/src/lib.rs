//! What is trained on: labelled datasets, and what is known about them.
//!
//! A [`Dataset`] is audio, in one of the forms that people have it in, or a feature store. [`extract`] makes the second of the first,
//! and a [`LabelledDataset`] joins several into the one list that training and evaluation read, with their [`labels`]. Every file that is not
//! used is told, with its [`Reason`], and every one that is used although something is wrong with it ([`Warned`]). A [`Split`] deals clips to folds and says what leaks; [`gtzan`] knows GTZAN's 1000 clips; [`audit`]
//! finds what is wrong with a dataset; [`synth`] makes one out of nothing; [`degrade`] makes bad recordings of good ones; [`manifest`] and [`tables`] write all of that as Parquet and CSV.
//!
//! ```no_run
//! use data::{ExtractOptions, LabelledDataset, Part, Split};
//!
//! # fn main() -> data::Result<()> {
//! let spec = features::FeatureSpec::gtzan_store();
//! let dataset = LabelledDataset::open(&["data/gtzan"], &spec, &ExtractOptions::default())?;
//! let folds = Split::FaultFiltered(Part::Valid).folds(&dataset.items(), 0)?;
//! println!("{} clips of {} labels to train on", folds[0].train.len(), dataset.labels_of(&folds[0].train).len());
//! println!("{} clips to evaluate on", folds[0].test.len());
//! # Ok(())
//! # }
//! ```

mod artists;
pub mod audit;
mod biquad;
mod dataset;
pub mod degrade;
mod digest;
mod error;
mod fingerprint;
pub mod gtzan;
pub mod manifest;
pub mod rng;
mod splits;
pub mod synth;
pub mod tables;

pub use ::labels;

pub use artists::{TrackMetadata, artist_groups, artist_key};
pub use audit::{Audit, Fault, Finding};
pub use dataset::{
    audio::{AudioClip, AudioDataset, AudioForm, Span, audio_files},
    extract::{ExtractOptions, ExtractReport, OpenOptions, extract},
    feature_store::{FeatureStore, STORE_VERSION},
    labelled::{Description, LabelledClip, LabelledDataset, SourceDescription},
    open::Dataset,
    relabel::{LabelOptions, Variants},
    unused::{Reason, Unused, UnusedCounts, shown},
    warned::{Warned, WarnedCounts},
};
pub use error::{Error, Result};
pub use gtzan::FaultFiltered;
pub use polars::frame::DataFrame;
pub use splits::{Fold, Part, Split, SplitItem, grouped_kfold};
