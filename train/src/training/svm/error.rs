//! Why a support vector machine could not be fitted.

/// What can go wrong between a training set and a fitted machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A training set whose parts do not fit together.
    #[error("invalid training set: {0}")]
    Set(String),
    /// A class that cannot be evaluated by cross-validation.
    #[error(
        "class {class} has {clips} clip(s) of {groups} artist(s); at least 2 artists of every class are needed, so that it can be evaluated on tracks of artists that were not trained on: add clips, or leave the class out"
    )]
    TooFewGroups {
        /// Its label.
        class: usize,
        /// How many clips it has.
        clips: usize,
        /// How many artists they are of.
        groups: usize,
    },
    /// Hyperparameters that no machine can be fitted with.
    #[error("invalid search: `{field}` {problem}")]
    Search {
        /// The field of [`Search`](super::Search).
        field: &'static str,
        /// What is wrong with it and what is allowed.
        problem: String,
    },
    /// The solver refused a pair of classes.
    #[error("failed to fit classes {} and {} against each other: {source}", pair.0, pair.1)]
    Solver {
        /// The labels of the two classes.
        pair: (usize, usize),
        /// What the solver said.
        source: linfa_svm::SvmError,
    },
    /// The threads could not be started.
    #[error("failed to start {threads} threads: {source}")]
    Threads {
        /// How many.
        threads: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
    /// The fitted numbers make no machine.
    #[error("the fitted machine is not usable: {0}")]
    Model(#[from] models::Error),
}

/// `Result` with this module's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
