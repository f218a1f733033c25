//! [`Config`]: what the program was asked to do, checked.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::http::{HeaderValue, Uri};
use models::{
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier},
};
use serde::Serialize;

use crate::{
    Error, Result,
    gateway::{self, Gateway, GatewaySettings},
};

/// A model that can be served, and the route that the old clients know it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The support vector machine.
    Svm,
    /// The network.
    Vgg19,
}

impl Kind {
    /// Every model.
    pub const ALL: [Self; 2] = [Self::Svm, Self::Vgg19];

    /// Its name, which the folder of its artifacts has too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Svm => SvmClassifier::NAME,
            Self::Vgg19 => Vgg19Classifier::NAME,
        }
    }

    /// The model of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The route that answers for a song.
    #[must_use]
    pub fn route(self) -> &'static str {
        match self {
            Self::Svm => "/predict",
            Self::Vgg19 => "/vgg",
        }
    }

    /// The role that serves it alone.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Svm => Role::Svm,
            Self::Vgg19 => Role::Vgg,
        }
    }

    /// Whether it can say what it listened to.
    #[must_use]
    pub fn explains(self) -> bool {
        self == Self::Vgg19
    }

    /// Whether songs of several requests go through it together. The SVM's time is in its features, a song at a time.
    #[must_use]
    pub fn batches(self) -> bool {
        self == Self::Vgg19
    }
}

/// What one process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The SVM behind `POST /predict`, on port 8081.
    Svm,
    /// VGG19 behind `POST /vgg`, on port 8082.
    Vgg,
    /// Both, and the page, on port 8083: everything on one machine.
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

    /// The models that it computes itself.
    #[must_use]
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Svm => &[Kind::Svm],
            Self::Vgg => &[Kind::Vgg19],
            Self::All => &Kind::ALL,
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

/// How much one request may ask for, and all of them together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub max_body_bytes: u64,
    /// Bytes of the body of a request of many files.
    pub max_batch_bytes: u64,
    /// Bytes of all bodies that are here at once, arriving or waiting.
    pub max_held_bytes: u64,
    /// Seconds of decoded audio.
    pub max_seconds: f64,
    /// How long a client may be silent in the middle of its body.
    pub body_silence: Duration,
    /// How long a whole body may take to arrive.
    pub body_deadline: Duration,
    /// How long an answer may take, from the end of the body on: waiting and computing.
    pub answer_deadline: Duration,
}

impl Default for Limits {
    /// 64 MiB a body and 256 MiB of many files, 512 MiB together; 15 minutes of audio; 30 s of silence, 10 minutes for the
    /// upload, a minute for the answer.
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_batch_bytes: 256 << 20,
            max_held_bytes: 512 << 20,
            max_seconds: 900.0,
            body_silence: Duration::from_secs(30),
            body_deadline: Duration::from_secs(600),
            answer_deadline: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// What the decoder is held to.
    #[must_use]
    pub fn decode(&self) -> features::decode::Limits {
        features::decode::Limits { max_bytes: self.max_body_bytes, max_seconds: self.max_seconds }
    }
}

/// How long a connection may be idle, and the process may take to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the head of a request is complete, counted from the connection or from the end of the last answer.
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

/// What computes, and how much of it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// What computes a network.
    pub device: Backend,
    /// Worker threads, at least 1; and as many that compute the network of all requests.
    pub threads: usize,
    /// Requests that may wait for a worker.
    pub queue: usize,
    /// Songs that go through a network together at most.
    pub max_batch: usize,
    /// How long a song waits for others to go with it, when none is there yet.
    pub batch_delay: Duration,
    /// Bytes of answers that are kept for songs that are sent again; 0 keeps none.
    pub cache_bytes: usize,
}

impl Default for Compute {
    /// One worker, 64 waiting, 8 songs together, none waiting for another, 32 MiB of answers.
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

/// Where artifacts come from, and when they are looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifacts {
    /// A folder, or the URL of an object store.
    pub address: String,
    /// The version to serve whatever `CURRENT` says.
    pub version: Option<String>,
    /// How often `CURRENT` is looked at; never, if zero.
    pub reload: Duration,
    /// Whether to start without an artifact, answer 503, and go on looking for one.
    pub wait: bool,
}

/// Who may ask, from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A file with the keys that admit a request; without one, every request is admitted.
    pub api_keys: Option<PathBuf>,
    /// Origins of pages elsewhere that may ask; `*` for every page.
    pub cors_origins: Vec<HeaderValue>,
}

/// What is written about requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
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
    /// Until the head of an answer has come.
    pub response_timeout: Duration,
}

/// Everything that the program was asked to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to do.
    pub role: Role,
    /// `host:port`; port 0 takes any that is free.
    pub listen: String,
    /// What requests may ask for.
    pub limits: Limits,
    /// Of connections and of stopping.
    pub timeouts: Timeouts,
    /// Workers and batches.
    pub compute: Compute,
    /// Where the models come from.
    pub artifacts: Artifacts,
    /// Who may ask.
    pub access: Access,
    /// What is written.
    pub telemetry: Telemetry,
    /// Of the role `web`.
    pub upstream: Option<Upstream>,
    /// Every setting as it holds, with where it came from, for the log and for `--print-config`; no secret is in it.
    pub settings: Vec<Setting>,
}

/// One setting as it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in a configuration file, and after `--`.
    pub name: String,
    /// Its values as they were typed; one, but for lists and for switches.
    pub values: Vec<String>,
    /// `default`, `file`, `environment` or `command line`.
    pub source: &'static str,
}

impl std::fmt::Display for Setting {
    /// A line of TOML, and where the value came from.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

impl Upstream {
    /// What forwards to these servers.
    ///
    /// # Errors
    /// [`Error::Upstream`] for a URL that cannot be forwarded to.
    pub(crate) fn connect(&self) -> Result<Arc<Gateway>> {
        let backend = |kind, url: &Uri| {
            gateway::Backend::new(kind, url.clone())
                .map_err(|error| Error::Upstream(format!("--{}-url: {error}", kind.role().name())))
        };
        let settings = GatewaySettings {
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            ..GatewaySettings::default()
        };
        Ok(Gateway::new(vec![backend(Kind::Svm, &self.svm)?, backend(Kind::Vgg19, &self.vgg)?], settings))
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
