//! Looking at the backends, so that what is known of them is there before it is asked for.

use std::sync::Arc;

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, header},
};
use http_body_util::Full;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{Gateway, backend::Backend, forward};
use crate::{
    api::models::{Availability, ModelList, ModelStatus},
    cli::config::Kind,
};

impl Gateway {
    /// Looks at every backend, now and then and whenever a request had trouble with one, until the future is dropped.
    /// To be run beside the [`router`](super::router), which says what was seen last.
    pub async fn watch(self: Arc<Self>) {
        let mut looks = JoinSet::new();
        for backend in &self.backends {
            let (gateway, backend) = (Arc::clone(&self), Arc::clone(backend));
            looks.spawn(async move {
                loop {
                    gateway.look(&backend).await;
                    backend.time_to_look(gateway.settings.health_interval).await;
                }
            });
        }
        while looks.join_next().await.is_some() {}
    }

    /// Asks `backend` how it is, and takes down what it says.
    async fn look(&self, backend: &Backend) {
        // Whether it can be connected to is taken down there.
        let Ok((mut sender, _connection)) = self.open(backend, 1).await else { return };
        let mut ask = async |path: &str| {
            let target = backend.target(path);
            let request = forward::prepare(backend, &target, Method::GET, HeaderMap::new(), Full::<Bytes>::default());
            let mut request = request.map_err(|error| error.to_string())?;
            // A second one may follow on it.
            request.headers_mut().remove(header::CONNECTION);
            forward::exchange(&mut sender, request).await
        };
        let silent = || Some("its server is reachable, but does not answer".to_owned());
        let (problem, said) = match ask("/v1/models").await {
            Err(_) => (silent(), None),
            Ok((StatusCode::OK, models)) => judge(backend.kind(), &models),
            // It may want a key, which only clients have.
            Ok(_) => match ask("/readyz").await {
                Err(_) => (silent(), None),
                Ok((status, body)) => (unready(status, &body), None),
            },
        };
        backend.set_reachable(problem, said);
    }
}

/// What is wrong with the server of the model `kind`, if anything, and what it says of its model, by its `/v1/models`.
fn judge(kind: Kind, models: &[u8]) -> (Option<String>, Option<ModelStatus>) {
    let models = serde_json::from_slice::<ModelList>(models).map_or_else(|_| Vec::new(), |list| list.models);
    let Some(said) = models.into_iter().find(|model| model.name == kind.name()) else {
        return (Some(format!("the server that was named for {0} does not serve {0}", kind.name())), None);
    };
    let problem = match said.state {
        Availability::Ready => None,
        Availability::Unavailable => Some(said.problem.clone().unwrap_or_else(|| "no model is loaded yet".to_owned())),
    };
    (problem, Some(said))
}

/// What a server's `/readyz` says is wrong, if anything.
fn unready(status: StatusCode, body: &[u8]) -> Option<String> {
    if status == StatusCode::OK {
        return None;
    }
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem.get("detail").and_then(Value::as_str).map(str::to_owned);
    Some(detail.unwrap_or_else(|| format!("its server answers {} on /readyz", status.as_u16())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_is_judged_by_its_own_words() {
        let of = |state: &str, problem: Value| {
            let other = json!({"name": "vgg19", "route": "/vgg", "state": "ready", "labels": []});
            let svm = json!({"name": "svm", "route": "/predict", "state": state, "labels": [], "problem": problem});
            let (problem, said) = judge(Kind::Svm, json!({"models": [other, svm]}).to_string().as_bytes());
            assert_eq!(said.expect("is listed").name, "svm");
            problem
        };
        assert_eq!(of("ready", Value::Null), None);
        assert_eq!(of("ready", json!("a newer version is broken")), None, "the old one serves");
        assert_eq!(of("unavailable", json!("why")).as_deref(), Some("why"));
        assert!(of("unavailable", Value::Null).is_some());
        for other in [r#"{"models": []}"#, "<html>", "{}", ""] {
            let (problem, said) = judge(Kind::Svm, other.as_bytes());
            assert_eq!(problem.as_deref(), Some("the server that was named for svm does not serve svm"));
            assert_eq!(said, None);
        }
    }

    #[test]
    fn a_server_that_lists_nothing_is_judged_by_its_readiness() {
        assert_eq!(unready(StatusCode::OK, b""), None);
        assert_eq!(unready(StatusCode::SERVICE_UNAVAILABLE, br#"{"detail": "why"}"#).as_deref(), Some("why"));
        assert!(unready(StatusCode::NOT_FOUND, b"").is_some_and(|problem| problem.contains("404")));
    }
}
