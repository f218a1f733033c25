//! Everything that can go wrong between the bytes of a file and its feature vector.

use std::path::PathBuf;

/// Why audio could not be decoded, or features could not be computed.
///
/// Every message says what was tried and what was found; callers add the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("failed to read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No bytes at all, or a container without a single sample.
    #[error("the audio is empty: it holds no samples")]
    Empty,
    /// The bytes are of no container that this program knows.
    #[error("not audio that this program can read (WAV, AIFF, AU, CAF, FLAC, MP3, OGG, Opus, M4A, WebM): {detail}")]
    NotAudio {
        /// What was found.
        detail: String,
    },
    /// A known container with a codec or layout that is not supported.
    #[error("unsupported {container} audio: {detail}")]
    Unsupported {
        /// The container, such as `wav`.
        container: &'static str,
        /// What is not supported.
        detail: String,
    },
    /// The file says that it has more audio than its bytes hold.
    #[error("truncated {container} audio: {detail}")]
    Truncated {
        /// The container.
        container: &'static str,
        /// Where it ended and what was expected.
        detail: String,
    },
    /// A header or packet contradicts itself or cannot be decoded.
    #[error("corrupt {container} audio: {detail}")]
    Corrupt {
        /// The container.
        container: &'static str,
        /// What was wrong.
        detail: String,
    },
    /// There is audio, but nothing to hear in it: digital silence, near silence or a constant.
    #[error("{detail}")]
    Silent {
        /// What the samples are; it holds the word "silent" or "constant".
        detail: String,
    },
    /// The file is larger than [`Limits`](crate::decode::Limits) allow.
    #[error("the audio has {bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The decoded audio is longer than [`Limits`](crate::decode::Limits) allow.
    #[error("the audio is longer than the limit of {limit} s (decoding stopped at {seconds:.1} s)")]
    TooLong {
        /// Seconds decoded, or announced, when it was refused.
        seconds: f64,
        /// The limit in seconds.
        limit: f64,
    },
    /// The audio is too short for a single segment.
    #[error("the audio is too short: {seconds:.3} s, at least {minimum:.3} s is needed")]
    TooShort {
        /// Its length in seconds.
        seconds: f64,
        /// The least length in seconds.
        minimum: f64,
    },
    /// A sample is NaN, infinite, or far louder than any audio.
    #[error("sample {index} is {value}: not a finite number within ±1e10, where full scale is ±1")]
    BadSample {
        /// Index of the sample frame.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A [`FeatureSpec`](crate::FeatureSpec) that cannot be computed.
    #[error("invalid feature specification: `{field}` {problem}")]
    Spec {
        /// The field.
        field: &'static str,
        /// What is wrong with it and what is allowed.
        problem: String,
    },
    /// The specification belongs to another revision of the algorithms.
    #[error(
        "the features of fingerprint {theirs} cannot be reproduced by this program, which would compute {ours}; {advice}"
    )]
    Revision {
        /// The fingerprint asked for.
        theirs: String,
        /// The fingerprint that this program has for the same fields.
        ours: String,
        /// What to do.
        advice: &'static str,
    },
    /// Two parts that must have the same shape do not.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Of what.
        what: &'static str,
        /// The shape that was expected.
        expected: String,
        /// The shape that was found.
        found: String,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
