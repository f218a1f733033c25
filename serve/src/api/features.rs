//! `POST /features`: the features of a clip, as numbers.

#![expect(unused_qualifications, reason = "what utoipa makes of `params(FeaturesQuery)` names it in full")]

use std::sync::{Arc, OnceLock};

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use features::{
    Clip, ClipFeatures, Extractor, FeatureSpec, Fingerprint,
    decode::{AudioInfo, Decoded},
    descriptors::mfcc::Mfcc,
};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{
    docs::Problems,
    predict::{AudioForm, AudioJson, read_audio},
};
use crate::{
    App, Rejection,
    engine::{
        DecodedClip, Engine, Input,
        model::Model,
        pool::CancellationToken,
        response::{AudioSchema, base64_of},
        to_json,
    },
    http::admission,
};

/// Columns of a waveform.
const WAVEFORM_COLUMNS: usize = 2000;

/// Parameters of `POST /features`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeaturesQuery {
    /// Some of `log_mel`, `mfcc`, `descriptors`, `waveform`, separated by commas; `mfcc,descriptors` without it.
    #[param(
        example = "mfcc,descriptors",
        nullable = false,
        pattern = "^(log_mel|mfcc|descriptors|waveform)(,(log_mel|mfcc|descriptors|waveform))*$"
    )]
    include: Option<String>,
    /// The model whose feature specification is used, such as `svm`, instead of librosa's defaults.
    #[param(nullable = false)]
    model: Option<String>,
    /// `json`: numbers; `base64`: little-endian f32, row after row.
    #[serde(default)]
    #[param(inline)]
    encoding: Numbers,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Numbers {
    /// As JSON: one array a row.
    #[default]
    Json,
    /// As base64 of little-endian f32, row after row.
    Base64,
}

/// What a client wants to know of a clip, and how numbers are written.
#[derive(Debug)]
pub(super) struct FeaturesRequest {
    parts: Parts,
    numbers: Numbers,
    /// By whose specification; by librosa's defaults without.
    model: Option<Arc<Model>>,
}

impl FeaturesRequest {
    /// Reads what the parameters of a query say.
    ///
    /// # Errors
    /// [`Rejection::BadQuery`], [`Rejection::UnknownModel`], [`Rejection::NotReady`].
    pub(super) fn read(
        app: &App,
        include: Option<&str>,
        model: Option<&str>,
        numbers: Numbers,
    ) -> Result<Self, Rejection> {
        let parts = Parts::read(include)?;
        let model = model.map(|name| app.engine().slot_named(name)?.ready()).transpose()?;
        Ok(Self { parts, numbers, model })
    }

    /// Describes a clip, as JSON of a [`FeaturesResponse`]. To be called on a worker.
    ///
    /// # Errors
    /// What is wrong with the clip.
    pub(super) fn describe(
        &self,
        engine: &Engine,
        token: &CancellationToken,
        clip: &DecodedClip,
    ) -> Result<Bytes, Rejection> {
        let extractor = match &self.model {
            Some(model) => model.extractor(),
            None => librosa(self.parts.descriptors)?,
        };
        let features = match clip.extracted_by(extractor.spec()) {
            Some(features) => Arc::clone(features),
            None => Arc::new(engine.extract(token, extractor, &clip.decoded.clip)?),
        };
        to_json(&describe(extractor, &features, self.parts, self.numbers, &clip.decoded)?)
    }
}

/// The parts of the response that `include` names.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    log_mel: bool,
    mfcc: bool,
    descriptors: bool,
    waveform: bool,
}

impl Parts {
    fn read(include: Option<&str>) -> Result<Self, Rejection> {
        let mut parts = Self::default();
        for part in include.unwrap_or("mfcc,descriptors").split(',').map(str::trim) {
            let wanted = match part {
                "log_mel" => &mut parts.log_mel,
                "mfcc" => &mut parts.mfcc,
                "descriptors" => &mut parts.descriptors,
                "waveform" => &mut parts.waveform,
                _ => {
                    return Err(Rejection::BadQuery {
                        problem: "unknown part in `include`; expected some of log_mel, mfcc, descriptors, waveform, separated by commas"
                            .to_owned(),
                    });
                }
            };
            *wanted = true;
        }
        Ok(parts)
    }
}

/// Features of a clip, by librosa's defaults or a model's specification.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeaturesResponse {
    /// What was decoded.
    #[schema(value_type = AudioSchema)]
    audio: AudioInfo,
    /// The specification that they were extracted by.
    #[schema(value_type = Object)]
    spec: FeatureSpec,
    /// Fingerprint of the specification.
    #[schema(value_type = String)]
    fingerprint: Fingerprint,
    /// The log-mel spectrogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_mel: Option<Matrix>,
    /// Mel-frequency cepstral coefficients.
    #[serde(skip_serializing_if = "Option::is_none")]
    mfcc: Option<Matrix>,
    /// Statistics of each segment of 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptors: Option<Descriptors>,
    /// Least and largest sample of equal parts of the clip.
    #[serde(skip_serializing_if = "Option::is_none")]
    waveform: Option<Waveform>,
}

/// Numbers in rows and columns.
#[derive(Serialize, ToSchema)]
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    /// From one column to the next, in seconds.
    seconds_per_column: f64,
    /// Centre of each row in Hz, for a spectrogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    row_hz: Option<Vec<f64>>,
    /// `dB` for a spectrogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    /// An array for each row, or base64 of them all.
    #[schema(value_type = MatrixValues)]
    values: Value,
}

/// The numbers of a matrix.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it stands in the description of the API")]
enum MatrixValues {
    /// An array for each row.
    Rows(Vec<Vec<f32>>),
    /// Base64 of little-endian f32, row after row.
    Base64(String),
}

/// Numbers in a row.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it stands in the description of the API")]
enum VectorValues {
    /// An array.
    Numbers(Vec<f32>),
    /// Base64 of little-endian f32.
    Base64(String),
}

/// Descriptors by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct Descriptors {
    /// Such as `mfcc.3.mean`.
    names: Vec<String>,
    /// One for each segment.
    segments: Vec<DescriptorSegment>,
}

/// Descriptors of a segment.
#[derive(Serialize, ToSchema)]
pub(crate) struct DescriptorSegment {
    start_seconds: f64,
    end_seconds: f64,
    /// In the order of the names.
    #[schema(value_type = VectorValues)]
    values: Value,
}

/// What a plot of the clip is drawn from.
#[derive(Serialize, ToSchema)]
pub(crate) struct Waveform {
    columns: usize,
    seconds_per_column: f64,
    /// Least sample of each column, -1 to 1.
    #[schema(value_type = VectorValues)]
    min: Value,
    /// Largest sample of each column.
    #[schema(value_type = VectorValues)]
    max: Value,
}

/// Extract the features of a file
///
/// MFCC, descriptors, log-mel and waveform, by librosa's defaults or a model's specification.
#[utoipa::path(
    post, path = "/features", tag = "features",
    params(FeaturesQuery),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The features", body = FeaturesResponse), Problems)
)]
pub(crate) async fn features(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (wanted, input) = admission::admit(&app, request, async |head, body| {
        let FeaturesQuery { include, model, encoding } = admission::query(&head.uri)?;
        let wanted = FeaturesRequest::read(&app, include.as_deref(), model.as_deref(), encoding)?;
        Ok((wanted, read_audio(&app, head, body).await?))
    })
    .await?;
    let Input::Audio { read, reservation } = input else { return Err(Rejection::EmptyAudio) };
    let json = admission::within(&app, async |permit| {
        let engine = Arc::clone(app.engine());
        let job = move |token: &CancellationToken| {
            let audio = read()?;
            let decoded = engine.decode(token, &audio)?;
            drop((audio, reservation));
            wanted.describe(&engine, token, &decoded.into())
        };
        permit.run(job).await?
    });
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json.await?).into_response())
}

/// Extracts features by librosa's defaults: with all descriptors, or the log-mel alone.
fn librosa(with_descriptors: bool) -> Result<&'static Extractor, Rejection> {
    static EXTRACTORS: [OnceLock<Extractor>; 2] = [const { OnceLock::new() }; 2];
    let cell = &EXTRACTORS[usize::from(with_descriptors)];
    if let Some(extractor) = cell.get() {
        return Ok(extractor);
    }
    let whole = FeatureSpec::librosa();
    let extractor = Extractor::new(if with_descriptors { whole } else { whole.log_mel_alone() })?;
    Ok(cell.get_or_init(|| extractor))
}

fn describe(
    extractor: &Extractor,
    features: &ClipFeatures,
    parts: Parts,
    numbers: Numbers,
    decoded: &Decoded,
) -> Result<FeaturesResponse, Rejection> {
    let spec = extractor.spec();
    let seconds_per_column = spec.stft.hop_length as f64 / f64::from(spec.sample_rate);
    let db = features.log_mel().db();
    let matrix = |values: ArrayView2<'_, f32>, row_hz, unit| Matrix {
        rows: values.nrows(),
        columns: values.ncols(),
        seconds_per_column,
        row_hz,
        unit,
        values: numbers.matrix(values),
    };
    let log_mel =
        if parts.log_mel { Some(matrix(db, Some(extractor.band_centres().to_vec()), Some("dB"))) } else { None };
    let mfcc = if parts.mfcc {
        let mfcc = Mfcc::new(spec.mel.n_mels, spec.n_mfcc)?.apply(db)?;
        Some(matrix(mfcc.view(), None, None))
    } else {
        None
    };
    let descriptors = if parts.descriptors {
        let segments = extractor.segments(features)?.into_iter().map(|segment| DescriptorSegment {
            start_seconds: segment.start_seconds,
            end_seconds: segment.end_seconds,
            values: numbers.vector(&segment.vector),
        });
        Some(Descriptors { segments: segments.collect(), names: extractor.names().to_vec() })
    } else {
        None
    };
    Ok(FeaturesResponse {
        audio: decoded.info.clone(),
        spec: spec.clone(),
        fingerprint: spec.fingerprint(),
        log_mel,
        mfcc,
        descriptors,
        waveform: parts.waveform.then(|| waveform(&decoded.clip, numbers)),
    })
}

impl Numbers {
    fn vector(self, values: &[f32]) -> Value {
        match self {
            Self::Json => json!(values),
            Self::Base64 => Value::String(base64_of(values)),
        }
    }

    fn matrix(self, values: ArrayView2<'_, f32>) -> Value {
        match self {
            Self::Json => values.rows().into_iter().map(|row| json!(row.to_vec())).collect(),
            Self::Base64 => Value::String(base64_of(values)),
        }
    }
}

/// The extremes of equal parts of a clip; of a very short one, one sample each.
fn waveform(clip: &Clip, numbers: Numbers) -> Waveform {
    let samples = clip.samples();
    let per_column = samples.len().div_ceil(WAVEFORM_COLUMNS).max(1);
    let extreme = |better: fn(f32, f32) -> f32| -> Vec<f32> {
        samples.chunks(per_column).map(|part| part.iter().copied().reduce(better).unwrap_or(0.0)).collect()
    };
    let (min, max) = (extreme(f32::min), extreme(f32::max));
    Waveform {
        columns: min.len(),
        seconds_per_column: per_column as f64 / f64::from(clip.sample_rate()),
        min: numbers.vector(&min),
        max: numbers.vector(&max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_and_no_others() {
        let parts = Parts::read(Some("log_mel, waveform")).expect("known");
        assert!(parts.log_mel && parts.waveform && !parts.mfcc && !parts.descriptors);
        let parts = Parts::read(None).expect("the default");
        assert!(parts.mfcc && parts.descriptors && !parts.log_mel);
        for bad in ["", "mfccs", "mfcc,,", "mfcc descriptors"] {
            assert!(Parts::read(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_waveform_has_the_extremes_of_each_part() {
        let samples: Vec<f32> = (0..5000).map(|n| if n % 3 == 0 { 0.5 } else { -0.25 }).collect();
        let drawn = waveform(&Clip::new(samples, 1000).expect("finite"), Numbers::Json);
        assert_eq!((drawn.columns, drawn.seconds_per_column), (1667, 0.003));
        assert_eq!((&drawn.min[0], &drawn.max[1666]), (&json!(-0.25), &json!(0.5)));
    }
}
