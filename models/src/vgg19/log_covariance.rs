//! [`LogCovariance`]: which channels of a block sound together, as the logarithm of their covariance.
//!
//! The covariance of the channels of a block over all bands and frames says more of a texture than their means and deviations (Lin,
//! RoyChowdhury and Maji, "Bilinear CNN models for fine-grained visual recognition", 2015). Covariances form a curved space; the matrix
//! logarithm makes it flat, so that a linear head can take it (Arsigny et al., "Log-Euclidean metrics for fast and simple calculus on
//! diffusion tensors", 2006; for pooling Ionescu et al. 2015). A matrix of all channels would have more numbers than a head can be fitted on, so
//! channels are first projected on [`Axes`]: leading principal axes of each block and normalisation, scaled to unit variance, which are a part of the network.

use std::{f64::consts::SQRT_2, ops::Range};

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use simd::{Simd, WithSimd};

use super::{
    network::{Vgg19Config, channels, columns_of},
    parameters::Vgg19Parameters,
    preprocessing::Preprocessor,
};
use crate::{Error, Result, eigen::Eigen};

/// Most axes of a block.
const MAX_AXES: usize = 64;

/// The log-covariances that the head takes beside the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogCovariance {
    /// Most axes of a block, 2 to 64. A block has at most half as many as channels.
    pub axes: usize,
}

impl LogCovariance {
    /// Added to every variance along an axis: a direction that is silent in a segment then has a finite logarithm.
    pub const FLOOR: f64 = 0.01;

    /// Refuses a number of axes that no network has.
    ///
    /// # Errors
    /// [`Error::Network`].
    pub(super) fn check(self) -> Result<()> {
        if (2..=MAX_AXES).contains(&self.axes) {
            return Ok(());
        }
        Err(Error::Network { detail: format!("`log_covariance` has {} axes, not 2 to {MAX_AXES}", self.axes) })
    }

    /// Axes of a block, 1 to 5.
    #[must_use]
    pub fn axes_of(self, block: usize) -> usize {
        self.axes.min(channels(block) / 2)
    }

    /// Numbers of the log-covariance of a block: the upper triangle of a matrix whose side is the number of axes.
    #[must_use]
    pub fn dim_of(self, block: usize) -> usize {
        triangle(self.axes_of(block))
    }
}

/// Elements on and above the diagonal of a matrix of this side.
pub(super) fn triangle(side: usize) -> usize {
    side * (side + 1) / 2
}

/// The axes of the pooled blocks, on a device.
#[derive(Clone, Debug)]
pub struct Axes {
    /// The block, 1 to 5, and `[normalisations, channels, axes]`.
    blocks: Vec<(usize, Tensor<3>)>,
}

impl Axes {
    /// Of a network with this configuration; `values` are those of [`Vgg19Parameters::axes`]. None of a network
    /// whose head takes no log-covariance.
    ///
    /// # Panics
    /// When a block has another number of values than the configuration says.
    #[must_use]
    pub fn new(config: &Vgg19Config, values: &[Vec<f32>], device: &Device) -> Option<Self> {
        let log_covariance = config.log_covariance?;
        let of_block = |(&block, values): (&usize, &Vec<f32>)| {
            let shape = [config.normalisations.len(), channels(block), log_covariance.axes_of(block)];
            (block, Tensor::from_data(TensorData::new(values.clone(), shape), device))
        };
        Some(Self { blocks: config.pooled_blocks.iter().zip(values).map(of_block).collect() })
    }

    /// The projections on the axes of every pooled block.
    pub(super) fn project(&self, activations: &[Tensor<4>]) -> Vec<Projected> {
        self.blocks.iter().map(|(block, axes)| project(*block, axes, &activations[block - 1])).collect()
    }

    /// Those of the last pooled block alone, of its activations.
    pub(super) fn project_last(&self, activations: &Tensor<4>) -> Option<Projected> {
        self.blocks.last().map(|(block, axes)| project(*block, axes, activations))
    }
}

/// The leading principal axes of what the network of `parameters` gives for standardised log-mels `[n_mels, frames]` of one size, in the form
/// of [`Vgg19Parameters::axes`]: by the mean of the covariances of the log-mels, of each pooled block and normalisation. The axes of `parameters` are not looked at;
/// none of a network whose head takes no log-covariance.
///
/// # Errors
/// Those of [`Vgg19Parameters::network`]; [`Error::Network`] for activations that are not finite.
pub fn principal_axes(
    parameters: &Vgg19Parameters,
    preprocessor: &Preprocessor,
    log_mels: impl IntoIterator<Item = Array2<f32>>,
    device: &Device,
) -> Result<Vec<Vec<f32>>> {
    let config = &parameters.config;
    let Some(log_covariance) = config.log_covariance else { return Ok(Vec::new()) };
    let network = parameters.network(device)?;
    let mut sums: Vec<Vec<f64>> = config
        .pooled_blocks
        .iter()
        .map(|&block| vec![0.0; config.normalisations.len() * channels(block).pow(2)])
        .collect();
    let mut n_log_mels = 0.0;
    for log_mel in log_mels {
        n_log_mels += 1.0;
        let activations = network.activations(preprocessor.planes(&[log_mel], device));
        for (block, sums) in config.pooled_blocks.iter().zip(&mut sums) {
            let x = activations[block - 1].clone();
            let [n, channels, rows, columns] = x.dims();
            let x = x.permute([0, 2, 3, 1]).reshape([n, rows * columns, channels]);
            let centred = x.clone() - x.mean_dim(1);
            let covariance = centred.clone().swap_dims(1, 2).matmul(centred).div_scalar((rows * columns) as f32);
            sums.iter_mut().zip(covariance.into_data().iter::<f64>()).for_each(|(sum, value)| *sum += value);
        }
    }
    sums.iter_mut().flatten().for_each(|sum| *sum /= n_log_mels);
    if sums.iter().flatten().any(|mean| !mean.is_finite()) {
        return Err(Error::Network {
            detail: "its activations are not finite; train it again, or take other weights".into(),
        });
    }
    let jobs: Vec<(usize, &[f64])> = config
        .pooled_blocks
        .iter()
        .zip(&sums)
        .flat_map(|(&block, sums)| sums.chunks_exact(channels(block).pow(2)).map(move |sums| (block, sums)))
        .collect();
    let leading = |(block, sums): (usize, &[f64])| leading_axes(sums, channels(block), log_covariance.axes_of(block));
    let axes: Vec<Vec<f32>> = jobs.into_par_iter().map(leading).collect();
    Ok(axes.chunks(config.normalisations.len()).map(<[Vec<f32>]>::concat).collect())
}

/// Eigenvectors of the largest eigenvalues of a symmetric matrix `[n, n]`, the first before the second, each divided by the root of its eigenvalue; row-major `[n, n_axes]`.
fn leading_axes(matrix: &[f64], n: usize, n_axes: usize) -> Vec<f32> {
    // Products of 32-bit floats may differ by their order.
    let symmetric = (0..n * n).map(|at| (matrix[at] + matrix[at % n * n + at / n]) / 2.0).collect();
    let eigen = Eigen::of(symmetric, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| eigen.values[b].total_cmp(&eigen.values[a]));
    order.truncate(n_axes);
    // Filters that never answer have no direction: rounding alone tells their axes apart.
    let least = order.first().map_or(0.0, |&first| eigen.values[first]) * 1e-6 + f64::MIN_POSITIVE;
    let element = |channel: usize, axis: usize| {
        (eigen.vectors[axis * n + channel] / libm::sqrt(eigen.values[axis].max(least))) as f32
    };
    (0..n).flat_map(|channel| order.iter().map(move |&axis| (channel, axis))).map(|(c, a)| element(c, a)).collect()
}

/// What a block gives at every position, along its axes.
#[derive(Debug)]
pub(super) struct Projected {
    /// 1 to 5.
    block: usize,
    /// Inputs, rows, columns and axes.
    dims: [usize; 4],
    /// Row-major, in the order of `dims`.
    values: Vec<f32>,
}

/// `axes` of each normalisation in turn.
fn project(block: usize, axes: &Tensor<3>, activations: &Tensor<4>) -> Projected {
    let [n, channels, rows, columns] = activations.dims();
    let [normalisations, _, n_axes] = axes.dims();
    // Channels last, as flex keeps them.
    let positions = activations.clone().permute([0, 2, 3, 1]).reshape([n, rows * columns, channels]);
    let axes = if n == normalisations { axes.clone() } else { axes.clone().repeat_dim(0, n / normalisations) };
    let values = positions.matmul(axes).into_data().iter::<f32>().collect();
    Projected { block, dims: [n, rows, columns, n_axes], values }
}

impl Projected {
    /// Of input `index`: row-major `[rows · columns, axes]`.
    fn input(&self, index: usize) -> &[f32] {
        let [_, rows, columns, axes] = self.dims;
        &self.values[index * rows * columns * axes..][..rows * columns * axes]
    }
}

/// Means and covariances of every column of time of the pooled blocks along their axes, from which those of any part follow: the covariance of a
/// part is the mean of those of its columns and the covariance of their means.
#[derive(Debug)]
pub(super) struct CovarianceColumns {
    blocks: Vec<BlockColumns>,
}

#[derive(Debug)]
struct BlockColumns {
    block: usize,
    inputs: usize,
    columns: usize,
    axes: usize,
    /// `[inputs, columns, axes]`.
    means: Vec<f32>,
    /// Upper triangles, `[inputs, columns, axes · (axes + 1) / 2]`.
    covariances: Vec<f32>,
}

impl CovarianceColumns {
    pub(super) fn new(projected: &[Projected]) -> Self {
        Self { blocks: projected.iter().map(BlockColumns::new).collect() }
    }

    /// The log-covariances of the part `frames` of the input, or of all of it: for each input those of the pooled blocks in turn, each the upper triangle row by
    /// row with √2 times what is off the diagonal, so that Euclidean distances are those of the matrices.
    ///
    /// # Shapes
    /// - result: row-major `[inputs, Σ dim_of(block)]`
    pub(super) fn logarithms(&self, frames: Option<&Range<usize>>) -> Vec<f32> {
        let inputs = self.blocks.first().map_or(0, |block| block.inputs);
        let parts: Vec<(usize, &BlockColumns)> =
            (0..inputs).flat_map(|input| self.blocks.iter().map(move |block| (input, block))).collect();
        let logarithm = |(input, block): (usize, &BlockColumns)| -> Vec<f32> {
            let log = Eigen::of(block.covariance(input, frames), block.axes).map(log_of_variance);
            let scaled = |(i, j)| if i == j { log[i * block.axes + j] } else { SQRT_2 * log[i * block.axes + j] };
            upper_triangle(block.axes).map(|at| scaled(at) as f32).collect()
        };
        parts.into_par_iter().map(logarithm).collect::<Vec<_>>().concat()
    }
}

/// The places of the upper triangle of a matrix, row by row.
fn upper_triangle(side: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..side).flat_map(move |i| (i..side).map(move |j| (i, j)))
}

/// The logarithm of a variance and the floor; rounding may have left the variance a little below 0.
fn log_of_variance(variance: f64) -> f64 {
    libm::log(variance.max(0.0) + LogCovariance::FLOOR)
}

impl BlockColumns {
    fn new(projected: &Projected) -> Self {
        let [inputs, rows, columns, axes] = projected.dims;
        let mut means = vec![0.0; inputs * columns * axes];
        let mut covariances = vec![0.0; inputs * columns * triangle(axes)];
        let of_column = |(at, (mean, covariance)): (usize, (&mut [f32], &mut [f32]))| {
            let values = &projected.input(at / columns)[at % columns * axes..];
            simd::dispatch(Column { values, rows, stride: columns * axes, mean, covariance });
        };
        means
            .par_chunks_mut(axes)
            .zip(covariances.par_chunks_mut(triangle(axes)))
            .enumerate()
            .with_min_len(8)
            .for_each(of_column);
        Self { block: projected.block, inputs, columns, axes, means, covariances }
    }

    /// Of a part of one input; row-major `[axes, axes]`.
    fn covariance(&self, input: usize, frames: Option<&Range<usize>>) -> Vec<f64> {
        let axes = self.axes;
        let part = columns_of(self.block, frames, self.columns);
        let n = part.len() as f64;
        let columns = input * self.columns + part.start..input * self.columns + part.end;
        let means: Vec<f64> =
            self.means[columns.start * axes..columns.end * axes].iter().map(|&mean| f64::from(mean)).collect();
        let mut mean = vec![0.0; axes];
        for column in means.chunks_exact(axes) {
            mean.iter_mut().zip(column).for_each(|(sum, value)| *sum += value);
        }
        mean.iter_mut().for_each(|sum| *sum /= n);
        let mut sums = vec![0.0; triangle(axes)];
        for column in
            self.covariances[columns.start * triangle(axes)..columns.end * triangle(axes)].chunks_exact(triangle(axes))
        {
            sums.iter_mut().zip(column).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        for column in means.chunks_exact(axes) {
            let centred: Vec<f64> = column.iter().zip(&mean).map(|(value, mean)| value - mean).collect();
            let mut row = sums.as_mut_slice();
            for (i, value) in centred.iter().enumerate() {
                let (this, below) = row.split_at_mut(axes - i);
                this.iter_mut().zip(&centred[i..]).for_each(|(sum, other)| *sum += value * other);
                row = below;
            }
        }
        let mut matrix = vec![0.0; axes * axes];
        for ((i, j), sum) in upper_triangle(axes).zip(sums) {
            matrix[i * axes + j] = sum / n;
            matrix[j * axes + i] = sum / n;
        }
        matrix
    }
}

/// The mean and the covariance of one column of time.
struct Column<'a> {
    /// The first row begins with them.
    values: &'a [f32],
    rows: usize,
    /// From one row to the next.
    stride: usize,
    /// `[axes]`, of zeros.
    mean: &'a mut [f32],
    /// Upper triangle, of zeros.
    covariance: &'a mut [f32],
}

impl WithSimd for Column<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { values, rows, stride, mean, covariance } = self;
        let axes = mean.len();
        let share = 1.0 / rows as f32;
        for row in 0..rows {
            for (sum, &value) in mean.iter_mut().zip(&values[row * stride..row * stride + axes]) {
                *sum += value;
            }
        }
        for sum in mean.iter_mut() {
            *sum *= share;
        }
        let mut centred = [0.0; MAX_AXES];
        let centred = &mut centred[..axes];
        for row in 0..rows {
            let values = &values[row * stride..row * stride + axes];
            for ((centred, &value), &mean) in centred.iter_mut().zip(values).zip(mean.iter()) {
                *centred = value - mean;
            }
            let mut first = 0;
            for (i, &value) in centred.iter().enumerate() {
                for (sum, &other) in covariance[first..first + axes - i].iter_mut().zip(&centred[i..]) {
                    *sum += value * other;
                }
                first += axes - i;
            }
        }
        for sum in covariance.iter_mut() {
            *sum *= share;
        }
    }
}

/// What positions of the last pooled block add to linear functions of its log-covariance: the gradient at each of them times what is there.
///
/// With the covariance `C = U·Λ·Uᵀ` of the projections `z`, and the symmetric matrix `W` of the weights of a class, the gradient of `⟨W, log(C + floor)⟩` by
/// `C` is `H = U·(Γ ∘ (Uᵀ·W·U))·Uᵀ` with the divided differences `Γ[a, b] = (log λ_a − log λ_b) / (λ_a − λ_b)` (Daleckii and Krein 1965), and by `z` at one of
/// `Z` positions `2/Z · H·(z − z̄)`. As `z` is linear in the activations, the sum over channels of gradient times activation is `2/Z · zᵀ·H·(z − z̄)`.
///
/// # Shapes
/// - `weights`: of each input and class, as [`CovarianceColumns::logarithms`] orders them, `[inputs][n_classes][dim_of(block)]`
/// - result: summed over inputs, row-major `[rows · columns, n_classes]`
pub(super) fn contributions(projected: &Projected, weights: &[Vec<Vec<f64>>]) -> Vec<f64> {
    let [inputs, rows, columns, axes] = projected.dims;
    let (positions, n_classes) = (rows * columns, weights.first().map_or(0, Vec::len));
    let blocks = BlockColumns::new(projected);
    let mut sums = vec![0.0; positions * n_classes];
    for (input, weights) in (0..inputs).zip(weights) {
        let eigen = Eigen::of(blocks.covariance(input, None), axes);
        let gradients: Vec<Vec<f64>> = weights.par_iter().map(|weights| gradient(&eigen, weights, axes)).collect();
        let values = projected.input(input);
        let mut mean = vec![0.0; axes];
        for position in values.chunks_exact(axes) {
            mean.iter_mut().zip(position).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean.iter_mut().for_each(|sum| *sum /= positions as f64);
        sums.par_chunks_mut(n_classes).zip(values.par_chunks_exact(axes)).for_each(|(sums, position)| {
            let z: Vec<f64> = position.iter().map(|&value| f64::from(value)).collect();
            let centred: Vec<f64> = z.iter().zip(&mean).map(|(value, mean)| value - mean).collect();
            for (sum, gradient) in sums.iter_mut().zip(&gradients) {
                let rows = z.iter().zip(gradient.chunks_exact(axes));
                *sum += 2.0 / positions as f64 * rows.map(|(z, row)| z * dot(row, &centred)).sum::<f64>();
            }
        });
    }
    sums
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `H` of [`contributions`], row-major `[axes, axes]`.
fn gradient(eigen: &Eigen, weights: &[f64], axes: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; axes * axes];
    for ((i, j), &weight) in upper_triangle(axes).zip(weights) {
        // The vector has √2 times an element that the matrix has twice.
        let weight = if i == j { weight } else { weight / SQRT_2 };
        matrix[i * axes + j] = weight;
        matrix[j * axes + i] = weight;
    }
    let vectors = &eigen.vectors;
    let values: Vec<f64> = eigen.values.iter().map(|value| value.max(0.0) + LogCovariance::FLOOR).collect();
    let turned = product(vectors, &product(&matrix, &transposed(vectors, axes), axes), axes);
    let inner = (0..axes * axes).map(|at| turned[at] * divided_difference(values[at / axes], values[at % axes]));
    product(&transposed(vectors, axes), &product(&inner.collect::<Vec<_>>(), vectors, axes), axes)
}

/// `(log a − log b) / (a − b)`, of equal numbers `1 / a`; both are over 0.
fn divided_difference(a: f64, b: f64) -> f64 {
    let relative = (a - b) / b;
    if relative == 0.0 { 1.0 / b } else { libm::log1p(relative) / relative / b }
}

/// Of square matrices, row-major.
fn product(a: &[f64], b: &[f64], side: usize) -> Vec<f64> {
    let mut result = vec![0.0; side * side];
    for (row, values) in result.chunks_exact_mut(side).zip(a.chunks_exact(side)) {
        for (value, other) in values.iter().zip(b.chunks_exact(side)) {
            row.iter_mut().zip(other).for_each(|(sum, other)| *sum += value * other);
        }
    }
    result
}

fn transposed(matrix: &[f64], side: usize) -> Vec<f64> {
    (0..side * side).map(|at| matrix[at % side * side + at / side]).collect()
}
