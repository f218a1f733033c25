//! Fitting the head on frozen embeddings.

use anyhow::Result;
use burn::{
    optim::Optimizer as _,
    tensor::{Device, Tensor, TensorData, activation::log_softmax},
};
use data::rng::Rng;
use models::vgg19::{HeadParameters, Vgg19Config};
use optimiser::{AdamW, Regression};
use rayon::prelude::*;

use super::{config::HeadConfig, embedder::values};

/// Mean of each dimension, and 1 / deviation, so scaled that what a typical embedding holds of each normalisation has a length of 1.
fn scaler(rows: &[Vec<f32>], dim_per_normalisation: usize) -> (Vec<f32>, Vec<f32>) {
    let dim = rows.first().map_or(0, Vec::len);
    let n = rows.len().max(1) as f64;
    (0..dim)
        .map(|i| {
            let mean = rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / n;
            let variance = rows.iter().map(|row| (f64::from(row[i]) - mean).powi(2)).sum::<f64>() / n;
            let deviation = libm::sqrt(variance);
            // A channel that is always the same tells nothing.
            let scale =
                if deviation > 1e-6 { 1.0 / (deviation * libm::sqrt(dim_per_normalisation as f64)) } else { 0.0 };
            (mean as f32, scale as f32)
        })
        .unzip()
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

/// What a head was fitted on: to fit others, on some of the clips.
#[derive(Debug)]
pub struct Heads {
    /// `[clip][segment or window][dimension]`.
    embeddings: Vec<Vec<Vec<f32>>>,
    /// Class of each clip.
    labels: Vec<usize>,
    config: Vgg19Config,
    hyperparameters: HeadConfig,
    seed: u64,
    device: Device,
}

impl Heads {
    pub(super) fn new(
        embeddings: Vec<Vec<Vec<f32>>>,
        labels: Vec<usize>,
        config: &Vgg19Config,
        hyperparameters: &HeadConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        Self {
            embeddings,
            labels,
            config: config.clone(),
            hyperparameters: hyperparameters.clone(),
            seed,
            device: device.clone(),
        }
    }

    /// Fits a head on these clips, as [`fit`] does.
    ///
    /// # Errors
    /// Those of [`fit`].
    ///
    /// # Panics
    /// When one is not below the number of clips.
    pub fn fit(&self, clips: &[usize]) -> Result<HeadParameters> {
        let rows: Vec<_> = clips.iter().flat_map(|&clip| self.embeddings[clip].iter().cloned()).collect();
        let labels: Vec<_> =
            clips.iter().flat_map(|&clip| vec![self.labels[clip]; self.embeddings[clip].len()]).collect();
        fit(&rows, &labels, &self.config, &self.hyperparameters, self.seed, &self.device)
    }
}

/// Fits a head on embeddings and their classes: the mean of [`HeadConfig::heads`] for each normalisation, which see nothing of the other
/// normalisations and differ in what their dropout leaves out. The heads are linear, so the mean of their weights gives the mean of their
/// logits.
///
/// # Errors
/// When the device does not compute in `f32`.
pub fn fit(
    rows: &[Vec<f32>],
    labels: &[usize],
    config: &Vgg19Config,
    hyperparameters: &HeadConfig,
    seed: u64,
    device: &Device,
) -> Result<HeadParameters> {
    let (dim_per_normalisation, normalisations) = (config.dim_per_normalisation(), config.normalisations.len());
    let (mean, scale) = scaler(rows, dim_per_normalisation);
    let of_normalisation = |number: usize| -> Vec<f32> {
        let dims = number * dim_per_normalisation..(number + 1) * dim_per_normalisation;
        let row = |row: &Vec<f32>| dims.clone().map(|i| (row[i] - mean[i]) * scale[i]).collect::<Vec<_>>();
        rows.iter().flat_map(row).collect()
    };
    let inputs: Vec<_> = (0..normalisations).map(of_normalisation).collect();
    let t = targets(labels, config.n_classes, hyperparameters.label_smoothing);
    let one = |number: usize| {
        let shape = [dim_per_normalisation, config.n_classes];
        let regression = Regression::new(&inputs[number / hyperparameters.heads], &t, shape, hyperparameters.dropout);
        fit_one(&regression, hyperparameters, Rng::stream(seed, 0x4EAD + number as u64), device)
    };
    let heads = (0..normalisations * hyperparameters.heads).into_par_iter().map(one).collect::<Result<Vec<_>>>()?;
    let (weights, biases): (Vec<_>, Vec<_>) = heads.into_iter().unzip();
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

/// Weight `[n_classes, dim]` and bias of one head.
fn fit_one(
    regression: &Regression<'_>,
    hyperparameters: &HeadConfig,
    mut rng: Rng,
    device: &Device,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let [dim, n_classes] = regression.shape();
    let (adamw, bias_adamw) = (AdamW::new(hyperparameters.weight_decay as f32), AdamW::new(0.0));
    let tensor = |values, rows| Tensor::<2>::from_data(TensorData::new(values, [rows, n_classes]), device);
    let mut weight = Tensor::<2>::zeros([dim, n_classes], device);
    let mut bias = Tensor::<2>::zeros([1, n_classes], device);
    let (mut weight_state, mut bias_state) = (None, None);
    for step in 0..hyperparameters.steps {
        let rate = hyperparameters.learning_rate * schedule(step, hyperparameters.steps, 0.1);
        let gradient = regression.gradient(&values(weight.clone())?, &values(bias.clone())?, || rng.next_u64());
        (weight, weight_state) = adamw.step(rate, weight, tensor(gradient.weight, dim), weight_state);
        (bias, bias_state) = bias_adamw.step(rate, bias, tensor(gradient.bias, 1), bias_state);
    }
    Ok((values(weight.transpose())?, values(bias)?))
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
    use models::vgg19::{Normalisation, Statistic};

    use super::*;

    /// A head of 3 classes on 12 embeddings of the averages of block 1.
    fn fitted(normalisations: &[Normalisation], rows: &[Vec<f32>], heads: usize) -> HeadParameters {
        let device = models::vgg19::Backend::Flex.open().unwrap();
        let labels: Vec<_> = (0..12).map(|i| i % 3).collect();
        let hyperparameters =
            HeadConfig { steps: 20, learning_rate: 0.5, weight_decay: 0.01, dropout: 0.5, label_smoothing: 0.0, heads };
        let (normalisations, statistics) = (normalisations.to_vec(), vec![Statistic::Average]);
        let config = Vgg19Config { normalisations, pooled_blocks: vec![1], statistics, n_classes: 3 };
        fit(rows, &labels, &config, &hyperparameters, 1, &device).unwrap()
    }

    fn noise(dim: usize) -> Vec<Vec<f32>> {
        let mut rng = Rng::new(3);
        (0..12).map(|_| (0..dim).map(|_| rng.normal() as f32).collect()).collect()
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
