//! [`Rejection`]: every way in which a request can fail, and the problem details (RFC 9457) that it is answered with.

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use features::dsp::resample::SAMPLE_RATES;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{ModelKind, ModelName};

/// Every way in which a request can fail; its message is the `detail` of the response.
///
/// No message names a path, a host or another request; what only an operator may see is in
/// [`Internal`](Self::Internal), which is logged and not shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The form has no audio field.
    #[error("the form has no field `audio_file` (nor `file` or `audio`); {}", came("field", fields))]
    NoFile {
        /// The fields that it has.
        fields: Vec<String>,
    },
    /// The form has no files.
    #[error("the form has no field `files`; {}", came("field", fields))]
    NoFiles {
        /// The fields that it has.
        fields: Vec<String>,
    },
    /// The JSON has no audio.
    #[error("the JSON object has no string `audio_base64`; {}", came("member", members))]
    NoBase64 {
        /// The members that it has.
        members: Vec<String>,
    },
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
    #[error("failed to read the multipart form: {problem}")]
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
    #[error("failed to decode `audio_base64`: {problem}")]
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
    #[error("the body is larger than the limit of {}", size(*limit))]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The content type carries no audio.
    #[error(
        "send audio as multipart/form-data with a field `audio_file`, as application/json with `audio_base64`, or as the \
         raw body with an audio/* or video/* type, or with none{hint}"
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
    /// The audio is unlike the training set of the model, and the server is to refuse such audio.
    #[error("{note}")]
    OutOfDistribution {
        /// What it is, in plain words.
        note: String,
    },
    /// The sample rate is out of range.
    #[error(
        "the sample rate is {rate} Hz; expected {} to {} Hz",
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
        /// Which, and what is expected.
        problem: String,
    },
    /// No key, or a wrong one.
    #[error("this server requires an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`")]
    Unauthorized,
    /// Unknown path.
    #[error("unknown route; GET /openapi.json lists the routes")]
    NotFound,
    /// Unknown model.
    #[error("unknown model; GET /v1/models lists the models of this server")]
    UnknownModel,
    /// Unknown version.
    #[error(
        "unknown version of {model}, or one that failed to load; GET /v1/models/{model}/versions lists the versions"
    )]
    UnknownVersion {
        /// Of which model.
        model: ModelName,
    },
    /// Path of another role.
    #[error(
        "{} is a route of `serve {}`, which listens on port {} by default; GET /openapi.json lists the routes of this server",
        kind.route(), kind.role().name(), kind.role().port()
    )]
    OtherRole {
        /// The model that has it.
        kind: ModelKind,
    },
    /// Known path, other method. The router adds `Allow`.
    #[error("method not allowed; `Allow` names the methods of this route")]
    MethodNotAllowed,
    /// The queue is full.
    #[error("all workers are busy and the queue is full; try again in {retry_after} s")]
    Busy {
        /// In how many seconds there may be a permit.
        retry_after: u64,
    },
    /// Uploads hold all memory that they may.
    #[error("memory limit reached: uploads hold all memory that is reserved for them; try again in {RETRY_AFTER} s")]
    MemoryLimit,
    /// The prediction took too long.
    #[error("the prediction was not ready after {seconds} s, so the request was cancelled")]
    TimedOut {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The server of a model is down, or broke off.
    #[error("failed to reach the server of the model {}, or its response broke off; the next request tries again", model.name())]
    BackendUnavailable {
        /// Which model.
        model: ModelKind,
    },
    /// The server of a model is slow.
    #[error("the server of the model {} did not respond in time", model.name())]
    BackendTimeout {
        /// Which model.
        model: ModelKind,
    },
    /// There is no model yet, or the server is stopping.
    #[error("{reason}")]
    NotReady {
        /// Which of the two, and of a model why.
        reason: Cow<'static, str>,
    },
    /// A fault of the server.
    #[error("internal error; the log of the server says why")]
    Internal {
        /// For the log.
        cause: String,
    },
}

/// What is wrong with the audio; the message is that of [`features::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AudioError {
    kind: &'static ProblemKind,
    message: String,
}

/// Seconds after which a refused client may try again.
const RETRY_AFTER: u16 = 1;

/// The content types of every role, as the `Accept` of a 415 names them.
const ACCEPTED: &str = "multipart/form-data, application/json, audio/*, video/*, application/octet-stream";

impl Rejection {
    /// The process was told to stop.
    pub(crate) const STOPPING: Self = Self::NotReady { reason: Cow::Borrowed("the server is stopping") };

    /// The kind of problem: type, status, title.
    #[must_use]
    pub fn kind(&self) -> &'static ProblemKind {
        match self {
            Self::NoFile { .. } | Self::NoFiles { .. } | Self::NoBase64 { .. } => &NO_AUDIO,
            Self::SeveralFiles { .. } => &SEVERAL_FILES,
            Self::EmptyAudio => &EMPTY_AUDIO,
            Self::BadMultipart { .. } => &BAD_MULTIPART,
            Self::BadJson { .. } => &BAD_JSON,
            Self::BadBase64 { .. } => &BAD_BASE64,
            Self::BrokenBody { .. } => &BROKEN_BODY,
            Self::SlowBody { .. } => &SLOW_BODY,
            Self::BodyTooLarge { .. } => &BODY_TOO_LARGE,
            Self::UnsupportedContentType { .. } => &UNSUPPORTED_CONTENT_TYPE,
            Self::UnsupportedContentEncoding => &UNSUPPORTED_CONTENT_ENCODING,
            Self::Audio(error) => error.kind,
            Self::OutOfDistribution { .. } => &OUT_OF_DISTRIBUTION,
            Self::SampleRate { .. } => &UNSUPPORTED_AUDIO,
            Self::BadQuery { .. } => &BAD_QUERY,
            Self::Unauthorized => &UNAUTHORIZED,
            Self::NotFound | Self::OtherRole { .. } => &NOT_FOUND,
            Self::UnknownModel => &UNKNOWN_MODEL,
            Self::UnknownVersion { .. } => &UNKNOWN_VERSION,
            Self::MethodNotAllowed => &METHOD_NOT_ALLOWED,
            Self::Busy { .. } | Self::MemoryLimit => &BUSY,
            Self::TimedOut { .. } => &TIMED_OUT,
            Self::BackendUnavailable { .. } => &BACKEND_UNAVAILABLE,
            Self::BackendTimeout { .. } => &BACKEND_TIMEOUT,
            Self::NotReady { .. } => &NOT_READY,
            Self::Internal { .. } => &INTERNAL,
        }
    }

    /// The header that tells the client what to do.
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

    /// An internal error, with what the log is to say.
    pub(crate) fn internal(cause: impl ToString) -> Self {
        Self::Internal { cause: cause.to_string() }
    }
}

impl From<models::Error> for Rejection {
    fn from(error: models::Error) -> Self {
        match error {
            models::Error::Features(error) => error.into(),
            // For example a cancelled request, whose client reads nothing.
            other => Self::internal(other),
        }
    }
}

impl From<features::Error> for Rejection {
    fn from(error: features::Error) -> Self {
        use features::Error as E;
        let message = match &error {
            E::TooLong { seconds, limit } => too_long(*seconds, *limit),
            other => other.to_string(),
        };
        let kind = match &error {
            E::Empty => return Self::EmptyAudio,
            E::TooLarge { limit, .. } => return Self::BodyTooLarge { limit: *limit },
            E::NotAudio { .. } => &NOT_AUDIO,
            E::Unsupported { .. } => &UNSUPPORTED_AUDIO,
            E::Truncated { .. } => &TRUNCATED_AUDIO,
            E::Corrupt { .. } | E::BadSample { .. } => &CORRUPT_AUDIO,
            E::TooLong { .. } => &AUDIO_TOO_LONG,
            E::TooShort { .. } => &AUDIO_TOO_SHORT,
            E::Silent { .. } => &SILENT,
            // Nothing in a request leads to these: they name files and settings of the server.
            E::Io { .. } | E::Spec { .. } | E::Revision { .. } | E::Shape { .. } => return Self::internal(error),
            // `features::Error` is non-exhaustive.
            _ => return Self::internal(error),
        };
        Self::Audio(AudioError { kind, message })
    }
}

/// Names that are told, at most, and characters of each.
const MAX_NAMES: usize = 8;
const MAX_NAME: usize = 32;

/// Names the fields that came where another was expected: ``it has the field `track` ``.
fn came(what: &str, names: &[String]) -> String {
    let quoted = |name: &String| {
        let mut text: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        if name.chars().nth(MAX_NAME).is_some() {
            text.push('…');
        }
        format!("`{text}`")
    };
    let told: Vec<String> = names.iter().take(MAX_NAMES).map(quoted).collect();
    match names {
        [] => format!("it has no {what}"),
        [_] => format!("it has the {what} {}", told.join(", ")),
        _ if names.len() > MAX_NAMES => format!("it has the {what}s {} and others", told.join(", ")),
        _ => format!("it has the {what}s {}", told.join(", ")),
    }
}

/// Says how long audio may be, in minutes too where it is one or more.
fn too_long(seconds: f64, limit: f64) -> String {
    let minutes = limit / 60.0;
    let minutes = if minutes >= 1.0 { format!(" ({} minutes)", rounded(minutes)) } else { String::new() };
    format!("the audio is longer than the limit of {limit} s{minutes}; decoding stopped at {seconds:.1} s")
}

/// A size in bytes, and in the largest unit of which it has one: `67108864 bytes (64 MiB)`.
fn size(bytes: u64) -> String {
    let units: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.into_iter().find(|(_, unit)| bytes >= *unit);
    let in_units = unit.map(|(name, unit)| format!(" ({} {name})", rounded(bytes as f64 / unit as f64)));
    format!("{bytes} bytes{}", in_units.unwrap_or_default())
}

/// A number with one decimal at most.
fn rounded(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// The media type of an error response.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One kind of problem: what a program may switch on, and a person may look up.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemKind {
    /// Relative reference that identifies the kind and can be fetched from this server.
    #[serde(rename = "type")]
    pub uri: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The kind in a few words, the same each time.
    pub title: &'static str,
    /// When it is answered.
    pub when: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $status:literal $slug:literal $title:literal $when:literal;)+) => {
        $(#[doc = $when] pub static $name: ProblemKind = ProblemKind {
            uri: concat!("/problems/", $slug), status: $status, title: $title, when: $when,
        };)+
        /// Every kind, ordered by status.
        pub static ALL: &[&ProblemKind] = &[$(&$name),+];
    };
}

kinds! {
    NO_AUDIO = 400 "no-audio" "No audio in the request"
        "The form has no field `audio_file` (or `file`, or `audio`; of many files `files`), or the JSON no `audio_base64`.";
    SEVERAL_FILES = 400 "several-files" "More than one file in the request"
        "The form has the audio field more than once.";
    EMPTY_AUDIO = 400 "empty-audio" "The audio is empty"
        "The file, the body or the decoded base64 has 0 bytes.";
    BAD_MULTIPART = 400 "bad-multipart" "Broken multipart form"
        "The boundary is missing or never closed, or the head of a part cannot be read.";
    BAD_JSON = 400 "bad-json" "Broken JSON"
        "The body is not JSON, or not an object whose `audio_base64` is a string.";
    BAD_BASE64 = 400 "bad-base64" "Broken base64"
        "`audio_base64` is not base64 (standard or URL-safe alphabet, with or without padding, bare or as a `data:` URL).";
    BAD_QUERY = 400 "bad-query" "Broken query"
        "The query has an unknown parameter, or a value that the parameter does not take.";
    BROKEN_BODY = 400 "broken-body" "The request's body broke off"
        "The connection or the chunked coding ended before the body did.";
    UNAUTHORIZED = 401 "unauthorized" "API key required"
        "The server requires an API key, and the request has no valid one in `Authorization: Bearer` or `X-API-Key`.";
    NOT_FOUND = 404 "not-found" "Unknown route"
        "The path is unknown; `GET /openapi.json` lists the routes.";
    UNKNOWN_MODEL = 404 "unknown-model" "Unknown model"
        "The path names a model that this server does not serve; `GET /v1/models` lists those that it does.";
    UNKNOWN_VERSION = 404 "unknown-version" "Unknown version"
        "The path, or `Tonearm-Version`, names a version that does not exist or failed to load.";
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" "Method not allowed"
        "The path takes other methods, named in `Allow`.";
    SLOW_BODY = 408 "slow-body" "The request's body came too slowly"
        "The client was silent in the middle of its body, or the upload took over 10 minutes.";
    BODY_TOO_LARGE = 413 "body-too-large" "The request's body is too large"
        "The body is over `--max-body-bytes`, announced or counted.";
    AUDIO_TOO_LONG = 413 "audio-too-long" "The audio is too long"
        "The decoded audio is over `--max-seconds`.";
    UNSUPPORTED_CONTENT_TYPE = 415 "unsupported-content-type" "Unsupported content type"
        "`Content-Type` is none of those in `Accept`.";
    UNSUPPORTED_CONTENT_ENCODING = 415 "unsupported-content-encoding" "Unsupported content encoding"
        "`Content-Encoding` is other than `identity`.";
    NOT_AUDIO = 415 "not-audio" "Not audio"
        "The bytes are not in a supported container, whatever the content type or file name says.";
    UNSUPPORTED_AUDIO = 415 "unsupported-audio" "Unsupported audio"
        "The format is known and not read, or the container is read and its codec, layout or sample rate is not.";
    TRUNCATED_AUDIO = 422 "truncated-audio" "Truncated audio"
        "The file announces more audio than its bytes hold.";
    CORRUPT_AUDIO = 422 "corrupt-audio" "Corrupt audio"
        "A header or packet contradicts itself or cannot be decoded, or a sample is not a finite number.";
    AUDIO_TOO_SHORT = 422 "audio-too-short" "The audio is too short"
        "The audio is shorter than the shortest segment of the model.";
    SILENT = 422 "silent" "The audio is silent"
        "The audio is silence or one constant level, so that no model can tell anything of it.";
    OUT_OF_DISTRIBUTION = 422 "out-of-distribution" "The audio is unlike the training set"
        "The audio does not resemble the music that the model was trained on, or is no music, and the server has `--reject-novel`.";
    INTERNAL = 500 "internal" "Internal error"
        "The server failed; its log says why.";
    BACKEND_UNAVAILABLE = 502 "backend-unavailable" "The model's server is not reachable"
        "`serve web` failed to connect to the server of the model, or that ended in the middle of its response.";
    BUSY = 503 "busy" "Busy"
        "Every worker is busy and the queue is full, or the memory limit for uploads is reached; `Retry-After` says when to try again.";
    NOT_READY = 503 "not-ready" "Not ready"
        "No model is loaded yet, or the server is stopping; `Retry-After` says when to try again.";
    TIMED_OUT = 503 "timed-out" "The prediction took too long"
        "Waiting and computing took longer than `--answer-timeout`, and the request was cancelled; `Retry-After` says when to try again.";
    BACKEND_TIMEOUT = 504 "backend-timeout" "The model's server did not respond in time"
        "`serve web` waited for the server of the model for longer than `--response-timeout`.";
}

/// The longest `detail` in characters: a message may quote the file, and a file may hold anything.
pub(crate) const MAX_DETAIL: usize = 400;

/// The members of an `application/problem+json` body.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem: a relative reference, the same each time, which can be fetched.
    #[serde(rename = "type")]
    #[schema(example = "/problems/not-audio")]
    pub uri: &'static str,
    /// The kind in a few words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What was found in this request, for a person.
    pub detail: String,
}

impl From<&Rejection> for Problem {
    fn from(rejection: &Rejection) -> Self {
        let kind = rejection.kind();
        if let Rejection::Internal { cause } = rejection {
            tracing::error!(cause, "internal error");
        }
        let detail = rejection.to_string().chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect();
        Self { uri: kind.uri, title: kind.title, status: kind.status, detail }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let kind = self.kind();
        let status = StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(Problem::from(&self))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some((name, value)) = self.header() {
            headers.insert(name, value);
        }
        // For the log.
        response.extensions_mut().insert(kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_in_units_that_people_use() {
        let body = |limit| Rejection::BodyTooLarge { limit }.to_string();
        assert_eq!(body(64 << 20), "the body is larger than the limit of 67108864 bytes (64 MiB)");
        assert_eq!(body(64 << 10), "the body is larger than the limit of 65536 bytes (64 KiB)");
        assert_eq!(body(3 << 29), "the body is larger than the limit of 1610612736 bytes (1.5 GiB)");
        assert_eq!(body(1000), "the body is larger than the limit of 1000 bytes");
        let audio = |limit| Rejection::from(features::Error::TooLong { seconds: limit + 0.25, limit });
        assert_eq!(
            audio(900.0).to_string(),
            "the audio is longer than the limit of 900 s (15 minutes); decoding stopped at 900.2 s"
        );
        assert_eq!(audio(4.5).to_string(), "the audio is longer than the limit of 4.5 s; decoding stopped at 4.8 s");
        assert_eq!((audio(90.0).kind(), audio(90.0).to_string().contains("(1.5 minutes)")), (&AUDIO_TOO_LONG, true));
    }

    #[test]
    fn the_fields_that_came_are_told() {
        let file = |fields: &[&str]| {
            Rejection::NoFile { fields: fields.iter().map(ToString::to_string).collect() }.to_string()
        };
        assert!(file(&[]).ends_with("; it has no field"));
        assert!(file(&["track"]).ends_with("; it has the field `track`"));
        assert!(file(&["track", "a\u{7}b"]).ends_with("; it has the fields `track`, `ab`"));
        let many = file(&["é".repeat(1000).as_str(); 64]);
        assert!(many.ends_with(" and others") && many.chars().count() < 400, "{many}");
        let json = Rejection::NoBase64 { members: vec!["audio".to_owned()] }.to_string();
        assert_eq!(json, "the JSON object has no string `audio_base64`; it has the member `audio`");
    }

    #[test]
    fn silence_is_a_problem_of_its_own() {
        let silent = features::Error::Silent { detail: "every sample is 0".to_owned() };
        let message = silent.to_string();
        let rejection = Rejection::from(silent);
        assert_eq!((rejection.kind().uri, rejection.kind().status), ("/problems/silent", 422));
        assert_eq!(rejection.to_string(), message);
    }
}
