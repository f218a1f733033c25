//! The routes that a role is there for: from a song to its genre.

#![expect(unused_qualifications, reason = "what utoipa makes of `params(Wish)` names it in full")]

use std::sync::Arc;

use axum::{
    body::{Body as HttpBody, Bytes},
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use models::{Classifier, Explain};
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use crate::{
    App, Rejection,
    answer::Answer,
    body,
    config::Kind,
    docs::Problems,
    hear::{Body, Question, Reply},
    host::Host,
    pool::Place,
    upload::{Encoding, Upload},
};

/// The header that names a version of the model.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("tonearm-version");
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
    responses((status = 200, description = "The genre", body = Answer), Problems)
)]
pub(crate) async fn predict(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    of(&app, Kind::Svm, None, request).await
}

/// The genre of a song, by VGG19
#[utoipa::path(
    post, path = "/vgg", tag = "genre",
    params(Wish, ("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genre", body = Answer), Problems)
)]
pub(crate) async fn vgg(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    of(&app, Kind::Vgg19, None, request).await
}

/// The genre of a song, by a model that is named
#[utoipa::path(
    post, path = "/v1/models/{name}/predict", tag = "models",
    params(("name" = String, Path, example = "svm"), Wish, ("tonearm-version" = Option<String>, Header, description = "A version of the model other than the one in use")),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genre", body = Answer), Problems)
)]
pub(crate) async fn by_model(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    let kind = app.host_named(&name)?.kind();
    of(&app, kind, None, request).await
}

/// The genre of a song, by one version of a model
#[utoipa::path(
    post, path = "/v1/models/{name}/versions/{version}/predict", tag = "models",
    params(("name" = String, Path, example = "svm"), ("version" = String, Path, description = "12 hexadecimal digits"), Wish),
    request_body(description = "The audio", content((AudioForm = "multipart/form-data"), (AudioJson = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, description = "The genre", body = Answer), Problems)
)]
pub(crate) async fn by_version(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Rejection> {
    let kind = app.host_named(&name)?.kind();
    of(&app, kind, Some(version), request).await
}

/// Answers for a song; of a refused request some of the body is still read, so that its client hears of it.
async fn of(app: &Arc<App>, kind: Kind, version: Option<String>, request: Request) -> Result<Response, Rejection> {
    let (head, mut body) = request.into_parts();
    let admitted = async {
        let wish: Wish = query(head.uri.query())?;
        let model = choose(app, kind, version, &head.headers).await?;
        let explain = wish.explain.as_deref().map(|genre| explained(genre, &*model)).transpose()?;
        let encoding = Encoding::of(&head.headers)?;
        app.has_room()?;
        let read = read(app, &mut body, app.limits().max_body_bytes).await?;
        Ok((Question { kind, model, explain }, read.into_body(encoding)))
    };
    match admitted.await {
        Ok((question, body)) => {
            let reply = within(app, async |place| app.hear(&place, body, question).await).await?;
            Ok(respond(reply))
        }
        Err(rejection) => {
            body::linger(&mut body, &head.headers, app.limits()).await;
            Err(rejection)
        }
    }
}

/// Takes a place and works there, for as long as an answer may take.
pub(crate) async fn within<T>(
    app: &App,
    work: impl AsyncFnOnce(Place) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let place = app.enter()?;
    let deadline = app.limits().answer_deadline;
    // Dropped at the deadline, the work takes what it has queued with it.
    timeout(deadline, work(place)).await.unwrap_or(Err(Rejection::TimedOut { seconds: deadline.as_secs() }))
}

/// Bytes that were read, and what they were let in for.
pub(crate) struct Read {
    bytes: Bytes,
    held: crate::budget::Reservation,
}

impl Read {
    pub(crate) fn into_body(self, encoding: Encoding) -> Body {
        Body { upload: Upload::new(encoding, self.bytes), held: self.held }
    }

    pub(crate) fn into_parts(self) -> (Bytes, crate::budget::Reservation) {
        (self.bytes, self.held)
    }
}

/// Reads a body of at most `limit` bytes, into memory that all bodies share.
pub(crate) async fn read(app: &App, body: &mut HttpBody, limit: u64) -> Result<Read, Rejection> {
    let (bytes, held) = body::read(body, app.limits(), limit, app.budget()).await?;
    Ok(Read { bytes, held })
}

/// The parameters after `?`.
///
/// # Errors
/// [`Rejection::BadQuery`].
pub(crate) fn query<T: serde::de::DeserializeOwned>(query: Option<&str>) -> Result<T, Rejection> {
    let uri = match query {
        Some(query) => format!("/?{query}").parse(),
        None => "/".parse(),
    };
    let bad = |problem: String| Rejection::BadQuery { problem: format!("the query cannot be read: {problem}") };
    let uri = uri.map_err(|error: axum::http::uri::InvalidUri| bad(error.to_string()))?;
    Query::try_from_uri(&uri).map(|Query(found)| found).map_err(|error| bad(error.body_text()))
}

/// The version that a request names, or the one in use.
pub(crate) async fn choose(
    app: &Arc<App>,
    kind: Kind,
    version: Option<String>,
    headers: &HeaderMap,
) -> Result<Arc<dyn Classifier>, Rejection> {
    let named = version
        .or_else(|| headers.get(VERSION).map(|version| String::from_utf8_lossy(version.as_bytes()).into_owned()));
    let Some(version) = named else { return app.host(kind).map_or(Err(Rejection::UnknownModel), Host::ready) };
    let app = Arc::clone(app);
    let load = move || app.host(kind).map_or(Err(Rejection::UnknownModel), |host| host.version(&version));
    tokio::task::spawn_blocking(load).await.unwrap_or_else(|error| Err(Rejection::internal(error)))
}

/// Which label `explain` stands for.
fn explained(genre: &str, model: &dyn Classifier) -> Result<Explain, Rejection> {
    if model.identity().name != Kind::Vgg19.name() {
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
