//! Connections to the backends: one for each request.
//!
//! A pool would save the handshake, and bring a race: a connection that the backend closes just when a request is put
//! on it. A request whose body has begun cannot be sent twice without keeping the body, so its client would get an
//! error for nothing. What it would save is little: on a busy machine of two cores the whole detour, handshake
//! included, was 0.25 ms for a song of 100 kB, where an answer takes 20 ms or more.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{net::TcpStream, task::JoinHandle, time};
use tower::ServiceExt as _;

/// Between the first try to connect and the second; twice as long before each further one.
const BACKOFF: Duration = Duration::from_millis(100);

/// Connects to backends.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tcp: HttpConnector,
    timeout: Duration,
}

impl Connector {
    /// One whose tries take at most `timeout` each, the name's resolution included.
    pub(super) fn new(timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        // Shared among the addresses that a name has, so that one which is silent leaves time for the next.
        tcp.set_connect_timeout(Some(timeout));
        Self { tcp, timeout }
    }

    /// Connects to the host of `url`, in at most `attempts` tries. Nothing of a request has been sent when this fails,
    /// so that a try costs nothing but time.
    ///
    /// # Errors
    /// What the last try ended with, for the log.
    pub(super) async fn connect(&self, url: &Uri, attempts: u32) -> Result<Stream, String> {
        let mut pause = BACKOFF;
        let mut attempt = 1;
        loop {
            let problem = match time::timeout(self.timeout, self.tcp.clone().oneshot(url.clone())).await {
                Ok(Ok(tcp)) => return Ok(Stream { tcp, broken: false }),
                Ok(Err(error)) => error_chain(&error),
                Err(_) => format!("not connected after {} s", self.timeout.as_secs_f64()),
            };
            if attempt >= attempts {
                return Err(problem);
            }
            time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }
}

/// An error with those that it came from, on one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// A connection whose broken writing half does not hide what can still be read.
///
/// A backend that refuses an upload answers, and closes. To what is written after that it resets, and hyper gives up a
/// connection when a write fails, though the answer may lie unread in the receive buffer. So a failed write is no error
/// here: nothing more is written, and the reading half ends the connection, with the answer or without.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TokioIo<TcpStream>,
    broken: bool,
}

impl Stream {
    /// What a write came to. `Pending` wakes nobody, and need not: a peer that is gone also ends the reading half.
    fn wrote<T>(&mut self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Ready(Err(_)) => {
                self.broken = true;
                Poll::Pending
            }
            other => other,
        }
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Pending;
        }
        let outcome = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Pending;
        }
        let outcome = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Pending;
        }
        let outcome = Pin::new(&mut self.tcp).poll_flush(cx);
        self.wrote(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closing what is closed is no error.
        let _ = ready!(Pin::new(&mut self.tcp).poll_shutdown(cx));
        Poll::Ready(Ok(()))
    }
}

/// The task of a connection, which ends with this: a client that goes away takes its request to the backend with it.
#[derive(Debug)]
pub(super) struct Connection(JoinHandle<()>);

impl Connection {
    /// Runs the connection in the background.
    pub(super) fn spawn(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        Self(tokio::spawn(async {
            if let Err(error) = connection.await {
                tracing::debug!(error = error_chain(&error), "a connection to a backend ended early");
            }
        }))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
