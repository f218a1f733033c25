//! Which backend a route is for, and what the gateway serves itself.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::HeaderMap,
    response::Response,
    routing::{any, get, post},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{Gateway, backend::Backend, forward::is_loop, together, upload::Upload};
use crate::{
    Rejection,
    config::{ModelKind, ModelName},
    engine::slot::{Availability, ModelList, ModelStatus},
    oip::{
        error::InferenceError,
        response::{IndexRequest, Live, ModelState, Ready, RepositoryEntry, ServerMetadata},
    },
};

/// The longest body of a request that is read here.
const MAX_BODY: usize = 64 << 10;
/// For a body that is read here.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The routes of the role `web` that concern models: those of all model servers together.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let to = |kind| post(async move |State(gateway): State<Arc<Gateway>>, request| gateway.to(kind, request).await);
    Router::new()
        .route("/predict", to(ModelKind::Svm))
        .route("/predict/batch", to(ModelKind::Svm))
        .route("/vgg", to(ModelKind::Vgg19))
        .route("/vgg/batch", to(ModelKind::Vgg19))
        .route("/v1/predict", post(together::predict))
        .route("/features", post(to_any))
        .route("/v1/models", get(models))
        .route("/v1/models/{name}", any(to_named))
        .route("/v1/models/{name}/{*rest}", any(to_named))
        .route("/v2", get(async || Json(ServerMetadata::THIS)))
        .route("/v2/health/live", get(async || Json(Live { live: true })))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/stats", get(together::statistics))
        .route("/v2/models/{name}", any(infer))
        .route("/v2/models/{name}/{*rest}", any(infer))
        .route("/v2/repository/index", post(index))
        .route("/readyz", get(readyz))
        .with_state(gateway)
}

impl Gateway {
    /// The backend for what every one can do: the first that is ready, else that is reachable, else the first.
    fn any(&self) -> Result<&Arc<Backend>, Rejection> {
        let ready = self.backends.iter().find(|backend| backend.problem().is_none());
        let reachable = || self.backends.iter().find(|backend| !backend.is_unreachable());
        ready.or_else(reachable).or(self.backends.first()).ok_or(Rejection::NotFound)
    }

    /// Whether any backend is ready.
    fn ready(&self) -> Result<(), Rejection> {
        let problem = |backend: &Arc<Backend>| Some(format!("{}: {}", backend.kind().name(), backend.problem()?));
        // One without a problem is enough.
        let Some(problems) = self.backends.iter().map(problem).collect::<Option<Vec<_>>>() else { return Ok(()) };
        Err(Rejection::NotReady { reason: format!("no model is ready: {}", problems.join("; ")).into() })
    }

    /// Sends a request to the backend of a kind of models.
    async fn to(&self, kind: ModelKind, request: Request) -> Result<Response, Rejection> {
        match self.backends.iter().find(|backend| backend.kind() == kind) {
            Some(backend) => self.forward(backend, request).await,
            None => {
                Upload::discard(request);
                Err(Rejection::UnknownModel)
            }
        }
    }

    /// Sends a request to the backend that has the model of that name.
    async fn to_model(&self, name: &str, request: Request) -> Result<Response, Rejection> {
        match self.backend_of(name, request.headers()).await {
            Ok(backend) => self.forward(backend, request).await,
            Err(rejection) => {
                Upload::discard(request);
                Err(rejection)
            }
        }
    }

    /// The backend that has the model of that name: the one that listed it; else that of the kind of that name; else the one that
    /// says so now, of a model that is new, or where only clients have the key.
    pub(super) async fn backend_of(&self, name: &str, headers: &HeaderMap) -> Result<&Arc<Backend>, Rejection> {
        // What is no name is in no request to a backend.
        let name: ModelName = name.parse().map_err(|_| Rejection::UnknownModel)?;
        let of_kind = || self.backends.iter().find(|backend| Some(backend.kind()) == name.kind());
        if let Some(backend) = self.backends.iter().find(|backend| backend.has(&name)).or_else(of_kind) {
            return Ok(backend);
        }
        // A gateway in front of itself would ask for ever.
        if is_loop(headers) {
            return Err(Rejection::UnknownModel);
        }
        let mut silent = None;
        for backend in &self.backends {
            match self.asks(backend, &name, headers).await {
                Some(true) => return Ok(backend),
                Some(false) => {}
                None => silent = silent.or(Some(backend)),
            }
        }
        // It may be there.
        Err(silent.map_or(Rejection::UnknownModel, |backend| Rejection::BackendUnavailable { model: backend.kind() }))
    }

    /// The status of every model; of two of one name, that to which requests are sent.
    pub(super) fn statuses(&self) -> Vec<ModelStatus> {
        let mut all: Vec<ModelStatus> = Vec::new();
        for status in self.backends.iter().flat_map(|backend| backend.statuses()) {
            if !all.iter().any(|known| known.name == status.name) {
                all.push(status);
            }
        }
        // Those that have the name of a kind first, as every server lists them; the sort is stable.
        all.sort_by_key(|status| ModelKind::named(&status.name).map_or(usize::MAX, |kind| kind as usize));
        all
    }
}

async fn to_any(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Rejection> {
    let query = request.uri().query().unwrap_or_default();
    match query.split('&').find_map(|pair| pair.strip_prefix("model=")).map(str::to_owned) {
        Some(name) => gateway.to_model(&name, request).await,
        None => gateway.forward(gateway.any()?, request).await,
    }
}

/// The model that a path names; what follows it is for the backend.
#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn to_named(
    State(gateway): State<Arc<Gateway>>,
    Path(Named { name }): Path<Named>,
    request: Request,
) -> Result<Response, Rejection> {
    gateway.to_model(&name, request).await
}

/// As [`to_named`], with errors in the form of the Open Inference Protocol.
async fn infer(gateway: State<Arc<Gateway>>, named: Path<Named>, request: Request) -> Result<Response, InferenceError> {
    Ok(to_named(gateway, named, request).await?)
}

/// `GET /v1/models`: what each backend last reported of its models.
async fn models(State(gateway): State<Arc<Gateway>>) -> Json<ModelList> {
    Json(ModelList { models: gateway.statuses() })
}

/// `GET /readyz`: 200 while at least one model is ready, and the state of each.
async fn readyz(State(gateway): State<Arc<Gateway>>) -> Result<Json<Value>, Rejection> {
    gateway.ready()?;
    let of = |status: ModelStatus| {
        let state = match status.state {
            Availability::Ready => json!({ "ready": true, "version": status.version }),
            Availability::Unavailable => json!({ "ready": false, "problem": status.problem }),
        };
        (status.name, state)
    };
    let models: Map<String, Value> = gateway.statuses().into_iter().map(of).collect();
    Ok(Json(json!({ "status": "ready", "models": models })))
}

/// `GET /v2/health/ready`.
async fn ready(State(gateway): State<Arc<Gateway>>) -> Result<Json<Ready>, InferenceError> {
    gateway.ready()?;
    Ok(Json(Ready { ready: true }))
}

/// `POST /v2/repository/index`: what each backend last reported of its models.
async fn index(State(gateway): State<Arc<Gateway>>, body: Body) -> Result<Json<Vec<RepositoryEntry>>, InferenceError> {
    let wanted = IndexRequest::parse(&read(body).await?)?;
    let entry = |status: ModelStatus| {
        let state = match status.state {
            Availability::Ready => ModelState::Ready,
            Availability::Unavailable => ModelState::Unavailable,
        };
        let reason = status.problem.unwrap_or_default();
        RepositoryEntry { name: status.name, version: status.version, state, reason }
    };
    let entries = gateway.statuses().into_iter().map(entry).filter(|entry| wanted.lists(entry.state));
    Ok(Json(entries.collect()))
}

/// Reads a small body whole.
async fn read(body: Body) -> Result<Bytes, Rejection> {
    match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejection::BodyTooLarge { limit: MAX_BODY as u64 }),
        Ok(Err(_)) => Err(Rejection::BrokenBody { received: 0 }),
        Err(_) => Err(Rejection::SlowBody { received: 0 }),
    }
}
