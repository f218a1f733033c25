//! [`Vgg19`]: the convolutions of VGG19 as a Burn module, and a head over what its blocks say.

use std::ops::Range;

use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use convolution::burn::Conv3x3;
use serde::{Deserialize, Serialize};

use super::{
    log_covariance::{Axes, CovarianceColumns, LogCovariance},
    weights::{BLOCKS, BackboneWeights, ConvLayer, ConvWeights},
};
use crate::{Error, Result};

/// Channels that a block, 1 to 5, gives.
#[must_use]
pub fn channels(block: usize) -> usize {
    BLOCKS[block - 1].last().map_or(0, |layer| layer.out_channels)
}

/// What the head takes of each channel of a block, over all bands and frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The mean.
    Average,
    /// The largest value.
    Maximum,
    /// The standard deviation.
    Deviation,
}

/// How each band of the log-mel is normalised before the network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Not at all.
    #[serde(rename = "absolute", alias = "none")]
    None,
    /// Less its own mean over the segment, as cepstral mean normalisation has it (Atal 1974): what the recording, the room and
    /// the equaliser do to all of a segment alike is not in it.
    #[serde(rename = "relative", alias = "cmn")]
    Cmn,
}

/// The inputs of networks whose configuration names none.
#[must_use]
pub fn no_normalisation() -> Vec<Normalisation> {
    vec![Normalisation::None]
}

/// What the network is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vgg19Config {
    /// How a segment is normalised; each at most once, at least one. Every normalised input goes through the same convolutions by itself.
    #[serde(rename = "views", alias = "normalisations", default = "no_normalisation")]
    pub normalisations: Vec<Normalisation>,
    /// Blocks that the head pools, 1 to 5, rising. Blocks behind the last of them are left out of the network.
    pub pooled_blocks: Vec<usize>,
    /// What it takes of their channels; each at most once, at least one.
    pub statistics: Vec<Statistic>,
    /// The log-covariances that it takes beside the statistics; none where left out, as in networks of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_covariance: Option<LogCovariance>,
    /// Classes; at least 2.
    pub n_classes: usize,
}

impl Vgg19Config {
    /// Refuses what no network can be made of.
    ///
    /// # Errors
    /// [`Error::Network`], which says what is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = |detail: String| Err(Error::Network { detail });
        if self.pooled_blocks.is_empty()
            || !self.pooled_blocks.is_sorted_by(|a, b| a < b)
            || self.pooled_blocks.iter().any(|block| !(1..=BLOCKS.len()).contains(block))
        {
            return wrong(format!("pooled blocks are {:?}, not some of 1 to 5 in rising order", self.pooled_blocks));
        }
        if !each_once(&self.statistics) {
            return wrong("the statistics of the head are none, or one is named twice".into());
        }
        if !each_once(&self.normalisations) {
            return wrong("the normalisations (`views`) of the network are none, or one is named twice".into());
        }
        if !(2..=65_536).contains(&self.n_classes) {
            return wrong(format!("there are {} classes, not 2 to 65536", self.n_classes));
        }
        self.log_covariance.map_or(Ok(()), LogCovariance::check)
    }

    /// Blocks that the network has.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        self.pooled_blocks.iter().copied().max().unwrap_or(0)
    }

    /// Dimensions of the input of the head: those of one normalisation after those of another.
    #[must_use]
    pub fn embedding_dim(&self) -> usize {
        self.normalisations.len() * self.dim_per_normalisation()
    }

    /// Dimensions of the input of the head that are of one normalisation: the statistics of the blocks, then their log-covariances.
    #[must_use]
    pub fn dim_per_normalisation(&self) -> usize {
        let log_covariances = |of: LogCovariance| self.pooled_blocks.iter().map(|block| of.dim_of(*block)).sum();
        self.statistics_dim() + self.log_covariance.map_or(0, log_covariances)
    }

    /// How many numbers the axes of each pooled block are, of all normalisations; none of a head that takes no log-covariance.
    #[must_use]
    pub fn axes_lengths(&self) -> Vec<usize> {
        let of_block =
            |of: LogCovariance, block: usize| self.normalisations.len() * channels(block) * of.axes_of(block);
        let lengths = |of: LogCovariance| self.pooled_blocks.iter().map(|&block| of_block(of, block)).collect();
        self.log_covariance.map(lengths).unwrap_or_default()
    }

    /// Dimensions of the statistics of one normalisation.
    pub(super) fn statistics_dim(&self) -> usize {
        self.pooled_blocks.iter().map(|block| channels(*block) * self.statistics.len()).sum()
    }

    /// Fewest bands and frames that leave something of the last block.
    #[must_use]
    pub fn min_size(&self) -> usize {
        1 << self.n_blocks()
    }

    /// A network with these convolutions, and a head that knows nothing yet: all its outputs are 0.
    ///
    /// # Errors
    /// Those of [`Vgg19Config::check`]; [`Error::Network`] when `weights` have fewer blocks.
    pub fn init(&self, weights: &BackboneWeights, device: &Device) -> Result<Vgg19> {
        self.check()?;
        let mut convs = weights.convs().iter();
        let blocks = (0..self.n_blocks()).map(|index| Block::new(index, &mut convs, device)).collect::<Result<_>>()?;
        Ok(Vgg19 { blocks, head: Head::blank(self, device) })
    }
}

/// Whether something is named, and nothing twice.
fn each_once<T: Copy + Ord>(named: &[T]) -> bool {
    let mut sorted = named.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    !sorted.is_empty() && sorted.len() == named.len()
}

/// Convolutions of 3 × 3 with ReLU, then maximum pooling of 2 × 2.
#[derive(Module, Debug)]
pub struct Block {
    /// In order.
    pub convs: Vec<Conv3x3>,
}

impl Block {
    fn new<'a>(index: usize, convs: &mut impl Iterator<Item = &'a ConvWeights>, device: &Device) -> Result<Self> {
        let n = BLOCKS[index].len();
        let convs: Vec<_> = convs.take(n).map(|conv| conv3x3(conv, device)).collect();
        if convs.len() < n {
            return Err(Error::Network { detail: format!("the weights end before block {}", index + 1) });
        }
        Ok(Self { convs })
    }

    /// # Shapes
    /// - `x`: `[n, c, bands, frames]`
    /// - result: `[n, c', bands / 2, frames / 2]`, halves rounded down
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let Some((last, before)) = self.convs.split_last() else { return x };
        last.forward_pooled(before.iter().fold(x, |x, conv| conv.forward(x)))
    }
}

fn conv3x3(weights: &ConvWeights, device: &Device) -> Conv3x3 {
    let ConvLayer { in_channels: inputs, out_channels: outputs, .. } = weights.layer;
    Conv3x3::new(
        Param::from_data(TensorData::new(weights.weight.clone(), [outputs, inputs, 3, 3]), device),
        Param::from_data(TensorData::new(weights.bias.clone(), [outputs]), device),
    )
}

/// A linear classifier of standardised embeddings.
#[derive(Module, Debug)]
pub struct Head {
    /// Taken off an embedding; `[1, dim]`.
    pub mean: Tensor<2>,
    /// What it is multiplied by then; `[1, dim]`. Scaled so that what a typical embedding holds of one normalisation has a
    /// length of 1.
    pub scale: Tensor<2>,
    /// `[dim, n_classes]`.
    pub linear: Linear,
}

impl Head {
    fn blank(config: &Vgg19Config, device: &Device) -> Self {
        let dim = config.embedding_dim();
        Self {
            mean: Tensor::zeros([1, dim], device),
            scale: Tensor::ones([1, dim], device),
            linear: Linear {
                weight: Param::from_tensor(Tensor::zeros([dim, config.n_classes], device)),
                bias: Some(Param::from_tensor(Tensor::zeros([config.n_classes], device))),
            },
        }
    }

    /// Takes off the mean and divides by the deviation.
    ///
    /// # Shapes
    /// - `embedding`: `[n, dim]`
    /// - result: `[n, dim]`
    #[must_use]
    pub fn standardise(&self, embedding: Tensor<2>) -> Tensor<2> {
        (embedding - self.mean.clone()) * self.scale.clone()
    }

    /// # Shapes
    /// - `embedding`: `[n, dim]`
    /// - result: logits, `[n, n_classes]`
    #[must_use]
    pub fn forward(&self, embedding: Tensor<2>) -> Tensor<2> {
        self.linear.forward(self.standardise(embedding))
    }
}

/// VGG19 up to the last block that its head pools, and the head.
///
/// ```text
/// input [n, 3, bands, frames], where n counts every normalisation of every segment
///   block 1  2 × conv 64,  pool   →  [n,  64, bands/2,  frames/2]
///   block 2  2 × conv 128, pool   →  [n, 128, bands/4,  frames/4]
///   block 3  4 × conv 256, pool   →  [n, 256, bands/8,  frames/8]
///   block 4  4 × conv 512, pool   →  [n, 512, bands/16, frames/16]
///   block 5  4 × conv 512, pool   →  [n, 512, bands/32, frames/32]
/// head: statistics of each channel of the chosen blocks, and log-covariances of these blocks where the configuration has them,
///       of all normalisations of a segment → standardised → linear → logits
/// ```
///
/// Fully convolutional: it takes any number of bands and frames that leaves one of each.
#[derive(Module, Debug)]
pub struct Vgg19 {
    /// From the input on.
    pub blocks: Vec<Block>,
    /// The classifier.
    pub head: Head,
}

impl Vgg19 {
    /// What each block gives.
    ///
    /// # Shapes
    /// - `x`: `[n, 3, bands, frames]`
    /// - result: for block `b` of 1…: `[n, channels, bands / 2^b, frames / 2^b]`
    #[must_use]
    pub fn activations(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        activations(&self.blocks, x)
    }
}

/// The activations of each of `blocks`, each of which takes those of the one before it; shapes as of [`Vgg19::activations`].
#[must_use]
pub fn activations(blocks: &[Block], x: Tensor<4>) -> Vec<Tensor<4>> {
    let mut given = Vec::with_capacity(blocks.len());
    let mut x = x;
    for block in blocks {
        x = block.forward(x);
        given.push(x.clone());
    }
    given
}

/// Added to a variance before its root is taken.
pub const EPSILON: f32 = 1e-5;

/// Statistics of every column of time of the pooled blocks, from which those of any part follow.
///
/// The mean of a part is that of the means of its columns, which all have as many rows. Its variance is the mean of their
/// variances and the variance of their means (the law of total variance): sums of squares alone, so nothing cancels.
#[derive(Debug)]
pub struct Columns {
    blocks: Vec<BlockColumns>,
    /// Of a head that takes log-covariances.
    covariances: Option<CovarianceColumns>,
    /// Normalisations of each segment.
    normalisations: usize,
}

#[derive(Debug)]
struct BlockColumns {
    /// 1 to 5.
    block: usize,
    /// Of each column and channel; `[n · views, 1, columns, channels]`.
    mean: Tensor<4>,
    /// In the order of the configuration.
    statistics: Vec<OfColumns>,
}

/// What a statistic of a part needs of its columns beside their means; shaped as these.
#[derive(Debug)]
enum OfColumns {
    Average,
    /// Their largest values.
    Maximum(Tensor<4>),
    /// Their variances.
    Deviation(Tensor<4>),
}

impl Columns {
    /// Of the activations of the blocks of a network; `axes` are those of a head that takes log-covariances.
    ///
    /// # Shapes
    /// - `activations`: as of [`Vgg19::activations`](super::Vgg19::activations), one for each block; the normalisations of a segment lie
    ///   together, as [`Preprocessor::planes`](super::Preprocessor::planes) gives them
    #[must_use]
    pub fn new(config: &Vgg19Config, axes: Option<&Axes>, activations: &[Tensor<4>]) -> Self {
        let of_block = |&block: &usize| {
            // Channels last, as flex keeps them: rows are added to each other as they lie in memory.
            let x = activations[block - 1].clone().permute([0, 2, 3, 1]);
            let mean = x.clone().mean_dim(1);
            let of_columns = |statistic: &Statistic| match statistic {
                Statistic::Average => OfColumns::Average,
                Statistic::Maximum => OfColumns::Maximum(x.clone().max_dim(1)),
                Statistic::Deviation => OfColumns::Deviation((x.clone() - mean.clone()).square().mean_dim(1)),
            };
            BlockColumns { block, statistics: config.statistics.iter().map(of_columns).collect(), mean }
        };
        Self {
            blocks: config.pooled_blocks.iter().map(of_block).collect(),
            covariances: axes.map(|axes| CovarianceColumns::new(&axes.project(activations))),
            normalisations: config.normalisations.len(),
        }
    }

    /// The embedding of the part `frames` of the input, or of all of it: of each normalisation in turn the statistics of each pooled block,
    /// in their order, then the log-covariance of each, through which no gradient goes.
    /// Of a block, those columns count that lie in the part, at least one.
    ///
    /// # Shapes
    /// - result: `[n, embedding_dim]`
    #[must_use]
    pub fn embed(&self, frames: Option<Range<usize>>) -> Tensor<2> {
        let mut parts = Vec::new();
        for BlockColumns { block, mean, statistics } in &self.blocks {
            let [n, _, columns, channels] = mean.dims();
            let part = columns_of(*block, frames.as_ref(), columns);
            let part_of = |of_columns: &Tensor<4>| of_columns.clone().narrow(2, part.start, part.len());
            let means = part_of(mean);
            let mean = means.clone().mean_dim(2);
            for statistic in statistics {
                let part = match statistic {
                    OfColumns::Average => mean.clone(),
                    OfColumns::Maximum(largest) => part_of(largest).max_dim(2),
                    OfColumns::Deviation(variances) => {
                        let between = (means.clone() - mean.clone()).square().mean_dim(2);
                        (part_of(variances).mean_dim(2) + between).add_scalar(EPSILON).sqrt()
                    }
                };
                parts.push(part.reshape([n, channels]));
            }
        }
        if let (Some(covariances), Some(statistics)) = (&self.covariances, parts.first()) {
            let (n, logarithms) = (statistics.dims()[0], covariances.logarithms(frames.as_ref()));
            let shape = [n, logarithms.len() / n];
            parts.push(Tensor::from_data(TensorData::new(logarithms, shape), &statistics.device()));
        }
        let concatenated = Tensor::cat(parts, 1);
        let [n, dim] = concatenated.dims();
        concatenated.reshape([n / self.normalisations, self.normalisations * dim])
    }
}

/// The columns of a block, 1 to 5, that lie in the part `frames` of the input, or all of them; at least one.
pub(super) fn columns_of(block: usize, frames: Option<&Range<usize>>, columns: usize) -> Range<usize> {
    let Some(frames) = frames else { return 0..columns };
    let start = (frames.start >> block).min(columns - 1);
    start..(frames.end >> block).clamp(start + 1, columns)
}

/// The embedding of what the blocks of a network without log-covariances gave; of several parts of one input, [`Columns`] are quicker.
///
/// # Shapes
/// - `activations`: as of [`Columns::new`]
/// - result: `[n, embedding_dim]`
#[must_use]
pub fn embed(config: &Vgg19Config, activations: &[Tensor<4>], frames: Option<Range<usize>>) -> Tensor<2> {
    Columns::new(config, None, activations).embed(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_names_no_normalisation_has_none() {
        let read = |views: &str| -> Result<Vgg19Config> {
            let json = format!(r#"{{{views}"pooled_blocks": [1], "statistics": ["average"], "n_classes": 2}}"#);
            let config: Vgg19Config = serde_json::from_str(&json).expect("a configuration");
            config.check().map(|()| config)
        };
        assert_eq!(read("").unwrap().normalisations, [Normalisation::None]);
        let both = read(r#""views": ["relative", "absolute"], "#).unwrap();
        assert_eq!((both.dim_per_normalisation(), both.embedding_dim()), (64, 128));
        for wrong in [r#""views": [], "#, r#""views": ["relative", "relative"], "#] {
            assert!(read(wrong).unwrap_err().to_string().contains("views"));
        }
    }
}
