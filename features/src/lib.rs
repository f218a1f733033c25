//! Audio bytes → [`Clip`] → [`LogMel`] and frame-wise series → feature vectors.
//!
//! The one implementation of Tonearm's preprocessing: training and serving both call it, and a [`Fingerprint`] of the
//! [`FeatureSpec`] says whether two of them hear the same thing.

mod aggregate;
mod clip;
pub mod decode;
mod error;
mod series;
pub use ::simd;
pub mod descriptors;
pub mod dsp;
mod extractor;
mod log_mel;
pub mod spec;

pub use crate::extractor::{ClipFeatures, Extractor, FeatureVector, Span, digest};
pub use crate::log_mel::LogMel;
pub use clip::Clip;
pub use error::{Error, Result};
pub use spec::{FeatureSpec, Fingerprint};
