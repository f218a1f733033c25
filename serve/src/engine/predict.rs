//! [`Engine::predict`], and the same for several models at once: the clip is decoded once, and its features are extracted once for all
//! models that take the same.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use features::{
    ClipFeatures, Extractor, FeatureSpec,
    decode::{AudioInfo, Decoded},
    spec::{Descriptor, Needs},
};
use futures_util::future;
use models::{Explain, PredictOutput, ensemble::common_spec};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::{
    Engine,
    batcher::Batched,
    budget::Reservation,
    cache::ResponseKey,
    model::{self, Model},
    pool::{CancellationToken, Permit},
    response::PredictResponse,
    statistics::{Measured, Spent},
    timed, to_json,
};
use crate::{Rejection, telemetry};

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

/// What several models are to predict from one audio file.
pub(crate) struct TogetherRequest {
    pub(crate) models: Vec<Wanted>,
    pub(crate) input: Input,
    /// What else is made of the clip, on the worker that decodes it.
    pub(crate) also: Option<Also>,
}

/// A model that is to predict.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) model: Arc<Model>,
    pub(crate) explain: Option<Explain>,
}

/// Makes JSON of a clip that is decoded.
pub(crate) type Also = Box<dyn FnOnce(&CancellationToken, &DecodedClip) -> Result<Bytes, Rejection> + Send>;

/// A clip that is decoded, and features of it that are there already.
pub(crate) struct DecodedClip {
    pub(crate) decoded: Decoded,
    extracted: Vec<(FeatureSpec, Arc<ClipFeatures>)>,
}

impl From<Decoded> for DecodedClip {
    fn from(decoded: Decoded) -> Self {
        Self { decoded, extracted: Vec::new() }
    }
}

impl DecodedClip {
    /// The features by this specification, if they were extracted.
    pub(crate) fn extracted_by(&self, spec: &FeatureSpec) -> Option<&Arc<ClipFeatures>> {
        self.extracted.iter().find(|(by, _)| by == spec).map(|(_, features)| features)
    }
}

/// What came of a [`TogetherRequest`].
pub(crate) struct Together {
    /// Of each model, in their order.
    pub(crate) predictions: Vec<Result<JsonResponse, Rejection>>,
    pub(crate) also: Option<Result<Bytes, Rejection>>,
}

/// A [`PredictResponse`] in JSON.
#[derive(Debug)]
pub(crate) struct JsonResponse {
    pub(crate) json: Bytes,
    /// Whether it was in the cache.
    pub(crate) cached: bool,
}

/// The features of a clip, and when they were there.
type Extracted = Result<(Arc<ClipFeatures>, Duration), Rejection>;

/// How far the request to a model has come when it leaves its worker.
enum Step {
    Cached(Bytes, Duration),
    Extracted(Arc<ClipFeatures>, Spent, Option<ResponseKey>),
    Predicted(Box<PredictOutput>, Spent, Option<ResponseKey>),
}

/// What came of the request to a model.
enum PredictResult {
    Cached(Bytes),
    Predicted(Predicted),
}

/// A prediction whose response is not yet written.
struct Predicted {
    response: Box<PredictResponse>,
    key: Option<ResponseKey>,
    spent: Spent,
    measured: Measured,
    since: Instant,
}

/// What leaves the worker that decodes.
struct Prepared {
    /// Of each model, in their order.
    steps: Vec<Result<Step, Rejection>>,
    audio: Option<AudioInfo>,
    also: Option<Result<Bytes, Rejection>>,
}

/// What a model gave, and how long it waited and took.
#[derive(Clone)]
struct Alone {
    output: PredictOutput,
    queue: Duration,
    infer: Duration,
}

impl Engine {
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
        let PredictRequest { model, input, explain } = request;
        let together = TogetherRequest { models: vec![Wanted { model, explain }], input, also: None };
        let (results, _) = self.run(permit, together, false).await?;
        match the_one(results)? {
            PredictResult::Predicted(Predicted { response, spent, measured, since, .. }) => {
                measured.predicted(spent, since);
                Ok(*response)
            }
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
        let PredictRequest { model, input, explain } = request;
        let together = TogetherRequest { models: vec![Wanted { model, explain }], input, also: None };
        the_one(self.predict_together(permit, together).await?.predictions)
    }

    /// [`Engine::predict_json`] by several models, of one clip.
    ///
    /// # Errors
    /// What is wrong with the audio file, or keeps all of them from predicting.
    pub(crate) async fn predict_together(
        self: &Arc<Self>,
        permit: &Permit,
        request: TogetherRequest,
    ) -> Result<Together, Rejection> {
        let (results, also) = self.run(permit, request, self.cache.is_on()).await?;
        let write = |result| match result {
            PredictResult::Cached(json) => Ok(JsonResponse { json, cached: true }),
            PredictResult::Predicted(Predicted { response, key, spent, measured, since }) => {
                let json = to_json(&response)?;
                if let Some(key) = key {
                    self.cache.put(key, &json);
                }
                measured.predicted(spent, since);
                Ok(JsonResponse { json, cached: false })
            }
        };
        let predictions = results.into_iter().map(|result| result.and_then(write)).collect();
        Ok(Together { predictions, also })
    }

    async fn run(
        self: &Arc<Self>,
        permit: &Permit,
        request: TogetherRequest,
        use_cache: bool,
    ) -> Result<(Vec<Result<PredictResult, Rejection>>, Option<Result<Bytes, Rejection>>), Rejection> {
        let TogetherRequest { models, input, also } = request;
        let measured: Vec<Measured> = models.iter().map(|wanted| Measured::start(&wanted.model)).collect();
        let prepared = self.prepare(permit, &models, input, also, use_cache).await?;
        let outputs = self.predict_steps(permit, &models, prepared.steps).await;
        let results = outputs.into_iter().zip(models).zip(measured).map(|((output, wanted), measured)| {
            let (output, spent, key) = match output? {
                Step::Cached(json, lookup) => {
                    measured.cached(lookup);
                    return Ok(PredictResult::Cached(json));
                }
                Step::Predicted(output, spent, key) => (output, spent, key),
                Step::Extracted(..) => return Err(Rejection::internal("features were left without a prediction")),
            };
            let since = Instant::now();
            model::check(&output.prediction, wanted.model.labels().len()).map_err(Rejection::internal)?;
            if self.reject_novel
                && let Some(note) = output.prediction.novelty.and_then(|novelty| novelty.note())
            {
                return Err(Rejection::OutOfDistribution { note });
            }
            let response = Box::new(PredictResponse::new(&output, wanted.model, prepared.audio.clone()));
            Ok(PredictResult::Predicted(Predicted { response, key, spent, measured, since }))
        });
        Ok((results.collect(), prepared.also))
    }

    /// Decodes a clip and extracts its features, on a worker. Models that need neither a batch nor members predict there too.
    async fn prepare(
        self: &Arc<Self>,
        permit: &Permit,
        models: &[Wanted],
        input: Input,
        also: Option<Also>,
        use_cache: bool,
    ) -> Result<Prepared, Rejection> {
        let asked = Instant::now();
        let (engine, wanted) = (Arc::clone(self), models.to_vec());
        match input {
            Input::Features(features) => {
                let features = Arc::new(features);
                let step = |_: &Wanted| Ok(Step::Extracted(Arc::clone(&features), Spent::default(), None));
                Ok(Prepared { steps: models.iter().map(step).collect(), audio: None, also: None })
            }
            Input::Audio { read, reservation } => {
                let job = move |token: &CancellationToken| -> Result<_, Rejection> {
                    let queue = asked.elapsed();
                    let audio = read()?;
                    let mut found: Vec<Found> = Vec::new();
                    let digest = use_cache.then(|| Sha256::digest(&audio).into());
                    for wanted in &wanted {
                        found.push(digest.map_or(Found::Unknown, |digest| engine.look_up(digest, wanted)));
                    }
                    let is_needed = also.is_some() || found.iter().any(|found| !matches!(found, Found::Cached(..)));
                    if !is_needed {
                        let steps = found.into_iter().map(|found| found.into_step(None)).collect();
                        return Ok(Prepared { steps, audio: None, also: None });
                    }
                    let start = Instant::now();
                    let decoded = engine.decode(token, &audio)?;
                    drop((audio, reservation));
                    let mut clip = DecodedClip::from(decoded);
                    let open = |at: &usize| !matches!(found.get(*at), Some(Found::Cached(..)));
                    let mut order: Vec<usize> = (0..wanted.len()).filter(open).collect();
                    // The features of those that take the most hold those of others.
                    order.sort_by_key(|&at| std::cmp::Reverse(n_series(wanted.get(at))));
                    let mut extracted: Vec<Option<Extracted>> = wanted.iter().map(|_| None).collect();
                    for at in order {
                        let Some(of) = wanted.get(at) else { continue };
                        let features = engine.features(token, of.model.extractor(), &mut clip);
                        extracted[at] = Some(features.map(|features| (features, start.elapsed())));
                    }
                    let mut steps = Vec::new();
                    for ((wanted, found), extracted) in wanted.iter().zip(found).zip(extracted) {
                        let step = match extracted {
                            None => found.into_step(None),
                            Some(Err(rejection)) => Err(rejection),
                            Some(Ok((features, input))) => {
                                let spent = Spent { queue, input, ..Spent::default() };
                                found
                                    .into_step(Some((features, spent)))
                                    .and_then(|step| engine.step(token, wanted, step))
                            }
                        };
                        steps.push(step);
                    }
                    let also = also.map(|also| also(token, &clip));
                    Ok(Prepared { steps, audio: Some(clip.decoded.info), also })
                };
                permit.run(job).await?
            }
            Input::File(path) => {
                let job = move |token: &CancellationToken| -> Result<_, Rejection> {
                    let queue = asked.elapsed();
                    let (mut steps, mut audio) = (Vec::new(), None);
                    for wanted in &wanted {
                        let start = Instant::now();
                        let (features, info) = engine.extract_file(token, wanted.model.extractor(), &path)?;
                        let spent = Spent { queue, input: start.elapsed(), ..Spent::default() };
                        steps.push(engine.step(token, wanted, Step::Extracted(Arc::new(features), spent, None)));
                        audio = Some(info);
                    }
                    Ok(Prepared { steps, audio, also: None })
                };
                permit.run(job).await?
            }
        }
    }

    /// Looks up the response of a model for the file of that digest.
    fn look_up(&self, audio: [u8; 32], wanted: &Wanted) -> Found {
        let start = Instant::now();
        let key = ResponseKey {
            audio,
            model: wanted.model.name().clone(),
            version: wanted.model.version().to_owned(),
            variant: wanted.explain.map_or_else(String::new, |explain| format!("{explain:?}")),
        };
        let cached = self.cache.get(&key);
        self.metrics.looked_up(cached.is_some());
        match cached {
            Some(json) => Found::Cached(json, start.elapsed()),
            None => Found::Missing(key, start.elapsed()),
        }
    }

    /// The features of a clip by an extractor: those that were extracted before, if they hold them, else extracted now.
    fn features(
        &self,
        token: &CancellationToken,
        extractor: &Extractor,
        clip: &mut DecodedClip,
    ) -> Result<Arc<ClipFeatures>, Rejection> {
        let spec = extractor.spec();
        if let Some(found) = clip.extracted.iter().find_map(|(by, features)| held(features, by, spec)) {
            return Ok(found);
        }
        let features = Arc::new(self.extract(token, extractor, &clip.decoded.clip)?);
        clip.extracted.push((spec.clone(), Arc::clone(&features)));
        Ok(features)
    }

    /// Has a model predict on this worker, unless it does so in batches, or has members.
    fn step(&self, token: &CancellationToken, wanted: &Wanted, step: Step) -> Result<Step, Rejection> {
        let model = &wanted.model;
        match step {
            Step::Extracted(features, spent, key) if !model.kind().batches() && model.ensemble().is_none() => {
                let (output, infer) = self.infer(token, model, &features, wanted.explain)?;
                Ok(Step::Predicted(Box::new(output), Spent { infer, ..spent }, key))
            }
            step => Ok(step),
        }
    }

    /// Has the models predict that have not yet: those that have no members at the same time, then ensembles, which take what their
    /// members said already.
    async fn predict_steps(
        self: &Arc<Self>,
        permit: &Permit,
        models: &[Wanted],
        steps: Vec<Result<Step, Rejection>>,
    ) -> Vec<Result<Step, Rejection>> {
        let alone = models.iter().zip(steps).map(|(wanted, step)| async move {
            match step? {
                Step::Extracted(features, spent, key) if wanted.model.ensemble().is_none() => {
                    let Alone { output, queue, infer } =
                        self.predict_alone(permit, &wanted.model, features, wanted.explain).await?;
                    Ok(Step::Predicted(Box::new(output), Spent { queue: spent.queue + queue, infer, ..spent }, key))
                }
                step => Ok(step),
            }
        });
        let steps: Vec<Result<Step, Rejection>> = future::join_all(alone).await;
        let known = |model: &Arc<Model>, explain: Option<Explain>| {
            let said = models.iter().zip(&steps).find_map(|(wanted, step)| match step {
                Ok(Step::Predicted(output, ..)) if Arc::ptr_eq(&wanted.model, model) && wanted.explain == explain => {
                    Some(output.clone())
                }
                _ => None,
            });
            said.map(|output| Alone { output: *output, queue: Duration::ZERO, infer: Duration::ZERO })
        };
        let mut ensembles = Vec::new();
        for (at, (wanted, step)) in models.iter().zip(&steps).enumerate() {
            if let (Some(_), Ok(Step::Extracted(features, ..))) = (wanted.model.ensemble(), step) {
                ensembles.push((at, self.predict_ensemble(permit, wanted, Arc::clone(features), &known).await));
            }
        }
        let mut steps = steps;
        for (at, said) in ensembles {
            let Some(step) = steps.get_mut(at) else { continue };
            let before = std::mem::replace(step, Err(Rejection::internal("a step was lost")));
            *step = match (before, said) {
                (Ok(Step::Extracted(_, spent, key)), Ok((output, infer))) => {
                    Ok(Step::Predicted(Box::new(output), Spent { infer, ..spent }, key))
                }
                (_, Err(rejection)) => Err(rejection),
                (before, _) => before,
            };
        }
        steps
    }

    /// Has the members of an ensemble predict at the same time, but for those of which `known` has the output, and joins what they say.
    async fn predict_ensemble(
        self: &Arc<Self>,
        permit: &Permit,
        wanted: &Wanted,
        features: Arc<ClipFeatures>,
        known: &(impl Fn(&Arc<Model>, Option<Explain>) -> Option<Alone> + Sync),
    ) -> Result<(PredictOutput, Duration), Rejection> {
        let Wanted { model, explain } = wanted;
        let Some(ensemble) = model.ensemble() else { return Err(Rejection::internal("it has no members")) };
        let start = Instant::now();
        let of_member = |(at, member): (usize, &Arc<Model>)| {
            let (member, features) = (Arc::clone(member), Arc::clone(&features));
            let explain = ensemble.explain_of_member(at, *explain);
            async move {
                match known(&member, explain) {
                    Some(alone) => Ok(alone.output),
                    None => self.predict_member(permit, &member, features, explain).await,
                }
            }
        };
        let outputs = future::try_join_all(ensemble.members().iter().enumerate().map(of_member)).await?;
        let mut output = ensemble.combine(outputs)?;
        if let Some((at, label)) = ensemble.unexplained(*explain, &output) {
            let explain = Some(Explain::Label(label));
            let explained = self.predict_member(permit, &ensemble.members()[at], features, explain).await?;
            output.explanation = explained.explanation;
        }
        let took = start.elapsed();
        self.metrics.inference(model.name(), took);
        model.statistics().executed(1, took);
        Ok((output, took))
    }

    /// Has a member of an ensemble predict, which counts as a request to it.
    async fn predict_member(
        self: &Arc<Self>,
        permit: &Permit,
        member: &Arc<Model>,
        features: Arc<ClipFeatures>,
        explain: Option<Explain>,
    ) -> Result<PredictOutput, Rejection> {
        let measured = Measured::start(member);
        let Alone { output, queue, infer } = self.predict_alone(permit, member, features, explain).await?;
        measured.predicted(Spent { queue, infer, ..Spent::default() }, Instant::now());
        Ok(output)
    }

    /// Has a model that is no ensemble predict: in a batch with the clips of other requests, or on a worker.
    async fn predict_alone(
        self: &Arc<Self>,
        permit: &Permit,
        model: &Arc<Model>,
        features: Arc<ClipFeatures>,
        explain: Option<Explain>,
    ) -> Result<Alone, Rejection> {
        if model.kind().batches() {
            let predict = self.batcher.predict(Arc::clone(model), features, explain);
            let Batched { output, waited, took } = predict.instrument(telemetry::step("infer")).await?;
            return Ok(Alone { output, queue: waited, infer: took });
        }
        let (engine, model, asked) = (Arc::clone(self), Arc::clone(model), Instant::now());
        let job = move |token: &CancellationToken| {
            let queue = asked.elapsed();
            let (output, infer) = engine.infer(token, &model, &features, explain)?;
            Ok(Alone { output, queue, infer })
        };
        permit.run(job).await?
    }

    /// Has a model predict on this worker, and tells how long it took.
    fn infer(
        &self,
        token: &CancellationToken,
        model: &Model,
        features: &ClipFeatures,
        explain: Option<Explain>,
    ) -> Result<(PredictOutput, Duration), Rejection> {
        let cancelled = || token.is_cancelled();
        let request = models::PredictRequest { features, explain, cancelled: &cancelled };
        let start = Instant::now();
        let output = telemetry::step("infer").in_scope(|| model.predict_one(request));
        let took = start.elapsed();
        self.metrics.inference(model.name(), took);
        let output = output?;
        model.statistics().executed(1, took);
        Ok((output, took))
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
}

/// What the cache has for a model.
enum Found {
    Cached(Bytes, Duration),
    Missing(ResponseKey, Duration),
    /// It was not asked.
    Unknown,
}

impl Found {
    /// How far the request is, with the features that were extracted.
    fn into_step(self, extracted: Option<(Arc<ClipFeatures>, Spent)>) -> Result<Step, Rejection> {
        match (self, extracted) {
            (Self::Cached(json, lookup), _) => Ok(Step::Cached(json, lookup)),
            (Self::Missing(key, lookup), Some((features, spent))) => {
                Ok(Step::Extracted(features, Spent { lookup: Some(lookup), ..spent }, Some(key)))
            }
            (Self::Unknown, Some((features, spent))) => Ok(Step::Extracted(features, spent, None)),
            (_, None) => Err(Rejection::internal("no features were extracted")),
        }
    }
}

/// How many series a model takes beside the log-mel.
fn n_series(wanted: Option<&Wanted>) -> usize {
    let is_series = |descriptor: &&Descriptor| descriptor.needs() > Needs::LogMel;
    wanted.map_or(0, |wanted| wanted.model.extractor().spec().descriptors.iter().filter(is_series).count())
}

/// The features by the specification `wanted`, if those by `spec` hold them: equal to what extracting them gives, to the bit.
fn held(features: &Arc<ClipFeatures>, spec: &FeatureSpec, wanted: &FeatureSpec) -> Option<Arc<ClipFeatures>> {
    if !common_spec(&[spec, wanted]).is_ok_and(|common| common == *spec) {
        return None;
    }
    let takes = |(descriptor, _): &(Descriptor, _)| wanted.descriptors.contains(descriptor);
    if features.all_series().all(|series| takes(&series)) {
        return Some(Arc::clone(features));
    }
    let series = features.all_series().filter(takes).map(|(descriptor, values)| (descriptor, values.to_owned()));
    ClipFeatures::new(features.log_mel().clone(), series.collect()).ok().map(Arc::new)
}

/// The result of a request to one model.
fn the_one<T>(results: Vec<Result<T, Rejection>>) -> Result<T, Rejection> {
    results.into_iter().next().unwrap_or_else(|| Err(Rejection::internal("no model was asked")))
}
