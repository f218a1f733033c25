//! VGG19 over a log-mel: the convolutions that were trained on ImageNet, adapted to music.
//!
//! 1. The log-mel is standardised, taken in one [`Normalisation`] or two, and each made into three planes ([`Preprocessor`]).
//! 2. The blocks of VGG19 take each normalised input by itself ([`Vgg19`]).
//! 3. Statistics of each channel of some blocks, over all bands and frames, of one normalisation beside those of the other, are the
//!    embedding ([`embed`]), with the log-covariances of the blocks where the network has them ([`LogCovariance`]).
//! 4. A linear [`Head`] gives logits; divided by the temperature, their [`softmax`] is the probabilities.
//!
//! [`Vgg19Classifier`] does that for several clips at once, and explains by Grad-CAM which places of a clip speak for a class.
//!
//! Public weights load by their names in torchvision ([`BackboneWeights`]); a trained network is [`Vgg19Parameters`].

mod classifier;
mod device;
mod gradcam;
mod log_covariance;
mod network;
mod parameters;
mod preprocessing;
mod weights;

pub use classifier::{BATCH_FRAMES, Vgg19Classifier, softmax};
pub use device::Backend;
pub use log_covariance::{Axes, LogCovariance, principal_axes};
pub use network::{
    Block, Columns, EPSILON, Head, Normalisation, Statistic, Vgg19, Vgg19Config, activations, channels, embed,
    no_normalisation,
};
pub use parameters::{HeadParameters, Vgg19Parameters};
pub use preprocessing::{COARSE, Channels, DELTA_GAINS, MAX_BAND_UPSAMPLING, Preprocessor};
pub use weights::{BLOCKS, BackboneWeights, ConvLayer, ConvWeights};
