//! From audio to a prediction: [`pool`] computes, [`batcher`] joins requests, [`cache`] keeps responses, [`slot`] holds the version in use.

pub mod batcher;
pub mod cache;
pub mod hear;
pub mod pool;
pub mod slot;
pub(crate) mod sync;
