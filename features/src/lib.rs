//! Audio bytes → [`Clip`] → [`ClipFeatures`] (log-mel and frame-wise series) → feature vectors.
//!
//! The one implementation of Tonearm's preprocessing, which training and serving share. The [`Fingerprint`] of a [`FeatureSpec`] tells
//! whether two programs compute the same features: equal fingerprints give the same bits for the same file.
//!
//! ```no_run
//! use features::{Extractor, FeatureSpec, decode};
//!
//! # fn main() -> features::Result<()> {
//! let decoded = decode::decode_file("track.flac".as_ref(), &decode::Limits::default())?;
//! let extractor = Extractor::new(FeatureSpec::gtzan_store())?;
//! let features = extractor.extract(&decoded.clip)?;
//! // A vector for each segment of 30 s, with a name for each dimension.
//! for segment in extractor.segments(&features)? {
//!     println!("{:.1} s: {} = {}", segment.start_seconds, extractor.names()[0], segment.vector[0]);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`decode`] reads the files, [`dsp`] transforms the samples, and [`descriptors`] has librosa's features one by one.

pub mod aggregate;
mod clip;
pub mod decode;
pub mod descriptors;
pub mod dsp;
mod error;
mod extractor;
mod log_mel;
pub mod parallel;
mod series;
mod signal;
pub mod spec;

pub use clip::Clip;
pub use error::{Error, Result};
pub use extractor::{ClipStream, Extractor, FeatureVector, Span, digest, keep_freed};
pub use log_mel::{ClipFeatures, LogMel};
pub use signal::{Signal, SignalStatistics};
pub use spec::{FeatureSpec, Fingerprint};
