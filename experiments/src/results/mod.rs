//! Results that are kept, and what is made of them: summaries, comparisons, tables, plots.

pub mod compare;
pub mod ladder;
pub(crate) mod picture;
pub mod store;
pub mod summary;
