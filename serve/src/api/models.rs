//! `/v1/models`: which models this server has, and which versions of them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{App, Rejection, api::docs::Problems, engine::slot::ModelSlot};

/// A model as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ModelStatus {
    /// `svm` or `vgg19`.
    #[schema(example = "svm")]
    pub(crate) name: String,
    /// The route that answers for a song.
    #[schema(example = "/predict")]
    pub(crate) route: String,
    /// `ready` or `unavailable`.
    pub(crate) state: Availability,
    /// The version in use.
    pub(crate) version: Option<String>,
    /// What it tells apart.
    pub(crate) labels: Vec<String>,
    /// Fingerprint of the features that it hears.
    pub(crate) fingerprint: Option<String>,
    /// Why it is not there, or why a newer version is not in use.
    pub(crate) problem: Option<String>,
}

/// Whether a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ModelState)]
pub(crate) enum Availability {
    /// It does.
    Ready,
    /// It does not.
    Unavailable,
}

/// Every model.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ModelList {
    /// In the order of their roles.
    pub(crate) models: Vec<ModelStatus>,
}

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

impl ModelStatus {
    fn of(host: &ModelSlot) -> Self {
        let model = host.get();
        let identity = model.as_ref().map(|model| model.identity());
        let problem = host.problem().or_else(|| model.is_none().then(|| "no model is loaded yet".to_owned()));
        Self {
            name: host.kind().name().to_owned(),
            route: host.kind().route().to_owned(),
            state: if model.is_some() { Availability::Ready } else { Availability::Unavailable },
            version: identity.map(|identity| identity.version.clone()),
            labels: model.as_ref().map(|model| model.labels().to_vec()).unwrap_or_default(),
            fingerprint: identity.map(|identity| identity.fingerprint.to_string()),
            problem,
        }
    }
}

/// Every model of this server
#[utoipa::path(get, path = "/v1/models", tag = "models", responses((status = 200, description = "The models", body = ModelList)))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<ModelList> {
    Json(ModelList { models: app.hosts().iter().map(ModelStatus::of).collect() })
}

/// One model
#[utoipa::path(get, path = "/v1/models/{name}", tag = "models", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "The model", body = ModelStatus), Problems))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<ModelStatus>, Rejection> {
    app.host_named(&name).map(|host| Json(ModelStatus::of(host)))
}

/// The versions of a model
#[utoipa::path(get, path = "/v1/models/{name}/versions", tag = "models", params(("name" = String, Path, example = "svm")), responses((status = 200, description = "The versions", body = VersionList), Problems))]
pub(crate) async fn versions(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<VersionList>, Rejection> {
    let kind = app.host_named(&name)?.kind();
    let list = move || {
        let host = app.host(kind).ok_or(Rejection::UnknownModel)?;
        let current = host.get().map(|model| model.identity().version.clone());
        let versions = host.versions()?.into_iter().map(|(version, loaded)| VersionStatus {
            current: current.as_ref() == Some(&version),
            version,
            loaded,
        });
        Ok(Json(VersionList { versions: versions.collect() }))
    };
    tokio::task::spawn_blocking(list).await.unwrap_or_else(|error| Err(Rejection::internal(error)))
}
