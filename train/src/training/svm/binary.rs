//! One C-SVC of linfa-svm on a kernel matrix that is already there.
//!
//! linfa-svm takes vectors and computes the kernel itself, by `std`'s `exp`, anew for every penalty. It is given the rows
//! of the Cholesky factor `L` of the kernel matrix `K = L·Lᵀ` and its linear kernel instead: their inner products are
//! `K`, the factor is shared by all penalties, the cost no longer depends on the size of the vectors, and every `exp` is
//! `libm`'s, so that training gives the same bits on every machine.

use linfa::{DatasetBase, traits::Fit};
use linfa_svm::SvmError;
use ndarray::{Array1, Array2};

/// Added to the diagonal, so that equal clips leave the factor defined. Far below the solver's tolerance.
const RIDGE: f64 = 1e-9;

/// A binary problem: the clips of two classes.
pub(super) struct BinaryProblem {
    dataset: DatasetBase<Array2<f64>, Array1<bool>>,
}

/// A binary machine: `f = Σ_i coefficients[i] · K(x_i, x) − rho`, over 0 for the first class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BinarySvm {
    /// `y_i · alpha_i` of each clip; 0 for a clip that supports nothing.
    pub(super) coefficients: Vec<f64>,
    pub(super) rho: f64,
    /// Whether the solver reached its tolerance.
    pub(super) converged: bool,
}

impl BinaryProblem {
    /// `kernel(i, j)` of clips `0..first.len()`, read where `i ≥ j`; `first` says which clips are of the first class. Both
    /// classes must be there.
    pub(super) fn new(first: Vec<bool>, kernel: impl Fn(usize, usize) -> f64) -> Self {
        let factor = cholesky(first.len(), kernel);
        Self { dataset: DatasetBase::new(factor, Array1::from(first)) }
    }

    /// Fits with the penalties of a clip of the first and of the second class.
    pub(super) fn fit(&self, (c_first, c_second): (f64, f64), tolerance: f64) -> Result<BinarySvm, SvmError> {
        let svm = linfa_svm::Svm::<f64, bool>::params()
            .linear_kernel()
            .pos_neg_weights(c_first, c_second)
            .eps(tolerance)
            .fit(&self.dataset)?;
        let converged = converged(&svm.to_string());
        let negligible = |alpha: f64| if alpha.abs() > 100.0 * f64::EPSILON { alpha } else { 0.0 };
        Ok(BinarySvm { coefficients: svm.alpha.iter().copied().map(negligible).collect(), rho: svm.rho, converged })
    }
}

/// Whether the solver reached its tolerance before its limit of iterations, from the description of a machine: linfa-svm 0.8 keeps the
/// reason private and has no accessor for it.
fn converged(description: &str) -> bool {
    !description.starts_with("Reached maximal iterations")
}

/// The lower factor of `K + RIDGE · I`, row by row, so that inner products run over contiguous memory.
pub(in crate::training) fn cholesky(n: usize, kernel: impl Fn(usize, usize) -> f64) -> Array2<f64> {
    let mut factor = vec![0.0; n * n];
    for i in 0..n {
        let (above, row) = factor.split_at_mut(i * n);
        for j in 0..i {
            let other = &above[j * n..j * n + j + 1];
            row[j] = (kernel(i, j) - models::svm::kernel::dot(&row[..j], &other[..j])) / other[j];
        }
        let left = kernel(i, i) + RIDGE - models::svm::kernel::dot(&row[..i], &row[..i]);
        row[i] = left.max(RIDGE * RIDGE).sqrt();
    }
    Array2::from_shape_vec((n, n), factor).expect("n · n values")
}

#[cfg(test)]
mod tests {
    use super::*;
    use models::svm::kernel::{rbf, squared_distance};
    use ndarray::array;

    fn points() -> (Array2<f64>, Vec<bool>) {
        let points = Array2::from_shape_fn((40, 3), |(i, j)| libm::sin((i * 7 + j * 3 + i * j) as f64));
        let first = points.outer_iter().map(|x| x[0] * x[1] + 0.3 * x[2] > 0.1).collect();
        (points, first)
    }

    fn kernel_of<'a>(points: &'a Array2<f64>, gamma: f64) -> impl Fn(usize, usize) -> f64 + 'a {
        move |i, j| rbf(squared_distance(&points.row(i).to_vec(), &points.row(j).to_vec()), gamma)
    }

    #[test]
    fn the_factor_gives_the_kernel_back_even_of_equal_points() {
        let points = array![[0.0, 1.0], [0.5, 0.5], [0.0, 1.0], [0.0, 1.0], [-3.0, 2.0]];
        let kernel = kernel_of(&points, 0.7);
        let factor = cholesky(5, &kernel);
        let product = factor.dot(&factor.t());
        for i in 0..5 {
            for j in 0..=i {
                assert!((product[(i, j)] - kernel(i, j)).abs() < 1e-8, "{i} {j}");
            }
        }
    }

    #[test]
    fn convergence_is_read_from_the_description_of_a_machine() {
        let (points, first) = points();
        let svm = linfa_svm::Svm::<f64, bool>::params()
            .gaussian_kernel(1.0)
            .pos_neg_weights(1.0, 1.0)
            .fit(&DatasetBase::new(points, Array1::from(first)))
            .expect("fits");
        let description = svm.to_string();
        assert!(description.starts_with("Exited after"), "linfa-svm has other words: {description}");
        assert!(converged(&description));
        // As its `Display` has it for the other reason.
        assert!(!converged("Reached maximal iterations 10000000 with obj = -1.5 and 3 support vectors"));
    }

    #[test]
    fn decisions_are_those_of_linfas_own_gaussian_kernel() {
        let (points, first) = points();
        let gamma = 0.8;
        let (c, tolerance) = ((3.0, 5.0), 1e-9);
        let theirs = linfa_svm::Svm::<f64, bool>::params()
            .gaussian_kernel(1.0 / gamma)
            .pos_neg_weights(c.0, c.1)
            .eps(tolerance)
            .fit(&DatasetBase::new(points.clone(), Array1::from(first.clone())))
            .expect("fits");
        let ours = BinaryProblem::new(first, kernel_of(&points, gamma)).fit(c, tolerance).expect("fits");
        assert!(ours.converged);
        for x in [array![0.1, -0.4, 0.2], array![1.0, 1.0, 0.0], array![-0.3, 0.9, -2.0]] {
            let kernel = points.outer_iter().map(|z| rbf(squared_distance(&z.to_vec(), &x.to_vec()), gamma));
            let decision = ours.coefficients.iter().zip(kernel).map(|(a, k)| a * k).sum::<f64>() - ours.rho;
            let expected = theirs.weighted_sum(&x) - theirs.rho;
            assert!((decision - expected).abs() < 1e-6, "{decision} {expected}");
            use linfa::traits::Predict;
            assert_eq!(decision > 0.0, theirs.predict(x));
        }
    }

    #[test]
    fn the_corners_of_a_square_are_told_apart_by_their_diagonals() {
        let corners = array![[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]];
        let first = vec![true, true, false, false];
        let kernel = kernel_of(&corners, 2.0);
        let svm = BinaryProblem::new(first.clone(), &kernel).fit((100.0, 100.0), 1e-6).expect("fits");
        for (i, first) in first.into_iter().enumerate() {
            let decision = (0..4).map(|j| svm.coefficients[j] * kernel(i.max(j), i.min(j))).sum::<f64>() - svm.rho;
            assert_eq!(decision > 0.0, first, "corner {i}: {decision}");
        }
    }
}
