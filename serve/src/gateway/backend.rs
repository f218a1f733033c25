//! [`Backend`]: a model server, and what is known of its health.

use std::sync::Mutex;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use tokio::sync::Notify;

use crate::{
    config::ModelKind,
    engine::{
        pool::lock,
        slot::{Availability, ModelStatus},
    },
};

/// The server of the models of one kind.
#[derive(Debug)]
pub struct Backend {
    kind: ModelKind,
    url: Uri,
    /// The key that its health is asked with.
    key: Option<HeaderValue>,
    health: Mutex<Health>,
    pub(super) check: Notify,
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
    /// What it last reported of its models on `/v1/models`; nothing before it did.
    reported: Vec<ModelStatus>,
}

impl Backend {
    /// The server of the models of `kind` at `url`, which may have a path, for a server behind a proxy.
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
                let health = Health { reachable: None, problem, reported: Vec::new() };
                Ok(Self { kind, url, key: None, health: Mutex::new(health), check: Notify::new() })
            }
            _ => Err(BadUrl::NotHttp(kind)),
        }
    }

    /// The same, asked for its models with `key`, a value of `Authorization`. Requests of clients keep their own.
    #[must_use]
    pub fn with_key(self, key: Option<HeaderValue>) -> Self {
        Self { key, ..self }
    }

    /// The headers that it is asked for its models with.
    pub(super) fn credentials(&self) -> HeaderMap {
        self.key.iter().map(|key| (header::AUTHORIZATION, key.clone())).collect()
    }

    /// The kind of the models that it serves.
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

    /// Notes that connecting failed with `error`, which is for the log. Which models it had is remembered, so that requests for
    /// them are not answered as if there were no such models.
    pub(super) fn set_unreachable(&self, error: &str) {
        let problem = Some("its server is not reachable".to_owned());
        let reported = lock(&self.health).reported.clone();
        self.set(Health { reachable: Some(false), problem, reported }, error);
    }

    pub(super) fn set_reachable(&self, problem: Option<String>, reported: Vec<ModelStatus>) {
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

    /// Whether it reported a model of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        lock(&self.health).reported.iter().any(|model| model.name == name)
    }

    /// The status of its models: as the backend reports them, or why it does not.
    pub(super) fn statuses(&self) -> Vec<ModelStatus> {
        let Health { reachable, problem, mut reported } = lock(&self.health).clone();
        if reported.is_empty() {
            let mut unknown = ModelStatus::waiting(&self.kind.into(), Some(self.kind), None);
            (unknown.state, unknown.ready) = (Availability::Ready, true);
            reported.push(unknown);
        }
        // A model that is ready may report a problem too: a newer version that is broken.
        if problem.is_some() {
            for model in &mut reported {
                let has_its_own = reachable == Some(true) && model.state == Availability::Unavailable;
                if !has_its_own || model.problem.is_none() {
                    model.problem.clone_from(&problem);
                }
                (model.state, model.ready) = (Availability::Unavailable, false);
            }
        }
        reported
    }
}

#[cfg(test)]
mod tests {
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
        let first = || backend.statuses().swap_remove(0);
        assert_eq!(first().state, Availability::Unavailable);
        backend.set_unreachable("refused");
        assert_eq!(first().problem.as_deref(), Some("its server is not reachable"));

        backend.set_reachable(None, Vec::new());
        assert_eq!((first().state, first().version), (Availability::Ready, None));
        let reported = ModelStatus {
            version: Some("v".to_owned()),
            problem: Some("a newer version is broken".to_owned()),
            ..first()
        };
        backend.set_reachable(None, vec![reported.clone()]);
        assert_eq!(first(), reported, "as it reports it");
        backend.set_reachable(Some("no model is loaded yet".to_owned()), vec![reported]);
        let status = first();
        assert_eq!((status.state, status.ready), (Availability::Unavailable, false));
        assert_eq!((status.version.as_deref(), status.problem.as_deref()), (Some("v"), Some("no model is loaded yet")));
    }

    #[test]
    fn the_models_of_a_server_that_is_down_are_remembered() {
        let backend = backend("http://svm:8081").expect("sound");
        let waiting = |name: &str, problem: &str| {
            ModelStatus::waiting(&name.parse().expect("a name"), Some(ModelKind::Svm), Some(problem.to_owned()))
        };
        let ready = ModelStatus { state: Availability::Ready, ready: true, problem: None, ..waiting("dances", "") };
        backend.set_reachable(None, vec![ready.clone(), waiting("salsa", "is damaged")]);
        assert_eq!(backend.statuses(), [ready, waiting("salsa", "is damaged")]);
        assert!(backend.has("dances") && !backend.has("svm"));
        backend.set_unreachable("refused");
        assert!(backend.has("dances"));
        for status in backend.statuses() {
            assert!(!status.ready && status.problem.as_deref() == Some("its server is not reachable"), "{status:?}");
        }
    }
}
