//! Experiments as TOML declares them.

pub mod declaration;
pub(crate) mod grid;
pub(crate) mod overlay;
