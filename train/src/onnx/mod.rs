//! Models as ONNX files, for programs that are not Tonearm.
//!
//! A graph takes segments and gives their probabilities; the mean over the segments of a clip is that of the clip. A network, and a support
//! vector machine whose descriptors need the log-mel alone, take the log-mel `[segments, n_mels, frames]` in dB; another machine takes the
//! vectors of its descriptors `[segments, dimensions]`. The metadata of the file say what the model is:
//!
//! - `model`, `version`: kind of the model, and the version of its artifact;
//! - `labels`: a list in JSON, in the order of the probabilities;
//! - `feature_spec`: the specification of the features as canonical JSON, and `fingerprint`, its SHA-256;
//! - `input`: `log_mel` or `descriptors`, the name of the input;
//! - `descriptors`: where the input is that, a list in JSON of the name of each dimension.
//!
//! Convolutions compute in `f32`, as in [`models`]; all else in `f64`, since few bits of a covariance with a small eigenvalue are left of its
//! `f32`. Operators are those of opset 17. The same artifact gives the same bytes.

mod graph;
mod linear_algebra;
mod log_mel;
mod messages;
mod svm;
mod vgg19;

use features::spec::Needs;
use models::{
    artifact::Artifact,
    ensemble::{EnsembleClassifier, EnsembleParameters},
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier, Vgg19Parameters},
};
use prost::Message as _;

use graph::Graph;
use messages::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// `ModelProto.ir_version` of ONNX 1.12, which brought opset 17.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// Largest message that protobuf allows.
const MAX_BYTES: usize = i32::MAX as usize;
/// The output of every graph.
const OUTPUT: &str = "probabilities";

/// What a graph takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Log-mels, `[segments, n_mels, frames]`, in dB.
    LogMel,
    /// Vectors of descriptors, `[segments, dimensions]`.
    Descriptors,
}

impl Input {
    /// The name of the input in the graph.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LogMel => "log_mel",
            Self::Descriptors => "descriptors",
        }
    }
}

/// A model as an ONNX file.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file.
    pub bytes: Vec<u8>,
    /// What its graph takes.
    pub input: Input,
    /// The size of a segment: bands and frames, or dimensions.
    pub shape: Vec<usize>,
    /// The labels of the classes, in the order of the probabilities.
    pub labels: Vec<String>,
}

/// Why a model could not be written as ONNX.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An ensemble, which joins its members clip by clip and not segment by segment.
    #[error(
        "an ensemble is not written as ONNX, since it joins the probabilities of clips and not of segments: export its members, {members}, and join \
         them as docs/export.md says"
    )]
    Ensemble {
        /// Name, version and weight of each.
        members: String,
    },
    /// A kind of model that is not known here.
    #[error("a model of kind `{kind}` cannot be written as ONNX; `svm` and `vgg19` can")]
    Kind {
        /// What its artifact says.
        kind: String,
    },
    /// A number of frames that no segment of the model has.
    #[error("a segment of this model has {least} to {most} frames, not {found}")]
    Frames {
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
        /// What was asked for.
        found: usize,
    },
    /// A number of frames for a model that takes vectors.
    #[error(
        "this model takes vectors of descriptors, since some need more than the log-mel: they have no frames; leave the number out"
    )]
    NoFrames,
    /// More bytes than a protobuf message may have.
    #[error("the file would have {bytes} bytes, and ONNX allows {}; train a smaller model", MAX_BYTES)]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// The weights of the artifact cannot be read.
    #[error(transparent)]
    Model(#[from] models::Error),
    /// The features of the artifact cannot be computed.
    #[error(transparent)]
    Features(#[from] features::Error),
    /// The metadata cannot be written.
    #[error("failed to write the metadata as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// `Result` with this module's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Writes the model of an artifact as an ONNX file that takes segments of `frames` frames, or of as many as a segment of its specification has.
/// A clip that is shorter than a segment is one segment of its own length.
///
/// # Errors
/// [`Error::Ensemble`] and [`Error::Kind`] for a model that cannot be written; [`Error::Frames`] and [`Error::NoFrames`]; [`Error::TooLarge`];
/// the errors of the weights and the features.
pub fn export(artifact: &Artifact, frames: Option<usize>) -> Result<Exported> {
    let manifest = artifact.manifest();
    let spec = &manifest.spec;
    let labels: Vec<String> = manifest.labels.iter().map(ToString::to_string).collect();
    let mut g = Graph::default();
    let (input, shape, probabilities) = match manifest.model.as_str() {
        SvmClassifier::NAME => {
            let classifier = SvmClassifier::from_artifact(artifact)?;
            let svm = classifier.svm();
            let (input, shape) = if spec.needs() == Needs::LogMel {
                (Input::LogMel, vec![spec.mel.n_mels, segment_frames(artifact, frames)?])
            } else if frames.is_some() {
                return Err(Error::NoFrames);
            } else {
                (Input::Descriptors, vec![svm.dim()])
            };
            let given = g.input(input.name(), &shape);
            let vectors = match (input, shape.last()) {
                (Input::LogMel, Some(&frames)) => {
                    let log_mel = log_mel::quantised(&mut g, spec.quantisation, given);
                    log_mel::vector(&mut g, spec, frames, log_mel)?
                }
                _ => given,
            };
            (input, shape, svm::probabilities(&mut g, svm, vectors))
        }
        Vgg19Classifier::NAME => {
            // Checks that weights, labels and features fit each other.
            Vgg19Classifier::from_artifact(artifact, Backend::default())?;
            let parameters = Vgg19Parameters::from_tensors(artifact.weights()?)?;
            let frames = segment_frames(artifact, frames)?;
            let shape = vec![spec.mel.n_mels, frames];
            let given = g.input(Input::LogMel.name(), &shape);
            let log_mel = log_mel::quantised(&mut g, spec.quantisation, given);
            let probabilities = vgg19::probabilities(&mut g, &parameters, spec, frames, log_mel);
            (Input::LogMel, shape, probabilities)
        }
        EnsembleClassifier::NAME => {
            let EnsembleParameters { members } = EnsembleParameters::from_tensors(artifact.weights()?)?;
            let members = members.iter().map(|member| format!("{member} (weight {})", member.weight));
            return Err(Error::Ensemble { members: members.collect::<Vec<_>>().join(" and ") });
        }
        other => return Err(Error::Kind { kind: other.to_owned() }),
    };
    let probabilities = g.cast_to_f32(probabilities);
    g.output(probabilities, OUTPUT, &[labels.len()]);
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "tonearm".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: description(&manifest.model, artifact.version(), input),
        graph: Some(g.finish(&manifest.model)),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata(artifact, input, &labels)?,
    };
    let bytes = model.encoded_len();
    if bytes > MAX_BYTES {
        return Err(Error::TooLarge { bytes });
    }
    Ok(Exported { bytes: model.encode_to_vec(), input, shape, labels })
}

/// The frames of a segment: those that were asked for, if a segment can have so many.
fn segment_frames(artifact: &Artifact, frames: Option<usize>) -> Result<usize> {
    let segmentation = artifact.manifest().spec.segmentation;
    let (least, most) = (segmentation.min_frames, segmentation.segment.frames);
    match frames.unwrap_or(most) {
        found if (least..=most).contains(&found) => Ok(found),
        found => Err(Error::Frames { least, most, found }),
    }
}

fn description(kind: &str, version: &str, input: Input) -> String {
    let takes = match input {
        Input::LogMel => "the log-mel of a segment in dB",
        Input::Descriptors => "the descriptors of a segment",
    };
    format!(
        "{kind} {version} of Tonearm: {takes} to the probability of each label. The mean over segments is that of the clip."
    )
}

fn metadata(artifact: &Artifact, input: Input, labels: &[String]) -> Result<Vec<StringStringEntryProto>> {
    let manifest = artifact.manifest();
    let mut entries = vec![
        ("model", manifest.model.clone()),
        ("version", artifact.version().to_owned()),
        ("labels", serde_json::to_string(labels)?),
        ("feature_spec", manifest.spec.canonical_json()),
        ("fingerprint", manifest.fingerprint.to_string()),
        ("input", input.name().to_owned()),
    ];
    if input == Input::Descriptors {
        let extractor = features::Extractor::new(manifest.spec.clone())?;
        entries.push(("descriptors", serde_json::to_string(extractor.names())?));
    }
    Ok(entries.into_iter().map(|(key, value)| StringStringEntryProto { key: key.to_owned(), value }).collect())
}
