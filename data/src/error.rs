//! Everything that can go wrong between a folder and a labelled dataset.

use std::path::{Path, PathBuf};

use features::decode::Warning;
use labels::Label;

use crate::dataset::warned::sentences;

/// Why a dataset could not be read, written, split or audited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A folder is neither an audio folder nor a feature store.
    #[error("no dataset in {}: looked for {looked_for}; found {found}", path.display())]
    NoDataset {
        /// The folder.
        path: PathBuf,
        /// What would have been a dataset.
        looked_for: String,
        /// What is there instead.
        found: String,
    },
    /// A feature store is damaged or contradicts itself.
    #[error("failed to read the feature store {}: {problem}", path.display())]
    FeatureStore {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// Two stores, or a store and a specification, were computed differently.
    #[error(
        "the log-mels of {} have fingerprint {theirs}, but {ours} is needed: extract its audio again with the same \
         --spec, or leave it out",
        path.display()
    )]
    Incompatible {
        /// The store.
        path: PathBuf,
        /// Its fingerprint.
        theirs: String,
        /// The fingerprint that was asked for.
        ours: String,
    },
    /// A table (CSV) is malformed.
    #[error("failed to read the table {} at line {line}: {problem}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Not one of the ten genres.
    #[error(
        "`{0}` is not a genre; the genres are blues, classical, country, disco, hiphop, jazz, metal, pop, reggae and rock"
    )]
    Genre(String),
    /// A split that does not exist or cannot be made of these clips.
    #[error("cannot split by `{split}`: {problem}")]
    Split {
        /// The split, as it was written.
        split: String,
        /// What is wrong, and what is possible.
        problem: String,
    },
    /// A folder that is to be written holds something else.
    #[error("failed to write into {}: it is not empty and not a feature store; name another folder, or empty this one", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// No clip of a dataset could be used.
    #[error("none of the {clips} clips of {} could be used; the first: {first}", path.display())]
    NothingUsable {
        /// The dataset.
        path: PathBuf,
        /// Clips that were tried.
        clips: usize,
        /// What was wrong with the first.
        first: String,
    },
    /// A file that could be decoded although something is wrong with it, where no such file is to be used.
    #[error("{}", sentences(warnings))]
    Warned {
        /// What is wrong with it.
        warnings: Vec<Warning>,
    },
    /// A clip whose label a model does not have.
    #[error("clip {clip_id} is {label}, which was not trained on")]
    UnknownLabel {
        /// The clip.
        clip_id: String,
        /// Its label.
        label: Label,
    },
    /// Labels that are not a set.
    #[error(transparent)]
    Labels(#[from] labels::Error),
    /// An option of a call is out of range.
    #[error("`{name}` {problem}")]
    Option {
        /// The option.
        name: &'static str,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// Features could not be computed.
    #[error(transparent)]
    Features(#[from] features::Error),
    /// A table could not be made or written.
    #[error("failed to make the table: {0}")]
    Frame(#[from] polars::error::PolarsError),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err` on a call of the operating system.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Threads that cannot be started.
    pub(crate) fn threads(threads: usize, error: impl std::fmt::Display) -> Self {
        Self::Option { name: "threads", problem: format!("cannot be {threads}: {error}") }
    }

    pub(crate) fn store(path: &Path, problem: impl Into<String>) -> Self {
        Self::FeatureStore { path: path.to_owned(), problem: problem.into() }
    }
}
