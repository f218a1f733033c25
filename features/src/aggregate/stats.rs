//! Statistics of series over time, and the logarithm of a covariance. Sums run from the first frame to the last, in `f64`.

use ndarray::Array2;

pub(super) fn widened(matrix: &Array2<f32>) -> Vec<Vec<f64>> {
    matrix.outer_iter().map(|row| row.iter().map(|&value| f64::from(value)).collect()).collect()
}

/// Bands that the log-mel is pooled to where a descriptor wants few.
pub const POOLED_BANDS: usize = 16;

/// Means of adjacent bands, 16 of them from the lowest to the highest: `[16, n_frames]`.
pub(super) fn pooled(bands: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n_frames = bands.first().map_or(0, Vec::len);
    (0..POOLED_BANDS)
        .map(|band| {
            mean_of(&bands[band * bands.len() / POOLED_BANDS..(band + 1) * bands.len() / POOLED_BANDS], n_frames)
        })
        .collect()
}

/// Mean over rows of each column.
pub(super) fn mean_of(rows: &[Vec<f64>], n_frames: usize) -> Vec<f64> {
    let mut mean = vec![0.0; n_frames];
    for row in rows {
        for (sum, value) in mean.iter_mut().zip(row) {
            *sum += value;
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= rows.len().max(1) as f64);
    mean
}

/// Indices of the upper triangle of a square matrix, row by row.
pub(super) fn upper_triangle(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i..n).map(move |j| (i, j)))
}

/// Arithmetic mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Population standard deviation about `mean`.
pub(crate) fn std(values: &[f64], mean: f64) -> f64 {
    central_moment(values, mean, 2).sqrt()
}

/// Mean of the `order`th power of the deviation from `mean`.
pub(crate) fn central_moment(values: &[f64], mean: f64, order: usize) -> f64 {
    let power = |deviation: f64| (1..order).fold(deviation, |product, _| product * deviation);
    values.iter().map(|&value| power(value - mean)).sum::<f64>() / values.len().max(1) as f64
}

/// Added to the cube of the deviation under a skewness.
pub const SKEWNESS_FLOOR: f64 = 1e-3;

/// Skewness: the third central moment over the cube of the deviation, with a floor under it for what hardly moves.
pub(crate) fn skewness(values: &[f64]) -> f64 {
    let mean = mean(values);
    let std = std(values, mean);
    central_moment(values, mean, 3) / (std * std * std + SKEWNESS_FLOOR)
}

/// Percentile `p` (0 to 100) of values sorted in rising order, linear between neighbours (numpy's default).
pub(crate) fn percentile_of_sorted(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let position = last as f64 * p / 100.0;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

/// Sweeps over all pairs; quadratic convergence needs about 6 for the sizes here.
const MAX_SWEEPS: usize = 30;

/// A symmetric matrix of side `n`, all of it stored, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Symmetric {
    n: usize,
    values: Vec<f64>,
}

impl Symmetric {
    /// The matrix with `value(i, j)` for `i ≥ j` at `(i, j)` and `(j, i)`.
    pub(crate) fn from_lower(n: usize, mut value: impl FnMut(usize, usize) -> f64) -> Self {
        let mut values = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let v = value(i, j);
                values[i * n + j] = v;
                values[j * n + i] = v;
            }
        }
        Self { n, values }
    }

    /// Element `(i, j)`.
    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// The matrix logarithm; eigenvalues below `least` (over 0) count as `least`.
    pub(crate) fn log(self, least: f64) -> Self {
        let n = self.n;
        let (eigenvalues, vectors) = self.eigen();
        let logs: Vec<f64> = eigenvalues.iter().map(|&value| libm::log(value.max(least))).collect();
        // Each sum runs from the first eigenvalue to the last.
        let mut values = vec![-0.0; n * n];
        for (vector, log) in vectors.chunks_exact(n).zip(&logs) {
            for (row, &a) in values.chunks_exact_mut(n).zip(vector) {
                for (sum, &b) in row.iter_mut().zip(vector) {
                    *sum += a * log * b;
                }
            }
        }
        Self::from_lower(n, |i, j| values[i * n + j])
    }

    /// The upper triangle of the [logarithm](Self::log), row by row, off the diagonal times √2: Euclidean distances of
    /// such vectors are the Frobenius distances of the matrices.
    pub(crate) fn log_vector(self, least: f64) -> Vec<f64> {
        let log = self.log(least);
        let weight = |i, j| if i == j { 1.0 } else { std::f64::consts::SQRT_2 };
        upper_triangle(log.n).map(|(i, j)| weight(i, j) * log.at(i, j)).collect()
    }

    /// Eigenvalues, and eigenvectors as the rows of a matrix, by cyclic Jacobi rotations (Golub & Van Loan,
    /// "Matrix Computations", §8.5). In no particular order.
    fn eigen(mut self) -> (Vec<f64>, Vec<f64>) {
        let n = self.n;
        let mut vectors = vec![0.0; n * n];
        for i in 0..n {
            vectors[i * n + i] = 1.0;
        }
        let scale: f64 = self.values.iter().map(|v| v * v).sum();
        for _ in 0..MAX_SWEEPS {
            let off: f64 =
                (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| self.at(i, j) * self.at(i, j)).sum();
            if off <= scale * 1e-28 {
                break;
            }
            for p in 0..n {
                for q in p + 1..n {
                    self.rotate(p, q, &mut vectors);
                }
            }
        }
        ((0..n).map(|i| self.at(i, i)).collect(), vectors)
    }

    /// Turns the plane of axes `p < q` so that element `(p, q)` becomes 0.
    fn rotate(&mut self, p: usize, q: usize, vectors: &mut [f64]) {
        let n = self.n;
        let off = self.at(p, q);
        if off == 0.0 {
            return;
        }
        let theta = (self.at(q, q) - self.at(p, p)) / (2.0 * off);
        let t = if theta.abs() > 1e150 {
            0.5 / theta
        } else {
            theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt())
        };
        let cos = 1.0 / (t * t + 1.0).sqrt();
        let sin = t * cos;
        // Rows p and q (contiguous), then the columns as their mirror image.
        let (head, tail) = self.values.split_at_mut(q * n);
        for (a, b) in head[p * n..(p + 1) * n].iter_mut().zip(&mut tail[..n]) {
            (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
        }
        for i in 0..n {
            let (a, b) = (self.values[i * n + p], self.values[i * n + q]);
            self.values[i * n + p] = cos * a - sin * b;
            self.values[i * n + q] = sin * a + cos * b;
        }
        self.values[p * n + q] = 0.0;
        self.values[q * n + p] = 0.0;
        let (head, tail) = vectors.split_at_mut(q * n);
        for (a, b) in head[p * n..(p + 1) * n].iter_mut().zip(&mut tail[..n]) {
            (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Taylor series of the exponential after halving: the inverse of what is tested, found another way.
    fn exp(m: &Symmetric) -> Vec<f64> {
        const HALVINGS: i32 = 12;
        let n = m.n;
        let product = |a: &[f64], b: &[f64]| -> Vec<f64> {
            (0..n * n).map(|at| (0..n).map(|k| a[at / n * n + k] * b[k * n + at % n]).sum()).collect()
        };
        let small: Vec<f64> = m.values.iter().map(|v| v / f64::from(1 << HALVINGS)).collect();
        let identity: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
        let (mut term, mut sum) = (identity.clone(), identity);
        for k in 1..20 {
            term = product(&term, &small).iter().map(|v| v / f64::from(k)).collect();
            sum = sum.iter().zip(&term).map(|(a, b)| a + b).collect();
        }
        for _ in 0..HALVINGS {
            sum = product(&sum, &sum);
        }
        sum
    }

    proptest! {
        #[test]
        fn the_exponential_of_the_logarithm_is_the_matrix(
            n in 1usize..8,
            entries in proptest::collection::vec(-3.0f64..3.0, 64),
        ) {
            // A·Aᵀ + I/2 is positive definite.
            let matrix = Symmetric::from_lower(n, |i, j| {
                (0..n).map(|k| entries[i * n + k] * entries[j * n + k]).sum::<f64>() + if i == j { 0.5 } else { 0.0 }
            });
            let back = exp(&matrix.clone().log(1e-12));
            for (a, b) in back.iter().zip(&matrix.values) {
                prop_assert!((a - b).abs() < 1e-8 * (1.0 + b.abs()), "{} against {}", a, b);
            }
        }
    }

    #[test]
    fn a_zero_matrix_has_the_logarithm_of_the_least() {
        let log = Symmetric::from_lower(3, |_, _| 0.0).log(1e-3);
        assert!((log.at(1, 1) - 1e-3f64.ln()).abs() < 1e-12);
        assert_eq!(log.at(0, 2), 0.0);
    }

    #[test]
    fn statistics_of_hand_counted_series() {
        let values = [1.0, 2.0, 3.0, 6.0];
        assert_eq!(mean(&values), 3.0);
        assert_eq!(std(&values, 3.0), (14.0f64 / 4.0).sqrt());
        assert_eq!(central_moment(&values, 3.0, 3), (27.0 - 8.0 - 1.0) / 4.0);
        assert_eq!(percentile_of_sorted(&values, 50.0), 2.5);
        assert_eq!(percentile_of_sorted(&values, 0.0), 1.0);
        assert_eq!(percentile_of_sorted(&values, 100.0), 6.0);
        assert!((percentile_of_sorted(&values, 10.0) - 1.3).abs() < 1e-12);
        assert_eq!((mean(&[]), std(&[], 0.0), percentile_of_sorted(&[], 50.0)), (0.0, 0.0, 0.0));
    }
}
