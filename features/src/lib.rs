//! Audio bytes → [`Clip`] → [`LogMel`] and frame-wise series → feature vectors.
//!
//! The one implementation of Tonearm's preprocessing: training and serving both call it, and a [`Fingerprint`] of the
//! [`FeatureSpec`] says whether two of them hear the same thing.

mod aggregate;
pub mod chroma;
mod clip;
pub mod db;
pub mod decode;
pub mod delta;
pub mod descriptor;
mod error;
mod extract;
pub mod fft;
pub mod hpss;
pub mod kaggle57;
mod logmel;
pub mod mel;
mod memory;
pub mod mfcc;
pub mod onset;
pub mod resample;
mod series;
pub use ::simd;
pub mod spec;
pub mod spectral;
pub mod stft;
pub mod tempo;
pub mod time_domain;

pub use clip::Clip;
pub use error::{Error, Result};
pub use extract::{Analysis, Extractor, Piece, Segment, digest};
pub use logmel::LogMel;
pub use spec::{FeatureSpec, Fingerprint};
