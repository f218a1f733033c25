//! Machines for many clips: a low-rank kernel map and linear machines on it.
//!
//! C. Williams and M. Seeger, "Using the Nyström method to speed up kernel machines", 2000. Of `m` clips, the landmarks, the kernel matrix
//! `K` is factored, `K = L·Lᵀ`. A clip whose similarities to the landmarks are `k` has the features `L⁻¹·k`: their inner products are
//! `kᵀ·K⁻¹·k'`, which is the kernel wherever the landmarks span it. The landmarks are drawn from the vectors of each label in proportion to
//! their number, so that a rare label has some too.
//!
//! A linear machine `w` on the features is a kernel machine whose support vectors are the landmarks, with the coefficients `L⁻ᵀ·w`: the
//! artifact and the prediction are those of exact machines.
//!
//! The features are taken relative to their mean over the landmarks. That changes the offset of a machine alone, and coordinate descent needs
//! a tenth of the steps: for a wide kernel all clips are alike but for small differences.

use models::svm::{
    Scheme, Sigmoid, Svm, SvmParameters,
    kernel::{dot, rbf},
    pairs,
};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

use data::rng::Rng;

use super::{
    binary::cholesky,
    cross_validation::{GridPoint, HeldOut, Progress, Space, deal, points},
    error::Result,
    linear::{BLOCK, Classified, Hinge, LinearSvm, PARTIAL, least_squares},
    products::{self, Panels},
    search::{ClassWeight, Hyperparameters, Search},
    training_set::{Scaler, TrainingSet},
};

/// Coordinate descent stops at a violation this many times that of the exact solver: liblinear's default is 100 times libsvm's.
const TOLERANCE_FACTOR: f64 = 10.0;

/// Landmarks in the standardised space of the segments that are fitted on.
struct Basis<'a> {
    set: &'a TrainingSet,
    scaler: Scaler,
    /// Segments, ascending.
    landmarks: Vec<usize>,
    panels: Panels,
    /// Square of each landmark.
    squares: Vec<f64>,
}

impl<'a> Basis<'a> {
    fn new(set: &'a TrainingSet, labels: &[usize], fitted: &[usize], balance: f64, n: usize, rng: Rng) -> Self {
        let scaler = Space::new(set, fitted, balance).scaler;
        let landmarks = choose(labels, fitted, n, rng);
        let z = standardised(&scaler, set, &landmarks);
        let dim = set.names.len();
        let squares = z.chunks_exact(dim).map(products::square).collect();
        Self { set, panels: Panels::new(&z, dim), scaler, landmarks, squares }
    }

    fn len(&self) -> usize {
        self.landmarks.len()
    }

    /// Squared distances of segments to the landmarks, row-major `[segments.len(), self.len()]`.
    fn distances(&self, segments: &[usize]) -> Vec<f64> {
        let (dim, n) = (self.set.names.len(), self.len());
        let mut distances = vec![0.0; segments.len() * n];
        distances.par_chunks_mut(BLOCK * n).zip(segments.par_chunks(BLOCK)).for_each(|(distances, segments)| {
            let z = standardised(&self.scaler, self.set, segments);
            products::add(&z, dim, &self.panels, distances);
            for (row, z) in distances.chunks_exact_mut(n).zip(z.chunks_exact(dim)) {
                let square = products::square(z);
                for (value, landmark) in row.iter_mut().zip(&self.squares) {
                    *value = (square + landmark - 2.0 * *value).max(0.0);
                }
            }
        });
        distances
    }
}

fn standardised(scaler: &Scaler, set: &TrainingSet, segments: &[usize]) -> Vec<f64> {
    segments.iter().flat_map(|&segment| scaler.standardise(&set.vectors[segment])).collect()
}

/// Draws `n` of the segments `fitted`, ascending: of each label in proportion to its number, and at least one. All of them if there are no more.
fn choose(labels: &[usize], fitted: &[usize], n: usize, mut rng: Rng) -> Vec<usize> {
    let n_classes = labels.iter().max().map_or(0, |largest| largest + 1);
    let mut of_class = vec![Vec::new(); n_classes];
    fitted.iter().for_each(|&segment| of_class[labels[segment]].push(segment));
    let ideal = |members: &[usize]| n as f64 * members.len() as f64 / fitted.len().max(1) as f64;
    let mut quotas: Vec<usize> =
        of_class.iter().map(|members| (ideal(members) as usize).max(1).min(members.len())).collect();
    let mut left = n.min(fitted.len()).saturating_sub(quotas.iter().sum());
    // The labels that rounding has cost most come first.
    let mut order: Vec<usize> = (0..n_classes).collect();
    let lost: Vec<f64> = of_class.iter().zip(&quotas).map(|(members, &quota)| ideal(members) - quota as f64).collect();
    order.sort_by(|&a, &b| lost[b].total_cmp(&lost[a]));
    while left > 0 {
        for &class in
            order.iter().filter(|&&class| quotas[class] < of_class[class].len()).take(left).collect::<Vec<_>>()
        {
            quotas[class] += 1;
            left -= 1;
        }
    }
    let mut chosen = Vec::with_capacity(n);
    for (mut members, quota) in of_class.into_iter().zip(quotas) {
        rng.shuffle(&mut members);
        chosen.extend(members.into_iter().take(quota));
    }
    chosen.sort_unstable();
    chosen
}

/// The kernel map of one width of the kernel.
struct KernelMap {
    gamma: f64,
    /// `L⁻¹`, lower triangular, row-major.
    inverse: Vec<f64>,
    panels: Panels,
    /// Mean of the features of the landmarks.
    centre: Vec<f64>,
}

impl KernelMap {
    /// `among` are the squared distances of the landmarks to each other.
    fn new(among: &[f64], n: usize, gamma: f64) -> Self {
        let factor: Vec<f64> = cholesky(n, |i, j| rbf(among[i * n + j], gamma)).into_iter().collect();
        let inverse = products::inverse_of_lower(&factor, n);
        let mean: Vec<f64> = (among.par_chunks_exact(n))
            .map(|row| row.iter().map(|&distance| rbf(distance, gamma)).sum::<f64>() / n as f64)
            .collect();
        let centre = inverse.chunks_exact(n).enumerate().map(|(i, row)| dot(&row[..=i], &mean[..=i])).collect();
        Self { gamma, panels: Panels::lower(&inverse, n), inverse, centre }
    }

    fn len(&self) -> usize {
        self.centre.len()
    }

    /// Numbers of a row of features.
    fn width(&self) -> usize {
        self.len().next_multiple_of(PARTIAL)
    }

    /// Features of segments from their distances to the landmarks, row-major `[n, width]`.
    fn features(&self, distances: &[f64]) -> Vec<f32> {
        let (n, width) = (self.len(), self.width());
        let mut features = vec![0.0; distances.len() / n * width];
        features.par_chunks_mut(BLOCK * width).zip(distances.par_chunks(BLOCK * n)).for_each(
            |(features, distances)| {
                let similar: Vec<f64> = distances.iter().map(|&distance| rbf(distance, self.gamma)).collect();
                let mut exact = vec![0.0; similar.len()];
                products::add(&similar, n, &self.panels, &mut exact);
                for (row, exact) in features.chunks_exact_mut(width).zip(exact.chunks_exact(n)) {
                    for ((feature, exact), centre) in row.iter_mut().zip(exact).zip(&self.centre) {
                        *feature = (exact - centre) as f32;
                    }
                }
            },
        );
        features
    }

    /// The coefficients of the landmarks, and rho, of a machine on the features.
    fn coefficients(&self, machine: &LinearSvm) -> (Vec<f64>, f64) {
        let n = self.len();
        let mut coefficients = vec![0.0; n];
        for (i, (row, &weight)) in self.inverse.chunks_exact(n).zip(&machine.weights).enumerate() {
            coefficients[..=i].iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
        (coefficients, dot(&machine.weights[..n], &self.centre) - machine.bias)
    }
}

/// Features of segments, with what is fitted on them.
struct Problem<'a> {
    features: &'a [f32],
    width: usize,
    /// Dimensions of the map.
    dim: usize,
    /// Class of each row.
    classes: Vec<usize>,
    n_classes: usize,
    class_weight: ClassWeight,
    tolerance: f64,
}

impl Problem<'_> {
    /// For each machine, one for each penalty; `None` for a pair of which one class has no rows.
    fn fit(&self, scheme: Scheme, penalties: &[f64], seed: u64) -> Vec<Option<Vec<LinearSvm>>> {
        match scheme {
            Scheme::OneVsOne => {
                let pairs: Vec<_> = pairs(self.n_classes).collect();
                let numbered = pairs.par_iter().enumerate();
                numbered.map(|(i, &pair)| self.pair(pair, penalties, Rng::stream(seed, i as u64))).collect()
            }
            Scheme::OneVsRest => {
                let mut machines: Vec<_> = (0..self.n_classes).map(|_| Vec::with_capacity(penalties.len())).collect();
                for of_penalty in self.against_the_rest(penalties) {
                    machines.iter_mut().zip(of_penalty).for_each(|(machines, machine)| machines.push(machine));
                }
                machines.into_iter().map(Some).collect()
            }
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.features[row * self.width..][..self.width]
    }

    fn pair(&self, pair: (usize, usize), penalties: &[f64], rng: Rng) -> Option<Vec<LinearSvm>> {
        let members: Vec<usize> =
            (0..self.classes.len()).filter(|&row| [pair.0, pair.1].contains(&self.classes[row])).collect();
        let first: Vec<bool> = members.iter().map(|&row| self.classes[row] == pair.0).collect();
        let (n, n_first) = (first.len() as f64, first.iter().filter(|first| **first).count() as f64);
        if n_first == 0.0 || n_first == n {
            return None;
        }
        let weights = self.class_weight.of_pair(n_first, n - n_first);
        let problem = Hinge {
            rows: members.iter().map(|&row| self.row(row)).collect(),
            first,
            penalties: penalties.iter().map(|c| (c * weights.0, c * weights.1)).collect(),
            tolerance: TOLERANCE_FACTOR * self.tolerance,
            rng,
        };
        Some(problem.fit())
    }

    /// For each penalty, a machine for each class.
    fn against_the_rest(&self, penalties: &[f64]) -> Vec<Vec<LinearSvm>> {
        let mut counts = vec![0.0_f64; self.n_classes];
        self.classes.iter().for_each(|&class| counts[class] += 1.0);
        let weights: Vec<f64> = counts
            .iter()
            .map(|count| match self.class_weight {
                ClassWeight::Equal => 1.0,
                ClassWeight::Balanced => self.classes.len() as f64 / (self.n_classes as f64 * count.max(1.0)),
            })
            .collect();
        let Self { features, width, dim, classes, n_classes, .. } = self;
        let rows = Classified { features, width: *width, dim: *dim, classes, n_classes: *n_classes, weights: &weights };
        least_squares(rows, penalties)
    }
}

/// As [`cross_validation::cross_validate`](super::cross_validation::cross_validate), on maps of `n_landmarks`.
pub(super) fn cross_validate(
    set: &TrainingSet,
    search: &Search,
    (n_landmarks, scheme): (usize, Scheme),
    seed: u64,
    progress: Progress<'_>,
) -> Result<(Vec<GridPoint>, usize)> {
    let labels = set.segment_labels();
    let repeats = deal(set, search, seed);
    let total = repeats.iter().map(Vec::len).sum::<usize>() * search.balance.len() * search.gamma.len();
    let (mut done, not_converged) = (0, AtomicUsize::new(0));
    let mut grid: Vec<GridPoint> = points(search).map(|point| (point, vec![Vec::new(); search.repeats])).collect();
    for (repeat, folds) in repeats.iter().enumerate() {
        for (fold, (held, fitted)) in folds.iter().enumerate() {
            for (b, &balance) in search.balance.iter().enumerate() {
                // Another draw for each fold: what is chosen does not hang on one.
                let stream = 1 + (repeat * search.folds + fold) as u64;
                let basis = Basis::new(set, &labels, fitted, balance, n_landmarks, Rng::stream(seed, stream));
                let among = basis.distances(&basis.landmarks);
                let (to_fitted, to_held) = (basis.distances(fitted), basis.distances(held));
                for (g, &gamma) in search.gamma.iter().enumerate() {
                    let map = KernelMap::new(&among, basis.len(), gamma * basis.scaler.gamma_scale);
                    let (features, of_held) = (map.features(&to_fitted), map.features(&to_held));
                    let problem = Problem {
                        features: &features,
                        width: map.width(),
                        dim: map.len(),
                        classes: fitted.iter().map(|&segment| labels[segment]).collect(),
                        n_classes: set.n_classes(),
                        class_weight: search.class_weight,
                        tolerance: search.tolerance,
                    };
                    let machines = problem.fit(scheme, &search.c, seed.wrapping_add(stream));
                    for c in 0..search.c.len() {
                        let decide = |machines: &Option<Vec<LinearSvm>>| {
                            let Some(machine) = machines.as_ref().map(|machines| &machines[c]) else {
                                return Vec::new();
                            };
                            not_converged.fetch_add(usize::from(!machine.converged), Ordering::Relaxed);
                            machine.decide(&of_held, map.width())
                        };
                        let decisions = machines.par_iter().map(decide).collect();
                        let point = (b * search.gamma.len() + g) * search.c.len() + c;
                        grid[point].1[repeat].push(HeldOut { segments: held.clone(), decisions });
                    }
                    done += 1;
                    progress(done, total);
                }
            }
        }
    }
    Ok((grid, not_converged.into_inner()))
}

/// Fits the machines on all segments; also gives the number of those that did not converge.
pub(super) fn fit_all(
    set: &TrainingSet,
    search: &Search,
    (n_landmarks, scheme): (usize, Scheme),
    chosen: &Hyperparameters,
    (sigmoids, temperature): (&[Sigmoid], f64),
    seed: u64,
) -> Result<(Svm, usize)> {
    let labels = set.segment_labels();
    let all: Vec<usize> = (0..set.vectors.len()).collect();
    let basis = Basis::new(set, &labels, &all, chosen.balance, n_landmarks, Rng::stream(seed, 0));
    let gamma = chosen.gamma * basis.scaler.gamma_scale;
    let map = KernelMap::new(&basis.distances(&basis.landmarks), basis.len(), gamma);
    let features = map.features(&basis.distances(&all));
    let problem = Problem {
        features: &features,
        width: map.width(),
        dim: map.len(),
        classes: labels,
        n_classes: set.n_classes(),
        class_weight: search.class_weight,
        tolerance: search.tolerance,
    };
    let machines: Vec<LinearSvm> = problem.fit(scheme, &[chosen.c], seed).into_iter().flatten().flatten().collect();
    let failed = machines.iter().filter(|machine| !machine.converged).count();
    let (coefficients, rho): (Vec<_>, Vec<_>) =
        machines.par_iter().map(|machine| map.coefficients(machine)).collect::<Vec<_>>().into_iter().unzip();
    let parts = SvmParameters {
        support_vectors: basis.landmarks.iter().flat_map(|&segment| set.vectors[segment].iter().copied()).collect(),
        mean: basis.scaler.mean,
        inverse_deviation: basis.scaler.inverse_deviation,
        gamma,
        coefficients: coefficients.concat(),
        rho,
        platt_a: sigmoids.iter().map(|sigmoid| sigmoid.a).collect(),
        platt_b: sigmoids.iter().map(|sigmoid| sigmoid.b).collect(),
        temperature,
    };
    Ok((Svm::of_scheme(parts, scheme)?, failed))
}

#[cfg(test)]
mod tests {
    use models::svm::kernel::squared_distance;
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// Segments of three labels, each around a place of its own.
    fn set(n: usize, seed: u64) -> TrainingSet {
        let mut rng = Rng::new(seed);
        let mut set = TrainingSet { names: (0..9).map(|i| format!("d.{i}")).collect(), ..TrainingSet::default() };
        for i in 0..n {
            let label = i % 3;
            set.vectors.push((0..9).map(|j| (rng.normal() + if j == label { 2.0 } else { 0.0 }) as f32).collect());
            set.labels.push(label);
            set.groups.push(format!("artist {i}"));
        }
        set.clip = (0..n).collect();
        set.evaluated = vec![true; n];
        set
    }

    #[test]
    fn distances_are_those_of_the_standardised_vectors() {
        let set = set(200, 1);
        let all: Vec<usize> = (0..200).collect();
        let basis = Basis::new(&set, &set.labels, &all, 0.0, 50, Rng::new(1));
        let distances = basis.distances(&all);
        let z = |segment: usize| basis.scaler.standardise(&set.vectors[segment]);
        for segment in [0, 7, 101, 199] {
            for (j, &landmark) in basis.landmarks.iter().enumerate() {
                let (found, expected) = (distances[segment * 50 + j], squared_distance(&z(segment), &z(landmark)));
                assert!((found - expected).abs() < 1e-10, "{found} {expected}");
                assert!(segment != landmark || found == 0.0);
            }
        }
    }

    #[test]
    fn with_every_segment_as_a_landmark_inner_products_are_the_kernel() {
        let set = set(120, 2);
        let all: Vec<usize> = (0..120).collect();
        let basis = Basis::new(&set, &set.labels, &all, 0.0, 120, Rng::new(1));
        let distances = basis.distances(&all);
        let map = KernelMap::new(&distances, 120, 0.05);
        let features = map.features(&distances);
        let uncentred = |row: usize| -> Vec<f64> {
            let row = &features[row * map.width()..][..120];
            row.iter().zip(&map.centre).map(|(&x, centre)| f64::from(x) + centre).collect()
        };
        for (i, j) in [(0, 0), (3, 99), (119, 4), (50, 51)] {
            let (product, kernel) = (dot(&uncentred(i), &uncentred(j)), rbf(distances[i * 120 + j], 0.05));
            assert!((product - kernel).abs() < 1e-5, "{product} {kernel}");
        }
    }

    #[test]
    fn coefficients_of_the_landmarks_decide_as_the_machine_on_the_features() {
        let set = set(150, 3);
        let all: Vec<usize> = (0..150).collect();
        let basis = Basis::new(&set, &set.labels, &all, 0.0, 40, Rng::new(1));
        let map = KernelMap::new(&basis.distances(&basis.landmarks), 40, 0.1);
        let distances = basis.distances(&all);
        let features = map.features(&distances);
        let mut rng = Rng::new(9);
        let mut weights: Vec<f64> = (0..40).map(|_| rng.normal()).collect();
        weights.resize(map.width(), 0.0);
        let machine = LinearSvm { weights, bias: 0.3, converged: true };
        let (coefficients, rho) = map.coefficients(&machine);
        for (decision, distances) in machine.decide(&features, map.width()).iter().zip(distances.chunks_exact(40)) {
            let similar: Vec<f64> = distances.iter().map(|&distance| rbf(distance, 0.1)).collect();
            assert!((dot(&coefficients, &similar) - rho - decision).abs() < 1e-4);
        }
    }

    proptest! {
        #[test]
        fn landmarks_are_drawn_of_every_label(counts in prop::collection::vec(0_usize..40, 1..12), n in 1_usize..200, seed: u64) {
            let labels: Vec<usize> = counts.iter().enumerate().flat_map(|(label, &n)| std::iter::repeat_n(label, n)).collect();
            let all: Vec<usize> = (0..labels.len()).collect();
            let drawn = choose(&labels, &all, n, Rng::new(seed));
            prop_assert!(drawn.is_sorted_by(|a, b| a < b));
            let there = counts.iter().filter(|count| **count > 0).count();
            // As many as were asked for, and more only where a label would have none.
            prop_assert!((n.min(labels.len())..=n.min(labels.len()) + there).contains(&drawn.len()));
            for (label, &count) in counts.iter().enumerate() {
                let of_label = drawn.iter().filter(|&&segment| labels[segment] == label).count();
                prop_assert!(of_label >= count.min(1));
                if n >= labels.len() {
                    prop_assert_eq!(of_label, count);
                }
            }
        }
    }
}
