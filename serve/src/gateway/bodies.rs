//! Bodies on their way through: never held whole, and dropped when they stand still for too long.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header,
};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep, timeout},
};

use super::{
    backend::Backend,
    connect::{Connection, error_chain},
};
use crate::Rejection;

/// How long what a client still sends is read after its answer, so that it gets to read that.
const LINGER: Duration = Duration::from_secs(2);

/// Why a body was given up; the message is for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the other side was silent for {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("the client's body broke off: {0}")]
    Client(axum::Error),
    #[error("the backend's body broke off: {0}")]
    Backend(hyper::Error),
}

/// How far an upload is, and whose turn it is: the client's, to send, or the backend's, to read or to answer.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When the backend's turn began; `None` in the client's.
    backend_since: Option<Instant>,
    received: u64,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Slow,
    Broken,
}

impl Pace {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { backend_since: Some(Instant::now()), received: 0, failure: None })))
    }

    /// Since when the backend has had what there is; now, while the client has yet to send.
    pub(super) fn backend_since(&self) -> Instant {
        self.lock().backend_since.unwrap_or_else(Instant::now)
    }

    /// Why the upload failed, if that was the client's doing.
    pub(super) fn failure(&self) -> Option<Rejection> {
        let state = self.lock();
        let received = state.received;
        state.failure.map(|failure| match failure {
            Failure::Slow => Rejection::SlowBody { received },
            Failure::Broken => Rejection::BrokenBody { received },
        })
    }

    fn clients_turn(&self) {
        self.lock().backend_since = None;
    }

    /// The backend has `bytes` more.
    fn backends_turn(&self, bytes: u64) {
        let mut state = self.lock();
        state.backend_since = Some(Instant::now());
        state.received += bytes;
    }

    fn fail(&self, failure: Failure) {
        self.lock().failure = Some(failure);
    }

    /// Each change is a store or two: a poisoned lock guards nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is awaited before the first byte of an upload.
pub(super) type Gate = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A client's body on its way to a backend.
///
/// Dropped before its end (the backend is not there, or has answered and closed), what the client still sends is read
/// for a moment and thrown away: a connection that is closed over unread bytes is reset, and a client that sends all
/// before it reads then loses its answer.
pub(super) struct Upload {
    body: Body,
    pace: Arc<Pace>,
    idle: Idle,
    /// Of a client that waits for `100 Continue`, which hyper sends it when the body is first asked for.
    gate: Option<Gate>,
}

impl Upload {
    pub(super) fn new(body: Body, idle_timeout: Duration, gate: Option<Gate>) -> Self {
        Self { body, pace: Pace::new(), idle: Idle::new(idle_timeout), gate }
    }

    /// To follow it by, once hyper has it.
    pub(super) fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(gate) = &mut this.gate {
            ready!(gate.as_mut().poll(cx));
            this.gate = None;
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            this.pace.clients_turn();
            ready!(this.idle.poll(cx));
            this.pace.fail(Failure::Slow);
            return Poll::Ready(Some(Err(BodyError::Silent(this.idle.limit))));
        };
        this.idle.reset();
        let frame = frame.transpose().map_err(|error| {
            this.pace.fail(Failure::Broken);
            BodyError::Client(error)
        });
        if let Ok(frame) = &frame {
            let data = frame.as_ref().and_then(Frame::data_ref);
            this.pace.backends_turn(data.map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Behind its gate a client has sent nothing, and one that has failed sends no more.
        if self.gate.is_some() || self.body.is_end_stream() || self.pace.lock().failure.is_some() {
            return;
        }
        discard(mem::take(&mut self.body));
    }
}

/// Reads on for a moment, in the background, and throws away what comes.
fn discard(mut body: Body) {
    // There is none when the program ends.
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(timeout(LINGER, async move { while let Some(Ok(_)) = body.frame().await {} }));
}

/// Lets go of a request that is refused, as an [`Upload`] is let go of.
pub(super) fn refuse(request: Request) {
    if !request.headers().contains_key(header::EXPECT) && !request.body().is_end_stream() {
        discard(request.into_body());
    }
}

/// A backend's answer on its way to a client. Its connection ends with it.
pub(super) struct Download {
    body: Incoming,
    backend: Arc<Backend>,
    idle: Idle,
    _connection: Connection,
}

impl Download {
    pub(super) fn new(body: Incoming, backend: Arc<Backend>, idle_timeout: Duration, connection: Connection) -> Self {
        Self { body, backend, idle: Idle::new(idle_timeout), _connection: connection }
    }

    /// The status is out: all that is left is to break off, so that the client sees that the answer is not whole.
    fn fail(&self, error: BodyError) -> BodyError {
        let model = self.backend.kind().name();
        tracing::warn!(model, error = error_chain(&error), "the answer of a backend broke off");
        self.backend.look_again();
        error
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            ready!(this.idle.poll(cx));
            return Poll::Ready(Some(Err(this.fail(BodyError::Silent(this.idle.limit)))));
        };
        this.idle.reset();
        Poll::Ready(frame.map(|frame| frame.map_err(|error| this.fail(BodyError::Backend(error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Ready when there was nothing for too long.
struct Idle {
    limit: Duration,
    /// Kept from one silence to the next; `running` only in one.
    sleep: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: None, running: false }
    }

    /// There is nothing at the moment.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !mem::replace(&mut self.running, true) {
            sleep.as_mut().reset(Instant::now() + limit);
        }
        sleep.as_mut().poll(cx)
    }

    /// There was something.
    fn reset(&mut self) {
        self.running = false;
    }
}
