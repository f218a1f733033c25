//! The role `web`: in front of the servers of the models, which it is given by URL.
//!
//! | step | where |
//! |---|---|
//! | which backend a route is for; what is answered here | [`router`] |
//! | a request on its way, and its answer on the way back | `forward` |
//! | what of their headers is passed on | `headers` |
//! | a connection for each request | `connect` |
//! | bodies that are streamed, both ways | `bodies` |
//! | what is known of a backend, and how it is found out | `backend`, `watch` |
//!
//! Bodies are never held whole. A request is sent once: what is tried again is the connection alone, before a byte of
//! the body is taken. A client that goes away takes its request with it, and a backend that breaks off its answer is
//! seen by the client: as 502 before the head, as an answer that breaks off after it.

mod backend;
mod bodies;
mod connect;
mod forward;
mod headers;
mod routes;
#[cfg(test)]
mod tests;
mod watch;

use std::{sync::Arc, time::Duration};

pub use backend::{Backend, BadUrl};
pub(crate) use connect::error_chain;
pub use routes::router;

use connect::Connector;

/// Bounds in time on what is done with a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// For one try to connect.
    pub connect_timeout: Duration,
    /// Tries to connect, at least 1; after each that fails there is a pause: 0.1 s, 0.2 s, and so on.
    pub connect_attempts: u32,
    /// From when a backend has the whole of a request, or reads no more of it, to the head of its answer.
    pub response_timeout: Duration,
    /// How long a body may stand still, a request's or an answer's. Longer than the same bound of a backend, so that it
    /// is the backend that says what is wrong.
    pub idle_timeout: Duration,
    /// Between two looks at a backend, while nothing happens.
    pub health_interval: Duration,
}

impl Default for GatewaySettings {
    /// 2 s, 3 tries; 120 s each; a look every 2 s.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            connect_attempts: 3,
            response_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(120),
            health_interval: Duration::from_secs(2),
        }
    }
}

/// Forwards requests to backends, and knows how these are.
#[derive(Debug)]
pub struct Gateway {
    backends: Vec<Arc<Backend>>,
    settings: GatewaySettings,
    connector: Connector,
}

impl Gateway {
    /// In front of `backends`, one for each model; the first that is up answers what any of them could.
    #[must_use]
    pub fn new(backends: Vec<Backend>, settings: GatewaySettings) -> Arc<Self> {
        let backends = backends.into_iter().map(Arc::new).collect();
        Arc::new(Self { backends, settings, connector: Connector::new(settings.connect_timeout) })
    }
}
