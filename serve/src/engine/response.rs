//! [`PredictResponse`]: the prediction for a clip, as JSON shows it.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use features::{Fingerprint, Signal, decode::AudioInfo};
use labels::LabelSet;
use models::{Explanation, Novelty, PredictOutput};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::model::{Model, ModelInfo, serialize_info};

/// The prediction for a clip.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictResponse {
    /// The most probable label.
    #[schema(example = "reggae")]
    pub predicted_genre: String,
    /// Of every label; they sum to 1.
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    pub probabilities: Probabilities,
    /// The labels that hold the true one for nine tracks in ten by new artists, the most probable first; only of a model that was
    /// calibrated for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["blues", "rock"]))]
    pub labels_90: Option<Vec<String>>,
    /// How unlike the training set the audio is; null of a model that was not calibrated for it.
    #[schema(required = true)]
    pub novelty: Option<NoveltyResponse>,
    /// The same for each texture window, in the order of time.
    #[serde(rename = "segments")]
    pub windows: Vec<WindowResponse>,
    /// The model that predicted it.
    #[serde(serialize_with = "serialize_info")]
    #[schema(value_type = ModelInfo)]
    pub model: Arc<Model>,
    /// SHA-256 of the features that the model predicted from; `train inspect --json` gives the same for the same file.
    #[schema(value_type = String)]
    pub features_digest: Fingerprint,
    /// What was decoded; always there for an audio file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AudioSchema, required = true)]
    pub audio: Option<AudioInfo>,
    /// Where in the log-mel the network found its label, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<ExplanationResponse>,
}

/// How unlike the training set of the model the audio is, and what kind of sound.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Novelty)]
pub struct NoveltyResponse {
    /// Share of tracks by new artists that are at least as unlike the training set.
    #[schema(exclusive_minimum = 0.0, maximum = 1.0, example = 0.42)]
    pub p_value: f64,
    /// The audio is unlike the training set from this `p_value` on down.
    #[schema(minimum = 0.0, maximum = 1.0, example = 0.02)]
    pub threshold: f64,
    /// Whether it is unlike the training set, or no music: the labels say little then.
    pub out_of_distribution: bool,
    /// What kind of sound it is.
    #[schema(value_type = SignalSchema)]
    pub signal: Signal,
    /// Why it is out of distribution, in plain words; null where it is not.
    #[schema(
        required = true,
        example = "This does not resemble the music that the model was trained on. It sounds like speech."
    )]
    pub note: Option<String>,
}

impl From<Novelty> for NoveltyResponse {
    fn from(novelty: Novelty) -> Self {
        let Novelty { p_value, threshold, signal } = novelty;
        Self { p_value, threshold, out_of_distribution: novelty.is_out_of_distribution(), signal, note: novelty.note() }
    }
}

/// What kind of sound audio is.
#[derive(ToSchema)]
#[schema(as = Signal, rename_all = "kebab-case")]
#[expect(dead_code, reason = "it stands for features::Signal in the description of the API")]
enum SignalSchema {
    /// A hum or a tone that does not change.
    Constant,
    /// Tones alone: beeps, a sweep.
    Tonal,
    /// Noise, rain, applause, clicks.
    NoiseLike,
    /// Speech.
    SpeechLike,
    /// None of these.
    Music,
}

/// The prediction for a texture window of a clip.
#[derive(Debug, Serialize, ToSchema)]
pub struct WindowResponse {
    /// Where it starts, in seconds.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
    /// The most probable label.
    pub predicted_genre: String,
    /// Of every label; they sum to 1.
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    pub probabilities: Probabilities,
}

/// Grad-CAM over the log-mel of the clip: how much each point counted for a label.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplanationResponse {
    /// `grad-cam` (Selvaraju et al., 2017).
    pub method: &'static str,
    /// The label that is explained.
    #[serde(rename = "genre")]
    pub label: String,
    /// Rows, from low to high frequency.
    pub rows: usize,
    /// Columns, in the order of time.
    pub columns: usize,
    /// Length of all columns together, in seconds.
    pub seconds: f64,
    /// Length of a column, in seconds.
    pub seconds_per_column: f64,
    /// Where rows begin and end, in Hz: one more than there are rows, rising.
    pub row_edges_hz: Vec<f64>,
    /// Base64 of `rows` × `columns` little-endian f32, row after row, each from 0 to 1.
    pub values: String,
}

/// A probability for each label, written as an object in the order of the labels.
#[derive(Debug)]
pub struct Probabilities(Vec<(String, f64)>);

impl Probabilities {
    fn new(labels: &LabelSet, values: &[f64]) -> Self {
        Self(labels.iter().map(ToString::to_string).zip(values.iter().copied()).collect())
    }

    /// The labels with their probabilities, in the order of the labels.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(label, probability)| (label.as_str(), *probability))
    }

    /// The most probable label; of equals the first.
    fn best(&self) -> String {
        let values: Vec<f64> = self.0.iter().map(|(_, probability)| *probability).collect();
        self.0.get(models::most_probable(&values)).map(|(label, _)| label.clone()).unwrap_or_default()
    }
}

impl Serialize for Probabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl PredictResponse {
    /// Puts the labels of `model` to its output.
    pub(crate) fn new(output: &PredictOutput, model: Arc<Model>, audio: Option<AudioInfo>) -> Self {
        let (labels, prediction) = (model.labels(), &output.prediction);
        let probabilities = Probabilities::new(labels, &prediction.probabilities);
        let windows = prediction.windows.iter().map(|window| {
            let probabilities = Probabilities::new(labels, &window.probabilities);
            WindowResponse {
                start_seconds: window.start_seconds,
                end_seconds: window.end_seconds,
                predicted_genre: probabilities.best(),
                probabilities,
            }
        });
        let labels_90 = prediction
            .labels_90
            .as_ref()
            .map(|indices| indices.iter().filter_map(|&index| labels.get(index)).map(ToString::to_string).collect());
        Self {
            predicted_genre: probabilities.best(),
            labels_90,
            novelty: prediction.novelty.map(NoveltyResponse::from),
            windows: windows.collect(),
            probabilities,
            features_digest: prediction.features_digest.clone(),
            audio,
            explanation: output.explanation.as_ref().map(|found| ExplanationResponse::new(found, labels)),
            model,
        }
    }
}

impl ExplanationResponse {
    fn new(explanation: &Explanation, labels: &LabelSet) -> Self {
        Self {
            method: "grad-cam",
            label: labels.get(explanation.label).map(ToString::to_string).unwrap_or_default(),
            rows: explanation.rows,
            columns: explanation.columns,
            seconds: explanation.seconds_per_column * explanation.columns as f64,
            seconds_per_column: explanation.seconds_per_column,
            row_edges_hz: explanation.row_edges_hz.clone(),
            values: base64_of(&explanation.values),
        }
    }
}

/// Base64 of little-endian f32, as clients of the old service decode it.
pub(crate) fn base64_of<'a>(values: impl IntoIterator<Item = &'a f32>) -> String {
    BASE64_STANDARD.encode(values.into_iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// What was decoded.
#[derive(ToSchema)]
#[schema(as = Audio)]
#[expect(dead_code, reason = "it stands for features::decode::AudioInfo in the description of the API")]
pub(crate) struct AudioSchema {
    /// Such as `wav`, `flac`, `mp3`, `m4a` or `webm`.
    container: String,
    /// Such as `pcm_s16le` or `vorbis`.
    codec: String,
    /// Samples a second, in Hz.
    sample_rate: u32,
    /// Channels.
    channels: usize,
    /// Length in seconds.
    seconds: f64,
    /// Bits of a sample, for a codec whose samples have a fixed width.
    #[schema(required = true)]
    bits_per_sample: Option<u32>,
    /// What was wrong with the file and did not keep it from being decoded; empty for a sound one.
    warnings: Vec<WarningSchema>,
    /// What the file says of the track.
    tags: TagsSchema,
}

/// Something that was wrong with an audio file, and did not keep it from being decoded.
#[derive(ToSchema)]
#[schema(as = AudioWarning)]
#[expect(dead_code, reason = "it stands for features::decode::Warning in the description of the API")]
struct WarningSchema {
    /// What kind of fault; more may come with later releases.
    #[schema(example = "truncated")]
    kind: WarningKindSchema,
    /// Where it begins, in seconds of the decoded audio; null where it is of no place.
    #[schema(required = true, minimum = 0.0)]
    at_seconds: Option<f64>,
    /// How much audio it cost, in seconds; null where that is not known, or none.
    #[schema(required = true, minimum = 0.0)]
    lost_seconds: Option<f64>,
    /// The same for a person, in a sentence.
    #[schema(min_length = 1)]
    detail: String,
}

/// What is wrong with a file.
#[derive(ToSchema)]
#[schema(as = AudioWarningKind, rename_all = "snake_case")]
#[expect(dead_code, reason = "it stands for features::decode::WarningKind in the description of the API")]
enum WarningKindSchema {
    /// The file ends before its audio does.
    Truncated,
    /// A part of the audio cannot be decoded and was left out.
    Damaged,
    /// A size in a header contradicts the bytes that are there.
    WrongSize,
    /// Bytes behind the audio that are no tag.
    TrailingData,
    /// Bytes before the audio that are no tag.
    LeadingData,
    /// A field of a header contradicts the audio.
    WrongHeader,
    /// The sample rate or the number of channels changes; what follows was converted.
    FormatChange,
    /// The channels cancel each other out; the loudest one was taken instead of their mean.
    Antiphase,
}

/// The tags of an audio file, from whichever form of metadata its container has; null where they say nothing.
#[derive(ToSchema)]
#[schema(as = AudioTags)]
#[expect(dead_code, reason = "it stands for features::decode::Tags in the description of the API")]
struct TagsSchema {
    /// Who made the track.
    #[schema(required = true, example = "Nina Simone")]
    artist: Option<String>,
    /// The album.
    #[schema(required = true)]
    album: Option<String>,
    /// What the track is called.
    #[schema(required = true)]
    title: Option<String>,
    /// The genre that somebody gave it; no model sees it.
    #[schema(required = true)]
    genre: Option<String>,
    /// Number of the track on its album.
    #[schema(required = true)]
    track: Option<u32>,
    /// The year of its release.
    #[schema(required = true)]
    year: Option<u32>,
    /// Whether a cover is in the file.
    cover: bool,
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    #[test]
    fn labels_keep_their_order_and_of_equals_the_first_is_best() {
        let labels = LabelSet::from_names(["rock", "blues", "jazz"]).expect("labels");
        let probabilities = Probabilities::new(&labels, &[0.2, 0.4, 0.4]);
        assert_eq!(probabilities.best(), "blues");
        let json = serde_json::to_string(&probabilities).expect("an object");
        assert_eq!(json, r#"{"rock":0.2,"blues":0.4,"jazz":0.4}"#);
    }

    /// The description of the API has the kinds that there are, as JSON has them.
    #[test]
    fn every_kind_of_warning_is_described() {
        let described = serde_json::to_value(WarningKindSchema::schema()).expect("JSON");
        let kinds = serde_json::to_value(features::decode::WarningKind::ALL).expect("JSON");
        assert_eq!(described["enum"], kinds);
    }

    /// The description of the API has the kinds of sound that there are, as JSON has them.
    #[test]
    fn every_kind_of_sound_is_described() {
        let described = serde_json::to_value(SignalSchema::schema()).expect("JSON");
        assert_eq!(described["enum"], serde_json::to_value(Signal::ALL).expect("JSON"));
        let names: Vec<&str> = Signal::ALL.iter().map(|signal| signal.name()).collect();
        assert_eq!(described["enum"], serde_json::to_value(names).expect("JSON"));
    }

    #[test]
    fn floats_are_little_endian_in_base64() {
        assert_eq!(base64_of(&[1.0, -2.5]), "AACAPwAAIMA=");
    }
}
