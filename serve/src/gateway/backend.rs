//! [`Backend`]: a model server, and its health.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, StatusCode, Uri},
};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Gateway, forward};
use crate::{
    config::ModelKind,
    engine::{
        pool::lock,
        slot::{Availability, ModelList, ModelStatus},
    },
};

/// Between two health checks at least, however often something went wrong.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// For one request of a health check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest response that a health check reads.
const MAX_RESPONSE: usize = 1 << 20;

/// The server of one model.
#[derive(Debug)]
pub struct Backend {
    kind: ModelKind,
    url: Uri,
    health: Mutex<Health>,
    check: Notify,
}

/// Why a URL is not one of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUrl {
    /// TLS.
    #[error(
        "the URL of the server of {} begins with https://, which is not supported; give one that begins with http://, \
         for example of a proxy that speaks TLS",
        .0.name()
    )]
    Https(ModelKind),
    /// Another protocol, or none.
    #[error(
        "the URL of the server of {} must begin with http:// and name a host, such as http://127.0.0.1:8081",
        .0.name()
    )]
    NotHttp(ModelKind),
    /// A secret that would be written to logs.
    #[error("the URL of the server of {} has a user or a password in it, which is not sent; remove it", .0.name())]
    User(ModelKind),
    /// A query.
    #[error("the URL of the server of {} has a query in it; give it without `?` and what follows", .0.name())]
    Query(ModelKind),
}

/// What is known of a backend.
#[derive(Clone, Debug)]
struct Health {
    /// Whether the last attempt to connect succeeded; `None` before the first.
    reachable: Option<bool>,
    /// Why it serves no requests, if it does not, in plain words that name no host.
    problem: Option<String>,
    /// What it reports of its model on `/v1/models`.
    reported: Option<ModelStatus>,
}

impl Backend {
    /// The server of the model `kind` at `url`, which may have a path, for a server behind a proxy.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(kind: ModelKind, url: Uri) -> Result<Self, BadUrl> {
        match (url.scheme_str(), url.authority()) {
            (Some("https"), _) => Err(BadUrl::Https(kind)),
            (Some("http"), Some(authority)) if authority.host().is_empty() => Err(BadUrl::NotHttp(kind)),
            (Some("http"), Some(authority)) if authority.as_str().contains('@') => Err(BadUrl::User(kind)),
            (Some("http"), Some(_)) if url.query().is_some() => Err(BadUrl::Query(kind)),
            (Some("http"), Some(_)) => {
                let problem = Some("its server has not been checked yet".to_owned());
                let health = Health { reachable: None, problem, reported: None };
                Ok(Self { kind, url, health: Mutex::new(health), check: Notify::new() })
            }
            _ => Err(BadUrl::NotHttp(kind)),
        }
    }

    /// The model that it serves.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    pub(super) fn url(&self) -> &Uri {
        &self.url
    }

    /// `host:port`, for the header `Host`.
    pub(super) fn authority(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    /// The target of a request for `uri`, as this server knows it: below the path of its URL.
    pub(super) fn target(&self, uri: &Uri) -> String {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        format!("{}{target}", self.url.path().trim_end_matches('/'))
    }

    /// Whether the last attempt to connect to it failed.
    pub(super) fn is_unreachable(&self) -> bool {
        lock(&self.health).reachable == Some(false)
    }

    /// Why it serves no requests, if it does not.
    pub(super) fn problem(&self) -> Option<String> {
        lock(&self.health).problem.clone()
    }

    /// Notes that connecting failed with `error`, which is for the log.
    pub(super) fn set_unreachable(&self, error: &str) {
        let problem = Some("its server is not reachable".to_owned());
        self.set(Health { reachable: Some(false), problem, reported: None }, error);
    }

    fn set_reachable(&self, problem: Option<String>, reported: Option<ModelStatus>) {
        self.set(Health { reachable: Some(true), problem, reported }, "");
    }

    /// Logs what is new.
    fn set(&self, health: Health, error: &str) {
        let (model, url) = (self.kind.name(), &self.url);
        let problem = health.problem.clone();
        let before = std::mem::replace(&mut *lock(&self.health), health).problem;
        match problem {
            None if before.is_some() => tracing::info!(model, "the server of a model is ready"),
            Some(problem) if before.as_ref() != Some(&problem) => {
                tracing::warn!(model, %url, problem, error, "the server of a model is not ready");
            }
            _ => {}
        }
    }

    /// Notes that it responded; if that is news, its health is checked at once.
    pub(super) fn responded(&self) {
        if lock(&self.health).reachable != Some(true) {
            self.check_now();
        }
    }

    /// Has its health checked now.
    pub(super) fn check_now(&self) {
        self.check.notify_one();
    }

    /// The status of its model: as the backend reports it, or why it does not.
    pub(super) fn status(&self) -> ModelStatus {
        let Health { problem, reported, .. } = lock(&self.health).clone();
        let mut status = reported.unwrap_or_else(|| ModelStatus {
            name: self.kind.name().to_owned(),
            route: self.kind.route().to_owned(),
            state: Availability::Ready,
            version: None,
            labels: Vec::new(),
            fingerprint: None,
            problem: None,
        });
        // A model that is ready may report a problem too: a newer version that is broken.
        if problem.is_some() {
            status.state = Availability::Unavailable;
            status.problem = problem;
        }
        status
    }
}

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

    fn backend(url: &str) -> Result<Backend, BadUrl> {
        Backend::new(ModelKind::Svm, url.parse().expect("a URL"))
    }

    #[test]
    fn a_url_of_a_backend_is_http_and_nothing_else() {
        for (url, target) in [
            ("http://svm:8081", "/predict?x=1"),
            ("http://svm:8081/", "/predict?x=1"),
            ("http://[::1]:8081/models/svm/", "/models/svm/predict?x=1"),
        ] {
            assert_eq!(backend(url).expect("sound").target(&Uri::from_static("/predict?x=1")), target);
        }
        let kind = ModelKind::Svm;
        for (url, problem) in [
            ("https://svm:8081", BadUrl::Https(kind)),
            ("svm:8081", BadUrl::NotHttp(kind)),
            ("/predict", BadUrl::NotHttp(kind)),
            ("ftp://svm", BadUrl::NotHttp(kind)),
            ("http://me:secret@svm:8081", BadUrl::User(kind)),
            ("http://svm:8081/?key=secret", BadUrl::Query(kind)),
        ] {
            let error = backend(url).expect_err(url);
            assert_eq!(error, problem);
            assert!(
                error.to_string().contains("the server of svm") && !error.to_string().contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_status_of_a_model_reports_what_is_known() {
        let backend = backend("http://svm:8081").expect("sound");
        assert_eq!(backend.status().state, Availability::Unavailable);
        backend.set_unreachable("refused");
        assert_eq!(backend.status().problem.as_deref(), Some("its server is not reachable"));

        backend.set_reachable(None, None);
        assert_eq!((backend.status().state, backend.status().version), (Availability::Ready, None));
        let reported = ModelStatus {
            version: Some("v".to_owned()),
            problem: Some("a newer version is broken".to_owned()),
            ..backend.status()
        };
        backend.set_reachable(None, Some(reported.clone()));
        assert_eq!(backend.status(), reported, "as it reports it");
        backend.set_reachable(Some("no model is loaded yet".to_owned()), Some(reported));
        let status = backend.status();
        assert_eq!(status.state, Availability::Unavailable);
        assert_eq!((status.version.as_deref(), status.problem.as_deref()), (Some("v"), Some("no model is loaded yet")));
    }

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
