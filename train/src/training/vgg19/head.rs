//! Fitting the head on frozen embeddings.

use std::{collections::BTreeMap, ops::Range};

use anyhow::Result;
use burn::{
    optim::{AdamWState, Optimizer as _},
    tensor::{Device, Tensor, TensorData, activation::log_softmax},
};
use data::rng::Rng;
use models::vgg19::{HeadParameters, Vgg19Config};
use optimiser::{AdamW, Gradient, GradientSum, Regression};
use rayon::prelude::*;

use super::{
    config::{HeadConfig, RidgeConfig, TrainingConfig},
    embedder::values,
    embeddings::{Embeddings, RawBlock, Rows},
    prepared::PreparedDataset,
    ridge,
};

/// Mean of each dimension, and 1 / deviation, so scaled that what a typical embedding holds of each normalisation has a length of 1.
fn scaler(rows: &Rows<'_>, dim_per_normalisation: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let n = rows.len().max(1) as f64;
    let means: Vec<f64> = sums(rows, |_, value| value)?.into_iter().map(|sum| sum / n).collect();
    let squares = sums(rows, |i, value| (value - means[i]).powi(2))?;
    let scaled = |(mean, square): (&f64, f64)| {
        let deviation = libm::sqrt(square / n);
        // A channel that is always the same tells nothing.
        let scale = if deviation > 1e-6 { 1.0 / (deviation * libm::sqrt(dim_per_normalisation as f64)) } else { 0.0 };
        (*mean as f32, scale as f32)
    };
    Ok(means.iter().zip(squares).map(scaled).unzip())
}

/// The sum of something over all rows, of each dimension in the order of the rows, whatever the blocks.
fn sums(rows: &Rows<'_>, of: impl Fn(usize, f64) -> f64) -> Result<Vec<f64>> {
    // As the sum of an iterator begins.
    let mut sums = vec![-0.0; rows.dim()];
    for number in 0..rows.n_blocks() {
        for row in rows.block(number)?.values.chunks_exact(rows.dim()) {
            sums.iter_mut().zip(row).enumerate().for_each(|(i, (sum, &value))| *sum += of(i, f64::from(value)));
        }
    }
    Ok(sums)
}

/// Targets with some of their mass spread over all classes, row-major `[n, n_classes]`.
pub(super) fn targets(labels: &[usize], n_classes: usize, smoothing: f64) -> Vec<f32> {
    let (off, on) = (smoothing / n_classes as f64, 1.0 - smoothing + smoothing / n_classes as f64);
    labels
        .iter()
        .flat_map(|&label| (0..n_classes).map(move |class| if class == label { on as f32 } else { off as f32 }))
        .collect()
}

/// Half a cosine from 1 at the first to 0 after the last of `steps`, after a linear rise over the first `warm_up`.
pub(super) fn schedule(step: usize, steps: usize, warm_up: f64) -> f64 {
    let rise = (warm_up * steps as f64).max(1.0);
    let rising = ((step + 1) as f64 / rise).min(1.0);
    rising * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * step as f64 / steps.max(1) as f64))
}

/// The mean over rows of the cross-entropy with soft targets.
pub(super) fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    -(log_softmax(logits, 1) * targets).sum_dim(1).mean()
}

/// What heads are fitted on, and how: one on all clips, others on some of them.
#[derive(Debug)]
pub struct Heads {
    embeddings: Embeddings,
    /// Class of each clip.
    labels: Vec<usize>,
    /// Clips that may share an artist have the same.
    groups: Vec<String>,
    network: Vgg19Config,
    hyperparameters: HeadConfig,
    ridge: Option<RidgeConfig>,
    /// Whether ridge regression takes segments alone, since all rows are too many for it.
    segments_alone: bool,
    seed: u64,
    device: Device,
}

impl Heads {
    pub(super) fn new(
        embeddings: Embeddings,
        clips: &PreparedDataset<'_>,
        network: &Vgg19Config,
        config: &TrainingConfig,
        device: &Device,
    ) -> Self {
        // Ridge regression solves for every row at once; the steps of logistic regression go past any number of them. All fits of a training go the same way.
        let segments_alone = config.ridge.is_some() && embeddings.n_rows() > ridge::MAX_ROWS;
        let ridge = config.ridge.filter(|_| !segments_alone || embeddings.n_segments() <= ridge::MAX_ROWS);
        Self {
            embeddings,
            labels: clips.labels.clone(),
            groups: clips.groups.clone(),
            network: network.clone(),
            hyperparameters: config.head.clone(),
            ridge,
            segments_alone,
            seed: config.seed,
            device: device.clone(),
        }
    }

    /// Fits a head on these clips: by ridge regression where the configuration says so and the rows of all clips, or at least their segments, are
    /// few enough, else by [`fit`].
    ///
    /// # Errors
    /// Those of [`fit`].
    ///
    /// # Panics
    /// When one is not below the number of clips.
    pub fn fit(&self, clips: &[usize]) -> Result<HeadParameters> {
        match self.ridge {
            Some(ridge) => {
                let rows = Rows::chosen(&self.embeddings, clips, &self.labels, self.segments_alone);
                ridge::fit(&rows, &self.weights(clips), &self.network, ridge)
            }
            None => fit(
                &Rows::new(&self.embeddings, clips, &self.labels),
                &self.network,
                &self.hyperparameters,
                self.seed,
                &self.device,
            ),
        }
    }

    /// How much each row of these clips counts. A clip counts 1 / √n where its artist has n of these clips, shared among its rows, and
    /// every class as much as another. The sum is the number of clips.
    fn weights(&self, clips: &[usize]) -> Vec<f64> {
        let mut of_artist = BTreeMap::<&str, usize>::new();
        clips.iter().for_each(|&clip| *of_artist.entry(&self.groups[clip]).or_default() += 1);
        let of_clip = |&clip: &usize| 1.0 / libm::sqrt(of_artist[self.groups[clip].as_str()] as f64);
        let mut of_class = BTreeMap::<usize, f64>::new();
        clips.iter().for_each(|clip| *of_class.entry(self.labels[*clip]).or_default() += of_clip(clip));
        let of_each_class = clips.len() as f64 / of_class.len().max(1) as f64;
        let of_rows = |clip: &usize| {
            let n = self.embeddings.rows_of(*clip, self.segments_alone);
            let weight = of_clip(clip) * of_each_class / of_class[&self.labels[*clip]] / n.max(1) as f64;
            std::iter::repeat_n(weight, n)
        };
        clips.iter().flat_map(of_rows).collect()
    }

    /// What the heads are fitted on.
    pub(super) fn embeddings(&self) -> &Embeddings {
        &self.embeddings
    }

    /// Whether the clips are too many for the ridge regression that the configuration asks for.
    pub(super) fn too_many_for(&self, config: &TrainingConfig) -> bool {
        config.ridge.is_some() && self.ridge.is_none()
    }
}

/// Fits a head on embeddings and their classes: the mean of [`HeadConfig::heads`] for each normalisation, which see nothing of the other
/// normalisations and differ in what their dropout leaves out. The heads are linear, so the mean of their weights gives the mean of their
/// logits.
///
/// Few rows are standardised once and stay in memory. Many go by block by block in every step, past all heads together; the result has the
/// same bits.
///
/// # Errors
/// When the embeddings cannot be read, or the device does not compute in `f32`.
pub fn fit(
    rows: &Rows<'_>,
    config: &Vgg19Config,
    hyperparameters: &HeadConfig,
    seed: u64,
    device: &Device,
) -> Result<HeadParameters> {
    let (dim_per_normalisation, normalisations) = (config.dim_per_normalisation(), config.normalisations.len());
    let (mean, scale) = scaler(rows, dim_per_normalisation)?;
    let blocks = Blocks::new(rows, [&mean, &scale], config, hyperparameters.label_smoothing)?;
    let n_heads = normalisations * hyperparameters.heads;
    let groups: Vec<Range<usize>> = match blocks.ready {
        Some(_) => (0..n_heads).map(|number| number..number + 1).collect(),
        None => std::iter::once(0..n_heads).collect(),
    };
    let together = |group: Range<usize>| fit_together(&blocks, group, hyperparameters, seed, device);
    let heads = groups.into_par_iter().map(together).collect::<Result<Vec<_>>>()?;
    let (weights, biases): (Vec<_>, Vec<_>) = heads.into_iter().flatten().unzip();
    // A head has no weights for the other normalisations: they are 0 there.
    let of_normalisations: Vec<_> = weights.chunks(hyperparameters.heads).map(average).collect();
    let weight = (0..config.n_classes)
        .flat_map(|class| {
            of_normalisations
                .iter()
                .map(move |weights| &weights[class * dim_per_normalisation..(class + 1) * dim_per_normalisation])
        })
        .flatten()
        .map(|weight| weight / normalisations as f32)
        .collect();
    Ok(HeadParameters { mean, scale, weight, bias: average(&biases) })
}

/// The mean of rows of one length, summed in their order, so that the number of threads changes no bit.
fn average(rows: &[Vec<f32>]) -> Vec<f32> {
    let value = |i: usize| rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / rows.len() as f64;
    (0..rows.first().map_or(0, Vec::len)).map(|i| value(i) as f32).collect()
}

/// Standardised rows with their targets.
struct Block {
    /// Of each normalisation, row-major `[n, dim_per_normalisation]`.
    inputs: Vec<Vec<f32>>,
    /// Row-major `[n, n_classes]`.
    targets: Vec<f32>,
}

/// The rows that heads are fitted on, a block at a time.
struct Blocks<'a> {
    rows: &'a Rows<'a>,
    mean: &'a [f32],
    scale: &'a [f32],
    config: &'a Vgg19Config,
    label_smoothing: f64,
    /// All rows as one block, where they are few.
    ready: Option<Block>,
}

impl<'a> Blocks<'a> {
    fn new(
        rows: &'a Rows<'a>,
        [mean, scale]: [&'a [f32]; 2],
        config: &'a Vgg19Config,
        label_smoothing: f64,
    ) -> Result<Self> {
        let mut blocks = Self { rows, mean, scale, config, label_smoothing, ready: None };
        if rows.are_few() {
            let mut all = Block { inputs: vec![Vec::new(); config.normalisations.len()], targets: Vec::new() };
            for number in 0..rows.n_blocks() {
                let Block { inputs, targets } = blocks.block(number)?;
                all.inputs.iter_mut().zip(inputs).for_each(|(all, inputs)| all.extend(inputs));
                all.targets.extend(targets);
            }
            blocks.ready = Some(all);
        }
        Ok(blocks)
    }

    fn block(&self, number: usize) -> Result<Block> {
        let RawBlock { values, classes } = self.rows.block(number)?;
        let (dim, dim_per_normalisation) = (self.rows.dim(), self.config.dim_per_normalisation());
        let of_normalisation = |number: usize| {
            let dims = number * dim_per_normalisation..(number + 1) * dim_per_normalisation;
            let (mean, scale) = (&self.mean[dims.clone()], &self.scale[dims.clone()]);
            let mut input = Vec::with_capacity(classes.len() * dim_per_normalisation);
            for row in values.chunks_exact(dim) {
                let scaled = row[dims.clone()].iter().zip(mean).zip(scale);
                input.extend(scaled.map(|((value, mean), scale)| (value - mean) * scale));
            }
            input
        };
        let inputs = (0..self.config.normalisations.len()).into_par_iter().map(of_normalisation).collect();
        Ok(Block { inputs, targets: targets(classes, self.config.n_classes, self.label_smoothing) })
    }

    /// Gives every block to `work`, in order; the next one is read meanwhile.
    fn each(&self, mut work: impl FnMut(&Block) + Send) -> Result<()> {
        if let Some(all) = &self.ready {
            work(all);
            return Ok(());
        }
        let read = |number: usize| (number < self.rows.n_blocks()).then(|| self.block(number)).transpose();
        let mut next = read(0)?;
        for number in 1.. {
            let Some(block) = next.take() else { break };
            let ((), read) = rayon::join(|| work(&block), || read(number));
            next = read?;
        }
        Ok(())
    }
}

/// A head that is being fitted.
struct FittingHead {
    /// Which of the normalisations it sees.
    normalisation: usize,
    rng: Rng,
    /// `[dim_per_normalisation, n_classes]`.
    weight: Tensor<2>,
    /// `[1, n_classes]`.
    bias: Tensor<2>,
    weight_state: Option<AdamWState<2>>,
    bias_state: Option<AdamWState<2>>,
}

impl FittingHead {
    fn gradient(&self, regression: &Regression) -> Result<GradientSum> {
        Ok(regression.gradient_at(&values(self.weight.clone())?, &values(self.bias.clone())?))
    }

    fn step(&mut self, [adamw, bias_adamw]: [&AdamW; 2], rate: f64, gradient: Gradient, device: &Device) {
        let [dim, n_classes] = self.weight.dims();
        let tensor = |values, rows| Tensor::<2>::from_data(TensorData::new(values, [rows, n_classes]), device);
        // Moved and not cloned: AdamW changes in place what has no other owner.
        let [weight, bias] =
            [&mut self.weight, &mut self.bias].map(|tensor| std::mem::replace(tensor, Tensor::zeros([1, 1], device)));
        (self.weight, self.weight_state) =
            adamw.step(rate, weight, tensor(gradient.weight, dim), self.weight_state.take());
        (self.bias, self.bias_state) = bias_adamw.step(rate, bias, tensor(gradient.bias, 1), self.bias_state.take());
    }
}

/// Weight `[n_classes, dim]` and bias of each of some heads, past which the rows go together.
fn fit_together(
    blocks: &Blocks<'_>,
    group: Range<usize>,
    hyperparameters: &HeadConfig,
    seed: u64,
    device: &Device,
) -> Result<Vec<(Vec<f32>, Vec<f32>)>> {
    let (dim, n_classes) = (blocks.config.dim_per_normalisation(), blocks.config.n_classes);
    let regression = Regression::new(blocks.rows.len(), [dim, n_classes], hyperparameters.dropout);
    let (adamw, bias_adamw) = (AdamW::new(hyperparameters.weight_decay as f32), AdamW::new(0.0));
    let begin = |number: usize| FittingHead {
        normalisation: number / hyperparameters.heads,
        rng: Rng::stream(seed, 0x4EAD + number as u64),
        weight: Tensor::zeros([dim, n_classes], device),
        bias: Tensor::zeros([1, n_classes], device),
        weight_state: None,
        bias_state: None,
    };
    let mut heads: Vec<FittingHead> = group.map(begin).collect();
    for step in 0..hyperparameters.steps {
        let rate = hyperparameters.learning_rate * schedule(step, hyperparameters.steps, 0.1);
        let mut gradients = heads.iter().map(|head| head.gradient(&regression)).collect::<Result<Vec<_>>>()?;
        blocks.each(|block| {
            heads.par_iter_mut().zip(&mut gradients).for_each(|(head, gradient)| {
                gradient.add(&block.inputs[head.normalisation], &block.targets, || head.rng.next_u64());
            });
        })?;
        heads.par_iter_mut().zip(gradients).for_each(|(head, gradient)| {
            head.step([&adamw, &bias_adamw], rate, gradient.finish(), device);
        });
    }
    heads.into_iter().map(|head| Ok((values(head.weight.transpose())?, values(head.bias)?))).collect()
}

/// Logits of an embedding, as [`Head`](models::vgg19::Head) gives them.
#[must_use]
pub fn logits(head: &HeadParameters, embedding: &[f32]) -> Vec<f32> {
    let z: Vec<f32> = embedding.iter().zip(&head.mean).zip(&head.scale).map(|((x, m), s)| (x - m) * s).collect();
    let row = |(weights, bias): (&[f32], &f32)| {
        bias + weights.iter().zip(&z).map(|(w, z)| f64::from(*w) * f64::from(*z)).sum::<f64>() as f32
    };
    head.weight.chunks(z.len()).zip(&head.bias).map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use models::vgg19::{Normalisation, Statistic};

    use super::{super::embeddings::MemoryLimits, *};

    /// A head of 3 classes on 12 embeddings of the averages of block 1.
    fn fitted(normalisations: &[Normalisation], rows: &[Vec<f32>], heads: usize) -> HeadParameters {
        fitted_within(normalisations, rows, heads, None, MemoryLimits::default())
    }

    /// The same on embeddings of which a file in `folder` holds those that are over the limits.
    fn fitted_within(
        normalisations: &[Normalisation],
        rows: &[Vec<f32>],
        heads: usize,
        folder: Option<&Path>,
        limits: MemoryLimits,
    ) -> HeadParameters {
        let device = models::vgg19::Backend::Flex.open().unwrap();
        let mut embeddings = Embeddings::limited(rows[0].len(), folder, limits);
        rows.iter().for_each(|row| embeddings.push(std::slice::from_ref(row), &[]).unwrap());
        let (clips, labels): (Vec<_>, Vec<_>) = (0..rows.len()).map(|i| (i, i % 3)).unzip();
        let rows = Rows::new(&embeddings, &clips, &labels);
        let hyperparameters =
            HeadConfig { steps: 20, learning_rate: 0.5, weight_decay: 0.01, dropout: 0.5, label_smoothing: 0.0, heads };
        let (normalisations, statistics) = (normalisations.to_vec(), vec![Statistic::Average]);
        let config =
            Vgg19Config { normalisations, pooled_blocks: vec![1], statistics, log_covariance: None, n_classes: 3 };
        fit(&rows, &config, &hyperparameters, 1, &device).unwrap()
    }

    fn noise(dim: usize) -> Vec<Vec<f32>> {
        noise_of(12, dim)
    }

    fn noise_of(n: usize, dim: usize) -> Vec<Vec<f32>> {
        let mut rng = Rng::new(3);
        (0..n).map(|_| (0..dim).map(|_| rng.normal() as f32).collect()).collect()
    }

    #[test]
    fn a_head_of_two_normalisations_is_the_mean_of_one_of_each() {
        let rows = noise(128);
        let half =
            |number: usize| rows.iter().map(|row| row[64 * number..64 * (number + 1)].to_vec()).collect::<Vec<_>>();
        let (both, first) =
            (fitted(&[Normalisation::None, Normalisation::Cmn], &rows, 2), fitted(&[Normalisation::None], &half(0), 2));
        for class in 0..3 {
            let (of_both, of_first) = (&both.weight[128 * class..128 * (class + 1)], &first.weight[64 * class..]);
            assert!(of_both[..64].iter().zip(of_first).all(|(both, first)| (2.0 * both - first).abs() < 1e-6));
            assert!(of_both[64..].iter().any(|weight| *weight != 0.0));
        }
        assert_eq!(both.scale[..64], first.scale);
        assert_eq!(both.mean[64..], fitted(&[Normalisation::Cmn], &half(1), 1).mean);
    }

    #[test]
    fn rows_that_are_not_held_give_the_bits_of_those_that_are() {
        let (rows, normalisations) = (noise_of(45, 128), [Normalisation::None, Normalisation::Cmn]);
        let held = fitted(&normalisations, &rows, 2);
        let folder = tempfile::tempdir().unwrap();
        // Blocks of 8 rows, and of 24 with a last one of 21.
        for rows_of_block in [8, 24] {
            let limits = MemoryLimits { held: 1000, block: rows_of_block * 128 * size_of::<f32>() };
            assert_eq!(fitted_within(&normalisations, &rows, 2, Some(folder.path()), limits), held);
        }
    }

    #[test]
    fn several_heads_are_the_mean_of_each() {
        let rows = noise(64);
        let fit = |heads| fitted(&[Normalisation::None], &rows, heads);
        let (one, two, again) = (fit(1), fit(2), fit(2));
        assert_eq!(two, again);
        assert_ne!(one.weight, two.weight);
        let second = |i: usize| 2.0 * two.weight[i] - one.weight[i];
        let embedding = &rows[5];
        let other = HeadParameters {
            weight: (0..3 * 64).map(second).collect(),
            bias: (0..3).map(|i| 2.0 * two.bias[i] - one.bias[i]).collect(),
            ..one.clone()
        };
        for ((a, b), mean) in logits(&one, embedding).iter().zip(logits(&other, embedding)).zip(logits(&two, embedding))
        {
            assert!(((a + b) / 2.0 - mean).abs() < 1e-5);
        }
    }
}
