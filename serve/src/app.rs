//! [`App`]: what the requests of one process share.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::http::{HeaderValue, Uri};

use crate::{
    Error, Limits, Result, Role,
    config::{Access, Compute, Config, ModelKind, Upstream},
    engine::{Engine, slot::Source},
    gateway::{Backend, Gateway, GatewaySettings},
    http::keys::{self, ApiKeys},
};

/// What the requests of one process share.
#[derive(Debug)]
pub struct App {
    role: Role,
    limits: Limits,
    engine: Arc<Engine>,
    keys: Option<ApiKeys>,
    access: Access,
    gateway: Option<Arc<Gateway>>,
    stopping: AtomicBool,
}

impl App {
    /// Starts the [`Engine`] of a role.
    ///
    /// # Errors
    /// Those of [`Engine::new`].
    pub fn new(role: Role, limits: Limits, compute: &Compute, source: Option<&Source>) -> Result<Self> {
        Ok(Self {
            role,
            limits,
            engine: Arc::new(Engine::new(role.kinds(), &limits, compute, source)?),
            keys: None,
            access: Access::default(),
            gateway: None,
            stopping: AtomicBool::new(false),
        })
    }

    /// [`App::new`], with the keys that `config` names, and the gateway of the role `web`.
    ///
    /// # Errors
    /// Those of [`App::new`]; [`Error::Usage`] for keys that cannot be read; [`Error::Upstream`].
    pub fn of(config: &Config, source: Option<&Source>) -> Result<Self> {
        let mut app = Self::new(config.role, config.limits, &config.compute, source)?;
        let mut key = None;
        if let Some(path) = &config.access.api_keys {
            let refuse = |problem: String| Error::Usage(format!("--api-key-file {}: {problem}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
            app.keys = Some(ApiKeys::parse(&text).map_err(|error| refuse(error.to_string()))?);
            key = keys::authorization(&text);
        }
        app.access = config.access.clone();
        app.gateway = config.upstream.as_ref().map(|upstream| connect(upstream, config.limits, key)).transpose()?;
        Ok(app)
    }

    /// What this process does.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Limits of requests.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Models, workers, caches, metrics.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The keys, if a request needs one.
    pub(crate) fn keys(&self) -> Option<&ApiKeys> {
        self.keys.as_ref()
    }

    /// Which pages of other origins may send requests.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The gateway of the role `web`.
    pub(crate) fn gateway(&self) -> Option<&Arc<Gateway>> {
        self.gateway.as_ref()
    }

    /// Has `/readyz` answer that this process is stopping; requests are still answered.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether [`stop`](Self::stop) was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// The gateway to the servers of the models, which asks them for their models with `key`.
fn connect(upstream: &Upstream, limits: Limits, key: Option<HeaderValue>) -> Result<Arc<Gateway>> {
    let backend = |kind: ModelKind, url: &Uri| {
        Backend::new(kind, url.clone())
            .map(|backend| backend.with_key(key.clone()))
            .map_err(|error| Error::Upstream(format!("--{}-url: {error}", kind.role().name())))
    };
    let settings = GatewaySettings {
        connect_timeout: upstream.connect_timeout,
        response_timeout: upstream.response_timeout,
        ..GatewaySettings::default()
    };
    let backends = vec![backend(ModelKind::Svm, &upstream.svm)?, backend(ModelKind::Vgg19, &upstream.vgg)?];
    Ok(Gateway::new(backends, settings, limits))
}
