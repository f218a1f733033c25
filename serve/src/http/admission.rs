//! Letting a request in: what its head asks for, its body, the version of the model, a place among the workers.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Query, Request},
    http::{HeaderMap, HeaderName, Uri, request::Parts},
};
use models::Classifier;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    App, Rejection,
    api::upload::{Encoding, Upload},
    cli::config::Kind,
    engine::pool::Permit,
    http::{body, budget::Reservation},
};

/// The header that names a version of the model.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("tonearm-version");

/// A song that is here whole, as it was sent, and the memory that it was let in for.
#[derive(Debug)]
pub(crate) struct Song {
    pub(crate) upload: Upload,
    pub(crate) held: Reservation,
}

/// Looks at a request, and reads of its body what is worth reading. Of a refused one some is still read, so that its client
/// hears of it.
///
/// # Errors
/// Those of `look`.
pub(crate) async fn admit<T>(
    app: &App,
    request: Request,
    look: impl AsyncFnOnce(&Parts, &mut Body) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let (head, mut body) = request.into_parts();
    let admitted = look(&head, &mut body).await;
    if admitted.is_err() {
        body::linger(&mut body, &head.headers, app.limits()).await;
    }
    admitted
}

/// Refuses a request whatever is in it.
pub(crate) async fn refuse(app: &App, request: Request, rejection: Rejection) -> Rejection {
    let (head, mut body) = request.into_parts();
    body::linger(&mut body, &head.headers, app.limits()).await;
    rejection
}

/// Reads a song, in whichever way the head says that it is sent, if there is a place for it.
///
/// # Errors
/// Those of [`Encoding::of`], [`App::has_room`] and [`body::read`].
pub(crate) async fn read_song(app: &App, head: &Parts, body: &mut Body) -> Result<Song, Rejection> {
    let encoding = Encoding::of(&head.headers)?;
    let (bytes, held) = read(app, body, app.limits().max_body_bytes).await?;
    Ok(Song { upload: Upload::new(encoding, bytes), held })
}

/// Reads a body of at most `limit` bytes, if there is a place for what is in it.
///
/// # Errors
/// Those of [`App::has_room`] and [`body::read`].
pub(crate) async fn read(app: &App, body: &mut Body, limit: u64) -> Result<(Bytes, Reservation), Rejection> {
    app.has_room()?;
    body::read(body, app.limits(), limit, app.budget()).await
}

/// The parameters after `?`.
///
/// # Errors
/// [`Rejection::BadQuery`].
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Rejection> {
    let found = Query::try_from_uri(uri).map(|Query(found)| found);
    found.map_err(|error| Rejection::BadQuery { problem: format!("the query cannot be read: {}", error.body_text()) })
}

/// The version that a header names.
pub(crate) fn named_version(headers: &HeaderMap) -> Option<String> {
    headers.get(VERSION).map(|version| String::from_utf8_lossy(version.as_bytes()).into_owned())
}

/// A version of a model, or the one in use where none is named.
///
/// # Errors
/// [`Rejection::UnknownModel`], [`Rejection::UnknownVersion`], [`Rejection::NotReady`].
pub(crate) async fn choose(
    app: &Arc<App>,
    kind: Kind,
    version: Option<String>,
) -> Result<Arc<dyn Classifier>, Rejection> {
    let Some(version) = version else { return app.host(kind).ok_or(Rejection::UnknownModel)?.ready() };
    let app = Arc::clone(app);
    let load = move || app.host(kind).ok_or(Rejection::UnknownModel)?.version(&version);
    tokio::task::spawn_blocking(load).await.unwrap_or_else(|error| Err(Rejection::internal(error)))
}

/// Takes a place and works there, for as long as an answer may take.
///
/// # Errors
/// Those of [`App::enter`] and of `work`; [`Rejection::TimedOut`].
pub(crate) async fn within<T>(
    app: &App,
    work: impl AsyncFnOnce(Permit) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let place = app.enter()?;
    let deadline = app.limits().answer_deadline;
    // Dropped at the deadline, the work takes what it has queued with it.
    timeout(deadline, work(place)).await.unwrap_or(Err(Rejection::TimedOut { seconds: deadline.as_secs() }))
}
