//! What the service says of itself and of its models.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AUDIO, Datatype, InferenceError, LOG_MEL, Output, error::found_by_serde, json::Object};

/// Extensions of the protocol that this service has; of that of the repository, only the index.
const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "classification", "model_repository"];

/// `GET /v2`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceServerMetadata)]
pub struct ServerMetadata {
    /// `tonearm`.
    #[schema(example = "tonearm")]
    pub name: &'static str,
    /// Of this program.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// Of the protocol.
    #[schema(example = json!(EXTENSIONS))]
    pub extensions: &'static [&'static str],
}

impl ServerMetadata {
    /// Of this program.
    pub const THIS: Self = Self { name: "tonearm", version: env!("CARGO_PKG_VERSION"), extensions: &EXTENSIONS };
}

/// `GET /v2/health/live`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceServerLive)]
pub struct Live {
    /// Whether the process lives: true, if it answers at all.
    pub live: bool,
}

/// `GET /v2/health/ready`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceServerReady)]
pub struct Ready {
    /// Whether every model is ready.
    pub ready: bool,
}

/// `GET /v2/models/{model}/ready`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceModelReady)]
pub struct ModelReady {
    /// The model.
    #[schema(example = "svm")]
    pub name: String,
    /// Whether it would answer.
    pub ready: bool,
}

/// `GET /v2/models/{model}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceModelMetadata)]
pub struct ModelMetadata {
    /// `svm` or `vgg19`.
    #[schema(example = "svm")]
    pub name: String,
    /// Those that can be asked; the current one is the first.
    #[schema(example = json!(["0123456789ab"]))]
    pub versions: Vec<String>,
    /// What computes it: `tonearm_svm` or `tonearm_vgg19`.
    #[schema(example = "tonearm_svm")]
    pub platform: String,
    /// A request has exactly one of them.
    pub inputs: Vec<TensorMetadata>,
    /// What it can be asked for.
    pub outputs: Vec<TensorMetadata>,
}

/// A tensor of a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceTensorMetadata)]
pub struct TensorMetadata {
    /// Its name.
    #[schema(example = "audio")]
    pub name: &'static str,
    /// Its datatype.
    pub datatype: Datatype,
    /// Its shape; −1 where any size will do.
    #[schema(example = json!([-1]))]
    pub shape: Vec<i64>,
}

impl ModelMetadata {
    /// Of a model that hears log-mels of so many `bands` and tells so many `labels` apart.
    #[must_use]
    pub fn new(name: &str, versions: Vec<String>, bands: usize, labels: usize) -> Self {
        let size = |size: usize| i64::try_from(size).unwrap_or(-1);
        let tensor = |name, datatype, shape: &[i64]| TensorMetadata { name, datatype, shape: shape.to_vec() };
        Self {
            name: name.to_owned(),
            versions,
            platform: format!("tonearm_{name}"),
            inputs: vec![
                tensor(AUDIO, Datatype::Bytes, &[-1]),
                tensor(LOG_MEL, Datatype::Fp32, &[-1, size(bands), -1]),
            ],
            outputs: vec![
                tensor(Output::Genre.name(), Datatype::Bytes, &[-1]),
                tensor(Output::Probabilities.name(), Datatype::Fp64, &[-1, size(labels)]),
            ],
        }
    }

    /// The same for a model that hears more of a song than its log-mel.
    #[must_use]
    pub fn without_log_mel(mut self) -> Self {
        self.inputs.retain(|tensor| tensor.name != LOG_MEL);
        self
    }
}

/// An entry of the answer to `POST /v2/repository/index`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceRepositoryEntry)]
pub struct RepositoryEntry {
    /// `svm` or `vgg19`.
    #[schema(example = "svm")]
    pub name: String,
    /// The version in use, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0123456789ab", nullable = false)]
    pub version: Option<String>,
    /// Whether it would answer.
    pub state: ModelState,
    /// Why it would not, or nothing.
    #[schema(example = "")]
    pub reason: String,
}

/// Whether a model would answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = InferenceModelState)]
pub enum ModelState {
    /// It would.
    Ready,
    /// It would not.
    Unavailable,
}

/// The body of `POST /v2/repository/index`, which may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = InferenceRepositoryRequest)]
pub struct IndexRequest {
    /// Whether only models that are ready are wanted.
    pub ready: bool,
}

impl IndexRequest {
    /// Reads it.
    ///
    /// # Errors
    /// [`InferenceError::Json`].
    pub fn parse(body: &[u8]) -> Result<Self, InferenceError> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let request: Result<Object<Self>, _> = serde_json::from_slice(body);
        request.map(|Object(request)| request).map_err(|error| InferenceError::Json { problem: found_by_serde(&error) })
    }

    /// Whether a model in that state is wanted.
    #[must_use]
    pub fn wants(self, state: ModelState) -> bool {
        !self.ready || state == ModelState::Ready
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_are_as_the_protocol_has_them() {
        let metadata = ModelMetadata::new("svm", vec!["0123456789ab".to_owned()], 128, 10);
        let wanted = json!({
            "name": "svm", "versions": ["0123456789ab"], "platform": "tonearm_svm",
            "inputs": [
                {"name": "audio", "datatype": "BYTES", "shape": [-1]},
                {"name": "log_mel", "datatype": "FP32", "shape": [-1, 128, -1]},
            ],
            "outputs": [
                {"name": "genre", "datatype": "BYTES", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP64", "shape": [-1, 10]},
            ],
        });
        assert_eq!(serde_json::to_value(&metadata).expect("JSON"), wanted);
        assert_eq!(metadata.without_log_mel().inputs.len(), 1);
        let entry = RepositoryEntry {
            name: "vgg19".to_owned(),
            version: None,
            state: ModelState::Unavailable,
            reason: "no artifact".to_owned(),
        };
        let wanted = json!({"name": "vgg19", "state": "UNAVAILABLE", "reason": "no artifact"});
        assert_eq!(serde_json::to_value(entry).expect("JSON"), wanted);
        assert_eq!(serde_json::to_value(ServerMetadata::THIS).expect("JSON")["name"], "tonearm");
    }

    #[test]
    fn an_index_may_be_asked_for_with_or_without_a_body() {
        for (body, ready) in [("", false), (" \r\n", false), ("{}", false), (r#"{"ready": true, "x": 1}"#, true)] {
            assert_eq!(IndexRequest::parse(body.as_bytes()).expect(body), IndexRequest { ready }, "{body}");
        }
        for broken in ["{", "[]", r#"{"ready": 1}"#] {
            assert!(IndexRequest::parse(broken.as_bytes()).is_err(), "{broken}");
        }
        let only_ready = IndexRequest { ready: true };
        assert!(only_ready.wants(ModelState::Ready) && !only_ready.wants(ModelState::Unavailable));
    }
}
