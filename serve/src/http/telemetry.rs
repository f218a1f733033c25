//! The log, and traces for a collector of OpenTelemetry.

use std::{env, io, io::IsTerminal as _};

use axum::http::{HeaderMap, Method, StatusCode};
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator as _},
    trace::TracerProvider as _,
};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Level, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    Layer as _, Registry, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    Error, Result,
    cli::config::{LogFormat, Telemetry},
};

/// What spans are for: the log has lines, a collector has spans, and neither has the other's.
const TRACE: &str = "serve::trace";

/// Sends what is left, when it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Guard(Option<SdkTracerProvider>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("serve: the last traces were not sent: {error}");
        }
    }
}

/// Starts the log on standard error, at the levels of `RUST_LOG` (`info` without it), and the traces if they are wanted.
///
/// # Errors
/// [`Error::Usage`] for levels that are none, or an address that traces cannot be sent to.
pub(crate) fn init(wanted: &Telemetry) -> Result<Guard> {
    let levels = env::var("RUST_LOG").ok().filter(|levels| !levels.is_empty()).unwrap_or_else(|| "info".to_owned());
    let levels: Targets = levels
        .parse()
        .map_err(|error| Error::Usage(format!("RUST_LOG is `{levels}`, which is no list of levels: {error}")))?;
    let levels = levels.with_target(TRACE, tracing::level_filters::LevelFilter::OFF);
    let lines =
        fmt::layer::<Registry>().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false);
    let lines = match wanted.log {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let provider = wanted.otlp_endpoint.as_deref().map(provider).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("tonearm"))
            .with_filter(Targets::new().with_target(TRACE, Level::INFO))
    });
    tracing_subscriber::registry().with(lines.with_filter(levels)).with(spans).init();
    Ok(Guard(provider))
}

/// What sends spans to `endpoint`, in batches, from a thread of its own.
fn provider(endpoint: &str) -> Result<SdkTracerProvider> {
    let refuse = |problem: String| Error::Usage(format!("--otlp-endpoint {endpoint}: {problem}"));
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(refuse("it is no URL such as http://127.0.0.1:4318".into()));
    }
    crate::http::tls::install();
    let client = reqwest::blocking::Client::builder().build().map_err(|error| refuse(error.to_string()))?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    let service = Resource::builder().with_service_name("tonearm").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(service).build())
}

/// The span of a request, below that of the caller, if its headers name one. It costs nothing where no traces are sent.
pub(crate) fn request_span(method: &Method, route: Option<&str>, headers: &HeaderMap) -> Span {
    let route = route.unwrap_or("-");
    let span = tracing::info_span!(
        target: TRACE, "request",
        otel.name = %format_args!("{method} {route}"), otel.kind = "server", otel.status_code = Empty,
        http.request.method = %method, http.route = route, http.response.status_code = Empty,
    );
    if !span.is_disabled() {
        // One that cannot be set leaves the span without a parent.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
    }
    span
}

/// Notes how a request ended.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of a step on the way to an answer.
pub(crate) fn step(name: &'static str) -> Span {
    tracing::info_span!(target: TRACE, "step", otel.name = name)
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
