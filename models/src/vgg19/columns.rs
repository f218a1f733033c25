//! [`Columns`]: what a head hears of any stretch of time, from one pass over what the blocks gave.

use std::ops::Range;

use burn::tensor::Tensor;

use super::{Statistic, Vgg19Config};

/// Added to a variance before its root is taken.
const EPSILON: f32 = 1e-5;

/// Statistics of every column of time of the pooled blocks, from which those of any stretch follow.
///
/// The mean of a stretch is that of the means of its columns, which all have as many rows. Its variance is the mean of their
/// variances and the variance of their means (the law of total variance): sums of squares alone, so nothing cancels.
#[derive(Debug)]
pub struct Columns {
    blocks: Vec<BlockColumns>,
    /// Views of each passage.
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

/// What a statistic of a stretch needs of its columns beside their means; shaped as these.
#[derive(Debug)]
enum OfColumns {
    Average,
    /// Their largest values.
    Maximum(Tensor<4>),
    /// Their variances.
    Deviation(Tensor<4>),
}

impl Columns {
    /// Of what the blocks of a network gave.
    ///
    /// # Shapes
    /// - `activations`: as of [`Vgg19::activations`](super::Vgg19::activations), one for each block; the views of a passage lie
    ///   together, as [`Preprocessor::planes`](super::Preprocessor::planes) gives them
    #[must_use]
    pub fn new(config: &Vgg19Config, activations: &[Tensor<4>]) -> Self {
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
            normalisations: config.normalisations.len(),
        }
    }

    /// The embedding of the part `frames` of the input, or of all of it: the statistics of each pooled block of each view, in their
    /// order.
    /// Of a block, those columns count that lie in the part, at least one.
    ///
    /// # Shapes
    /// - result: `[n, embedding_dim]`
    #[must_use]
    pub fn embed(&self, frames: Option<Range<usize>>) -> Tensor<2> {
        let mut parts = Vec::new();
        for BlockColumns { block, mean, statistics } in &self.blocks {
            let [n, _, columns, channels] = mean.dims();
            let (start, end) = match &frames {
                None => (0, columns),
                Some(frames) => {
                    let start = (frames.start >> block).min(columns - 1);
                    (start, (frames.end >> block).clamp(start + 1, columns))
                }
            };
            let stretch = |of_columns: &Tensor<4>| of_columns.clone().narrow(2, start, end - start);
            let means = stretch(mean);
            let mean = means.clone().mean_dim(2);
            for statistic in statistics {
                let part = match statistic {
                    OfColumns::Average => mean.clone(),
                    OfColumns::Maximum(largest) => stretch(largest).max_dim(2),
                    OfColumns::Deviation(variances) => {
                        let between = (means.clone() - mean.clone()).square().mean_dim(2);
                        (stretch(variances).mean_dim(2) + between).add_scalar(EPSILON).sqrt()
                    }
                };
                parts.push(part.reshape([n, channels]));
            }
        }
        let concatenated = Tensor::cat(parts, 1);
        let [n, dim] = concatenated.dims();
        concatenated.reshape([n / self.normalisations, self.normalisations * dim])
    }
}

/// The embedding of what the blocks of a network gave; of several parts of one input, [`Columns`] are quicker.
///
/// # Shapes
/// - `activations`: as of [`Columns::new`]
/// - result: `[n, embedding_dim]`
#[must_use]
pub fn embed(config: &Vgg19Config, activations: &[Tensor<4>], frames: Option<Range<usize>>) -> Tensor<2> {
    Columns::new(config, activations).embed(frames)
}
