//! From a song to its genre: the one route that a role is there for.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::HeaderMap,
};
use features::{
    Fingerprint,
    decode::{self, AudioInfo},
    resample::SAMPLE_RATES,
};
use models::{Classifier, Identity, Prediction};
use serde::{Serialize, Serializer};

use crate::{
    App, Limits, Rejection, body,
    pool::{Caller, PoolError},
    slot,
    upload::{Encoding, Upload},
};

/// What is answered for a song.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The most probable label.
    pub predicted_genre: String,
    /// Of every label; they sum to 1.
    pub probabilities: Probabilities,
    /// The same for each segment in time.
    pub segments: Vec<SegmentAnswer>,
    /// Which model answered.
    pub model: Identity,
    /// SHA-256 of the features that the model heard; `train inspect --json` gives the same for the same file.
    pub features_digest: Fingerprint,
    /// What was decoded.
    pub audio: AudioInfo,
}

/// What is answered for a segment of it.
#[derive(Debug, Serialize)]
pub struct SegmentAnswer {
    /// Where it starts, in seconds.
    pub start_seconds: f64,
    /// Where it ends, in seconds.
    pub end_seconds: f64,
    /// The most probable label.
    pub predicted_genre: String,
    /// Of every label; they sum to 1.
    pub probabilities: Probabilities,
}

/// A probability for each label, written as an object in the order of the labels.
#[derive(Debug)]
pub struct Probabilities(Vec<(String, f64)>);

impl Probabilities {
    fn new(labels: &[String], values: &[f64]) -> Self {
        Self(labels.iter().cloned().zip(values.iter().copied()).collect())
    }

    /// The most probable label; of equals the first.
    fn best(&self) -> String {
        let values: Vec<f64> = self.0.iter().map(|(_, probability)| *probability).collect();
        self.0.get(models::most_probable(&values)).map(|(label, _)| label.clone()).unwrap_or_default()
    }
}

impl Serialize for Probabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(label, probability)| (label, probability)))
    }
}

/// The handler.
///
/// # Errors
/// Any [`Rejection`] but those of unknown routes.
pub async fn predict(State(app): State<Arc<App>>, request: Request) -> Result<Json<Answer>, Rejection> {
    let (head, mut body) = request.into_parts();
    match admit(&app, &head.headers, &mut body).await {
        Ok((model, upload)) => {
            let limits = *app.limits();
            let job = move |caller: &Caller<'_>| answer(upload, &*model, &limits, caller);
            app.pool().run(job).await??.map_or_else(|| Err(Rejection::internal("the caller has gone")), |a| Ok(Json(a)))
        }
        Err(rejection) => {
            body::linger(&mut body, &head.headers, app.limits()).await;
            Err(rejection)
        }
    }
}

/// Reads the body, if a look at the head and at the queue says that it is worth reading.
async fn admit(app: &App, headers: &HeaderMap, body: &mut Body) -> Result<(Arc<dyn Classifier>, Upload), Rejection> {
    let model = app.ready()?;
    let encoding = Encoding::of(headers)?;
    if app.pool().is_full() {
        return Err(Rejection::Busy);
    }
    let bytes: Bytes = body::read(body, app.limits()).await?;
    Ok((model, Upload::new(encoding, bytes)))
}

/// The work on the CPU. `None` when the caller has gone meanwhile.
fn answer(
    upload: Upload,
    model: &dyn Classifier,
    limits: &Limits,
    caller: &Caller<'_>,
) -> Result<Option<Answer>, Rejection> {
    let audio = upload.into_audio()?;
    let limits = decode::Limits { max_bytes: limits.max_body_bytes, max_seconds: limits.max_seconds };
    let decoded = decode::decode(audio, &limits)?;
    let rate = decoded.clip.sample_rate();
    if !SAMPLE_RATES.contains(&rate) {
        return Err(Rejection::SampleRate { rate });
    }
    if caller.is_gone() {
        return Ok(None);
    }
    let analysis = model.extractor().analyse(&decoded.clip)?;
    if caller.is_gone() {
        return Ok(None);
    }
    let prediction = model.predict(&analysis).map_err(|error| match error {
        models::Error::Features(error) => error.into(),
        other => Rejection::internal(other),
    })?;
    slot::check(&prediction, model.labels().len()).map_err(Rejection::internal)?;
    Ok(Some(Answer::new(&prediction, model, decoded.info)))
}

impl Answer {
    fn new(prediction: &Prediction, model: &dyn Classifier, audio: AudioInfo) -> Self {
        let labels = model.labels();
        let probabilities = Probabilities::new(labels, &prediction.probabilities);
        let segments = prediction
            .segments
            .iter()
            .map(|segment| {
                let probabilities = Probabilities::new(labels, &segment.probabilities);
                SegmentAnswer {
                    start_seconds: segment.start_seconds,
                    end_seconds: segment.end_seconds,
                    predicted_genre: probabilities.best(),
                    probabilities,
                }
            })
            .collect();
        Self {
            predicted_genre: probabilities.best(),
            probabilities,
            segments,
            model: model.identity().clone(),
            features_digest: prediction.features_digest.clone(),
            audio,
        }
    }
}

impl From<PoolError> for Rejection {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Full => Self::Busy,
            PoolError::Stopping => Self::NotReady { reason: "the server is stopping" },
            PoolError::Panicked => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_order_and_of_equals_the_first_is_best() {
        let labels = ["rock", "blues", "jazz"].map(str::to_owned);
        let probabilities = Probabilities::new(&labels, &[0.2, 0.4, 0.4]);
        assert_eq!(probabilities.best(), "blues");
        let json = serde_json::to_string(&probabilities).expect("an object");
        assert_eq!(json, r#"{"rock":0.2,"blues":0.4,"jazz":0.4}"#);
    }
}
