//! The convolutions of a VGG19 that others trained: from a file of torchvision's or timm's, or from an artifact.
//!
//! What a file is, its content says, not its name. Only what is asked for is read, and no length that a file claims is
//! believed before it was held against the file's own.

use std::{
    collections::HashMap,
    fmt::Display,
    fs::{self, File},
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use half::{bf16, f16};
use safetensors::tensor::Metadata;
use sha2::{Digest, Sha256};

use crate::{
    Error, Result,
    artifact::{self, Artifact, WEIGHTS},
};

/// Kind of model of an artifact that holds a VGG19.
const MODEL: &str = "vgg19";
/// Largest file; torchvision's has 574,673,361 bytes.
const FILE_LIMIT: u64 = 4 << 30;
/// Largest header of a safetensors file; that of a VGG19 has some 4000 bytes.
const HEADER_LIMIT: u64 = 1 << 20;
/// Where a checkpoint of a training keeps the weights.
const HOLDERS: [&str; 4] = ["", "state_dict.", "model.", "model_state_dict."];
const ADVICE: &str = "give a vgg19 of torchvision or timm";

/// One convolution of VGG19: 3×3, stride 1, padding 1, and a ReLU after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvLayer {
    /// Its place in torchvision's `features`.
    pub index: usize,
    /// Channels that it takes.
    pub in_channels: usize,
    /// Channels that it gives.
    pub out_channels: usize,
}

/// The convolutions of VGG19, block by block from the input on; a block ends with a pooling of 2×2 by the maximum.
///
/// Configuration E of Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015.
pub const BLOCKS: [&[ConvLayer]; 5] = [
    &[layer(0, 3, 64), layer(2, 64, 64)],
    &[layer(5, 64, 128), layer(7, 128, 128)],
    &[layer(10, 128, 256), layer(12, 256, 256), layer(14, 256, 256), layer(16, 256, 256)],
    &[layer(19, 256, 512), layer(21, 512, 512), layer(23, 512, 512), layer(25, 512, 512)],
    &[layer(28, 512, 512), layer(30, 512, 512), layer(32, 512, 512), layer(34, 512, 512)],
];

const fn layer(index: usize, in_channels: usize, out_channels: usize) -> ConvLayer {
    ConvLayer { index, in_channels, out_channels }
}

/// The numbers of one convolution, all of them finite.
#[derive(Clone, PartialEq)]
pub struct ConvWeights {
    /// Which convolution.
    pub layer: ConvLayer,
    /// `[out_channels, in_channels, 3, 3]`, row-major.
    pub weight: Vec<f32>,
    /// `[out_channels]`.
    pub bias: Vec<f32>,
}

/// The convolutions of the first blocks of a VGG19.
#[derive(Clone, PartialEq)]
pub struct BackboneWeights {
    convs: Vec<ConvWeights>,
    digest: String,
}

impl BackboneWeights {
    /// Reads the first `blocks` blocks, 1 to 5, from `path`: a safetensors file; a file of `torch.save` with a state dict,
    /// a checkpoint that holds one, or a whole module; an artifact of ours, as [`artifact::resolve`] finds it.
    ///
    /// Tensors are named as torchvision names them, `features.0.weight` and so on, and hold F16, BF16, F32 or F64, which
    /// is rounded to `f32`. Others, such as those of the classifier, are not looked at.
    ///
    /// # Errors
    /// [`Error::PretrainedTensor`] for a tensor that is missing, of another shape or type, holds a NaN or an infinity, or
    /// shows the file to be of another network; [`Error::Pretrained`] for a file that is cut, of another kind, or over
    /// 4 GiB, or an artifact of another model; [`Error::Io`]; for a folder those of [`artifact::resolve`] and
    /// [`Artifact::open`].
    pub fn read(path: &Path, blocks: usize) -> Result<Self> {
        let wrong = |detail: &str| Err(refused(path, detail));
        if !(1..=BLOCKS.len()).contains(&blocks) {
            return wrong(&format!("a VGG19 has {} blocks, not {blocks}", BLOCKS.len()));
        }
        let metadata = fs::metadata(path).map_err(Error::io("find", path))?;
        if metadata.is_dir() {
            return Self::from_artifact(path, blocks);
        }
        match metadata.len() {
            _ if !metadata.is_file() => return wrong("it is neither a file nor a folder"),
            0 => return wrong("it is empty; copy it again"),
            len if len > FILE_LIMIT => return wrong(&format!("it has over {FILE_LIMIT} bytes; {ADVICE}")),
            _ => {}
        }
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let mut start = Vec::new();
        file.by_ref().take(512).read_to_end(&mut start).map_err(Error::io("read", path))?;
        match Kind::of(&start) {
            Kind::Safetensors => Self::from_safetensors(path, file, metadata.len(), blocks),
            Kind::Torch => Self::from_torch(path, blocks),
            Kind::Other(what) => wrong(&format!("{what}; {ADVICE}, as safetensors or as torch.save wrote it")),
        }
    }

    /// The convolutions, from the input on.
    #[must_use]
    pub fn convs(&self) -> &[ConvWeights] {
        &self.convs
    }

    /// SHA-256, in hexadecimal, of the names, shapes and `f32` values: the same for the same values in another file.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    fn from_artifact(path: &Path, blocks: usize) -> Result<Self> {
        let artifact = Artifact::open(&artifact::resolve(path, Some(MODEL))?)?;
        let model = &artifact.manifest().model;
        if model != MODEL {
            let detail = format!("it is an artifact of the model `{model}`, not `{MODEL}`; {ADVICE}");
            return Err(refused(artifact.dir(), detail));
        }
        let bytes = artifact.weights()?;
        Self::from_safetensors(&artifact.dir().join(WEIGHTS), Cursor::new(bytes), bytes.len() as u64, blocks)
    }

    /// Reads a safetensors file of `len` bytes.
    fn from_safetensors(path: &Path, mut file: impl Read + Seek, len: u64, blocks: usize) -> Result<Self> {
        let wrong = |detail: String| refused(path, detail);
        let cut = |needed: u64| wrong(format!("it is cut: {needed} bytes are needed, it has {len}; copy it again"));
        file.rewind().map_err(Error::io("read", path))?;
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| cut(8))?;
        let header_len = u64::from_le_bytes(length);
        if header_len > HEADER_LIMIT {
            return Err(wrong(format!("its header claims {header_len} bytes, over {HEADER_LIMIT}; {ADVICE}")));
        }
        let data = 8 + header_len;
        if data > len {
            return Err(cut(data));
        }
        let mut header = Vec::new();
        file.by_ref().take(header_len).read_to_end(&mut header).map_err(Error::io("read", path))?;
        // Checks that the tensors follow each other without gaps, each as long as its shape says.
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| wrong(format!("its header is not a safetensors header: {}", short(error))))?;
        let needed = data.saturating_add(metadata.data_len() as u64);
        if needed > len {
            return Err(cut(needed));
        }
        if needed < len {
            return Err(wrong(format!("it has {len} bytes, though its header speaks of {needed}; copy it again")));
        }
        let tensors = metadata.tensors();
        let entries = tensors.iter().map(|(name, info)| {
            (name.as_str(), Entry { shape: &info.shape, dtype: info.dtype.to_string(), source: info.data_offsets })
        });
        assemble(path, &entries.collect(), blocks, |&(start, end)| {
            file.seek(SeekFrom::Start(data + start as u64))?;
            let mut bytes = vec![0; end - start];
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        })
    }

    /// Reads a file of `torch.save`.
    #[cfg(feature = "pytorch")]
    fn from_torch(path: &Path, blocks: usize) -> Result<Self> {
        use pytorch_reader::PytorchReader;

        let reader = PytorchReader::new(path).map_err(|error| {
            let detail = "it is cut, or torch.save did not write it; copy it again, or save its state_dict() anew";
            refused(path, format!("{detail} ({})", short(error)))
        })?;
        let entries = reader.tensors().iter().map(|(name, tensor)| {
            let dtype = format!("{:?}", tensor.dtype());
            (name.as_str(), Entry { shape: tensor.shape(), dtype, source: tensor })
        });
        assemble(path, &entries.collect(), blocks, |tensor| tensor.read())
    }

    #[cfg(not(feature = "pytorch"))]
    fn from_torch(path: &Path, _: usize) -> Result<Self> {
        Err(refused(path, "this program was built without reading files of torch.save; give a safetensors file"))
    }
}

impl std::fmt::Debug for BackboneWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackboneWeights").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// What a file is, by its first bytes.
enum Kind {
    Safetensors,
    Torch,
    Other(&'static str),
}

impl Kind {
    fn of(start: &[u8]) -> Self {
        /// The number that opens a file of PyTorch 0.1.10 to 1.5, among them torchvision's own.
        const LEGACY: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
        if start.get(8) == Some(&b'{') {
            Self::Safetensors
        } else if start.starts_with(b"PK\x03\x04") || start.windows(10).take(55).any(|bytes| bytes == LEGACY) {
            Self::Torch
        } else if start.get(257..262) == Some(b"ustar") {
            Self::Other("it is a tar archive, as PyTorch before 0.1.10 wrote them")
        } else if start.starts_with(b"\x89HDF") {
            Self::Other("it is an HDF5 file, as Keras writes them")
        } else if start.starts_with(b"version https://git-lfs") {
            Self::Other("it is a pointer of Git LFS, not the file itself")
        } else {
            Self::Other("it holds no weights that this program knows")
        }
    }
}

/// A type of number that an `f32` is made of.
#[derive(Clone, Copy)]
enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

impl Float {
    /// By the name that both safetensors and pytorch-reader give it.
    fn named(dtype: &str) -> Option<Self> {
        match dtype {
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            "F32" => Some(Self::F32),
            "F64" => Some(Self::F64),
            _ => None,
        }
    }

    /// The numbers of little-endian `bytes`, and how many bytes too many there are.
    fn read(self, bytes: &[u8]) -> (Vec<f32>, usize) {
        fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> (Vec<f32>, usize) {
            let (values, rest) = bytes.as_chunks::<N>();
            (values.iter().map(|&value| read(value)).collect(), rest.len())
        }
        match self {
            Self::F16 => each(bytes, |value| f16::from_le_bytes(value).to_f32()),
            Self::Bf16 => each(bytes, |value| bf16::from_le_bytes(value).to_f32()),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F64 => each(bytes, |value| f64::from_le_bytes(value) as f32),
        }
    }
}

/// A tensor whose bytes were not read yet.
struct Entry<'a, S> {
    shape: &'a [usize],
    dtype: String,
    source: S,
}

/// Takes the convolutions of the first `blocks` blocks out of `entries`.
fn assemble<S>(
    path: &Path,
    entries: &HashMap<&str, Entry<'_, S>>,
    blocks: usize,
    mut bytes_of: impl FnMut(&S) -> io::Result<Vec<u8>>,
) -> Result<BackboneWeights> {
    let refuse =
        |name: &str, detail: String| Error::PretrainedTensor { path: path.to_owned(), name: name.to_owned(), detail };
    // `DataParallel` puts `module.` before every name.
    let prefix = HOLDERS
        .iter()
        .flat_map(|holder| ["", "module."].map(|parallel| format!("{holder}{parallel}")))
        .find(|prefix| entries.contains_key(format!("{prefix}features.0.weight").as_str()))
        .unwrap_or_default();
    if let Some((name, network)) = other_network(entries.keys().filter_map(|name| name.strip_prefix(prefix.as_str()))) {
        return Err(refuse(&name, format!("does not belong to it: the file seems to hold {network}; {ADVICE}")));
    }

    let mut tensor = |name: &str, shape: &[usize], digest: &mut Sha256| {
        let Some(Entry { shape: found, dtype, source }) = entries.get(format!("{prefix}{name}").as_str()) else {
            return Err(refuse(name, format!("is missing among the {} of the file; {ADVICE}", entries.len())));
        };
        if *found != shape {
            return Err(refuse(name, format!("is of shape {}, not {shape:?}; {ADVICE}", short(format!("{found:?}")))));
        }
        let float = Float::named(dtype).ok_or_else(|| {
            refuse(name, format!("is of type {dtype}, not F16, BF16, F32 or F64; save it as one of these"))
        })?;
        let bytes = bytes_of(source).map_err(|error| refuse(name, format!("cannot be read: {}", short(error))))?;
        let (values, rest) = float.read(&bytes);
        if values.len() != shape.iter().product::<usize>() || rest != 0 {
            return Err(refuse(name, format!("has {} bytes, which shape {shape:?} does not", bytes.len())));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(refuse(name, format!("holds {} at {:?}; copy the file again", values[at], place(at, shape))));
        }
        note(digest, name, shape, &values);
        Ok(values)
    };
    let mut digest = Sha256::new();
    let mut convs = Vec::new();
    for &layer in BLOCKS.iter().take(blocks).copied().flatten() {
        let ConvLayer { index, in_channels, out_channels } = layer;
        let weight = tensor(&format!("features.{index}.weight"), &[out_channels, in_channels, 3, 3], &mut digest)?;
        let bias = tensor(&format!("features.{index}.bias"), &[out_channels], &mut digest)?;
        convs.push(ConvWeights { layer, weight, bias });
    }
    Ok(BackboneWeights { convs, digest: hex(digest) })
}

/// Adds a tensor to the digest of the weights.
fn note(digest: &mut Sha256, name: &str, shape: &[usize], values: &[f32]) {
    digest.update(format!("{name} {shape:?}\n"));
    digest.update(values.iter().copied().flat_map(f32::to_le_bytes).collect::<Vec<u8>>());
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tensor of `features` that VGG19 does not have, and which network may have it: the first blocks of a VGG16 alone would
/// look like those of a VGG19.
fn other_network<'a>(names: impl Iterator<Item = &'a str>) -> Option<(String, &'static str)> {
    let (kind, index) = names
        .filter_map(|name| {
            let (index, kind) = name.strip_prefix("features.")?.split_once('.')?;
            let index = index.parse::<u16>().ok()?;
            let known = BLOCKS.iter().copied().flatten().any(|layer| layer.index == usize::from(index));
            (kind == "running_mean" || kind == "weight" && !known).then_some((kind, index))
        })
        .min()?;
    let network = match (kind, index) {
        ("running_mean", _) => "a network with batch normalization, such as vgg19_bn",
        (_, 3) => "a vgg11 or an AlexNet",
        (_, 15) => "a vgg13",
        (_, 17) => "a vgg16",
        _ => "another network",
    };
    Some((format!("features.{index}.{kind}"), network))
}

/// The place of value `at` in a tensor of this shape.
fn place(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (place, &size) in place.iter_mut().zip(shape).rev() {
        *place = at % size;
        at /= size;
    }
    place
}

/// The start of a text that may quote a hostile file.
fn short(text: impl Display) -> String {
    text.to_string().chars().take(300).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn refused(path: &Path, detail: impl Into<String>) -> Error {
    Error::Pretrained { path: path.to_owned(), detail: detail.into() }
}

impl BackboneWeights {
    /// The convolutions of the first blocks, from the input on.
    fn new(convs: Vec<ConvWeights>) -> Self {
        let mut digest = Sha256::new();
        for ConvWeights { layer: ConvLayer { index, in_channels, out_channels }, weight, bias } in &convs {
            note(&mut digest, &format!("features.{index}.weight"), &[*out_channels, *in_channels, 3, 3], weight);
            note(&mut digest, &format!("features.{index}.bias"), &[*out_channels], bias);
        }
        Self { convs, digest: hex(digest) }
    }

    /// Reads the tensors of an artifact.
    pub(in crate::vgg19) fn from_bytes(bytes: &[u8], blocks: usize) -> Result<Self> {
        let name = Path::new(WEIGHTS);
        Self::from_safetensors(name, Cursor::new(bytes), bytes.len() as u64, blocks)
    }

    /// Convolutions that know nothing, of the first `blocks` blocks (1 to 5): weights of mean 0 and variance
    /// `2 / (9 · out_channels)`, as torchvision begins (He et al. 2015, fan-out), rounded to 16-bit floats; biases of 0.
    ///
    /// `normal` gives draws of the standard normal distribution.
    #[must_use]
    pub fn random(blocks: usize, mut normal: impl FnMut() -> f64) -> Self {
        let mut conv = |&layer: &ConvLayer| {
            let ConvLayer { in_channels, out_channels, .. } = layer;
            let deviation = libm::sqrt(2.0 / (9.0 * out_channels as f64));
            let weight = (0..out_channels * in_channels * 9).map(|_| half(normal() * deviation)).collect();
            ConvWeights { layer, weight, bias: vec![0.0; out_channels] }
        };
        Self::new(BLOCKS.iter().take(blocks).copied().flatten().map(&mut conv).collect())
    }

    /// Every value rounded to the nearest 16-bit float.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let round = |values: &[f32]| values.iter().map(|&value| half(value.into())).collect();
        let conv = |conv: &ConvWeights| ConvWeights {
            layer: conv.layer,
            weight: round(&conv.weight),
            bias: round(&conv.bias),
        };
        Self::new(self.convs.iter().map(conv).collect())
    }

    /// With `others` in place of the convolutions that stand where they do.
    #[must_use]
    pub fn with(&self, others: Vec<ConvWeights>) -> Self {
        let mut convs = self.convs.clone();
        for other in others {
            if let Some(conv) = convs.iter_mut().find(|conv| conv.layer == other.layer) {
                *conv = other;
            }
        }
        Self::new(convs)
    }
}

/// The nearest 16-bit float; the largest there is for what is beyond it.
fn half(value: f64) -> f32 {
    let largest = f64::from(f16::MAX.to_f32());
    f16::from_f64(value.clamp(-largest, largest)).to_f32()
}

#[cfg(test)]
mod tests;
