//! `POST /v1/predict` for models that several backends have, and the statistics of them all.
//!
//! Where one backend has all that is wanted, the request is streamed to it as any other. Where they are several, the body is read here
//! once, within the limits of a server; each of them gets all of it, with the names of its models, and one of them extracts the features.
//! Their answers are joined as they are.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts, response},
    response::{IntoResponse as _, Response},
};
use futures_util::future;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Gateway, backend::Backend, health, upload::Upload};
use crate::{
    Rejection,
    api::together::{Answer, TogetherQuery, answer_of, write},
    http::{admission, middleware::CACHE},
    oip::error::InferenceError,
};

/// The longest response of a backend that is read here: of features of long audio in JSON.
const MAX_RESPONSE: usize = 256 << 20;

/// What one backend is asked for.
struct Share<'a> {
    backend: &'a Arc<Backend>,
    /// Names of models that it has; none where it only extracts features.
    models: Vec<String>,
    /// Whether it extracts the features.
    features: bool,
}

/// What a backend said.
enum Said {
    Answered { predictions: BTreeMap<String, Answer>, features: Option<Answer>, cached: bool },
    Refused(Box<response::Parts>, Bytes),
    Failed(Rejection),
}

/// `POST /v1/predict`.
pub(super) async fn predict(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Rejection> {
    let (mut head, body) = request.into_parts();
    match gateway.asked(&head).await {
        Ok((_, shares)) if shares.len() == 1 && !shares[0].models.is_empty() => {
            let share = &shares[0];
            head.uri = share.target(&head.uri)?;
            gateway.forward(share.backend, Request::from_parts(head, body)).await
        }
        Ok((names, shares)) => gateway.predict_by(&names, &shares, head, body).await,
        Err(rejection) => {
            Upload::discard(Request::from_parts(head, body));
            Err(rejection)
        }
    }
}

/// `GET /v2/models/stats`: those of every backend that responds.
pub(super) async fn statistics(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
) -> Result<Response, InferenceError> {
    let uri = Uri::from_static("/v2/models/stats");
    let responses = gateway.distinct().into_iter().map(|backend| gateway.get(backend, &uri, health::keys(&headers)));
    let responses: Vec<(StatusCode, Bytes)> = future::join_all(responses).await.into_iter().flatten().collect();
    let mut all: Vec<Value> = Vec::new();
    let mut refused = None;
    for (status, body) in responses {
        if status != StatusCode::OK {
            refused = refused.or(Some((status, body)));
            continue;
        }
        let mut statistics: Value = serde_json::from_slice(&body).map_err(Rejection::internal)?;
        let entries = statistics["model_stats"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let is_new =
            |entry: &Value| !all.iter().any(|known| ["name", "version"].iter().all(|key| known[key] == entry[key]));
        let new: Vec<Value> = entries.into_iter().filter(is_new).collect();
        all.extend(new);
    }
    match (all.is_empty(), refused, gateway.backends.first()) {
        (true, Some((status, body)), _) => {
            Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
        }
        (true, None, Some(backend)) => Err(Rejection::BackendUnavailable { model: backend.kind() }.into()),
        _ => Ok(Json(json!({ "model_stats": all })).into_response()),
    }
}

impl Share<'_> {
    /// The target of the request to it, for that of the client.
    fn target(&self, uri: &Uri) -> Result<Uri, Rejection> {
        let (path, dropped): (&str, &[&str]) = match (self.models.is_empty(), self.features) {
            (true, _) => ("/features", &["models", "explain"]),
            (false, true) => ("/v1/predict", &["models"]),
            (false, false) => ("/v1/predict", &["models", "include", "model", "encoding"]),
        };
        let kept = uri.query().unwrap_or_default().split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !name.is_empty() && !dropped.contains(&name)
        });
        let mut pairs: Vec<String> = kept.map(str::to_owned).collect();
        if !self.models.is_empty() {
            // Names of models are safe in a query.
            pairs.push(format!("models={}", self.models.join(",")));
        }
        format!("{path}?{}", pairs.join("&")).parse().map_err(Rejection::internal)
    }
}

impl Gateway {
    /// One backend for each server, where one server is named for several kinds.
    fn distinct(&self) -> Vec<&Arc<Backend>> {
        let mut distinct: Vec<&Arc<Backend>> = Vec::new();
        for backend in &self.backends {
            if !distinct.iter().any(|known| known.url() == backend.url()) {
                distinct.push(backend);
            }
        }
        distinct
    }

    /// The names of the models that a request wants, and which backend is asked for what.
    async fn asked(&self, head: &Parts) -> Result<(Vec<String>, Vec<Share<'_>>), Rejection> {
        let query = TogetherQuery::read(&head.uri)?;
        let every = || self.statuses().into_iter().map(|status| status.name).collect();
        let names = query.names().unwrap_or_else(every);
        let shares = self.shares(&names, &query, &head.headers).await?;
        Ok((names, shares))
    }

    /// Which backend is asked for what.
    async fn shares(
        &self,
        names: &[String],
        query: &TogetherQuery,
        headers: &HeaderMap,
    ) -> Result<Vec<Share<'_>>, Rejection> {
        let mut shares: Vec<Share<'_>> = Vec::new();
        for name in names {
            let backend = self.backend_of(name, headers).await?;
            match shares.iter_mut().find(|share| share.backend.url() == backend.url()) {
                Some(share) => share.models.push(name.clone()),
                None => shares.push(Share { backend, models: vec![name.clone()], features: false }),
            }
        }
        if query.include.is_none() {
            return Ok(shares);
        }
        let at = match &query.model {
            Some(name) => {
                let backend = self.backend_of(name, headers).await?;
                let known = shares.iter().position(|share| share.backend.url() == backend.url());
                known.unwrap_or_else(|| {
                    shares.push(Share { backend, models: Vec::new(), features: true });
                    shares.len() - 1
                })
            }
            // The first that is ready, of equals the first.
            None => shares.iter().position(|share| share.backend.problem().is_none()).unwrap_or(0),
        };
        if let Some(share) = shares.get_mut(at) {
            share.features = true;
        }
        Ok(shares)
    }

    /// Sends a request to several backends, and joins what they answer.
    async fn predict_by(
        &self,
        names: &[String],
        shares: &[Share<'_>],
        mut head: Parts,
        mut body: Body,
    ) -> Result<Response, Rejection> {
        let read = admission::read_body(&mut body, &self.limits, self.limits.max_body_bytes, &self.budget).await;
        let (body, _held) = match read {
            Ok(read) => read,
            Err(rejection) => {
                admission::linger(&mut body, &head.headers, &self.limits).await;
                return Err(rejection);
            }
        };
        // It is all here.
        head.headers.remove(header::EXPECT);
        let said = future::join_all(shares.iter().map(|share| self.ask(share, &head, &body))).await;
        if !said.iter().any(|said| matches!(said, Said::Answered { .. })) {
            return first_refusal(said);
        }
        let (mut answers, mut features, mut all_cached) = (BTreeMap::new(), None, true);
        for (share, said) in shares.iter().zip(said) {
            let problem = match said {
                Said::Answered { predictions, features: found, cached } => {
                    answers.extend(predictions);
                    features = features.or(found);
                    all_cached &= cached;
                    continue;
                }
                Said::Refused(_, problem) => Err(problem),
                Said::Failed(rejection) => answer_of(Err(rejection)),
            };
            all_cached = false;
            answers.extend(share.models.iter().map(|name| (name.clone(), problem.clone())));
            if share.features {
                features = Some(problem);
            }
        }
        // In the order of the request.
        let predictions = names.iter().filter_map(|name| answers.remove_entry(name));
        let json = write(&predictions.collect::<Vec<_>>(), features.as_ref());
        let cache = HeaderValue::from_static(if all_cached { "hit" } else { "miss" });
        let media_type = HeaderValue::from_static("application/json");
        Ok(([(header::CONTENT_TYPE, media_type), (CACHE, cache)], json).into_response())
    }

    /// Sends its share to a backend.
    async fn ask(&self, share: &Share<'_>, head: &Parts, body: &Bytes) -> Said {
        match self.try_ask(share, head, body).await {
            Ok(said) => said,
            Err(rejection) => Said::Failed(rejection),
        }
    }

    async fn try_ask(&self, share: &Share<'_>, head: &Parts, body: &Bytes) -> Result<Said, Rejection> {
        let mut request = Request::new(Body::from(body.clone()));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = share.target(&head.uri)?;
        *request.headers_mut() = head.headers.clone();
        let (head, body) = self.forward(share.backend, request).await?.into_parts();
        let unavailable = || Rejection::BackendUnavailable { model: share.backend.kind() };
        let body = Limited::new(body, MAX_RESPONSE).collect().await.map_err(|_| unavailable())?.to_bytes();
        if head.status != StatusCode::OK {
            // What is no JSON is not from a server of models.
            return match serde_json::from_slice::<&RawValue>(&body) {
                Ok(_) => Ok(Said::Refused(Box::new(head), body)),
                Err(_) => Err(unavailable()),
            };
        }
        let cached = head.headers.get(CACHE).is_some_and(|cache| cache == "hit");
        if share.models.is_empty() {
            return Ok(Said::Answered { predictions: BTreeMap::new(), features: Some(Ok(body)), cached });
        }
        let joined: Joined<'_> = serde_json::from_slice(&body).map_err(|error| {
            tracing::error!(model = share.backend.kind().name(), %error, "a backend answered what is not understood");
            unavailable()
        })?;
        let predictions = joined.predictions.into_iter().map(|(name, entry)| (name, entry.into_answer()));
        let features = joined.features.map(Entry::into_answer);
        Ok(Said::Answered { predictions: predictions.collect(), features, cached })
    }
}

/// The response of a backend, whose parts are not looked into.
#[derive(Deserialize)]
struct Joined<'a> {
    #[serde(borrow)]
    predictions: BTreeMap<String, Entry<'a>>,
    #[serde(borrow)]
    features: Option<Entry<'a>>,
}

/// One of two.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry<'a> {
    #[serde(borrow)]
    Answer(&'a RawValue),
    #[serde(borrow)]
    Problem(&'a RawValue),
}

impl Entry<'_> {
    fn into_answer(self) -> Answer {
        let bytes = |raw: &RawValue| Bytes::copy_from_slice(raw.get().as_bytes());
        match self {
            Self::Answer(answer) => Ok(bytes(answer)),
            Self::Problem(problem) => Err(bytes(problem)),
        }
    }
}

/// What the first backend said that has no answer.
fn first_refusal(said: Vec<Said>) -> Result<Response, Rejection> {
    match said.into_iter().next() {
        Some(Said::Refused(mut head, body)) => {
            // Its length is that of the body.
            head.headers.remove(header::CONTENT_LENGTH);
            Ok(Response::from_parts(*head, Body::from(body)))
        }
        Some(Said::Failed(rejection)) => Err(rejection),
        _ => Err(Rejection::UnknownModel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelKind;

    #[test]
    fn each_backend_gets_the_names_of_its_models_and_one_extracts() {
        let backend = Arc::new(Backend::new(ModelKind::Svm, Uri::from_static("http://svm:8081")).expect("sound"));
        let target = |models: &[&str], features| {
            let models = models.iter().map(ToString::to_string).collect();
            let uri = Uri::from_static("/v1/predict?models=x&explain=a%20b&include=mfcc&model=svm&encoding=base64");
            Share { backend: &backend, models, features }.target(&uri).expect("a target").to_string()
        };
        assert_eq!(target(&["a", "b"], false), "/v1/predict?explain=a%20b&models=a,b");
        let with_features = "/v1/predict?explain=a%20b&include=mfcc&model=svm&encoding=base64&models=a";
        assert_eq!(target(&["a"], true), with_features);
        assert_eq!(target(&[], true), "/features?include=mfcc&model=svm&encoding=base64");
    }
}
