//! VGG19 over a log-mel: the convolutions that were trained on ImageNet, adapted to music.
//!
//! 1. The log-mel is standardised, taken in one [`Normalisation`] or two, and each made into three planes ([`Preprocessor`]).
//! 2. The blocks of VGG19 hear each view by itself ([`Vgg19`]).
//! 3. Statistics of each channel of some blocks, over all bands and frames, of one view beside those of the other, are the
//!    embedding ([`embed`]).
//! 4. A linear [`Head`] gives logits; divided by the temperature, their [`softmax`] is the probabilities.
//!
//! [`Vgg19Classifier`] does that for several songs at once, and says by Grad-CAM where a genre was heard.
//!
//! Public weights load by their names in torchvision ([`BackboneWeights`]); a trained network is [`Vgg19Parameters`].

mod classifier;
mod columns;
mod device;
mod gradcam;
mod input;
mod network;
mod tensors;
mod weights;

pub use classifier::{BATCH_FRAMES, Vgg19Classifier, softmax};
pub use columns::{Columns, embed};
pub use device::Backend;
pub use input::{Channels, MAX_BAND_UPSAMPLING, Preprocessor};
pub use network::{Block, Head, Normalisation, Statistic, Vgg19, Vgg19Config, activations, channels, no_normalisation};
pub use tensors::{HeadParameters, Vgg19Parameters};
pub use weights::{BLOCKS, BackboneWeights, ConvLayer, ConvWeights};
