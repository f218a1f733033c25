//! The support vector machine: one binary C-SVC for each pair of classes over one table of support vectors, Platt's
//! sigmoid on each decision value, and pairwise coupling into one probability for each class.
//!
//! For a feature vector `x` of `D` dimensions,
//!
//! 1. `z = (x − mean) · inverse_deviation`, dimension by dimension;
//! 2. `K_i = exp(−gamma · ‖z − z_i‖²)` for each support vector;
//! 3. `f_p = Σ_i coefficient[p, i] · K_i − rho[p]` for each pair of classes `p = (a, b)`, `a < b`; over 0 speaks for `a`;
//! 4. `r_p = 1 / (1 + exp(A_p · f_p + B_p))`, an estimate of `P(a | a or b, x)` ([`platt`]);
//! 5. the probabilities nearest to all `r_p` ([`coupling`]), then to the power of `1 / temperature`.
//!
//! Every sum has a fixed order and every `exp` comes from `libm`, so that a vector has the same probabilities, to the
//! last bit, on every machine.

mod classifier;
pub mod coupling;
pub mod kernel;
pub mod platt;
mod tensors;

pub use classifier::SvmClassifier;

use crate::{Error, Result};

/// Every number of an [`Svm`], not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SvmParameters {
    /// Mean of each dimension; `[D]`.
    pub mean: Vec<f64>,
    /// What a dimension is multiplied by after the mean is taken off: 1 / deviation, with any weight of the dimension;
    /// `[D]`, not negative. 0 leaves the dimension out.
    pub inverse_deviation: Vec<f64>,
    /// Width of the kernel, over 0.
    pub gamma: f64,
    /// Support vectors as the extractor gave them, row-major `[n_sv, D]`.
    pub support_vectors: Vec<f32>,
    /// Dual coefficients `y_i · alpha_i` of each pair, row-major `[n_pairs, n_sv]`; 0 where a vector supports another
    /// pair.
    pub coefficients: Vec<f64>,
    /// Offset of each pair; `[n_pairs]`. Pairs are in the order (0, 1), (0, 2) … (k−2, k−1).
    pub rho: Vec<f64>,
    /// Slope of each pair's sigmoid; `[n_pairs]`, negative for a pair that tells its classes apart.
    pub platt_a: Vec<f64>,
    /// Offset of each pair's sigmoid; `[n_pairs]`.
    pub platt_b: Vec<f64>,
    /// Over 1 flattens the probabilities, under 1 sharpens them; over 0.
    pub temperature: f64,
}

/// A fitted support vector machine; see the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Svm {
    parts: SvmParameters,
    n_classes: usize,
    /// Standardised support vectors, row-major `[n_sv, D]`.
    scaled: Vec<f64>,
}

/// Pairs of `n_classes` classes, in the order of [`SvmParameters::rho`].
pub fn pairs(n_classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n_classes).flat_map(move |a| (a + 1..n_classes).map(move |b| (a, b)))
}

/// `z = (x − mean) · inverse_deviation`.
pub fn standardise(vector: &[f32], mean: &[f64], inverse_deviation: &[f64]) -> Vec<f64> {
    let scale = mean.iter().zip(inverse_deviation);
    vector.iter().zip(scale).map(|(&x, (mean, inverse))| (f64::from(x) - mean) * inverse).collect()
}

impl Svm {
    /// Checks the parts against each other.
    ///
    /// # Errors
    /// [`Error::Tensor`] for the first part whose size or values are not as [`SvmParameters`] says.
    pub fn new(parts: SvmParameters) -> Result<Self> {
        let dim = parts.mean.len();
        let n_pairs = parts.rho.len();
        let n_classes = (2..=1024).find(|k| k * (k - 1) / 2 == n_pairs).ok_or_else(|| {
            Error::tensor("rho", format!("{n_pairs} pairs are those of no number of classes from 2 to 1024"))
        })?;
        if dim == 0 {
            return Err(Error::tensor("scaler.mean", "is empty"));
        }
        let n_sv = parts.support_vectors.len() / dim;
        if n_sv == 0 {
            return Err(Error::tensor("support_vectors", "is empty"));
        }
        let sizes = [
            ("scaler.inverse_deviation", parts.inverse_deviation.len(), dim),
            ("support_vectors", parts.support_vectors.len(), n_sv * dim),
            ("coefficients", parts.coefficients.len(), n_pairs * n_sv),
            ("platt.a", parts.platt_a.len(), n_pairs),
            ("platt.b", parts.platt_b.len(), n_pairs),
        ];
        if let Some((name, found, expected)) = sizes.into_iter().find(|(_, found, expected)| found != expected) {
            return Err(Error::tensor(name, format!("has {found} values, {expected} fit the other tensors")));
        }
        if let Some(index) = parts.support_vectors.iter().position(|value| !value.is_finite()) {
            return Err(Error::tensor("support_vectors", format!("value {index} is not finite")));
        }
        // The limits are far beyond any fit, and keep every sum below finite.
        const LARGE: f64 = 1e15;
        in_range("scaler.mean", &parts.mean, -f64::from(f32::MAX), f64::from(f32::MAX))?;
        in_range("scaler.inverse_deviation", &parts.inverse_deviation, 0.0, LARGE)?;
        in_range("gamma", &[parts.gamma], f64::MIN_POSITIVE, LARGE)?;
        in_range("coefficients", &parts.coefficients, -LARGE, LARGE)?;
        in_range("rho", &parts.rho, -LARGE, LARGE)?;
        in_range("platt.a", &parts.platt_a, -LARGE, LARGE)?;
        in_range("platt.b", &parts.platt_b, -LARGE, LARGE)?;
        in_range("temperature", &[parts.temperature], 0.01, 100.0)?;
        let rows = parts.support_vectors.chunks_exact(dim);
        let scaled = rows.flat_map(|row| standardise(row, &parts.mean, &parts.inverse_deviation)).collect();
        Ok(Self { parts, n_classes, scaled })
    }

    /// Every number of this machine.
    #[must_use]
    pub fn parts(&self) -> &SvmParameters {
        &self.parts
    }

    /// Dimensions of a feature vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.parts.mean.len()
    }

    /// Classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Support vectors, each of which supports at least one pair.
    #[must_use]
    pub fn n_support_vectors(&self) -> usize {
        self.parts.support_vectors.len() / self.dim()
    }

    /// Decision value of each pair of classes, in the order of [`pairs`]; over 0 speaks for the first of the pair.
    ///
    /// # Errors
    /// [`Error::Vector`] for a vector of another size than [`Svm::dim`], or with a value that is not finite.
    pub fn decision_function(&self, vector: &[f32]) -> Result<Vec<f64>> {
        if vector.len() != self.dim() {
            let detail = format!("has {} dimensions, the model was trained on {}", vector.len(), self.dim());
            return Err(Error::Vector { detail });
        }
        if let Some(index) = vector.iter().position(|value| !value.is_finite()) {
            return Err(Error::Vector {
                detail: format!("has a value that is not finite ({}) at {index}", vector[index]),
            });
        }
        let SvmParameters { mean, inverse_deviation, gamma, coefficients, rho, .. } = &self.parts;
        let z = standardise(vector, mean, inverse_deviation);
        let similar: Vec<f64> = self
            .scaled
            .chunks_exact(self.dim())
            .map(|support| kernel::rbf(kernel::squared_distance(&z, support), *gamma))
            .collect();
        let rows = coefficients.chunks_exact(similar.len());
        Ok(rows.zip(rho).map(|(row, rho)| kernel::dot(row, &similar) - rho).collect())
    }

    /// Probability of each class: not negative, never NaN, with a sum of 1.
    ///
    /// # Errors
    /// As [`Svm::decision_function`].
    pub fn probabilities(&self, vector: &[f32]) -> Result<Vec<f64>> {
        let sigmoids = self.parts.platt_a.iter().zip(&self.parts.platt_b).map(|(&a, &b)| platt::Sigmoid { a, b });
        let decisions = self.decision_function(vector)?;
        let pairwise: Vec<f64> = decisions.iter().zip(sigmoids).map(|(&f, sigmoid)| sigmoid.probability(f)).collect();
        Ok(coupling::tempered(&coupling::couple(&pairwise, self.n_classes), self.parts.temperature))
    }
}

fn in_range(name: &str, values: &[f64], least: f64, most: f64) -> Result<()> {
    match values.iter().position(|value| !(least..=most).contains(value)) {
        Some(index) => {
            Err(Error::tensor(name, format!("value {index} is {}, not within {least} to {most}", values[index])))
        }
        None => Ok(()),
    }
}
