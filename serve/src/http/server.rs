//! Connections: accepting them, bounding them, and ending them in good order.

use std::{fmt::Display, future::Future, pin::pin, sync::Arc, time::Duration};
#[cfg(feature = "grpc")]
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
    service::TowerToHyperService,
};
#[cfg(feature = "grpc")]
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::Semaphore,
    time,
};

use crate::{Error, Result, Timeouts, telemetry::Metrics};

/// Connections open at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// What is buffered of one connection: a head over this is answered with 431.
const MAX_BUFFER: usize = 64 << 10;
/// Requests under way on one connection of HTTP/2.
#[cfg(feature = "grpc")]
const MAX_STREAMS: u32 = 128;
/// How long to wait after the operating system has refused a connection (no file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens on `host:port`.
///
/// # Errors
/// [`Error::Listen`].
pub async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address: address.to_owned(), source })
}

/// Serves `router` over HTTP/1.1 until `stop` resolves, then finishes requests under way and returns, after `timeouts.grace` at the
/// latest.
///
/// This is [`axum::serve()`] with the time-outs and bounds that it leaves out.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    timeouts: Timeouts,
    metrics: &Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(timeouts.head).max_buf_size(MAX_BUFFER);
    let service = TowerToHyperService::new(router);
    accept(listener, timeouts, metrics, stop, |stream| http.serve_connection(TokioIo::new(stream), service.clone()))
        .await;
}

/// The same over HTTP/2 without TLS, which is what gRPC speaks.
#[cfg(feature = "grpc")]
pub async fn serve_http2(
    listener: TcpListener,
    router: Router,
    timeouts: Timeouts,
    metrics: &Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let mut http = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(timeouts.head)
        .keep_alive_timeout(timeouts.head)
        .max_header_list_size(MAX_BUFFER as u32)
        .max_concurrent_streams(MAX_STREAMS);
    let service = TowerToHyperService::new(router);
    let connect = |stream| {
        let stream = Prefaced::new(stream, timeouts.head);
        http.serve_connection(TokioIo::new(stream), service.clone())
    };
    accept(listener, timeouts, metrics, stop, connect).await;
}

/// Bytes of the preface that a client begins a connection of HTTP/2 with (RFC 9113, section 3.4).
#[cfg(feature = "grpc")]
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// A connection that fails unless the preface has come in time. hyper waits for it without end: its pings begin after it.
#[cfg(feature = "grpc")]
struct Prefaced {
    stream: TcpStream,
    /// Bytes that have come, and the time that is left for the others; `None` once all have.
    awaited: Option<(usize, Pin<Box<time::Sleep>>)>,
}

#[cfg(feature = "grpc")]
impl Prefaced {
    fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, awaited: Some((0, Box::pin(time::sleep(limit)))) }
    }
}

#[cfg(feature = "grpc")]
impl AsyncRead for Prefaced {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if let Some((received, limit)) = &mut this.awaited {
            *received += buffer.filled().len() - before;
            if *received >= PREFACE {
                this.awaited = None;
            } else if read.is_pending() && limit.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

#[cfg(feature = "grpc")]
impl AsyncWrite for Prefaced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Accepts connections, and has each served.
async fn accept<C>(
    listener: TcpListener,
    timeouts: Timeouts,
    metrics: &Arc<Metrics>,
    stop: impl Future<Output = ()>,
    connect: impl Fn(TcpStream) -> C,
) where
    C: GracefulConnection<Error: Display> + Send + 'static,
{
    let connections = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let accept = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&permits).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = select! {
            accepted = accept => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it a response may wait for the client's next packet; it is no loss where it cannot be set.
        let _ = stream.set_nodelay(true);
        let connection = connections.watch(connect(stream));
        let metrics = Arc::clone(metrics);
        metrics.connections.inc();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            metrics.connections.dec();
            drop(permit);
        });
    }
    drop(listener);
    if time::timeout(timeouts.grace, connections.shutdown()).await.is_err() {
        tracing::warn!(
            seconds = timeouts.grace.as_secs(),
            "requests were still under way when the time to stop was over"
        );
    }
}
