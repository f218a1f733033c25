//! [`Vgg19Parameters`]: every number of a trained network, as a safetensors file.

use std::collections::HashMap;

use burn::{
    module::Param,
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use features::FeatureSpec;
use half::f16;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};

use super::{
    log_covariance::Axes,
    network::{Head, Vgg19, Vgg19Config, channels},
    preprocessing::{Channels, MAX_BAND_UPSAMPLING, Preprocessor},
    weights::{BackboneWeights, ConvLayer},
};
use crate::{Error, Result, conformal::Conformal, format::FormatVersion};

const CONFIG: &str = "tonearm.vgg19";
const INPUT_MEAN: &str = "input.mean";
const INPUT_DEVIATION: &str = "input.deviation";
const HEAD_MEAN: &str = "head.mean";
const HEAD_SCALE: &str = "head.scale";
const HEAD_WEIGHT: &str = "head.weight";
const HEAD_BIAS: &str = "head.bias";
const TEMPERATURE: &str = "temperature";
const OWN: [&str; 7] = [INPUT_MEAN, INPUT_DEVIATION, HEAD_MEAN, HEAD_SCALE, HEAD_WEIGHT, HEAD_BIAS, TEMPERATURE];

/// Every number of a trained network, in memory; what an artifact holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Vgg19Parameters {
    /// What the network is made of.
    pub config: Vgg19Config,
    /// How a log-mel becomes three planes.
    pub channels: Channels,
    /// Rows of a plane for each band; see [`Preprocessor`].
    pub band_upsampling: usize,
    /// Mean of each band in dB; `[n_mels]`.
    pub mean: Vec<f32>,
    /// Deviation of each band in dB, over 0; `[n_mels]`.
    pub deviation: Vec<f32>,
    /// The convolutions.
    pub weights: BackboneWeights,
    /// Of each pooled block the axes of its log-covariance, each as long as makes the projections of a typical segment on it deviate by
    /// 1; row-major `[normalisations, channels, axes]`. Empty of a head that takes no log-covariance.
    pub axes: Vec<Vec<f32>>,
    /// See [`Head`].
    pub head: HeadParameters,
    /// Over 1 flattens the probabilities, under 1 sharpens them; over 0.
    pub temperature: f64,
}

/// The numbers of a [`Head`].
#[derive(Clone, Debug, PartialEq)]
pub struct HeadParameters {
    /// `[dim]`.
    pub mean: Vec<f32>,
    /// `[dim]`.
    pub scale: Vec<f32>,
    /// Row-major `[n_classes, dim]`.
    pub weight: Vec<f32>,
    /// `[n_classes]`.
    pub bias: Vec<f32>,
}

/// The metadata of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    network: Vgg19Config,
    channels: Channels,
    band_upsampling: usize,
}

impl HeadParameters {
    /// The head on a device.
    #[must_use]
    pub fn head(&self, device: &Device) -> Head {
        let (dim, n_classes) = (self.mean.len(), self.bias.len());
        let row = |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), [1, dim]), device);
        let weight = Tensor::<2>::from_data(TensorData::new(self.weight.clone(), [n_classes, dim]), device);
        Head {
            mean: row(&self.mean),
            scale: row(&self.scale),
            linear: Linear {
                weight: Param::from_tensor(weight.transpose()),
                bias: Some(Param::from_data(TensorData::new(self.bias.clone(), [n_classes]), device)),
            },
        }
    }
}

impl Vgg19Parameters {
    /// The network on a device.
    ///
    /// # Errors
    /// Those of [`Vgg19Config::init`].
    pub fn network(&self, device: &Device) -> Result<Vgg19> {
        let mut network = self.config.init(&self.weights, device)?;
        network.head = self.head.head(device);
        Ok(network)
    }

    /// The axes on a device; none of a head that takes no log-covariance.
    #[must_use]
    pub fn axes_on(&self, device: &Device) -> Option<Axes> {
        Axes::new(&self.config, &self.axes, device)
    }

    /// What makes the network's input of the log-mels of `spec`: clips shorter than a window are repeated.
    #[must_use]
    pub fn preprocessor(&self, spec: &FeatureSpec) -> Preprocessor {
        Preprocessor {
            normalisations: self.config.normalisations.clone(),
            channels: self.channels,
            band_upsampling: self.band_upsampling,
            mean: self.mean.clone(),
            deviation: self.deviation.clone(),
            min_frames: spec.segmentation.window.frames,
        }
    }

    /// The bytes of a safetensors file; equal parameters give equal bytes.
    ///
    /// # Shapes
    /// - `features.<i>.weight`: `[out, in, 3, 3]`, `features.<i>.bias`: `[out]`, with torchvision's `<i>`; F16 where that
    ///   holds every value of the tensor exactly, else F32
    /// - `input.mean`, `input.deviation`: F32 `[n_mels]`
    /// - `axes.<block>`, of a head that takes log-covariances: F32 `[normalisations, channels, axes]` for each pooled block
    /// - `head.mean`, `head.scale`: F32 `[dim]`; `head.weight`: F32 `[n_classes, dim]`; `head.bias`: F32 `[n_classes]`
    /// - `temperature`: F64 `[1]`
    ///
    /// # Errors
    /// [`Error::Weights`] should the format not hold it.
    pub fn to_tensors(&self) -> Result<Vec<u8>> {
        let f32s = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let (n_mels, dim, n_classes) = (self.mean.len(), self.head.mean.len(), self.head.bias.len());
        let mut tensors = vec![
            (INPUT_MEAN.to_owned(), Dtype::F32, vec![n_mels], f32s(&self.mean)),
            (INPUT_DEVIATION.to_owned(), Dtype::F32, vec![n_mels], f32s(&self.deviation)),
            (HEAD_MEAN.to_owned(), Dtype::F32, vec![dim], f32s(&self.head.mean)),
            (HEAD_SCALE.to_owned(), Dtype::F32, vec![dim], f32s(&self.head.scale)),
            (HEAD_WEIGHT.to_owned(), Dtype::F32, vec![n_classes, dim], f32s(&self.head.weight)),
            (HEAD_BIAS.to_owned(), Dtype::F32, vec![n_classes], f32s(&self.head.bias)),
            (TEMPERATURE.to_owned(), Dtype::F64, vec![1], self.temperature.to_le_bytes().to_vec()),
        ];
        for (block, values) in self.config.pooled_blocks.iter().zip(&self.axes) {
            tensors.push((axes_name(*block), Dtype::F32, axes_shape(&self.config, *block).to_vec(), f32s(values)));
        }
        for conv in self.weights.convs() {
            let ConvLayer { index, in_channels, out_channels } = conv.layer;
            let shape = vec![out_channels, in_channels, 3, 3];
            for (part, shape, values) in [("weight", shape, &conv.weight), ("bias", vec![out_channels], &conv.bias)] {
                let halves: Vec<_> = values.iter().map(|&value| f16::from_f32(value)).collect();
                let exact = values.iter().zip(&halves).all(|(value, half)| half.to_f32().to_bits() == value.to_bits());
                let (dtype, bytes) = if exact {
                    (Dtype::F16, halves.iter().flat_map(|half| half.to_le_bytes()).collect())
                } else {
                    (Dtype::F32, f32s(values))
                };
                tensors.push((format!("features.{index}.{part}"), dtype, shape, bytes));
            }
        }
        let weights = |error: safetensors::SafeTensorError| Error::Weights { detail: error.to_string() };
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(weights)?;
        let header =
            Header { network: self.config.clone(), channels: self.channels, band_upsampling: self.band_upsampling };
        let header = serde_json::to_string(&header).map_err(|error| Error::Weights { detail: error.to_string() })?;
        serialize(views, Some(HashMap::from([(CONFIG.to_owned(), header)]))).map_err(weights)
    }

    /// The oldest format of artifacts that has a place for these weights, whatever model they are of.
    pub(crate) fn format_of(bytes: &[u8]) -> FormatVersion {
        let header = || -> Option<Header> {
            let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
            serde_json::from_str(metadata.metadata().as_ref()?.get(CONFIG)?).ok()
        };
        match header() {
            Some(header) if header.network.log_covariance.is_some() => FormatVersion::LOG_COVARIANCE,
            // Bytes that are no network are those of a machine, or are refused by whoever reads them.
            Some(_) | None => FormatVersion::FIRST,
        }
    }

    /// Reads a safetensors file of [`Vgg19Parameters::to_tensors`].
    ///
    /// # Errors
    /// [`Error::Weights`] for bytes that are no safetensors file, or not one of a network; [`Error::Tensor`] for a tensor
    /// that is missing, surplus, of another type or shape, or holds a value that no training gives, such as a NaN;
    /// [`Error::Network`] for a network that cannot be made.
    pub fn from_tensors(bytes: &[u8]) -> Result<Self> {
        let weights = |error: safetensors::SafeTensorError| Error::Weights { detail: error.to_string() };
        let file = SafeTensors::deserialize(bytes).map_err(weights)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(weights)?;
        let header =
            metadata.metadata().as_ref().and_then(|fields| fields.get(CONFIG)).ok_or_else(|| Error::Weights {
                detail: format!("the file does not say what network it holds (no `{CONFIG}` in its header)"),
            })?;
        let Header { network: config, channels, band_upsampling } =
            serde_json::from_str(header).map_err(|error| Error::Weights { detail: format!("`{CONFIG}`: {error}") })?;
        config.check()?;
        if !(1..=MAX_BAND_UPSAMPLING).contains(&band_upsampling) {
            let detail = format!("a band is drawn as {band_upsampling} rows, not 1 to {MAX_BAND_UPSAMPLING}");
            return Err(Error::Network { detail });
        }
        let convolutions = BackboneWeights::from_bytes(bytes, config.n_blocks())?;
        let blocks_with_axes = if config.log_covariance.is_some() { config.pooled_blocks.as_slice() } else { &[] };
        let known = |name: &str| {
            OWN.contains(&name)
                || blocks_with_axes.iter().any(|block| name == axes_name(*block))
                || Conformal::has_tensor(name)
                || convolutions.convs().iter().any(|conv| {
                    name.strip_prefix("features.")
                        .and_then(|rest| rest.strip_suffix(".weight").or(rest.strip_suffix(".bias")))
                        .is_some_and(|index| index == conv.layer.index.to_string())
                })
        };
        if let Some(name) = file.names().into_iter().filter(|name| !known(name)).min() {
            return Err(Error::tensor(name, "is not one of this network"));
        }
        let (dim, n_classes) = (config.embedding_dim(), config.n_classes);
        let n_mels = file.tensor(INPUT_MEAN).map_or(0, |view| view.shape().iter().product());
        let mean = f32s(&file, INPUT_MEAN, &[n_mels])?;
        let deviation = f32s(&file, INPUT_DEVIATION, &[n_mels])?;
        if let Some(value) = deviation.iter().find(|value| **value <= 0.0) {
            return Err(Error::tensor(INPUT_DEVIATION, format!("holds {value}, which is not over 0")));
        }
        let temperature = temperature(&file)?;
        let axes_of = |block: &usize| f32s(&file, &axes_name(*block), &axes_shape(&config, *block));
        Ok(Self {
            mean,
            deviation,
            axes: blocks_with_axes.iter().map(axes_of).collect::<Result<_>>()?,
            head: HeadParameters {
                mean: f32s(&file, HEAD_MEAN, &[dim])?,
                scale: f32s(&file, HEAD_SCALE, &[dim])?,
                weight: f32s(&file, HEAD_WEIGHT, &[n_classes, dim])?,
                bias: f32s(&file, HEAD_BIAS, &[n_classes])?,
            },
            config,
            channels,
            band_upsampling,
            weights: convolutions,
            temperature,
        })
    }
}

/// The tensor of the axes of a block, 1 to 5.
fn axes_name(block: usize) -> String {
    format!("axes.{block}")
}

/// Its shape.
fn axes_shape(config: &Vgg19Config, block: usize) -> [usize; 3] {
    let axes = config.log_covariance.map_or(0, |log_covariance| log_covariance.axes_of(block));
    [config.normalisations.len(), channels(block), axes]
}

fn view<'a>(file: &SafeTensors<'a>, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8]> {
    let view = file.tensor(name).map_err(|_| Error::tensor(name, "is missing"))?;
    if view.dtype() != dtype {
        return Err(Error::tensor(name, format!("is of type {:?}, not {dtype:?}", view.dtype())));
    }
    if view.shape() != shape {
        return Err(Error::tensor(name, format!("is of shape {:?}, not {shape:?}", view.shape())));
    }
    Ok(view.data())
}

fn f32s(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let (values, _) = view(file, name, Dtype::F32, shape)?.as_chunks::<4>();
    let values: Vec<_> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::tensor(name, format!("holds {} at {index}", values[index]))),
        None => Ok(values),
    }
}

fn temperature(file: &SafeTensors<'_>) -> Result<f64> {
    let (values, _) = view(file, TEMPERATURE, Dtype::F64, &[1])?.as_chunks::<8>();
    match values.first().map(|&bytes| f64::from_le_bytes(bytes)) {
        Some(value) if value.is_finite() && value > 0.0 => Ok(value),
        value => Err(Error::tensor(TEMPERATURE, format!("is {value:?}, not over 0"))),
    }
}
