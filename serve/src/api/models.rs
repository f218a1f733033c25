//! What this server is: its models and their versions, whether it is ready, and the kinds of problems that it answers.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::docs::Problems;
use crate::{
    App, Rejection,
    engine::slot::{ModelList, ModelSlot, ModelStatus},
    rejection::{ALL, Problem, ProblemKind},
};

/// A version of a model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionStatus {
    /// 12 hexadecimal digits that name its content.
    version: String,
    /// Whether it is the one in use.
    current: bool,
    /// Whether it is in memory.
    loaded: bool,
}

/// Every version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionList {
    /// In the order of their names.
    versions: Vec<VersionStatus>,
}

/// Every model of this server
#[utoipa::path(get, operation_id = "list_models", path = "/v1/models", tag = "models", responses((status = 200, description = "The models", body = ModelList)))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<ModelList> {
    Json(ModelList { models: app.engine().slots().iter().map(|slot| slot.status(app.limits())).collect() })
}

/// One model
#[utoipa::path(get, operation_id = "show_model", path = "/v1/models/{name}", tag = "models", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "The model", body = ModelStatus), Problems))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<ModelStatus>, Rejection> {
    app.engine().slot_named(&name).map(|slot| Json(slot.status(app.limits())))
}

/// The versions of a model
#[utoipa::path(get, operation_id = "list_versions", path = "/v1/models/{name}/versions", tag = "models", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "The versions", body = VersionList), Problems))]
pub(crate) async fn versions(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<VersionList>, Rejection> {
    let slot = app.engine().slot_named(&name)?;
    let list = move || {
        let current = slot.get().map(|model| model.version().to_owned());
        let versions = slot.versions()?.into_iter().map(|(version, loaded)| VersionStatus {
            current: current.as_ref() == Some(&version),
            version,
            loaded,
        });
        Ok(Json(VersionList { versions: versions.collect() }))
    };
    tokio::task::spawn_blocking(list).await.unwrap_or_else(|error| Err(Rejection::internal(error)))
}

/// The process lives.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    /// `alive`.
    status: &'static str,
}

/// The server is ready to predict.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// `ready`.
    status: &'static str,
    /// Every model of this server.
    models: BTreeMap<String, ModelReady>,
}

/// Whether a model is ready.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelReady {
    ready: bool,
    /// The version in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Why it is not, or why a newer version is not in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Whether the process lives; needs no worker and no model
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, description = "It does", body = Alive)))]
pub(crate) async fn alive() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

/// Whether the models that this server must have are loaded, and have predicted a test tone
#[utoipa::path(get, path = "/readyz", tag = "service", responses((status = 200, description = "They are, and what is not ready of the others", body = Ready), (status = 503, description = "One is not, or the server is stopping", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Ready>, Rejection> {
    if app.is_stopping() {
        return Err(Rejection::STOPPING);
    }
    app.engine().registry().ready()?;
    let of = |slot: &Arc<ModelSlot>| {
        let version = slot.get().map(|model| model.version().to_owned());
        (slot.name().to_string(), ModelReady { ready: version.is_some(), version, problem: slot.problem() })
    };
    Ok(Json(Ready { status: "ready", models: app.engine().slots().iter().map(of).collect() }))
}

/// Every kind of problem.
#[utoipa::path(get, operation_id = "list_problems", path = "/problems", tag = "service", responses((status = 200, description = "The table", body = [ProblemKind])))]
pub(crate) async fn problems() -> Json<&'static [&'static ProblemKind]> {
    Json(ALL)
}

/// One kind of problem: the page that `type` of an error response leads to.
#[utoipa::path(get, operation_id = "show_problem", path = "/problems/{kind}", tag = "service", params(("kind" = String, Path, description = "What follows `/problems/` in `type`", example = "not-audio")), responses((status = 200, description = "A row of the table", body = ProblemKind), (status = 404, description = "There is no such kind", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn problem(Path(slug): Path<String>) -> Result<Json<&'static ProblemKind>, Rejection> {
    let found = ALL.iter().find(|kind| kind.uri.strip_prefix("/problems/") == Some(slug.as_str()));
    found.map(|kind| Json(*kind)).ok_or(Rejection::NotFound)
}
