//! A reverse proxy: it puts a server below a prefix, notes what passes, and answers in its place where a test says so.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, Uri, header, uri::PathAndQuery},
    response::{IntoResponse as _, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// The response to a method and a path, instead of the server's.
pub type Answer = dyn Fn(&str, &str) -> Option<Response> + Send + Sync;

/// A proxy that listens until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    prefix: &'static str,
    server: SocketAddr,
    answer: Box<Answer>,
    client: Client<HttpConnector, Body>,
    /// Paths with their queries of the requests with a body, as the server sees them.
    uploads: Mutex<Vec<String>>,
}

impl Proxy {
    /// In front of `server`, which is below `prefix` (`/music`, or nothing); requests that `answer` responds to do not reach it.
    pub async fn start(
        prefix: &'static str,
        server: SocketAddr,
        answer: impl Fn(&str, &str) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (answer, uploads) = (Box::new(answer), Mutex::default());
        let shared = Arc::new(Shared { prefix, server, answer, client, uploads });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async { axum::serve(listener, routes).await.expect("it serves") });
        Self { address, shared, task }
    }

    /// Where the page is.
    pub fn origin(&self) -> String {
        format!("http://{}{}/", self.address, self.shared.prefix)
    }

    /// Paths of the requests with a body so far.
    pub fn uploads(&self) -> Vec<String> {
        self.shared.uploads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Without the prefix there is nothing, as behind a proxy with other sites.
async fn pass(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let whole = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let Some(path) = whole.strip_prefix(shared.prefix).filter(|path| path.starts_with('/')).map(str::to_owned) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if request.method() == "POST" {
        shared.uploads.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
    }
    if let Some(response) = (shared.answer)(request.method().as_str(), &path) {
        // A server that does not read a body closes the connection, which a browser takes for a failure.
        let _ = axum::body::to_bytes(std::mem::take(request.body_mut()), usize::MAX).await;
        return response;
    }
    *request.uri_mut() = Uri::builder()
        .scheme("http")
        .authority(shared.server.to_string())
        .path_and_query(path)
        .build()
        .expect("an address");
    request.headers_mut().remove(header::HOST);
    match shared.client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
