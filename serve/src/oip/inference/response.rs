//! [`InferResponse`]: verdicts in the form that the client wants.

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Datatype, HEADER_LENGTH, InferenceError, Output, Wanted, binary};
use crate::Rejection;

/// What a model says of one song.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The most probable label.
    pub genre: String,
    /// Of every label, in the order of the model's.
    pub probabilities: Vec<f64>,
}

/// Which model gave the verdicts.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// `svm` or `vgg19`.
    pub name: &'a str,
    /// The version of its artifact.
    pub version: &'a str,
    /// Its labels.
    pub labels: &'a [String],
}

/// An answer, to be sent as JSON or as JSON and binary data.
#[derive(Debug)]
pub struct InferResponse {
    body: InferenceResponseBody,
    binary: Option<Vec<u8>>,
}

/// The JSON of an answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceResponse)]
pub struct InferenceResponseBody {
    /// `svm` or `vgg19`.
    #[schema(example = "svm")]
    model_name: String,
    /// 12 hexadecimal digits that name the content of its artifact.
    #[schema(example = "0123456789ab")]
    model_version: String,
    /// That of the request, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    /// As they were asked for.
    outputs: Vec<OutputTensor>,
}

/// A tensor of the answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferenceOutput)]
struct OutputTensor {
    /// `genre` or `probabilities`.
    name: &'static str,
    /// `BYTES` for `genre` and for a classification, `FP64` for `probabilities`.
    datatype: Datatype,
    /// `[songs]` for `genre`, `[songs, labels]` for `probabilities`, `[songs, count]` for a classification.
    shape: Vec<usize>,
    /// Only where its data is binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameters: Option<OutputTensorParameters>,
    /// The elements, row-major and flat; not where its data is binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data: Option<Data>,
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
enum Data {
    /// Of `BYTES`.
    Strings(Vec<String>),
    /// Of `FP64`.
    Numbers(Vec<f64>),
}

impl InferResponse {
    /// Puts the verdicts of `model` on the songs of a request, in their order, into the form that is `wanted`.
    ///
    /// # Errors
    /// [`InferenceError::Rejected`] as a fault of ours, if a verdict has not one probability for each label.
    pub fn new(wanted: Wanted, model: Model<'_>, verdicts: &[Verdict]) -> Result<Self, InferenceError> {
        if verdicts.iter().any(|verdict| verdict.probabilities.len() != model.labels.len()) {
            return Err(Rejection::internal("a verdict has not one probability for each label").into());
        }
        let mut binary = None;
        let mut outputs = Vec::with_capacity(wanted.outputs.len());
        for request in wanted.outputs {
            let mut tensor = OutputTensor::new(request.output, model.labels, verdicts);
            if request.binary {
                tensor.move_data(binary.get_or_insert_default());
            }
            outputs.push(tensor);
        }
        let (model_name, model_version) = (model.name.to_owned(), model.version.to_owned());
        Ok(Self { body: InferenceResponseBody { model_name, model_version, id: wanted.id, outputs }, binary })
    }
}

impl OutputTensor {
    fn new(output: Output, labels: &[String], verdicts: &[Verdict]) -> Self {
        let songs = verdicts.len();
        let (shape, data) = match output {
            Output::Genre => {
                (vec![songs], Data::Strings(verdicts.iter().map(|verdict| verdict.genre.clone()).collect()))
            }
            Output::Probabilities => {
                let all = verdicts.iter().flat_map(|verdict| verdict.probabilities.iter().copied());
                (vec![songs, labels.len()], Data::Numbers(all.collect()))
            }
            Output::Classification { count } => {
                let count = count.min(labels.len());
                let best = verdicts.iter().flat_map(|verdict| classes(labels, &verdict.probabilities, count));
                (vec![songs, count], Data::Strings(best.collect()))
            }
        };
        let datatype = match data {
            Data::Strings(_) => Datatype::Bytes,
            Data::Numbers(_) => Datatype::Fp64,
        };
        Self { name: output.name(), datatype, shape, parameters: None, data: Some(data) }
    }

    /// Writes its data to the end of `binary` instead.
    fn move_data(&mut self, binary: &mut Vec<u8>) {
        let start = binary.len();
        match self.data.take() {
            None => {}
            Some(Data::Strings(strings)) => binary::write_elements(strings.iter().map(String::as_str), binary),
            Some(Data::Numbers(numbers)) => binary.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
        }
        self.parameters = Some(OutputTensorParameters { binary_data_size: binary.len() - start });
    }
}

/// The `count` most probable labels as `probability:index:label`, of equals the first first.
fn classes<'a>(labels: &'a [String], probabilities: &'a [f64], count: usize) -> impl Iterator<Item = String> + 'a {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::OutputRequest, *};

    fn answer(outputs: &[(Output, bool)]) -> (Value, Option<Vec<u8>>) {
        let outputs = outputs.iter().map(|&(output, binary)| OutputRequest { output, binary }).collect();
        let labels = ["blues", "jazz", "rock"].map(str::to_owned);
        let verdicts = [("rock", [0.2, 0.3, 0.5]), ("blues", [0.4, 0.4, 0.2])];
        let verdicts = verdicts
            .map(|(genre, probabilities)| Verdict { genre: genre.to_owned(), probabilities: probabilities.to_vec() });
        let wanted = Wanted { id: Some("a".to_owned()), outputs };
        let model = Model { name: "svm", version: "0123456789ab", labels: &labels };
        let response = InferResponse::new(wanted, model, &verdicts).expect("an answer");
        (serde_json::to_value(&response.body).expect("JSON"), response.binary)
    }

    #[test]
    fn outputs_are_answered_in_json() {
        let (body, binary) = answer(&[(Output::Genre, false), (Output::Probabilities, false)]);
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
        let (body, binary) = answer(&[(Output::Probabilities, true), (Output::Genre, true)]);
        assert_eq!(body["outputs"][0]["parameters"], json!({"binary_data_size": 48}));
        assert_eq!(body["outputs"][1]["parameters"], json!({"binary_data_size": 17}));
        assert!(body["outputs"][0].get("data").is_none());
        let binary = binary.expect("binary data");
        assert_eq!(binary[..8], 0.2f64.to_le_bytes());
        assert_eq!(&binary[48..], b"\x04\0\0\0rock\x05\0\0\0blues");
    }

    #[test]
    fn a_classification_has_the_best_labels_of_each_song() {
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
    fn a_verdict_without_a_probability_for_each_label_is_no_answer() {
        let wanted = Wanted { id: None, outputs: vec![OutputRequest { output: Output::Genre, binary: false }] };
        let model = Model { name: "svm", version: "0123456789ab", labels: &["blues".to_owned()] };
        let verdict = Verdict { genre: "blues".to_owned(), probabilities: vec![] };
        let error = InferResponse::new(wanted, model, &[verdict]).expect_err("no answer");
        assert_eq!(error.status().as_u16(), 500);
    }

    #[test]
    fn heads_say_where_the_binary_data_begins() {
        let answer = |binary| {
            let wanted = Wanted { id: None, outputs: vec![OutputRequest { output: Output::Genre, binary }] };
            let model = Model { name: "svm", version: "0123456789ab", labels: &["blues".to_owned()] };
            let verdict = Verdict { genre: "blues".to_owned(), probabilities: vec![1.0] };
            InferResponse::new(wanted, model, &[verdict]).expect("an answer")
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
}
