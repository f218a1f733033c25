//! [`App`]: what requests share.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use features::{Extractor, FeatureSpec};

use crate::{
    Error, Limits, Rejection, Result, Role,
    cli::config::{Access, Compute, Config, Kind},
    engine::{
        batcher::Batcher,
        cache::ResponseCache,
        pool::{Permit, Pool, PoolError},
        slot::{ModelSlot, Source},
    },
    gateway::Gateway,
    http::{budget::Budget, keys::ApiKeys, metrics::Metrics},
};

/// What the requests of one process share.
#[derive(Debug)]
pub struct App {
    role: Role,
    limits: Limits,
    threads: usize,
    hosts: Vec<ModelSlot>,
    pool: Pool,
    batcher: Batcher,
    budget: Arc<Budget>,
    answers: Arc<ResponseCache>,
    metrics: Arc<Metrics>,
    keys: Option<ApiKeys>,
    access: Access,
    gateway: Option<Arc<Gateway>>,
    /// Computes what `/features` gives; made when it is first asked for.
    extractors: [OnceLock<Extractor>; 2],
    stopping: AtomicBool,
}

impl App {
    /// Starts the workers. There are no models until they are [`put`](ModelSlot::put), or come from `source`.
    ///
    /// # Errors
    /// [`Error::System`] when there are no threads to be had.
    pub fn new(role: Role, limits: Limits, compute: &Compute, source: Option<&Source>) -> Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let system = |what| move |source| Error::System { what, source };
        // A role without models computes nothing, and needs no more than one idle worker.
        let threads = if role.kinds().is_empty() { 1 } else { compute.threads };
        let hosts =
            role.kinds().iter().map(|&kind| ModelSlot::new(kind, source.cloned(), Arc::clone(&metrics))).collect();
        Ok(Self {
            role,
            limits,
            threads,
            hosts,
            pool: Pool::new(threads, compute.queue, Arc::clone(&metrics)).map_err(system("the workers"))?,
            batcher: Batcher::new(compute.max_batch, compute.batch_delay, Arc::clone(&metrics))
                .map_err(system("the thread of the network"))?,
            budget: Arc::new(Budget::new(limits.max_held_bytes)),
            answers: Arc::new(ResponseCache::new(compute.cache_bytes)),
            metrics,
            keys: None,
            access: Access::default(),
            gateway: None,
            extractors: [const { OnceLock::new() }; 2],
            stopping: AtomicBool::new(false),
        })
    }

    /// The same as the program was asked for: with the keys that it names, and what `web` forwards to.
    ///
    /// # Errors
    /// Those of [`App::new`]; [`Error::Usage`] for keys that cannot be read; [`Error::Upstream`].
    pub fn of(config: &Config, source: Option<&Source>) -> Result<Self> {
        let mut app = Self::new(config.role, config.limits, &config.compute, source)?;
        if let Some(path) = &config.access.api_keys {
            let refuse = |problem: String| Error::Usage(format!("--api-key-file {}: {problem}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
            app.keys = Some(ApiKeys::parse(&text).map_err(|error| refuse(error.to_string()))?);
        }
        app.access = config.access.clone();
        if let Some(upstream) = &config.upstream {
            app.gateway = Some(upstream.connect()?);
        }
        Ok(app)
    }

    /// What this process does.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What one request may ask for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Songs of one request that are computed at once.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Every model of this process.
    #[must_use]
    pub fn hosts(&self) -> &[ModelSlot] {
        &self.hosts
    }

    /// Where a model sits, if this process computes it.
    #[must_use]
    pub fn host(&self, kind: Kind) -> Option<&ModelSlot> {
        self.hosts.iter().find(|host| host.kind() == kind)
    }

    /// Where the model of that name sits.
    ///
    /// # Errors
    /// [`Rejection::UnknownModel`].
    pub(crate) fn host_named(&self, name: &str) -> Result<&ModelSlot, Rejection> {
        Kind::named(name).and_then(|kind| self.host(kind)).ok_or(Rejection::UnknownModel)
    }

    /// The workers.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What songs of several requests go through a network by.
    pub(crate) fn batcher(&self) -> &Batcher {
        &self.batcher
    }

    /// The memory that bodies may take.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Answers of before.
    pub(crate) fn answers(&self) -> &Arc<ResponseCache> {
        &self.answers
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The keys, if a request needs one.
    pub(crate) fn keys(&self) -> Option<&ApiKeys> {
        self.keys.as_ref()
    }

    /// Which pages elsewhere may ask.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// What `web` forwards by.
    pub(crate) fn gateway(&self) -> Option<&Arc<Gateway>> {
        self.gateway.as_ref()
    }

    /// Computes features in the manner of librosa: with all its descriptors, or the log-mel alone.
    ///
    /// # Errors
    /// [`Rejection::Internal`], which a preset does not give.
    pub(crate) fn extractor(&self, with_descriptors: bool) -> Result<&Extractor, Rejection> {
        let cell = &self.extractors[usize::from(with_descriptors)];
        if let Some(extractor) = cell.get() {
            return Ok(extractor);
        }
        let whole = FeatureSpec::librosa();
        let extractor = Extractor::new(if with_descriptors { whole } else { whole.log_mel_alone() })?;
        Ok(cell.get_or_init(|| extractor))
    }

    /// Takes a place among the workers.
    ///
    /// # Errors
    /// [`Rejection::Busy`], [`Rejection::NotReady`].
    pub(crate) fn enter(&self) -> Result<Permit, Rejection> {
        self.pool.enter().map_err(|error| if error == PoolError::Full { self.busy() } else { error.into() })
    }

    /// Whether a place could be had now.
    ///
    /// # Errors
    /// [`Rejection::Busy`].
    pub(crate) fn has_room(&self) -> Result<(), Rejection> {
        if self.pool.is_full() { Err(self.busy()) } else { Ok(()) }
    }

    /// There may be a place when those who are inside are through.
    fn busy(&self) -> Rejection {
        let stay = self.pool.stay().as_secs_f64().ceil();
        Rejection::Busy { retry_after: stay.clamp(1.0, 60.0) as u64 }
    }

    /// Says on `/readyz` that this process takes no more; requests under way, and those that still come, are answered.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether [`stop`](Self::stop) was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Finishes the work that was taken; for the end of the process.
    pub fn finish(&self) {
        self.pool.finish();
        self.batcher.finish();
    }
}
