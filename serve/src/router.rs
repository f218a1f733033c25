//! [`router`]: the routes of each role.

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
    api::{docs, features, models, predict, together},
    config::ModelKind,
    gateway,
    http::{admission, middleware as layers},
    oip, page,
    telemetry::MEDIA_TYPE,
};

/// Routes of the role that `app` plays.
pub fn router(app: Arc<App>) -> Router {
    let role = app.role();
    // `web` forwards to the servers of the models, so it has their description.
    let (computing, api) = computing(if role == Role::Web { &ModelKind::ALL } else { role.kinds() }).split_for_parts();
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
        .layer(middleware::from_fn_with_state(Arc::clone(&app), layers::admit));
    if let Some(cors) = layers::cors(&app.access().cors_origins) {
        routes = routes.layer(cors);
    }
    routes.layer(middleware::from_fn_with_state(Arc::clone(&app), layers::observe)).with_state(app)
}

/// The routes of models.
fn computing(kinds: &[ModelKind]) -> OpenApiRouter<Arc<App>> {
    let mut routes = OpenApiRouter::with_openapi(docs::Api::openapi());
    if kinds.contains(&ModelKind::Svm) {
        routes = routes.routes(routes!(predict::predict)).routes(routes!(predict::predict_batch));
    }
    if kinds.contains(&ModelKind::Vgg19) {
        routes = routes.routes(routes!(predict::vgg)).routes(routes!(predict::vgg_batch));
    }
    routes
        .routes(routes!(together::together))
        .routes(routes!(features::features))
        .routes(routes!(models::list))
        .routes(routes!(models::show))
        .routes(routes!(models::versions))
        .routes(routes!(predict::by_model))
        .routes(routes!(predict::batch_by_model))
        .routes(routes!(predict::by_version))
        .routes(routes!(models::ready))
        .merge(oip::routes())
}

/// The routes that every role has itself.
fn common() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(models::alive))
        .routes(routes!(metrics))
        .routes(routes!(models::problems))
        .routes(routes!(models::problem))
}

/// What this server is, where it has no page.
async fn index(State(app): State<Arc<App>>) -> Json<Value> {
    let routes: Vec<_> = app.engine().slots().iter().map(|slot| format!("POST {}", slot.name().route())).collect();
    Json(json!({
        "service": "tonearm",
        "role": app.role().name(),
        "predict_routes": routes,
        "audio": "as multipart field `audio_file`, as JSON `audio_base64`, or as the raw body",
        "description": "/openapi.json",
        "documentation": "/docs",
    }))
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "service", responses((status = 200, description = "The text format of OpenMetrics", body = String, content_type = "application/openmetrics-text")))]
async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Rejection> {
    let text = app.engine().encode_metrics().map_err(Rejection::internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text).into_response())
}

/// Names the right role to a client that sends to the route of another. Reads on for a moment, so that one that sends a file
/// gets the response.
async fn not_found(State(app): State<Arc<App>>, request: Request) -> Rejection {
    let other = ModelKind::ALL.into_iter().find(|kind| kind.route() == request.uri().path());
    let rejection = other.map_or(Rejection::NotFound, |kind| Rejection::OtherRole { kind });
    admission::refuse(&app, request, rejection).await
}
