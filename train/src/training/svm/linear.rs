//! Linear machines on rows of features: the hinge loss by dual coordinate descent, and least squares for many classes at once.
//!
//! [`Hinge`]: C.-J. Hsieh et al., "A dual coordinate descent method for large-scale linear SVM", ICML 2008, algorithm 3 (L1 loss, with
//! shrinking), which is what liblinear and scikit-learn's `LinearSVC(loss="hinge")` do.
//!
//! [`least_squares`]: J. Suykens and J. Vandewalle, "Least squares support vector machine classifiers", 1999, in the primal. R. Rifkin and
//! A. Klautau, "In defense of one-vs-all classification", JMLR 5, 2004: one machine for each class against the rest is as accurate. All
//! classes and all penalties share one matrix, so a thousand labels cost little more than ten.

use data::rng::Rng;
use rayon::prelude::*;
use simd::{Simd, WithSimd};

use super::{binary::cholesky, products};

/// A row of features is zeros from its end to a multiple of this: partial sums of an inner product, four vectors of the widest level.
pub(super) const PARTIAL: usize = 64;

/// Passes over the rows that are left before a machine counts as not converged; liblinear's limit.
const MAX_PASSES: usize = 1000;

/// A linear machine: `f = weights · x + bias`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LinearSvm {
    pub(super) weights: Vec<f64>,
    pub(super) bias: f64,
    /// Whether the solver reached its tolerance.
    pub(super) converged: bool,
}

impl LinearSvm {
    /// Decision values of rows of features, each of `width` numbers.
    pub(super) fn decide(&self, features: &[f32], width: usize) -> Vec<f64> {
        let mut weights: Vec<f32> = self.weights.iter().map(|&weight| weight as f32).collect();
        weights.resize(width, 0.0);
        simd::dispatch(Decide { weights: &weights, bias: self.bias, features })
    }
}

struct Decide<'a> {
    weights: &'a [f32],
    bias: f64,
    features: &'a [f32],
}

impl WithSimd for Decide<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let Self { weights, bias, features } = self;
        features.chunks_exact(weights.len()).map(|row| f64::from(dot(simd, row, weights)) + bias).collect()
    }
}

/// A binary problem with the hinge loss: least `‖w‖² / 2 + b² / (2 · scale²) + Σ_i C_i · max(0, 1 − y_i · f_i)`.
///
/// The offset has a penalty, as in liblinear, but a small one: `scale²` is the mean square of a row.
pub(super) struct Hinge<'a> {
    /// Rows of one width, a multiple of [`PARTIAL`].
    pub(super) rows: Vec<&'a [f32]>,
    /// Which rows are of the first class.
    pub(super) first: Vec<bool>,
    /// Penalties of a row of the first and of the second class. One machine is fitted for each, from the one before.
    pub(super) penalties: Vec<(f64, f64)>,
    /// Largest violation of the optimality conditions.
    pub(super) tolerance: f64,
    /// Deals the order in which the rows are visited.
    pub(super) rng: Rng,
}

impl Hinge<'_> {
    pub(super) fn fit(self) -> Vec<LinearSvm> {
        simd::dispatch(self)
    }
}

impl WithSimd for Hinge<'_> {
    type Output = Vec<LinearSvm>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<LinearSvm> {
        let Self { rows, first, penalties, tolerance, mut rng } = self;
        let n = rows.len();
        let width = rows.first().map_or(PARTIAL, |row| row.len());
        let squares: Vec<f64> = rows.iter().map(|row| f64::from(dot(simd, row, row))).collect();
        let scale_squared = (squares.iter().sum::<f64>() / n.max(1) as f64).max(f64::from(f32::MIN_POSITIVE));
        let signs: Vec<f64> = first.iter().map(|&first| if first { 1.0 } else { -1.0 }).collect();
        let mut alpha = vec![0.0_f64; n];
        let mut weights = vec![0.0_f32; width];
        let mut bias = 0.0_f64;
        let mut order: Vec<usize> = (0..n).collect();
        let mut machines = Vec::with_capacity(penalties.len());
        for (c_first, c_second) in penalties {
            let most = |i: usize| if first[i] { c_first } else { c_second };
            // What the last penalty left is a start for a larger one.
            if alpha.iter().enumerate().any(|(i, &alpha)| alpha > most(i)) {
                alpha.fill(0.0);
                weights.fill(0.0);
                bias = 0.0;
            }
            let mut active = n;
            let (mut upper, mut lower) = (f64::INFINITY, f64::NEG_INFINITY);
            let mut converged = false;
            for _ in 0..MAX_PASSES {
                let (mut highest, mut lowest) = (f64::NEG_INFINITY, f64::INFINITY);
                rng.shuffle(&mut order[..active]);
                let mut position = 0;
                while position < active {
                    let i = order[position];
                    let gradient = signs[i] * (f64::from(dot(simd, rows[i], &weights)) + bias) - 1.0;
                    let limit = most(i);
                    // A multiplier that will stay at its bound is left out until the others are done.
                    let shrinks = (alpha[i] == 0.0 && gradient > upper) || (alpha[i] == limit && gradient < lower);
                    if shrinks {
                        active -= 1;
                        order.swap(position, active);
                        continue;
                    }
                    position += 1;
                    let projected = if alpha[i] == 0.0 {
                        gradient.min(0.0)
                    } else if alpha[i] == limit {
                        gradient.max(0.0)
                    } else {
                        gradient
                    };
                    highest = highest.max(projected);
                    lowest = lowest.min(projected);
                    if projected.abs() > 1e-12 {
                        let before = alpha[i];
                        alpha[i] = (before - gradient / (squares[i] + scale_squared)).clamp(0.0, limit);
                        let step = (alpha[i] - before) * signs[i];
                        add_scaled(simd, step as f32, rows[i], &mut weights);
                        bias += step * scale_squared;
                    }
                }
                if highest - lowest <= tolerance {
                    if active == n {
                        converged = true;
                        break;
                    }
                    active = n;
                    (upper, lower) = (f64::INFINITY, f64::NEG_INFINITY);
                    continue;
                }
                upper = if highest <= 0.0 { f64::INFINITY } else { highest };
                lower = if lowest >= 0.0 { f64::NEG_INFINITY } else { lowest };
            }
            // Anew from the multipliers: single precision has rounded at every step.
            let mut exact = vec![0.0_f64; width];
            let mut total = 0.0;
            for ((row, alpha), sign) in rows.iter().zip(&alpha).zip(&signs).filter(|((_, alpha), _)| **alpha > 0.0) {
                let factor = alpha * sign;
                total += factor;
                exact.iter_mut().zip(*row).for_each(|(sum, &x)| *sum += factor * f64::from(x));
            }
            weights.iter_mut().zip(&exact).for_each(|(weight, &exact)| *weight = exact as f32);
            bias = total * scale_squared;
            machines.push(LinearSvm { weights: exact, bias, converged });
        }
        machines
    }
}

/// `Σ_i a_i · b_i`, kept in [`PARTIAL`] partial sums, one for each index modulo their number, which are joined as a tree.
#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    const VECTORS: usize = 4;
    let mut partial = [0.0_f32; PARTIAL];
    let ((a, _), (b, _)) = (a.as_chunks::<PARTIAL>(), b.as_chunks::<PARTIAL>());
    for group in 0..PARTIAL / (VECTORS * S::F32_LANES) {
        let vectors = VECTORS * group..VECTORS * (group + 1);
        let mut sums = [simd.splat_f32s(0.0); VECTORS];
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (&S::as_simd_f32s(a).0[vectors.clone()], &S::as_simd_f32s(b).0[vectors.clone()]);
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                *sum = simd.add_f32s(*sum, simd.mul_f32s(a, b));
            }
        }
        S::as_mut_simd_f32s(&mut partial).0[vectors].copy_from_slice(&sums);
    }
    let mut half = PARTIAL / 2;
    while half > 0 {
        let (low, high) = partial.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    partial[0]
}

/// `y += factor · x`.
#[inline(always)]
fn add_scaled<S: Simd>(simd: S, factor: f32, x: &[f32], y: &mut [f32]) {
    let factor = simd.splat_f32s(factor);
    let ((x, _), (y, _)) = (S::as_simd_f32s(x), S::as_mut_simd_f32s(y));
    for (y, &x) in y.iter_mut().zip(x) {
        *y = simd.add_f32s(*y, simd.mul_f32s(factor, x));
    }
}

/// Rows of features with their classes.
#[derive(Clone, Copy)]
pub(super) struct Classified<'a> {
    /// `[n, width]`, row-major, of which the first `dim` of each row are used.
    pub(super) features: &'a [f32],
    pub(super) width: usize,
    pub(super) dim: usize,
    /// Class of each row.
    pub(super) classes: &'a [usize],
    pub(super) n_classes: usize,
    /// What a row of each class counts.
    pub(super) weights: &'a [f64],
}

/// For each penalty, a machine for each class against the rest: least `‖w‖² / 2 + C / 2 · Σ_i weight_i · (y_i − w · x_i − b)²` with
/// `y = 1` for the class and −1 for others. The offset has no penalty.
pub(super) fn least_squares(rows: Classified<'_>, penalties: &[f64]) -> Vec<Vec<LinearSvm>> {
    let Classified { features, width, dim, classes, n_classes, weights } = rows;
    let (mut gram, mut of_class) = (vec![0.0; dim * dim], vec![0.0; n_classes * dim]);
    let mut mass = vec![0.0; n_classes];
    /// Rows that are added at a time.
    const CHUNK: usize = 512;
    for (features, classes) in features.chunks(CHUNK * width).zip(classes.chunks(CHUNK)) {
        let n = classes.len();
        let (mut plain, mut weighted) = (vec![0.0; dim * n], vec![0.0; dim * n]);
        for (i, (row, &class)) in features.chunks_exact(width).zip(classes).enumerate() {
            mass[class] += weights[class];
            let sums = &mut of_class[class * dim..(class + 1) * dim];
            for (j, (&x, sum)) in row.iter().zip(sums).enumerate() {
                let x = f64::from(x);
                plain[j * n + i] = x;
                weighted[j * n + i] = weights[class] * x;
                *sum += weights[class] * x;
            }
        }
        let panels = products::Panels::new(&plain, n);
        let rows = weighted.par_chunks(BLOCK * n);
        gram.par_chunks_mut(BLOCK * dim).zip(rows).for_each(|(gram, rows)| products::add(rows, n, &panels, gram));
    }
    let total: f64 = mass.iter().sum();
    let mut mean = vec![0.0; dim];
    for sums in of_class.chunks_exact(dim) {
        mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum);
    }
    mean.iter_mut().for_each(|mean| *mean /= total);
    let fit = |&c: &f64| -> Vec<LinearSvm> {
        // Of rows without their mean, which takes the offset out of the problem.
        let factor =
            cholesky(dim, |i, j| gram[i * dim + j] - total * mean[i] * mean[j] + if i == j { 1.0 / c } else { 0.0 });
        let factor: Vec<f64> = factor.into_iter().collect();
        let machine = |class: usize| {
            let sums = &of_class[class * dim..(class + 1) * dim];
            // Σ s·y = 2·mass − total, and Σ s·y·x = 2·sums − total·mean.
            let target = 2.0 * mass[class] / total - 1.0;
            let right = sums.iter().zip(&mean).map(|(sum, mean)| 2.0 * sum - total * mean * (1.0 + target)).collect();
            let mut weights = solve(&factor, dim, right);
            let bias = target - models::svm::kernel::dot(&weights, &mean);
            weights.resize(width, 0.0);
            LinearSvm { weights, bias, converged: true }
        };
        (0..n_classes).into_par_iter().map(machine).collect()
    };
    penalties.par_iter().map(fit).collect()
}

/// Rows of a result that a thread computes at once; a multiple of what a product computes together.
pub(in crate::training) const BLOCK: usize = 96;

/// `x` of `L · Lᵀ · x = right`.
pub(in crate::training) fn solve(factor: &[f64], n: usize, right: Vec<f64>) -> Vec<f64> {
    let mut x = right;
    for (i, row) in factor.chunks_exact(n).enumerate() {
        x[i] = (x[i] - models::svm::kernel::dot(&row[..i], &x[..i])) / row[i];
    }
    for (i, row) in factor.chunks_exact(n).enumerate().rev() {
        let value = x[i] / row[i];
        x[i] = value;
        x[..i].iter_mut().zip(row).for_each(|(x, factor)| *x -= value * factor);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two clouds that overlap, in rows of 64 numbers of which 5 are used.
    fn clouds(n: usize, seed: u64) -> (Vec<f32>, Vec<bool>) {
        let mut rng = Rng::new(seed);
        let mut rows = vec![0.0; n * PARTIAL];
        let first: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
        for (row, &first) in rows.chunks_exact_mut(PARTIAL).zip(&first) {
            for (j, x) in row.iter_mut().take(5).enumerate() {
                let centre = if first && j < 2 { 0.8 } else { 0.0 };
                *x = (centre + 0.6 * rng.normal()) as f32;
            }
        }
        (rows, first)
    }

    fn hinge<'a>(rows: &'a [f32], first: &[bool], penalties: &[f64], tolerance: f64) -> Hinge<'a> {
        Hinge {
            rows: rows.chunks_exact(PARTIAL).collect(),
            first: first.to_vec(),
            penalties: penalties.iter().map(|&c| (c, c)).collect(),
            tolerance,
            rng: Rng::new(1),
        }
    }

    /// The primal objective, with the penalty of the offset.
    fn objective(machine: &LinearSvm, rows: &[f32], first: &[bool], c: f64) -> f64 {
        let scale_squared = rows.iter().map(|x| f64::from(x * x)).sum::<f64>() / first.len() as f64;
        let norm: f64 = machine.weights.iter().map(|w| w * w).sum();
        let decisions = machine.decide(rows, PARTIAL);
        let losses = decisions.iter().zip(first).map(|(f, &first)| (1.0 - if first { *f } else { -f }).max(0.0));
        norm / 2.0 + machine.bias * machine.bias / (2.0 * scale_squared) + c * losses.sum::<f64>()
    }

    #[test]
    fn no_step_away_from_the_optimum_lowers_the_objective() {
        let (rows, first) = clouds(240, 1);
        for (machine, c) in hinge(&rows, &first, &[0.1, 1.0, 10.0], 1e-3).fit().iter().zip([0.1, 1.0, 10.0]) {
            assert!(machine.converged);
            let least = objective(machine, &rows, &first, c);
            for axis in 0..6 {
                for step in [-0.01, 0.01] {
                    let mut moved = machine.clone();
                    match axis {
                        5 => moved.bias += step,
                        _ => moved.weights[axis] += step,
                    }
                    assert!(objective(&moved, &rows, &first, c) > least * (1.0 - 1e-5), "C {c}, axis {axis}");
                }
            }
            assert!(machine.weights[5..].iter().all(|weight| *weight == 0.0));
        }
    }

    #[test]
    fn a_start_from_a_smaller_penalty_ends_at_the_same_machine() {
        let (rows, first) = clouds(240, 2);
        let path = hinge(&rows, &first, &[0.1, 0.5, 5.0], 1e-6).fit();
        let alone = hinge(&rows, &first, &[5.0], 1e-6).fit();
        let back = hinge(&rows, &first, &[50.0, 5.0], 1e-6).fit();
        for other in [&alone[0], &back[1]] {
            for (a, b) in path[2].weights.iter().zip(&other.weights) {
                assert!((a - b).abs() < 1e-3, "{a} {b}");
            }
            assert!((path[2].bias - other.bias).abs() < 1e-3);
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        let (rows, first) = clouds(150, 3);
        let all: Vec<_> = simd::Level::available()
            .into_iter()
            .map(|level| {
                simd::with_level(level, || {
                    let machines = hinge(&rows, &first, &[1.0, 8.0], 1e-3).fit();
                    let decisions: Vec<_> = machines.iter().map(|machine| machine.decide(&rows, PARTIAL)).collect();
                    (machines, decisions)
                })
            })
            .collect();
        assert!(all.iter().all(|one| *one == all[0]));
    }

    #[test]
    fn least_squares_are_least() {
        let (rows, first) = clouds(90, 4);
        // Three classes, the second counting double.
        let classes: Vec<usize> = (0..90).map(|i| if first[i] { 0 } else { 1 + i % 2 }).collect();
        let weights = [1.0, 2.0, 1.0];
        let rows_of =
            Classified { features: &rows, width: PARTIAL, dim: 5, classes: &classes, n_classes: 3, weights: &weights };
        for (machines, c) in least_squares(rows_of, &[0.2, 3.0]).iter().zip([0.2, 3.0]) {
            for (class, machine) in machines.iter().enumerate() {
                let objective = |machine: &LinearSvm| {
                    let error = |(row, &of): (&[f32], &usize)| {
                        let f: f64 = row.iter().zip(&machine.weights).map(|(&x, w)| f64::from(x) * w).sum();
                        let error = if of == class { 1.0 } else { -1.0 } - f - machine.bias;
                        weights[of] * error * error
                    };
                    let norm: f64 = machine.weights.iter().map(|w| w * w).sum();
                    norm / 2.0 + c / 2.0 * rows.chunks_exact(PARTIAL).zip(&classes).map(error).sum::<f64>()
                };
                let least = objective(machine);
                for axis in 0..6 {
                    for step in [-1e-3, 1e-3] {
                        let mut moved = machine.clone();
                        match axis {
                            5 => moved.bias += step,
                            _ => moved.weights[axis] += step,
                        }
                        assert!(objective(&moved) > least, "C {c}, class {class}, axis {axis}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_class_without_rows_is_never_claimed() {
        let (rows, first) = clouds(60, 5);
        let classes: Vec<usize> = first.iter().map(|&first| usize::from(first)).collect();
        let rows_of =
            Classified { features: &rows, width: PARTIAL, dim: 5, classes: &classes, n_classes: 3, weights: &[1.0; 3] };
        let machines = least_squares(rows_of, &[1.0]);
        assert!(machines[0][2].decide(&rows, PARTIAL).iter().all(|f| (f + 1.0).abs() < 1e-6));
    }
}
