//! [`Metrics`]: what Prometheus may know. No series has a value that a client chooses, so their number is bounded.

use std::{fmt, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Media type of the answer of `/metrics`.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the histograms of time, in seconds: from a cached answer to a long song on a slow machine.
const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Bounds of the histogram of songs in a batch.
const SONGS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

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
struct Load {
    model: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
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
    /// How long a song waits for its batch.
    pub(crate) batch_wait: Histogram,
    /// How many songs go together.
    pub(crate) batch_songs: Histogram,
    in_use: Family<Version, Gauge>,
    loads: Family<Load, Counter>,
    answers: Family<Outcome, Counter>,
    /// Callers inside.
    pub(crate) inside: Gauge,
    /// Jobs that wait for a worker.
    pub(crate) queue_depth: Gauge,
    /// Bytes of bodies that are here.
    pub(crate) held_bytes: Gauge,
    /// Bytes of answers that are kept.
    pub(crate) cache_bytes: Gauge,
    /// Open connections.
    pub(crate) connections: Gauge,
}

fn times() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    /// All at zero.
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
            batch_songs: Histogram::new(SONGS),
            in_use: Family::default(),
            loads: Family::default(),
            answers: Family::default(),
            inside: Gauge::default(),
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
        r.register("request_seconds", "From the head of a request to its answer", self.request_seconds.clone());
        r.register("queue_seconds", "What jobs wait for a worker", self.queue_wait.clone());
        r.register("decode_seconds", "Decoding of a song", self.decode.clone());
        r.register("feature_seconds", "Features of a song", self.features.clone());
        r.register("inference_seconds", "A model over a song, or a batch of songs", self.inference_seconds.clone());
        r.register("batch_wait_seconds", "What songs wait for their batch", self.batch_wait.clone());
        r.register("batch_songs", "Songs that go through a network together", self.batch_songs.clone());
        r.register("model_in_use", "1 for the version of each model that is served", self.in_use.clone());
        r.register("model_loads", "Artifacts that were loaded, and those that were refused", self.loads.clone());
        r.register("answer_cache", "Answers that were kept, and those that were computed", self.answers.clone());
        r.register("requests_inside", "Requests that are computed or wait", self.inside.clone());
        r.register("queue_depth", "Jobs that wait for a worker", self.queue_depth.clone());
        r.register("held_bytes", "Bodies that are arriving or wait, in bytes", self.held_bytes.clone());
        r.register("answer_cache_bytes", "Answers that are kept, in bytes", self.cache_bytes.clone());
        r.register("connections", "Open connections", self.connections.clone());
    }

    /// Counts an answer. `reason` is the kind of problem, empty for none.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, reason: &str, took: Duration) {
        // Methods are the client's to choose.
        let method = if matches!(method, "GET" | "POST" | "HEAD" | "OPTIONS") { method } else { "other" };
        let (route, method, reason) = (route.to_owned(), method.to_owned(), reason.to_owned());
        self.request_seconds.get_or_create(&Route { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { route, method, status, reason }).inc();
    }

    /// Takes the time of a model.
    pub(crate) fn inference(&self, model: &str, took: Duration) {
        self.inference_seconds.get_or_create(&Model { model: model.to_owned() }).observe(took.as_secs_f64());
    }

    /// Notes which version of a model is served from now on.
    pub(crate) fn serves(&self, model: &str, version: &str, before: Option<&str>) {
        let series = |version: &str| Version { model: model.to_owned(), version: version.to_owned() };
        self.loads.get_or_create(&Load { model: model.to_owned(), outcome: "loaded" }).inc();
        if let Some(before) = before {
            self.in_use.remove(&series(before));
        }
        self.in_use.get_or_create(&series(version)).set(1);
    }

    /// Counts an artifact that could not be used.
    pub(crate) fn refused(&self, model: &str) {
        self.loads.get_or_create(&Load { model: model.to_owned(), outcome: "refused" }).inc();
    }

    /// Counts an answer that was kept, or one that was not.
    pub(crate) fn looked_up(&self, found: bool) {
        self.answers.get_or_create(&Outcome { outcome: if found { "hit" } else { "miss" } }).inc();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_can_be_read() {
        let metrics = Metrics::new();
        metrics.answered("/predict", "POST", 200, "", Duration::from_millis(3));
        metrics.answered("/predict", "BREW", 405, "method-not-allowed", Duration::ZERO);
        metrics.inference("svm", Duration::from_millis(1));
        metrics.serves("svm", "000000000001", None);
        metrics.serves("svm", "000000000002", Some("000000000001"));
        metrics.refused("svm");
        let text = metrics.encode().expect("text");
        for line in [
            r#"tonearm_requests_total{route="/predict",method="POST",status="200",reason=""} 1"#,
            r#"tonearm_requests_total{route="/predict",method="other",status="405",reason="method-not-allowed"} 1"#,
            r#"tonearm_request_seconds_bucket{le="0.005",route="/predict"} 2"#,
            r#"tonearm_model_in_use{model="svm",version="000000000002"} 1"#,
            r#"tonearm_model_loads_total{model="svm",outcome="loaded"} 2"#,
            r#"tonearm_model_loads_total{model="svm",outcome="refused"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("000000000001") && text.ends_with("# EOF\n"));
    }
}
