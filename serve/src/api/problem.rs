//! Problem details of RFC 9457: the table of kinds, and the body of an error answer.

use axum::{
    Json,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Rejection;

/// The media type of an error answer.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One kind of problem: what a program may switch on, and a person may look up.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ProblemKind)]
pub struct Kind {
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
    ($($(#[$doc:meta])* $name:ident = $status:literal $slug:literal $title:literal $when:literal;)+) => {
        $($(#[$doc])* pub static $name: Kind = Kind {
            uri: concat!("/problems/", $slug), status: $status, title: $title, when: $when,
        };)+
        /// Every kind, ordered by status.
        pub static ALL: &[&Kind] = &[$(&$name),+];
    };
}

kinds! {
    /// See [`Kind::when`], as for all of these.
    NO_AUDIO = 400 "no-audio" "No audio in the request"
        "The form has no field `audio_file` (or `file`, or `audio`; of many files `files`), or the JSON no `audio_base64`.";
    /// More than one file.
    SEVERAL_FILES = 400 "several-files" "More than one file in the request"
        "The form has the audio field more than once.";
    /// No bytes.
    EMPTY_AUDIO = 400 "empty-audio" "The audio is empty"
        "The file, the body or the decoded base64 has 0 bytes.";
    /// The form cannot be taken apart.
    BAD_MULTIPART = 400 "bad-multipart" "Broken multipart form"
        "The boundary is missing or never closed, or the head of a part cannot be read.";
    /// The JSON cannot be parsed.
    BAD_JSON = 400 "bad-json" "Broken JSON"
        "The body is not JSON, or not an object whose `audio_base64` is a string.";
    /// The base64 cannot be decoded.
    BAD_BASE64 = 400 "bad-base64" "Broken base64"
        "`audio_base64` is not base64 (standard or URL-safe alphabet, with or without padding, bare or as a `data:` URL).";
    /// The query cannot be used.
    BAD_QUERY = 400 "bad-query" "Broken query"
        "A parameter after `?` has a name or a value that the route does not know.";
    /// The body broke off.
    BROKEN_BODY = 400 "broken-body" "The request's body broke off"
        "The connection or the chunked coding ended before the body did.";
    /// No key, or a wrong one.
    UNAUTHORIZED = 401 "unauthorized" "A key is needed"
        "The server has API keys, and the request has none of them in `Authorization: Bearer` or `X-API-Key`.";
    /// Unknown path.
    NOT_FOUND = 404 "not-found" "No such route"
        "The path is none of those that `GET /` lists.";
    /// No such model.
    UNKNOWN_MODEL = 404 "unknown-model" "No such model"
        "The path names a model that this server does not serve; `GET /v1/models` lists those that it does.";
    /// No such version.
    UNKNOWN_VERSION = 404 "unknown-version" "No such version"
        "The path, or `Tonearm-Version`, names a version that is not there or cannot be used.";
    /// Known path, other method.
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" "Method not allowed"
        "The path takes other methods, named in `Allow`.";
    /// The client is slow.
    SLOW_BODY = 408 "slow-body" "The request's body came too slowly"
        "The client was silent in the middle of its body, or the upload took over 10 minutes.";
    /// Too many bytes.
    BODY_TOO_LARGE = 413 "body-too-large" "The request's body is too large"
        "The body is over `--max-body-bytes`, announced or counted.";
    /// Too many seconds.
    AUDIO_TOO_LONG = 413 "audio-too-long" "The audio is too long"
        "The decoded audio is over `--max-seconds`.";
    /// Content-Type.
    UNSUPPORTED_CONTENT_TYPE = 415 "unsupported-content-type" "Unsupported content type"
        "`Content-Type` is none of those in `Accept`.";
    /// Content-Encoding.
    UNSUPPORTED_CONTENT_ENCODING = 415 "unsupported-content-encoding" "Unsupported content encoding"
        "`Content-Encoding` is other than `identity`.";
    /// Unknown bytes.
    NOT_AUDIO = 415 "not-audio" "Not audio"
        "The bytes are of no container that can be read, whatever they were said to be.";
    /// Known container, unknown codec.
    UNSUPPORTED_AUDIO = 415 "unsupported-audio" "Unsupported audio"
        "The container is known; its codec, layout or sample rate is not supported.";
    /// Ends too early.
    TRUNCATED_AUDIO = 422 "truncated-audio" "Truncated audio"
        "The file announces more audio than its bytes hold.";
    /// Contradicts itself.
    CORRUPT_AUDIO = 422 "corrupt-audio" "Corrupt audio"
        "A header or packet contradicts itself or cannot be decoded, or a sample is not a finite number.";
    /// Too few seconds.
    AUDIO_TOO_SHORT = 422 "audio-too-short" "The audio is too short"
        "The audio is shorter than one analysis segment of the model.";
    /// Ours, not the client's.
    INTERNAL = 500 "internal" "Internal error"
        "A fault of the server; its log says which.";
    /// The server of a model is down.
    BACKEND_UNAVAILABLE = 502 "backend-unavailable" "The model's server is not reachable"
        "`serve web` cannot connect to the server of the model, or that ended in the middle of its answer.";
    /// Every place is taken.
    BUSY = 503 "busy" "Busy"
        "The workers and the queue are full, or the bodies that are arriving fill the memory set aside for them; `Retry-After` says when to try again.";
    /// No model.
    NOT_READY = 503 "not-ready" "Not ready"
        "No model is loaded yet, or the server is stopping; `Retry-After` says when to try again.";
    /// The answer took too long.
    TIMED_OUT = 503 "timed-out" "The answer took too long"
        "Waiting and computing took longer than `--answer-timeout`, and the work was dropped; `Retry-After` says when to try again.";
    /// The server of a model is slow.
    BACKEND_TIMEOUT = 504 "backend-timeout" "The model's server did not answer in time"
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

/// What a response carries for the log: which kind of problem it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason(pub(crate) &'static Kind);

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
        response.extensions_mut().insert(Reason(kind));
        response
    }
}

/// Every kind of problem.
#[utoipa::path(get, path = "/problems", tag = "service", responses((status = 200, description = "The table", body = [Kind])))]
pub(crate) async fn list() -> Json<&'static [&'static Kind]> {
    Json(ALL)
}

/// One kind of problem: what `type` of an error answer leads to.
#[utoipa::path(get, path = "/problems/{kind}", tag = "service", params(("kind" = String, Path, description = "What follows `/problems/` in `type`", example = "not-audio")), responses((status = 200, description = "A row of the table", body = Kind), (status = 404, description = "There is no such kind", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(Path(slug): Path<String>) -> Result<Json<&'static Kind>, Rejection> {
    let found = ALL.iter().find(|kind| kind.uri.strip_prefix("/problems/") == Some(slug.as_str()));
    found.map(|kind| Json(*kind)).ok_or(Rejection::NotFound)
}
