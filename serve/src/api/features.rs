//! `POST /features`: what the computer hears of a song, as numbers.

#![expect(unused_qualifications, reason = "what utoipa makes of `params(Wish)` names it in full")]

use std::sync::Arc;

use axum::{
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

use crate::{
    App, Rejection,
    api::{
        answer::{AudioSchema, base64_of},
        docs::Problems,
        predict::{AudioForm, AudioJson},
    },
    engine::{
        hear::{Stages, to_json},
        pool::CancellationToken,
    },
    http::admission,
};

/// Columns of a waveform.
const WAVEFORM_COLUMNS: usize = 2000;

/// What is wanted, and how it is written.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// Some of `log_mel`, `mfcc`, `descriptors`, `waveform`, separated by commas; `mfcc,descriptors` without it.
    #[param(example = "mfcc,descriptors")]
    include: Option<String>,
    /// The model whose settings they are computed by, such as `svm`, instead of librosa's: what that model hears.
    model: Option<String>,
    /// `json`: numbers; `base64`: little-endian f32, row after row.
    #[serde(default)]
    #[param(inline)]
    encoding: Form,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// As JSON: one array a row.
    #[default]
    Json,
    /// As base64 of little-endian f32, row after row.
    Base64,
}

/// Which parts of the answer are wanted.
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
                        problem: "`include` takes some of log_mel, mfcc, descriptors, waveform, separated by commas"
                            .to_owned(),
                    });
                }
            };
            *wanted = true;
        }
        Ok(parts)
    }
}

/// Features of a song, computed with librosa's settings or a model's.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeaturesAnswer {
    /// What was decoded.
    #[schema(value_type = AudioSchema)]
    audio: AudioInfo,
    /// The settings that they were computed by.
    #[schema(value_type = Object)]
    spec: FeatureSpec,
    /// Names these settings.
    #[schema(value_type = String)]
    fingerprint: Fingerprint,
    /// The log-mel spectrogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_mel: Option<Matrix>,
    /// Mel-frequency cepstral coefficients.
    #[serde(skip_serializing_if = "Option::is_none")]
    mfcc: Option<Matrix>,
    /// Statistics of each passage of 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptors: Option<Descriptors>,
    /// Least and largest sample of equal parts of the song.
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
    values: Value,
}

/// Descriptors by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct Descriptors {
    /// Such as `mfcc.3.mean`.
    names: Vec<String>,
    /// One for each passage.
    segments: Vec<DescriptorSegment>,
}

/// Descriptors of a passage.
#[derive(Serialize, ToSchema)]
pub(crate) struct DescriptorSegment {
    start_seconds: f64,
    end_seconds: f64,
    /// In the order of the names.
    values: Value,
}

/// What a picture of the song is drawn from.
#[derive(Serialize, ToSchema)]
pub(crate) struct Waveform {
    columns: usize,
    seconds_per_column: f64,
    /// Least sample of each column, -1 to 1.
    min: Value,
    /// Largest sample of each column.
    max: Value,
}

/// Features of a song
///
/// MFCC, descriptors, log-mel and waveform, with librosa's default settings or a model's.
#[utoipa::path(
    post, path = "/features", tag = "features",
    params(Wish),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The features", body = FeaturesAnswer), Problems)
)]
pub(crate) async fn features(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (parts, form, model, song) = admission::admit(&app, request, async |head, body| {
        let wish: Wish = admission::query(&head.uri)?;
        let parts = Parts::read(wish.include.as_deref())?;
        let model = wish.model.as_deref().map(|name| app.host_named(name)?.ready()).transpose()?;
        Ok((parts, wish.encoding, model, admission::read_song(&app, head, body).await?))
    })
    .await?;
    let json = admission::within(&app, async |place| {
        let app = Arc::clone(&app);
        let job = move |caller: &CancellationToken<'_>| {
            let audio = song.upload.into_audio()?;
            let stages = Stages { caller: Some(caller), metrics: Some(app.metrics()) };
            let decoded = stages.decode(&audio, &app.limits().decode())?;
            drop((audio, song.held));
            let extractor = match &model {
                Some(model) => model.extractor(),
                None => app.extractor(parts.descriptors)?,
            };
            let analysis = stages.extract(extractor, &decoded.clip)?;
            to_json(&describe(extractor, &analysis, parts, form, &decoded)?)
        };
        place.run(job).await?
    });
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json.await?).into_response())
}

fn describe(
    extractor: &Extractor,
    analysis: &ClipFeatures,
    parts: Parts,
    form: Form,
    decoded: &Decoded,
) -> Result<FeaturesAnswer, Rejection> {
    let spec = extractor.spec();
    let seconds_per_column = spec.stft.hop_length as f64 / f64::from(spec.sample_rate);
    let db = analysis.log_mel().db();
    let matrix = |values: ArrayView2<'_, f32>, row_hz, unit| Matrix {
        rows: values.nrows(),
        columns: values.ncols(),
        seconds_per_column,
        row_hz,
        unit,
        values: form.matrix(values),
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
        let segments = extractor.segments(analysis)?.into_iter().map(|segment| DescriptorSegment {
            start_seconds: segment.start_seconds,
            end_seconds: segment.end_seconds,
            values: form.vector(&segment.vector),
        });
        Some(Descriptors { segments: segments.collect(), names: extractor.names().to_vec() })
    } else {
        None
    };
    Ok(FeaturesAnswer {
        audio: decoded.info.clone(),
        spec: spec.clone(),
        fingerprint: spec.fingerprint(),
        log_mel,
        mfcc,
        descriptors,
        waveform: parts.waveform.then(|| waveform(&decoded.clip, form)),
    })
}

impl Form {
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
fn waveform(clip: &Clip, form: Form) -> Waveform {
    let samples = clip.samples();
    let per_column = samples.len().div_ceil(WAVEFORM_COLUMNS).max(1);
    let extreme = |better: fn(f32, f32) -> f32| -> Vec<f32> {
        samples.chunks(per_column).map(|part| part.iter().copied().reduce(better).unwrap_or(0.0)).collect()
    };
    let (min, max) = (extreme(f32::min), extreme(f32::max));
    Waveform {
        columns: min.len(),
        seconds_per_column: per_column as f64 / f64::from(clip.sample_rate()),
        min: form.vector(&min),
        max: form.vector(&max),
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
        let drawn = waveform(&Clip::new(samples, 1000).expect("finite"), Form::Json);
        assert_eq!((drawn.columns, drawn.seconds_per_column), (1667, 0.003));
        assert_eq!((&drawn.min[0], &drawn.max[1666]), (&json!(-0.25), &json!(0.5)));
    }
}
