//! The classifiers, and the versioned artifact that carries them from training to serving.
//!
//! A [`Classifier`] takes the features of a [`Clip`](features::Clip) and gives a [`Prediction`]: calibrated probabilities for the
//! whole clip and for each window of its timeline. [`load`] makes one from an [`Artifact`](artifact::Artifact), every byte of which
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
//!
//! [`Classifier::predict_batch`] takes several clips at once, drops those whose request was cancelled, and explains, if asked,
//! which places of a clip speak for a class ([`Explanation`]).

pub mod artifact;
mod classifier;
pub mod conformal;
pub mod eigen;
pub mod ensemble;
mod error;
mod format;
mod load;
mod prediction;
pub mod svm;
pub mod vgg19;

pub use classifier::{Classifier, Identity, PredictOutput, PredictRequest};
pub use error::{Error, Result};
pub use load::{from_artifact, load};
pub use prediction::{Explain, Explanation, Novelty, Prediction, WindowPrediction, most_probable, pool};
