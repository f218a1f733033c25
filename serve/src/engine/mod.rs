//! From audio to a prediction, without HTTP.
//!
//! [`Engine::predict`] is the one way from an audio file, or its features, to what a model says of it: `POST /predict`,
//! `POST /vgg`, the batch routes, the Open Inference Protocol and `serve classify` all call it; `POST /v1/predict` has several models
//! predict from one clip, in the same steps.
//!
//! | step | where | on which thread |
//! |---|---|---|
//! | the response of before, for a file that is sent again | [`cache`] | [`pool`] |
//! | audio → clip → features | `features` | [`pool`] |
//! | features → prediction | the version of a [`model`] in its [`slot`] | [`pool`], or the thread of the [`batcher`] for a network; each member of an ensemble as it is predicted by alone |
//! | prediction → JSON | [`response`] | async |

pub mod batcher;
pub mod budget;
pub mod cache;
pub mod loaded;
pub mod model;
pub mod pool;
mod predict;
pub mod registry;
pub mod response;
pub mod slot;
pub mod statistics;

use std::{sync::Arc, time::Instant};

use axum::body::Bytes;
use features::{Clip, ClipFeatures, Extractor, decode, dsp::resample::SAMPLE_RATES};
use prometheus_client::metrics::histogram::Histogram;

pub(crate) use self::predict::{Also, DecodedClip, TogetherRequest, Wanted};
pub use self::predict::{Input, PredictRequest};
use self::{
    batcher::Batcher,
    budget::Budget,
    cache::ResponseCache,
    model::Model,
    pool::{CancellationToken, Permit, Pool, PoolError},
    registry::Registry,
    slot::{ModelSlot, Source},
};
use crate::{
    Error, Limits, Rejection, Result,
    config::{Compute, ModelKind},
    telemetry::{self, Metrics},
};

/// The models of a process, and all that predictions share: workers, batches, cached responses, memory for uploads.
#[derive(Debug)]
pub struct Engine {
    registry: Registry,
    pool: Pool,
    batcher: Batcher,
    cache: ResponseCache,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
    limits: decode::Limits,
    reject_novel: bool,
    compute: Compute,
}

impl Engine {
    /// Starts the threads. There are no models until they are [`put`](ModelSlot::put), or come from `source`.
    ///
    /// # Errors
    /// [`Error::System`] when there are no more threads.
    pub fn new(
        kinds: &'static [ModelKind],
        limits: &Limits,
        compute: &Compute,
        source: Option<&Source>,
    ) -> Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let system = |what| move |source| Error::System { what, source };
        // Without a model nothing is computed, and one idle worker is enough.
        let threads = if kinds.is_empty() { 1 } else { compute.threads };
        Ok(Self {
            registry: Registry::new(kinds, source.cloned(), Arc::clone(&metrics)),
            pool: Pool::new(threads, compute.queue, Arc::clone(&metrics)).map_err(system("the workers"))?,
            batcher: Batcher::new(compute.max_batch, compute.batch_delay, Arc::clone(&metrics))
                .map_err(system("the thread of the batcher"))?,
            cache: ResponseCache::new(compute.cache_bytes),
            budget: Arc::new(Budget::new(limits.max_held_bytes)),
            metrics,
            limits: limits.decode(),
            reject_novel: limits.reject_novel,
            compute: Compute { threads, ..*compute },
        })
    }

    /// The slots of the models, and where new ones are found.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The slots of all models: `svm`, `vgg19` and `ensemble` first, then the others in the order of their names.
    #[must_use]
    pub fn slots(&self) -> Vec<Arc<ModelSlot>> {
        self.registry.slots()
    }

    /// The slot of the model that has the name of a kind, if this process has it.
    #[must_use]
    pub fn slot(&self, kind: ModelKind) -> Option<Arc<ModelSlot>> {
        self.registry.get(kind.name())
    }

    /// The slot of the model of that name. The name is compared with those that there are, and used for nothing else.
    ///
    /// # Errors
    /// [`Rejection::UnknownModel`].
    pub(crate) fn slot_named(&self, name: &str) -> Result<Arc<ModelSlot>, Rejection> {
        self.registry.get(name).ok_or(Rejection::UnknownModel)
    }

    /// A version of the model of that name, or the one in use where none is named.
    ///
    /// # Errors
    /// [`Rejection::UnknownModel`], [`Rejection::UnknownVersion`], [`Rejection::NotReady`].
    pub(crate) async fn model(&self, name: &str, version: Option<String>) -> Result<Arc<Model>, Rejection> {
        let slot = self.slot_named(name)?;
        let Some(version) = version else { return slot.ready() };
        let load = move || slot.version(&version);
        tokio::task::spawn_blocking(load).await.unwrap_or_else(|error| Err(Rejection::internal(error)))
    }

    /// The workers.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// How many workers there are: the clips of one request that are decoded at once.
    pub(crate) fn threads(&self) -> usize {
        self.compute.threads
    }

    /// What computes: devices, threads, batches.
    pub(crate) fn compute(&self) -> &Compute {
        &self.compute
    }

    /// The memory for uploads.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Brings the gauges up to date and writes all metrics in the text format of OpenMetrics.
    ///
    /// # Errors
    /// [`std::fmt::Error`], which writing to a `String` does not give.
    pub(crate) fn encode_metrics(&self) -> Result<String, std::fmt::Error> {
        let (in_flight, waiting) = self.pool.occupancy();
        let gauges = [
            (&self.metrics.requests_in_flight, in_flight as u64),
            (&self.metrics.queue_depth, waiting as u64),
            (&self.metrics.held_bytes, self.budget.in_use()),
            (&self.metrics.cache_bytes, self.cache.bytes() as u64),
        ];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.metrics.encode()
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// [`Rejection::Busy`], [`Rejection::NotReady`].
    pub(crate) fn enter(&self) -> Result<Permit, Rejection> {
        self.pool.enter().map_err(|error| if error == PoolError::Full { self.busy() } else { error.into() })
    }

    /// Whether there is a permit now.
    ///
    /// # Errors
    /// [`Rejection::Busy`].
    pub(crate) fn check_capacity(&self) -> Result<(), Rejection> {
        if self.pool.is_full() { Err(self.busy()) } else { Ok(()) }
    }

    fn busy(&self) -> Rejection {
        let seconds = self.pool.mean_latency().as_secs_f64().ceil();
        Rejection::Busy { retry_after: seconds.clamp(1.0, 60.0) as u64 }
    }

    /// Decodes an audio file. To be called on a worker.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn decode(&self, token: &CancellationToken, audio: &[u8]) -> Result<decode::Decoded, Rejection> {
        timed("decode", &self.metrics.decode, token, || {
            let decoded = decode::decode(audio, &self.limits)?;
            let rate = decoded.clip.sample_rate();
            if SAMPLE_RATES.contains(&rate) { Ok(decoded) } else { Err(Rejection::SampleRate { rate }) }
        })
    }

    /// Extracts the features of a clip. To be called on a worker.
    ///
    /// # Errors
    /// What is wrong with the clip.
    pub(crate) fn extract(
        &self,
        token: &CancellationToken,
        extractor: &Extractor,
        clip: &Clip,
    ) -> Result<ClipFeatures, Rejection> {
        timed("features", &self.metrics.features, token, || Ok(extractor.extract(clip)?))
    }

    /// Finishes the work that was taken; for the end of the process.
    pub fn finish(&self) {
        self.pool.finish();
        self.batcher.finish();
    }
}

/// Does a step within its span, observes its time if it succeeds, and goes on unless the request was cancelled.
fn timed<T>(
    name: &'static str,
    seconds: &Histogram,
    token: &CancellationToken,
    work: impl FnOnce() -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let start = Instant::now();
    let done = telemetry::step(name).in_scope(work)?;
    seconds.observe(start.elapsed().as_secs_f64());
    if token.is_cancelled() { Err(Rejection::internal("the request was cancelled")) } else { Ok(done) }
}

/// Serialises a response.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<Bytes, Rejection> {
    serde_json::to_vec(value).map(Bytes::from).map_err(Rejection::internal)
}
