//! [`Solver`]: what fits the binary machines, and up to which size.

use models::svm::Scheme;
use serde::{Deserialize, Serialize};

use super::training_set::TrainingSet;

/// What fits the binary machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// [`Solver::Exact`] up to a size of about a thousand clips, else [`Solver::LowRank`].
    #[default]
    Auto,
    /// linfa-svm on the whole kernel matrix of each pair of labels. Its cost grows with the cube of the clips.
    Exact,
    /// A kernel map of [`Search::landmarks`](super::Search::landmarks) dimensions (Nyström) and linear machines on it. Its cost grows with
    /// the clips.
    LowRank,
}

/// Landmarks of a low-rank map, unless a search says another number.
pub(super) const LANDMARKS: usize = 2048;

/// Labels beyond which there is a machine for each against the rest, not for each pair: 32 labels have 496 pairs, a thousand would have
/// 499,500.
const MOST_LABELS_IN_PAIRS: usize = 32;

/// Most that exact machines may cost by [`exact_cost`]: that of a thousand clips of GTZAN, 2.3e10, and a little more.
const MOST_EXACT_COST: f64 = 2.5e10;

impl Solver {
    /// Whether it is left to the size of the dataset.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// The solver of a training set, with all that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Exact,
    LowRank { landmarks: usize, scheme: Scheme },
}

impl Plan {
    /// `Auto` looks at the number of labels and at the vectors of each, nothing else.
    pub(super) fn new(solver: Solver, landmarks: usize, set: &TrainingSet) -> Self {
        let n_classes = set.n_classes();
        let in_pairs = n_classes <= MOST_LABELS_IN_PAIRS;
        let exact = match solver {
            Solver::Exact => true,
            Solver::LowRank => false,
            Solver::Auto => in_pairs && exact_cost(set) <= MOST_EXACT_COST,
        };
        let scheme = if in_pairs { Scheme::OneVsOne } else { Scheme::OneVsRest };
        if exact { Self::Exact } else { Self::LowRank { landmarks, scheme } }
    }

    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::Exact => Scheme::OneVsOne,
            Self::LowRank { scheme, .. } => scheme,
        }
    }
}

/// `Σ (n_a + n_b)³` over the pairs of labels, of which the exact machines need a multiple of time. `n` are the vectors of a label.
fn exact_cost(set: &TrainingSet) -> f64 {
    let mut counts = vec![0.0_f64; set.n_classes()];
    set.segment_labels().into_iter().for_each(|label| counts[label] += 1.0);
    let cube = |(a, b): (usize, usize)| {
        let n = counts[a] + counts[b];
        n * n * n
    };
    models::svm::pairs(counts.len()).map(cube).sum()
}

/// What an artifact says of a low-rank fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LowRankReport {
    /// Support vectors that were drawn, the dimensions of the kernel map.
    pub landmarks: usize,
    /// `one_vs_one` or `one_vs_rest`.
    pub scheme: &'static str,
    /// Binary machines.
    pub machines: usize,
}

impl LowRankReport {
    pub(super) fn new(scheme: Scheme, landmarks: usize, n_classes: usize) -> Self {
        let name = match scheme {
            Scheme::OneVsOne => "one_vs_one",
            Scheme::OneVsRest => "one_vs_rest",
        };
        Self { landmarks, scheme: name, machines: scheme.n_machines(n_classes) }
    }
}

impl std::fmt::Display for LowRankReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { landmarks, scheme, machines } = self;
        let each = if *scheme == "one_vs_one" { "pair of labels" } else { "label against the rest" };
        write!(
            f,
            "a low-rank kernel map of {landmarks} landmarks and {machines} linear machines, one for each {each}, in place of exact \
             machines, which are fitted up to about a thousand clips and {MOST_LABELS_IN_PAIRS} labels"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(counts: &[usize]) -> TrainingSet {
        let mut set = TrainingSet::default();
        for (label, &count) in counts.iter().enumerate() {
            set.labels.extend(std::iter::repeat_n(label, count));
        }
        set.clip = (0..set.labels.len()).collect();
        set
    }

    #[test]
    fn gtzan_is_fitted_exactly_and_what_is_much_larger_is_not() {
        let plan = |counts: &[usize]| Plan::new(Solver::Auto, 100, &set(counts));
        // Four vectors of each clip.
        assert_eq!(plan(&[400; 10]), Plan::Exact);
        assert_eq!(plan(&[1200, 5]), Plan::Exact);
        let paired = Plan::LowRank { landmarks: 100, scheme: Scheme::OneVsOne };
        assert_eq!([plan(&[440; 10]), plan(&[4000; 8]), plan(&[1700, 1700])], [paired; 3]);
        assert_eq!(plan(&[2; 32]), Plan::Exact);
        assert_eq!(plan(&[2; 33]), Plan::LowRank { landmarks: 100, scheme: Scheme::OneVsRest });
    }

    #[test]
    fn what_is_fitted_is_said_in_words() {
        let text = LowRankReport::new(Scheme::OneVsRest, 2048, 300).to_string();
        assert!(text.contains("2048 landmarks and 300 linear machines, one for each label against the rest"), "{text}");
        let text = LowRankReport::new(Scheme::OneVsOne, 100, 8).to_string();
        assert!(text.contains("100 landmarks and 28 linear machines, one for each pair of labels"), "{text}");
    }

    #[test]
    fn a_search_may_ask_for_either() {
        assert_eq!(Plan::new(Solver::Exact, 100, &set(&[2; 33])), Plan::Exact);
        let low_rank = Plan::new(Solver::LowRank, 100, &set(&[5; 3]));
        assert_eq!(low_rank, Plan::LowRank { landmarks: 100, scheme: Scheme::OneVsOne });
    }
}
