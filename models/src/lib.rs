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
//!
//! [`Classifier::predict_batch`] hears several songs at once, leaves those that nobody waits for, and says, if asked, where in a
//! song the genre was heard ([`Explanation`]).

pub mod artifact;
mod classifier;
mod error;
mod explanation;
mod prediction;
pub mod svm;
pub mod vgg19;

pub use classifier::{Classifier, Identity, PredictOutput, PredictRequest, from_artifact, load};
pub use error::{Error, Result};
pub use explanation::{Explain, Explanation};
pub use prediction::{Prediction, WindowPrediction, most_probable, pool};
