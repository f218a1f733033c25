//! GTZAN: its catalogue, its genres, its known faults.

pub(crate) mod catalogue;
pub(crate) mod genre;
pub(crate) mod known_faults;
