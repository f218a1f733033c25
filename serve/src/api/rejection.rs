//! [`Rejection`]: every way in which a request can fail.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, header};

use features::dsp::resample::SAMPLE_RATES;

use crate::{api::problem, cli::config::Kind};

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
    /// The form has no files.
    #[error("the form has no field `files`; it has {fields} field(s)")]
    NoFiles {
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
    /// A parameter of the query is wrong.
    #[error("{problem}")]
    BadQuery {
        /// Which, and what is wanted.
        problem: String,
    },
    /// No key, or a wrong one.
    #[error("this server wants one of its API keys, as `Authorization: Bearer KEY` or `X-API-Key: KEY`")]
    Unauthorized,
    /// Unknown path.
    #[error("there is no such route; GET /openapi.json lists them")]
    NotFound,
    /// Unknown model.
    #[error("this server does not serve that model; GET /v1/models lists those that it does")]
    UnknownModel,
    /// Unknown version.
    #[error("there is no such version of {}, or it cannot be used; GET /v1/models/{}/versions lists those that there are", model.name(), model.name())]
    UnknownVersion {
        /// Of which model.
        model: Kind,
    },
    /// Path of another role.
    #[error(
        "{} is the route of `serve {}`, which listens on port {} unless told otherwise; GET /openapi.json lists those of this server",
        kind.route(), kind.role().name(), kind.role().port()
    )]
    OtherRole {
        /// The model that has it.
        kind: Kind,
    },
    /// Known path, other method. The router adds `Allow`.
    #[error("this route does not take that method; `Allow` names those that it takes")]
    MethodNotAllowed,
    /// The queue is full.
    #[error("all workers are busy and the queue is full; try again in {retry_after} s")]
    Busy {
        /// In how many seconds there may be a place.
        retry_after: u64,
    },
    /// Too many bytes are arriving.
    #[error("the bodies that are arriving fill the memory set aside for them; try again in {RETRY_AFTER} s")]
    Crowded,
    /// The answer took too long.
    #[error("the answer was not ready after {seconds} s, so the work on it was dropped")]
    TimedOut {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The server of a model is down, or broke off.
    #[error("the server of the model {} is not reachable, or ended before its answer did; it is tried again at every request", model.name())]
    BackendUnavailable {
        /// Which model.
        model: Kind,
    },
    /// The server of a model is slow.
    #[error("the server of the model {} did not answer in time", model.name())]
    BackendTimeout {
        /// Which model.
        model: Kind,
    },
    /// There is no model yet, or the server is stopping.
    #[error("{reason}")]
    NotReady {
        /// Which of the two, and of a model why.
        reason: Cow<'static, str>,
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
    kind: &'static problem::Kind,
    message: String,
}

/// Seconds after which a refused client may try again.
const RETRY_AFTER: u16 = 1;

/// What every role takes, as the `Accept` of a 415 names it.
const ACCEPTED: &str = "multipart/form-data, application/json, audio/*, application/octet-stream";

impl Rejection {
    /// The row of the table of problems: type, status, title.
    #[must_use]
    pub fn kind(&self) -> &'static problem::Kind {
        match self {
            Self::NoFile { .. } | Self::NoFiles { .. } | Self::NoBase64 => &problem::NO_AUDIO,
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
            Self::BadQuery { .. } => &problem::BAD_QUERY,
            Self::Unauthorized => &problem::UNAUTHORIZED,
            Self::NotFound | Self::OtherRole { .. } => &problem::NOT_FOUND,
            Self::UnknownModel => &problem::UNKNOWN_MODEL,
            Self::UnknownVersion { .. } => &problem::UNKNOWN_VERSION,
            Self::MethodNotAllowed => &problem::METHOD_NOT_ALLOWED,
            Self::Busy { .. } | Self::Crowded => &problem::BUSY,
            Self::TimedOut { .. } => &problem::TIMED_OUT,
            Self::BackendUnavailable { .. } => &problem::BACKEND_UNAVAILABLE,
            Self::BackendTimeout { .. } => &problem::BACKEND_TIMEOUT,
            Self::NotReady { .. } => &problem::NOT_READY,
            Self::Internal { .. } => &problem::INTERNAL,
        }
    }

    /// The header that helps a client to do better.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        if let Self::Busy { retry_after } = self {
            return Some((header::RETRY_AFTER, HeaderValue::from(*retry_after)));
        }
        match self.kind().status {
            401 => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
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

impl From<models::Error> for Rejection {
    fn from(error: models::Error) -> Self {
        match error {
            models::Error::Features(error) => error.into(),
            // Nobody reads this: its caller has gone.
            other => Self::internal(other),
        }
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
