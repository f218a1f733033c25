//! A request on its way to a backend, and its answer on the way back.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header, response::Parts},
    response::Response,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use tokio::{
    select,
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Gateway,
    backend::Backend,
    bodies::{self, Download, Gate, Pace, Upload},
    connect::{Connection, error_chain},
    headers,
};
use crate::Rejection;

/// What is buffered of one connection to a backend, each way; the head of an answer fits in, or is an error.
const MAX_BUFFER: usize = 64 << 10;
/// How long a client that waits for `100 Continue` is held back, where the backend says neither that nor anything else.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);
/// For the whole of an exchange whose answer is held.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is held.
const MAX_HELD: usize = 1 << 20;

impl Gateway {
    /// Sends `request` to `backend` and gives its answer, both as they come.
    ///
    /// # Errors
    /// [`Rejection::BackendUnavailable`] and [`BackendTimeout`](Rejection::BackendTimeout) where there is no head of an
    /// answer; [`Rejection::SlowBody`] and [`BrokenBody`](Rejection::BrokenBody) where that is the client's doing. An
    /// answer that breaks off later breaks off for the client too.
    pub(super) async fn forward(&self, backend: &Arc<Backend>, request: Request) -> Result<Response, Rejection> {
        let model = backend.kind();
        if headers::has_come_back(request.headers()) {
            let url = backend.url();
            tracing::error!(model = model.name(), %url, "the URL of a backend leads back to this gateway");
            bodies::refuse(request);
            return Err(Rejection::BackendUnavailable { model });
        }
        let (head, body) = request.into_parts();
        let expects = head.headers.contains_key(header::EXPECT);
        let proceed = Arc::new(Notify::new());
        let gate = expects.then(|| gate(Arc::clone(&proceed)));
        // Made before anything can fail: it reads on for a moment when it is dropped.
        let upload = Upload::new(body, self.settings.idle_timeout, gate);
        let pace = upload.pace();

        let target = backend.target(head.uri.path_and_query().map_or("/", |target| target.as_str()));
        let mut outgoing = prepare(backend, &target, head.method, head.headers, upload)?;
        if expects {
            hyper::ext::on_informational(&mut outgoing, move |answer| {
                if answer.status() == StatusCode::CONTINUE {
                    proceed.notify_one();
                }
            });
        }
        // One that is known to be down is tried too, so that it is back as soon as it is, but not waited for.
        let attempts = if backend.is_unreachable() { 1 } else { self.settings.connect_attempts };
        let (mut sender, connection) = self.open(backend, attempts).await?;
        let answer = self.head_of(sender.send_request(outgoing), &pace).await;
        let answer = match answer {
            Some(Ok(answer)) => answer,
            // hyper reports a client's body that failed as a failure to send.
            Some(Err(_)) if let Some(rejection) = pace.failure() => return Err(rejection),
            Some(Err(error)) => {
                tracing::warn!(
                    model = model.name(),
                    error = error_chain(&error),
                    "a backend broke off without an answer"
                );
                backend.look_again();
                return Err(Rejection::BackendUnavailable { model });
            }
            None => {
                tracing::warn!(model = model.name(), "a backend did not answer in time");
                backend.look_again();
                return Err(Rejection::BackendTimeout { model });
            }
        };
        backend.answered();
        let (mut head, body) = answer.into_parts();
        headers::clean_response(&mut head.headers);
        let body = Download::new(body, Arc::clone(backend), self.settings.idle_timeout, connection);
        Ok(response(head, Body::new(body)))
    }

    /// Opens a connection to `backend`, for one request.
    ///
    /// # Errors
    /// [`Rejection::BackendUnavailable`].
    pub(super) async fn open<B>(
        &self,
        backend: &Backend,
        attempts: u32,
    ) -> Result<(SendRequest<B>, Connection), Rejection>
    where
        B: HttpBody<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        let unavailable = |problem: String| {
            backend.set_unreachable(&problem);
            Rejection::BackendUnavailable { model: backend.kind() }
        };
        let stream = self.connector.connect(backend.url(), attempts).await.map_err(unavailable)?;
        let handshake = http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(stream).await;
        let (sender, connection) = handshake.map_err(|error| unavailable(error_chain(&error)))?;
        Ok((sender, Connection::spawn(connection)))
    }

    /// Waits for the head of an answer; `None` when the backend has had what there is of the request for too long.
    async fn head_of(
        &self,
        answer: impl Future<Output = hyper::Result<hyper::Response<Incoming>>>,
        pace: &Pace,
    ) -> Option<hyper::Result<hyper::Response<Incoming>>> {
        let mut answer = pin!(answer);
        loop {
            let due = pace.backend_since() + self.settings.response_timeout;
            select! {
                answer = &mut answer => return Some(answer),
                // The client may have sent more meanwhile, which gives the backend more time.
                () = sleep_until(due) => if pace.backend_since() + self.settings.response_timeout <= Instant::now() {
                    return None;
                },
            }
        }
    }
}

/// Sends a request without a body, or with a small one, and gives the answer whole; for the gateway's own questions.
///
/// # Errors
/// Why there is none, for the log.
pub(super) async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), String> {
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| error_chain(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_HELD).collect().await.map_err(|error| error_chain(&*error))?;
        Ok((head.status, body.to_bytes()))
    };
    timeout(EXCHANGE_TIMEOUT, exchange).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// The request as `backend` gets it: at `target` there, without what is not for it.
///
/// # Errors
/// [`Rejection::Internal`]: a target that was parsed before, and a host that was, are ones.
pub(super) fn prepare<B>(
    backend: &Backend,
    target: &str,
    method: Method,
    mut headers: HeaderMap,
    body: B,
) -> Result<hyper::Request<B>, Rejection> {
    headers::clean_request(&mut headers);
    let host = HeaderValue::from_str(backend.authority()).map_err(Rejection::internal)?;
    headers.insert(header::HOST, host);
    // It ends with this request: see `connect`.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut request = hyper::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = target.parse::<Uri>().map_err(Rejection::internal)?;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The answer as the client gets it: what else hyper noted of it was of the backend's connection.
fn response(head: Parts, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// Opens when the backend says `100 Continue`, or has said nothing for a while.
fn gate(proceed: Arc<Notify>) -> Gate {
    Box::pin(async move {
        let _ = timeout(CONTINUE_TIMEOUT, proceed.notified()).await;
    })
}
