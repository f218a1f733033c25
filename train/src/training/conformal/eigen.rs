//! Symmetric matrices: all eigenvectors of a small one, the leading ones of a large one, and a covariance that is shrunken towards
//! something simpler. Every sum is in a fixed order.

use data::rng::Rng;
use models::{eigen::Eigen, svm::kernel::dot};
use rayon::prelude::*;

/// Eigenvalues, falling, and eigenvectors, in rows, of a symmetric matrix, row-major `[n, n]`.
pub(super) fn eigen(matrix: Vec<f64>, n: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let Eigen { values, vectors, .. } = Eigen::of(matrix, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let vector = |&r: &usize| vectors[r * n..(r + 1) * n].to_vec();
    (order.iter().map(|&r| values[r]).collect(), order.iter().map(vector).collect())
}

/// The leading `count` eigenvalues, falling, and eigenvectors, in rows, of a symmetric matrix without negative eigenvalues, row-major
/// `[n, n]`: orthogonal iteration, `steps` of it, from the rows of `start` or else from random ones, and Rayleigh and Ritz's values.
/// Fewer than `count`, where the matrix has no more.
pub(super) fn leading(
    matrix: &[f64],
    n: usize,
    count: usize,
    start: Option<Vec<Vec<f64>>>,
    steps: usize,
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let random = || {
        let mut rng = Rng::new(0);
        (0..count).map(|_| (0..n).map(|_| rng.unit() - 0.5).collect()).collect()
    };
    let times = |basis: &[Vec<f64>]| -> Vec<Vec<f64>> {
        let product = |vector: &Vec<f64>| matrix.chunks_exact(n).map(|row| dot(row, vector)).collect();
        basis.par_iter().map(product).collect()
    };
    let mut basis = orthonormal(start.unwrap_or_else(random));
    for _ in 0..steps {
        basis = orthonormal(times(&basis));
    }
    let images = times(&basis);
    let r = basis.len();
    let small: Vec<f64> = basis.iter().flat_map(|vector| images.iter().map(|image| dot(vector, image))).collect();
    // Rounding leaves it a little unlike its transpose.
    let small = (0..r * r).map(|at| (small[at] + small[at % r * r + at / r]) / 2.0).collect();
    let (values, turns) = eigen(small, r);
    let turned = |turn: &Vec<f64>| {
        let mut vector = vec![0.0; n];
        for (weight, of_basis) in turn.iter().zip(&basis) {
            vector.iter_mut().zip(of_basis).for_each(|(sum, value)| *sum += weight * value);
        }
        vector
    };
    let kept = values.iter().filter(|value| **value > 1e-9 * values[0].max(0.0)).count();
    (values[..kept].to_vec(), turns[..kept].iter().map(turned).collect())
}

/// An orthonormal basis of what rows span (Gram and Schmidt, each twice); rows that others span are left out.
fn orthonormal(rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rows.len());
    for mut row in rows {
        let before = dot(&row, &row).sqrt();
        for _ in 0..2 {
            for other in &basis {
                let along = dot(&row, other);
                row.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
            }
        }
        let length = dot(&row, &row).sqrt();
        if length > 1e-10 * before {
            row.iter_mut().for_each(|value| *value /= length);
            basis.push(row);
        }
    }
    basis
}

/// The covariance of rows that have mean 0, row-major `[dim, dim]`, shrunken towards a multiple of the identity by as much as makes it
/// nearest to that of their population (O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
/// 2004), as scikit-learn's `LedoitWolf(assume_centered=True)` has it.
pub(super) fn shrunken_covariance(rows: &[Vec<f64>], dim: usize) -> Vec<f64> {
    let n = rows.len().max(1) as f64;
    let mut covariance = vec![0.0; dim * dim];
    let mut fourth = 0.0;
    for row in rows {
        for (i, a) in row.iter().enumerate() {
            covariance[i * dim..(i + 1) * dim].iter_mut().zip(row).for_each(|(sum, b)| *sum += a * b / n);
        }
        let square = dot(row, row);
        fourth += square * square / n;
    }
    let p = dim as f64;
    let mu = (0..dim).map(|i| covariance[i * dim + i]).sum::<f64>() / p;
    let norm: f64 = covariance.iter().map(|value| value * value).sum();
    let delta = norm / p - mu * mu;
    let beta = ((fourth - norm) / (p * n)).min(delta);
    let shrinkage = if delta > 0.0 { (beta / delta).max(0.0) } else { 0.0 };
    covariance.iter_mut().for_each(|value| *value *= 1.0 - shrinkage);
    (0..dim).for_each(|i| covariance[i * dim + i] += shrinkage * mu);
    covariance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symmetric(n: usize) -> Vec<f64> {
        let rows: Vec<Vec<f64>> = (0..n)
            .map(|i| (0..2 * n).map(|j| libm::sin((3 * i + 7 * j + i * j) as f64) / (1 + i) as f64).collect())
            .collect();
        rows.iter().flat_map(|a| rows.iter().map(|b| dot(a, b))).collect()
    }

    #[test]
    fn eigenvectors_are_turned_by_nothing_but_their_value() {
        let n = 12;
        let matrix = symmetric(n);
        let (values, vectors) = eigen(matrix.clone(), n);
        assert!(values.is_sorted_by(|a, b| a >= b));
        for (value, vector) in values.iter().zip(&vectors) {
            assert!((dot(vector, vector) - 1.0).abs() < 1e-12);
            for (row, own) in matrix.chunks_exact(n).zip(vector) {
                assert!((dot(row, vector) - value * own).abs() < 1e-11 * values[0]);
            }
        }
        let trace: f64 = (0..n).map(|i| matrix[i * n + i]).sum();
        assert!((values.iter().sum::<f64>() - trace).abs() < 1e-11 * trace);
    }

    #[test]
    fn the_leading_ones_are_those_of_all() {
        let n = 12;
        let matrix = symmetric(n);
        let (all, vectors) = eigen(matrix.clone(), n);
        let (some, leading) = leading(&matrix, n, 4, None, 200);
        for i in 0..4 {
            assert!((some[i] - all[i]).abs() < 1e-9 * all[0], "{some:?} {all:?}");
            assert!((dot(&leading[i], &vectors[i]).abs() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_matrix_of_rank_two_has_two() {
        let rows = [[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, -1.0, 1.0, -1.0, 1.0]];
        let matrix: Vec<f64> =
            (0..5).flat_map(|i| (0..5).map(move |j| rows[0][i] * rows[0][j] + rows[1][i] * rows[1][j])).collect();
        assert_eq!(leading(&matrix, 5, 4, None, 5).0.len(), 2);
    }

    #[test]
    fn the_covariance_of_many_rows_is_that_of_their_population() {
        let mut rng = Rng::new(1);
        let rows: Vec<Vec<f64>> =
            (0..4000).map(|_| (0..6).map(|i| f64::from(1 + i) * (rng.unit() - 0.5)).collect()).collect();
        let covariance = shrunken_covariance(&rows, 6);
        for i in 0..6 {
            for j in 0..6 {
                // Of numbers within ±w/2 the variance is w² / 12.
                let scale = ((1 + i) * (1 + j)) as f64 / 12.0;
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((covariance[6 * i + j] / scale - expected).abs() < 0.1, "{covariance:?}");
            }
        }
    }

    #[test]
    fn rows_that_say_little_are_shrunken_to_a_multiple_of_the_identity() {
        // Two rows of four dimensions: what is off the diagonal of their covariance is noise.
        let covariance = shrunken_covariance(&[vec![1.0, 1.0, 0.0, 0.0], vec![-1.0, 1.0, 0.0, 0.0]], 4);
        assert!((0..4).all(|i| covariance[5 * i] > 0.0), "{covariance:?}");
    }
}
