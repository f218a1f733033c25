//! The REST server in front of trained models, and `serve classify`, which predicts without a server.
//!
//! A request runs through these modules, in this order:
//!
//! | step | where | on which thread |
//! |---|---|---|
//! | connection, time-outs, graceful stop | [`http::server`] | async |
//! | id, log line, key, route | [`http`], [`router()`] | async |
//! | head, then body, bounded in bytes and in time | [`http::admission`] | async |
//! | form, JSON or raw bytes → audio file | [`api::upload`] | worker |
//! | audio file → features → prediction | [`engine`] | worker, or the batcher's |
//!
//! What fails on the way is one variant of [`Rejection`], and is answered as problem details (RFC 9457). The versions of a
//! model come from a [`repository`] into its [slot](engine::slot::ModelSlot), where the next one replaces it while requests
//! are under way; each request uses one version throughout. [`oip`] speaks the Open Inference Protocol. The role `web`
//! computes nothing: its [`gateway`] forwards to the servers of the models.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use serve::{App, Limits, Role, Timeouts, config::{Compute, ModelKind}, engine::slot, http::server};
//!
//! # async fn example() -> Result<(), serve::Error> {
//! let compute = Compute::default();
//! let app = Arc::new(App::new(Role::Svm, Limits::default(), &compute, None)?);
//! let model = slot::load("artifacts/svm/0123456789ab".as_ref(), ModelKind::Svm, compute.device)?;
//! app.engine().slots()[0].put(model);
//! let listener = server::bind("127.0.0.1:8081").await?;
//! let router = serve::router(Arc::clone(&app));
//! server::serve(listener, router, Timeouts::default(), app.engine().metrics(), std::future::pending()).await;
//! # Ok(()) }
//! ```

pub mod api;
mod app;
pub mod cli;
pub mod config;
pub mod engine;
mod error;
pub mod gateway;
pub mod http;
pub mod local;
pub mod oip;
mod page;
pub mod rejection;
pub mod repository;
mod router;
pub mod telemetry;

pub use app::App;
pub use config::{Config, Limits, Role, Timeouts};
pub use engine::{
    Engine, Input, PredictRequest,
    model::{Model, ModelInfo, Provenance},
    response::{ExplanationResponse, PredictResponse, Probabilities, WindowResponse},
};
pub use error::{Error, Result};
pub use rejection::Rejection;
pub use router::router;
