//! [`Rejection`]: every way in which a request can fail.

use axum::http::{HeaderName, HeaderValue, header};

use features::resample::SAMPLE_RATES;

use crate::{
    Role,
    problem::{self, Kind},
};

/// Every way in which a request can fail; its message is the `detail` of the answer.
///
/// No message names a path, a host or another request; what only an operator may see is in
/// [`Internal`](Self::Internal), which is logged and not shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The form has no audio field.
    #[error("the form has no field `audio_file` (nor `file` or `audio`); it has {fields} field(s)")]
    NoFile {
        /// How many fields it has.
        fields: usize,
    },
    /// The JSON has no audio.
    #[error("the JSON object has no string `audio_base64`")]
    NoBase64,
    /// The form has several audio fields.
    #[error("the form has {files} audio files; send one a request")]
    SeveralFiles {
        /// How many.
        files: usize,
    },
    /// No bytes.
    #[error("the audio has 0 bytes")]
    EmptyAudio,
    /// The form cannot be taken apart.
    #[error("the multipart form cannot be read: {problem}")]
    BadMultipart {
        /// What was found or missed.
        problem: &'static str,
    },
    /// The JSON cannot be parsed.
    #[error("the body is not a JSON object with a string `audio_base64`: {problem}")]
    BadJson {
        /// Where and what; no part of the body.
        problem: String,
    },
    /// The base64 cannot be decoded.
    #[error("`audio_base64` cannot be decoded: {problem}")]
    BadBase64 {
        /// Where and what.
        problem: String,
    },
    /// The body broke off.
    #[error("the body broke off after {received} bytes")]
    BrokenBody {
        /// Bytes received before.
        received: u64,
    },
    /// The body came too slowly.
    #[error("the body came too slowly: {received} bytes had arrived when the server stopped waiting")]
    SlowBody {
        /// Bytes received before.
        received: u64,
    },
    /// The body is too large.
    #[error("the body is larger than the limit of {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The content type is not one that carries audio.
    #[error(
        "send audio as multipart/form-data with a field `audio_file`, as application/json with `audio_base64`, or as the \
         raw body with an audio/* type{hint}"
    )]
    UnsupportedContentType {
        /// What a client of that kind may have forgotten.
        hint: &'static str,
    },
    /// The body is compressed.
    #[error("send the body without Content-Encoding")]
    UnsupportedContentEncoding,
    /// The audio cannot be decoded, or no features can be computed from it.
    #[error("{0}")]
    Audio(#[source] AudioError),
    /// The audio has a sample rate that no song has.
    #[error(
        "the audio says that it has {rate} samples a second; {} to {} are read",
        SAMPLE_RATES.start(),
        SAMPLE_RATES.end()
    )]
    SampleRate {
        /// Its rate in Hz.
        rate: u32,
    },
    /// Unknown path.
    #[error("there is no such route; GET / lists them")]
    NotFound,
    /// Path of another role.
    #[error(
        "{} is the route of `serve {}`, which listens on port {} unless told otherwise; GET / lists those of this server",
        role.route(), role.name(), role.port()
    )]
    OtherRole {
        /// Which.
        role: Role,
    },
    /// Known path, other method. The router adds `Allow`.
    #[error("this route does not take that method; `Allow` names those that it takes")]
    MethodNotAllowed,
    /// The queue is full.
    #[error("all workers are busy and the queue is full; try again in {RETRY_AFTER} s")]
    Busy,
    /// There is no model yet, or the server is stopping.
    #[error("{reason}")]
    NotReady {
        /// Which of the two.
        reason: &'static str,
    },
    /// A fault of the server.
    #[error("the server failed to answer; its log says why")]
    Internal {
        /// For the log.
        cause: String,
    },
}

/// What is wrong with the audio; the message is that of [`features::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AudioError {
    kind: &'static Kind,
    message: String,
}

/// Seconds after which a refused client may try again.
const RETRY_AFTER: u16 = 1;

/// What every role takes, as the `Accept` of a 415 names it.
const ACCEPTED: &str = "multipart/form-data, application/json, audio/*, application/octet-stream";

impl Rejection {
    /// The row of the table of problems: type, status, title.
    #[must_use]
    pub fn kind(&self) -> &'static Kind {
        match self {
            Self::NoFile { .. } | Self::NoBase64 => &problem::NO_AUDIO,
            Self::SeveralFiles { .. } => &problem::SEVERAL_FILES,
            Self::EmptyAudio => &problem::EMPTY_AUDIO,
            Self::BadMultipart { .. } => &problem::BAD_MULTIPART,
            Self::BadJson { .. } => &problem::BAD_JSON,
            Self::BadBase64 { .. } => &problem::BAD_BASE64,
            Self::BrokenBody { .. } => &problem::BROKEN_BODY,
            Self::SlowBody { .. } => &problem::SLOW_BODY,
            Self::BodyTooLarge { .. } => &problem::BODY_TOO_LARGE,
            Self::UnsupportedContentType { .. } => &problem::UNSUPPORTED_CONTENT_TYPE,
            Self::UnsupportedContentEncoding => &problem::UNSUPPORTED_CONTENT_ENCODING,
            Self::Audio(error) => error.kind,
            Self::SampleRate { .. } => &problem::UNSUPPORTED_AUDIO,
            Self::NotFound | Self::OtherRole { .. } => &problem::NOT_FOUND,
            Self::MethodNotAllowed => &problem::METHOD_NOT_ALLOWED,
            Self::Busy => &problem::BUSY,
            Self::NotReady { .. } => &problem::NOT_READY,
            Self::Internal { .. } => &problem::INTERNAL,
        }
    }

    /// The header that helps a client to do better.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.kind().status {
            415 => Some((header::ACCEPT, HeaderValue::from_static(ACCEPTED))),
            503 => Some((header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER))),
            _ => None,
        }
    }

    /// A fault of the server, with what its log should say.
    pub(crate) fn internal(cause: impl ToString) -> Self {
        Self::Internal { cause: cause.to_string() }
    }
}

impl From<features::Error> for Rejection {
    fn from(error: features::Error) -> Self {
        use features::Error as E;
        let kind = match &error {
            E::Empty => return Self::EmptyAudio,
            E::TooLarge { limit, .. } => return Self::BodyTooLarge { limit: *limit },
            E::NotAudio { .. } => &problem::NOT_AUDIO,
            E::Unsupported { .. } => &problem::UNSUPPORTED_AUDIO,
            E::Truncated { .. } => &problem::TRUNCATED_AUDIO,
            E::Corrupt { .. } | E::BadSample { .. } => &problem::CORRUPT_AUDIO,
            E::TooLong { .. } => &problem::AUDIO_TOO_LONG,
            E::TooShort { .. } => &problem::AUDIO_TOO_SHORT,
            // Nothing in a request leads to these: they name files and settings of the server.
            E::Io { .. } | E::Spec { .. } | E::Revision { .. } | E::Shape { .. } => return Self::internal(error),
            // `features::Error` is non-exhaustive: a kind that this table does not know is nobody's fault but ours.
            _ => return Self::internal(error),
        };
        Self::Audio(AudioError { kind, message: error.to_string() })
    }
}
