//! Everything that can go wrong between an artifact on disk and a prediction.

use std::path::{Path, PathBuf};

use crate::format::FormatVersion;

/// Why an artifact could not be written or read, or a prediction could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `create` ….
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No artifact where one was looked for.
    #[error("no artifact at {}: {detail}", path.display())]
    NotFound {
        /// Where.
        path: PathBuf,
        /// What was looked for, and what makes one.
        detail: String,
    },
    /// A file is larger than any that this program writes.
    #[error("{} has over {limit} bytes, which no artifact of this program has; write the artifact again", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// `artifact.json`, or a value to be written into it, is not what its type says.
    #[error("failed to understand {}: {detail}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What was wrong, and where.
        detail: String,
    },
    /// An artifact of a format that this program does not read.
    #[error(
        "{} has artifact format {found}, written by {program}; this program ({ours}) reads format {supported}: {advice}",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: FormatVersion,
        /// The newest format that this program reads.
        supported: FormatVersion,
        /// The program that wrote it.
        program: String,
        /// This program.
        ours: &'static str,
        /// Which program to use, or what to do.
        advice: &'static str,
    },
    /// A file's bytes are not those that were written.
    #[error("{} is damaged: its SHA-256 should be {expected} and is {found}; copy or train the artifact again", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest that the artifact says.
        expected: String,
        /// The digest of its bytes.
        found: String,
    },
    /// `artifact.json` names another version than its folder.
    #[error(
        "{} is damaged, or its folder was renamed: its content is version {found}, the folder says `{expected}`; copy or train the artifact again",
        path.display()
    )]
    Version {
        /// `artifact.json`.
        path: PathBuf,
        /// Name of the folder.
        expected: String,
        /// Version that the content has.
        found: String,
    },
    /// A file that the artifact names does not exist.
    #[error("{} is missing, though artifact.json lists it; copy or train the artifact again", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// A file that the artifact does not name, or something that is no plain file.
    #[error("{} does not belong to the artifact ({detail}); remove it", path.display())]
    UnexpectedFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        detail: &'static str,
    },
    /// A name that could lead out of its folder, or is not of the form that this program writes.
    #[error("{what} `{}` is not allowed: {rule}", name.escape_debug())]
    Name {
        /// Of what.
        what: &'static str,
        /// The name.
        name: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// A version that exists already, with other bytes.
    #[error("{} exists already and is not the artifact that is to be written: {detail}; remove that folder and try again", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
        /// How it differs.
        detail: String,
    },
    /// A version that cannot be put in use, since another is to stay.
    #[error(
        "version {version} is not put in use: {} says that {pinned} is to stay; to put it in use all the same, use `train promote MODEL VERSION --unpin`",
        path.display()
    )]
    Pinned {
        /// `PINNED`.
        path: PathBuf,
        /// The version that is to stay.
        pinned: String,
        /// The one that is not.
        version: String,
    },
    /// A version that is to stay in use, though it is not in use.
    #[error("version {version} cannot be pinned: in {} the version in use is {current}; put {version} in use first", path.display())]
    NotInUse {
        /// Folder of the model.
        path: PathBuf,
        /// What was to be pinned.
        version: String,
        /// The version in use.
        current: String,
    },
    /// Features that this program cannot reproduce.
    #[error(
        "the artifact was trained on features of fingerprint {theirs}, and this program would compute {ours} from its specification; train it again with this program, or use the program that wrote it"
    )]
    Fingerprint {
        /// What the artifact says.
        theirs: String,
        /// What this program has for the artifact's specification, or why it has none.
        ours: String,
    },
    /// Labels that cannot name classes.
    #[error("invalid labels: {detail}")]
    Labels {
        /// What is wrong.
        detail: String,
    },
    /// A kind of model that this program does not have.
    #[error("the artifact holds a model `{model}`; this program knows {known}")]
    UnknownModel {
        /// What the artifact says.
        model: String,
        /// What there is.
        known: &'static str,
    },
    /// Weights that are no safetensors file.
    #[error("failed to read the weights as safetensors: {detail}")]
    Weights {
        /// What was wrong.
        detail: String,
    },
    /// A tensor that is missing, surplus, or not as it must be.
    #[error("tensor `{name}`: {detail}")]
    Tensor {
        /// Its name.
        name: String,
        /// What was expected and found.
        detail: String,
    },
    /// A feature vector that does not fit the model.
    #[error("the feature vector {detail}")]
    Vector {
        /// What was expected and found.
        detail: String,
    },
    /// A file that is to give the weights of a VGG19, and cannot.
    #[error("failed to take the weights of a VGG19 from {}: {detail}", path.display())]
    Pretrained {
        /// The file or folder.
        path: PathBuf,
        /// What was wrong, and what to give instead.
        detail: String,
    },
    /// A tensor of such a file that is missing, surplus, or not as it must be.
    #[error("failed to take the weights of a VGG19 from {}: tensor `{name}` {detail}", path.display())]
    PretrainedTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// What was expected and found.
        detail: String,
    },
    /// A network that cannot be made, or does not fit its features.
    #[error("the network cannot be used: {detail}")]
    Network {
        /// What is wrong.
        detail: String,
    },
    /// An ensemble whose members cannot be joined.
    #[error("the ensemble cannot be used: {detail}")]
    Ensemble {
        /// What is wrong.
        detail: String,
    },
    /// A member of an ensemble that is not there, or is none that can be joined.
    #[error("the ensemble cannot be used: its member {name} {version} {detail}")]
    Member {
        /// Name of the member.
        name: String,
        /// Its version.
        version: String,
        /// What is wrong, and what to do.
        detail: String,
    },
    /// A device that this program or this machine does not have.
    #[error("device {backend}: {detail}")]
    Device {
        /// What was to compute.
        backend: &'static str,
        /// Why it cannot.
        detail: String,
    },
    /// A class that the model does not have.
    #[error("unknown class {index}: the model has {n_classes} classes, counted from 0")]
    NoSuchClass {
        /// What was asked for.
        index: usize,
        /// How many there are.
        n_classes: usize,
    },
    /// The request was cancelled before it was done.
    #[error("the request was cancelled")]
    Cancelled,
    /// The features do not suit the model, or could not be computed.
    #[error(transparent)]
    Features(#[from] features::Error),
}

impl From<labels::Error> for Error {
    fn from(error: labels::Error) -> Self {
        Self::Labels { detail: error.to_string() }
    }
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn tensor(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Tensor { name: name.into(), detail: detail.into() }
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
