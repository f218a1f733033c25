//! [`Config`]: what the program is to do, validated.

use std::{fmt, net::IpAddr, num::NonZero, ops::Deref, path::PathBuf, str::FromStr, sync::Arc, thread, time::Duration};

use axum::http::{HeaderValue, Uri};
use models::{
    artifact::names,
    ensemble::EnsembleClassifier,
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier},
};
use serde::{Serialize, Serializer};

/// A kind of model that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelKind {
    /// The support vector machine.
    Svm,
    /// The network.
    Vgg19,
    /// Several models of the other kinds as one.
    Ensemble,
}

impl ModelKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Svm, Self::Vgg19, Self::Ensemble];
    /// The kinds that predict by themselves, and so may be members of an ensemble. Each has a role and a short route of its own.
    pub const MEMBERS: [Self; 2] = [Self::Svm, Self::Vgg19];

    /// Its name, and that of the model of this kind that has no name of its own.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Svm => SvmClassifier::NAME,
            Self::Vgg19 => Vgg19Classifier::NAME,
            Self::Ensemble => EnsembleClassifier::NAME,
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The route that predicts by the model of its name.
    #[must_use]
    pub fn route(self) -> &'static str {
        match self {
            Self::Svm => "/predict",
            Self::Vgg19 => "/vgg",
            Self::Ensemble => "/v1/models/ensemble/predict",
        }
    }

    /// The role that serves it with the fewest others. An ensemble needs its members.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Svm => Role::Svm,
            Self::Vgg19 => Role::Vgg,
            Self::Ensemble => Role::All,
        }
    }

    /// It alone.
    #[must_use]
    pub fn alone(self) -> &'static [Self] {
        match self {
            Self::Svm => &[Self::Svm],
            Self::Vgg19 => &[Self::Vgg19],
            Self::Ensemble => &[Self::Ensemble],
        }
    }

    /// Whether clips of several requests are predicted in one batch. The SVM's time is in its features, clip by clip; of an
    /// ensemble, those of its networks are.
    #[must_use]
    pub fn batches(self) -> bool {
        self == Self::Vgg19
    }

    /// Whether it computes on the device of a network, or may have a member that does.
    #[must_use]
    pub fn uses_device(self) -> bool {
        self != Self::Svm
    }
}

/// The name of a model: that of the folder of its artifacts, in the form that [`names::check_model`] allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// The kind that has this name, if it is one of a kind.
    #[must_use]
    pub fn kind(&self) -> Option<ModelKind> {
        ModelKind::named(self)
    }

    /// The route that predicts by the model of this name, as it has for every name.
    #[must_use]
    pub fn predict_route(&self) -> String {
        format!("/v1/models/{self}/predict")
    }

    /// The shortest route that predicts by it: `/predict`, `/vgg`, or [`ModelName::predict_route`].
    #[must_use]
    pub fn route(&self) -> String {
        self.kind().map_or_else(|| self.predict_route(), |kind| kind.route().to_owned())
    }
}

impl From<ModelKind> for ModelName {
    fn from(kind: ModelKind) -> Self {
        Self(kind.name().into())
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        names::check_model(name).map(|name| Self(name.into())).map_err(|error| error.to_string())
    }
}

impl Deref for ModelName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl Serialize for ModelName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// What one process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The SVM behind `POST /predict`, on port 8081.
    Svm,
    /// VGG19 behind `POST /vgg`, on port 8082.
    Vgg,
    /// Both, ensembles of them, and the page, on port 8083: everything on one machine.
    All,
    /// The page, on port 8083, in front of the servers of the two, which it is given by URL.
    Web,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Svm, Self::Vgg, Self::All, Self::Web];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Svm => "svm",
            Self::Vgg => "vgg",
            Self::All => "all",
            Self::Web => "web",
        }
    }

    /// The kinds of models that it computes itself.
    #[must_use]
    pub fn kinds(self) -> &'static [ModelKind] {
        match self {
            Self::Svm => &[ModelKind::Svm],
            Self::Vgg => &[ModelKind::Vgg19],
            Self::All => &ModelKind::ALL,
            Self::Web => &[],
        }
    }

    /// Whether it shows the page at `/`.
    #[must_use]
    pub fn has_page(self) -> bool {
        matches!(self, Self::All | Self::Web)
    }

    /// The port that it listens on unless told otherwise.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Svm => 8081,
            Self::Vgg => 8082,
            Self::All | Self::Web => 8083,
        }
    }
}

/// Limits of one request, and of all together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub max_body_bytes: u64,
    /// Bytes of the body of a request of many files.
    pub max_batch_bytes: u64,
    /// Bytes of all bodies in memory, arriving or waiting.
    pub max_held_bytes: u64,
    /// Seconds of decoded audio.
    pub max_seconds: f64,
    /// How long a client may be silent in the middle of its body.
    pub body_silence: Duration,
    /// How long a whole body may take to arrive.
    pub body_deadline: Duration,
    /// How long a prediction may take, from the end of the body on: waiting and computing.
    pub answer_deadline: Duration,
    /// Whether audio that is unlike the training set of a model is refused.
    pub reject_novel: bool,
}

impl Default for Limits {
    /// 64 MiB a body and 256 MiB of many files, 512 MiB together; 15 minutes of audio; 30 s of silence, 10 minutes for the
    /// upload, a minute for the prediction; audio of any kind.
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_batch_bytes: 256 << 20,
            max_held_bytes: 512 << 20,
            max_seconds: 900.0,
            body_silence: Duration::from_secs(30),
            body_deadline: Duration::from_secs(600),
            answer_deadline: Duration::from_secs(60),
            reject_novel: false,
        }
    }
}

impl Limits {
    /// The limits of the decoder.
    #[must_use]
    pub fn decode(&self) -> features::decode::Limits {
        features::decode::Limits { max_bytes: self.max_body_bytes, max_seconds: self.max_seconds }
    }
}

/// How long a connection may be idle, and the process may take to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the head of a request is complete, counted from the connection or from the end of the last response.
    pub head: Duration,
    /// For requests that are under way when the process is told to stop.
    pub grace: Duration,
}

impl Default for Timeouts {
    /// 30 s each.
    fn default() -> Self {
        Self { head: Duration::from_secs(30), grace: Duration::from_secs(30) }
    }
}

/// Devices, threads, queues and caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// The device of a network.
    pub device: Backend,
    /// Worker threads, at least 1; all networks share as many more.
    pub threads: usize,
    /// Requests that may wait for a worker.
    pub queue: usize,
    /// Clips in a batch, at most.
    pub max_batch: usize,
    /// How long a clip waits for others to share its batch.
    pub batch_delay: Duration,
    /// Bytes of cached responses, for files that are sent again; 0 for none.
    pub cache_bytes: usize,
}

impl Default for Compute {
    /// One worker, 64 waiting, batches of 8 without a delay, 32 MiB of cached responses.
    fn default() -> Self {
        Self {
            device: Backend::default(),
            threads: 1,
            queue: 64,
            max_batch: 8,
            batch_delay: Duration::ZERO,
            cache_bytes: 32 << 20,
        }
    }
}

/// Where artifacts come from, and how often they are reloaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// A folder, or the URL of an object store; where none is named, one is looked for.
    pub named: Option<String>,
    /// The same for models that have no version in use there.
    pub fallback: Option<String>,
    /// The models to serve; every one that is there, if none is named.
    pub models: Vec<ModelName>,
    /// The version to serve whatever `CURRENT` says.
    pub version: Option<String>,
    /// How often `CURRENT` is read; never, if zero.
    pub reload: Duration,
    /// Whether to start without an artifact, answer 503, and wait for one.
    pub wait: bool,
}

/// Who may send requests, from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A file with the keys that admit a request; without one, every request is admitted.
    pub api_keys: Option<PathBuf>,
    /// Origins whose pages may send requests; `*` for every page.
    pub cors_origins: Vec<HeaderValue>,
}

/// Log and traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// Form of the log on standard error.
    pub log: LogFormat,
    /// Where traces are sent by OTLP over HTTP, such as `http://127.0.0.1:4318`; nowhere without.
    pub otlp_endpoint: Option<String>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Where `web` forwards to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The server of the SVM.
    pub svm: Uri,
    /// The server of VGG19.
    pub vgg: Uri,
    /// Until a connection stands, each time that it is tried.
    pub connect_timeout: Duration,
    /// Until the head of a response has come.
    pub response_timeout: Duration,
}

/// Everything that the program is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which models to serve, and whether with the page.
    pub role: Role,
    /// `host:port`; port 0 takes any that is free.
    pub listen: String,
    /// The port of gRPC, on the same address, if it is served; 0 takes any that is free.
    pub grpc_port: Option<u16>,
    /// Limits of requests.
    pub limits: Limits,
    /// Of connections and of stopping.
    pub timeouts: Timeouts,
    /// Workers and batches.
    pub compute: Compute,
    /// Where models come from.
    pub artifacts: Artifacts,
    /// Keys and origins.
    pub access: Access,
    /// Log and traces.
    pub telemetry: TelemetryConfig,
    /// Of the role `web`.
    pub upstream: Option<Upstream>,
    /// Every setting with its source, for the log and for `--print-config`; without secrets.
    pub settings: Vec<Setting>,
}

/// One setting and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in a configuration file, and after `--`.
    pub name: String,
    /// Its values as they were typed; one, but for lists and for switches.
    pub values: Vec<String>,
    /// `default`, `file`, `environment` or `command line`; of `config` also `found`, where nothing names the file.
    pub source: &'static str,
}

impl fmt::Display for Setting {
    /// A line of TOML, and where the value came from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |value: &String| match value.parse::<f64>() {
            Ok(_) => value.clone(),
            Err(_) if matches!(value.as_str(), "true" | "false") => value.clone(),
            Err(_) => toml::Value::from(value.as_str()).to_string(),
        };
        let Self { name, values, source } = self;
        match values.as_slice() {
            [value] => write!(f, "{name} = {}  # {source}", quoted(value)),
            values => {
                let list: Vec<_> = values.iter().map(quoted).collect();
                write!(f, "{name} = [{}]  # {source}", list.join(", "))
            }
        }
    }
}

/// `host:port`, with the brackets that an IPv6 address needs.
#[must_use]
pub fn join(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

/// One thread for each core.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Parses a number of seconds over 0, up to a day.
///
/// # Errors
/// What is expected.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = seconds_or_never(text).ok().filter(|seconds| *seconds > 0.0);
    seconds.ok_or_else(|| "expected a number of seconds over 0 and up to 86400".to_owned())
}

/// Parses a number of seconds from 0, which stands for never, to a day.
///
/// # Errors
/// What is expected.
pub fn seconds_or_never(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "expected a number of seconds from 0 to 86400".to_owned())
}
