//! The server around the routes: connections, time-outs, keys, limits of uploads, a log line for each request.

pub mod admission;
pub mod keys;
pub(crate) mod middleware;
pub mod server;
