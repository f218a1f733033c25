//! Runs the jobs of a declaration, each once.

pub mod ensemble;
pub(crate) mod fit;
pub mod job;
pub(crate) mod music;
pub mod run;
