//! The JSON of a request, as serde reads it and as `GET /openapi.json` shows it.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::json::{self, Object};

/// Tensors in each list; there are two of each to name.
const MAX_TENSORS: usize = 8;
/// Dimensions of a tensor; there are three at the most.
const MAX_RANK: usize = 8;

/// The JSON of a request.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = InferenceRequest)]
pub struct InferenceRequestBody<'a> {
    /// Sent back with the answer.
    #[serde(borrow)]
    #[schema(max_length = 256)]
    pub(super) id: Option<Cow<'a, str>>,
    /// Of the whole request; those that are not known are passed over.
    #[schema(value_type = Option<RequestParameters>)]
    pub(super) parameters: Option<Object<RequestParameters>>,
    /// Exactly one: `audio` or `log_mel`.
    #[serde(borrow, deserialize_with = "json::bounded::<_, _, MAX_TENSORS>")]
    #[schema(value_type = Vec<InputTensor>, min_items = 1, max_items = 1)]
    pub(super) inputs: Vec<Object<InputTensor<'a>>>,
    /// Those that are wanted; all when there are none.
    #[serde(borrow, default, deserialize_with = "json::bounded::<_, _, MAX_TENSORS>")]
    #[schema(value_type = Option<Vec<RequestedOutput>>, max_items = 2)]
    pub(super) outputs: Vec<Object<RequestedOutput<'a>>>,
}

/// Parameters of a request.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = InferenceRequestParameters)]
pub(super) struct RequestParameters {
    /// Whether outputs follow the JSON as binary data, where they do not say otherwise.
    pub(super) binary_data_output: Option<bool>,
}

/// A tensor of songs.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = InferenceInput)]
pub(super) struct InputTensor<'a> {
    /// `audio` or `log_mel`.
    #[serde(borrow)]
    #[schema(example = "audio")]
    pub(super) name: Cow<'a, str>,
    /// `[songs]` for `audio`; `[songs, bands, frames]` or `[bands, frames]` for `log_mel`.
    #[serde(deserialize_with = "json::bounded::<_, _, MAX_RANK>")]
    #[schema(example = json!([1]), min_items = 1, max_items = 3)]
    pub(super) shape: Vec<i64>,
    /// `BYTES` for `audio`, `FP32` for `log_mel`.
    #[serde(borrow)]
    #[schema(example = "BYTES")]
    pub(super) datatype: Cow<'a, str>,
    /// Those that are not known are passed over.
    #[serde(borrow)]
    #[schema(value_type = Option<InputParameters>)]
    pub(super) parameters: Option<Object<InputParameters<'a>>>,
    /// The elements, row-major, flat or nested as the shape says: base64 of a file each for `audio`, numbers for
    /// `log_mel`. Not where `binary_data_size` is.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<serde_json::Value>>, example = json!(["UklGRg=="]))]
    pub(super) data: Option<&'a RawValue>,
}

/// Parameters of an input.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = InferenceInputParameters)]
pub(super) struct InputParameters<'a> {
    /// Bytes of binary data that this tensor has after the JSON.
    pub(super) binary_data_size: Option<u64>,
    /// How the strings of `data` stand for bytes: `base64`, the default.
    #[serde(borrow)]
    #[schema(example = "base64")]
    pub(super) content_type: Option<Cow<'a, str>>,
    #[schema(ignore)]
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

/// An output that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = InferenceRequestedOutput)]
pub(super) struct RequestedOutput<'a> {
    /// `genre` or `probabilities`.
    #[serde(borrow)]
    #[schema(example = "genre")]
    pub(super) name: Cow<'a, str>,
    /// Those that are not known are passed over.
    #[schema(value_type = Option<OutputParameters>)]
    pub(super) parameters: Option<Object<OutputParameters>>,
}

/// Parameters of an output.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = InferenceRequestedOutputParameters)]
pub(super) struct OutputParameters {
    /// Whether it is to follow the JSON as binary data; if not said, as `binary_data_output` says.
    pub(super) binary_data: Option<bool>,
    /// Of `probabilities` alone: that many of the most probable labels, as `probability:index:label`.
    #[schema(minimum = 1)]
    pub(super) classification: Option<i64>,
    #[schema(ignore)]
    pub(super) shared_memory_region: Option<IgnoredAny>,
}
