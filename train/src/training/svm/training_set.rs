//! [`TrainingSet`]: what a machine is fitted on, and [`Scaler`]: how it is standardised.

use std::collections::{BTreeMap, BTreeSet};

use models::svm::standardise;

use super::error::{Error, Result};

/// A dimension whose deviation is below this share of its magnitude is constant but for rounding.
const CONSTANT: f64 = 1e-7;

/// Feature vectors of clips, with their labels and artists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingSet {
    /// One for each segment and each window; all of one size, finite.
    pub vectors: Vec<Vec<f32>>,
    /// For each vector, the index of its clip in `labels` and `groups`.
    pub clip: Vec<usize>,
    /// For each vector, whether clips are evaluated by it, or it is a window that is fitted on alone.
    pub evaluated: Vec<bool>,
    /// For each clip, its class, 0 to k − 1; every class has clips.
    pub labels: Vec<usize>,
    /// For each clip, what must not be on both sides of a fold: its artist, or its id where no artist is known.
    pub groups: Vec<String>,
    /// For each dimension of a vector, its name, such as `mfcc.3.mean`.
    pub names: Vec<String>,
}

impl TrainingSet {
    /// Classes: one more than the largest label.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |largest| largest + 1)
    }

    /// Some of the clips, in this order, with their segments.
    ///
    /// # Panics
    /// When one is not below the number of clips.
    #[must_use]
    pub fn some(&self, clips: &[usize]) -> Self {
        let mut segments = vec![Vec::new(); self.labels.len()];
        self.clip.iter().enumerate().for_each(|(segment, &clip)| segments[clip].push(segment));
        let mut some = Self { names: self.names.clone(), ..Self::default() };
        for (number, &clip) in clips.iter().enumerate() {
            some.labels.push(self.labels[clip]);
            some.groups.push(self.groups[clip].clone());
            for &segment in &segments[clip] {
                some.vectors.push(self.vectors[segment].clone());
                some.clip.push(number);
                some.evaluated.push(self.evaluated[segment]);
            }
        }
        some
    }

    /// Class of each segment.
    pub(super) fn segment_labels(&self) -> Vec<usize> {
        self.clip.iter().map(|&clip| self.labels[clip]).collect()
    }

    /// Refuses parts that do not fit together, and classes that cannot be evaluated.
    ///
    /// # Errors
    /// [`Error::Set`], [`Error::TooFewGroups`].
    pub fn validate(&self) -> Result<()> {
        let set = |problem: String| Err(Error::Set(problem));
        let (n_clips, n_segments, dim) = (self.labels.len(), self.vectors.len(), self.names.len());
        if self.groups.len() != n_clips {
            return set(format!("{n_clips} labels of clips, {} artists", self.groups.len()));
        }
        if self.clip.len() != n_segments {
            return set(format!("{n_segments} vectors, {} indices of their clips", self.clip.len()));
        }
        if self.evaluated.len() != n_segments {
            return set(format!("{n_segments} vectors, {} flags of which are evaluated", self.evaluated.len()));
        }
        if dim == 0 {
            return set("the vectors have no dimension".into());
        }
        let mut has_segment = vec![false; n_clips];
        for (index, (vector, &clip)) in self.vectors.iter().zip(&self.clip).enumerate() {
            if vector.len() != dim {
                return set(format!("vector {index} has {} dimensions, {dim} are named", vector.len()));
            }
            if let Some(position) = vector.iter().position(|value| !value.is_finite()) {
                return set(format!("vector {index}: `{}` is {}", self.names[position], vector[position]));
            }
            match has_segment.get_mut(clip) {
                Some(has) => *has |= self.evaluated[index],
                None => return set(format!("vector {index} is of clip {clip}, and there are {n_clips}")),
            }
        }
        if let Some(clip) = has_segment.iter().position(|has| !has) {
            return set(format!("clip {clip} has no vector that it is evaluated by"));
        }
        // More labels than clips cannot all have clips; and a table of them might not fit in memory.
        if self.n_classes() > n_clips {
            return set(format!("a label is {}, and there are {n_clips} clips", self.n_classes() - 1));
        }
        if self.n_classes() < 2 {
            return set(format!("{} class(es), at least 2 are needed", self.n_classes()));
        }
        for class in 0..self.n_classes() {
            let of_class = self.labels.iter().zip(&self.groups).filter(|(label, _)| **label == class);
            let groups: BTreeSet<_> = of_class.clone().map(|(_, group)| group).collect();
            if groups.len() < 2 {
                return Err(Error::TooFewGroups { class, clips: of_class.count(), groups: groups.len() });
            }
        }
        Ok(())
    }
}

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
