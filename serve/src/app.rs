//! [`App`]: what requests share; [`router`]: which of them goes where.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use models::{Classifier, Identity};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Error, Limits, Rejection, Result, Role, body, pool::Pool, predict, problem, slot::Slot};

/// What the requests of one process share.
#[derive(Debug)]
pub struct App {
    role: Role,
    limits: Limits,
    slot: Slot,
    pool: Pool,
    stopping: AtomicBool,
}

impl App {
    /// Starts the workers. There is no model until one is [`put`](Slot::put).
    ///
    /// # Errors
    /// [`Error::System`] when there are no threads to be had.
    pub fn new(role: Role, limits: Limits, threads: usize, queue: usize) -> Result<Arc<Self>> {
        let pool = Pool::new(threads, queue).map_err(|source| Error::System { what: "the workers", source })?;
        Ok(Arc::new(Self { role, limits, slot: Slot::default(), pool, stopping: AtomicBool::new(false) }))
    }

    /// What one request may ask for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where the model in use sits.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The workers.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Says on `/readyz` that this process takes no more; requests under way, and those that still come, are answered.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The model in use.
    ///
    /// # Errors
    /// [`Rejection::NotReady`] before there is one.
    pub(crate) fn ready(&self) -> Result<Arc<dyn Classifier>, Rejection> {
        self.slot.get().ok_or(Rejection::NotReady { reason: "no model is loaded yet" })
    }
}

/// Routes of the role that `app` plays.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(index))
        .route(app.role.route(), post(predict::predict))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/problems", get(problem::list))
        .route("/problems/{kind}", get(problem::show))
        .method_not_allowed_fallback(async || Rejection::MethodNotAllowed)
        .fallback(not_found)
        .layer(middleware::from_fn(log))
        .with_state(app)
}

async fn index(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({
        "service": "tonearm",
        "role": app.role.name(),
        "routes": {
            format!("POST {}", app.role.route()): "audio as multipart field `audio_file`, as JSON `audio_base64`, or as the raw body",
            "GET /healthz": "200 while the process lives",
            "GET /readyz": "200 when a model is loaded and warm, 503 otherwise",
            "GET /problems": "every problem that a request can be answered with",
        },
    }))
}

/// Names the right server to a client that asks this one for the route of another. Reads on for a moment, so that one
/// that sends a song hears of it.
async fn not_found(State(app): State<Arc<App>>, request: Request) -> Rejection {
    let (head, mut body) = request.into_parts();
    body::linger(&mut body, &head.headers, &app.limits).await;
    let other = Role::ALL.into_iter().find(|role| role.route() == head.uri.path());
    other.map_or(Rejection::NotFound, |role| Rejection::OtherRole { role })
}

async fn healthz() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    model: Identity,
}

async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Ready>, Rejection> {
    if app.stopping.load(Ordering::Relaxed) {
        return Err(Rejection::NotReady { reason: "the server is stopping" });
    }
    Ok(Json(Ready { status: "ready", model: app.ready()?.identity().clone() }))
}

/// One line for each request: what was asked and what became of it, and nothing of who asked or what was sent.
async fn log(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut line = Line { method: request.method().clone(), route, start: Instant::now(), outcome: None };
    let response = next.run(request).await;
    line.outcome = Some((response.status(), response.extensions().get().copied()));
    response
}

/// Written when it is dropped, so that a client that goes away leaves a line too.
struct Line {
    method: Method,
    route: Option<MatchedPath>,
    start: Instant,
    outcome: Option<(StatusCode, Option<problem::Reason>)>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let route = self.route.as_ref().map_or("-", MatchedPath::as_str);
        let ms = self.start.elapsed().as_millis() as u64;
        let Some((status, reason)) = self.outcome else {
            tracing::info!(method = %self.method, route, ms, "client gone");
            return;
        };
        let problem = reason.map(|problem::Reason(kind)| kind.uri.trim_start_matches("/problems/"));
        tracing::info!(method = %self.method, route, status = status.as_u16(), ms, problem, "answered");
    }
}
