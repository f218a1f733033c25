//! Logarithm of a symmetric positive definite matrix, by Jacobi's eigenvalue method.
//!
//! The space of covariances is curved; their matrix logarithms lie in a flat one, in which a Euclidean distance (that of an
//! RBF kernel, say) makes sense: Arsigny, Fillard, Pennec & Ayache, "Log-Euclidean metrics for fast and simple calculus on
//! diffusion tensors", 2006.

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
        super::upper_triangle(log.n).map(|(i, j)| weight(i, j) * log.at(i, j)).collect()
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
}
