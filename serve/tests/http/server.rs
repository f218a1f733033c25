//! The server on port 0, as a test wants it.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use serve::{
    App, Limits, Model, Timeouts,
    config::{Compute, ModelKind},
    engine::slot::ModelSlot,
};
use tokio::sync::oneshot;

use crate::{
    client::{self, Response},
    model,
};

/// The router as it is served, over real TCP, on threads of its own. Stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: Arc<App>,
    kind: ModelKind,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a test may want to be otherwise.
pub(crate) struct Options {
    pub(crate) kind: ModelKind,
    pub(crate) model: Option<Arc<Model>>,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) threads: usize,
    pub(crate) queue: usize,
    pub(crate) cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self::of(ModelKind::Svm)
    }
}

impl Options {
    /// That model alone, and limits that a test reaches soon.
    pub(crate) fn of(kind: ModelKind) -> Self {
        Self {
            kind,
            model: Some(model::of(kind)),
            limits: Limits {
                max_body_bytes: 4 << 20,
                max_seconds: 20.0,
                body_silence: Duration::from_secs(10),
                body_deadline: Duration::from_secs(20),
                ..Limits::default()
            },
            timeouts: Timeouts { head: Duration::from_secs(10), grace: Duration::from_secs(20) },
            threads: 2,
            queue: 64,
            cache_bytes: 0,
        }
    }
}

impl Server {
    pub(crate) fn start(options: Options) -> Self {
        let kind = options.kind;
        let compute = Compute {
            threads: options.threads,
            queue: options.queue,
            cache_bytes: options.cache_bytes,
            ..Compute::default()
        };
        let app = Arc::new(App::new(kind.role(), options.limits, &compute, None).expect("threads"));
        if let Some(model) = options.model {
            app.engine().slot(kind).expect("is served").put(model);
        }
        Self::run(app, kind, options.timeouts)
    }

    /// An app of another making.
    pub(crate) fn of(app: App) -> Self {
        let kind = app.engine().slots().first().and_then(|slot| slot.kind()).unwrap_or(ModelKind::Svm);
        Self::run(Arc::new(app), kind, Options::default().timeouts)
    }

    fn run(app: Arc<App>, kind: ModelKind, timeouts: Timeouts) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, address) = mpsc::channel();
        let thread = thread::spawn({
            let app = Arc::clone(&app);
            move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                runtime.expect("a runtime").block_on(async {
                    let listener = serve::http::server::bind("127.0.0.1:0").await.expect("a free port");
                    tell.send(listener.local_addr().expect("an address")).expect("is awaited");
                    let stop = async {
                        let _ = stopped.await;
                        app.stop();
                    };
                    let router = serve::router(Arc::clone(&app));
                    serve::http::server::serve(listener, router, timeouts, app.engine().metrics(), stop).await;
                });
                app.engine().finish();
            }
        });
        Self { address: address.recv().expect("listens"), app, kind, stop: Some(stop), thread: Some(thread) }
    }

    /// Sends that request, which was made for `/predict`, to the route of the model.
    #[track_caller]
    pub(crate) fn send(&self, request: &[u8]) -> Response {
        client::send(self.address, &client::to(self.kind, request))
    }

    /// The slot of the model.
    pub(crate) fn slot(&self) -> Arc<ModelSlot> {
        self.app.engine().slot(self.kind).expect("is served")
    }

    /// What SIGTERM does.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until everything that was taken is finished.
    pub(crate) fn join(mut self) {
        self.stop();
        self.thread.take().expect("runs").join().expect("ends without a panic");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
