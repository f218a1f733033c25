//! Health checks of the [`Backend`]s, at an interval and whenever a request failed.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Gateway, backend::Backend, forward};
use crate::{
    config::{ModelKind, ModelName},
    engine::slot::{Availability, ModelList, ModelStatus},
};

/// Between two health checks at least, however often something went wrong.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// For one request of a health check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest response that a health check reads: of many models with many labels.
const MAX_RESPONSE: usize = 16 << 20;

impl Gateway {
    /// Checks the health of every backend, at an interval and whenever a request failed, until the future is dropped.
    /// To be run beside the [`router`](super::router), which reports the last result.
    pub async fn watch(self: Arc<Self>) {
        let mut checks = JoinSet::new();
        for backend in &self.backends {
            let (gateway, backend) = (Arc::clone(&self), Arc::clone(backend));
            checks.spawn(async move {
                loop {
                    gateway.check(&backend).await;
                    sleep(MIN_INTERVAL).await;
                    // Notified or not, it is time.
                    let _ = timeout(gateway.settings.health_interval, backend.check.notified()).await;
                }
            });
        }
        while checks.join_next().await.is_some() {}
    }

    async fn check(&self, backend: &Backend) {
        let result = match self.get(backend, &Uri::from_static("/v1/models"), backend.credentials()).await {
            Some((StatusCode::OK, models)) => Some(listed(backend.kind(), &models)),
            // It may require another key, which only clients have.
            Some(_) => self.readiness(backend).await.map(|problem| (problem, Vec::new())),
            None => None,
        };
        match result {
            Some((problem, reported)) => backend.set_reachable(problem, reported),
            // Otherwise it is noted where connecting failed.
            None if backend.is_unreachable() => {}
            None => {
                let problem = "its server is reachable, but does not respond".to_owned();
                backend.set_reachable(Some(problem), Vec::new());
            }
        }
    }

    /// The problem that a server's `/readyz` reports, if any; `None` without a response.
    async fn readiness(&self, backend: &Backend) -> Option<Option<String>> {
        let (status, body) = self.get(backend, &Uri::from_static("/readyz"), HeaderMap::new()).await?;
        Some(not_ready(status, &body))
    }

    /// Whether a server has a model of that name, as it answers to a client with these headers; `None` without a response.
    pub(super) async fn asks(&self, backend: &Backend, name: &ModelName, headers: &HeaderMap) -> Option<bool> {
        let uri = format!("/v1/models/{name}").parse().ok()?;
        let (status, body) = self.get(backend, &uri, keys(headers)).await?;
        let model = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        // A server that refuses the key may have it, and says so of the request itself.
        Some(status == StatusCode::UNAUTHORIZED || (status == StatusCode::OK && model["name"] == **name))
    }

    /// The response to `GET uri`; `None` without one.
    pub(super) async fn get(&self, backend: &Backend, uri: &Uri, headers: HeaderMap) -> Option<(StatusCode, Bytes)> {
        let request = forward::outgoing(backend, Method::GET, uri, headers).ok()?;
        let (mut sender, _connection) = self.open(backend, 1).await.ok()?;
        let exchange = async {
            let response = sender.send_request(request.map(|()| Body::empty())).await.ok()?;
            let status = response.status();
            Some((status, Limited::new(response.into_body(), MAX_RESPONSE).collect().await.ok()?.to_bytes()))
        };
        timeout(CHECK_TIMEOUT, exchange).await.ok()?
    }
}

/// The headers that carry the key of a client.
pub(super) fn keys(headers: &HeaderMap) -> HeaderMap {
    let keys = [header::AUTHORIZATION, HeaderName::from_static("x-api-key")];
    keys.into_iter().filter_map(|key| Some((key.clone(), headers.get(key)?.clone()))).collect()
}

/// The problem of the server of the models of `kind`, if any, and the status of each, by its `/v1/models`. One that serves ensembles
/// beside them is the server of these too.
fn listed(kind: ModelKind, models: &[u8]) -> (Option<String>, Vec<ModelStatus>) {
    let mut models = serde_json::from_slice::<ModelList>(models).map_or_else(|_| Vec::new(), |list| list.models);
    // The list of a server of an earlier release has neither kinds nor routes by name.
    for model in &mut models {
        let kind = model.kind.take().or_else(|| ModelKind::named(&model.name).map(|kind| kind.name().to_owned()));
        model.kind = kind;
        model.ready = model.state == Availability::Ready;
        model.predict = format!("/v1/models/{}/predict", model.name);
    }
    let is_of = |model: &ModelStatus, kind: ModelKind| model.kind.as_deref() == Some(kind.name());
    models.retain(|model| {
        (is_of(model, kind) || is_of(model, ModelKind::Ensemble)) && model.name.parse::<ModelName>().is_ok()
    });
    let own: Vec<&ModelStatus> = models.iter().filter(|model| is_of(model, kind)).collect();
    let problem = match own.first() {
        None => Some(format!("the server that was named for {0} does not serve {0}", kind.name())),
        Some(_) if own.iter().any(|model| model.ready) => None,
        Some(first) => Some(first.problem.clone().unwrap_or_else(|| "no model is loaded yet".to_owned())),
    };
    (problem, models)
}

/// The problem that a server's `/readyz` reports, if any.
fn not_ready(status: StatusCode, body: &[u8]) -> Option<String> {
    if status == StatusCode::OK {
        return None;
    }
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem.get("detail").and_then(Value::as_str).map(str::to_owned);
    Some(detail.unwrap_or_else(|| format!("its server responds {} on /readyz", status.as_u16())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_list_of_models_tells_whether_a_server_is_ready() {
        let of = |state: &str, problem: Value| {
            let other = json!({"name": "vgg19", "route": "/vgg", "state": "ready", "labels": []});
            let svm = json!({"name": "svm", "route": "/predict", "state": state, "labels": [], "problem": problem});
            let (problem, models) = listed(ModelKind::Svm, json!({"models": [other, svm]}).to_string().as_bytes());
            let [model] = &models[..] else { panic!("one is listed: {models:?}") };
            assert_eq!(
                (&*model.name, model.kind.as_deref(), &*model.predict),
                ("svm", Some("svm"), "/v1/models/svm/predict")
            );
            problem
        };
        assert_eq!(of("ready", Value::Null), None);
        assert_eq!(of("ready", json!("a newer version is broken")), None, "the old one serves");
        assert_eq!(of("unavailable", json!("why")).as_deref(), Some("why"));
        assert!(of("unavailable", Value::Null).is_some());
        for other in [r#"{"models": []}"#, "<html>", "{}", ""] {
            let (problem, models) = listed(ModelKind::Svm, other.as_bytes());
            assert_eq!(problem.as_deref(), Some("the server that was named for svm does not serve svm"));
            assert_eq!(models, []);
        }
    }

    #[test]
    fn one_model_that_is_ready_is_enough_and_a_name_that_is_none_is_left_out() {
        let of = |name: &str, state: &str| json!({"name": name, "kind": "svm", "route": "/x", "state": state, "labels": [], "problem": "why"});
        let list = json!({"models": [of("svm", "unavailable"), of("../dances", "ready"), of("dances", "ready")]});
        let (problem, models) = listed(ModelKind::Svm, list.to_string().as_bytes());
        assert_eq!((problem, models.len()), (None, 2));
        let list = json!({"models": [of("dances", "unavailable")]});
        assert_eq!(listed(ModelKind::Svm, list.to_string().as_bytes()).0.as_deref(), Some("why"));
    }

    #[test]
    fn a_server_of_ensembles_too_is_asked_for_them_and_is_ready_by_its_own_kind() {
        let of = |name: &str, kind: &str, state: &str| json!({"name": name, "kind": kind, "route": "/x", "state": state, "labels": []});
        let members = json!([{"name": "svm", "version": "0123456789ab", "kind": "svm", "weight": 0.25}]);
        let mut ensemble = of("ensemble", "ensemble", "ready");
        ensemble["members"] = members.clone();
        let list = json!({"models": [of("svm", "svm", "unavailable"), of("vgg19", "vgg19", "ready"), ensemble]});
        let (problem, models) = listed(ModelKind::Svm, list.to_string().as_bytes());
        assert_eq!(models.iter().map(|model| &*model.name).collect::<Vec<_>>(), ["svm", "ensemble"]);
        assert_eq!(problem.as_deref(), Some("no model is loaded yet"));
        assert_eq!(serde_json::to_value(&models[1]).expect("JSON")["members"], members, "told as it was told");
        let alone = json!({"models": [of("ensemble", "ensemble", "ready")]});
        assert!(listed(ModelKind::Vgg19, alone.to_string().as_bytes()).0.is_some());
    }

    #[test]
    fn a_server_that_lists_nothing_is_known_by_its_readiness() {
        assert_eq!(not_ready(StatusCode::OK, b""), None);
        assert_eq!(not_ready(StatusCode::SERVICE_UNAVAILABLE, br#"{"detail": "why"}"#).as_deref(), Some("why"));
        assert!(not_ready(StatusCode::NOT_FOUND, b"").is_some_and(|problem| problem.contains("404")));
    }
}
