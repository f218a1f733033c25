//! [`Eigen`]: eigenvalues and eigenvectors of small symmetric matrices, and the functions of a matrix that follow from them.
//!
//! Householder reflections to a tridiagonal matrix, then QL steps with implicit shifts (Golub and Van Loan, "Matrix Computations", 4th
//! edition, §8.3; EISPACK's `tred2` and `imtql2`). The descriptors of the features take the logarithm of matrices of side 16 by Jacobi rotations,
//! and their bits are part of a fingerprint; here the side is 48, where QL needs a tenth of the time, and a segment has eight such
//! matrices and each of its windows eight more.
//!
//! Every sum has a fixed order. The loops are compiled once for each level of SIMD and never reassociated or fused, so a matrix has the
//! same bits at every level.

use simd::{Simd, WithSimd};

/// QL steps for one eigenvalue; two are normal.
const MAX_STEPS: usize = 60;

/// `M = Σ_r values[r] · v_r · v_rᵀ`.
#[derive(Clone, Debug)]
pub struct Eigen {
    n: usize,
    /// In no particular order.
    pub values: Vec<f64>,
    /// Of length 1 and at right angles to each other; row-major `[n, n]`, a vector in a row.
    pub vectors: Vec<f64>,
}

impl Eigen {
    /// Of a symmetric matrix, row-major `[n, n]`. Of one that is not finite, values that are not finite.
    #[must_use]
    pub fn of(matrix: Vec<f64>, n: usize) -> Self {
        debug_assert_eq!(matrix.len(), n * n);
        simd::dispatch(Decompose { matrix, n })
    }

    /// `Σ_r f(values[r]) · v_r · v_rᵀ`, row-major `[n, n]`: a function of the matrix.
    #[must_use]
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let factors = self.values.iter().map(|&value| f(value)).collect();
        simd::dispatch(Sum { vectors: &self.vectors, factors, n: self.n })
    }
}

struct Decompose {
    matrix: Vec<f64>,
    n: usize,
}

impl WithSimd for Decompose {
    type Output = Eigen;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Eigen {
        let Self { matrix, n } = self;
        let (diagonal, beside, vectors) = tridiagonal(matrix, n);
        ql(diagonal, beside, vectors, n)
    }
}

/// `T = Qᵀ · M · Q`: the diagonal of `T`, the numbers beside it (the last is 0), and `Qᵀ`.
#[inline(always)]
fn tridiagonal(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut beside = vec![0.0; n];
    // The reflection of column k: I − factor · v · vᵀ, over the rows from k + 1 on.
    let mut reflections: Vec<(f64, Vec<f64>)> = Vec::with_capacity(n);
    for k in 0..n.saturating_sub(2) {
        let mut v: Vec<f64> = (k + 1..n).map(|row| a[row * n + k]).collect();
        let mut tail = 0.0;
        for x in &v[1..] {
            tail += x * x;
        }
        if tail == 0.0 {
            beside[k] = v[0];
            reflections.push((0.0, v));
            continue;
        }
        let alpha = -(v[0] * v[0] + tail).sqrt().copysign(v[0]);
        v[0] -= alpha;
        let factor = 2.0 / (v[0] * v[0] + tail);
        // M − v·wᵀ − w·vᵀ with w = p − (factor/2 · pᵀ·v) · v and p = factor · M · v: rows from k + 1 on, as M is symmetric.
        let mut w = vec![0.0; v.len()];
        for (row, &x) in v.iter().enumerate() {
            let from = (k + 1 + row) * n + k + 1;
            for (sum, &value) in w.iter_mut().zip(&a[from..from + v.len()]) {
                *sum += x * value;
            }
        }
        let mut along = 0.0;
        for (p, x) in w.iter_mut().zip(&v) {
            *p *= factor;
            along += *p * x;
        }
        let half = factor / 2.0 * along;
        for (p, x) in w.iter_mut().zip(&v) {
            *p -= half * x;
        }
        for (row, (&x, &y)) in v.iter().zip(&w).enumerate() {
            let from = (k + 1 + row) * n + k + 1;
            for ((value, &v), &w) in a[from..from + v.len()].iter_mut().zip(&v).zip(&w) {
                *value -= x * w + y * v;
            }
        }
        beside[k] = alpha;
        reflections.push((factor, v));
    }
    if n > 1 {
        beside[n - 2] = a[(n - 1) * n + n - 2];
    }
    let diagonal = (0..n).map(|i| a[i * n + i]).collect();
    // From the last reflection to the first, each changes only what lies behind its row and column.
    let mut vectors = a;
    vectors.fill(0.0);
    for i in 0..n {
        vectors[i * n + i] = 1.0;
    }
    for (k, (factor, v)) in reflections.iter().enumerate().rev() {
        for row in k + 1..n {
            let from = row * n + k + 1;
            let values = &mut vectors[from..from + v.len()];
            let mut along = 0.0;
            for (value, x) in values.iter().zip(v) {
                along += value * x;
            }
            let along = factor * along;
            for (value, x) in values.iter_mut().zip(v) {
                *value -= along * x;
            }
        }
    }
    (diagonal, beside, vectors)
}

/// The eigenvalues of a tridiagonal matrix, and `vectors` turned into those of the matrix that it came from.
#[inline(always)]
fn ql(mut d: Vec<f64>, mut e: Vec<f64>, mut vectors: Vec<f64>, n: usize) -> Eigen {
    for l in 0..n {
        for _ in 0..MAX_STEPS {
            let mut m = l;
            while m + 1 < n && e[m].abs() > f64::EPSILON * (d[m].abs() + d[m + 1].abs()) {
                m += 1;
            }
            if m == l {
                break;
            }
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let r = (g * g + 1.0).sqrt();
            g = d[m] - d[l] + e[l] / (g + r.copysign(g));
            let (mut sin, mut cos, mut p) = (1.0, 1.0, 0.0);
            let mut vanished = false;
            for i in (l..m).rev() {
                let (f, b) = (sin * e[i], cos * e[i]);
                let r = (f * f + g * g).sqrt();
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    vanished = true;
                    break;
                }
                (sin, cos) = (f / r, g / r);
                g = d[i + 1] - p;
                let turned = (d[i] - g) * sin + 2.0 * cos * b;
                p = sin * turned;
                d[i + 1] = g + p;
                g = cos * turned - b;
                let (before, after) = vectors.split_at_mut((i + 1) * n);
                for (x, y) in before[i * n..].iter_mut().zip(&mut after[..n]) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
            }
            if !vanished {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    Eigen { n, values: d, vectors }
}

struct Sum<'a> {
    vectors: &'a [f64],
    factors: Vec<f64>,
    n: usize,
}

impl WithSimd for Sum<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f64> {
        let Self { vectors, factors, n } = self;
        let mut sums = vec![0.0; n * n];
        for (vector, factor) in vectors.chunks_exact(n).zip(&factors) {
            for (row, &x) in sums.chunks_exact_mut(n).zip(vector) {
                let x = factor * x;
                for (sum, &y) in row.iter_mut().zip(vector) {
                    *sum += x * y;
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `A · Aᵀ` of a matrix `[n, depth]`: positive semidefinite, of rank `depth` at most.
    fn product(entries: &[f64], n: usize, depth: usize) -> Vec<f64> {
        let row = |i: usize| &entries[i * depth..(i + 1) * depth];
        (0..n * n).map(|at| row(at / n).iter().zip(row(at % n)).map(|(a, b)| a * b).sum()).collect()
    }

    fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    fn identity(n: usize) -> Vec<f64> {
        (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect()
    }

    proptest! {
        #[test]
        fn values_and_vectors_give_the_matrix_back_with_the_same_bits_at_every_level(
            n in 1_usize..50,
            depth in 1_usize..50,
            entries in proptest::collection::vec(-3.0_f64..3.0, 2500),
        ) {
            let matrix = product(&entries, n, depth);
            let scale = 1.0 + matrix.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
            let eigen = Eigen::of(matrix.clone(), n);
            prop_assert!(largest_difference(&eigen.map(|value| value), &matrix) < 1e-11 * scale);
            prop_assert!(largest_difference(&eigen.map(|_| 1.0), &identity(n)) < 1e-12, "the vectors are orthonormal");
            prop_assert!(eigen.values.iter().all(|value| *value > -1e-11 * scale));
            for level in simd::Level::available() {
                let (again, logarithm) = simd::with_level(level, || {
                    let again = Eigen::of(matrix.clone(), n);
                    let logarithm = again.map(|value| libm::log(value.max(0.0) + 0.01));
                    (again, logarithm)
                });
                prop_assert_eq!(&again.values, &eigen.values, "{}", level.name());
                prop_assert_eq!(&again.vectors, &eigen.vectors, "{}", level.name());
                prop_assert_eq!(logarithm, eigen.map(|value| libm::log(value.max(0.0) + 0.01)), "{}", level.name());
            }
        }
    }

    #[test]
    fn matrices_that_need_no_step_or_cannot_be_decomposed_end() {
        let diagonal = Eigen::of(vec![3.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, -1.0], 3);
        assert_eq!(
            (diagonal.values.as_slice(), diagonal.vectors.as_slice()),
            (&[3.0, 3.0, -1.0][..], &identity(3)[..])
        );
        assert_eq!(Eigen::of(vec![5.0], 1).map(libm::sqrt), [5.0_f64.sqrt()]);
        assert_eq!(Eigen::of(vec![0.0; 16], 4).values, [0.0; 4]);
        let eigen = Eigen::of(vec![2.0, 1.0, 1.0, 2.0], 2);
        let mut values = eigen.values.clone();
        values.sort_by(f64::total_cmp);
        assert!((values[0] - 1.0).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15, "{values:?}");
        assert!(Eigen::of(vec![f64::NAN; 25], 5).map(|value| value).iter().any(|value| value.is_nan()));
    }
}
