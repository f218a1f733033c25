//! Fitting the head by ridge regression.
//!
//! The targets are the classes as numbers, 1 for that of a row and 0 for the others. With standardised rows `x`, weights `c` of the rows
//! and the penalty `λ`, the weights `w` and the bias of a class minimise `Σ c·(y − w·x − bias)² + λ·|w|²` (Hoerl and Kennard 1970). There are more dimensions
//! than rows, so it is solved for a number for each row (Saunders et al., "Ridge regression learning algorithm in dual variables", 1998): with the rows of `X`
//! scaled by `√c`, `w = Xᵀ·(X·Xᵀ + λ·I)⁻¹·√c·(y − bias)`, where the bias is the weighted mean of `y`, since the rows have a weighted mean of 0.

use std::ops::Range;

use anyhow::Result;
use models::vgg19::{HeadParameters, LogCovariance, Vgg19Config, channels};
use ndarray::Array2;
use rayon::prelude::*;

use super::{config::RidgeConfig, embeddings::Rows};
use crate::training::svm::{BLOCK, cholesky, products, solve};

/// Most rows that are fitted on. The time of a solution grows with the square of the rows, and in the end with their cube.
pub(super) const MAX_ROWS: usize = 4096;
/// Dimensions whose products are computed at once.
const DIMENSIONS: usize = 1024;

/// Fits a head on rows that count `weights`, whose sum is the number of clips.
///
/// # Errors
/// When the embeddings cannot be read.
pub(super) fn fit(
    rows: &Rows<'_>,
    weights: &[f64],
    network: &Vgg19Config,
    ridge: RidgeConfig,
) -> Result<HeadParameters> {
    let (n, dim, n_classes) = (rows.len(), rows.dim(), network.n_classes);
    let (mut values, mut classes) = (Vec::with_capacity(n * dim), Vec::with_capacity(n));
    for number in 0..rows.n_blocks() {
        let block = rows.block(number)?;
        values.extend(block.values);
        classes.extend_from_slice(block.classes);
    }
    let values = Array2::from_shape_vec((n, dim), values)?;
    let total: f64 = weights.iter().sum();
    let (mean, scale) = scaler(&values, weights, total, network);

    // Rows times √c, some dimensions at once.
    let scaled = |dims: Range<usize>| -> Vec<f64> {
        let of_row = |(row, weight): (usize, &f64)| {
            let root = libm::sqrt(*weight);
            let value = |i: usize| (f64::from(values[[row, i]]) - f64::from(mean[i])) * f64::from(scale[i]) * root;
            dims.clone().map(value).collect::<Vec<f64>>()
        };
        weights.par_iter().enumerate().map(of_row).collect::<Vec<_>>().concat()
    };
    let slices = || (0..dim).step_by(DIMENSIONS).map(|first| first..(first + DIMENSIONS).min(dim));
    let mut gram = vec![0.0; n * n];
    for dims in slices() {
        let (x, depth) = (scaled(dims.clone()), dims.len());
        let panels = products::Panels::new(&x, depth);
        // It is symmetric: columns beyond the diagonal are not asked for.
        let tiles = gram.par_chunks_mut(BLOCK * n).zip(x.par_chunks(BLOCK * depth)).enumerate();
        tiles.for_each(|(tile, (gram, rows))| {
            products::add_first(rows, depth, &panels, ((tile + 1) * BLOCK).min(n), gram);
        });
    }
    let factor: Vec<f64> =
        cholesky(n, |i, j| gram[i * n + j] + if i == j { ridge.penalty } else { 0.0 }).into_iter().collect();
    drop(gram);

    let shares: Vec<f64> = (0..n_classes)
        .map(|class| {
            let of_class = classes.iter().zip(weights).filter(|(of, _)| **of == class);
            of_class.map(|(_, weight)| weight).sum::<f64>() / total
        })
        .collect();
    let dual = |class: usize| -> Vec<f64> {
        let target =
            |(of, weight): (&usize, &f64)| libm::sqrt(*weight) * (f64::from(u8::from(*of == class)) - shares[class]);
        solve(&factor, n, classes.iter().zip(weights).map(target).collect())
    };
    let duals: Vec<Vec<f64>> = (0..n_classes).into_par_iter().map(dual).collect();
    let mut weight = vec![0.0; n_classes * dim];
    for dims in slices() {
        let (x, depth) = (scaled(dims.clone()), dims.len());
        weight.par_chunks_mut(dim).zip(&duals).for_each(|(weight, dual)| {
            let mut sums = vec![0.0; depth];
            for (row, factor) in x.chunks_exact(depth).zip(dual) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
            }
            weight[dims.clone()].iter_mut().zip(sums).for_each(|(weight, sum)| *weight = sum as f32);
        });
    }
    Ok(HeadParameters { mean, scale, weight, bias: shares.into_iter().map(|share| share as f32).collect() })
}

/// Dimensions that are scaled together.
struct Group {
    dims: Range<usize>,
    /// Whether each dimension is brought to the same variance first. Elements of a log-covariance are numbers of one kind and keep theirs.
    alike: bool,
}

/// The statistics and the log-covariance of every block of every normalisation.
fn groups(network: &Vgg19Config) -> Vec<Group> {
    let (mut groups, mut first) = (Vec::new(), 0);
    let mut push = |n: usize, alike: bool| {
        groups.push(Group { dims: first..first + n, alike });
        first += n;
    };
    for _ in &network.normalisations {
        network.pooled_blocks.iter().for_each(|&block| push(channels(block) * network.statistics.len(), true));
        if let Some(log_covariance) = network.log_covariance {
            let dim_of = |block: &usize| LogCovariance::dim_of(log_covariance, *block);
            network.pooled_blocks.iter().for_each(|block| push(dim_of(block), false));
        }
    }
    groups
}

/// Weighted mean of each dimension, and what makes the mean square length of a group `1 / blocks`: that of all groups of a kind is then 1 for each normalisation.
fn scaler(values: &Array2<f32>, weights: &[f64], total: f64, network: &Vgg19Config) -> (Vec<f32>, Vec<f32>) {
    let sums = |of: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let mut sums = vec![0.0; values.ncols()];
        for (row, weight) in values.outer_iter().zip(weights) {
            sums.iter_mut()
                .zip(row)
                .enumerate()
                .for_each(|(i, (sum, &value))| *sum += weight * of(i, f64::from(value)));
        }
        sums.into_iter().map(|sum| sum / total).collect()
    };
    let mean = sums(&|_, value| value);
    let variance = sums(&|i, value| (value - mean[i]) * (value - mean[i]));
    let mut scale = vec![0.0; values.ncols()];
    for Group { dims, alike } in groups(network) {
        let share = 1.0 / network.pooled_blocks.len() as f64;
        let of_group: f64 = variance[dims.clone()].iter().sum();
        for i in dims.clone() {
            // A dimension that is always the same tells nothing.
            let of_all = if alike { variance[i] * dims.len() as f64 } else { of_group };
            scale[i] = if variance[i] > 1e-12 { libm::sqrt(share / of_all) as f32 } else { 0.0 };
        }
    }
    (mean.into_iter().map(|mean| mean as f32).collect(), scale)
}

#[cfg(test)]
mod tests {
    use data::rng::Rng;
    use models::vgg19::{Normalisation, Statistic};

    use super::{
        super::{embeddings::Embeddings, head::logits},
        *,
    };

    const N: usize = 30;

    fn network(log_covariance: Option<LogCovariance>) -> Vgg19Config {
        Vgg19Config {
            normalisations: vec![Normalisation::None, Normalisation::Cmn],
            pooled_blocks: vec![1],
            statistics: vec![Statistic::Average],
            log_covariance,
            n_classes: 3,
        }
    }

    /// Noise with something of the class in it, and one dimension that is always the same.
    fn embeddings(network: &Vgg19Config) -> (Embeddings, Vec<usize>) {
        let mut rng = Rng::new(5);
        let mut embeddings = Embeddings::new(network.embedding_dim(), None);
        let labels: Vec<usize> = (0..N).map(|clip| clip % 3).collect();
        for &label in &labels {
            let mut row: Vec<f32> = (0..network.embedding_dim()).map(|_| rng.normal() as f32 + 4.0).collect();
            row[2 + label] += 2.0;
            row[1] = 7.0;
            embeddings.push(&[row], &[]).unwrap();
        }
        (embeddings, labels)
    }

    fn fitted(penalty: f64, weights: &[f64]) -> (HeadParameters, Vec<Vec<f32>>, Vec<usize>) {
        let network = network(Some(LogCovariance { axes: 2 }));
        assert_eq!(network.embedding_dim(), 2 * (64 + 3));
        let (embeddings, labels) = embeddings(&network);
        let clips: Vec<usize> = (0..N).collect();
        let head = fit(&Rows::new(&embeddings, &clips, &labels), weights, &network, RidgeConfig { penalty }).unwrap();
        let rows = clips.iter().map(|&clip| embeddings.segments(clip).unwrap().swap_remove(0)).collect();
        (head, rows, labels)
    }

    fn uneven() -> Vec<f64> {
        (0..N).map(|row| 0.5 + (row % 5) as f64 / 4.0).collect()
    }

    #[test]
    fn the_gradient_of_what_is_minimised_is_0_at_the_solution() {
        let (penalty, weights) = (0.3, uneven());
        let (head, rows, labels) = fitted(penalty, &weights);
        let dim = head.mean.len();
        let z = |row: &[f32], i: usize| (f64::from(row[i]) - f64::from(head.mean[i])) * f64::from(head.scale[i]);
        for class in 0..3 {
            // Σ c·(w·x + bias − y).
            let errors: Vec<f64> = rows
                .iter()
                .zip(&labels)
                .zip(&weights)
                .map(|((row, &label), weight)| {
                    weight * (f64::from(logits(&head, row)[class]) - f64::from(u8::from(label == class)))
                })
                .collect();
            assert!(errors.iter().sum::<f64>().abs() < 1e-4);
            for i in 0..dim {
                let along: f64 = errors.iter().zip(&rows).map(|(error, row)| error * z(row, i)).sum();
                let gradient = along + penalty * f64::from(head.weight[class * dim + i]);
                assert!(gradient.abs() < 1e-5, "{class}, {i}: {gradient}");
            }
        }
        let right = rows.iter().zip(&labels).filter(|(row, label)| {
            let logits: Vec<f64> = logits(&head, row).into_iter().map(f64::from).collect();
            models::most_probable(&logits) == **label
        });
        assert!(right.count() > 25);
    }

    #[test]
    fn every_group_has_the_same_length_and_a_constant_tells_nothing() {
        let weights = uneven();
        let total: f64 = weights.iter().sum();
        let (head, rows, _) = fitted(0.3, &weights);
        assert_eq!((head.scale[1], head.weight[1]), (0.0, 0.0));
        for dims in [0..64, 64..67, 67..131, 131..134] {
            let square = |row: &[f32], i: usize| ((row[i] - head.mean[i]) * head.scale[i]).powi(2);
            let length = |row: &[f32]| f64::from(dims.clone().map(|i| square(row, i)).sum::<f32>());
            let mean = rows.iter().zip(&weights).map(|(row, weight)| weight * length(row)).sum::<f64>() / total;
            let expected = if dims.start == 0 { 63.0 / 64.0 } else { 1.0 };
            assert!((mean - expected).abs() < 1e-4, "{dims:?}: {mean}");
        }
        // Elements of a log-covariance keep their sizes.
        assert_eq!(head.scale[64], head.scale[66]);
        assert_ne!(head.scale[2], head.scale[3]);
    }

    #[test]
    fn a_row_that_counts_twice_is_two_and_threads_change_no_bit() {
        let network = network(None);
        let (embeddings, labels) = embeddings(&network);
        let fit = |clips: &[usize], weights: &[f64]| {
            fit(&Rows::new(&embeddings, clips, &labels), weights, &network, RidgeConfig { penalty: 0.1 }).unwrap()
        };
        let mut clips: Vec<usize> = (0..N).collect();
        let mut weights = vec![1.0; N];
        weights[4] = 2.0;
        let once = fit(&clips, &weights);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| fit(&clips, &weights)), once);
        }
        clips.push(4);
        let twice = fit(&clips, &[1.0; N + 1]);
        for (a, b) in once.weight.iter().zip(&twice.weight) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
