//! Fits the support vector machine: hyperparameters by artist-grouped cross-validation, calibration by the same folds,
//! then every clip.
//!
//! 1. The clips are dealt to folds; an artist is in one fold only. On each fold every pair of labels is fitted at every
//!    point of the grid, and decides on the clips that were held out.
//! 2. A point is evaluated by the coupled probabilities of the held-out clips. Platt's sigmoids, which those need, are fitted
//!    on the decision values of the *other* folds, so that nothing is evaluated on what it was fitted to.
//! 3. At the best point, the sigmoids are fitted on the held-out decision values of all folds, and a temperature on the
//!    held-out probabilities.
//! 4. The scaler and the machines are fitted on all clips at the best point.
//!
//! Up to about a thousand clips and 32 labels, the machines are exact. Beyond, they are linear machines on a low-rank kernel map, whose cost
//! grows with the clips, not with their cube; beyond 32 labels there is one for each label against the rest ([`Solver`]).
//!
//! Threads change no bit: work is dealt to them, and results are joined in a fixed order.

mod binary;
mod cross_validation;
mod error;
mod linear;
mod low_rank;
pub(super) mod products;
mod search;
mod solver;
mod training_set;

use models::svm::{Sigmoid, Svm, SvmParameters, kernel::rbf, pairs};
use rayon::prelude::*;
use serde::Serialize;

pub use self::{
    cross_validation::{Progress, Score},
    error::{Error, Result},
    search::{Calibration, ClassWeight, Criterion, Hyperparameters, Search},
    solver::{LowRankReport, Solver},
    training_set::TrainingSet,
};
use self::{
    cross_validation::{
        Space, accuracy_and_log_loss, distances, fit_pair, held_out_probabilities, probabilities_of_clips, sigmoids,
    },
    solver::Plan,
};

// The head of the network is fitted by them too.
pub(super) use self::{
    binary::cholesky,
    linear::{BLOCK, solve},
};

/// A fitted machine and how it was chosen.
#[derive(Clone, Debug)]
pub struct FittedSvm {
    /// The machine.
    pub svm: Svm,
    /// How it came about.
    pub report: FitReport,
    /// Probabilities of each clip by the machines that did not see its artist, at the chosen point: the mean over the repeats.
    pub cross_validated: Vec<Vec<f64>>,
}

/// What an artifact says of the fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FitReport {
    /// The best point of the grid, by cross-validation.
    pub chosen: Score,
    /// Every point of the grid, in the order balance, gamma, C.
    pub grid: Vec<Score>,
    /// Width of the kernel.
    pub gamma: f64,
    /// Temperature of the probabilities; 1 leaves them as they are.
    pub temperature: f64,
    /// Accuracy and log-loss of held-out clips, with the temperature.
    pub cross_validated: CrossValidated,
    /// Clips, segments, dimensions and artists that were fitted on.
    pub counts: Counts,
    /// What a reader should know before trusting the machine.
    pub warnings: Vec<String>,
    /// What was fitted in place of exact machines; `None` for those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_rank: Option<LowRankReport>,
}

impl FitReport {
    /// What fitted the machines: for fits of fewer clips that shall be like this one.
    #[must_use]
    pub fn solver(&self) -> Solver {
        if self.low_rank.is_some() { Solver::LowRank } else { Solver::Exact }
    }
}

/// How good the chosen machine is on held-out clips of the training part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CrossValidated {
    /// Share of clips that was right, 0 to 1.
    pub accuracy: f64,
    /// Mean negative natural logarithm of the probability of the right class.
    pub log_loss: f64,
}

/// How much was fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Clips.
    pub clips: usize,
    /// Segments of clips.
    pub segments: usize,
    /// Artists.
    pub groups: usize,
    /// Dimensions of a vector.
    pub dimensions: usize,
    /// Dimensions that are constant and therefore left out.
    pub constant_dimensions: usize,
    /// Segments that became support vectors, or the landmarks of a low-rank map.
    pub support_vectors: usize,
}

/// Fits a machine on `threads` threads (0: one for each core); the result depends on `set`, `search` and `seed` alone.
///
/// # Errors
/// [`Error::Set`], [`Error::TooFewGroups`], [`Error::Search`] for what cannot be fitted; [`Error::Solver`],
/// [`Error::Threads`], [`Error::Model`].
pub fn fit(set: &TrainingSet, search: &Search, seed: u64, threads: usize, progress: Progress<'_>) -> Result<FittedSvm> {
    search.validate()?;
    set.validate()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|source| Error::Threads { threads, source })?.install(|| fit_here(set, search, seed, progress))
}

fn fit_here(set: &TrainingSet, search: &Search, seed: u64, progress: Progress<'_>) -> Result<FittedSvm> {
    let labels = set.segment_labels();
    let n_classes = set.n_classes();
    let plan = Plan::new(search.solver, search.landmarks, set);
    let (grid, not_converged) = match plan {
        Plan::Exact => cross_validation::cross_validate(set, search, seed, progress)?,
        Plan::LowRank { landmarks, scheme } => {
            low_rank::cross_validate(set, search, (landmarks, scheme), seed, progress)?
        }
    };
    let calibration = (plan.scheme(), search.calibration);
    let scores: Vec<Score> =
        grid.par_iter().map(|point| cross_validation::score(set, &labels, point, calibration)).collect();
    let best = best_of(&scores, search.criterion);
    let (chosen, repeats) = (scores[best], &grid[best].1);

    let sigmoids = sigmoids(repeats.iter().flatten(), &labels, n_classes, calibration);
    let probabilities = |folds| held_out_probabilities(folds, &labels, n_classes, calibration);
    let held_out: Vec<_> = repeats.iter().map(|folds| (folds.as_slice(), probabilities(folds))).collect();
    let temperature = if search.temperature { cross_validation::temperature(set, &held_out) } else { 1.0 };
    let evaluated: Vec<_> =
        held_out.iter().map(|(_, segments)| accuracy_and_log_loss(set, segments, temperature)).collect();
    let by_clip = |(_, segments): &(_, Vec<_>)| probabilities_of_clips(set, segments, temperature);
    let unseen: Vec<_> = held_out.iter().map(by_clip).collect();
    let mean = |clip: usize| models::pool(unseen.iter().map(|repeat| repeat[clip].as_slice()));
    let unseen = (0..set.labels.len()).map(mean).collect();
    let n = evaluated.len() as f64;
    let cross_validated = CrossValidated {
        accuracy: evaluated.iter().map(|score| score.0).sum::<f64>() / n,
        log_loss: evaluated.iter().map(|score| score.1).sum::<f64>() / n,
    };

    let (svm, final_failed) = match plan {
        Plan::Exact => fit_all(set, search, &chosen.hyperparameters, &sigmoids, temperature)?,
        Plan::LowRank { landmarks, scheme } => {
            let calibrated = (sigmoids.as_slice(), temperature);
            low_rank::fit_all(set, search, (landmarks, scheme), &chosen.hyperparameters, calibrated, seed)?
        }
    };
    let low_rank = match plan {
        Plan::Exact => None,
        Plan::LowRank { scheme, .. } => Some(LowRankReport::new(scheme, svm.n_support_vectors(), n_classes)),
    };
    let counts = Counts {
        clips: set.labels.len(),
        segments: set.vectors.len(),
        groups: set.groups.iter().collect::<std::collections::BTreeSet<_>>().len(),
        dimensions: set.names.len(),
        constant_dimensions: svm.parts().inverse_deviation.iter().filter(|factor| **factor == 0.0).count(),
        support_vectors: svm.n_support_vectors(),
    };
    let mut warnings = search.edge_warnings(&chosen.hyperparameters);
    if not_converged + final_failed > 0 {
        warnings.push(format!(
            "{} binary machines stopped at the iteration limit of the solver, {final_failed} of them in the final fit",
            not_converged + final_failed
        ));
    }
    let gamma = svm.parts().gamma;
    let report = FitReport { chosen, grid: scores, gamma, temperature, cross_validated, counts, warnings, low_rank };
    Ok(FittedSvm { svm, report, cross_validated: unseen })
}

/// Fits every pair on all segments; also gives the number of pairs that did not converge.
fn fit_all(
    set: &TrainingSet,
    search: &Search,
    chosen: &Hyperparameters,
    sigmoids: &[Sigmoid],
    temperature: f64,
) -> Result<(Svm, usize)> {
    let labels = set.segment_labels();
    let all: Vec<usize> = (0..set.vectors.len()).collect();
    let scaler = Space::new(set, &all, chosen.balance).scaler;
    let gamma = chosen.gamma * scaler.gamma_scale;
    let z: Vec<Vec<f64>> = set.vectors.iter().map(|vector| scaler.standardise(vector)).collect();
    let among = distances(&z, &z);
    let search = Search { c: vec![chosen.c], ..search.clone() };
    let pairs: Vec<(usize, usize)> = pairs(set.n_classes()).collect();
    let machines = pairs
        .par_iter()
        .map(|&pair| fit_pair(pair, &all, &labels, &search, |i, j| rbf(among[i][j], gamma)))
        .collect::<Result<Vec<_>>>()?;

    let mut rho = Vec::new();
    let mut rows = vec![vec![0.0; all.len()]; pairs.len()];
    let mut failed = 0;
    for ((members, fits), row) in machines.into_iter().flatten().zip(&mut rows) {
        // One C, one machine.
        for svm in fits {
            members.iter().zip(&svm.coefficients).for_each(|(&member, &coefficient)| row[member] = coefficient);
            rho.push(svm.rho);
            failed += usize::from(!svm.converged);
        }
    }
    let support: Vec<usize> = all.into_iter().filter(|&i| rows.iter().any(|row| row[i] != 0.0)).collect();
    let svm = Svm::new(SvmParameters {
        mean: scaler.mean,
        inverse_deviation: scaler.inverse_deviation,
        gamma,
        support_vectors: support.iter().flat_map(|&i| set.vectors[i].iter().copied()).collect(),
        coefficients: rows.iter().flat_map(|row| support.iter().map(|&i| row[i])).collect(),
        rho,
        platt_a: sigmoids.iter().map(|sigmoid| sigmoid.a).collect(),
        platt_b: sigmoids.iter().map(|sigmoid| sigmoid.b).collect(),
        temperature,
    })?;
    Ok((svm, failed))
}

/// Index of the best score; of equals the first.
fn best_of(scores: &[Score], criterion: Criterion) -> usize {
    let key = |score: &Score| match criterion {
        Criterion::Accuracy => (-score.accuracy, score.log_loss),
        Criterion::LogLoss => (score.log_loss, -score.accuracy),
    };
    let order = |a: &Score, b: &Score| {
        let (a, b) = (key(a), key(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    (0..scores.len()).min_by(|&a, &b| order(&scores[a], &scores[b])).unwrap_or(0)
}

impl Search {
    /// A choice at the end of its range suggests that a better one lies beyond.
    fn edge_warnings(&self, chosen: &Hyperparameters) -> Vec<String> {
        let at_edge = |values: &[f64], value: f64| {
            let inside = |beyond: fn(f64, f64) -> bool| values.iter().any(|&other| beyond(other, value));
            values.len() > 2 && !(inside(|other, value| other < value) && inside(|other, value| other > value))
        };
        [("C", &self.c, chosen.c), ("gamma", &self.gamma, chosen.gamma)]
            .into_iter()
            .filter(|(_, values, value)| at_edge(values, *value))
            .map(|(name, _, value)| format!("the chosen {name} ({value}) is at the edge of what was searched"))
            .collect()
    }
}

#[cfg(test)]
mod tests;
