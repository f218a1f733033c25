//! [`Backend`]: the server of one model, and what is known of it.

use std::time::Duration;

use axum::http::Uri;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use crate::{
    api::models::{Availability, ModelStatus},
    cli::config::Kind,
};

/// Between two looks at a backend at least, however often something went wrong.
const BREATH: Duration = Duration::from_millis(50);

/// The server of one model.
#[derive(Debug)]
pub struct Backend {
    kind: Kind,
    url: Uri,
    /// What comes before the path of a request: that of `url`, without a slash at its end.
    prefix: String,
    health: watch::Sender<Health>,
    look: Notify,
}

/// Why a URL is not one of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUrl {
    /// TLS.
    #[error(
        "the URL of the server of {} begins with https://, which is not spoken here; give one that begins with http://, \
         of a proxy that speaks TLS if need be",
        .0.name()
    )]
    Https(Kind),
    /// Another protocol, or none.
    #[error(
        "the URL of the server of {} is to begin with http:// and to name a host, such as http://127.0.0.1:8081",
        .0.name()
    )]
    NotHttp(Kind),
    /// A secret that would be written to logs.
    #[error("the URL of the server of {} has a user or a password in it, which is not sent; take it out", .0.name())]
    User(Kind),
    /// A query.
    #[error("the URL of the server of {} has a query in it; give it without `?` and what follows", .0.name())]
    Query(Kind),
}

/// What is known of a backend.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Health {
    /// Nothing yet.
    Unknown,
    /// No connection can be had.
    Unreachable,
    /// It answers.
    Reachable {
        /// Why it takes no songs, if it does not; for a person.
        problem: Option<String>,
        /// What it says of its model on `/v1/models`.
        said: Option<ModelStatus>,
    },
}

impl Backend {
    /// The server of the model `kind` at `url`, which may have a path, for a server that is behind a proxy.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(kind: Kind, url: Uri) -> Result<Self, BadUrl> {
        match (url.scheme_str(), url.authority()) {
            (Some("https"), _) => return Err(BadUrl::Https(kind)),
            (Some("http"), Some(authority)) if authority.host().is_empty() => return Err(BadUrl::NotHttp(kind)),
            (Some("http"), Some(authority)) if authority.as_str().contains('@') => return Err(BadUrl::User(kind)),
            (Some("http"), Some(_)) if url.query().is_some() => return Err(BadUrl::Query(kind)),
            (Some("http"), Some(_)) => {}
            _ => return Err(BadUrl::NotHttp(kind)),
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { kind, url, prefix, health: watch::Sender::new(Health::Unknown), look: Notify::new() })
    }

    /// The model that it serves.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it is.
    pub(super) fn url(&self) -> &Uri {
        &self.url
    }

    /// `host:port`, for the header `Host`.
    pub(super) fn authority(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    /// The target of a request for `path_and_query`, as this server knows it.
    pub(super) fn target(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.prefix)
    }

    /// What is known of it.
    pub(super) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Whether the last try to connect to it failed.
    pub(super) fn is_unreachable(&self) -> bool {
        *self.health.borrow() == Health::Unreachable
    }

    /// Takes down that no connection could be had, for the reason `problem`, which is logged when it is news.
    pub(super) fn set_unreachable(&self, problem: &str) {
        if self.health.send_if_modified(|health| std::mem::replace(health, Health::Unreachable) != Health::Unreachable)
        {
            let model = self.kind.name();
            tracing::warn!(model, url = %self.url, problem, "the server of a model is not reachable");
        }
    }

    /// Takes down that it answered; if that is news, what else there is to know of it is asked at once.
    pub(super) fn answered(&self) {
        if !matches!(*self.health.borrow(), Health::Reachable { .. }) {
            self.look_again();
        }
    }

    /// Has it be looked at now.
    pub(super) fn look_again(&self) {
        self.look.notify_one();
    }

    /// Waits until it is time to look again: after `interval`, or as soon as something happened.
    pub(super) async fn time_to_look(&self, interval: Duration) {
        sleep(BREATH).await;
        // Whether it was woken or the time was over, it is time.
        let _ = timeout(interval, self.look.notified()).await;
    }

    /// Takes down what it answered.
    pub(super) fn set_reachable(&self, problem: Option<String>, said: Option<ModelStatus>) {
        let health = Health::Reachable { problem, said };
        let problem = health.problem();
        let before = self.health.send_replace(health);
        let model = self.kind.name();
        match (before.is_ready(), problem) {
            (false, None) => tracing::info!(model, "the server of a model is ready"),
            (_, Some(problem)) if before.problem().as_ref() != Some(&problem) => {
                tracing::warn!(model, problem, "the server of a model is not ready");
            }
            _ => {}
        }
    }

    /// What there is to say of its model: the backend's own words, or, where there are none, why not.
    pub(super) fn status(&self) -> ModelStatus {
        let health = self.health();
        let problem = health.problem();
        let mut status = match health {
            Health::Reachable { said: Some(said), .. } => said,
            _ => ModelStatus {
                name: self.kind.name().to_owned(),
                route: self.kind.route().to_owned(),
                state: Availability::Ready,
                version: None,
                labels: Vec::new(),
                fingerprint: None,
                problem: None,
            },
        };
        // One that is ready may have a problem too: a newer version that is broken.
        if problem.is_some() {
            status.state = Availability::Unavailable;
            status.problem = problem;
        }
        status
    }
}

impl Health {
    /// Whether it takes songs.
    pub(super) fn is_ready(&self) -> bool {
        self.problem().is_none()
    }

    /// Why it does not, in plain words that name no host.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Unknown => Some("its server has not been asked yet".to_owned()),
            Self::Unreachable => Some("its server is not reachable".to_owned()),
            Self::Reachable { problem, .. } => problem.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(url: &str) -> Result<Backend, BadUrl> {
        Backend::new(Kind::Svm, url.parse().expect("a URL"))
    }

    #[test]
    fn a_url_of_a_backend_is_http_and_nothing_else() {
        for (url, target) in [
            ("http://svm:8081", "/predict?x=1"),
            ("http://svm:8081/", "/predict?x=1"),
            ("http://[::1]:8081/models/svm/", "/models/svm/predict?x=1"),
        ] {
            assert_eq!(backend(url).expect("sound").target("/predict?x=1"), target);
        }
        let kind = Kind::Svm;
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
    fn the_status_of_a_model_says_what_is_known() {
        let backend = backend("http://svm:8081").expect("sound");
        assert_eq!(backend.status().state, Availability::Unavailable);
        backend.set_unreachable("refused");
        assert_eq!(backend.status().problem.as_deref(), Some("its server is not reachable"));

        backend.set_reachable(None, None);
        assert_eq!((backend.status().state, backend.status().version), (Availability::Ready, None));
        let said = ModelStatus {
            version: Some("v".to_owned()),
            problem: Some("a newer version is broken".to_owned()),
            ..backend.status()
        };
        backend.set_reachable(None, Some(said.clone()));
        assert_eq!(backend.status(), said, "in its own words");
        backend.set_reachable(Some("no model is loaded yet".to_owned()), Some(said));
        let status = backend.status();
        assert_eq!(status.state, Availability::Unavailable);
        assert_eq!((status.version.as_deref(), status.problem.as_deref()), (Some("v"), Some("no model is loaded yet")));
    }
}
