//! [`Vectors`] and [`Space`]: the distances of a [`NoveltyDetector`](models::conformal::NoveltyDetector) fitted on some clips, and those of
//! other clips, by inner products alone: a fit on fewer clips costs little.

use models::{
    conformal::{Distances, distances},
    svm::kernel::dot,
};
use rayon::prelude::*;

use super::eigen::{eigen, leading, shrunken_covariance};

/// Principal axes. Of 20, 40, 60, 120 and 200 on GTZAN's training part, 40 told left-out genres best (decision 0028).
const AXES: usize = 40;
/// Steps of the iteration that finds them, from nothing and from those of all clips.
const STEPS: usize = 25;
const FEWER_STEPS: usize = 4;
/// A dimension whose deviation is below this share of its magnitude is constant but for rounding.
const CONSTANT: f64 = 1e-7;

/// Standardised vectors with their inner products.
pub(super) struct Vectors {
    /// Mean of the first vectors, those that are fitted on.
    mean: Vec<f64>,
    /// 1 / deviation; 0 of a dimension that is constant.
    factor: Vec<f64>,
    rows: Vec<Vec<f64>>,
    /// Row-major `[n, n]`.
    products: Vec<f64>,
}

/// A space that was fitted on some vectors.
pub(super) struct Space {
    members: Vec<usize>,
    /// Mean of the inner products of each member with all of them, and the mean of those.
    of_member: Vec<f64>,
    of_all: f64,
    /// `[axis][member]`.
    basis: Vec<Vec<f64>>,
    /// `[axis of the result][axis]`.
    turn: Vec<Vec<f64>>,
    /// Row-major `[C, R]`, of the classes that have members, in their order.
    pub(super) centres: Vec<f64>,
    pub(super) classes: Vec<usize>,
    pub(super) precision: Vec<f64>,
}

/// What a detector keeps of a space.
pub(super) struct Axes {
    pub(super) mean: Vec<f32>,
    /// Row-major `[R, D]`.
    pub(super) axes: Vec<f32>,
}

impl Vectors {
    /// Standardises vectors of one length by the first `fitted` of them, of which there is one at least.
    pub(super) fn new(vectors: &[&[f32]], fitted: usize) -> Self {
        let dim = vectors.first().map_or(0, |vector| vector.len());
        let (mut mean, mut variance) = (vec![0.0; dim], vec![0.0; dim]);
        let n = fitted.max(1) as f64;
        for vector in &vectors[..fitted] {
            mean.iter_mut().zip(*vector).for_each(|(sum, &x)| *sum += f64::from(x) / n);
        }
        for vector in &vectors[..fitted] {
            for ((sum, mean), &x) in variance.iter_mut().zip(&mean).zip(*vector) {
                *sum += (f64::from(x) - mean) * (f64::from(x) - mean) / n;
            }
        }
        let factor: Vec<f64> = variance
            .iter()
            .zip(&mean)
            .map(|(variance, mean)| {
                let deviation = variance.sqrt();
                if deviation <= CONSTANT * mean.abs() || deviation < f64::from(f32::MIN_POSITIVE) {
                    0.0
                } else {
                    1.0 / deviation
                }
            })
            .collect();
        let standardise = |vector: &&[f32]| -> Vec<f64> {
            vector.iter().zip(&mean).zip(&factor).map(|((&x, mean), factor)| (f64::from(x) - mean) * factor).collect()
        };
        let rows: Vec<Vec<f64>> = vectors.par_iter().map(standardise).collect();
        let products = rows.par_iter().flat_map_iter(|a| rows.iter().map(move |b| dot(a, b))).collect();
        Self { mean, factor, rows, products }
    }

    fn product(&self, a: usize, b: usize) -> f64 {
        self.products[a * self.rows.len() + b]
    }

    /// The space of `members`, of the classes `labels`, one for each vector. From that of more of them, which has all members, it takes
    /// fewer steps.
    pub(super) fn space(&self, members: &[usize], labels: &[usize], of_more: Option<&Space>) -> Space {
        let n = members.len();
        let of_member: Vec<f64> = members
            .iter()
            .map(|&i| members.iter().map(|&j| self.product(i, j)).sum::<f64>() / n.max(1) as f64)
            .collect();
        let of_all = of_member.iter().sum::<f64>() / n.max(1) as f64;
        let mut centred = Vec::with_capacity(n * n);
        for (&i, mean_i) in members.iter().zip(&of_member) {
            centred.extend(
                members.iter().zip(&of_member).map(|(&j, mean_j)| self.product(i, j) - mean_i - mean_j + of_all),
            );
        }
        let start = of_more.map(|more| {
            let place = |member: &usize| more.members.iter().position(|other| other == member);
            let places: Vec<Option<usize>> = members.iter().map(place).collect();
            more.basis
                .iter()
                .map(|axis| places.iter().map(|place| place.map_or(0.0, |at| axis[at])).collect())
                .collect()
        });
        let steps = if start.is_some() { FEWER_STEPS } else { STEPS };
        let (values, vectors) = leading(&centred, n, AXES.min(n), start, steps);
        // An axis is the sum of the members, each times its number here.
        let basis: Vec<Vec<f64>> = vectors
            .iter()
            .zip(&values)
            .map(|(vector, value)| vector.iter().map(|x| x / value.sqrt()).collect())
            .collect();
        let rank = basis.len();
        let projected: Vec<Vec<f64>> =
            centred.chunks_exact(n.max(1)).map(|row| basis.iter().map(|axis| dot(row, axis)).collect()).collect();

        let mut classes: Vec<usize> = members.iter().map(|&member| labels[member]).collect();
        classes.sort_unstable();
        classes.dedup();
        let mean_of = |class: usize| {
            let of_class: Vec<&Vec<f64>> = members
                .iter()
                .zip(&projected)
                .filter(|(member, _)| labels[**member] == class)
                .map(|(_, row)| row)
                .collect();
            let mean = |i: usize| of_class.iter().map(|row| row[i]).sum::<f64>() / of_class.len() as f64;
            (0..rank).map(mean).collect::<Vec<f64>>()
        };
        let centres: Vec<Vec<f64>> = classes.iter().map(|&class| mean_of(class)).collect();
        let centre_of = |class: usize| &centres[classes.binary_search(&class).unwrap_or(0)];
        let within: Vec<Vec<f64>> = members
            .iter()
            .zip(&projected)
            .map(|(&member, row)| row.iter().zip(centre_of(labels[member])).map(|(x, centre)| x - centre).collect())
            .collect();
        let (variances, turns) = eigen(shrunken_covariance(&within, rank), rank);
        // Clips of a class have the identity for their covariance then.
        let least = 1e-9 * variances.first().copied().unwrap_or(1.0).max(f64::MIN_POSITIVE);
        let white: Vec<Vec<f64>> = turns
            .iter()
            .zip(&variances)
            .map(|(turn, variance)| turn.iter().map(|x| x / variance.max(least).sqrt()).collect())
            .collect();
        let apply =
            |matrix: &[Vec<f64>], row: &[f64]| matrix.iter().map(|of_axis| dot(of_axis, row)).collect::<Vec<f64>>();
        // The covariance of all clips in that frame.
        let total = shrunken_covariance(&projected, rank);
        let half: Vec<Vec<f64>> = white
            .iter()
            .map(|row| (0..rank).map(|i| (0..rank).map(|j| row[j] * total[j * rank + i]).sum()).collect())
            .collect();
        let in_white = half.iter().flat_map(|row| white.iter().map(move |other| dot(row, other))).collect();
        let (totals, turns) = eigen(in_white, rank);
        let turn: Vec<Vec<f64>> = turns
            .iter()
            .map(|turn| (0..rank).map(|i| turn.iter().zip(&white).map(|(x, row)| x * row[i]).sum()).collect())
            .collect();
        Space {
            centres: centres.iter().flat_map(|centre| apply(&turn, centre)).collect(),
            precision: totals.iter().map(|total| 1.0 / total.max(1e-9)).collect(),
            members: members.to_vec(),
            of_member,
            of_all,
            basis,
            turn,
            classes,
        }
    }

    /// The distances of a vector in a space; the class is an index of the labels.
    pub(super) fn distances(&self, space: &Space, vector: usize) -> Distances {
        let products: Vec<f64> = space.members.iter().map(|&member| self.product(vector, member)).collect();
        let mean = products.iter().sum::<f64>() / products.len().max(1) as f64;
        let centred: Vec<f64> = products
            .iter()
            .zip(&space.of_member)
            .map(|(product, of_member)| product - mean - of_member + space.of_all)
            .collect();
        let projected: Vec<f64> = space.basis.iter().map(|axis| dot(&centred, axis)).collect();
        let z: Vec<f64> = space.turn.iter().map(|turn| dot(turn, &projected)).collect();
        let found = distances(&z, &space.centres, &space.precision);
        Distances { class: space.classes.get(found.class).copied().unwrap_or(0), ..found }
    }

    /// The axes of a space for vectors as they are before they are standardised.
    pub(super) fn axes(&self, space: &Space) -> Axes {
        let dim = self.mean.len();
        let n = space.members.len().max(1) as f64;
        let mut centre = vec![0.0; dim];
        for &member in &space.members {
            centre.iter_mut().zip(&self.rows[member]).for_each(|(sum, x)| *sum += x / n);
        }
        let axis = |weights: &Vec<f64>| {
            let mut axis = vec![0.0; dim];
            for (&member, weight) in space.members.iter().zip(weights) {
                let row = self.rows[member].iter().zip(&centre);
                axis.iter_mut().zip(row).for_each(|(sum, (x, centre))| *sum += weight * (x - centre));
            }
            axis
        };
        let axes: Vec<Vec<f64>> = space.basis.par_iter().map(axis).collect();
        let turned = |turn: &Vec<f64>| -> Vec<f32> {
            let value = |i: usize| turn.iter().zip(&axes).map(|(weight, axis)| weight * axis[i]).sum::<f64>();
            (0..dim).map(|i| (value(i) * self.factor[i]) as f32).collect()
        };
        let mean = |i: usize| {
            let moved = if self.factor[i] > 0.0 { centre[i] / self.factor[i] } else { 0.0 };
            (self.mean[i] + moved) as f32
        };
        Axes { mean: (0..dim).map(mean).collect(), axes: space.turn.iter().flat_map(turned).collect() }
    }
}

#[cfg(test)]
mod tests {
    use data::rng::Rng;
    use models::conformal::project;

    use super::*;

    /// Clips of three classes in 60 dimensions.
    fn clips() -> (Vec<Vec<f32>>, Vec<usize>) {
        let mut rng = Rng::new(3);
        let centres: Vec<Vec<f64>> = (0..3).map(|_| (0..60).map(|_| 2.0 * rng.normal()).collect()).collect();
        let labels: Vec<usize> = (0..90).map(|i| i % 3).collect();
        let clip = |&label: &usize| centres[label].iter().map(|centre| (centre + rng.normal() + 5.0) as f32).collect();
        (labels.iter().map(clip).collect(), labels)
    }

    #[test]
    fn axes_give_the_distances_that_inner_products_give() {
        let (vectors, labels) = clips();
        let slices: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let all = Vectors::new(&slices, 80);
        let members: Vec<usize> = (0..80).filter(|i| i % 7 != 0).collect();
        let space = all.space(&members, &labels, None);
        let Axes { mean, axes } = all.axes(&space);
        for vector in [0, 7, 33, 81, 89] {
            let by_products = all.distances(&space, vector);
            let by_axes = distances(&project(&vectors[vector], &mean, &axes), &space.centres, &space.precision);
            assert_eq!(by_axes.class, by_products.class);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-3 * (1.0 + a.abs());
            assert!(close(by_axes.nearest, by_products.nearest), "{by_axes:?} {by_products:?}");
            assert!(close(by_axes.relative, by_products.relative), "{by_axes:?} {by_products:?}");
        }
    }

    /// `experiments/parity/novelty_golden.py`, which has principal axes of numpy and Ledoit and Wolf's covariances of scikit-learn.
    #[test]
    fn distances_are_those_of_numpy_and_scikit_learn() {
        let value = |i: f64, d: f64, label: usize| {
            let class = ((label * (d as usize + 1)) % 5) as f64;
            (libm::sin(0.7 * i + 1.3 * d + 0.11 * i * d) * (1.0 + d) + 2.0 * class) as f32
        };
        let labels: Vec<usize> = (0..66).map(|i| i % 3).collect();
        let vectors: Vec<Vec<f32>> = labels
            .iter()
            .zip(0..)
            .map(|(&label, i)| (0..12).map(|d| value(f64::from(i), f64::from(d), label)).collect())
            .collect();
        let slices: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let all = Vectors::new(&slices, 60);
        let space = all.space(&(0..60).collect::<Vec<_>>(), &labels, None);
        for (vector, class, nearest, relative) in [
            (0, 0, 12.43931920667908, 2.376837118196752),
            (31, 1, 12.631465821127641, 4.531958268129861),
            (60, 0, 12.148725495349868, 0.735362209252024),
            (61, 1, 13.616819610822484, 1.4793108774985146),
            (65, 2, 11.658939095099138, -0.8997875639965276),
        ] {
            let found = all.distances(&space, vector);
            assert_eq!(found.class, class);
            assert!((found.nearest - nearest).abs() < 1e-6, "{found:?} {nearest}");
            assert!((found.relative - relative).abs() < 1e-6, "{found:?} {relative}");
        }
    }

    #[test]
    fn clips_are_nearest_to_their_class_and_a_stranger_is_far_from_all() {
        let (mut vectors, mut labels) = clips();
        let mut rng = Rng::new(4);
        for _ in 0..30 {
            vectors.push((0..60).map(|_| (4.0 * rng.normal() + 5.0) as f32).collect());
            labels.push(0);
        }
        let slices: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let all = Vectors::new(&slices, 60);
        let members: Vec<usize> = (0..60).collect();
        let space = all.space(&members, &labels, None);
        let of = |range: std::ops::Range<usize>| range.map(|vector| all.distances(&space, vector)).collect::<Vec<_>>();
        let held_out = of(60..90);
        let right = held_out.iter().zip(60..).filter(|(found, vector)| found.class == labels[*vector]).count();
        assert!(right >= 28, "{right} of 30");
        let largest = held_out.iter().map(|found| found.nearest).fold(0.0, f64::max);
        let strangers = of(90..120).iter().filter(|found| found.nearest > largest).count();
        assert!(strangers >= 25, "{strangers} of 30 are further than {largest}");
    }
}
