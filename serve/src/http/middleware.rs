//! What happens to every request: an id, a log line, a count, a check of its key.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument as _;

use super::admission;
use crate::{
    App, Rejection,
    rejection::ProblemKind,
    telemetry::{self, Metrics},
};

/// The header that says whether a response was cached: `hit` or `miss`.
pub(crate) const CACHE: HeaderName = HeaderName::from_static("tonearm-cache");

/// Names a request in the log, in its response, and at the servers that it is forwarded to.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that is taken over from a client, at most.
const MAX_ID: usize = 64;

/// Routes without a key: those of load balancers, and the page, which holds no data.
pub(crate) const OPEN: [&str; 6] = ["/", "/page/{file}", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"];

/// Gives a request its id, counts it, and logs one line: method, route and status, and nothing of the client or the body.
pub(crate) async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = telemetry::request_span(request.method(), route.as_ref().map(MatchedPath::as_str), request.headers());
    let mut line = Line {
        metrics: Arc::clone(app.engine().metrics()),
        id: id.clone(),
        method: request.method().clone(),
        route,
        start: Instant::now(),
        response: None,
    };
    let mut response = next.run(request).instrument(span.clone()).await;
    telemetry::answered(&span, response.status());
    line.response = Some((response.status(), response.extensions().get().copied()));
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The client's own, if it is short and plain; else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let given =
        headers.get(REQUEST_ID).filter(|id| (1..=MAX_ID).contains(&id.len()) && id.as_bytes().iter().all(is_plain));
    given.cloned().unwrap_or_else(|| {
        let mut bytes = [0; 8];
        // Without randomness ids repeat, which harms the log alone.
        let _ = getrandom::fill(&mut bytes);
        HeaderValue::from_str(&format!("{:016x}", u64::from_be_bytes(bytes))).unwrap_or(HeaderValue::from_static("-"))
    })
}

/// Written when it is dropped, so that a client that goes away leaves a line too.
struct Line {
    metrics: Arc<Metrics>,
    id: HeaderValue,
    method: Method,
    route: Option<MatchedPath>,
    start: Instant,
    response: Option<(StatusCode, Option<&'static ProblemKind>)>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let route = self.route.as_ref().map_or("-", MatchedPath::as_str);
        let took = self.start.elapsed();
        let (ms, id) = (took.as_millis() as u64, self.id.to_str().unwrap_or("-"));
        let method = self.method.as_str();
        let Some((status, kind)) = self.response else {
            self.metrics.answered(route, method, 499, "client-gone", took);
            tracing::info!(id, method, route, ms, "client gone");
            return;
        };
        let problem = kind.map(|kind| kind.uri.trim_start_matches("/problems/"));
        self.metrics.answered(route, method, status.as_u16(), problem.unwrap_or_default(), took);
        tracing::info!(id, method, route, status = status.as_u16(), ms, problem, "answered");
    }
}

/// Refuses a request without a valid key, where one is required, and one whose path is not UTF-8.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let rejection = if !is_text(request.uri().path()) {
        Some(Rejection::NotFound)
    } else {
        app.keys().filter(|keys| !is_open(&request) && !keys.admits(request.headers())).map(|_| Rejection::Unauthorized)
    };
    if let Some(rejection) = rejection {
        return admission::refuse(&app, request, rejection).await.into_response();
    }
    next.run(request).await
}

fn is_open(request: &Request) -> bool {
    request.extensions().get::<MatchedPath>().is_some_and(|route| OPEN.contains(&route.as_str()))
}

/// Whether a path is UTF-8 once its `%xx` are bytes; every route is.
fn is_text(path: &str) -> bool {
    percent_encoding::percent_decode_str(path).decode_utf8().is_ok()
}

/// What pages of other origins may do: nothing unless configured.
pub(crate) fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    let layer = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            HeaderName::from_static("x-api-key"),
            REQUEST_ID,
            admission::VERSION,
        ])
        .expose_headers([REQUEST_ID, CACHE, header::RETRY_AFTER]);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_text() {
        for good in ["/", "/v1/models/svm", "/v1/models/%C3%A9", "/%", "/%4", "/%zz", "/100%25"] {
            assert!(is_text(good), "{good}");
        }
        for bad in ["/v1/models/%FF", "/%C3", "/%e9t%e9"] {
            assert!(!is_text(bad), "{bad}");
        }
    }

    #[test]
    fn an_id_is_taken_over_if_it_is_short_and_plain() {
        let id = |given: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_static(given));
            request_id(&headers)
        };
        assert_eq!(id("a-1_b.C"), "a-1_b.C");
        for bad in ["", "a b", "a\tb", "\"x\"", &"x".repeat(65) as &str] {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(bad).expect("a value"));
            let made = request_id(&headers);
            assert_eq!(made.len(), 16, "{bad}");
            assert_ne!(made, request_id(&headers), "{bad}");
        }
    }
}
