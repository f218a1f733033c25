//! [`InferRequest`]: what a client sends, and what it wants back.

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};

use super::{
    InferenceError, LOG_MEL, binary,
    error::found_by_serde,
    json::Object,
    wire::{InferenceRequestBody, OutputParameters, RequestedOutput},
};

/// Bytes of an `id`.
const MAX_ID: usize = 256;

/// What a client sends: songs, and how it wants them answered.
#[derive(Debug)]
pub struct InferRequest {
    /// The songs.
    pub input: Input,
    /// How they are to be answered.
    pub wanted: Wanted,
}

/// The songs of a request: at least one, and [`MAX_SONGS`](super::MAX_SONGS) at the most.
#[derive(Debug)]
pub enum Input {
    /// Whole audio files, none of 0 bytes. Those that came as binary data are slices of the body.
    Audio(Vec<Bytes>),
    /// Features.
    LogMel(LogMels),
}

impl Input {
    /// How many songs there are.
    #[must_use]
    pub fn songs(&self) -> usize {
        match self {
            Self::Audio(files) => files.len(),
            Self::LogMel(log_mels) => log_mels.songs().len(),
        }
    }
}

/// Log-mel spectrograms of songs of equal length, in dB; every value is finite.
#[derive(Debug, PartialEq)]
pub struct LogMels {
    bands: usize,
    frames: usize,
    values: Vec<f32>,
}

impl LogMels {
    /// Of `values` that are songs × `bands` × `frames`; neither of these is 0.
    pub(super) fn new(bands: usize, frames: usize, values: Vec<f32>) -> Self {
        Self { bands, frames, values }
    }

    /// Rows of each song: mel bands, from low to high frequency.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.bands
    }

    /// Columns of each song: frames, in the order of time.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Each song: `bands` × `frames` values, row after row.
    pub fn songs(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.bands * self.frames)
    }

    /// The same, if they have as many bands as the model hears.
    ///
    /// # Errors
    /// [`InferenceError::Input`].
    pub fn with_bands(self, bands: usize) -> Result<Self, InferenceError> {
        if self.bands == bands {
            return Ok(self);
        }
        let problem =
            format!("it has {} bands; this model hears {bands}, the second last dimension of the shape", self.bands);
        Err(InferenceError::input(LOG_MEL, problem))
    }
}

/// How a request is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What the client calls the request; sent back.
    pub id: Option<String>,
    /// In the order of the answer; never empty.
    pub outputs: Vec<OutputRequest>,
}

/// An output as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputRequest {
    /// Which.
    pub output: Output,
    /// Whether it is to follow the JSON as binary data.
    pub binary: bool,
}

/// What a model can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// `genre`: the most probable label of each song.
    Genre,
    /// `probabilities`: those of all labels.
    Probabilities,
    /// `probabilities`: the most probable labels, as `probability:index:label`.
    Classification {
        /// How many of them, at least one; a model that has fewer labels gives all.
        count: usize,
    },
}

impl Output {
    /// Its name in requests and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Genre => "genre",
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
        let (json, mut data) = binary::split(headers, body)?;
        let Object(request): Object<InferenceRequestBody<'_>> =
            serde_json::from_slice(&json).map_err(|error| InferenceError::Json { problem: found_by_serde(&error) })?;
        let wanted = Wanted::of(&request)?;
        let [Object(tensor)] = request.inputs.as_slice() else {
            return Err(InferenceError::Inputs { found: request.inputs.len() });
        };
        let input = tensor.read(data.as_mut())?;
        match data {
            Some(surplus) if !surplus.is_empty() => Err(InferenceError::Surplus { bytes: surplus.len() }),
            _ => Ok(Self { input, wanted }),
        }
    }
}

impl Wanted {
    fn of(request: &InferenceRequestBody<'_>) -> Result<Self, InferenceError> {
        let id = request.id.as_deref();
        if let Some(length) = id.map(str::len).filter(|length| *length > MAX_ID) {
            return Err(InferenceError::Id { length, limit: MAX_ID });
        }
        let binary =
            request.parameters.as_ref().and_then(|Object(parameters)| parameters.binary_data_output).unwrap_or(false);
        let mut outputs: Vec<OutputRequest> = Vec::new();
        for Object(requested) in &request.outputs {
            let output = requested.read(binary)?;
            if outputs.iter().any(|other| other.output.name() == output.output.name()) {
                return Err(InferenceError::output(&requested.name, "it is there more than once; name it once"));
            }
            outputs.push(output);
        }
        if outputs.is_empty() {
            outputs.extend([Output::Genre, Output::Probabilities].map(|output| OutputRequest { output, binary }));
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
            ("genre", None) => Output::Genre,
            ("probabilities", None) => Output::Probabilities,
            ("probabilities", Some(count)) => match usize::try_from(count) {
                Ok(count @ 1..) => Output::Classification { count },
                _ => return problem("`classification` is below 1; give the number of labels that you want"),
            },
            ("genre", Some(_)) => return problem("it has no probabilities to classify by; ask for `probabilities`"),
            _ => return problem("there is no such output; there are `genre` and `probabilities`"),
        };
        Ok(OutputRequest { output, binary: parameters.binary_data.unwrap_or(binary) })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};
    use serde_json::{Value, json};

    use super::{super::HEADER_LENGTH, *};

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

    fn audio(input: Input) -> Vec<Bytes> {
        match input {
            Input::Audio(files) => files,
            Input::LogMel(_) => Vec::new(),
        }
    }

    fn log_mels(input: Input) -> Option<LogMels> {
        match input {
            Input::Audio(_) => None,
            Input::LogMel(log_mels) => Some(log_mels),
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
        assert_eq!(request.input.songs(), 2);
        assert_eq!(audio(request.input), [&[1, 2, 3][..], &[255, 239]]);
        assert_eq!(request.wanted.id.as_deref(), Some("a"));
        let outputs = [Output::Genre, Output::Probabilities].map(|output| OutputRequest { output, binary: false });
        assert_eq!(request.wanted.outputs, outputs);
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
        let outputs = [(Output::Probabilities, false), (Output::Genre, true)];
        assert_eq!(request.wanted.outputs, outputs.map(|(output, binary)| OutputRequest { output, binary }));
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
        assert_eq!(found.songs().collect::<Vec<_>>(), [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!((found.bands(), found.frames()), (1, 2));
        assert!(found.with_bands(128).expect_err("other bands").to_string().contains("this model hears 128"));
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
            (json!({"name": "song", "data": ["AQID"]}), "input `song`: there is no such input"),
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
            (json!({"shape": [], "data": ["AQID"]}), "send [songs]"),
            (json!({"shape": [1, 2], "data": ["AQID", "AQID"]}), "send [songs]"),
            (json!({"shape": [65], "data": []}), "send at most 64"),
            (json!({"shape": [1, 1, 1, 1, 1, 1, 1, 1, 1], "data": []}), "at most 8"),
            (json!({"name": "log_mel", "shape": [4], "datatype": "FP32", "data": []}), "[songs, bands, frames]"),
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
            (json!({"inputs": [tensor], "id": "x".repeat(257)}), "`id` has 257 bytes; at most 256"),
            (json!({"inputs": [tensor], "id": 5}), "expected a string"),
            (json!({"inputs": [tensor], "outputs": [{"name": "mfcc"}]}), "output `mfcc`: there is no such output"),
            (json!({"inputs": [tensor], "outputs": [{"name": "genre"}, {"name": "genre"}]}), "more than once"),
            (
                json!({"inputs": [tensor], "outputs": [{"name": "genre", "parameters": {"classification": 2}}]}),
                "ask for `probabilities`",
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
