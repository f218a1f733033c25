//! REST in front of the artifacts: a song goes in, a genre comes out.
//!
//! A request runs through these modules, in this order:
//!
//! | step | where | on which thread |
//! |---|---|---|
//! | connection, time-outs, graceful stop | [`http::server`] | async |
//! | id, log line, key, route | `middleware`, [`router()`] | async |
//! | what is asked of whom; body, bounded in bytes and in time, within the [`http::budget`] of all | `admission`, [`http::body`] | async |
//! | form, JSON or raw bytes → audio | [`api::upload`] | [`engine::pool`] |
//! | decode → features | [`engine::hear`] | [`engine::pool`] |
//! | model | [`engine::hear`], or a [`engine::batcher`] for songs that share a network | [`engine::pool`], or the batcher's |
//!
//! Whatever fails on the way is one variant of [`Rejection`], and is answered as a problem of RFC 9457. A model sits in
//! a [`engine::slot::ModelSlot`], where the next version takes its place while requests are under way; each request uses one version
//! throughout. The role `web` computes nothing: its [`gateway`] forwards to the servers of the models.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use serve::{App, Limits, Role, cli::config::{Compute, Kind}, engine::slot};
//!
//! # async fn example() -> Result<(), serve::Error> {
//! let compute = Compute::default();
//! let app = Arc::new(App::new(Role::Svm, Limits::default(), &compute, None)?);
//! let model = slot::load("artifacts/svm/0123456789ab".as_ref(), Kind::Svm, compute.device)?;
//! app.hosts()[0].put(model);
//! let listener = serve::http::server::bind("127.0.0.1:8081").await?;
//! let (router, metrics) = (serve::router(Arc::clone(&app)), app.metrics());
//! serve::http::server::serve(listener, router, serve::Timeouts::default(), metrics, std::future::pending()).await;
//! # Ok(()) }
//! ```

pub mod api;
mod app;
pub mod cli;
pub mod engine;
mod error;
pub mod gateway;
pub mod http;
pub mod oip;
mod page;
pub mod repository;

pub use crate::api::answer::{ExplanationResponse, PredictResponse, Probabilities, WindowResponse};
pub use crate::api::rejection::Rejection;
pub use crate::cli::config::{Config, Limits, Role, Timeouts};
pub use crate::cli::run::run;
pub use crate::http::router::router;
pub use app::App;
pub use error::{Error, Result};
