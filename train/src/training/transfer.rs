//! [`InitialNetwork`]: a trained network that a training on other labels starts from.
//!
//! Its convolutions, its normalisations, the standardisation of its input and the statistics that its head takes are kept; the head and its
//! temperature are new. Only what the artifact of such a network says of itself is new in an artifact: the field `init` of `training`.

use std::{collections::BTreeSet, fmt, path::Path};

use anyhow::{Context as _, Result, bail};
use data::labels::LabelSet;
use features::{FeatureSpec, Fingerprint};
use models::{
    artifact::{self, Artifact, DataDescription, names},
    vgg19::{Vgg19Classifier, Vgg19Parameters},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{pretrained::RANDOM, vgg19::TrainingConfig};

/// The field of `training` in `artifact.json` that holds an [`InitProvenance`].
pub const FIELD: &str = "init";

/// A trained network that a training starts from, but for its convolutions.
#[derive(Clone, Debug)]
pub struct InitialNetwork {
    /// How it was trained. What a network is made of, and how its input is standardised, is here what it is there.
    pub config: TrainingConfig,
    /// Mean of each band in dB; `[n_mels]`.
    pub mean: Vec<f32>,
    /// Deviation of each band in dB; `[n_mels]`.
    pub deviation: Vec<f32>,
    /// Fingerprint of the features that it takes.
    pub fingerprint: Fingerprint,
    /// What it is.
    pub provenance: InitProvenance,
    /// Whether its convolutions were drawn before it learnt, and not pretrained.
    pub is_random: bool,
    /// Ids of the clips that its convolutions were tuned on, as far as they are known; empty where they were not tuned.
    pub tuned_on: BTreeSet<String>,
}

/// Which network a training started from, as an artifact says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitProvenance {
    /// Its name, where it lay in the folder of a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version, which stands for every byte of its artifact.
    pub version: String,
    /// SHA-256 of its `weights.safetensors`.
    pub weights: String,
    /// Its labels.
    pub labels: LabelSet,
    /// The clips that it was fitted on.
    pub data: DataDescription,
    /// Whether all of these are synthetic.
    pub synthetic: bool,
    /// Whether its convolutions were tuned on clips, then or before.
    pub tuned: bool,
    /// The network that it started from itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Box<Self>>,
}

impl InitProvenance {
    /// What an artifact says in its `training`; `None` of a network that started from no other.
    #[must_use]
    pub fn of_artifact(training: &Value) -> Option<Self> {
        serde_json::from_value(training.get(FIELD)?.clone()).ok()
    }

    /// What decides a training that starts from it: the same value, the same network.
    #[must_use]
    pub fn identity(&self) -> [&str; 2] {
        [&self.version, &self.weights]
    }

    /// Its name and version.
    #[must_use]
    pub fn called(&self) -> String {
        self.name.as_ref().map_or_else(|| self.version.clone(), |name| format!("{name} {}", self.version))
    }
}

impl fmt::Display for InitProvenance {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { labels, data: DataDescription { clips, description, .. }, synthetic, .. } = self;
        let synthetic = if *synthetic { "synthetic " } else { "" };
        let (called, n) = (self.called(), labels.len());
        write!(f, "{called}, a network of {n} labels that was fitted on {clips} {synthetic}clips of {description}")
    }
}

impl InitialNetwork {
    /// The network of the artifact in the folder of a version, and its numbers.
    ///
    /// # Errors
    /// When the artifact cannot be read, is of another kind of model, or does not say how it was trained.
    pub fn of_artifact(dir: &Path) -> Result<(Self, Vgg19Parameters)> {
        let artifact = Artifact::open(dir)?;
        let manifest = artifact.manifest();
        if manifest.model != Vgg19Classifier::NAME {
            bail!(
                "{} holds a model of the kind `{}`; a training starts from a network (`{}`)",
                dir.display(),
                manifest.model,
                Vgg19Classifier::NAME
            );
        }
        let parameters = Vgg19Parameters::from_tensors(artifact.weights()?)
            .with_context(|| format!("failed to read the network in {}", dir.display()))?;
        let training = &manifest.training;
        let config = TrainingConfig::of_artifact(training)
            .with_context(|| format!("{} does not say how its network was trained", dir.display()))?;
        let Vgg19Parameters { config: network, channels, band_upsampling, .. } = &parameters;
        if (config.network(network.n_classes), config.channels, config.band_upsampling)
            != (network.clone(), *channels, *band_upsampling)
        {
            bail!("the network in {} is not one of the configuration that its artifact.json names", dir.display());
        }
        let before = InitProvenance::of_artifact(training);
        let clip_ids = training["clip_ids"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let tuned_on = clip_ids.filter(|_| config.finetune.is_some()).map(str::to_owned).collect();
        let provenance = InitProvenance {
            name: model_name(artifact.dir()),
            version: artifact.version().to_owned(),
            weights: manifest.files.get(artifact::WEIGHTS).cloned().unwrap_or_default(),
            labels: manifest.labels.clone(),
            data: manifest.data.clone(),
            synthetic: !training["warning"].is_null(),
            tuned: config.finetune.is_some() || before.as_ref().is_some_and(|before| before.tuned),
            init: before.map(Box::new),
        };
        let network = Self {
            config,
            mean: parameters.mean.clone(),
            deviation: parameters.deviation.clone(),
            fingerprint: manifest.fingerprint.clone(),
            provenance,
            is_random: training["weights"] == RANDOM,
            tuned_on,
        };
        Ok((network, parameters))
    }

    /// Refuses features that it does not take, and a configuration of another network.
    ///
    /// # Errors
    /// What differs, and what to do.
    pub fn check(&self, config: &TrainingConfig, spec: &FeatureSpec) -> Result<()> {
        let (called, ours) = (self.provenance.called(), spec.fingerprint());
        if ours != self.fingerprint {
            bail!(
                "the network to start from, {called}, takes features of the fingerprint {}, and this training is of {ours}; \
                 give the specification that it was trained with, `spec` in its artifact.json, with --spec",
                self.fingerprint
            );
        }
        if let Some((field, wanted, kept)) = config.other_network(&self.config) {
            bail!(
                "`{field}` of the configuration is {wanted}, and of the network to start from, {called}, it is {kept}; \
                 what a network is made of stays as it is there"
            );
        }
        Ok(())
    }
}

/// The name of the model that an artifact is a version of: that of the folder that its own lies in, if it is the folder of a model.
fn model_name(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let model_dir = dir.parent()?;
    let name = names::check_model(model_dir.file_name()?.to_str()?).ok()?;
    model_dir.join(artifact::CURRENT).is_file().then(|| name.to_owned())
}
