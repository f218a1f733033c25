//! [`ModelConfig`]: the configuration of a model in Triton's form, [an extension of the protocol].
//!
//! [an extension of the protocol]: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_configuration.md

use std::collections::BTreeMap;

use models::vgg19::Backend;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    response::{ModelMetadata, TensorMetadata},
    tensor::{Datatype, MAX_CLIPS},
};
use crate::{
    Rejection,
    config::Compute,
    engine::model::{Model, ModelParameters},
};

/// `GET /v2/models/{model}/config`: those fields of Triton's configuration that have a meaning here.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = InferenceModelConfig)]
pub struct ModelConfig {
    /// Its name.
    #[schema(example = "svm")]
    pub name: String,
    /// Its implementation: `tonearm_svm`, `tonearm_vgg19` or `tonearm_ensemble`.
    #[schema(example = "tonearm_svm")]
    pub platform: String,
    /// `tonearm`.
    #[schema(example = "tonearm")]
    pub backend: &'static str,
    /// 0: the shapes of the tensors are whole, with the clips as their first dimension.
    pub max_batch_size: i32,
    /// Inputs; a request has exactly one of them.
    pub input: Vec<InputConfig>,
    /// Outputs.
    pub output: Vec<OutputConfig>,
    /// What runs it.
    pub instance_group: Vec<InstanceGroup>,
    /// What else there is to know: `label_names` (an array in JSON), `max_clips` of a request; of a network `max_batch` and
    /// `batch_delay_milliseconds`; and where the model comes from, as in its metadata.
    pub parameters: BTreeMap<String, ParameterConfig>,
    /// One response for each request.
    pub model_transaction_policy: TransactionPolicy,
}

/// An input of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceInputConfig)]
pub struct InputConfig {
    /// Its name.
    #[schema(example = "audio")]
    pub name: &'static str,
    /// Its datatype.
    pub data_type: DataType,
    /// Its shape; −1 where any size will do.
    #[schema(example = json!([-1]))]
    pub dims: Vec<i64>,
    /// Whether a request may have another input in its place.
    pub optional: bool,
}

/// An output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceOutputConfig)]
pub struct OutputConfig {
    /// Its name.
    #[schema(example = "genre")]
    pub name: &'static str,
    /// Its datatype.
    pub data_type: DataType,
    /// Its shape; −1 where any size will do.
    #[schema(example = json!([-1]))]
    pub dims: Vec<i64>,
}

/// The datatypes, as Triton's configuration names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = InferenceConfigDatatype)]
pub enum DataType {
    /// Strings of bytes.
    TypeString,
    /// f32.
    TypeFp32,
    /// f64.
    TypeFp64,
}

impl From<Datatype> for DataType {
    fn from(datatype: Datatype) -> Self {
        match datatype {
            Datatype::Bytes => Self::TypeString,
            Datatype::Fp32 => Self::TypeFp32,
            Datatype::Fp64 => Self::TypeFp64,
        }
    }
}

/// What runs a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceInstanceGroup)]
pub struct InstanceGroup {
    /// CPU or GPU.
    pub kind: InstanceKind,
    /// How many requests it runs at once; a network runs one batch.
    pub count: i32,
}

/// CPU or GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = InferenceInstanceKind)]
pub enum InstanceKind {
    /// GPU.
    KindGpu,
    /// CPU.
    KindCpu,
}

/// A parameter, which is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceParameterConfig)]
pub struct ParameterConfig {
    /// Its value.
    pub string_value: String,
}

/// How many responses a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceTransactionPolicy)]
pub struct TransactionPolicy {
    /// Whether another number than one.
    pub decoupled: bool,
}

impl ModelConfig {
    /// Of a model with these metadata, in a server that computes so.
    ///
    /// # Errors
    /// [`Rejection::Internal`]; not for parameters that are numbers and words.
    pub(super) fn new(model: &Model, metadata: ModelMetadata, compute: &Compute) -> Result<Self, Rejection> {
        let ModelMetadata { name, platform, inputs, outputs, .. } = metadata;
        let optional = inputs.len() > 1;
        let input = |TensorMetadata { name, datatype, shape }| InputConfig {
            name,
            data_type: datatype.into(),
            dims: shape,
            optional,
        };
        let output =
            |TensorMetadata { name, datatype, shape }| OutputConfig { name, data_type: datatype.into(), dims: shape };
        let on_cpu = !model.kind().uses_device() || matches!(compute.device, Backend::Flex | Backend::Ndarray);
        let kind = if on_cpu { InstanceKind::KindCpu } else { InstanceKind::KindGpu };
        let count = if model.kind().batches() { 1 } else { compute.threads };
        Ok(Self {
            name,
            platform,
            backend: "tonearm",
            max_batch_size: 0,
            input: inputs.into_iter().map(input).collect(),
            output: outputs.into_iter().map(output).collect(),
            instance_group: vec![InstanceGroup { kind, count: i32::try_from(count).unwrap_or(i32::MAX) }],
            parameters: parameters(model, compute)?,
            model_transaction_policy: TransactionPolicy { decoupled: false },
        })
    }
}

fn parameters(model: &Model, compute: &Compute) -> Result<BTreeMap<String, ParameterConfig>, Rejection> {
    let own: &ModelParameters = model.parameters();
    let Value::Object(own) = serde_json::to_value(own).map_err(Rejection::internal)? else {
        return Err(Rejection::internal("the parameters of a model are no object"));
    };
    let labels: Vec<&str> = model.labels().iter().map(|label| label.as_str()).collect();
    let mut all: Map<String, Value> = own;
    all.insert("label_names".to_owned(), serde_json::to_string(&labels).map_err(Rejection::internal)?.into());
    all.insert("max_clips".to_owned(), MAX_CLIPS.into());
    all.insert("fingerprint".to_owned(), model.info().fingerprint.clone().into());
    if model.kind().batches() {
        all.insert("max_batch".to_owned(), compute.max_batch.into());
        let delay = u64::try_from(compute.batch_delay.as_millis()).unwrap_or(u64::MAX);
        all.insert("batch_delay_milliseconds".to_owned(), delay.into());
    }
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(all.into_iter().map(|(name, value)| (name, ParameterConfig { string_value: text(value) })).collect())
}
