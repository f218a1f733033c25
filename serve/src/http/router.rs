//! [`router`]: which request goes where.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App, Rejection, Role,
    api::{batch, docs, features, health, models, predict, problem},
    cli::config::Kind,
    gateway,
    http::{admission, metrics},
    oip::handlers,
    page,
};

/// Routes of the role that `app` plays.
pub fn router(app: Arc<App>) -> Router {
    let role = app.role();
    // `web` answers what the servers behind it answer, so it has their description.
    let (computing, api) = computing(if role == Role::Web { &Kind::ALL } else { role.kinds() }).split_for_parts();
    let (common, common_api) = common().split_for_parts();
    let api = docs::complete(api.merge_from(common_api), app.keys().is_some());
    let computing = match app.gateway() {
        Some(gateway) => gateway::router(Arc::clone(gateway)).with_state(()),
        None => computing,
    };
    let index = if role.has_page() { get(page::index) } else { get(index) };
    let mut routes = computing.merge(common).merge(docs::routes(&api)).route("/", index);
    if role.has_page() {
        routes = routes.route("/page/{file}", get(page::show));
    }
    let mut routes = routes
        .method_not_allowed_fallback(async || Rejection::MethodNotAllowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), crate::http::middleware::admit));
    if let Some(cors) = crate::http::middleware::cors(&app.access().cors_origins) {
        routes = routes.layer(cors);
    }
    routes.layer(middleware::from_fn_with_state(Arc::clone(&app), crate::http::middleware::observe)).with_state(app)
}

/// What answers about songs.
fn computing(kinds: &[Kind]) -> OpenApiRouter<Arc<App>> {
    let mut routes = OpenApiRouter::with_openapi(docs::Api::openapi());
    if kinds.contains(&Kind::Svm) {
        routes = routes.routes(routes!(predict::predict)).routes(routes!(batch::predict_batch));
    }
    if kinds.contains(&Kind::Vgg19) {
        routes = routes.routes(routes!(predict::vgg)).routes(routes!(batch::vgg_batch));
    }
    routes
        .routes(routes!(features::features))
        .routes(routes!(models::list))
        .routes(routes!(models::show))
        .routes(routes!(models::versions))
        .routes(routes!(predict::by_model))
        .routes(routes!(predict::by_version))
        .routes(routes!(health::ready))
        .merge(handlers::routes())
}

/// What every role has of its own.
fn common() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(measure))
        .routes(routes!(problem::list))
        .routes(routes!(problem::show))
}

/// What this server is, where it has no page.
async fn index(State(app): State<Arc<App>>) -> Json<Value> {
    let songs: Vec<_> = app.role().kinds().iter().map(|kind| format!("POST {}", kind.route())).collect();
    Json(json!({
        "service": "tonearm",
        "role": app.role().name(),
        "answers_for_songs": songs,
        "audio": "as multipart field `audio_file`, as JSON `audio_base64`, or as the raw body",
        "description": "/openapi.json",
        "documentation": "/docs",
    }))
}

/// Numbers for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "service", responses((status = 200, description = "The text format of OpenMetrics", body = String, content_type = "application/openmetrics-text")))]
async fn measure(State(app): State<Arc<App>>) -> Result<Response, Rejection> {
    let metrics = app.metrics();
    let (inside, waiting) = app.pool().occupancy();
    let gauges = [
        (&metrics.inside, inside as u64),
        (&metrics.queue_depth, waiting as u64),
        (&metrics.held_bytes, app.budget().in_use()),
        (&metrics.cache_bytes, app.answers().bytes() as u64),
    ];
    for (gauge, value) in gauges {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    let text = metrics.encode().map_err(Rejection::internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(metrics::MEDIA_TYPE))], text).into_response())
}

/// Names the right server to a client that asks this one for the route of another. Reads on for a moment, so that one
/// that sends a song hears of it.
async fn not_found(State(app): State<Arc<App>>, request: Request) -> Rejection {
    let other = Kind::ALL.into_iter().find(|kind| kind.route() == request.uri().path());
    let rejection = other.map_or(Rejection::NotFound, |kind| Rejection::OtherRole { kind });
    admission::refuse(&app, request, rejection).await
}
