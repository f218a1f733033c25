//! Standardisation, with a weight for each dimension.

use std::collections::BTreeMap;

use models::svm::standardise;

/// A dimension whose deviation is below this share of its magnitude is constant but for rounding.
const CONSTANT: f64 = 1e-7;

/// Mean and factor of each dimension.
#[derive(Clone, Debug)]
pub(super) struct Scaler {
    pub(super) mean: Vec<f64>,
    /// Weight / deviation; 0 for a dimension that is constant.
    pub(super) inverse_deviation: Vec<f64>,
    /// 1 / (D · variance) of the standardised vectors: scikit-learn's `gamma="scale"`.
    pub(super) gamma_scale: f64,
}

impl Scaler {
    /// Fits mean and population deviation of each dimension, and multiplies by `weights`.
    pub(super) fn fit<'a>(vectors: impl Iterator<Item = &'a [f32]> + Clone, weights: &[f64]) -> Self {
        let n = vectors.clone().count().max(1) as f64;
        let mut mean = vec![0.0; weights.len()];
        for vector in vectors.clone() {
            mean.iter_mut().zip(vector).for_each(|(mean, &x)| *mean += f64::from(x));
        }
        mean.iter_mut().for_each(|mean| *mean /= n);
        let mut variance = vec![0.0; weights.len()];
        for vector in vectors {
            for ((variance, mean), &x) in variance.iter_mut().zip(&mean).zip(vector) {
                *variance += (f64::from(x) - mean) * (f64::from(x) - mean);
            }
        }
        let mut total = 0.0;
        let inverse_deviation = (variance.iter().zip(&mean).zip(weights))
            .map(|((variance, mean), weight)| {
                let deviation = (variance / n).sqrt();
                if deviation <= CONSTANT * mean.abs() || deviation < f64::from(f32::MIN_POSITIVE) {
                    return 0.0;
                }
                total += weight * weight;
                weight / deviation
            })
            .collect();
        Self { mean, inverse_deviation, gamma_scale: if total > 0.0 { 1.0 / total } else { 1.0 } }
    }

    pub(super) fn standardise(&self, vector: &[f32]) -> Vec<f64> {
        standardise(vector, &self.mean, &self.inverse_deviation)
    }
}

/// Weight of each dimension. At `balance` 0 all are 1; at 1 each block of dimensions, which is what stands before the
/// first `.` of a name, has the same sum of squares. The sum of all squares is about the number of dimensions.
pub(super) fn block_weights(names: &[String], balance: f64) -> Vec<f64> {
    let block = |name: &str| name.split_once('.').map_or(name, |(block, _)| block).to_owned();
    let mut sizes: BTreeMap<String, f64> = BTreeMap::new();
    names.iter().for_each(|name| *sizes.entry(block(name)).or_default() += 1.0);
    let even = names.len() as f64 / sizes.len().max(1) as f64;
    names.iter().map(|name| libm::pow(even / sizes[&block(name)], balance / 2.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dimension_gets_mean_0_and_variance_1_and_a_constant_is_left_out() {
        let rows: [&[f32]; 4] = [&[1.0, 7.1, 1e30], &[2.0, 7.1, -1e30], &[3.0, 7.1, 1e30], &[6.0, 7.1, -1e30]];
        let scaler = Scaler::fit(rows.into_iter(), &[1.0; 3]);
        let z: Vec<_> = rows.iter().map(|row| scaler.standardise(row)).collect();
        for dim in [0, 2] {
            assert!(z.iter().map(|z| z[dim]).sum::<f64>().abs() < 1e-12);
            assert!((z.iter().map(|z| z[dim] * z[dim]).sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
        }
        assert!(z.iter().all(|z| z[1] == 0.0));
        assert_eq!(scaler.gamma_scale, 0.5);
        assert_eq!(scaler.standardise(&[1.0, 9.9, 0.0])[1], 0.0);
    }

    #[test]
    fn balance_evens_out_blocks() {
        let names: Vec<String> = ["a.0", "a.1", "a.2", "b"].map(String::from).to_vec();
        assert_eq!(block_weights(&names, 0.0), [1.0; 4]);
        let squares: Vec<f64> = block_weights(&names, 1.0).iter().map(|weight| weight * weight).collect();
        assert!((squares[0] * 3.0 - squares[3]).abs() < 1e-12);
        assert!((squares.iter().sum::<f64>() - 4.0).abs() < 1e-12);
    }
}
