//! [`InferenceError`]: what is wrong with a request, in the protocol's form.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Rejection,
    rejection::{Problem, ProblemKind},
};

/// Characters of a name or message that are quoted, at most.
const MAX_QUOTED: usize = 160;

/// Why a request failed; its message is the `error` of the response.
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
    #[error("failed to read the JSON of the request: {problem}")]
    Json {
        /// Where and what.
        problem: String,
    },
    /// The `id` is too long to send back.
    #[error("`id` has {length} characters; at most {limit} are sent back")]
    Id {
        /// Its length in characters.
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
        /// What was found, and what is expected.
        problem: String,
    },
    /// An output cannot be given.
    #[error("output `{name}`: {problem}")]
    Output {
        /// Which.
        name: String,
        /// What was found, and what is expected.
        problem: String,
    },
    /// The model takes more features than the log-mel that was sent.
    #[error("input `log_mel`: this model takes more features than the log-mel; send `audio`")]
    MoreThanLogMel,
    /// Not as many tensors in `raw_input_contents` as there are inputs.
    #[error("`raw_input_contents` has {contents} elements, and the request has {inputs} inputs; send one for each")]
    RawContents {
        /// How many inputs there are.
        inputs: usize,
        /// How many elements.
        contents: usize,
    },
    /// Bytes after the last tensor.
    #[error(
        "{bytes} bytes follow the binary data of the last input; the sum of all `binary_data_size` is what follows the JSON"
    )]
    Surplus {
        /// How many.
        bytes: usize,
    },
    /// A [`Rejection`] of the request, or of one clip.
    #[error("{}{message}", element(*clip))]
    Rejected {
        /// The element of the input, from 0, if it is one of them.
        clip: Option<usize>,
        /// What was found.
        message: String,
        /// The kind of problem.
        kind: &'static ProblemKind,
        /// The header that tells the client what to do.
        header: Option<(HeaderName, HeaderValue)>,
    },
}

/// The body of an error response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceError)]
pub struct ErrorBody {
    /// What was wrong, where, and what to do.
    #[schema(example = "input `audio`: its datatype is `FP32`; send BYTES")]
    pub error: String,
}

impl InferenceError {
    /// A rejection of one clip of the input.
    #[must_use]
    pub fn of_clip(index: usize, rejection: Rejection) -> Self {
        match rejection.into() {
            Self::Rejected { message, kind, header, .. } => Self::Rejected { clip: Some(index), message, kind, header },
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
        let message = Problem::from(&rejection).detail;
        Self::Rejected { clip: None, message, kind: rejection.kind(), header: rejection.header() }
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
            response.extensions_mut().insert(kind);
        }
        response
    }
}

fn element(clip: Option<usize>) -> String {
    clip.map_or_else(String::new, |index| format!("element {index} of the input: "))
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
        let error = InferenceError::of_clip(3, Rejection::Busy { retry_after: 1 });
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
