//! [`InferenceError`]: what is wrong with a request, in the protocol's form.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Rejection, api::problem};

/// The longest name or message of others that is quoted, in characters.
const MAX_QUOTED: usize = 160;

/// What is wrong with a request, or with us; its message is the `error` of the answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// The body is compressed.
    #[error("the body has a Content-Encoding; send it without")]
    ContentEncoding,
    /// The JSON and the binary data cannot be told apart.
    #[error(
        "`Inference-Header-Content-Length` {problem}; it says how many bytes of the body, from its start, are JSON"
    )]
    HeaderLength {
        /// What it is instead.
        problem: String,
    },
    /// The JSON cannot be read.
    #[error("the JSON of the request cannot be read: {problem}")]
    Json {
        /// Where and what.
        problem: String,
    },
    /// The `id` is too long to send back.
    #[error("`id` has {length} bytes; at most {limit} are sent back")]
    Id {
        /// Its length in bytes.
        length: usize,
        /// The most that it may have.
        limit: usize,
    },
    /// There is no input, or more than one.
    #[error("the request has {found} inputs; send exactly one, `audio` or `log_mel`")]
    Inputs {
        /// How many there are.
        found: usize,
    },
    /// An input cannot be used.
    #[error("input `{name}`: {problem}")]
    Input {
        /// Which.
        name: String,
        /// What was found, and what is wanted.
        problem: String,
    },
    /// An output cannot be given.
    #[error("output `{name}`: {problem}")]
    Output {
        /// Which.
        name: String,
        /// What was found, and what is wanted.
        problem: String,
    },
    /// The model hears more of a song than the features that were sent.
    #[error("input `log_mel`: this model hears more of a song than its log-mel; send `audio`")]
    MoreThanLogMel,
    /// Bytes after the last tensor.
    #[error(
        "{bytes} bytes follow the binary data of the last input; the sum of all `binary_data_size` is what follows the JSON"
    )]
    Surplus {
        /// How many.
        bytes: usize,
    },
    /// What every route refuses in the same way, or what is wrong with one song.
    #[error("{}{message}", place(*song))]
    Rejected {
        /// The element of the input, from 0, if it is one of them.
        song: Option<usize>,
        /// What was found.
        message: String,
        /// The row of the table of problems.
        kind: &'static problem::Kind,
        /// The header that helps a client to do better.
        header: Option<(HeaderName, HeaderValue)>,
    },
}

/// The body of an error answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceError)]
pub struct ErrorBody {
    /// What was wrong, where, and what to do.
    #[schema(example = "input `audio`: its datatype is `FP32`; send BYTES")]
    pub error: String,
}

impl InferenceError {
    /// What is wrong with one song of the input.
    #[must_use]
    pub fn of_song(index: usize, rejection: Rejection) -> Self {
        match rejection.into() {
            Self::Rejected { message, kind, header, .. } => Self::Rejected { song: Some(index), message, kind, header },
            other => other,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Rejected { kind, .. } => {
                StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn input(name: &str, problem: impl Into<String>) -> Self {
        Self::Input { name: quoted(name), problem: problem.into() }
    }

    pub(super) fn output(name: &str, problem: impl Into<String>) -> Self {
        Self::Output { name: quoted(name), problem: problem.into() }
    }
}

impl From<Rejection> for InferenceError {
    fn from(rejection: Rejection) -> Self {
        let message = problem::Problem::from(&rejection).detail;
        Self::Rejected { song: None, message, kind: rejection.kind(), header: rejection.header() }
    }
}

impl IntoResponse for InferenceError {
    fn into_response(self) -> Response {
        let (status, error) = (self.status(), self.to_string());
        let mut response = (status, Json(ErrorBody { error })).into_response();
        if let Self::Rejected { kind, header, .. } = self {
            if let Some((name, value)) = header {
                response.headers_mut().insert(name, value);
            }
            response.extensions_mut().insert(problem::Reason(kind));
        }
        response
    }
}

fn place(song: Option<usize>) -> String {
    song.map_or_else(String::new, |index| format!("element {index} of the input: "))
}

/// A name as the client wrote it, cut where it is too long for a message.
pub(super) fn quoted(name: &str) -> String {
    let mut text: String = name.chars().filter(|c| !c.is_control()).take(MAX_QUOTED).collect();
    if text.len() < name.len() {
        text.push('…');
    }
    text
}

/// What serde found; its message may quote the body at any length, and is then left out.
pub(super) fn found_by_serde(error: &serde_json::Error) -> String {
    let message = error.to_string();
    if message.len() <= MAX_QUOTED {
        return quoted(&message);
    }
    let what = if error.is_data() { "wrong type" } else { "not JSON" };
    format!("{what} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_keeps_its_status_and_its_header() {
        let error = InferenceError::of_song(3, Rejection::Busy { retry_after: 1 });
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(error.to_string().starts_with("element 3 of the input: all workers are busy"), "{error}");
        assert!(error.into_response().headers().contains_key("retry-after"));
        assert_eq!(InferenceError::from(Rejection::UnknownModel).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_message_quotes_no_more_than_a_line() {
        let error = InferenceError::input(&"x".repeat(10_000), "unknown");
        assert!(error.to_string().len() < 200, "{error}");
        assert_eq!(quoted("a\u{7}b"), "ab…");
        assert_eq!(quoted("audio"), "audio");
    }
}
