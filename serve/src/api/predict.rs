//! The routes that a role is there for: from a song to its genre.

#![expect(unused_qualifications, reason = "what utoipa makes of `params(Wish)` names it in full")]

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use models::{Classifier, Explain};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    App, Rejection,
    api::{answer::PredictResponse, docs::Problems},
    cli::config::Kind,
    engine::{
        hear::{Question, Reply},
        slot::ModelSlot,
    },
    http::admission,
};

/// The header that says whether an answer was kept from before: `hit` or `miss`.
pub(crate) const CACHE: HeaderName = HeaderName::from_static("tonearm-cache");

/// What a question may ask for beside the genre.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// Of a network: what it listened to. `predicted` for the genre that it names, or the name of another genre.
    #[param(example = "predicted")]
    explain: Option<String>,
}

/// The forms that audio comes in, for the description of the API.
#[derive(ToSchema)]
#[schema(as = AudioForm)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct AudioForm {
    /// The file: WAV, AU, FLAC, MP3, OGG, AIFF or M4A.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    audio_file: Vec<u8>,
}

/// The same as JSON.
#[derive(ToSchema)]
#[schema(as = AudioJson)]
#[expect(dead_code, reason = "it stands in the description of the API")]
pub(crate) struct AudioJson {
    /// The file in base64, standard or URL-safe, bare or as a `data:` URL.
    audio_base64: String,
}

/// The genre of a song, by the support vector machine
///
/// Audio is told by its bytes, at any rate and any number of channels.
#[utoipa::path(
    post, path = "/predict", tag = "genre",
    params(("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genre", body = PredictResponse), Problems)
)]
pub(crate) async fn predict(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    of(&app, |_| Ok(Kind::Svm), None, request).await
}

/// The genre of a song, by VGG19
#[utoipa::path(
    post, path = "/vgg", tag = "genre",
    params(Wish, ("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genre", body = PredictResponse), Problems)
)]
pub(crate) async fn vgg(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    of(&app, |_| Ok(Kind::Vgg19), None, request).await
}

/// The genre of a song, by a model that is named
#[utoipa::path(
    post, path = "/v1/models/{name}/predict", tag = "models",
    params(("name" = String, Path, example = "svm"), Wish, ("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genre", body = PredictResponse), Problems)
)]
pub(crate) async fn by_model(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    of(&app, |app| app.host_named(&name).map(ModelSlot::kind), None, request).await
}

/// The genre of a song, by one version of a model
#[utoipa::path(
    post, path = "/v1/models/{name}/versions/{version}/predict", tag = "models",
    params(("name" = String, Path, example = "svm"), ("version" = String, Path, description = "12 hexadecimal digits"), Wish),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genre", body = PredictResponse), Problems)
)]
pub(crate) async fn by_version(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Rejection> {
    of(&app, |app| app.host_named(&name).map(ModelSlot::kind), Some(version), request).await
}

/// Answers for a song. `find` says which model is asked.
async fn of(
    app: &Arc<App>,
    find: impl FnOnce(&App) -> Result<Kind, Rejection>,
    version: Option<String>,
    request: Request,
) -> Result<Response, Rejection> {
    let (question, song) = admission::admit(app, request, async |head, body| {
        let kind = find(app)?;
        let wish: Wish = admission::query(&head.uri)?;
        let version = version.or_else(|| admission::named_version(&head.headers));
        let model = admission::choose(app, kind, version).await?;
        let explain = wish.explain.as_deref().map(|genre| explained(genre, kind, &*model)).transpose()?;
        Ok((Question { kind, model, explain }, admission::read_song(app, head, body).await?))
    })
    .await?;
    let reply = admission::within(app, async |place| app.hear(&place, song, question).await).await?;
    Ok(respond(reply))
}

/// Which label `explain` stands for.
fn explained(genre: &str, kind: Kind, model: &dyn Classifier) -> Result<Explain, Rejection> {
    if !kind.explains() {
        return Err(Rejection::BadQuery {
            problem: "`explain` is for the network; the SVM has no such map".to_owned(),
        });
    }
    if genre == "predicted" {
        return Ok(Explain::Predicted);
    }
    let label = model.labels().iter().position(|label| label == genre);
    label.map(Explain::Label).ok_or_else(|| Rejection::BadQuery {
        problem: format!("`explain` names no genre of the model; it has `predicted`, {}", model.labels().join(", ")),
    })
}

fn respond(reply: Reply) -> Response {
    let cache = HeaderValue::from_static(if reply.kept { "hit" } else { "miss" });
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json), (CACHE, cache)], reply.json).into_response()
}
