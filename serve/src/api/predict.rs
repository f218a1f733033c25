//! The routes that predict: one file in a request, or many.

#![expect(unused_qualifications, reason = "what utoipa makes of `params(PredictQuery)` names it in full")]

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use models::Explain;
use serde::Deserialize;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{Array, schema::ArrayBuilder},
};

use super::{
    docs::{self, Problems},
    upload::{Encoding, File, Upload, files},
};
use crate::{
    App, Rejection,
    config::ModelKind,
    engine::{Input, PredictRequest, model::Model, pool::Permit, response::PredictResponse},
    http::{admission, middleware::CACHE},
    rejection::Problem,
};

/// Media type of a batch: a JSON object on each line.
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Parameters of a prediction.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PredictQuery {
    /// Of a network, or an ensemble with one: the label to explain, `predicted` or the name of one.
    #[param(example = "predicted", nullable = false, min_length = 1)]
    explain: Option<String>,
}

/// A form with a file.
#[derive(ToSchema)]
#[schema(as = AudioForm)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct AudioForm {
    /// The file, in any format that is read, such as WAV, FLAC, MP3, AAC, Ogg, Opus, AIFF, M4A or WebM.
    #[schema(value_type = String, format = Binary)]
    audio_file: Vec<u8>,
}

/// A file in JSON.
#[derive(ToSchema)]
#[schema(as = AudioJson)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct AudioJson {
    #[schema(schema_with = docs::audio_base64)]
    audio_base64: String,
}

/// Predict the label of a file by the SVM
///
/// The format is detected by the bytes; any sample rate from 1 to 768 kHz and any number of channels.
#[utoipa::path(
    post, path = "/predict", tag = "predict",
    params(("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The prediction", body = PredictResponse), Problems)
)]
pub(crate) async fn predict(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    predict_one(&app, ModelKind::Svm.name(), None, request).await
}

/// Predict the label of a file by VGG19
#[utoipa::path(
    post, path = "/vgg", tag = "predict",
    params(PredictQuery, ("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The prediction", body = PredictResponse), Problems)
)]
pub(crate) async fn vgg(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    predict_one(&app, ModelKind::Vgg19.name(), None, request).await
}

/// Predict the label of a file by a model
#[utoipa::path(
    post, operation_id = "predict_by_model", path = "/v1/models/{name}/predict", tag = "models",
    params(("name" = String, Path, example = "svm"), PredictQuery, ("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The prediction", body = PredictResponse), Problems)
)]
pub(crate) async fn by_model(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    predict_one(&app, &name, None, request).await
}

/// Predict the label of a file by a version of a model
#[utoipa::path(
    post, operation_id = "predict_by_version", path = "/v1/models/{name}/versions/{version}/predict", tag = "models",
    params(("name" = String, Path, example = "svm"), ("version" = String, Path, description = "12 hexadecimal digits"), PredictQuery),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The prediction", body = PredictResponse), Problems)
)]
pub(crate) async fn by_version(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Rejection> {
    predict_one(&app, &name, Some(version), request).await
}

/// A form with many files.
#[derive(ToSchema)]
#[schema(as = FilesForm)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct FilesForm {
    #[schema(schema_with = files_schema)]
    files: Vec<Vec<u8>>,
}

fn files_schema() -> Array {
    let description = Some("The files, at most 64.");
    ArrayBuilder::new().description(description).items(docs::binary()).min_items(Some(1)).max_items(Some(64)).build()
}

/// A line of the response to many files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct BatchLine {
    /// Which of the files, from 0.
    index: usize,
    /// Its name in the form.
    #[schema(max_length = 255)]
    file_name: String,
    /// Its prediction,
    #[schema(nullable = false)]
    answer: Option<PredictResponse>,
    /// or why there is none. A line has one of the two.
    #[schema(nullable = false)]
    problem: Option<Problem>,
}

/// Predict the labels of many files by the SVM
///
/// One JSON object on each line, each as soon as it is ready; `index` is that of the file.
#[utoipa::path(
    post, path = "/predict/batch", tag = "predict",
    params(("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The files", content = FilesForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "A line for each file: an object `BatchLine` in JSON, as it is ready", body = String, content_type = "application/x-ndjson"), Problems)
)]
pub(crate) async fn predict_batch(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    predict_many(app, ModelKind::Svm.name(), request).await
}

/// Predict the labels of many files by VGG19
#[utoipa::path(
    post, path = "/vgg/batch", tag = "predict",
    params(("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The files", content = FilesForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "A line for each file: an object `BatchLine` in JSON, as it is ready", body = String, content_type = "application/x-ndjson"), Problems)
)]
pub(crate) async fn vgg_batch(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    predict_many(app, ModelKind::Vgg19.name(), request).await
}

/// Predict the labels of many files by a model
///
/// One JSON object on each line, each as soon as it is ready; `index` is that of the file.
#[utoipa::path(
    post, operation_id = "predict_batch_by_model", path = "/v1/models/{name}/predict/batch", tag = "models",
    params(("name" = String, Path, example = "svm"), ("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The files", content = FilesForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "A line for each file: an object `BatchLine` in JSON, as it is ready", body = String, content_type = "application/x-ndjson"), Problems)
)]
pub(crate) async fn batch_by_model(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    predict_many(app, &name, request).await
}

/// Reads a file, in whichever way the head says that it is sent, if there is a permit for it. It is taken out of the body on a
/// worker.
///
/// # Errors
/// Those of [`Encoding::of`] and [`admission::read`].
pub(super) async fn read_audio(app: &App, head: &Parts, body: &mut Body) -> Result<Input, Rejection> {
    let encoding = Encoding::of(&head.headers)?;
    let (bytes, reservation) = admission::read(app, body, app.limits().max_body_bytes).await?;
    let read = Box::new(|| Upload::new(encoding, bytes).into_audio());
    Ok(Input::Audio { read, reservation: Some(reservation) })
}

/// Predicts one file by the model of that name.
async fn predict_one(app: &App, name: &str, version: Option<String>, request: Request) -> Result<Response, Rejection> {
    let request = admission::admit(app, request, async |head, body| {
        app.engine().slot_named(name)?;
        let query: PredictQuery = admission::query(&head.uri)?;
        let version = version.or_else(|| admission::named_version(&head.headers));
        let model = app.engine().model(name, version).await?;
        let explain = query.explain.as_deref().map(|label| explained(label, &model)).transpose()?;
        Ok(PredictRequest { model, input: read_audio(app, head, body).await?, explain })
    })
    .await?;
    let response = admission::within(app, async |permit| app.engine().predict_json(&permit, request).await).await?;
    let cache = HeaderValue::from_static(if response.cached { "hit" } else { "miss" });
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json), (CACHE, cache)], response.json).into_response())
}

/// The label that `explain` names.
pub(super) fn explained(label: &str, model: &Model) -> Result<Explain, Rejection> {
    if !model.explains() {
        return Err(Rejection::BadQuery {
            problem: "`explain` is for a network, or an ensemble with one; the SVM has no such map".to_owned(),
        });
    }
    if label == "predicted" {
        return Ok(Explain::Predicted);
    }
    let index = model.labels().index_of(label);
    index.map(Explain::Label).ok_or_else(|| Rejection::BadQuery {
        problem: format!("unknown label in `explain`; expected `predicted` or one of {}", model.labels().join(", ")),
    })
}

/// Predicts many files under one permit, as many at once as there are workers. Each line is sent as soon as it is ready; no
/// more is begun while the client does not read, or once it has gone.
async fn predict_many(app: Arc<App>, name: &str, request: Request) -> Result<Response, Rejection> {
    let (model, files, reservation) = admission::admit(&app, request, async |head, body| {
        let model = app.engine().model(name, admission::named_version(&head.headers)).await?;
        let Encoding::Multipart { boundary } = Encoding::of(&head.headers)? else {
            return Err(Rejection::UnsupportedContentType {
                hint: " (many files come as multipart/form-data, in fields `files`)",
            });
        };
        let (bytes, reservation) = admission::read(&app, body, app.limits().max_batch_bytes).await?;
        Ok((model, files(&bytes, &boundary)?, reservation))
    })
    .await?;
    let at_once = app.engine().threads();
    let batch = Arc::new(Batch { permit: app.engine().enter()?, app, model });
    let lines = stream::iter(files.into_iter().enumerate()).map(move |(index, file)| {
        let (batch, _held) = (Arc::clone(&batch), &reservation);
        async move { batch.line(index, file).await }
    });
    let lines = lines.buffer_unordered(at_once).map(Ok::<_, Infallible>);
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response())
}

struct Batch {
    app: Arc<App>,
    permit: Permit,
    model: Arc<Model>,
}

impl Batch {
    /// A line of the response. The JSON of a prediction is written into it as it is.
    async fn line(&self, index: usize, file: File) -> Bytes {
        let mut line = format!("{{\"index\":{index},\"file_name\":").into_bytes();
        let result = match self.predict(file.audio).await {
            Ok(json) => Ok(json),
            Err(rejection) => Err(serde_json::to_vec(&Problem::from(&rejection)).unwrap_or_default()),
        };
        line.extend(serde_json::to_vec(&file.name).unwrap_or_default());
        let (member, value) = match &result {
            Ok(json) => (&b",\"answer\":"[..], &json[..]),
            Err(problem) => (&b",\"problem\":"[..], &problem[..]),
        };
        line.extend([member, value, b"}\n"].concat());
        line.into()
    }

    async fn predict(&self, audio: Bytes) -> Result<Bytes, Rejection> {
        let limit = self.app.limits().max_body_bytes;
        if audio.len() as u64 > limit {
            return Err(Rejection::BodyTooLarge { limit });
        }
        let read = Box::new(|| Upload::new(Encoding::Raw, audio).into_audio());
        let input = Input::Audio { read, reservation: None };
        let request = PredictRequest { model: Arc::clone(&self.model), input, explain: None };
        Ok(admission::deadline(&self.app, self.app.engine().predict_json(&self.permit, request)).await?.json)
    }
}
