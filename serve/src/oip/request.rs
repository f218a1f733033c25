//! [`InferRequest`]: what a client sends. The JSON as serde reads it and as `GET /openapi.json` shows it, then its tensors.

use std::borrow::Cow;

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    error::{InferenceError, found_by_serde, quoted},
    schema,
    tensor::{
        AUDIO, Datatype, LOG_MEL, MAX_CLIPS, Object, Text, binary_elements, binary_floats, bounded, dimensions,
        json_elements, split_body, whole,
    },
};
use crate::api::upload::base64;

/// Characters of an `id`.
const MAX_ID: usize = 256;

/// What a client sends: clips, and the outputs that it requests.
#[derive(Debug)]
pub struct InferRequest {
    /// The clips.
    pub input: InferInput,
    /// The requested outputs.
    pub outputs: OutputSpec,
}

/// The clips of a request: at least one, and [`MAX_CLIPS`] at most.
#[derive(Debug)]
pub enum InferInput {
    /// Whole audio files, none of 0 bytes. Those that came as binary data are slices of the body.
    Audio(Vec<Bytes>),
    /// Features.
    LogMel(LogMels),
}

impl InferInput {
    /// How many clips there are.
    #[must_use]
    pub fn clips(&self) -> usize {
        match self {
            Self::Audio(files) => files.len(),
            Self::LogMel(log_mels) => log_mels.clips().len(),
        }
    }
}

/// Log-mel spectrograms of clips of equal length, in dB; every value is finite.
#[derive(Debug, PartialEq)]
pub struct LogMels {
    bands: usize,
    frames: usize,
    values: Vec<f32>,
}

impl LogMels {
    /// Of `values` in the shape clips × `bands` × `frames`; none of these is 0.
    fn new(bands: usize, frames: usize, values: Vec<f32>) -> Self {
        Self { bands, frames, values }
    }

    /// Rows of each clip: mel bands, from low to high frequency.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.bands
    }

    /// Columns of each clip: frames, in the order of time.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Each clip: `bands` × `frames` values, row after row.
    pub fn clips(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.bands * self.frames)
    }

    /// The same, if they have as many bands as the model takes.
    ///
    /// # Errors
    /// [`InferenceError::Input`].
    pub fn with_bands(self, bands: usize) -> Result<Self, InferenceError> {
        if self.bands == bands {
            return Ok(self);
        }
        let problem =
            format!("it has {} bands, the second last dimension of its shape; this model takes {bands}", self.bands);
        Err(InferenceError::input(LOG_MEL, problem))
    }
}

/// The requested outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSpec {
    /// The client's name of the request; sent back.
    pub id: Option<String>,
    /// In the order of the response; never empty.
    pub outputs: Vec<OutputRequest>,
}

/// A requested output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputRequest {
    /// Which.
    pub output: Output,
    /// Whether it is to follow the JSON as binary data.
    pub binary: bool,
}

/// An output of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// `genre`: the most probable label of each clip.
    Label,
    /// `probabilities`: those of all labels.
    Probabilities,
    /// `probabilities`: the most probable labels, as `probability:index:label`.
    Classification {
        /// How many of them, at least one; a model that has fewer labels gives all.
        count: usize,
    },
}

impl Output {
    /// Its name in requests and responses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Label => "genre",
            Self::Probabilities | Self::Classification { .. } => "probabilities",
        }
    }
}

impl InferRequest {
    /// Reads a request from its head and its whole body.
    ///
    /// # Errors
    /// The [`InferenceError`] that says what is wrong with it.
    pub fn parse(headers: &HeaderMap, body: Bytes) -> Result<Self, InferenceError> {
        if headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            return Err(InferenceError::ContentEncoding);
        }
        let (json, mut data) = split_body(headers, body)?;
        let Object(request): Object<InferenceRequestBody<'_>> =
            serde_json::from_slice(&json).map_err(|error| InferenceError::Json { problem: found_by_serde(&error) })?;
        let tensor = request.inputs.first().map(|Object(tensor)| tensor);
        let read = Self::of(&request, |_| match tensor {
            Some(tensor) => tensor.elements(data.as_mut()),
            None => Err("there is no input".to_owned()),
        })?;
        match data {
            Some(surplus) if !surplus.is_empty() => Err(InferenceError::Surplus { bytes: surplus.len() }),
            _ => Ok(read),
        }
    }

    /// Reads a request whose input has the elements that `elements` gives for its datatype.
    ///
    /// # Errors
    /// The [`InferenceError`] that says what is wrong with it.
    pub(super) fn of<'e>(
        request: &InferenceRequestBody<'_>,
        elements: impl FnOnce(Datatype) -> Result<Elements<'e>, String>,
    ) -> Result<Self, InferenceError> {
        let outputs = OutputSpec::of(request)?;
        let [Object(tensor)] = request.inputs.as_slice() else {
            return Err(InferenceError::Inputs { found: request.inputs.len() });
        };
        Ok(Self { input: tensor.read(elements)?, outputs })
    }
}

impl OutputSpec {
    fn of(request: &InferenceRequestBody<'_>) -> Result<Self, InferenceError> {
        let id = request.id.as_deref();
        if let Some(length) = id.map(|id| id.chars().count()).filter(|length| *length > MAX_ID) {
            return Err(InferenceError::Id { length, limit: MAX_ID });
        }
        let binary =
            request.parameters.as_ref().and_then(|Object(parameters)| parameters.binary_data_output).unwrap_or(false);
        let mut outputs: Vec<OutputRequest> = Vec::new();
        for Object(requested) in &request.outputs {
            let output = requested.read(binary)?;
            if outputs.iter().any(|other| other.output.name() == output.output.name()) {
                return Err(InferenceError::output(&requested.name, "it is requested more than once"));
            }
            outputs.push(output);
        }
        if outputs.is_empty() {
            outputs.extend([Output::Label, Output::Probabilities].map(|output| OutputRequest { output, binary }));
        }
        Ok(Self { id: id.map(str::to_owned), outputs })
    }
}

impl RequestedOutput<'_> {
    fn read(&self, binary: bool) -> Result<OutputRequest, InferenceError> {
        let problem = |problem: &str| Err(InferenceError::output(&self.name, problem));
        let default = OutputParameters::default();
        let parameters = self.parameters.as_ref().map_or(&default, |Object(parameters)| parameters);
        if parameters.shared_memory_region.is_some() {
            return problem("shared memory is not supported; set `binary_data` to true instead");
        }
        let output = match (&*self.name, parameters.classification) {
            ("genre", None) => Output::Label,
            ("probabilities", None) => Output::Probabilities,
            ("probabilities", Some(count)) => match usize::try_from(count) {
                Ok(count @ 1..) => Output::Classification { count },
                _ => return problem("`classification` is below 1; give the number of labels that you want"),
            },
            ("genre", Some(_)) => return problem("`classification` needs `probabilities`; request that output"),
            _ => return problem("unknown output; expected `genre` or `probabilities`"),
        };
        Ok(OutputRequest { output, binary: parameters.binary_data.unwrap_or(binary) })
    }
}

/// Tensors in each list; there are two of each to name.
const MAX_TENSORS: usize = 8;
/// Dimensions of a tensor; there are three at the most.
const MAX_RANK: usize = 8;

/// The JSON of a request.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = InferenceRequest)]
pub struct InferenceRequestBody<'a> {
    /// Sent back with the response.
    #[serde(borrow)]
    #[schema(max_length = 256)]
    pub(super) id: Option<Cow<'a, str>>,
    /// Of the whole request; unknown ones are ignored.
    #[schema(value_type = Option<RequestParameters>)]
    pub(super) parameters: Option<Object<RequestParameters>>,
    /// Exactly one: `audio` or `log_mel`.
    #[serde(borrow, deserialize_with = "bounded::<_, _, MAX_TENSORS>")]
    #[schema(value_type = Vec<schema::Input>, min_items = 1, max_items = 1)]
    pub(super) inputs: Vec<Object<InputTensor<'a>>>,
    /// The requested outputs, each once; all when there are none.
    #[serde(borrow, default, deserialize_with = "bounded::<_, _, MAX_TENSORS>")]
    #[schema(value_type = Option<Vec<schema::RequestedOutput>>, max_items = 2)]
    pub(super) outputs: Vec<Object<RequestedOutput<'a>>>,
}

/// Parameters of a request.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = InferenceRequestParameters)]
pub(super) struct RequestParameters {
    /// Whether outputs follow the JSON as binary data, where they do not say otherwise.
    binary_data_output: Option<bool>,
}

/// A tensor of clips.
#[derive(Debug, Deserialize)]
pub(super) struct InputTensor<'a> {
    /// `audio` or `log_mel`.
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// `[clips]` for `audio`; `[clips, bands, frames]` or `[bands, frames]` for `log_mel`.
    #[serde(deserialize_with = "dimensions::<_, MAX_RANK>")]
    shape: Vec<i64>,
    /// `BYTES` for `audio`, `FP32` for `log_mel`.
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    /// Unknown ones are ignored.
    #[serde(borrow)]
    parameters: Option<Object<InputParameters<'a>>>,
    /// The elements, row-major, flat or nested as the shape says: base64 of a file each for `audio`, numbers for
    /// `log_mel`. Not where `binary_data_size` is.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Parameters of an input.
#[derive(Debug, Default, Deserialize)]
pub(super) struct InputParameters<'a> {
    /// Bytes of binary data that this tensor has after the JSON.
    #[serde(default, deserialize_with = "whole")]
    binary_data_size: Option<u64>,
    /// How the strings of `data` stand for bytes: `base64`, the default.
    #[serde(borrow)]
    content_type: Option<Cow<'a, str>>,
    shared_memory_region: Option<IgnoredAny>,
}

/// A requested output.
#[derive(Debug, Deserialize)]
pub(super) struct RequestedOutput<'a> {
    /// `genre` or `probabilities`.
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    /// Unknown ones are ignored.
    pub(super) parameters: Option<Object<OutputParameters>>,
}

/// Parameters of an output.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OutputParameters {
    /// Whether it is to follow the JSON as binary data; if not said, as `binary_data_output` says.
    binary_data: Option<bool>,
    /// Of `probabilities` alone: that many of the most probable labels, as `probability:index:label`.
    #[serde(default, deserialize_with = "whole")]
    classification: Option<i64>,
    shared_memory_region: Option<IgnoredAny>,
}

#[cfg(feature = "grpc")]
impl<'a> InputTensor<'a> {
    /// A tensor whose elements are elsewhere.
    pub(super) fn described(
        name: Cow<'a, str>,
        datatype: Cow<'a, str>,
        shape: Vec<i64>,
        is_in_shared_memory: bool,
    ) -> Self {
        let shared_memory_region = is_in_shared_memory.then_some(IgnoredAny);
        let parameters = InputParameters { shared_memory_region, ..InputParameters::default() };
        Self { name, datatype, shape, parameters: Some(Object(parameters)), data: None }
    }
}

#[cfg(feature = "grpc")]
impl OutputParameters {
    /// Those that an output has over gRPC.
    pub(super) fn of(classification: Option<i64>, is_in_shared_memory: bool) -> Self {
        Self { binary_data: None, classification, shared_memory_region: is_in_shared_memory.then_some(IgnoredAny) }
    }
}

impl InputTensor<'_> {
    /// Reads it with the elements that `elements` gives, if it has the datatype of its name.
    fn read<'e>(
        &self,
        elements: impl FnOnce(Datatype) -> Result<Elements<'e>, String>,
    ) -> Result<InferInput, InferenceError> {
        let checked = |expected: Datatype| {
            if self.datatype != expected.name() {
                return Err(format!("its datatype is `{}`; send {}", quoted(&self.datatype), expected.name()));
            }
            if self.parameters().is_some_and(|parameters| parameters.shared_memory_region.is_some()) {
                return Err("shared memory is not supported; send its data in the body".to_owned());
            }
            elements(expected)
        };
        let input = match &*self.name {
            AUDIO => checked(Datatype::Bytes).and_then(|elements| self.audio(elements)).map(InferInput::Audio),
            LOG_MEL => checked(Datatype::Fp32).and_then(|elements| self.log_mels(elements)).map(InferInput::LogMel),
            _ => Err("unknown input; expected `audio` or `log_mel`".to_owned()),
        };
        input.map_err(|problem| InferenceError::input(&self.name, problem))
    }

    /// Its elements, where it says that they are: in `data`, or at the front of `binary`.
    fn elements(&self, binary: Option<&mut Bytes>) -> Result<Elements<'_>, String> {
        let size = self.parameters().and_then(|parameters| parameters.binary_data_size);
        match (size, self.data, binary) {
            (Some(_), Some(_), _) => Err("it has both `data` and `binary_data_size`; send one of them".to_owned()),
            (None, None, _) => Err("it has neither `data` nor `binary_data_size`; send one of them".to_owned()),
            (None, Some(data), _) => Ok(Elements::Json(data)),
            (Some(_), None, None) => {
                Err("it has `binary_data_size`, and the request no header `Inference-Header-Content-Length`; send both"
                    .to_owned())
            }
            (Some(size), None, Some(binary)) => match usize::try_from(size) {
                Ok(size) if size <= binary.len() => Ok(Elements::Binary(binary.split_to(size))),
                _ => Err(format!("its `binary_data_size` is {size}, and {} bytes follow the JSON", binary.len())),
            },
        }
    }

    fn parameters(&self) -> Option<&InputParameters<'_>> {
        self.parameters.as_ref().map(|Object(parameters)| parameters)
    }

    fn audio(&self, elements: Elements<'_>) -> Result<Vec<Bytes>, String> {
        let shape = self.dimensions()?;
        let clips = match *shape.as_slice() {
            // MLServer's clients write a list of strings in the second way.
            [clips] | [clips, 1] => within_limit(clips)?,
            _ => return Err(format!("its shape is {shape:?}; send [clips]")),
        };
        let files = match elements {
            Elements::Binary(data) => binary_elements(&data, clips)?,
            Elements::Files(files) => counted(files, clips)?,
            Elements::Numbers(_) => return Err("its elements are numbers; send BYTES".to_owned()),
            Elements::Json(data) => {
                let content_type = self.parameters().and_then(|parameters| parameters.content_type.as_deref());
                if content_type.is_some_and(|content_type| content_type != "base64") {
                    return Err(
                        "its `content_type` is not `base64`; text in JSON cannot hold a file otherwise".to_owned()
                    );
                }
                let strings: Vec<Text<'_>> = json_elements(data, &shape, clips)?;
                let decode = |(index, Text(text)): (usize, &Text<'_>)| {
                    let file =
                        base64::decode(text).map_err(|problem| format!("element {index} is not base64: {problem}"))?;
                    Ok(Bytes::from(file))
                };
                strings.iter().enumerate().map(decode).collect::<Result<_, String>>()?
            }
        };
        match files.iter().position(Bytes::is_empty) {
            Some(index) => Err(format!("element {index} has 0 bytes; send a whole audio file in each")),
            None => Ok(files),
        }
    }

    fn log_mels(&self, elements: Elements<'_>) -> Result<LogMels, String> {
        let shape = self.dimensions()?;
        let (clips, bands, frames) = match *shape.as_slice() {
            [bands, frames] => (1, bands, frames),
            [clips, bands, frames] => (within_limit(clips)?, bands, frames),
            _ => {
                return Err(format!(
                    "its shape is {shape:?}; send [clips, bands, frames], or [bands, frames] for one clip"
                ));
            }
        };
        let count = clips.checked_mul(bands).and_then(|count| count.checked_mul(frames));
        let count = count.ok_or_else(|| format!("its shape is {shape:?}, more than any memory holds"))?;
        let values: Vec<f32> = match elements {
            Elements::Binary(data) => binary_floats(&data, count)?,
            Elements::Numbers(values) => counted(values, count)?,
            Elements::Files(_) => return Err("its elements are BYTES; send FP32".to_owned()),
            Elements::Json(data) => json_elements(data, &shape, count)?,
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(format!(
                "element {index} is {}; send levels in dB, all finite",
                values.get(index).copied().unwrap_or(f32::NAN)
            )),
            None => Ok(LogMels::new(bands, frames, values)),
        }
    }

    /// The shape, of which no dimension may be below 1.
    fn dimensions(&self) -> Result<Vec<usize>, String> {
        let dimension = |&size: &i64| usize::try_from(size).ok().filter(|size| *size > 0);
        self.shape
            .iter()
            .map(dimension)
            .collect::<Option<_>>()
            .ok_or_else(|| format!("its shape is {:?}; each dimension is 1 or more", self.shape))
    }
}

/// The elements of a tensor.
pub(super) enum Elements<'a> {
    /// An array.
    Json(&'a RawValue),
    /// Bytes in the form of binary tensor data, which is that of `raw_input_contents` too.
    Binary(Bytes),
    /// Those of `BYTES`, one by one.
    Files(Vec<Bytes>),
    /// Those of `FP32`, one by one.
    Numbers(Vec<f32>),
}

/// Elements, if they are as many as the shape says.
fn counted<T>(elements: Vec<T>, count: usize) -> Result<Vec<T>, String> {
    match elements.len() {
        found if found == count => Ok(elements),
        found => Err(format!("its shape says {count} elements, and its `contents` has {found}")),
    }
}

fn within_limit(clips: usize) -> Result<usize, String> {
    if clips > MAX_CLIPS {
        return Err(format!("its shape says {clips} clips; send at most {MAX_CLIPS} in a request"));
    }
    Ok(clips)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};
    use serde_json::{Value, json};

    use super::{super::tensor::HEADER_LENGTH, *};

    fn parse(body: &Value) -> Result<InferRequest, InferenceError> {
        InferRequest::parse(&HeaderMap::new(), Bytes::from(body.to_string()))
    }

    fn parse_binary(body: &Value, data: &[u8]) -> Result<InferRequest, InferenceError> {
        let json = body.to_string();
        let headers = HeaderMap::from_iter([(HEADER_LENGTH, HeaderValue::from(json.len()))]);
        InferRequest::parse(&headers, Bytes::from([json.as_bytes(), data].concat()))
    }

    fn problem(result: Result<InferRequest, InferenceError>) -> String {
        let error = result.expect_err("broken");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        error.to_string()
    }

    fn audio(input: InferInput) -> Vec<Bytes> {
        match input {
            InferInput::Audio(files) => files,
            InferInput::LogMel(_) => Vec::new(),
        }
    }

    fn log_mels(input: InferInput) -> Option<LogMels> {
        match input {
            InferInput::Audio(_) => None,
            InferInput::LogMel(log_mels) => Some(log_mels),
        }
    }

    #[test]
    fn files_come_as_base64() {
        let request = parse(&json!({
            "id": "a", "parameters": {"priority": 3, "deep": [[{}]]},
            "inputs": [{
                "name": "audio", "shape": [2], "datatype": "BYTES", "data": ["AQID", "_-8"],
                "parameters": {"content_type": "base64", "x": null},
            }],
        }));
        let request = request.expect("a request");
        assert_eq!(request.input.clips(), 2);
        assert_eq!(audio(request.input), [&[1, 2, 3][..], &[255, 239]]);
        assert_eq!(request.outputs.id.as_deref(), Some("a"));
        let outputs = [Output::Label, Output::Probabilities].map(|output| OutputRequest { output, binary: false });
        assert_eq!(request.outputs.outputs, outputs);
        let column =
            json!({"inputs": [{"name": "audio", "shape": [2, 1], "datatype": "BYTES", "data": [["AQID"], ["AQID"]]}]});
        assert_eq!(audio(parse(&column).expect("a column").input).len(), 2);
    }

    #[test]
    fn files_come_as_slices_of_the_body() {
        let json = json!({
            "inputs": [{"name": "audio", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 13}}],
            "parameters": {"binary_data_output": true},
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": false}}, {"name": "genre"}],
        })
        .to_string();
        let headers = HeaderMap::from_iter([(HEADER_LENGTH, HeaderValue::from(json.len()))]);
        let body = Bytes::from([json.as_bytes(), b"\x03\0\0\0abc\x02\0\0\0de"].concat());
        let request = InferRequest::parse(&headers, body.clone()).expect("a request");
        let files = audio(request.input);
        assert_eq!(files, [&b"abc"[..], b"de"]);
        assert_eq!(files[0].as_ptr(), body[json.len() + 4..].as_ptr());
        let outputs = [(Output::Probabilities, false), (Output::Label, true)];
        assert_eq!(request.outputs.outputs, outputs.map(|(output, binary)| OutputRequest { output, binary }));
    }

    #[test]
    fn log_mels_come_flat_nested_or_binary() {
        let input = |shape: &Value, data: &Value| json!({"inputs": [{"data": data, "name": "log_mel", "shape": shape, "datatype": "FP32"}]});
        let wanted = LogMels { bands: 2, frames: 3, values: vec![0.0, -80.0, -1.5, 1.0, 2.0, 3.0] };
        for (shape, data) in [
            (json!([2, 3]), json!([0, -80, -1.5, 1, 2, 3])),
            (json!([2, 3]), json!([[0, -80, -1.5], [1, 2, 3]])),
            (json!([1, 2, 3]), json!([[[0, -80, -1.5], [1, 2, 3]]])),
        ] {
            assert_eq!(log_mels(parse(&input(&shape, &data)).expect("a request").input).as_ref(), Some(&wanted));
        }
        let binary = json!({"inputs": [{
            "name": "log_mel", "shape": [2, 1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16},
        }]});
        let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let request = parse_binary(&binary, &bytes).expect("a request");
        let found = log_mels(request.input).expect("log-mels");
        assert_eq!(found.clips().collect::<Vec<_>>(), [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!((found.bands(), found.frames()), (1, 2));
        assert!(found.with_bands(128).expect_err("other bands").to_string().contains("this model takes 128"));
        for bad in [f32::NAN, f32::INFINITY] {
            let bytes: Vec<u8> = [1.0f32, 2.0, bad, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
            assert!(problem(parse_binary(&binary, &bytes)).contains("element 2 is"));
        }
        let found = problem(parse(&input(&json!([1, 2]), &json!([0, 1e39]))));
        assert!(found.contains("number out of range"), "{found}");
    }

    #[test]
    fn broken_inputs_say_what_is_broken() {
        let audio = |input: Value| {
            let mut tensor = json!({"name": "audio", "shape": [1], "datatype": "BYTES"});
            let members = input.as_object().into_iter().flatten();
            tensor
                .as_object_mut()
                .expect("an object")
                .extend(members.map(|(name, value)| (name.clone(), value.clone())));
            problem(parse(&json!({"inputs": [tensor]})))
        };
        for (input, message) in [
            (json!({"name": "track", "data": ["AQID"]}), "input `track`: unknown input"),
            (json!({"datatype": "FP32", "data": [1]}), "its datatype is `FP32`; send BYTES"),
            (json!({}), "neither `data` nor `binary_data_size`"),
            (json!({"data": null}), "neither `data` nor `binary_data_size`"),
            (json!({"data": ["AQID"], "parameters": {"binary_data_size": 7}}), "both `data` and"),
            (json!({"parameters": {"binary_data_size": 7}}), "no header `Inference-Header-Content-Length`"),
            (json!({"parameters": {"shared_memory_region": "x"}}), "shared memory is not supported"),
            (json!({"data": ["AQID"], "parameters": {"content_type": "str"}}), "is not `base64`"),
            (json!({"data": ["AQID", "AQID"]}), "over 1 elements"),
            (json!({"data": []}), "has 0 elements, and the shape says 1"),
            (json!({"data": ["*"]}), "element 0 is not base64"),
            (json!({"data": [""]}), "element 0 has 0 bytes"),
            (json!({"data": "AQID"}), "expected an array"),
            (json!({"shape": [0], "data": []}), "each dimension is 1 or more"),
            (json!({"shape": [-1], "data": ["AQID"]}), "each dimension is 1 or more"),
            (json!({"shape": [], "data": ["AQID"]}), "send [clips]"),
            (json!({"shape": [1, 2], "data": ["AQID", "AQID"]}), "send [clips]"),
            (json!({"shape": [65], "data": []}), "send at most 64"),
            (json!({"shape": [1, 1, 1, 1, 1, 1, 1, 1, 1], "data": []}), "at most 8"),
            (json!({"name": "log_mel", "shape": [4], "datatype": "FP32", "data": []}), "[clips, bands, frames]"),
            (
                json!({"name": "log_mel", "shape": [i64::MAX, 9], "datatype": "FP32", "data": []}),
                "more than any memory",
            ),
            (json!({"name": "log_mel", "shape": [1000, 1000], "datatype": "FP32", "data": [1]}), "too short"),
        ] {
            let found = audio(input.clone());
            assert!(found.contains(message), "{input}: {found}");
        }
    }

    #[test]
    fn broken_requests_say_what_is_broken() {
        let tensor = json!({"name": "audio", "shape": [1], "datatype": "BYTES", "data": ["AQID"]});
        for (request, message) in [
            (json!([]), "expected an object"),
            (json!({}), "missing field `inputs`"),
            (json!({"inputs": []}), "0 inputs; send exactly one"),
            (json!({"inputs": [tensor, tensor]}), "2 inputs; send exactly one"),
            (json!({"inputs": ["x"]}), "expected an object"),
            (json!({"inputs": [{"shape": [1], "datatype": "BYTES"}]}), "missing field `name`"),
            (json!({"inputs": [tensor], "parameters": []}), "expected an object"),
            (json!({"inputs": [tensor], "id": "é".repeat(257)}), "`id` has 257 characters; at most 256"),
            (json!({"inputs": [tensor], "id": 5}), "expected a string"),
            (json!({"inputs": [tensor], "outputs": [{"name": "mfcc"}]}), "output `mfcc`: unknown output"),
            (json!({"inputs": [tensor], "outputs": [{"name": "genre"}, {"name": "genre"}]}), "more than once"),
            (
                json!({"inputs": [tensor], "outputs": [{"name": "genre", "parameters": {"classification": 2}}]}),
                "needs `probabilities`",
            ),
            (
                json!({"inputs": [tensor], "outputs": [{"name": "probabilities", "parameters": {"classification": 0}}]}),
                "below 1",
            ),
            (
                json!({"inputs": [tensor], "outputs": [{"name": "genre", "parameters": {"shared_memory_region": "x"}}]}),
                "shared memory",
            ),
        ] {
            let found = problem(parse(&request));
            assert!(found.contains(message), "{request}: {found}");
        }
        assert!(problem(parse_binary(&json!({"inputs": [tensor]}), b"abc")).contains("3 bytes follow"));
        let sized = json!({"inputs": [{"name": "audio", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 9}}]});
        assert!(problem(parse_binary(&sized, b"\0\0\0\0")).contains("is 9, and 4 bytes follow"));
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        let error = InferRequest::parse(&headers, Bytes::new()).expect_err("compressed");
        assert_eq!(error.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
