//! The [Open Inference Protocol], version 2 over HTTP: the protocol of clients of KServe, Triton and MLServer.
//!
//! [`request`] reads bytes and headers, the routes here predict, [`response`] writes what was requested.
//!
//! ```text
//! headers, body ── InferRequest::parse ──> InferInput::Audio | InferInput::LogMel ── Engine::predict ──> [ClipPrediction]
//!                         └──────────────> OutputSpec: id, outputs ── InferResponse::new ─┴──> JSON [+ binary data]
//! ```
//!
//! Every model has the same interface, except that one which takes more features than the log-mel has no input `log_mel`:
//!
//! | tensor | datatype | shape | holds |
//! |---|---|---|---|
//! | input `audio` | `BYTES` | `[clips]` | whole audio files, as `POST /predict` takes them |
//! | input `log_mel` | `FP32` | `[clips, bands, frames]`, or `[bands, frames]` for one clip | levels in dB, by the model's feature specification |
//! | output `genre` | `BYTES` | `[clips]` | the most probable label |
//! | output `probabilities` | `FP64` | `[clips, labels]` | of every label, in the order of the model's labels |
//!
//! A request has exactly one of the inputs. It gets the outputs that it lists, in that order, or both when it lists none.
//!
//! - **JSON.** `data` is flat or nested as `shape` says. A string of `audio` is base64, with `"parameters": {"content_type":
//!   "base64"}` or without.
//! - **[Binary tensor data]** follows the JSON, whose length the header `Inference-Header-Content-Length` gives; a tensor's
//!   part of it is `binary_data_size` bytes long. Numbers are little-endian, an element of `BYTES` has its length before it
//!   as a little-endian u32. Files that come so are slices of the body, never copies. An output is answered so when its
//!   `binary_data`, or `binary_data_output` of the whole request, is true.
//! - **[Classification].** `probabilities` with the parameter `classification: k` is answered as `BYTES` of the shape `[clips,
//!   k]`: the k most probable labels as `probability:index:label`.
//! - Other parameters are ignored, except those of shared memory, which would leave a tensor empty: they are refused.
//!
//! Triton's configuration ([`config`]) and statistics ([`statistics`]) of models are there too; `grpc` has all of it over gRPC.
//!
//! A request fails with one [`InferenceError`], answered as `{"error": "…"}`. A body may hold anything: lengths that
//! it states are checked against the bytes that are there before memory is allocated for them, which is linear in the body.
//!
//! [Open Inference Protocol]: https://github.com/kserve/open-inference-protocol
//! [Binary tensor data]: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
//! [Classification]: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md

pub mod config;
pub mod error;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(test)]
mod hostile;
pub mod request;
pub mod response;
mod schema;
pub mod statistics;
pub mod tensor;

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Request, State},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use features::{ClipFeatures, LogMel};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ndarray::Array2;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    config::ModelConfig,
    error::{ErrorBody, InferenceError},
    request::{InferInput, InferRequest, InferenceRequestBody},
    response::{
        ClipPrediction, IndexRequest, InferResponse, InferenceResponseBody, Live, ModelMetadata, ModelReady, ModelRef,
        ModelState, Ready, RepositoryEntry, ServerMetadata,
    },
    statistics::{ModelStatistics, StatisticsResponse},
};
use crate::{
    App, Input, PredictRequest, Rejection,
    engine::{model::Model, pool::Permit, slot::ModelSlot},
    http::admission,
    rejection::Problem,
};

/// Every route. `/v2/models/stats` is that of the statistics, whatever models there are.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(server))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(index))
        .routes(routes!(stats))
        .routes(routes!(model))
        .routes(routes!(model_config))
        .routes(routes!(model_stats))
        .routes(routes!(version))
        .routes(routes!(version_config))
        .routes(routes!(version_stats))
        .routes(routes!(model_ready))
        .routes(routes!(version_ready))
        .routes(routes!(infer))
        .routes(routes!(infer_version))
}

/// Name, version and extensions of the server
#[utoipa::path(get, operation_id = "server_metadata", path = "/v2", tag = "open inference protocol", responses((status = 200, description = "Name, version, extensions", body = ServerMetadata)))]
pub(crate) async fn server() -> Json<ServerMetadata> {
    Json(ServerMetadata::THIS)
}

/// Whether the process is alive
#[utoipa::path(get, operation_id = "server_live", path = "/v2/health/live", tag = "open inference protocol", responses((status = 200, description = "It does", body = Live)))]
async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// Whether the models that this server must have are ready
#[utoipa::path(get, operation_id = "server_ready", path = "/v2/health/ready", tag = "open inference protocol", responses((status = 200, description = "They are", body = Ready), (status = 503, description = "One is not", body = ErrorBody)))]
async fn ready(State(app): State<Arc<App>>) -> Result<Json<Ready>, InferenceError> {
    if app.is_stopping() {
        return Err(Rejection::STOPPING.into());
    }
    app.engine().registry().ready()?;
    Ok(Json(Ready { ready: true }))
}

/// List the models
#[utoipa::path(post, operation_id = "repository_index", path = "/v2/repository/index", tag = "open inference protocol",
    request_body(content = Option<IndexRequest>, description = "May be empty"),
    responses((status = 200, description = "The models", body = [RepositoryEntry]), (status = 400, description = "The body cannot be read", body = ErrorBody), (status = 408, description = "The body came too slowly", body = ErrorBody), (status = 413, description = "The body is too large", body = ErrorBody), (status = 503, description = "Busy", body = ErrorBody)))]
async fn index(State(app): State<Arc<App>>, request: Request) -> Result<Json<Vec<RepositoryEntry>>, InferenceError> {
    let limits = app.limits();
    // It needs no permit.
    let read = async |_: &Parts, body: &mut Body| {
        admission::read_body(body, limits, limits.max_body_bytes, app.engine().budget()).await
    };
    let (bytes, _held) = admission::admit(&app, request, read).await?;
    let request = IndexRequest::parse(&bytes)?;
    Ok(Json(entries(&app, request)))
}

/// The models that a request lists.
fn entries(app: &App, request: IndexRequest) -> Vec<RepositoryEntry> {
    let entry = |slot: &Arc<ModelSlot>| {
        let version = slot.get().map(|model| model.version().to_owned());
        let state = if version.is_some() { ModelState::Ready } else { ModelState::Unavailable };
        let reason = slot.problem().unwrap_or_default();
        RepositoryEntry { name: slot.name().to_string(), version, state, reason }
    };
    app.engine().slots().iter().map(entry).filter(|entry| request.lists(entry.state)).collect()
}

/// Inputs and outputs of a model
#[utoipa::path(get, operation_id = "model_metadata", path = "/v2/models/{name}", tag = "open inference protocol", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "Its tensors", body = ModelMetadata), (status = 404, description = "Unknown model", body = ErrorBody), (status = 500, description = "Internal error", body = ErrorBody), (status = 503, description = "It is not ready", body = ErrorBody)))]
async fn model(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<ModelMetadata>, InferenceError> {
    Ok(Json(metadata(&app, &name, None).await?.1))
}

/// Inputs and outputs of a version of a model
#[utoipa::path(get, operation_id = "version_metadata", path = "/v2/models/{name}/versions/{version}", tag = "open inference protocol", params(("name" = String, Path, example = "svm"), ("version" = String, Path)), responses((status = 200, description = "Its tensors", body = ModelMetadata), (status = 404, description = "Unknown model or version", body = ErrorBody), (status = 500, description = "Internal error", body = ErrorBody), (status = 503, description = "It is not ready", body = ErrorBody)))]
async fn version(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelMetadata>, InferenceError> {
    Ok(Json(metadata(&app, &name, Some(version)).await?.1))
}

/// Whether a model is ready
#[utoipa::path(get, path = "/v2/models/{name}/ready", tag = "open inference protocol", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "It is", body = ModelReady), (status = 404, description = "Unknown model", body = ErrorBody), (status = 503, description = "It is not", body = ErrorBody)))]
async fn model_ready(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<ModelReady>, InferenceError> {
    app.engine().slot_named(&name)?.ready()?;
    Ok(Json(ModelReady { name, ready: true }))
}

/// Whether a version of a model is ready
#[utoipa::path(get, path = "/v2/models/{name}/versions/{version}/ready", tag = "open inference protocol", params(("name" = String, Path, example = "svm"), ("version" = String, Path)), responses((status = 200, description = "It is", body = ModelReady), (status = 404, description = "Unknown model or version", body = ErrorBody), (status = 500, description = "Internal error", body = ErrorBody), (status = 503, description = "It is not", body = ErrorBody)))]
async fn version_ready(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelReady>, InferenceError> {
    app.engine().model(&name, Some(version)).await?;
    Ok(Json(ModelReady { name, ready: true }))
}

/// Configuration of a model, in Triton's form
#[utoipa::path(get, path = "/v2/models/{name}/config", tag = "open inference protocol", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "Its configuration", body = ModelConfig), (status = 404, description = "Unknown model", body = ErrorBody), (status = 500, description = "Internal error", body = ErrorBody), (status = 503, description = "It is not ready", body = ErrorBody)))]
async fn model_config(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<ModelConfig>, InferenceError> {
    Ok(Json(configuration(&app, &name, None).await?))
}

/// Configuration of a version of a model, in Triton's form
#[utoipa::path(get, path = "/v2/models/{name}/versions/{version}/config", tag = "open inference protocol", params(("name" = String, Path, example = "svm"), ("version" = String, Path)), responses((status = 200, description = "Its configuration", body = ModelConfig), (status = 404, description = "Unknown model or version", body = ErrorBody), (status = 500, description = "Internal error", body = ErrorBody), (status = 503, description = "It is not ready", body = ErrorBody)))]
async fn version_config(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelConfig>, InferenceError> {
    Ok(Json(configuration(&app, &name, Some(version)).await?))
}

/// How often each model predicted, and how long that took
#[utoipa::path(get, operation_id = "statistics", path = "/v2/models/stats", tag = "open inference protocol", responses((status = 200, description = "Of each version that is loaded", body = StatisticsResponse), (status = 500, description = "Internal error", body = ErrorBody)))]
async fn stats(State(app): State<Arc<App>>) -> Result<Json<StatisticsResponse>, InferenceError> {
    Ok(Json(statistics(&app, None, None).await?))
}

/// How often a model predicted, and how long that took
#[utoipa::path(get, path = "/v2/models/{name}/stats", tag = "open inference protocol", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "Of each version that is loaded", body = StatisticsResponse), (status = 404, description = "Unknown model", body = ErrorBody), (status = 500, description = "Internal error", body = ErrorBody)))]
async fn model_stats(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<StatisticsResponse>, InferenceError> {
    Ok(Json(statistics(&app, Some(&name), None).await?))
}

/// How often a version of a model predicted, and how long that took
#[utoipa::path(get, path = "/v2/models/{name}/versions/{version}/stats", tag = "open inference protocol", params(("name" = String, Path, example = "svm"), ("version" = String, Path)), responses((status = 200, description = "Of that version", body = StatisticsResponse), (status = 404, description = "Unknown model, or a version that is not loaded", body = ErrorBody), (status = 500, description = "Internal error", body = ErrorBody)))]
async fn version_stats(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<StatisticsResponse>, InferenceError> {
    Ok(Json(statistics(&app, Some(&name), Some(&version)).await?))
}

/// The counters of the versions that are loaded: of all models, of one, or one version of it.
///
/// # Errors
/// [`Rejection::UnknownModel`], [`Rejection::UnknownVersion`] for one that is not loaded.
async fn statistics(app: &App, name: Option<&str>, version: Option<&str>) -> Result<StatisticsResponse, Rejection> {
    let slots = match name {
        Some(name) => vec![app.engine().slot_named(name)?],
        None => app.engine().slots(),
    };
    // A version may be locked while it loads.
    let listed = move || slots.iter().map(|slot| (slot.name().clone(), slot.loaded())).collect::<Vec<_>>();
    let loaded = tokio::task::spawn_blocking(listed).await.map_err(Rejection::internal)?;
    let mut model_stats = Vec::new();
    for (model, loaded) in loaded {
        let wanted = loaded.iter().filter(|loaded| version.is_none_or(|version| loaded.version() == version));
        let before = model_stats.len();
        model_stats.extend(wanted.map(|loaded| ModelStatistics::from(&**loaded)));
        if version.is_some() && model_stats.len() == before {
            return Err(Rejection::UnknownVersion { model });
        }
    }
    Ok(StatisticsResponse { model_stats })
}

/// The configuration of a model, or of a version of it.
async fn configuration(app: &App, name: &str, version: Option<String>) -> Result<ModelConfig, Rejection> {
    let (model, metadata) = metadata(app, name, version).await?;
    ModelConfig::new(&model, metadata, app.engine().compute())
}

/// A model, or a version of it, and its metadata.
async fn metadata(app: &App, name: &str, version: Option<String>) -> Result<(Arc<Model>, ModelMetadata), Rejection> {
    let slot = app.engine().slot_named(name)?;
    let model = app.engine().model(name, version).await?;
    let listed = tokio::task::spawn_blocking(move || slot.versions()).await.map_err(Rejection::internal)??;
    // The requested one comes first.
    let requested = model.version();
    let mut versions = vec![requested.to_owned()];
    versions.extend(listed.into_iter().map(|(version, _)| version).filter(|version| version != requested));
    let bands = model.extractor().spec().mel.n_mels;
    let metadata = ModelMetadata::new(reference(&model), versions, bands);
    let metadata = if model.takes_log_mel_alone() { metadata } else { metadata.without_log_mel() };
    Ok((model, metadata))
}

/// What a response says of a model.
fn reference(model: &Model) -> ModelRef<'_> {
    ModelRef {
        name: model.name(),
        version: model.version(),
        labels: model.labels(),
        parameters: Some(model.parameters()),
    }
}

/// Predict the labels of clips
///
/// JSON, or JSON and binary tensor data whose length `Inference-Header-Content-Length` tells.
#[utoipa::path(post, path = "/v2/models/{name}/infer", tag = "open inference protocol",
    params(("name" = String, Path, example = "svm"), ("inference-header-content-length" = Option<u64>, Header, description = "Bytes of JSON, where binary data follows it")),
    request_body(content((InferenceRequestBody = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The predictions", content((InferenceResponseBody = "application/json"), (Vec<u8> = "application/octet-stream"))), Failures))]
async fn infer(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, InferenceError> {
    predict(&app, &name, None, request).await
}

/// Predict the labels of clips by a version of a model
#[utoipa::path(post, path = "/v2/models/{name}/versions/{version}/infer", tag = "open inference protocol",
    params(("name" = String, Path, example = "svm"), ("version" = String, Path), ("inference-header-content-length" = Option<u64>, Header, description = "Bytes of JSON, where binary data follows it")),
    request_body(content((InferenceRequestBody = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The predictions", content((InferenceResponseBody = "application/json"), (Vec<u8> = "application/octet-stream"))), Failures))]
async fn infer_version(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, InferenceError> {
    predict(&app, &name, Some(version), request).await
}

/// The error responses of inference.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "it stands in the description of the API")]
enum Failures {
    /// The request cannot be read
    #[response(status = 400)]
    Bad(ErrorBody),
    /// API key required
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// Unknown model or version
    #[response(status = 404)]
    Unknown(ErrorBody),
    /// The body came too slowly
    #[response(status = 408)]
    Slow(ErrorBody),
    /// The body, or a clip in it, is too large
    #[response(status = 413)]
    Large(ErrorBody),
    /// The body is compressed, or a clip is not audio
    #[response(status = 415)]
    Unsupported(ErrorBody),
    /// A clip is corrupt or too short
    #[response(status = 422)]
    Broken(ErrorBody),
    /// Internal error
    #[response(status = 500)]
    Internal(ErrorBody),
    /// Busy, or not ready
    #[response(status = 503)]
    Busy(ErrorBody),
}

async fn predict(
    app: &Arc<App>,
    name: &str,
    version: Option<String>,
    request: Request,
) -> Result<Response, InferenceError> {
    let (model, headers, bytes, reservation) = admission::admit(app, request, async |head, body| {
        let version = version.or_else(|| admission::named_version(&head.headers));
        let model = app.engine().model(name, version).await?;
        let (bytes, reservation) = admission::read(app, body, app.limits().max_body_bytes).await?;
        Ok((model, head.headers.clone(), bytes, reservation))
    })
    .await?;
    let response = answer(app, &model, move || InferRequest::parse(&headers, bytes)).await?;
    drop(reservation);
    Ok(response.into_response())
}

/// Takes a permit, reads a request on a worker, since it may be base64 of megabytes, and predicts its clips.
async fn answer(
    app: &App,
    model: &Arc<Model>,
    read: impl FnOnce() -> Result<InferRequest, InferenceError> + Send + 'static,
) -> Result<InferResponse, InferenceError> {
    let predicted = admission::within(app, async |permit| {
        let request = match permit.run(move |_| read()).await? {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        let predictions = predict_clips(app, &permit, model, request.input).await;
        Ok(predictions.map(|predictions| (request.outputs, predictions)))
    });
    let (outputs, predictions) = predicted.await??;
    InferResponse::new(outputs, reference(model), &predictions)
}

/// Predicts the clips of one request, in their order. As many audio files are decoded at once as there are workers.
async fn predict_clips(
    app: &App,
    permit: &Permit,
    model: &Arc<Model>,
    input: InferInput,
) -> Result<Vec<ClipPrediction>, InferenceError> {
    let engine = app.engine();
    let (at_once, inputs): (usize, Vec<Result<Input, Rejection>>) = match input {
        InferInput::Audio(files) => {
            let input = |audio| Ok(Input::Audio { read: Box::new(|| Ok(audio)), reservation: None });
            (engine.threads(), files.into_iter().map(input).collect())
        }
        InferInput::LogMel(_) if !model.takes_log_mel_alone() => return Err(InferenceError::MoreThanLogMel),
        InferInput::LogMel(log_mels) => {
            let log_mels = log_mels.with_bands(model.extractor().spec().mel.n_mels)?;
            let (bands, frames) = (log_mels.bands(), log_mels.frames());
            let inputs = log_mels.clips().map(|clip| features_of(model, clip, bands, frames).map(Input::Features));
            (log_mels.clips().len(), inputs.collect())
        }
    };
    let predict = |(index, input): (usize, Result<Input, Rejection>)| async move {
        let request = |input| PredictRequest { model: Arc::clone(model), input, explain: None };
        let response = match input {
            Ok(input) => engine.predict(permit, request(input)).await,
            Err(rejection) => Err(rejection),
        };
        response.map(ClipPrediction::from).map_err(|rejection| InferenceError::of_clip(index, rejection))
    };
    stream::iter(inputs.into_iter().enumerate()).map(predict).buffered(at_once).try_collect().await
}

/// Features as they were sent, rounded as the model's own are.
fn features_of(model: &Model, clip: &[f32], bands: usize, frames: usize) -> Result<ClipFeatures, Rejection> {
    let db = Array2::from_shape_vec((bands, frames), clip.to_vec()).map_err(Rejection::internal)?;
    let mut log_mel = LogMel::new(db)?;
    if let Some(quantisation) = &model.extractor().spec().quantisation {
        log_mel = log_mel.quantised(quantisation);
    }
    Ok(ClipFeatures::from(log_mel))
}
