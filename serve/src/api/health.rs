//! `/healthz` and `/readyz`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{App, Rejection, api::problem::Problem};

/// That the process lives.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    /// `alive`.
    status: &'static str,
}

/// That it answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// `ready`.
    status: &'static str,
    /// Every model of this server.
    models: BTreeMap<String, ModelReady>,
}

/// Whether a model answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelReady {
    ready: bool,
    /// The version in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Why it does not, or why a newer version is not in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Whether the process lives; needs no worker and no model
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, description = "It does", body = Alive)))]
pub(crate) async fn alive() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

/// Whether every model is loaded and has predicted a test tone
#[utoipa::path(get, path = "/readyz", tag = "service", responses((status = 200, description = "They are", body = Ready), (status = 503, description = "One is not, or the server is stopping", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Ready>, Rejection> {
    if app.is_stopping() {
        return Err(Rejection::NotReady { reason: "the server is stopping".into() });
    }
    let mut models = BTreeMap::new();
    for host in app.hosts() {
        let version = host.ready()?.identity().version.clone();
        let status = ModelReady { ready: true, version: Some(version), problem: host.problem() };
        models.insert(host.kind().name().to_owned(), status);
    }
    Ok(Json(Ready { status: "ready", models }))
}
