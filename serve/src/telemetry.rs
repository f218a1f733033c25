//! What a process reports: [`Metrics`] for Prometheus, a log on standard error, and traces for a collector of OpenTelemetry.
//!
//! No series has a label that a client chooses, so that the number of series is bounded.

use std::{env, fmt, io, io::IsTerminal as _, time::Duration};

use axum::http::{HeaderMap, Method, StatusCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tracing::{Span, field::Empty};
use tracing_subscriber::{
    Layer as _, Registry as LogRegistry, filter::Targets, fmt as log, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    Error, Result,
    config::{LogFormat, TelemetryConfig},
};

/// Media type of `/metrics`.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Buckets of the histograms of time, in seconds: from a cached response to a long clip on a slow machine.
const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Buckets of the histogram of batch sizes.
const BATCH_SIZES: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    method: String,
    status: u16,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    model: String,
    version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLoad {
    model: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLookup {
    outcome: &'static str,
}

type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// Counters, gauges and histograms of one process.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    request_seconds: Times<Route>,
    /// How long jobs wait for a worker.
    pub(crate) queue_wait: Histogram,
    /// How long decoding takes.
    pub(crate) decode: Histogram,
    /// How long features take.
    pub(crate) features: Histogram,
    inference_seconds: Times<Model>,
    /// How long a clip waits for its batch.
    pub(crate) batch_wait: Histogram,
    /// How many clips a batch has.
    pub(crate) batch_size: Histogram,
    in_use: Family<Version, Gauge>,
    loads: Family<ModelLoad, Counter>,
    cache_lookups: Family<CacheLookup, Counter>,
    /// Requests that hold a permit.
    pub(crate) requests_in_flight: Gauge,
    /// Jobs that wait for a worker.
    pub(crate) queue_depth: Gauge,
    /// Bytes of uploads in memory.
    pub(crate) held_bytes: Gauge,
    /// Bytes of cached responses.
    pub(crate) cache_bytes: Gauge,
    /// Open connections.
    pub(crate) connections: Gauge,
}

fn times() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    /// All of them, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tonearm"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(times),
            queue_wait: times(),
            decode: times(),
            features: times(),
            inference_seconds: Family::new_with_constructor(times),
            batch_wait: times(),
            batch_size: Histogram::new(BATCH_SIZES),
            in_use: Family::default(),
            loads: Family::default(),
            cache_lookups: Family::default(),
            requests_in_flight: Gauge::default(),
            queue_depth: Gauge::default(),
            held_bytes: Gauge::default(),
            cache_bytes: Gauge::default(),
            connections: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self { registry: r, .. } = self;
        r.register("requests", "Requests by route, method, status and kind of problem", self.requests.clone());
        r.register(
            "request_seconds",
            "From the head of a request to the head of its response",
            self.request_seconds.clone(),
        );
        r.register("queue_seconds", "How long jobs wait for a worker", self.queue_wait.clone());
        r.register("decode_seconds", "Decoding of a clip", self.decode.clone());
        r.register("feature_seconds", "Feature extraction of a clip", self.features.clone());
        r.register("inference_seconds", "Inference of a clip, or of a batch", self.inference_seconds.clone());
        r.register("batch_wait_seconds", "How long clips wait for their batch", self.batch_wait.clone());
        r.register("batch_size", "Clips of a batch", self.batch_size.clone());
        r.register("model_in_use", "1 for the version of each model that is in use", self.in_use.clone());
        r.register("model_loads", "Artifacts that were loaded, and those that failed to", self.loads.clone());
        r.register("response_cache", "Predictions by whether their response was cached", self.cache_lookups.clone());
        r.register(
            "requests_in_flight",
            "Requests that hold a permit: computed or waiting",
            self.requests_in_flight.clone(),
        );
        r.register("queue_depth", "Jobs that wait for a worker", self.queue_depth.clone());
        r.register("held_bytes", "Uploads in memory, in bytes", self.held_bytes.clone());
        r.register("response_cache_bytes", "Cached responses, in bytes", self.cache_bytes.clone());
        r.register("connections", "Open connections", self.connections.clone());
    }

    /// Counts a response. `reason` is the kind of problem, empty for none.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, reason: &str, took: Duration) {
        // Methods are the client's to choose.
        let method = if matches!(method, "GET" | "POST" | "HEAD" | "OPTIONS") { method } else { "other" };
        let (route, method, reason) = (route.to_owned(), method.to_owned(), reason.to_owned());
        self.request_seconds.get_or_create(&Route { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { route, method, status, reason }).inc();
    }

    /// Observes the time of an inference of a model that is served.
    pub(crate) fn inference(&self, model: &str, took: Duration) {
        // Not of one that was retired meanwhile, whose series would stay for ever.
        if let Some(seconds) = self.inference_seconds.get(&Model { model: model.to_owned() }) {
            seconds.observe(took.as_secs_f64());
        }
    }

    /// Sets the version of a model that is in use from now on.
    pub(crate) fn serves(&self, model: &str, version: &str, before: Option<&str>) {
        let series = |version: &str| Version { model: model.to_owned(), version: version.to_owned() };
        drop(self.inference_seconds.get_or_create(&Model { model: model.to_owned() }));
        self.loads.get_or_create(&ModelLoad { model: model.to_owned(), outcome: "loaded" }).inc();
        if let Some(before) = before {
            self.in_use.remove(&series(before));
        }
        self.in_use.get_or_create(&series(version)).set(1);
    }

    /// Forgets a model that is served no more; `version` was in use.
    pub(crate) fn retired(&self, model: &str, version: Option<&str>) {
        let name = || model.to_owned();
        if let Some(version) = version {
            self.in_use.remove(&Version { model: name(), version: version.to_owned() });
        }
        self.inference_seconds.remove(&Model { model: name() });
        for outcome in ["loaded", "refused"] {
            self.loads.remove(&ModelLoad { model: name(), outcome });
        }
    }

    /// Counts an artifact that failed to load.
    pub(crate) fn refused(&self, model: &str) {
        self.loads.get_or_create(&ModelLoad { model: model.to_owned(), outcome: "refused" }).inc();
    }

    /// Counts a lookup in the cache of responses.
    pub(crate) fn looked_up(&self, found: bool) {
        self.cache_lookups.get_or_create(&CacheLookup { outcome: if found { "hit" } else { "miss" } }).inc();
    }

    /// Everything, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// [`fmt::Error`], which writing to a `String` does not give.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Target of the spans: a collector gets them, and the log does not.
const TRACE: &str = "serve::trace";

/// Starts the log on standard error, at the levels of `RUST_LOG` (`info` without it), and the traces if they are configured.
/// The last traces are sent when the guard is dropped.
///
/// # Errors
/// [`Error::Usage`] for invalid levels, an invalid address of the collector, or one that this build has no traces for.
pub(crate) fn init(config: &TelemetryConfig) -> Result<otlp::Guard> {
    let levels = env::var("RUST_LOG").ok().filter(|levels| !levels.is_empty()).unwrap_or_else(|| "info".to_owned());
    let levels: Targets = levels
        .parse()
        .map_err(|error| Error::Usage(format!("RUST_LOG is `{levels}`, not a list of levels: {error}")))?;
    let levels = levels.with_target(TRACE, tracing::level_filters::LevelFilter::OFF);
    let lines =
        log::layer::<LogRegistry>().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false);
    let lines = match config.log {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let guard = config.otlp_endpoint.as_deref().map(otlp::Guard::new).transpose()?.unwrap_or_default();
    tracing_subscriber::registry().with(lines.with_filter(levels)).with(guard.layer()).init();
    Ok(guard)
}

/// The span of a request, below that of the client, if its headers name one. It costs nothing where no traces are sent.
pub(crate) fn request_span(method: &Method, route: Option<&str>, headers: &HeaderMap) -> Span {
    let route = route.unwrap_or("-");
    let span = tracing::info_span!(
        target: TRACE, "request",
        otel.name = %format_args!("{method} {route}"), otel.kind = "server", otel.status_code = Empty,
        http.request.method = %method, http.route = route, http.response.status_code = Empty,
    );
    if !span.is_disabled() {
        otlp::set_parent(&span, headers);
    }
    span
}

/// Records the status of a response.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of a step of a prediction.
pub(crate) fn step(name: &'static str) -> Span {
    tracing::info_span!(target: TRACE, "step", otel.name = name)
}

/// Traces by OTLP over HTTP, where the feature `otlp` is on.
#[cfg(feature = "otlp")]
mod otlp {
    use axum::http::HeaderMap;
    use opentelemetry::{
        propagation::{Extractor, TextMapPropagator as _},
        trace::TracerProvider as _,
    };
    use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
    use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
    use tracing::{Level, Span, Subscriber};
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

    use crate::{Error, Result};

    /// Sends spans in batches, from a thread of its own, and the last of them when it is dropped.
    #[derive(Debug, Default)]
    #[must_use]
    pub(crate) struct Guard(Option<SdkTracerProvider>);

    impl Guard {
        pub(super) fn new(endpoint: &str) -> Result<Self> {
            let refuse = |problem: String| Error::Usage(format!("--otlp-endpoint {endpoint}: {problem}"));
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                return Err(refuse("expected a URL such as http://127.0.0.1:4318".into()));
            }
            super::install_tls();
            let client = reqwest::blocking::Client::builder().build().map_err(|error| refuse(error.to_string()))?;
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_http()
                .with_http_client(client)
                .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
                .build()
                .map_err(|error| refuse(error.to_string()))?;
            let service = Resource::builder().with_service_name("tonearm").build();
            Ok(Self(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(service).build())))
        }

        pub(super) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
        where
            S: Subscriber + for<'span> LookupSpan<'span>,
        {
            let tracer = self.0.as_ref()?.tracer("tonearm");
            let spans = Targets::new().with_target(super::TRACE, Level::INFO);
            Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(spans))
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            if let Some(provider) = self.0.take()
                && let Err(error) = provider.shutdown()
            {
                eprintln!("serve: failed to send the last traces: {error}");
            }
        }
    }

    struct Headers<'a>(&'a HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(|name| name.as_str()).collect()
        }
    }

    pub(super) fn set_parent(span: &Span, headers: &HeaderMap) {
        // Without a valid parent the span is a root.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
    }
}

#[cfg(not(feature = "otlp"))]
mod otlp {
    use axum::http::HeaderMap;
    use tracing::Span;
    use tracing_subscriber::layer::Identity;

    use crate::{Error, Result};

    #[derive(Debug, Default)]
    #[must_use]
    pub(crate) struct Guard;

    impl Guard {
        pub(super) fn new(endpoint: &str) -> Result<Self> {
            Err(Error::Usage(format!(
                "--otlp-endpoint {endpoint}: built without feature `otlp`; `cargo build --release -p serve --features otlp`"
            )))
        }

        pub(super) fn layer(&self) -> Identity {
            Identity::new()
        }
    }

    pub(super) fn set_parent(_: &Span, _: &HeaderMap) {}
}

/// Installs the cryptography of TLS for clients of object stores and collectors, once for the process.
#[cfg(any(feature = "object-store", feature = "otlp"))]
pub(crate) fn install_tls() {
    // It fails where it was done before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_can_be_read() {
        let metrics = Metrics::new();
        metrics.answered("/predict", "POST", 200, "", Duration::from_millis(3));
        metrics.answered("/predict", "BREW", 405, "method-not-allowed", Duration::ZERO);
        metrics.serves("svm", "000000000001", None);
        metrics.inference("svm", Duration::from_millis(1));
        metrics.serves("svm", "000000000002", Some("000000000001"));
        metrics.refused("svm");
        metrics.serves("dances", "000000000003", None);
        metrics.refused("dances");
        metrics.retired("dances", Some("000000000003"));
        metrics.inference("dances", Duration::from_millis(1));
        let text = metrics.encode().expect("text");
        for line in [
            r#"tonearm_requests_total{route="/predict",method="POST",status="200",reason=""} 1"#,
            r#"tonearm_requests_total{route="/predict",method="other",status="405",reason="method-not-allowed"} 1"#,
            r#"tonearm_request_seconds_bucket{le="0.005",route="/predict"} 2"#,
            r#"tonearm_model_in_use{model="svm",version="000000000002"} 1"#,
            r#"tonearm_model_loads_total{model="svm",outcome="loaded"} 2"#,
            r#"tonearm_model_loads_total{model="svm",outcome="refused"} 1"#,
            r#"tonearm_inference_seconds_count{model="svm"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("000000000001") && text.ends_with("# EOF\n"));
        assert!(!text.contains("dances"), "it was retired:\n{text}");
    }
}
