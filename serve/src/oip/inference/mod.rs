//! The [Open Inference Protocol], version 2 over HTTP: what clients of KServe and of Triton say and understand.
//!
//! Translation only: bytes and headers become an [`InferRequest`], verdicts become an [`InferResponse`]. Nothing here knows
//! what decodes a song or where a model sits.
//!
//! ```text
//! headers, body ── InferRequest::parse ──> Input::Audio | Input::LogMel ── (the service) ──> [Verdict]
//!                         └──────────────> Wanted: id, outputs ───────── InferResponse::new ─┴──> JSON [+ binary data]
//! ```
//!
//! Every model has the same interface, but that one which hears more of a song than its log-mel has no input `log_mel`:
//!
//! | tensor | datatype | shape | holds |
//! |---|---|---|---|
//! | input `audio` | `BYTES` | `[songs]` | whole audio files, as `POST /predict` takes them |
//! | input `log_mel` | `FP32` | `[songs, bands, frames]`, or `[bands, frames]` for one song | levels in dB, to the settings of the model's features |
//! | output `genre` | `BYTES` | `[songs]` | the most probable label |
//! | output `probabilities` | `FP64` | `[songs, labels]` | of every label, in the order of the model's labels |
//!
//! A request has exactly one of the inputs. It gets the outputs that it lists, in that order, or both when it lists none.
//!
//! - **JSON.** `data` is flat or nested as `shape` says. A string of `audio` is base64, with `"parameters": {"content_type":
//!   "base64"}` or without.
//! - **[Binary tensor data]** follows the JSON, whose length the header `Inference-Header-Content-Length` gives; a tensor's
//!   part of it is `binary_data_size` bytes long. Numbers are little-endian, an element of `BYTES` has its length before it
//!   as a little-endian u32. Files that come so are slices of the body, never copies. An output is answered so when its
//!   `binary_data`, or `binary_data_output` of the whole request, is true.
//! - **[Classification].** `probabilities` with the parameter `classification: k` is answered as `BYTES` of the shape `[songs,
//!   k]`: the k most probable labels as `probability:index:label`.
//! - Other parameters are passed over, but for those of shared memory, which would leave a tensor empty: they are refused.
//!
//! What is wrong with a request is one [`InferenceError`], answered as `{"error": "…"}`. A body may hold anything: lengths that
//! it states are checked against the bytes that are there before memory is set aside for them, which is linear in the body.
//!
//! [Open Inference Protocol]: https://github.com/kserve/open-inference-protocol
//! [Binary tensor data]: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
//! [Classification]: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md

mod binary;
mod error;
#[cfg(test)]
mod hostile;
mod json;
mod metadata;
mod request;
mod response;
mod tensor;
mod wire;

pub use error::{ErrorBody, InferenceError};
pub use metadata::{
    IndexRequest, Live, ModelMetadata, ModelReady, ModelState, Ready, RepositoryEntry, ServerMetadata, TensorMetadata,
};
pub use request::{InferRequest, Input, LogMels, Output, OutputRequest, Wanted};
pub use response::{InferResponse, InferenceResponseBody, Model, Verdict};
pub use wire::InferenceRequestBody;

use axum::http::HeaderName;

/// The header that says how many bytes of a body are JSON; the rest is binary tensor data.
pub const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Songs in one request.
pub const MAX_SONGS: usize = 64;

/// The input of whole audio files.
const AUDIO: &str = "audio";
/// The input of features.
const LOG_MEL: &str = "log_mel";

/// Of all datatypes of the protocol, those that the tensors here have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = InferenceDatatype)]
pub enum Datatype {
    /// Strings of bytes.
    Bytes,
    /// f32.
    Fp32,
    /// f64.
    Fp64,
}

impl Datatype {
    /// As the protocol writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "BYTES",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
        }
    }
}
