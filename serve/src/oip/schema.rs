//! What `GET /openapi.json` says of the tensors and outputs of a request: a schema for each kind that the server tells apart, so that what
//! they allow is what [`request`](super::request) reads.
//!
//! What no schema can say: a tensor has as many elements as its shape promises, the binary data that it speaks of is there, the model has
//! that input, and no output is requested twice.

#![expect(dead_code, reason = "these types stand in the description of the API")]

use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{
        Array, KnownFormat, Object, ObjectBuilder, SchemaFormat, Type,
        schema::{ArrayBuilder, SchemaType},
    },
};

use super::{
    request::Output,
    tensor::{AUDIO, Datatype, LOG_MEL, MAX_CLIPS},
};
use crate::api::docs;

/// A tensor of clips: `audio` or `log_mel`.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(
    as = InferenceInput,
    discriminator(property_name = "name", mapping(
        ("audio" = "#/components/schemas/InferenceAudioInput"),
        ("log_mel" = "#/components/schemas/InferenceLogMelInput"),
    ))
)]
pub(super) enum Input {
    Audio(AudioInput),
    LogMel(LogMelInput),
}

/// Whole audio files.
#[derive(ToSchema)]
#[schema(as = InferenceAudioInput)]
pub(super) struct AudioInput {
    #[schema(schema_with = audio_name)]
    name: String,
    #[schema(schema_with = audio_shape)]
    shape: Vec<i64>,
    #[schema(schema_with = bytes)]
    datatype: String,
    /// Unknown ones are ignored.
    parameters: Option<AudioParameters>,
    #[schema(schema_with = files)]
    data: Option<Vec<String>>,
}

/// Parameters of whole files.
#[derive(ToSchema)]
#[schema(as = InferenceAudioInputParameters)]
pub(super) struct AudioParameters {
    /// Bytes of binary data that this tensor has after the JSON.
    binary_data_size: Option<u64>,
    #[schema(schema_with = base64)]
    content_type: Option<String>,
}

/// Log-mel spectrograms in dB, by the model's feature specification; of a model whose metadata has this input.
#[derive(ToSchema)]
#[schema(as = InferenceLogMelInput)]
pub(super) struct LogMelInput {
    #[schema(schema_with = log_mel_name)]
    name: String,
    #[schema(schema_with = log_mel_shape)]
    shape: Vec<i64>,
    #[schema(schema_with = fp32)]
    datatype: String,
    /// Unknown ones are ignored.
    parameters: Option<LogMelParameters>,
    /// The levels, row-major; flat, though arrays that are nested as the shape says are taken too. Not where `binary_data_size` is.
    #[schema(min_items = 1)]
    data: Option<Vec<f32>>,
}

/// Parameters of log-mel spectrograms.
#[derive(ToSchema)]
#[schema(as = InferenceLogMelInputParameters)]
pub(super) struct LogMelParameters {
    /// Bytes of binary data that this tensor has after the JSON.
    binary_data_size: Option<u64>,
}

/// A requested output: `genre` or `probabilities`.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(
    as = InferenceRequestedOutput,
    discriminator(property_name = "name", mapping(
        ("genre" = "#/components/schemas/InferenceRequestedGenre"),
        ("probabilities" = "#/components/schemas/InferenceRequestedProbabilities"),
    ))
)]
pub(super) enum RequestedOutput {
    Genre(Genre),
    Probabilities(Probabilities),
}

/// The most probable label of each clip.
#[derive(ToSchema)]
#[schema(as = InferenceRequestedGenre)]
pub(super) struct Genre {
    #[schema(schema_with = genre_name)]
    name: String,
    /// Unknown ones are ignored.
    parameters: Option<GenreParameters>,
}

/// Parameters of `genre`.
#[derive(ToSchema)]
#[schema(as = InferenceRequestedGenreParameters)]
pub(super) struct GenreParameters {
    /// Whether it is to follow the JSON as binary data; if not said, as `binary_data_output` says.
    binary_data: Option<bool>,
}

/// The probability of every label of each clip, or the most probable labels.
#[derive(ToSchema)]
#[schema(as = InferenceRequestedProbabilities)]
pub(super) struct Probabilities {
    #[schema(schema_with = probabilities_name)]
    name: String,
    /// Unknown ones are ignored.
    parameters: Option<ProbabilitiesParameters>,
}

/// Parameters of `probabilities`.
#[derive(ToSchema)]
#[schema(as = InferenceRequestedProbabilitiesParameters)]
pub(super) struct ProbabilitiesParameters {
    /// Whether it is to follow the JSON as binary data; if not said, as `binary_data_output` says.
    binary_data: Option<bool>,
    /// That many of the most probable labels, as `probability:index:label`, instead of all probabilities.
    #[schema(minimum = 1)]
    classification: Option<i64>,
}

fn only(value: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some([value])).build()
}

fn audio_name() -> Object {
    only(AUDIO)
}

fn log_mel_name() -> Object {
    only(LOG_MEL)
}

fn genre_name() -> Object {
    only(Output::Label.name())
}

fn probabilities_name() -> Object {
    only(Output::Probabilities.name())
}

fn bytes() -> Object {
    only(Datatype::Bytes.name())
}

fn fp32() -> Object {
    only(Datatype::Fp32.name())
}

fn base64() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("How the strings of `data` stand for bytes; as base64 without it."))
        .enum_values(Some([json!("base64"), json!(null)]))
        .build()
}

fn files() -> Array {
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .description(Some("A file each. Not where `binary_data_size` is."))
        .items(docs::audio_base64())
        .min_items(Some(1))
        .max_items(Some(MAX_CLIPS))
        .build()
}

fn shape(least: usize, most: usize) -> ArrayBuilder {
    let dimension = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(1));
    ArrayBuilder::new().items(dimension.build()).min_items(Some(least)).max_items(Some(most))
}

fn audio_shape() -> Array {
    shape(1, 2).description(Some("`[clips]`, or `[clips, 1]`; at most 64 clips.")).examples([json!([1])]).build()
}

fn log_mel_shape() -> Array {
    shape(2, 3)
        .description(Some("`[clips, bands, frames]`, or `[bands, frames]` for one clip; at most 64 clips."))
        .examples([json!([1, 128, 344])])
        .build()
}
