//! Between messages and what the protocol has over HTTP.

use std::{borrow::Cow, collections::HashMap};

use axum::body::Bytes;
use serde_json::Value;

use super::{
    super::{
        config::{self, ModelConfig},
        error::InferenceError,
        request::{Elements, InferRequest, InferenceRequestBody, InputTensor, OutputParameters, RequestedOutput},
        response::{Data, InferResponse, ModelMetadata, OutputTensor, RepositoryEntry, ServerMetadata},
        statistics::{self, StatisticsResponse},
        tensor::{Datatype, Object},
    },
    messages::{
        self, InferParameter, InferTensor, InferTensorContents, ModelInferRequest, ModelInferResponse, ParameterChoice,
    },
};

/// The parameter of a tensor that is in shared memory.
const SHARED_MEMORY: &str = "shared_memory_region";

/// Reads a request.
///
/// # Errors
/// The [`InferenceError`] that says what is wrong with it.
pub(super) fn infer_request(message: ModelInferRequest) -> Result<InferRequest, InferenceError> {
    let ModelInferRequest { id, inputs, outputs, mut raw_input_contents, .. } = message;
    let raws = raw_input_contents.len();
    if raws > 0 && raws != inputs.len() {
        return Err(InferenceError::RawContents { inputs: inputs.len(), contents: raws });
    }
    let mut contents: Vec<Option<InferTensorContents>> = Vec::new();
    let mut tensors = Vec::new();
    for InferTensor { name, datatype, shape, parameters, contents: typed } in inputs {
        contents.push(typed);
        let is_shared = parameters.contains_key(SHARED_MEMORY);
        tensors.push(Object(InputTensor::described(name.into(), datatype.into(), shape, is_shared)));
    }
    let output = |output: messages::InferRequestedOutput| {
        let parameters = Some(Object(output_parameters(&output.name, &output.parameters)?));
        Ok(Object(RequestedOutput { name: output.name.into(), parameters }))
    };
    let request = InferenceRequestBody {
        id: Some(Cow::from(id)).filter(|id| !id.is_empty()),
        parameters: None,
        inputs: tensors,
        outputs: outputs.into_iter().map(output).collect::<Result<_, InferenceError>>()?,
    };
    let (raw, typed) = (raw_input_contents.pop(), contents.pop().flatten());
    InferRequest::of(&request, |expected| elements(expected, raw, typed))
}

/// The elements of the input, which are in one of two places.
fn elements(
    expected: Datatype,
    raw: Option<Bytes>,
    typed: Option<InferTensorContents>,
) -> Result<Elements<'static>, String> {
    match (raw, typed) {
        (Some(_), Some(_)) => {
            Err("the request has both `raw_input_contents` and `contents`; send one of them".to_owned())
        }
        (Some(raw), None) => Ok(Elements::Binary(raw)),
        (None, Some(typed)) => Ok(match expected {
            Datatype::Bytes => Elements::Files(typed.bytes),
            Datatype::Fp32 | Datatype::Fp64 => Elements::Numbers(typed.fp32),
        }),
        (None, None) => Err("the request has neither `raw_input_contents` nor `contents`; send one of them".to_owned()),
    }
}

fn output_parameters(
    name: &str,
    parameters: &HashMap<String, InferParameter>,
) -> Result<OutputParameters, InferenceError> {
    let classification = match parameters.get("classification").map(|parameter| &parameter.choice) {
        None => None,
        Some(Some(ParameterChoice::Int64(count))) => Some(*count),
        Some(Some(ParameterChoice::Uint64(count))) => Some(i64::try_from(*count).unwrap_or(i64::MAX)),
        Some(_) => return Err(InferenceError::output(name, "`classification` is no whole number")),
    };
    Ok(OutputParameters::of(classification, parameters.contains_key(SHARED_MEMORY)))
}

/// Writes a response, with its tensors as bytes or as numbers and strings.
pub(super) fn infer_response(response: InferResponse, raw: bool) -> ModelInferResponse {
    let body = response.into_body();
    let mut message = ModelInferResponse {
        model_name: body.model_name,
        model_version: body.model_version,
        id: body.id.unwrap_or_default(),
        parameters: body.parameters.map(|parameters| own_parameters(&*parameters)).unwrap_or_default(),
        ..ModelInferResponse::default()
    };
    for mut output in body.outputs {
        let mut tensor = InferTensor {
            name: output.name.to_owned(),
            datatype: output.datatype.name().to_owned(),
            shape: output.shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect(),
            ..InferTensor::default()
        };
        if raw {
            message.raw_output_contents.push(raw_contents(&mut output));
        } else {
            tensor.contents = output.data.take().map(typed_contents);
        }
        message.outputs.push(tensor);
    }
    message
}

fn raw_contents(output: &mut OutputTensor) -> Bytes {
    let mut bytes = Vec::new();
    output.move_data(&mut bytes);
    bytes.into()
}

fn typed_contents(data: Data) -> InferTensorContents {
    match data {
        Data::Strings(strings) => {
            InferTensorContents { bytes: strings.into_iter().map(Bytes::from).collect(), ..Default::default() }
        }
        Data::Numbers(fp64) => InferTensorContents { fp64, ..Default::default() },
    }
}

/// What is said of a model, as parameters.
fn own_parameters(parameters: &impl serde::Serialize) -> HashMap<String, InferParameter> {
    let Ok(Value::Object(members)) = serde_json::to_value(parameters) else { return HashMap::new() };
    let choice = |value: Value| match value {
        Value::Bool(value) => Some(ParameterChoice::Bool(value)),
        Value::String(value) => Some(ParameterChoice::String(value)),
        Value::Number(value) => {
            value.as_i64().map(ParameterChoice::Int64).or(value.as_f64().map(ParameterChoice::Double))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let parameter = |(name, value)| Some((name, InferParameter { choice: Some(choice(value)?) }));
    members.into_iter().filter_map(parameter).collect()
}

impl From<ServerMetadata> for messages::ServerMetadataResponse {
    fn from(metadata: ServerMetadata) -> Self {
        Self {
            name: metadata.name.to_owned(),
            version: metadata.version.to_owned(),
            extensions: metadata.extensions.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<ModelMetadata> for messages::ModelMetadataResponse {
    fn from(metadata: ModelMetadata) -> Self {
        let tensor = |tensor: super::super::response::TensorMetadata| messages::TensorMetadata {
            name: tensor.name.to_owned(),
            datatype: tensor.datatype.name().to_owned(),
            shape: tensor.shape,
        };
        Self {
            name: metadata.name,
            versions: metadata.versions,
            platform: metadata.platform,
            inputs: metadata.inputs.into_iter().map(tensor).collect(),
            outputs: metadata.outputs.into_iter().map(tensor).collect(),
        }
    }
}

impl From<Vec<RepositoryEntry>> for messages::RepositoryIndexResponse {
    fn from(entries: Vec<RepositoryEntry>) -> Self {
        let model = |entry: RepositoryEntry| messages::ModelIndex {
            state: entry.state.name().to_owned(),
            name: entry.name,
            version: entry.version.unwrap_or_default(),
            reason: entry.reason,
        };
        Self { models: entries.into_iter().map(model).collect() }
    }
}

impl From<config::DataType> for messages::DataType {
    fn from(datatype: config::DataType) -> Self {
        match datatype {
            config::DataType::TypeString => Self::String,
            config::DataType::TypeFp32 => Self::Fp32,
            config::DataType::TypeFp64 => Self::Fp64,
        }
    }
}

impl From<ModelConfig> for messages::ModelConfig {
    fn from(config: ModelConfig) -> Self {
        let datatype = |datatype: config::DataType| messages::DataType::from(datatype).into();
        let input = |input: config::InputConfig| messages::InputConfig {
            name: input.name.to_owned(),
            data_type: datatype(input.data_type),
            dims: input.dims,
            optional: input.optional,
        };
        let output = |output: config::OutputConfig| messages::OutputConfig {
            name: output.name.to_owned(),
            data_type: datatype(output.data_type),
            dims: output.dims,
        };
        let group = |group: config::InstanceGroup| {
            let kind = match group.kind {
                config::InstanceKind::KindCpu => messages::InstanceKind::Cpu,
                config::InstanceKind::KindGpu => messages::InstanceKind::Gpu,
            };
            messages::InstanceGroup { count: group.count, kind: kind.into() }
        };
        let parameter =
            |(name, config::ParameterConfig { string_value })| (name, messages::ParameterConfig { string_value });
        let policy = messages::TransactionPolicy { decoupled: config.model_transaction_policy.decoupled };
        Self {
            name: config.name,
            platform: config.platform,
            max_batch_size: config.max_batch_size,
            input: config.input.into_iter().map(input).collect(),
            output: config.output.into_iter().map(output).collect(),
            instance_group: config.instance_group.into_iter().map(group).collect(),
            parameters: config.parameters.into_iter().map(parameter).collect(),
            backend: config.backend.to_owned(),
            model_transaction_policy: Some(policy),
        }
    }
}

impl From<StatisticsResponse> for messages::ModelStatisticsResponse {
    fn from(response: StatisticsResponse) -> Self {
        let total = |total: statistics::StatisticDuration| {
            Some(messages::StatisticDuration { count: total.count, ns: total.ns })
        };
        let batch = |batch: statistics::BatchStatistics| messages::InferBatchStatistics {
            batch_size: batch.batch_size,
            compute_input: total(batch.compute_input),
            compute_infer: total(batch.compute_infer),
            compute_output: total(batch.compute_output),
        };
        let model = |model: statistics::ModelStatistics| {
            let steps = model.inference_stats;
            messages::ModelStatistics {
                name: model.name,
                version: model.version,
                last_inference: model.last_inference,
                inference_count: model.inference_count,
                execution_count: model.execution_count,
                inference_stats: Some(messages::InferStatistics {
                    success: total(steps.success),
                    fail: total(steps.fail),
                    queue: total(steps.queue),
                    compute_input: total(steps.compute_input),
                    compute_infer: total(steps.compute_infer),
                    compute_output: total(steps.compute_output),
                    cache_hit: total(steps.cache_hit),
                    cache_miss: total(steps.cache_miss),
                }),
                batch_stats: model.batch_stats.into_iter().map(batch).collect(),
            }
        };
        Self { model_stats: response.model_stats.into_iter().map(model).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::request::InferInput, *};

    fn parameter(choice: ParameterChoice) -> InferParameter {
        InferParameter { choice: Some(choice) }
    }

    fn request(contents: Option<InferTensorContents>, raw: Vec<Bytes>) -> ModelInferRequest {
        let input = InferTensor {
            name: "audio".to_owned(),
            datatype: "BYTES".to_owned(),
            shape: vec![1],
            contents,
            ..InferTensor::default()
        };
        ModelInferRequest { inputs: vec![input], raw_input_contents: raw, ..ModelInferRequest::default() }
    }

    #[test]
    fn files_come_raw_or_as_contents() {
        let typed = InferTensorContents { bytes: vec![Bytes::from_static(b"RIFF")], ..Default::default() };
        let raw = Bytes::from_static(b"\x04\0\0\0RIFF");
        for request in [request(Some(typed.clone()), vec![]), request(None, vec![raw.clone()])] {
            let read = infer_request(request).expect("a file");
            assert!(matches!(&read.input, InferInput::Audio(files) if files == &[&b"RIFF"[..]]), "{read:?}");
            assert_eq!((read.outputs.id, read.outputs.outputs.len()), (None, 2));
        }
        for (request, words) in [
            (request(Some(typed.clone()), vec![raw.clone()]), "both"),
            (request(None, vec![]), "neither"),
            (request(None, vec![raw.clone(), raw]), "2"),
            (request(Some(InferTensorContents::default()), vec![]), "0"),
            (ModelInferRequest::default(), "0 inputs"),
        ] {
            let error = infer_request(request).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn shared_memory_and_odd_parameters_are_refused() {
        let mut shared = request(None, vec![]);
        let region = ("shared_memory_region".to_owned(), parameter(ParameterChoice::String("x".to_owned())));
        shared.inputs[0].parameters.extend([region.clone()]);
        assert!(infer_request(shared).expect_err("refused").to_string().contains("shared memory"));
        let raw = Bytes::from_static(b"\x04\0\0\0RIFF");
        for (name, choice, words) in [
            ("classification", ParameterChoice::Double(1.0), "whole number"),
            ("classification", ParameterChoice::Int64(0), "below 1"),
            ("shared_memory_region", ParameterChoice::Bool(true), "shared memory"),
        ] {
            let parameters = [(name.to_owned(), parameter(choice))].into();
            let output = messages::InferRequestedOutput { name: "probabilities".to_owned(), parameters };
            let request = ModelInferRequest { outputs: vec![output], ..request(None, vec![raw.clone()]) };
            let error = infer_request(request).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
