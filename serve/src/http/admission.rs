//! Admission of a request: its head is checked before its body is read, and a body is bounded in bytes and in time.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{Query, Request},
    http::{HeaderMap, HeaderName, Uri, header, request::Parts},
};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    App, Limits, Rejection,
    engine::{
        budget::{Budget, Reservation},
        pool::Permit,
    },
};

/// The header that names a version of the model.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("tonearm-version");

/// Capacity that is allocated before the first byte has come, at most: pages that nothing is written to cost nothing, and a
/// body that grows within it is not copied.
const FIRST_CAPACITY: u64 = 16 << 20;
/// How long the rest of a refused body is still read.
const LINGER: Duration = Duration::from_secs(2);

/// Checks a request, and reads of its body what is worth reading. Of a refused one some is still read, so that its client
/// gets the response.
///
/// # Errors
/// Those of `check`.
pub(crate) async fn admit<T>(
    app: &App,
    request: Request,
    check: impl AsyncFnOnce(&Parts, &mut Body) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let (head, mut body) = request.into_parts();
    let admitted = check(&head, &mut body).await;
    if admitted.is_err() {
        linger(&mut body, &head.headers, app.limits()).await;
    }
    admitted
}

/// Refuses a request whatever is in it.
pub(crate) async fn refuse(app: &App, request: Request, rejection: Rejection) -> Rejection {
    let refused = admit(app, request, async |_, _| Err::<(), _>(rejection)).await;
    refused.err().unwrap_or(Rejection::NotFound)
}

/// Reads a body of at most `limit` bytes, if there is a permit for what is in it.
///
/// # Errors
/// [`Rejection::Busy`], and those of [`read_body`].
pub(crate) async fn read(app: &App, body: &mut Body, limit: u64) -> Result<(Bytes, Reservation), Rejection> {
    app.engine().check_capacity()?;
    read_body(body, app.limits(), limit, app.engine().budget()).await
}

/// The parameters after `?`.
///
/// # Errors
/// [`Rejection::BadQuery`].
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Rejection> {
    let query = Query::try_from_uri(uri).map(|Query(query)| query);
    query.map_err(|error| Rejection::BadQuery { problem: format!("failed to read the query: {}", error.body_text()) })
}

/// The version that a header names.
pub(crate) fn named_version(headers: &HeaderMap) -> Option<String> {
    headers.get(VERSION).map(|version| String::from_utf8_lossy(version.as_bytes()).into_owned())
}

/// Takes a permit and works under it, within the time limit of a prediction.
///
/// # Errors
/// [`Rejection::Busy`], those of `work`, [`Rejection::TimedOut`].
pub(crate) async fn within<T>(
    app: &App,
    work: impl AsyncFnOnce(Permit) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let permit = app.engine().enter()?;
    deadline(app, work(permit)).await
}

/// Does `work` within the time limit of a prediction. At the limit it is dropped, which cancels its jobs.
///
/// # Errors
/// Those of `work`; [`Rejection::TimedOut`].
pub(crate) async fn deadline<T>(app: &App, work: impl Future<Output = Result<T, Rejection>>) -> Result<T, Rejection> {
    let limit = app.limits().answer_deadline;
    timeout(limit, work).await.unwrap_or(Err(Rejection::TimedOut { seconds: limit.as_secs() }))
}

/// Reads a whole body into memory that is reserved from the `budget` of all bodies.
///
/// A body that announces more than `limit` bytes is refused before a byte of it is read, one that sends more
/// (chunked coding announces nothing) as soon as it does. The same for one that the `budget` has too few bytes for.
///
/// # Errors
/// [`Rejection::BodyTooLarge`], [`Rejection::MemoryLimit`], [`Rejection::SlowBody`], [`Rejection::BrokenBody`].
pub async fn read_body(
    body: &mut Body,
    limits: &Limits,
    limit: u64,
    budget: &Arc<Budget>,
) -> Result<(Bytes, Reservation), Rejection> {
    let announced = body.size_hint();
    if announced.lower() > limit {
        return Err(Rejection::BodyTooLarge { limit });
    }
    // What is announced must be free, and is not reserved: a client that announces much and sends nothing blocks no other.
    drop(budget.try_reserve(announced.lower()).ok_or(Rejection::MemoryLimit)?);
    let mut held = budget.try_reserve(0).ok_or(Rejection::MemoryLimit)?;
    let capacity = announced.upper().unwrap_or(0).min(FIRST_CAPACITY);
    let mut bytes = Vec::with_capacity(usize::try_from(capacity).unwrap_or(0));
    let deadline = Instant::now() + limits.body_deadline;
    loop {
        let received = bytes.len() as u64;
        let frame = match timeout_at(deadline, timeout(limits.body_silence, body.frame())).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(_)) | Err(_) => return Err(Rejection::SlowBody { received }),
        };
        match frame {
            None => return Ok((bytes.into(), held)),
            Some(Err(_)) => return Err(Rejection::BrokenBody { received }),
            Some(Ok(frame)) => {
                // Trailers are ignored.
                let Ok(data) = frame.into_data() else { continue };
                if received + data.len() as u64 > limit {
                    return Err(Rejection::BodyTooLarge { limit });
                }
                if !held.grow(data.len() as u64) {
                    return Err(Rejection::MemoryLimit);
                }
                bytes.extend_from_slice(&data);
            }
        }
    }
}

/// Reads on for a moment after a refusal, and discards what comes.
///
/// A connection that is closed over unread bytes is reset, and a client that is still sending then loses the response
/// that says why. One that waits for `100 Continue` has sent nothing, and is answered at once.
pub async fn linger(body: &mut Body, headers: &HeaderMap, limits: &Limits) {
    if body.is_end_stream() || headers.get(header::EXPECT).is_some() {
        return;
    }
    // Enough for a body that is somewhat too large; what is left of a larger one is reset.
    let mut left = limits.max_body_bytes.saturating_mul(2);
    let drain = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
            if left == 0 {
                break;
            }
        }
    };
    // Whether the body ended or the time did, the response is the same.
    let _ = timeout(LINGER.min(limits.body_silence), drain).await;
}
