//! The gateway between real clients and real backends, over TCP.

mod bodies;
mod client;
mod failures;
mod routes;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Request,
    http::{StatusCode, header},
    routing::{any, get, post},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
    time::sleep,
};

use super::{Backend, Gateway, GatewaySettings, router};
use crate::{Limits, config::ModelKind};
use client::Client;

/// Long enough for this machine when it is busy, and never waited for when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time-outs that are never waited for, and looks that are.
const PATIENT: GatewaySettings = GatewaySettings {
    connect_timeout: PATIENCE,
    connect_attempts: 2,
    response_timeout: PATIENCE.saturating_mul(2),
    idle_timeout: PATIENCE.saturating_mul(2),
    health_interval: Duration::from_millis(50),
};

/// A server that ends when this is dropped.
struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    fn start(router: Router) -> Self {
        Self::start_on(Port::take(), router)
    }

    fn start_on(port: Port, router: Router) -> Self {
        let listener = port.listen();
        let address = listener.local_addr().expect("is bound");
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { address, task }
    }

    /// One that does with each connection what `handle` does.
    fn raw<F: Future<Output = ()> + Send + 'static>(handle: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self {
        let listener = Port::take().listen();
        let address = listener.local_addr().expect("is bound");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(handle(stream));
            }
        });
        Self { address, task }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port on which no server listens yet, and no other may.
struct Port(TcpSocket);

impl Port {
    fn take() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        Self(socket)
    }

    fn number(&self) -> u16 {
        self.0.local_addr().expect("is bound").port()
    }

    fn listen(self) -> TcpListener {
        self.0.listen(128).expect("listens")
    }
}

/// The number of a port on which no server will ever listen.
fn dead_port() -> u16 {
    let port = Port::take();
    let number = port.number();
    // Kept until the process ends, so that no other test gets it.
    std::mem::forget(port);
    number
}

/// A gateway in front of a server of the SVM and one of VGG19.
struct Setup {
    server: Server,
    watch: Option<JoinHandle<()>>,
}

impl Setup {
    fn new(svm: u16, vgg: u16, settings: GatewaySettings) -> Self {
        let (gateway, mut setup) = Self::unwatched(svm, vgg, settings);
        setup.watch = Some(tokio::spawn(gateway.watch()));
        setup
    }

    /// One that knows of its backends what requests tell.
    fn unwatched(svm: u16, vgg: u16, settings: GatewaySettings) -> (Arc<Gateway>, Self) {
        let backend = |kind, port| {
            let url = format!("http://127.0.0.1:{port}").parse().expect("a URL");
            Backend::new(kind, url).expect("sound")
        };
        let gateway = Gateway::new(
            vec![backend(ModelKind::Svm, svm), backend(ModelKind::Vgg19, vgg)],
            settings,
            Limits::default(),
        );
        let server = Server::start(router(Arc::clone(&gateway)));
        (gateway, Self { server, watch: None })
    }

    async fn client(&self) -> Client {
        Client::connect(self.server.address).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.client().await.get(path).await
    }

    /// Waits until `/v1/models` says that `model` is in `state`.
    async fn until(&self, model: ModelKind, state: &str) {
        let wait = async {
            loop {
                let (_, said) = self.get("/v1/models").await;
                let models = said["models"].as_array().expect("a list").clone();
                if models.iter().any(|entry| entry["name"] == model.name() && entry["state"] == state) {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} is never {state}", model.name()));
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// What every server of a model has, beside `routes`.
fn model_server(kind: ModelKind, routes: Router) -> Router {
    let entry = json!({"models": [{
        "name": kind.name(), "route": kind.route(), "state": "ready", "version": format!("version-of-{}", kind.name()),
        "labels": ["blues", "jazz"], "fingerprint": "f", "problem": null,
    }]});
    let who = move |request: Request| async move {
        let target = request.uri().to_string();
        Json(json!({"by": kind.name(), "method": request.method().as_str(), "target": target}))
    };
    routes.route("/v1/models", get(async move || Json(entry))).fallback(any(who))
}

/// A server of a model with one route of its own.
fn server(kind: ModelKind, route: &str, handler: axum::routing::MethodRouter) -> Server {
    Server::start(model_server(kind, Router::new().route(route, handler)))
}

/// A server of a model that answers what was asked of it.
fn plain(kind: ModelKind) -> Server {
    Server::start(model_server(kind, Router::new()))
}
