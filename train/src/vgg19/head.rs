//! Fitting the head on frozen embeddings.

use anyhow::Result;
use burn::{
    optim::{AdamWConfig, Optimizer as _},
    tensor::{Device, Tensor, TensorData, activation::log_softmax},
};
use data::rng::Rng;
use models::vgg19::HeadParts;

use super::{recipe::HeadRecipe, sounds::values};

/// Epsilon of AdamW, as everywhere else in the field.
pub(super) const EPSILON: f32 = 1e-8;

/// Mean of each dimension, and 1 / deviation, so scaled that a typical embedding has a length of 1.
fn scaler(rows: &[Vec<f32>]) -> (Vec<f32>, Vec<f32>) {
    let dim = rows.first().map_or(0, Vec::len);
    let n = rows.len().max(1) as f64;
    (0..dim)
        .map(|i| {
            let mean = rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / n;
            let variance = rows.iter().map(|row| (f64::from(row[i]) - mean).powi(2)).sum::<f64>() / n;
            let deviation = libm::sqrt(variance);
            // A channel that never speaks says nothing.
            let scale = if deviation > 1e-6 { 1.0 / (deviation * libm::sqrt(dim as f64)) } else { 0.0 };
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

/// 0, or `1 / (1 − dropout)`, for each of `n` values.
pub(super) fn dropout_mask(n: usize, dropout: f64, rng: &mut Rng) -> Vec<f32> {
    let kept = (1.0 / (1.0 - dropout)) as f32;
    (0..n).map(|_| if dropout > 0.0 && rng.chance(dropout) { 0.0 } else { kept }).collect()
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

/// Fits a head on embeddings and their classes.
///
/// # Errors
/// When the device does not compute in `f32`.
pub fn fit(
    rows: &[Vec<f32>],
    labels: &[usize],
    n_classes: usize,
    recipe: &HeadRecipe,
    seed: u64,
    device: &Device,
) -> Result<HeadParts> {
    let (mean, scale) = scaler(rows);
    let (n, dim) = (rows.len(), mean.len());
    let standardised: Vec<f32> =
        rows.iter().flat_map(|row| row.iter().zip(&mean).zip(&scale).map(|((x, m), s)| (x - m) * s)).collect();
    let constant = |values: Vec<f32>, shape: [usize; 2]| {
        Tensor::<2>::from_inner(Tensor::from_data(TensorData::new(values, shape), device))
    };
    let x = constant(standardised, [n, dim]);
    let t = constant(targets(labels, n_classes, recipe.label_smoothing), [n, n_classes]);
    let adamw = AdamWConfig::new().with_epsilon(EPSILON).with_weight_decay(recipe.weight_decay as f32).build();
    let bias_adamw = AdamWConfig::new().with_epsilon(EPSILON).with_weight_decay(0.0).build();
    let mut weight = Tensor::<2>::zeros([dim, n_classes], device);
    let mut bias = Tensor::<2>::zeros([1, n_classes], device);
    let (mut weight_state, mut bias_state) = (None, None);
    let mut rng = Rng::stream(seed, 0x4EAD);
    for step in 0..recipe.steps {
        let rate = recipe.learning_rate * schedule(step, recipe.steps, 0.1);
        let w = Tensor::from_inner(weight.clone()).require_grad();
        let b = Tensor::from_inner(bias.clone()).require_grad();
        let seen = if recipe.dropout > 0.0 {
            x.clone() * constant(dropout_mask(n * dim, recipe.dropout, &mut rng), [n, dim])
        } else {
            x.clone()
        };
        let gradients = cross_entropy(seen.matmul(w.clone()) + b.clone(), t.clone()).backward();
        if let Some(gradient) = w.grad(&gradients) {
            (weight, weight_state) = adamw.step(rate, weight, gradient, weight_state);
        }
        if let Some(gradient) = b.grad(&gradients) {
            (bias, bias_state) = bias_adamw.step(rate, bias, gradient, bias_state);
        }
    }
    Ok(HeadParts { mean, scale, weight: values(weight.transpose())?, bias: values(bias)? })
}

/// Logits of an embedding, as [`Head`](models::vgg19::Head) gives them.
#[must_use]
pub fn logits(head: &HeadParts, embedding: &[f32]) -> Vec<f32> {
    let z: Vec<f32> = embedding.iter().zip(&head.mean).zip(&head.scale).map(|((x, m), s)| (x - m) * s).collect();
    let row = |(weights, bias): (&[f32], &f32)| {
        bias + weights.iter().zip(&z).map(|(w, z)| f64::from(*w) * f64::from(*z)).sum::<f64>() as f32
    };
    head.weight.chunks(z.len()).zip(&head.bias).map(row).collect()
}
