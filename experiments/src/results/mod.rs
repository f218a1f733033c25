//! Results on disk, and what is made of them: summaries, comparisons, tables, plots.

pub mod compare;
pub mod leakage;
pub mod robustness;
pub mod store;
pub mod summary;
