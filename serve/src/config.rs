//! [`Config`]: what the program was asked to do, checked.

use std::{path::PathBuf, time::Duration};

use models::{
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier},
};

/// What one process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// The SVM behind `POST /predict`, on port 8081.
    Svm,
    /// VGG19 behind `POST /vgg`, on port 8082.
    Vgg {
        /// What computes the network.
        device: Backend,
    },
}

impl Role {
    /// Every role, on its default device.
    pub const ALL: [Self; 2] = [Self::Svm, Self::Vgg { device: Backend::Flex }];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Svm => "svm",
            Self::Vgg { .. } => "vgg",
        }
    }

    /// The model that it serves, whose folder below the artifacts folder has the same name.
    #[must_use]
    pub fn model(self) -> &'static str {
        match self {
            Self::Svm => SvmClassifier::NAME,
            Self::Vgg { .. } => Vgg19Classifier::NAME,
        }
    }

    /// The route that answers for a song.
    #[must_use]
    pub fn route(self) -> &'static str {
        match self {
            Self::Svm => "/predict",
            Self::Vgg { .. } => "/vgg",
        }
    }

    /// The port that it listens on unless told otherwise.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Svm => 8081,
            Self::Vgg { .. } => 8082,
        }
    }

    /// What computes its network, if its model is one.
    #[must_use]
    pub fn device(self) -> Option<Backend> {
        match self {
            Self::Svm => None,
            Self::Vgg { device } => Some(device),
        }
    }
}

/// How much one request may ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub max_body_bytes: u64,
    /// Seconds of decoded audio.
    pub max_seconds: f64,
    /// How long a client may be silent in the middle of its body.
    pub body_silence: Duration,
    /// How long a whole body may take to arrive.
    pub body_deadline: Duration,
}

impl Default for Limits {
    /// 64 MiB, 15 minutes of audio, 30 s of silence, 10 minutes for the upload.
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_seconds: 900.0,
            body_silence: Duration::from_secs(30),
            body_deadline: Duration::from_secs(600),
        }
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

/// Everything that the program was asked to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to serve.
    pub role: Role,
    /// The folder of artifacts, or one version's folder.
    pub artifacts: PathBuf,
    /// `host:port`; port 0 takes any that is free.
    pub listen: String,
    /// What one request may ask for.
    pub limits: Limits,
    /// Of connections and of stopping.
    pub timeouts: Timeouts,
    /// Worker threads, at least 1; and as many that compute the network of all requests, where the model is one.
    pub threads: usize,
    /// Requests that may wait for a worker.
    pub queue: usize,
    /// Whether to start without an artifact, answer 503, and look for one every few seconds.
    pub wait_for_artifact: bool,
}
