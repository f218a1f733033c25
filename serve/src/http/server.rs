//! Connections: accepting them, bounding them, and ending them in good order.

use std::{fmt::Display, future::Future, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
    service::TowerToHyperService,
};
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
    accept(listener, timeouts, metrics, stop, |stream| http.serve_connection(TokioIo::new(stream), service.clone()))
        .await;
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
