//! The classifiers, and the versioned artifact that carries them from training to serving.
//!
//! A [`Classifier`] hears a [`Clip`](features::Clip) and gives a [`Prediction`]: calibrated probabilities for the whole
//! clip and for each of its segments. [`load`] makes one from an [`Artifact`](artifact::Artifact), every byte of which
//! is checked against its digest.
//!
//! ```no_run
//! # fn main() -> Result<(), models::Error> {
//! # let clip = features::Clip::new(vec![0.0; 661_500], 22_050).expect("finite samples");
//! let model = models::load("artifacts/svm".as_ref())?;
//! let prediction = model.predict_clip(&clip)?;
//! println!("{} ({})", model.labels()[prediction.best()], model.identity());
//! # Ok(())
//! # }
//! ```

pub mod artifact;
mod classifier;
mod error;
mod prediction;
pub mod svm;
pub mod vgg19;

pub use classifier::{Classifier, Identity, from_artifact, load};
pub use error::{Error, Result};
pub use prediction::{Prediction, SegmentPrediction, most_probable, pool};
