//! `artifact.json`.

use std::{collections::BTreeMap, path::Path};

use features::{FeatureSpec, Fingerprint};
use labels::LabelSet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names;
use crate::{Error, Result, format::FormatVersion};

/// This program, as it signs what it writes.
pub(super) const PROGRAM: &str = concat!("tonearm ", env!("CARGO_PKG_VERSION"));

/// `artifact.json`: what the model is, its features, what it was trained on, and how good it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout of the artifact.
    pub format: FormatVersion,
    /// The program that wrote it.
    pub program: String,
    /// Kind of model, such as `svm`.
    pub model: String,
    /// The labels of the classes, in the order of the model's outputs; at least two.
    pub labels: LabelSet,
    /// The features that the model takes.
    pub spec: FeatureSpec,
    /// [`FeatureSpec::fingerprint`] of `spec`, as the program that trained computed it.
    pub fingerprint: Fingerprint,
    /// Hyperparameters, seeds, counts, warnings: whatever the training reports of itself.
    pub training: Value,
    /// The clips that it was trained on.
    pub data: DataDescription,
    /// How good it is, by split.
    pub metrics: Vec<SplitMetrics>,
    /// SHA-256 of each other file of the artifact, by name.
    pub files: BTreeMap<String, String>,
}

/// The clips that a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataDescription {
    /// Digest of the clips: ids, labels and levels.
    pub digest: String,
    /// What they are, in words.
    pub description: String,
    /// How many.
    pub clips: usize,
}

/// How good a model is on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitMetrics {
    /// The split, such as `fault-filtered:valid`.
    pub split: String,
    /// Clips scored.
    pub n: usize,
    /// Share of them that was right, 0 to 1.
    pub accuracy: f64,
    /// Further figures, by name.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// The part of `artifact.json` that every format has: enough to say why it is refused.
#[derive(Deserialize)]
struct Preamble {
    format: FormatVersion,
    #[serde(default)]
    program: Option<String>,
}

/// As [`Manifest`], before its specification is known to be one that this program understands.
#[derive(Deserialize)]
struct SpecOnly {
    spec: Value,
    fingerprint: String,
    labels: Vec<String>,
}

impl Manifest {
    /// Refuses a format that this program does not read, looking at nothing else.
    ///
    /// # Errors
    /// [`Error::Format`]; [`Error::Json`] for bytes that do not say their format.
    pub(super) fn check_format(bytes: &[u8], path: &Path) -> Result<()> {
        let json = |error: serde_json::Error| Error::Json { path: path.to_owned(), detail: error.to_string() };
        let Preamble { format, program } = serde_json::from_slice(bytes).map_err(json)?;
        format.check_readable_by(FormatVersion::CURRENT).map_err(|advice| Error::Format {
            path: path.to_owned(),
            found: format,
            supported: FormatVersion::CURRENT,
            program: program.unwrap_or_else(|| "a program that did not say its name".into()),
            ours: PROGRAM,
            advice,
        })
    }

    /// Reads `artifact.json` from its bytes, which came from `path` and are of a format that this program reads.
    ///
    /// # Errors
    /// [`Error::Fingerprint`] for features that this program cannot reproduce; [`Error::Json`], [`Error::Labels`],
    /// [`Error::Name`] for content that no artifact has.
    pub(super) fn from_json(bytes: &[u8], path: &Path) -> Result<Self> {
        let json = |error: serde_json::Error| Error::Json { path: path.to_owned(), detail: error.to_string() };
        // A specification of another revision may have fields that this program does not know.
        let SpecOnly { spec, fingerprint, labels } = serde_json::from_slice(bytes).map_err(json)?;
        if let Err(error) = serde_json::from_value::<FeatureSpec>(spec) {
            return Err(Error::Fingerprint { theirs: fingerprint, ours: format!("nothing ({error})") });
        }
        LabelSet::from_names(labels)?;
        let manifest: Self = serde_json::from_slice(bytes).map_err(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// What holds for every artifact that this program writes or reads.
    pub(super) fn check(&self) -> Result<()> {
        names::check_kind(&self.model)?;
        self.files.keys().try_for_each(|name| names::check_file(name).map(|_| ()))?;
        self.labels.clone().for_training()?;
        self.spec.validate().map_err(|error| match error {
            features::Error::Revision { theirs, ours, .. } => Error::Fingerprint { theirs, ours },
            other => Error::Features(other),
        })?;
        let ours = self.spec.fingerprint();
        if ours != self.fingerprint {
            return Err(Error::Fingerprint { theirs: self.fingerprint.to_string(), ours: ours.to_string() });
        }
        Ok(())
    }

    /// The bytes of `artifact.json`: fields in the order of their declaration, keys of free-form values sorted, floats
    /// in their shortest form that reads back to the same bits.
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut sorted = self.clone();
        sorted.training.sort_all_objects();
        sorted.metrics.iter_mut().flat_map(|metrics| metrics.more.values_mut()).for_each(Value::sort_all_objects);
        let mut bytes = serde_json::to_vec_pretty(&sorted)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
