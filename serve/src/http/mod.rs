//! The server around the API: connections, middleware, keys, limits, metrics, the router.

pub(crate) mod admission;
pub mod body;
pub mod budget;
pub mod keys;
pub mod metrics;
pub(crate) mod middleware;
pub(crate) mod router;
pub mod server;
pub(crate) mod telemetry;
pub(crate) mod tls;
