//! Routes of the Open Inference Protocol; what its requests and answers mean is in [`inference`](crate::oip::inference).

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Request, State},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use features::{ClipFeatures, LogMel, spec::Needs};
use futures_util::future::join_all;
use models::{Classifier, PredictOutput};
use ndarray::Array2;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App, Rejection,
    cli::config::Kind,
    engine::{
        pool::Permit,
        slot::{self, ModelSlot},
    },
    http::{admission, body},
    oip::inference::{
        ErrorBody, IndexRequest, InferRequest, InferResponse, InferenceError, InferenceRequestBody,
        InferenceResponseBody, Input, Live, Model, ModelMetadata, ModelReady, ModelState, Ready, RepositoryEntry,
        ServerMetadata, Verdict,
    },
};

/// Every route.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(server))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(index))
        .routes(routes!(model))
        .routes(routes!(version))
        .routes(routes!(model_ready))
        .routes(routes!(version_ready))
        .routes(routes!(infer))
        .routes(routes!(infer_version))
}

/// What this server is
#[utoipa::path(get, path = "/v2", tag = "open inference protocol", responses((status = 200, description = "Name, version, extensions", body = ServerMetadata)))]
pub(crate) async fn server() -> Json<ServerMetadata> {
    Json(ServerMetadata::THIS)
}

/// Whether the process lives
#[utoipa::path(get, path = "/v2/health/live", tag = "open inference protocol", responses((status = 200, description = "It does", body = Live)))]
async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// Whether every model is ready
#[utoipa::path(get, path = "/v2/health/ready", tag = "open inference protocol", responses((status = 200, description = "They are", body = Ready), (status = 503, description = "One is not", body = ErrorBody)))]
async fn ready(State(app): State<Arc<App>>) -> Result<Json<Ready>, InferenceError> {
    if app.is_stopping() {
        return Err(Rejection::NotReady { reason: "the server is stopping".into() }.into());
    }
    for host in app.hosts() {
        host.ready()?;
    }
    Ok(Json(Ready { ready: true }))
}

/// Which models there are
#[utoipa::path(post, path = "/v2/repository/index", tag = "open inference protocol",
    request_body(content = Option<IndexRequest>, description = "May be empty"),
    responses((status = 200, description = "The models", body = [RepositoryEntry]), (status = 400, description = "The body cannot be read", body = ErrorBody), (status = 408, description = "The body came too slowly", body = ErrorBody), (status = 413, description = "The body is too large", body = ErrorBody), (status = 503, description = "Busy", body = ErrorBody)))]
async fn index(State(app): State<Arc<App>>, request: Request) -> Result<Json<Vec<RepositoryEntry>>, InferenceError> {
    let limits = app.limits();
    // It needs no place among the workers.
    let read = async |_: &Parts, body: &mut Body| body::read(body, limits, limits.max_body_bytes, app.budget()).await;
    let (bytes, _held) = admission::admit(&app, request, read).await?;
    let wanted = IndexRequest::parse(&bytes)?;
    let entry = |host: &ModelSlot| {
        let version = host.get().map(|model| model.identity().version.clone());
        let state = if version.is_some() { ModelState::Ready } else { ModelState::Unavailable };
        let reason = host.problem().unwrap_or_default();
        RepositoryEntry { name: host.kind().name().to_owned(), version, state, reason }
    };
    Ok(Json(app.hosts().iter().map(entry).filter(|entry| wanted.wants(entry.state)).collect()))
}

/// What a model takes and gives
#[utoipa::path(get, path = "/v2/models/{name}", tag = "open inference protocol", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "Its tensors", body = ModelMetadata), (status = 404, description = "There is no such model", body = ErrorBody), (status = 500, description = "A fault of the server", body = ErrorBody), (status = 503, description = "It is not ready", body = ErrorBody)))]
async fn model(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<ModelMetadata>, InferenceError> {
    describe(&app, &name, None).await
}

/// What a version of a model takes and gives
#[utoipa::path(get, path = "/v2/models/{name}/versions/{version}", tag = "open inference protocol", params(("name" = String, Path, example = "svm"), ("version" = String, Path)), responses((status = 200, description = "Its tensors", body = ModelMetadata), (status = 404, description = "There is no such model or version", body = ErrorBody), (status = 500, description = "A fault of the server", body = ErrorBody), (status = 503, description = "It is not ready", body = ErrorBody)))]
async fn version(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelMetadata>, InferenceError> {
    describe(&app, &name, Some(version)).await
}

/// Whether a model would answer
#[utoipa::path(get, path = "/v2/models/{name}/ready", tag = "open inference protocol", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "It would", body = ModelReady), (status = 404, description = "There is no such model", body = ErrorBody), (status = 503, description = "It would not", body = ErrorBody)))]
async fn model_ready(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<ModelReady>, InferenceError> {
    app.host_named(&name)?.ready()?;
    Ok(Json(ModelReady { name, ready: true }))
}

/// Whether a version of a model would answer
#[utoipa::path(get, path = "/v2/models/{name}/versions/{version}/ready", tag = "open inference protocol", params(("name" = String, Path, example = "svm"), ("version" = String, Path)), responses((status = 200, description = "It would", body = ModelReady), (status = 404, description = "There is no such model or version", body = ErrorBody), (status = 500, description = "A fault of the server", body = ErrorBody), (status = 503, description = "It would not", body = ErrorBody)))]
async fn version_ready(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelReady>, InferenceError> {
    let kind = app.host_named(&name)?.kind();
    admission::choose(&app, kind, Some(version)).await?;
    Ok(Json(ModelReady { name, ready: true }))
}

async fn describe(app: &Arc<App>, name: &str, version: Option<String>) -> Result<Json<ModelMetadata>, InferenceError> {
    let kind = app.host_named(name)?.kind();
    let model = admission::choose(app, kind, version).await?;
    let list = {
        let app = Arc::clone(app);
        move || app.host(kind).map_or(Err(Rejection::UnknownModel), ModelSlot::versions)
    };
    let listed = tokio::task::spawn_blocking(list).await.map_err(Rejection::internal)??;
    // The one that was asked about comes first.
    let asked = &model.identity().version;
    let mut versions = vec![asked.clone()];
    versions.extend(listed.into_iter().map(|(version, _)| version).filter(|version| version != asked));
    let bands = model.extractor().spec().mel.n_mels;
    let metadata = ModelMetadata::new(name, versions, bands, model.labels().len());
    Ok(Json(if hears_more_than_log_mel(&*model) { metadata.without_log_mel() } else { metadata }))
}

/// The genres of songs
///
/// JSON, or JSON and binary tensor data whose length `Inference-Header-Content-Length` tells.
#[utoipa::path(post, path = "/v2/models/{name}/infer", tag = "open inference protocol",
    params(("name" = String, Path, example = "svm"), ("inference-header-content-length" = Option<u64>, Header, description = "Bytes of JSON, where binary data follows it")),
    request_body(content((InferenceRequestBody = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genres", content((InferenceResponseBody = "application/json"), (Vec<u8> = "application/octet-stream"))), Failures))]
async fn infer(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, InferenceError> {
    answer(&app, &name, None, request).await
}

/// The genres of songs, by a version of a model
#[utoipa::path(post, path = "/v2/models/{name}/versions/{version}/infer", tag = "open inference protocol",
    params(("name" = String, Path, example = "svm"), ("version" = String, Path), ("inference-header-content-length" = Option<u64>, Header, description = "Bytes of JSON, where binary data follows it")),
    request_body(content((InferenceRequestBody = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genres", content((InferenceResponseBody = "application/json"), (Vec<u8> = "application/octet-stream"))), Failures))]
async fn infer_version(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, InferenceError> {
    answer(&app, &name, Some(version), request).await
}

/// What a question may be answered with, instead of an answer.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "it stands in the description of the API")]
enum Failures {
    /// The request cannot be read
    #[response(status = 400)]
    Bad(ErrorBody),
    /// A key is needed
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(crate::api::problem::Problem),
    /// There is no such model or version
    #[response(status = 404)]
    Unknown(ErrorBody),
    /// The body came too slowly
    #[response(status = 408)]
    Slow(ErrorBody),
    /// The body, or a song in it, is too large
    #[response(status = 413)]
    Large(ErrorBody),
    /// The body is compressed, or a song is no audio
    #[response(status = 415)]
    Unsupported(ErrorBody),
    /// A song is broken or too short
    #[response(status = 422)]
    Broken(ErrorBody),
    /// A fault of the server
    #[response(status = 500)]
    Internal(ErrorBody),
    /// Busy, or not ready
    #[response(status = 503)]
    Busy(ErrorBody),
}

async fn answer(
    app: &Arc<App>,
    name: &str,
    version: Option<String>,
    request: Request,
) -> Result<Response, InferenceError> {
    let (kind, model, headers, bytes, held) = admission::admit(app, request, async |head, body| {
        let kind = app.host_named(name)?.kind();
        let version = version.or_else(|| admission::named_version(&head.headers));
        let model = admission::choose(app, kind, version).await?;
        let (bytes, held) = admission::read(app, body, app.limits().max_body_bytes).await?;
        Ok((kind, model, head.headers.clone(), bytes, held))
    })
    .await?;
    // It may be base64 of megabytes, so it is taken apart on a worker.
    let judged = admission::within(app, async |place| {
        let request = match place.run(move |_| InferRequest::parse(&headers, bytes)).await? {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        Ok(verdicts(app, &place, kind, &model, request.input).await.map(|verdicts| (request.wanted, verdicts)))
    });
    let (wanted, verdicts) = judged.await??;
    drop(held);
    let identity = model.identity();
    let model = Model { name: &identity.name, version: &identity.version, labels: model.labels() };
    Ok(InferResponse::new(wanted, model, &verdicts)?.into_response())
}

/// What a model says of each song, in their order.
async fn verdicts(
    app: &App,
    place: &Permit,
    kind: Kind,
    model: &Arc<dyn Classifier>,
    input: Input,
) -> Result<Vec<Verdict>, InferenceError> {
    let mut analyses = Vec::with_capacity(input.songs());
    match input {
        Input::Audio(files) => {
            for (index, audio) in files.into_iter().enumerate() {
                let heard = app.listen(place, model, audio).await;
                analyses.push(heard.map_err(|rejection| InferenceError::of_song(index, rejection))?.analysis);
            }
        }
        Input::LogMel(_) if hears_more_than_log_mel(&**model) => return Err(InferenceError::MoreThanLogMel),
        Input::LogMel(log_mels) => {
            let log_mels = log_mels.with_bands(model.extractor().spec().mel.n_mels)?;
            let (bands, frames) = (log_mels.bands(), log_mels.frames());
            for (index, song) in log_mels.songs().enumerate() {
                let analysis = analysis_of(&**model, song, bands, frames);
                analyses.push(analysis.map_err(|rejection| InferenceError::of_song(index, rejection))?);
            }
        }
    }
    // All at once: songs of one request share the network as those of several do.
    let judging = analyses.into_iter().map(|analysis| app.judge(place, kind, model, analysis, None));
    let judged = join_all(judging).await.into_iter().enumerate();
    judged
        .map(|(index, judged)| {
            let judgement = judged.map_err(|rejection| InferenceError::of_song(index, rejection))?;
            Ok(verdict(&judgement, &**model)?)
        })
        .collect()
}

/// Whether some of its descriptors need the waveform or its spectrum.
fn hears_more_than_log_mel(model: &dyn Classifier) -> bool {
    model.extractor().spec().descriptors.iter().any(|descriptor| descriptor.needs() != Needs::LogMel)
}

/// Features as they were sent, rounded as the model's own are.
fn analysis_of(model: &dyn Classifier, song: &[f32], bands: usize, frames: usize) -> Result<ClipFeatures, Rejection> {
    let db = Array2::from_shape_vec((bands, frames), song.to_vec()).map_err(Rejection::internal)?;
    let mut log_mel = LogMel::new(db)?;
    if let Some(quantisation) = &model.extractor().spec().quantisation {
        log_mel = log_mel.quantised(quantisation);
    }
    Ok(ClipFeatures::from(log_mel))
}

fn verdict(judgement: &PredictOutput, model: &dyn Classifier) -> Result<Verdict, Rejection> {
    slot::check(&judgement.prediction, model.labels().len()).map_err(Rejection::internal)?;
    let genre = model.labels().get(judgement.prediction.best()).cloned().unwrap_or_default();
    Ok(Verdict { genre, probabilities: judgement.prediction.probabilities.clone() })
}
