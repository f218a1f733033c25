//! GTZAN: its ten genres, what is known of its 1000 clips, its fault-filtered split and its known faults.

mod catalogue;
mod genre;
mod known_faults;
pub(crate) mod recognise;
mod spectrum;

pub use catalogue::{Catalogue, CatalogueEntry, FaultFiltered, catalogue};
pub use genre::Genre;
pub use known_faults::{KnownFault, known_faults};
pub use spectrum::Spectrum;
