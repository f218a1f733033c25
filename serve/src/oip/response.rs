//! [`InferResponse`]: predictions as the requested outputs; and the metadata of the server and its models.

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use labels::LabelSet;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::{
    error::{InferenceError, found_by_serde},
    request::{Output, OutputSpec},
    tensor::{AUDIO, Datatype, HEADER_LENGTH, LOG_MEL, Object, write_elements},
};
use crate::{PredictResponse, Rejection, engine::model::ModelParameters};

/// The prediction for one clip.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipPrediction {
    /// The most probable label.
    pub label: String,
    /// Of every label, in the order of the model's.
    pub probabilities: Vec<f64>,
}

impl From<PredictResponse> for ClipPrediction {
    fn from(response: PredictResponse) -> Self {
        let probabilities = response.probabilities.iter().map(|(_, probability)| probability).collect();
        Self { label: response.predicted_genre, probabilities }
    }
}

/// The model that predicted.
#[derive(Clone, Copy, Debug)]
pub struct ModelRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// The version of its artifact.
    pub version: &'a str,
    /// Its labels.
    pub labels: &'a LabelSet,
    /// Where it comes from, if that is known.
    pub parameters: Option<&'a Arc<ModelParameters>>,
}

fn serialize_shared<S: Serializer>(
    parameters: &Option<Arc<ModelParameters>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    parameters.as_deref().serialize(serializer)
}

/// A response, sent as JSON or as JSON and binary data.
#[derive(Debug)]
pub struct InferResponse {
    body: InferenceResponseBody,
    binary: Option<Vec<u8>>,
}

/// The JSON of a response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceResponse)]
pub struct InferenceResponseBody {
    /// Its name.
    #[schema(example = "svm")]
    pub(super) model_name: String,
    /// 12 hexadecimal digits that name the content of its artifact.
    #[schema(example = "0123456789ab")]
    pub(super) model_version: String,
    /// That of the request, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) id: Option<String>,
    /// Where the model comes from.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_shared")]
    #[schema(value_type = Option<ModelParameters>, nullable = false)]
    pub(super) parameters: Option<Arc<ModelParameters>>,
    /// As they were requested.
    pub(super) outputs: Vec<OutputTensor>,
}

/// A tensor of the response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceOutput)]
pub(super) struct OutputTensor {
    /// `genre` or `probabilities`.
    pub(super) name: &'static str,
    /// `BYTES` for `genre` and for a classification, `FP64` for `probabilities`.
    pub(super) datatype: Datatype,
    /// `[clips]` for `genre`, `[clips, labels]` for `probabilities`, `[clips, count]` for a classification.
    pub(super) shape: Vec<usize>,
    /// Only where its data is binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameters: Option<OutputTensorParameters>,
    /// The elements, row-major and flat; not where its data is binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) data: Option<Data>,
}

/// Says that a tensor's data is binary.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceOutputParameters)]
struct OutputTensorParameters {
    /// Bytes of binary data that this tensor has after the JSON.
    binary_data_size: usize,
}

/// The elements of a tensor.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = InferenceOutputData)]
pub(super) enum Data {
    /// Of `BYTES`.
    Strings(Vec<String>),
    /// Of `FP64`.
    Numbers(Vec<f64>),
}

impl InferResponse {
    /// Writes the predictions of `model` for the clips of a request, in their order, as the requested outputs.
    ///
    /// # Errors
    /// [`InferenceError::Rejected`] as an internal error, if a prediction has not one probability for each label.
    pub fn new(
        requested: OutputSpec,
        model: ModelRef<'_>,
        predictions: &[ClipPrediction],
    ) -> Result<Self, InferenceError> {
        if predictions.iter().any(|prediction| prediction.probabilities.len() != model.labels.len()) {
            return Err(Rejection::internal("a prediction has not one probability for each label").into());
        }
        let mut binary = None;
        let mut outputs = Vec::with_capacity(requested.outputs.len());
        for request in requested.outputs {
            let mut tensor = OutputTensor::new(request.output, model.labels, predictions);
            if request.binary {
                tensor.move_data(binary.get_or_insert_default());
            }
            outputs.push(tensor);
        }
        let body = InferenceResponseBody {
            model_name: model.name.to_owned(),
            model_version: model.version.to_owned(),
            id: requested.id,
            parameters: model.parameters.cloned(),
            outputs,
        };
        Ok(Self { body, binary })
    }

    /// Its JSON, which has the data of those outputs that are not binary.
    #[cfg(feature = "grpc")]
    pub(super) fn into_body(self) -> InferenceResponseBody {
        self.body
    }
}

impl OutputTensor {
    fn new(output: Output, labels: &LabelSet, predictions: &[ClipPrediction]) -> Self {
        let clips = predictions.len();
        let (shape, data) = match output {
            Output::Label => {
                (vec![clips], Data::Strings(predictions.iter().map(|prediction| prediction.label.clone()).collect()))
            }
            Output::Probabilities => {
                let all = predictions.iter().flat_map(|prediction| prediction.probabilities.iter().copied());
                (vec![clips, labels.len()], Data::Numbers(all.collect()))
            }
            Output::Classification { count } => {
                let count = count.min(labels.len());
                let best = predictions.iter().flat_map(|prediction| classes(labels, &prediction.probabilities, count));
                (vec![clips, count], Data::Strings(best.collect()))
            }
        };
        let datatype = match data {
            Data::Strings(_) => Datatype::Bytes,
            Data::Numbers(_) => Datatype::Fp64,
        };
        Self { name: output.name(), datatype, shape, parameters: None, data: Some(data) }
    }

    /// Writes its data to the end of `binary` instead.
    pub(super) fn move_data(&mut self, binary: &mut Vec<u8>) {
        let start = binary.len();
        match self.data.take() {
            None => {}
            Some(Data::Strings(strings)) => write_elements(strings.iter().map(String::as_str), binary),
            Some(Data::Numbers(numbers)) => binary.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
        }
        self.parameters = Some(OutputTensorParameters { binary_data_size: binary.len() - start });
    }
}

/// The `count` most probable labels as `probability:index:label`, of equals the first first.
fn classes<'a>(labels: &'a LabelSet, probabilities: &'a [f64], count: usize) -> impl Iterator<Item = String> + 'a {
    let mut best: Vec<(usize, f64)> = probabilities.iter().copied().enumerate().collect();
    best.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    best.into_iter()
        .take(count)
        .filter_map(|(index, probability)| labels.get(index).map(|label| format!("{probability}:{index}:{label}")))
}

impl IntoResponse for InferResponse {
    fn into_response(self) -> Response {
        let Some(binary) = self.binary else { return Json(self.body).into_response() };
        let mut body = match serde_json::to_vec(&self.body) {
            Ok(json) => json,
            Err(error) => return InferenceError::from(Rejection::internal(error)).into_response(),
        };
        let length = HeaderValue::from(body.len());
        body.extend(binary);
        let octets = HeaderValue::from_static("application/octet-stream");
        ([(header::CONTENT_TYPE, octets), (HEADER_LENGTH, length)], body).into_response()
    }
}

/// Extensions of the protocol that this service has; of that of the repository, only the index.
const EXTENSIONS: [&str; 5] =
    ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"];

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
    /// Whether the process is alive: true, if it responds at all.
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
    /// Whether it is ready.
    pub ready: bool,
}

/// `GET /v2/models/{model}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceModelMetadata)]
pub struct ModelMetadata {
    /// Its name.
    #[schema(example = "svm")]
    pub name: String,
    /// Its versions; the current one is the first.
    #[schema(example = json!(["0123456789ab"]))]
    pub versions: Vec<String>,
    /// Its implementation: `tonearm_svm` or `tonearm_vgg19`.
    #[schema(example = "tonearm_svm")]
    pub platform: String,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_shared")]
    #[schema(value_type = Option<ModelParameters>, nullable = false)]
    pub parameters: Option<Arc<ModelParameters>>,
    /// Inputs; a request has exactly one of them.
    pub inputs: Vec<TensorMetadata>,
    /// Outputs.
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
    /// Of a model that takes log-mels of so many `bands`.
    #[must_use]
    pub fn new(model: ModelRef<'_>, versions: Vec<String>, bands: usize) -> Self {
        let size = |size: usize| i64::try_from(size).unwrap_or(-1);
        let tensor = |name, datatype, shape: &[i64]| TensorMetadata { name, datatype, shape: shape.to_vec() };
        Self {
            name: model.name.to_owned(),
            versions,
            platform: format!("tonearm_{}", model.parameters.map_or(model.name, |parameters| parameters.kind)),
            parameters: model.parameters.cloned(),
            inputs: vec![
                tensor(AUDIO, Datatype::Bytes, &[-1]),
                tensor(LOG_MEL, Datatype::Fp32, &[-1, size(bands), -1]),
            ],
            outputs: vec![
                tensor(Output::Label.name(), Datatype::Bytes, &[-1]),
                tensor(Output::Probabilities.name(), Datatype::Fp64, &[-1, size(model.labels.len())]),
            ],
        }
    }

    /// The same for a model that takes more features than the log-mel.
    #[must_use]
    pub fn without_log_mel(mut self) -> Self {
        self.inputs.retain(|tensor| tensor.name != LOG_MEL);
        self
    }
}

/// An entry of the response to `POST /v2/repository/index`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceRepositoryEntry)]
pub struct RepositoryEntry {
    /// Its name.
    #[schema(example = "svm")]
    pub name: String,
    /// The version in use, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0123456789ab", nullable = false)]
    pub version: Option<String>,
    /// Whether it is ready.
    pub state: ModelState,
    /// Why it is not ready, or nothing.
    #[schema(example = "")]
    pub reason: String,
}

/// Whether a model is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = InferenceModelState)]
pub enum ModelState {
    /// It is.
    Ready,
    /// It is not.
    Unavailable,
}

/// The body of `POST /v2/repository/index`, which may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = InferenceRepositoryRequest)]
pub struct IndexRequest {
    /// Whether only ready models are listed.
    pub ready: bool,
}

impl ModelState {
    /// As the protocol writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
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
        let request: Result<Option<Object<Self>>, _> = serde_json::from_slice(body);
        let request = request.map_err(|error| InferenceError::Json { problem: found_by_serde(&error) })?;
        Ok(request.map(|Object(request)| request).unwrap_or_default())
    }

    /// Whether a model in that state is listed.
    #[must_use]
    pub fn lists(self, state: ModelState) -> bool {
        !self.ready || state == ModelState::Ready
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::request::OutputRequest, *};
    use crate::engine::model::ModelInfo;

    fn answer(outputs: &[(Output, bool)]) -> (Value, Option<Vec<u8>>) {
        let outputs = outputs.iter().map(|&(output, binary)| OutputRequest { output, binary }).collect();
        let labels = LabelSet::from_names(["blues", "jazz", "rock"]).expect("labels");
        let predictions = [("rock", [0.2, 0.3, 0.5]), ("blues", [0.4, 0.4, 0.2])];
        let predictions = predictions.map(|(label, probabilities)| ClipPrediction {
            label: label.to_owned(),
            probabilities: probabilities.to_vec(),
        });
        let requested = OutputSpec { id: Some("a".to_owned()), outputs };
        let model = ModelRef { name: "svm", version: "0123456789ab", labels: &labels, parameters: None };
        let response = InferResponse::new(requested, model, &predictions).expect("an answer");
        (serde_json::to_value(&response.body).expect("JSON"), response.binary)
    }

    #[test]
    fn outputs_come_in_json() {
        let (body, binary) = answer(&[(Output::Label, false), (Output::Probabilities, false)]);
        let wanted = json!({
            "model_name": "svm", "model_version": "0123456789ab", "id": "a",
            "outputs": [
                {"name": "genre", "datatype": "BYTES", "shape": [2], "data": ["rock", "blues"]},
                {"name": "probabilities", "datatype": "FP64", "shape": [2, 3], "data": [0.2, 0.3, 0.5, 0.4, 0.4, 0.2]},
            ],
        });
        assert_eq!((body, binary), (wanted, None));
    }

    #[test]
    fn outputs_follow_the_json_in_their_order() {
        let (body, binary) = answer(&[(Output::Probabilities, true), (Output::Label, true)]);
        assert_eq!(body["outputs"][0]["parameters"], json!({"binary_data_size": 48}));
        assert_eq!(body["outputs"][1]["parameters"], json!({"binary_data_size": 17}));
        assert!(body["outputs"][0].get("data").is_none());
        let binary = binary.expect("binary data");
        assert_eq!(binary[..8], 0.2f64.to_le_bytes());
        assert_eq!(&binary[48..], b"\x04\0\0\0rock\x05\0\0\0blues");
    }

    #[test]
    fn a_classification_has_the_best_labels_of_each_clip() {
        let (body, _) = answer(&[(Output::Classification { count: 2 }, false)]);
        let wanted = json!([{
            "name": "probabilities", "datatype": "BYTES", "shape": [2, 2],
            "data": ["0.5:2:rock", "0.3:1:jazz", "0.4:0:blues", "0.4:1:jazz"],
        }]);
        assert_eq!(body["outputs"], wanted);
        let (body, _) = answer(&[(Output::Classification { count: usize::MAX }, false)]);
        assert_eq!(body["outputs"][0]["shape"], json!([2, 3]), "no more than there are labels");
    }

    #[test]
    fn a_prediction_without_a_probability_for_each_label_is_an_error() {
        let requested = OutputSpec { id: None, outputs: vec![OutputRequest { output: Output::Label, binary: false }] };
        let model = ModelRef {
            name: "svm",
            version: "0123456789ab",
            labels: &LabelSet::from_names(["blues"]).expect("labels"),
            parameters: None,
        };
        let prediction = ClipPrediction { label: "blues".to_owned(), probabilities: vec![] };
        let error = InferResponse::new(requested, model, &[prediction]).expect_err("no answer");
        assert_eq!(error.status().as_u16(), 500);
    }

    #[test]
    fn heads_say_where_the_binary_data_begins() {
        let answer = |binary| {
            let requested = OutputSpec { id: None, outputs: vec![OutputRequest { output: Output::Label, binary }] };
            let model = ModelRef {
                name: "svm",
                version: "0123456789ab",
                labels: &LabelSet::from_names(["blues"]).expect("labels"),
                parameters: None,
            };
            let prediction = ClipPrediction { label: "blues".to_owned(), probabilities: vec![1.0] };
            InferResponse::new(requested, model, &[prediction]).expect("an answer")
        };
        let json = answer(false).into_response();
        assert_eq!(json.headers()[header::CONTENT_TYPE], "application/json");
        assert!(!json.headers().contains_key(HEADER_LENGTH));
        let binary = answer(true);
        let length = serde_json::to_vec(&binary.body).expect("JSON").len();
        let binary = binary.into_response();
        assert_eq!(binary.headers()[header::CONTENT_TYPE], "application/octet-stream");
        assert_eq!(binary.headers()[HEADER_LENGTH], length.to_string());
    }

    #[test]
    fn metadata_are_as_the_protocol_has_them() {
        let labels = LabelSet::from_names(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]).expect("labels");
        let info = ModelInfo {
            name: "dances".to_owned(),
            version: "0123456789ab".to_owned(),
            fingerprint: String::new(),
            kind: "svm",
            labels: 10,
            provenance: serde_json::from_value(json!({
                "trained_on": {"description": "clips", "clips": 7, "synthetic": true},
                "evaluated": {"split": "everything", "accuracy": 0.5, "ci95": [0.25, 0.75], "n": 4},
                "warning": "beware",
            }))
            .expect("provenance"),
        };
        let parameters = Arc::new(ModelParameters::of(&info));
        let model =
            ModelRef { name: "dances", version: "0123456789ab", labels: &labels, parameters: Some(&parameters) };
        let metadata = ModelMetadata::new(model, vec!["0123456789ab".to_owned()], 128);
        let wanted = json!({
            "name": "dances", "versions": ["0123456789ab"], "platform": "tonearm_svm",
            "parameters": {
                "kind": "svm", "labels": 10, "trained_on": "clips", "trained_on_clips": 7, "trained_on_synthetic": true,
                "evaluated_on": "everything", "evaluated_clips": 4, "accuracy": 0.5, "accuracy_ci95_low": 0.25,
                "accuracy_ci95_high": 0.75, "warning": "beware",
            },
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
        for (body, ready) in
            [("", false), (" \r\n", false), ("{}", false), ("null", false), (r#"{"ready": true, "x": 1}"#, true)]
        {
            assert_eq!(IndexRequest::parse(body.as_bytes()).expect(body), IndexRequest { ready }, "{body}");
        }
        for broken in ["{", "[]", r#"{"ready": 1}"#] {
            assert!(IndexRequest::parse(broken.as_bytes()).is_err(), "{broken}");
        }
        let only_ready = IndexRequest { ready: true };
        assert!(only_ready.lists(ModelState::Ready) && !only_ready.lists(ModelState::Unavailable));
    }
}
