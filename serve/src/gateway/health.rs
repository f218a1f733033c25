//! Health checks of the [`Backend`]s, at an interval and whenever a request failed.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, StatusCode, Uri},
};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Gateway, backend::Backend, forward};
use crate::{
    config::ModelKind,
    engine::slot::{Availability, ModelList, ModelStatus},
};

/// Between two health checks at least, however often something went wrong.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// For one request of a health check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest response that a health check reads.
const MAX_RESPONSE: usize = 1 << 20;

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
        let result = match self.get(backend, "/v1/models").await {
            Some((StatusCode::OK, models)) => Some(listed(backend.kind(), &models)),
            // It may require a key, which only clients have.
            Some(_) => self.get(backend, "/readyz").await.map(|(status, body)| (not_ready(status, &body), None)),
            None => None,
        };
        match result {
            Some((problem, reported)) => backend.set_reachable(problem, reported),
            // Otherwise it is noted where connecting failed.
            None if backend.is_unreachable() => {}
            None => backend.set_reachable(Some("its server is reachable, but does not respond".to_owned()), None),
        }
    }

    /// The response to `GET path`; `None` without one.
    async fn get(&self, backend: &Backend, path: &'static str) -> Option<(StatusCode, Bytes)> {
        let request = forward::outgoing(backend, Method::GET, &Uri::from_static(path), HeaderMap::new()).ok()?;
        let (mut sender, _connection) = self.open(backend, 1).await.ok()?;
        let exchange = async {
            let response = sender.send_request(request.map(|()| Body::empty())).await.ok()?;
            let status = response.status();
            Some((status, Limited::new(response.into_body(), MAX_RESPONSE).collect().await.ok()?.to_bytes()))
        };
        timeout(CHECK_TIMEOUT, exchange).await.ok()?
    }
}

/// The problem of the server of the model `kind`, if any, and the status of its model, by its `/v1/models`.
fn listed(kind: ModelKind, models: &[u8]) -> (Option<String>, Option<ModelStatus>) {
    let models = serde_json::from_slice::<ModelList>(models).map_or_else(|_| Vec::new(), |list| list.models);
    let Some(status) = models.into_iter().find(|model| model.name == kind.name()) else {
        return (Some(format!("the server that was named for {0} does not serve {0}", kind.name())), None);
    };
    let problem = match status.state {
        Availability::Ready => None,
        Availability::Unavailable => {
            Some(status.problem.clone().unwrap_or_else(|| "no model is loaded yet".to_owned()))
        }
    };
    (problem, Some(status))
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
            let (problem, status) = listed(ModelKind::Svm, json!({"models": [other, svm]}).to_string().as_bytes());
            assert_eq!(status.expect("is listed").name, "svm");
            problem
        };
        assert_eq!(of("ready", Value::Null), None);
        assert_eq!(of("ready", json!("a newer version is broken")), None, "the old one serves");
        assert_eq!(of("unavailable", json!("why")).as_deref(), Some("why"));
        assert!(of("unavailable", Value::Null).is_some());
        for other in [r#"{"models": []}"#, "<html>", "{}", ""] {
            let (problem, status) = listed(ModelKind::Svm, other.as_bytes());
            assert_eq!(problem.as_deref(), Some("the server that was named for svm does not serve svm"));
            assert_eq!(status, None);
        }
    }

    #[test]
    fn a_server_that_lists_nothing_is_known_by_its_readiness() {
        assert_eq!(not_ready(StatusCode::OK, b""), None);
        assert_eq!(not_ready(StatusCode::SERVICE_UNAVAILABLE, br#"{"detail": "why"}"#).as_deref(), Some("why"));
        assert!(not_ready(StatusCode::NOT_FOUND, b"").is_some_and(|problem| problem.contains("404")));
    }
}
