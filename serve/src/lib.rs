//! REST in front of the artifacts: a song goes in, a genre comes out.
//!
//! A request runs through these modules, in this order:
//!
//! | step | where | on which thread |
//! |---|---|---|
//! | connection, time-outs, graceful stop | [`server`] | async |
//! | route, log line | [`app`] | async |
//! | body, bounded in bytes and in time | [`body`] | async |
//! | form, JSON or raw bytes → audio | [`upload`] | [`pool`] |
//! | decode → features → model | [`predict`] | [`pool`] |
//!
//! Whatever fails on the way is one variant of [`Rejection`], and is answered as a problem of RFC 9457. The model sits in
//! a [`slot::Slot`], so that it can be replaced while requests are under way; each request uses one model throughout.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! # async fn example() -> Result<(), serve::Error> {
//! let app = serve::App::new(serve::Role::Svm, serve::Limits::default(), 2, 64)?;
//! app.slot().put(serve::slot::load_and_warm("artifacts".as_ref(), serve::Role::Svm)?);
//! let listener = serve::server::bind("127.0.0.1:8081").await?;
//! serve::server::serve(listener, serve::router(Arc::clone(&app)), serve::Timeouts::default(), std::future::pending()).await;
//! # Ok(()) }
//! ```

pub mod app;
pub mod body;
pub mod cli;
mod config;
mod error;
pub mod pool;
pub mod predict;
pub mod problem;
mod rejection;
mod run;
pub mod server;
pub mod slot;
pub mod upload;

pub use app::{App, router};
pub use config::{Config, Limits, Role, Timeouts};
pub use error::{Error, Result};
pub use rejection::Rejection;
pub use run::run;
