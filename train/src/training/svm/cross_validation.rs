//! Decision values of clips that a machine has not seen, how good each point of the grid is by them, and the temperature that makes
//! their probabilities better.

use std::sync::atomic::{AtomicUsize, Ordering};

use models::svm::{
    Scheme, Sigmoid, couple,
    kernel::{rbf, squared_distances},
    normalised_odds, pairs, tempered,
};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    binary::{BinaryProblem, BinarySvm},
    error::{Error, Result},
    search::{Calibration, Hyperparameters, Search},
    training_set::{Scaler, TrainingSet, block_weights},
};
use crate::training::golden;

/// Least probability that counts in a log-loss.
const MIN_PROBABILITY: f64 = 1e-15;

/// Called with the number of steps that are done, and of all.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Decision values of the held-out segments of one fold, at one point of the grid.
#[derive(Clone, Debug)]
pub(super) struct HeldOut {
    /// Indices of the segments.
    pub(super) segments: Vec<usize>,
    /// For each machine, the value of each of the segments; empty for a pair of which one class was not among the segments
    /// that were fitted on.
    pub(super) decisions: Vec<Vec<f64>>,
}

/// One point of the grid: for each repeat of the cross-validation, each of its folds.
pub(super) type GridPoint = (Hyperparameters, Vec<Vec<HeldOut>>);

/// For each repeat, each of its folds: the segments that are held out and evaluated, and those that are fitted on.
pub(super) fn deal(set: &TrainingSet, search: &Search, seed: u64) -> Vec<Vec<(Vec<usize>, Vec<usize>)>> {
    let cut = |fold: Vec<usize>| {
        let is_held_out: Vec<bool> = (0..set.labels.len()).map(|clip| fold.binary_search(&clip).is_ok()).collect();
        let (mut held, fitted): (Vec<usize>, Vec<usize>) =
            (0..set.vectors.len()).partition(|&segment| is_held_out[set.clip[segment]]);
        held.retain(|&segment| set.evaluated[segment]);
        (held, fitted)
    };
    let repeat = |repeat: usize| {
        let folds = data::grouped_kfold(&set.labels, &set.groups, search.folds, seed.wrapping_add(repeat as u64));
        folds.into_iter().map(cut).collect()
    };
    (0..search.repeats).map(repeat).collect()
}

/// Fits every point of the grid on every fold, and evaluates it by the clips that are held out. Points are in the order balance, gamma, C.
pub(super) fn cross_validate(
    set: &TrainingSet,
    search: &Search,
    seed: u64,
    progress: Progress<'_>,
) -> Result<(Vec<GridPoint>, usize)> {
    let labels = set.segment_labels();
    let n_pairs = pairs(set.n_classes()).count();
    let repeats = deal(set, search, seed);
    let total = repeats.iter().map(Vec::len).sum::<usize>() * search.balance.len() * search.gamma.len() * n_pairs;
    let (done, not_converged) = (AtomicUsize::new(0), AtomicUsize::new(0));

    let mut grid: Vec<GridPoint> = points(search).map(|point| (point, vec![Vec::new(); search.repeats])).collect();
    for (repeat, folds) in repeats.iter().enumerate() {
        for (held, fitted) in folds {
            for (b, &balance) in search.balance.iter().enumerate() {
                let space = Space::new(set, fitted, balance);
                let z = |segments: &[usize]| space.standardise(set, segments);
                let (z_fitted, z_held) = (z(fitted), z(held));
                let among_fitted = distances(&z_fitted, &z_fitted);
                let to_held = distances(&z_held, &z_fitted);
                // [gamma][pair] → for each C, the decision values
                let fits: Vec<Vec<Vec<f64>>> = (0..search.gamma.len() * n_pairs)
                    .into_par_iter()
                    .map(|index| {
                        let gamma = search.gamma[index / n_pairs] * space.scaler.gamma_scale;
                        let pair = pairs(set.n_classes()).nth(index % n_pairs).expect("one of them");
                        let machines = fit_pair(pair, fitted, &labels, search, |i, j| rbf(among_fitted[i][j], gamma))?;
                        let Some((members, machines)) = machines else { return Ok(vec![Vec::new(); search.c.len()]) };
                        let kernel: Vec<Vec<f64>> =
                            to_held.iter().map(|row| members.iter().map(|&m| rbf(row[m], gamma)).collect()).collect();
                        let decide = |svm: &BinarySvm| {
                            kernel
                                .iter()
                                .map(|row| models::svm::kernel::dot(&svm.coefficients, row) - svm.rho)
                                .collect()
                        };
                        let failed = machines.iter().filter(|svm| !svm.converged).count();
                        not_converged.fetch_add(failed, Ordering::Relaxed);
                        progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
                        Ok(machines.iter().map(decide).collect())
                    })
                    .collect::<Result<_>>()?;
                for g in 0..search.gamma.len() {
                    for c in 0..search.c.len() {
                        let decisions = fits[g * n_pairs..(g + 1) * n_pairs].iter().map(|fit| fit[c].clone()).collect();
                        let point = (b * search.gamma.len() + g) * search.c.len() + c;
                        grid[point].1[repeat].push(HeldOut { segments: held.clone(), decisions });
                    }
                }
            }
        }
    }
    Ok((grid, not_converged.into_inner()))
}

/// The points of the grid, in the order balance, gamma, C.
pub(super) fn points(search: &Search) -> impl Iterator<Item = Hyperparameters> {
    search.balance.iter().flat_map(move |&balance| {
        search.gamma.iter().flat_map(move |&gamma| search.c.iter().map(move |&c| Hyperparameters { c, gamma, balance }))
    })
}

/// The standardised space of the segments that are fitted on.
pub(super) struct Space {
    pub(super) scaler: Scaler,
}

impl Space {
    pub(super) fn new(set: &TrainingSet, fitted: &[usize], balance: f64) -> Self {
        let vectors = fitted.iter().map(|&segment| set.vectors[segment].as_slice());
        Self { scaler: Scaler::fit(vectors, &block_weights(&set.names, balance)) }
    }

    pub(super) fn standardise(&self, set: &TrainingSet, segments: &[usize]) -> Vec<Vec<f64>> {
        segments.iter().map(|&segment| self.scaler.standardise(&set.vectors[segment])).collect()
    }
}

/// Squared distances, `[a.len()][b.len()]`.
pub(super) fn distances(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
    // So many vectors at once as a cache holds: without blocks, memory is read through for each of `a`.
    const BLOCK: usize = 16;
    let b: Vec<&[f64]> = b.iter().map(Vec::as_slice).collect();
    let of_block = |block: &[Vec<f64>]| {
        let mut distances = vec![Vec::with_capacity(b.len()); block.len()];
        for b in b.chunks(BLOCK) {
            for (distances, a) in distances.iter_mut().zip(block) {
                distances.extend(squared_distances(a, b));
            }
        }
        distances
    };
    a.par_chunks(BLOCK).flat_map_iter(of_block).collect()
}

/// Positions in `fitted` of the segments of a pair of classes, and one machine for each C of the search; `None` when a
/// class is not among them.
pub(super) fn fit_pair(
    pair: (usize, usize),
    fitted: &[usize],
    labels: &[usize],
    search: &Search,
    kernel: impl Fn(usize, usize) -> f64,
) -> Result<Option<(Vec<usize>, Vec<BinarySvm>)>> {
    let is_member = |&position: &usize| [pair.0, pair.1].contains(&labels[fitted[position]]);
    let members: Vec<usize> = (0..fitted.len()).filter(is_member).collect();
    let first: Vec<bool> = members.iter().map(|&member| labels[fitted[member]] == pair.0).collect();
    let (n, n_first) = (first.len() as f64, first.iter().filter(|first| **first).count() as f64);
    if n_first == 0.0 || n_first == n {
        return Ok(None);
    }
    let weights = search.class_weight.of_pair(n_first, n - n_first);
    let problem = BinaryProblem::new(first, |i, j| kernel(members[i], members[j]));
    let fit = |c: &f64| problem.fit((c * weights.0, c * weights.1), search.tolerance);
    let machines = search.c.iter().map(fit).collect::<Result<_, _>>();
    Ok(Some((members, machines.map_err(|source| Error::Solver { pair, source })?)))
}

/// For each pair of classes, the decision values of its segments in `folds`, with whether each is of the first class.
fn platt_samples<'a>(
    folds: impl Iterator<Item = &'a HeldOut>,
    labels: &[usize],
    n_classes: usize,
) -> Vec<Vec<(f64, bool)>> {
    let mut samples = vec![Vec::new(); pairs(n_classes).count()];
    for held in folds {
        for ((samples, (a, b)), decisions) in samples.iter_mut().zip(pairs(n_classes)).zip(&held.decisions) {
            let of_pair =
                held.segments.iter().zip(decisions).filter(|(segment, _)| [a, b].contains(&labels[**segment]));
            samples.extend(of_pair.map(|(&segment, &decision)| (decision, labels[segment] == a)));
        }
    }
    samples
}

/// The sigmoid of each pair, fitted to its samples or to those of all pairs.
///
/// A shared slope has no offset: each value counts for its class and, mirrored, against the other. A pair of labels has
/// some hundred clips of a few artists, too few for two parameters of its own: on GTZAN the shared slope has the better
/// log-loss and accuracy (docs/decisions/0003-svm-calibration.md).
fn sigmoids_of_pairs(samples: &[Vec<(f64, bool)>], calibration: Calibration) -> Vec<Sigmoid> {
    match calibration {
        Calibration::EachPair => samples.iter().map(|samples| Sigmoid::fit(samples)).collect(),
        Calibration::SharedSlope => {
            let both: Vec<_> = samples.iter().flatten().flat_map(|&(f, first)| [(f, first), (-f, !first)]).collect();
            vec![Sigmoid { b: 0.0, ..Sigmoid::fit(&both) }; samples.len()]
        }
    }
}

/// The sigmoid of each machine, fitted to the decision values of `folds`.
pub(super) fn sigmoids<'a>(
    folds: impl Iterator<Item = &'a HeldOut> + Clone,
    labels: &[usize],
    n_classes: usize,
    (scheme, calibration): (Scheme, Calibration),
) -> Vec<Sigmoid> {
    match (scheme, calibration) {
        (Scheme::OneVsOne, _) => sigmoids_of_pairs(&platt_samples(folds, labels, n_classes), calibration),
        (Scheme::OneVsRest, Calibration::EachPair) => {
            let of_class = |class: usize| {
                let samples = folds.clone().flat_map(|held| {
                    let decisions = held.segments.iter().zip(&held.decisions[class]);
                    decisions.map(|(&segment, &decision)| (decision, labels[segment] == class))
                });
                Sigmoid::fit(&samples.collect::<Vec<_>>())
            };
            (0..n_classes).map(of_class).collect()
        }
        (Scheme::OneVsRest, Calibration::SharedSlope) => {
            vec![Sigmoid { a: -shared_slope(folds, labels, n_classes), b: 0.0 }; n_classes]
        }
    }
}

/// The slope `s` that makes the softmax of `s · f` likeliest, `f` being the decision values of the machines of all classes, by Newton's
/// method. As Platt has it for two classes, the target of the right class is a little under 1, so that a slope is never infinite.
fn shared_slope<'a>(folds: impl Iterator<Item = &'a HeldOut> + Clone, labels: &[usize], n_classes: usize) -> f64 {
    const MAX_ITERATIONS: usize = 50;
    const TOLERANCE: f64 = 1e-10;
    const RANGE: [f64; 2] = [1e-3, 1e6];
    let n: usize = folds.clone().map(|held| held.segments.len()).sum();
    let rest = 1.0 / (n as f64 + 2.0);
    let each = rest / (n_classes.max(2) - 1) as f64;
    let mut slope = 1.0_f64;
    let mut decisions = vec![0.0; n_classes];
    for _ in 0..MAX_ITERATIONS {
        let (mut gradient, mut curvature) = (0.0, 0.0);
        for held in folds.clone() {
            for (row, &segment) in held.segments.iter().enumerate() {
                decisions.iter_mut().zip(&held.decisions).for_each(|(f, machine)| *f = machine[row]);
                let largest = decisions.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let (mut total, mut mean, mut square, mut sum) = (0.0, 0.0, 0.0, 0.0);
                for f in &decisions {
                    let weight = libm::exp(slope * (f - largest));
                    total += weight;
                    mean += weight * (f - largest);
                    square += weight * (f - largest) * (f - largest);
                    sum += f - largest;
                }
                mean /= total;
                let right = decisions[labels[segment]] - largest;
                gradient += mean - ((1.0 - rest) * right + each * (sum - right));
                curvature += square / total - mean * mean;
            }
        }
        if curvature <= 0.0 {
            break;
        }
        // A step changes the slope by a factor of 4 at most: far from the optimum the curvature vanishes.
        let next = (slope - gradient / curvature).clamp(slope / 4.0, slope * 4.0).clamp(RANGE[0], RANGE[1]);
        let moved = (next - slope).abs();
        slope = next;
        if moved <= TOLERANCE * slope {
            break;
        }
    }
    slope
}

/// Probabilities of every segment that clips are evaluated by, each by sigmoids that were fitted on the folds that it is not in.
pub(super) fn held_out_probabilities(
    folds: &[HeldOut],
    labels: &[usize],
    n_classes: usize,
    (scheme, calibration): (Scheme, Calibration),
) -> Vec<Vec<f64>> {
    let mut probabilities = vec![Vec::new(); labels.len()];
    for (index, held) in folds.iter().enumerate() {
        let others = folds.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, held)| held);
        let sigmoids = sigmoids(others, labels, n_classes, (scheme, calibration));
        for (row, &segment) in held.segments.iter().enumerate() {
            let machines = held.decisions.iter().zip(&sigmoids);
            probabilities[segment] = match scheme {
                Scheme::OneVsOne => {
                    // A pair that could not be fitted knows nothing.
                    let pairwise: Vec<f64> = machines
                        .map(|(decisions, sigmoid)| decisions.get(row).map_or(0.5, |&f| sigmoid.probability(f)))
                        .collect();
                    couple(&pairwise, n_classes)
                }
                Scheme::OneVsRest => normalised_odds(machines.map(|(decisions, &sigmoid)| (decisions[row], sigmoid))),
            };
        }
    }
    probabilities
}

/// Accuracy and log-loss over clips, the mean over the repeats.
pub(super) fn score(
    set: &TrainingSet,
    labels: &[usize],
    (hyperparameters, repeats): &GridPoint,
    calibration: (Scheme, Calibration),
) -> Score {
    let scores: Vec<(f64, f64)> = repeats
        .iter()
        .map(|folds| {
            let segments = held_out_probabilities(folds, labels, set.n_classes(), calibration);
            accuracy_and_log_loss(set, &segments, 1.0)
        })
        .collect();
    let mean = |value: fn(&(f64, f64)) -> f64| scores.iter().map(value).sum::<f64>() / scores.len() as f64;
    Score { hyperparameters: *hyperparameters, accuracy: mean(|score| score.0), log_loss: mean(|score| score.1) }
}

/// How good one point of the grid is, by cross-validation on clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The point.
    #[serde(flatten)]
    pub hyperparameters: Hyperparameters,
    /// Share of clips that was right, 0 to 1.
    pub accuracy: f64,
    /// Mean negative natural logarithm of the probability of the right class.
    pub log_loss: f64,
}

/// Accuracy and log-loss of clips from the probabilities of their segments; clips without a segment's are left out.
pub(super) fn accuracy_and_log_loss(set: &TrainingSet, segments: &[Vec<f64>], temperature: f64) -> (f64, f64) {
    let losses = losses(set, segments, temperature);
    let n = losses.len().max(1) as f64;
    let right = losses.iter().filter(|(_, right, _)| *right).count() as f64;
    (right / n, losses.iter().map(|(_, _, loss)| loss).sum::<f64>() / n)
}

/// Probabilities of each clip from those of its segments; none for a clip without.
pub(super) fn probabilities_of_clips(set: &TrainingSet, segments: &[Vec<f64>], temperature: f64) -> Vec<Vec<f64>> {
    let mut by_clip: Vec<Vec<Vec<f64>>> = vec![Vec::new(); set.labels.len()];
    for (&clip, probabilities) in set.clip.iter().zip(segments) {
        if !probabilities.is_empty() {
            by_clip[clip].push(tempered(probabilities, temperature));
        }
    }
    by_clip.iter().map(|segments| models::pool(segments.iter().map(Vec::as_slice))).collect()
}

/// For each clip that has probabilities: its index, whether it is right, and its loss.
fn losses(set: &TrainingSet, segments: &[Vec<f64>], temperature: f64) -> Vec<(usize, bool, f64)> {
    let clips = probabilities_of_clips(set, segments, temperature);
    let scored = clips.into_iter().enumerate().filter(|(_, probabilities)| !probabilities.is_empty());
    scored
        .map(|(clip, probabilities)| {
            let label = set.labels[clip];
            let right = models::most_probable(&probabilities) == label;
            (clip, right, -libm::log(probabilities[label].max(MIN_PROBABILITY)))
        })
        .collect()
}

/// The temperature that makes the log-loss of clips least, or 1 where one chosen without a fold does not help on that
/// fold. `repeats` are the folds and the probabilities of their segments.
pub(super) fn temperature(set: &TrainingSet, repeats: &[(&[HeldOut], Vec<Vec<f64>>)]) -> f64 {
    let everywhere: Vec<&[Vec<f64>]> = repeats.iter().map(|(_, segments)| segments.as_slice()).collect();
    let plain: f64 = everywhere.iter().map(|segments| total_loss(set, segments, 1.0)).sum();
    let mut crossed = 0.0;
    for (folds, segments) in repeats {
        for held in *folds {
            let mut outside = segments.clone();
            let mut inside = vec![Vec::new(); segments.len()];
            for &segment in &held.segments {
                inside[segment] = std::mem::take(&mut outside[segment]);
            }
            crossed += total_loss(set, &inside, best_temperature(set, &[outside.as_slice()]));
        }
    }
    if crossed < plain { best_temperature(set, &everywhere) } else { 1.0 }
}

fn total_loss(set: &TrainingSet, segments: &[Vec<f64>], temperature: f64) -> f64 {
    losses(set, segments, temperature).iter().map(|(_, _, loss)| loss).sum()
}

/// Golden-section search over the logarithm of the temperature, 1/4 to 4.
fn best_temperature(set: &TrainingSet, repeats: &[&[Vec<f64>]]) -> f64 {
    const STEPS: usize = 24;
    let loss = |logarithm: f64| -> f64 {
        repeats.iter().map(|segments| total_loss(set, segments, libm::exp(logarithm))).sum()
    };
    libm::exp(golden::minimum([-libm::log(4.0), libm::log(4.0)], STEPS, loss))
}
