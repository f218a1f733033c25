//! From the bytes of a song to an [`PredictResponse`]: decode → features → model, step by step on the workers.
//!
//! [`answer`] is the whole of it at once; a request goes through the same steps by `App::hear`, where songs of several
//! requests share a network, and where what nobody waits for any more is dropped between two steps.

use std::{sync::Arc, time::Instant};

use axum::body::Bytes;
use features::{
    Clip, ClipFeatures, Extractor,
    decode::{self, AudioInfo},
    dsp::resample::SAMPLE_RATES,
};
use models::{Classifier, Explain, PredictOutput, PredictRequest};
use prometheus_client::metrics::histogram::Histogram;
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::{
    App, Rejection,
    api::answer::PredictResponse,
    cli::config::Kind,
    engine::{
        cache::ResponseKey,
        pool::{CancellationToken, Permit, PoolError},
        slot,
    },
    http::{admission::Song, metrics::Metrics, telemetry},
};

/// Decodes a song and has `model` name its genre.
///
/// # Errors
/// The [`Rejection`] that a server would answer.
pub fn answer(model: &dyn Classifier, audio: &[u8], limits: &decode::Limits) -> Result<PredictResponse, Rejection> {
    let alone = Stages { caller: None, metrics: None };
    let heard = listen(audio, model.extractor(), limits, &alone)?;
    let judgement = alone.judge(model, &heard.analysis, None)?;
    judged(&judgement, model, heard.audio)
}

/// What was decoded, and its features.
pub(crate) struct Heard {
    pub(crate) analysis: ClipFeatures,
    pub(crate) audio: AudioInfo,
}

/// Who looks on while a song is heard: somebody who may leave, and somebody who takes the time.
#[derive(Clone, Copy)]
pub(crate) struct Stages<'a> {
    pub(crate) caller: Option<&'a CancellationToken<'a>>,
    pub(crate) metrics: Option<&'a Metrics>,
}

impl Stages<'_> {
    /// Decodes a song.
    pub(crate) fn decode(&self, audio: &[u8], limits: &decode::Limits) -> Result<decode::Decoded, Rejection> {
        self.step(
            "decode",
            |metrics| &metrics.decode,
            || {
                let decoded = decode::decode(audio, limits)?;
                let rate = decoded.clip.sample_rate();
                if SAMPLE_RATES.contains(&rate) { Ok(decoded) } else { Err(Rejection::SampleRate { rate }) }
            },
        )
    }

    /// Computes the features of a clip.
    pub(crate) fn extract(&self, extractor: &Extractor, clip: &Clip) -> Result<ClipFeatures, Rejection> {
        self.step("features", |metrics| &metrics.features, || Ok(extractor.extract(clip)?))
    }

    /// Has a model judge the features of a song, here.
    pub(crate) fn judge(
        &self,
        model: &dyn Classifier,
        analysis: &ClipFeatures,
        explain: Option<Explain>,
    ) -> Result<PredictOutput, Rejection> {
        let cancelled = || self.is_for_nobody();
        let start = Instant::now();
        let judged = telemetry::step("judge")
            .in_scope(|| model.predict_one(PredictRequest { features: analysis, explain, cancelled: &cancelled }));
        if let Some(metrics) = self.metrics {
            metrics.inference(&model.identity().name, start.elapsed());
        }
        Ok(judged?)
    }

    /// Does a step, takes its time if it succeeds, and goes on if it is still for somebody.
    fn step<T>(
        &self,
        name: &'static str,
        time: fn(&Metrics) -> &Histogram,
        work: impl FnOnce() -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let start = Instant::now();
        let done = telemetry::step(name).in_scope(work)?;
        if let Some(metrics) = self.metrics {
            time(metrics).observe(start.elapsed().as_secs_f64());
        }
        // Nobody reads what is said to one who has gone.
        if self.is_for_nobody() { Err(Rejection::internal("the caller has gone")) } else { Ok(done) }
    }

    fn is_for_nobody(&self) -> bool {
        self.caller.is_some_and(CancellationToken::is_gone)
    }
}

/// Decodes a song and computes its features.
fn listen(
    audio: &[u8],
    extractor: &Extractor,
    limits: &decode::Limits,
    stages: &Stages<'_>,
) -> Result<Heard, Rejection> {
    let decoded = stages.decode(audio, limits)?;
    let analysis = stages.extract(extractor, &decoded.clip)?;
    Ok(Heard { analysis, audio: decoded.info })
}

/// An answer, unless what the model says makes no sense.
fn judged(judgement: &PredictOutput, model: &dyn Classifier, audio: AudioInfo) -> Result<PredictResponse, Rejection> {
    slot::check(&judgement.prediction, model.labels().len()).map_err(Rejection::internal)?;
    Ok(PredictResponse::new(judgement, model, audio))
}

/// What a request wants to know of its song.
#[derive(Debug)]
pub(crate) struct Question {
    /// Whom it asks.
    pub(crate) kind: Kind,
    /// Which version of it.
    pub(crate) model: Arc<dyn Classifier>,
    /// Whether it wants to know what the model listened to.
    pub(crate) explain: Option<Explain>,
}

/// An answer in JSON, and whether it was kept from before.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) json: Bytes,
    pub(crate) kept: bool,
}

/// What the first step on a worker leads to.
enum Step {
    Done(Reply),
    Judge { heard: Heard, key: Option<ResponseKey> },
}

impl App {
    /// Answers a question about a song in the upload, which is let go of as soon as it is decoded.
    ///
    /// # Errors
    /// What is wrong with the song, or with us.
    pub(crate) async fn hear(&self, place: &Permit, song: Song, question: Question) -> Result<Reply, Rejection> {
        let Question { kind, model, explain } = question;
        let step = {
            let (limits, metrics) = (self.limits().decode(), Arc::clone(self.metrics()));
            let answers = Arc::clone(self.answers());
            let model = Arc::clone(&model);
            let job = move |caller: &CancellationToken<'_>| -> Result<Step, Rejection> {
                let Song { upload, held } = song;
                let audio = upload.into_audio()?;
                let key = answers.is_on().then(|| ResponseKey {
                    audio: Sha256::digest(&audio).into(),
                    version: model.identity().version.clone(),
                    variant: explain.map_or_else(String::new, |explain| format!("{explain:?}")),
                });
                if let Some(key) = &key {
                    let kept = answers.get(key);
                    metrics.looked_up(kept.is_some());
                    if let Some(json) = kept {
                        return Ok(Step::Done(Reply { json, kept: true }));
                    }
                }
                let stages = Stages { caller: Some(caller), metrics: Some(&metrics) };
                let heard = listen(&audio, model.extractor(), &limits, &stages)?;
                drop((audio, held));
                if kind.batches() {
                    return Ok(Step::Judge { heard, key });
                }
                let judgement = stages.judge(&*model, &heard.analysis, explain)?;
                let answer = judged(&judgement, &*model, heard.audio)?;
                let json = to_json(&answer)?;
                if let Some(key) = key {
                    answers.put(key, &json);
                }
                Ok(Step::Done(Reply { json, kept: false }))
            };
            let span = tracing::Span::current();
            place.run(move |caller| span.in_scope(|| job(caller))).await??
        };
        match step {
            Step::Done(reply) => Ok(reply),
            Step::Judge { heard, key } => {
                let Heard { analysis, audio } = heard;
                let judgement = self.judge(place, kind, &model, analysis, explain).await?;
                let json = to_json(&judged(&judgement, &*model, audio)?)?;
                if let Some(key) = key {
                    self.answers().put(key, &json);
                }
                Ok(Reply { json, kept: false })
            }
        }
    }

    /// Decodes a song and computes its features.
    ///
    /// # Errors
    /// What is wrong with the song.
    pub(crate) async fn listen(
        &self,
        place: &Permit,
        model: &Arc<dyn Classifier>,
        audio: Bytes,
    ) -> Result<Heard, Rejection> {
        let (limits, metrics, model) = (self.limits().decode(), Arc::clone(self.metrics()), Arc::clone(model));
        let job = move |caller: &CancellationToken<'_>| {
            listen(&audio, model.extractor(), &limits, &Stages { caller: Some(caller), metrics: Some(&metrics) })
        };
        place.run(job).await?
    }

    /// Has a model judge the features of a song, together with those of other requests where that pays.
    ///
    /// # Errors
    /// What is wrong with the song, or with the model.
    pub(crate) async fn judge(
        &self,
        place: &Permit,
        kind: Kind,
        model: &Arc<dyn Classifier>,
        analysis: ClipFeatures,
        explain: Option<Explain>,
    ) -> Result<PredictOutput, Rejection> {
        if kind.batches() {
            let judging = self.batcher().judge(Arc::clone(model), analysis, explain);
            return judging.instrument(telemetry::step("judge")).await;
        }
        let (metrics, model) = (Arc::clone(self.metrics()), Arc::clone(model));
        let job = move |caller: &CancellationToken<'_>| {
            Stages { caller: Some(caller), metrics: Some(&metrics) }.judge(&*model, &analysis, explain)
        };
        place.run(job).await?
    }
}

/// Serialises an answer.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<Bytes, Rejection> {
    serde_json::to_vec(value).map(Bytes::from).map_err(Rejection::internal)
}

impl From<PoolError> for Rejection {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Full => Self::Busy { retry_after: 1 },
            PoolError::Stopping => Self::NotReady { reason: "the server is stopping".into() },
            PoolError::Panicked => Self::internal(error),
        }
    }
}
