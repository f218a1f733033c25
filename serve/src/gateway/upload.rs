//! [`Upload`]: a request's body on its way to a backend.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::Request,
    http::{HeaderMap, header},
};
use futures_util::stream::unfold;
use http_body_util::BodyExt as _;
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use crate::{Rejection, engine::pool::lock};

/// How long a client's unread body is drained after the response, so that the client reads the response.
const LINGER: Duration = Duration::from_secs(2);
/// How long a client that awaits `100 Continue` is held back if the backend sends nothing.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// A client's body on its way to a backend.
///
/// Dropped before its end (the backend is down, or has responded and closed), the rest is drained for a moment: closing a
/// connection with unread bytes resets it, and a client that sends everything before it reads then loses the response.
pub(super) struct Upload {
    body: Body,
    progress: Arc<Progress>,
    idle_timeout: Duration,
    received: u64,
    failed: bool,
    /// Of a client that awaits `100 Continue`, which hyper sends when the body is first polled: told when the backend
    /// sends it.
    proceed: Option<Arc<Notify>>,
}

/// How far an upload is.
#[derive(Debug)]
pub(super) struct Progress {
    /// Since when the gateway waits for the backend; `None` while it waits for the client.
    backend_since: Mutex<Option<Instant>>,
    failure: Mutex<Option<Rejection>>,
}

impl Upload {
    pub(super) fn new(headers: &HeaderMap, body: Body, idle_timeout: Duration) -> Self {
        let progress = Progress { backend_since: Mutex::new(Some(Instant::now())), failure: Mutex::default() };
        let proceed = headers.contains_key(header::EXPECT).then(Arc::default);
        Self { body, progress: Arc::new(progress), idle_timeout, received: 0, failed: false, proceed }
    }

    /// Drops the body of a request that is refused.
    pub(super) fn discard(request: Request) {
        let (head, body) = request.into_parts();
        drop(Self::new(&head.headers, body, Duration::ZERO));
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    pub(super) fn proceed(&self) -> Option<Arc<Notify>> {
        self.proceed.clone()
    }

    /// Its length in bytes, if the client has announced one and it is not 0.
    pub(super) fn length(&self) -> Option<u64> {
        self.body.size_hint().exact().filter(|&length| length > 0)
    }

    pub(super) fn into_body(self) -> Body {
        if self.body.is_end_stream() {
            return Body::empty();
        }
        Body::from_stream(unfold(self, async |mut upload| Some((upload.next().await?, upload))))
    }

    async fn next(&mut self) -> Option<Result<Bytes, &'static str>> {
        if let Some(proceed) = &self.proceed {
            // A backend that ignores `Expect` is sent the body all the same.
            let _ = timeout(CONTINUE_TIMEOUT, proceed.notified()).await;
            self.proceed = None;
        }
        *lock(&self.progress.backend_since) = None;
        let frame = timeout(self.idle_timeout, self.body.frame()).await;
        *lock(&self.progress.backend_since) = Some(Instant::now());
        let received = self.received;
        match frame {
            Ok(None) => None,
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                self.received += data.len() as u64;
                Some(Ok(data))
            }
            Ok(Some(Err(_))) => Some(Err(self.fail(Rejection::BrokenBody { received }))),
            Err(_) => Some(Err(self.fail(Rejection::SlowBody { received }))),
        }
    }

    fn fail(&mut self, rejection: Rejection) -> &'static str {
        self.failed = true;
        *lock(&self.progress.failure) = Some(rejection);
        "the client's body broke off"
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A client that still awaits `100 Continue` has sent nothing, and one that has failed sends no more.
        if self.proceed.is_some() || self.failed || self.body.is_end_stream() {
            return;
        }
        let mut body = mem::take(&mut self.body);
        // There is no runtime when the program ends.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(timeout(LINGER, async move { while let Some(Ok(_)) = body.frame().await {} }));
    }
}

impl Progress {
    /// The failure of the upload, if it was the client's.
    pub(super) fn failure(&self) -> Option<Rejection> {
        lock(&self.failure).take()
    }

    /// Ends when the gateway has waited for the backend for `limit`.
    pub(super) async fn backend_is_late(&self, limit: Duration) {
        loop {
            let since = *lock(&self.backend_since);
            let left = limit.saturating_sub(since.map_or(Duration::ZERO, |since| since.elapsed()));
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}
