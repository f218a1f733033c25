//! Descriptors of a clip: one value, or a few, for each frame.

pub mod chroma;
pub mod delta;
pub mod kaggle57;
pub mod mfcc;
pub mod onset;
pub mod spectral;
pub mod tempo;
pub mod time_domain;
