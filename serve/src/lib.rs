//! REST in front of the artifacts: a song goes in, a genre comes out.
//!
//! A request runs through these modules, in this order:
//!
//! | step | where | on which thread |
//! |---|---|---|
//! | connection, time-outs, graceful stop | [`server`] | async |
//! | id, log line, key, route | `middleware`, [`router()`] | async |
//! | what is asked of whom; body, bounded in bytes and in time, within the [`budget`] of all | `admission`, [`body`] | async |
//! | form, JSON or raw bytes → audio | [`upload`] | [`pool`] |
//! | decode → features | [`hear`] | [`pool`] |
//! | model | [`hear`], or a [`batcher`] for songs that share a network | [`pool`], or the batcher's |
//!
//! Whatever fails on the way is one variant of [`Rejection`], and is answered as a problem of RFC 9457. A model sits in
//! a [`host::Host`], where the next version takes its place while requests are under way; each request uses one version
//! throughout. The role `web` computes nothing: its [`gateway`] forwards to the servers of the models.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use serve::{App, Limits, Role, config::{Compute, Kind}, host};
//!
//! # async fn example() -> Result<(), serve::Error> {
//! let compute = Compute::default();
//! let app = Arc::new(App::new(Role::Svm, Limits::default(), &compute, None)?);
//! let model = host::load("artifacts/svm/0123456789ab".as_ref(), Kind::Svm, compute.device)?;
//! app.hosts()[0].put(model);
//! let listener = serve::server::bind("127.0.0.1:8081").await?;
//! let (router, metrics) = (serve::router(Arc::clone(&app)), app.metrics());
//! serve::server::serve(listener, router, serve::Timeouts::default(), metrics, std::future::pending()).await;
//! # Ok(()) }
//! ```

mod admission;
mod answer;
pub mod answers;
mod app;
mod batch;
pub mod batcher;
pub mod body;
pub mod budget;
mod catalogue;
pub mod classify;
pub mod cli;
pub mod config;
mod docs;
mod error;
pub mod gateway;
mod health;
pub mod hear;
pub mod host;
pub mod inference;
mod inspect;
pub mod keys;
pub mod metrics;
mod middleware;
mod oip;
mod page;
pub mod pool;
mod predict;
pub mod probe;
pub mod problem;
mod rejection;
pub mod repository;
mod router;
mod run;
pub mod server;
mod settings_file;
mod sync;
mod telemetry;
mod tls;
pub mod upload;

pub use answer::{Answer, ExplanationAnswer, Probabilities, SegmentAnswer};
pub use app::App;
pub use config::{Config, Limits, Role, Timeouts};
pub use error::{Error, Result};
pub use rejection::Rejection;
pub use router::router;
pub use run::run;
