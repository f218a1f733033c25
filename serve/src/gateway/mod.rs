//! The role `web`: a reverse proxy in front of the model servers, which it is given by URL.
//!
//! | what | where |
//! |---|---|
//! | which backend a route is for; what is answered here | [`router`] |
//! | a request on its way, and its response on the way back | `forward` |
//! | a request's body on its way | `upload` |
//! | the health of a backend | `health` |
//! | one upload for the models of several backends | `together` |
//!
//! Bodies are streamed, but for one that several backends get. A request is sent once: only connecting is retried, before a byte of the body is read. A client
//! that disconnects cancels its request. A backend that breaks off its response is reported to the client: as 502
//! before the head, as a truncated response after it.

mod backend;
mod forward;
mod health;
mod routes;
#[cfg(test)]
mod tests;
mod together;
mod upload;

use std::{sync::Arc, time::Duration};

use hyper_util::client::legacy::connect::HttpConnector;

pub use backend::{Backend, BadUrl};
pub use routes::router;

use crate::{Limits, engine::budget::Budget};

/// Time limits for backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// For one attempt to connect, name resolution included.
    pub connect_timeout: Duration,
    /// Attempts to connect, at least 1; the pauses between them are 0.1 s, 0.2 s, 0.4 s, and so on.
    pub connect_attempts: u32,
    /// From when a backend has the whole request, or stops reading it, to the head of its response.
    pub response_timeout: Duration,
    /// The longest silence within a body, a request's or a response's. Longer than the same limit of a backend, so that
    /// the backend reports the problem.
    pub idle_timeout: Duration,
    /// Between two health checks of a backend.
    pub health_interval: Duration,
}

impl Default for GatewaySettings {
    /// 2 s, 3 attempts; 120 s each; a health check every 2 s.
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

/// Forwards requests to backends, and checks their health.
#[derive(Debug)]
pub struct Gateway {
    backends: Vec<Arc<Backend>>,
    settings: GatewaySettings,
    connector: HttpConnector,
    /// Of bodies that are held here, since several backends get them.
    limits: Limits,
    /// What they take.
    budget: Arc<Budget>,
}

impl Gateway {
    /// In front of `backends`, one for each kind of model; the first that is ready serves what any of them could. `limits` are those of
    /// bodies that are held here.
    #[must_use]
    pub fn new(backends: Vec<Backend>, settings: GatewaySettings, limits: Limits) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // Shared among the addresses that a name has, so that one which is silent leaves time for the next.
        connector.set_connect_timeout(Some(settings.connect_timeout));
        let budget = Arc::new(Budget::new(limits.max_held_bytes));
        Arc::new(Self { backends: backends.into_iter().map(Arc::new).collect(), settings, connector, limits, budget })
    }
}

/// An error with its sources, on one line.
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
