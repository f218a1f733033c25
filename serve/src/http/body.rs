//! Reading a request's body whole, bounded in bytes and in time.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    Limits, Rejection,
    http::budget::{Budget, Reservation},
};

/// What is set aside before the first byte has come, at most: pages that nothing is written to cost nothing, and a body that
/// grows into its place leaves no half-sized ones behind.
const FIRST_CAPACITY: u64 = 16 << 20;
/// How long the rest of a refused body is still read.
const LINGER: Duration = Duration::from_secs(2);

/// Reads the whole body, into memory that was set aside for all bodies together.
///
/// A body that announces more than `limit` bytes is refused before a byte of it is read, one that sends more
/// (chunked coding announces nothing) as soon as it does. The same for one that finds no room in the `budget`.
///
/// # Errors
/// [`Rejection::BodyTooLarge`], [`Rejection::Crowded`], [`Rejection::SlowBody`], [`Rejection::BrokenBody`].
pub async fn read(
    body: &mut Body,
    limits: &Limits,
    limit: u64,
    budget: &Arc<Budget>,
) -> Result<(Bytes, Reservation), Rejection> {
    let announced = body.size_hint();
    if announced.lower() > limit {
        return Err(Rejection::BodyTooLarge { limit });
    }
    // Room for what is announced is looked for and not taken: who announces much and sends nothing keeps nobody out.
    drop(budget.try_reserve(announced.lower()).ok_or(Rejection::Crowded)?);
    let mut held = budget.try_reserve(0).ok_or(Rejection::Crowded)?;
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
                // Trailers are read and forgotten.
                let Ok(data) = frame.into_data() else { continue };
                if received + data.len() as u64 > limit {
                    return Err(Rejection::BodyTooLarge { limit });
                }
                if !held.grow(data.len() as u64) {
                    return Err(Rejection::Crowded);
                }
                bytes.extend_from_slice(&data);
            }
        }
    }
}

/// Reads on for a moment after a refusal, and throws away what comes.
///
/// A connection that is closed over unread bytes is reset, and a client that is still sending then loses the answer
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
    // Whether it ended or the time did, the answer is the same.
    let _ = timeout(LINGER.min(limits.body_silence), drain).await;
}
