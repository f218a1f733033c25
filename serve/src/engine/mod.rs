//! From audio to a prediction, without HTTP.
//!
//! [`Engine::predict`] is the one way from an audio file, or its features, to what a model says of it: `POST /predict`,
//! `POST /vgg`, the batch routes, the Open Inference Protocol and `serve classify` all call it.
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
pub mod registry;
pub mod response;
pub mod slot;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use axum::body::Bytes;
use features::{
    Clip, ClipFeatures, Extractor,
    decode::{self, AudioInfo},
    dsp::resample::SAMPLE_RATES,
};
use futures_util::future;
use models::{Explain, PredictOutput};
use prometheus_client::metrics::histogram::Histogram;
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use self::{
    batcher::Batcher,
    budget::{Budget, Reservation},
    cache::{ResponseCache, ResponseKey},
    model::Model,
    pool::{CancellationToken, Permit, Pool, PoolError},
    registry::Registry,
    response::PredictResponse,
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
    threads: usize,
}

/// What is to be predicted, and by which model.
pub struct PredictRequest {
    /// Which version of which model.
    pub model: Arc<Model>,
    /// What it is to predict.
    pub input: Input,
    /// The label to explain, if any.
    pub explain: Option<Explain>,
}

/// What a prediction is made from.
pub enum Input {
    /// An audio file.
    Audio {
        /// Gives its bytes; called on a worker.
        read: Box<dyn FnOnce() -> Result<Bytes, Rejection> + Send>,
        /// The memory that they take; released once they are decoded.
        reservation: Option<Reservation>,
    },
    /// An audio file of this machine, which is decoded piece by piece and may be of any length.
    File(PathBuf),
    /// Features, as the model's [`Extractor`] computes them.
    Features(ClipFeatures),
}

/// A [`PredictResponse`] in JSON.
#[derive(Debug)]
pub(crate) struct JsonResponse {
    pub(crate) json: Bytes,
    /// Whether it was in the cache.
    pub(crate) cached: bool,
}

/// How far a request has come when it leaves its worker.
enum Step {
    Cached(Bytes),
    Extracted(ClipFeatures),
    Predicted(PredictOutput),
}

/// The result of a request.
enum PredictResult {
    Cached(Bytes),
    Predicted(Box<PredictResponse>, Option<ResponseKey>),
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
            threads,
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
        self.threads
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

    /// Predicts a clip: decodes it and extracts its features on a worker, and has the model predict there, or in a batch with
    /// the clips of other requests. Dropping the future cancels it.
    ///
    /// # Errors
    /// The [`Rejection`] that a server answers.
    pub async fn predict(
        self: &Arc<Self>,
        permit: &Permit,
        request: PredictRequest,
    ) -> Result<PredictResponse, Rejection> {
        match self.run(permit, request, false).await? {
            PredictResult::Predicted(response, _) => Ok(*response),
            PredictResult::Cached(_) => Err(Rejection::internal("a cached response was not asked for")),
        }
    }

    /// [`Engine::predict`] in JSON, from the cache if it is there.
    ///
    /// # Errors
    /// Those of [`Engine::predict`].
    pub(crate) async fn predict_json(
        self: &Arc<Self>,
        permit: &Permit,
        request: PredictRequest,
    ) -> Result<JsonResponse, Rejection> {
        match self.run(permit, request, self.cache.is_on()).await? {
            PredictResult::Cached(json) => Ok(JsonResponse { json, cached: true }),
            PredictResult::Predicted(response, key) => {
                let json = to_json(&response)?;
                if let Some(key) = key {
                    self.cache.put(key, &json);
                }
                Ok(JsonResponse { json, cached: false })
            }
        }
    }

    async fn run(
        self: &Arc<Self>,
        permit: &Permit,
        request: PredictRequest,
        use_cache: bool,
    ) -> Result<PredictResult, Rejection> {
        let PredictRequest { model, input, explain } = request;
        let (step, audio, key) = match input {
            Input::Features(features) => (Step::Extracted(features), None, None),
            Input::Audio { read, reservation } => {
                let (engine, model) = (Arc::clone(self), Arc::clone(&model));
                let job = move |token: &CancellationToken| -> Result<_, Rejection> {
                    let audio = read()?;
                    let key = use_cache.then(|| ResponseKey {
                        audio: Sha256::digest(&audio).into(),
                        model: model.name().clone(),
                        version: model.version().to_owned(),
                        variant: explain.map_or_else(String::new, |explain| format!("{explain:?}")),
                    });
                    if let Some(key) = &key {
                        let cached = engine.cache.get(key);
                        engine.metrics.looked_up(cached.is_some());
                        if let Some(json) = cached {
                            return Ok((Step::Cached(json), None, None));
                        }
                    }
                    let decoded = engine.decode(token, &audio)?;
                    drop((audio, reservation));
                    let features = engine.extract(token, model.extractor(), &decoded.clip)?;
                    Ok((engine.step(token, &model, features, explain)?, Some(decoded.info), key))
                };
                permit.run(job).await??
            }
            Input::File(path) => {
                let (engine, model) = (Arc::clone(self), Arc::clone(&model));
                let job = move |token: &CancellationToken| -> Result<_, Rejection> {
                    let (features, info) = engine.extract_file(token, model.extractor(), &path)?;
                    Ok((engine.step(token, &model, features, explain)?, Some(info), None))
                };
                permit.run(job).await??
            }
        };
        let output = match step {
            Step::Cached(json) => return Ok(PredictResult::Cached(json)),
            Step::Predicted(output) => output,
            Step::Extracted(features) => self.predict_features(permit, &model, Arc::new(features), explain).await?,
        };
        model::check(&output.prediction, model.labels().len()).map_err(Rejection::internal)?;
        if self.reject_novel
            && let Some(note) = output.prediction.novelty.and_then(|novelty| novelty.note())
        {
            return Err(Rejection::OutOfDistribution { note });
        }
        Ok(PredictResult::Predicted(Box::new(PredictResponse::new(&output, model, audio)), key))
    }

    /// Has a model predict from features that are extracted. The members of an ensemble predict at the same time.
    async fn predict_features(
        self: &Arc<Self>,
        permit: &Permit,
        model: &Arc<Model>,
        features: Arc<ClipFeatures>,
        explain: Option<Explain>,
    ) -> Result<PredictOutput, Rejection> {
        let Some(ensemble) = model.ensemble() else {
            return self.predict_alone(permit, model, features, explain).await;
        };
        let start = Instant::now();
        let of_member = |(at, member): (usize, &Arc<Model>)| {
            let (member, features) = (Arc::clone(member), Arc::clone(&features));
            let explain = ensemble.explain_of_member(at, explain);
            async move { self.predict_alone(permit, &member, features, explain).await }
        };
        let outputs = future::try_join_all(ensemble.members().iter().enumerate().map(of_member)).await?;
        let mut output = ensemble.combine(outputs)?;
        if let Some((at, label)) = ensemble.unexplained(explain, &output) {
            let explain = Some(Explain::Label(label));
            let explained = self.predict_alone(permit, &ensemble.members()[at], features, explain).await?;
            output.explanation = explained.explanation;
        }
        self.metrics.inference(model.name(), start.elapsed());
        Ok(output)
    }

    /// Has a model that is no ensemble predict: in a batch with the clips of other requests, or on a worker.
    async fn predict_alone(
        self: &Arc<Self>,
        permit: &Permit,
        model: &Arc<Model>,
        features: Arc<ClipFeatures>,
        explain: Option<Explain>,
    ) -> Result<PredictOutput, Rejection> {
        if model.kind().batches() {
            let predict = self.batcher.predict(Arc::clone(model), features, explain);
            return predict.instrument(telemetry::step("infer")).await;
        }
        let (engine, model) = (Arc::clone(self), Arc::clone(model));
        permit.run(move |token| engine.infer(token, &model, &features, explain)).await?
    }

    /// Has a model predict on this worker, unless it does so in batches, or has members.
    fn step(
        &self,
        token: &CancellationToken,
        model: &Model,
        features: ClipFeatures,
        explain: Option<Explain>,
    ) -> Result<Step, Rejection> {
        if model.kind().batches() || model.ensemble().is_some() {
            return Ok(Step::Extracted(features));
        }
        self.infer(token, model, &features, explain).map(Step::Predicted)
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

    /// Decodes an audio file of this machine and extracts its features, piece by piece. To be called on a worker.
    fn extract_file(
        &self,
        token: &CancellationToken,
        extractor: &Extractor,
        path: &Path,
    ) -> Result<(ClipFeatures, AudioInfo), Rejection> {
        timed("features", &self.metrics.features, token, || Ok(extractor.extract_file(path, &self.limits)?))
    }

    fn infer(
        &self,
        token: &CancellationToken,
        model: &Model,
        features: &ClipFeatures,
        explain: Option<Explain>,
    ) -> Result<PredictOutput, Rejection> {
        let cancelled = || token.is_cancelled();
        let request = models::PredictRequest { features, explain, cancelled: &cancelled };
        let start = Instant::now();
        let output = telemetry::step("infer").in_scope(|| model.predict_one(request));
        self.metrics.inference(model.name(), start.elapsed());
        Ok(output?)
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
