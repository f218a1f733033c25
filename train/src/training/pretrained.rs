//! [`Pretrained`]: what a training of VGG19 begins with.

use std::path::{Path, PathBuf};

use anyhow::Result;
use data::rng::Rng;
use features::FeatureSpec;
use models::{
    artifact::{self, Artifact},
    vgg19::{BLOCKS, BackboneWeights, Vgg19Classifier, Vgg19Parameters},
};

use super::{
    transfer::{InitProvenance, InitialNetwork},
    vgg19::TrainingConfig,
};

/// Where weights are looked for when none are named, and where `train weights fetch` puts them.
pub const DEFAULT_WEIGHTS: &str = "data/weights/vgg19.safetensors";

/// What an artifact calls convolutions that were learnt on photographs.
const PRETRAINED: &str = "pretrained";
/// What it calls those that were drawn.
pub(super) const RANDOM: &str = "random";

/// The convolutions that a training begins with; and the trained network that they are of, where it starts from one.
#[derive(Debug)]
pub struct Pretrained {
    weights: BackboneWeights,
    is_random: bool,
    initial: Option<InitialNetwork>,
    /// The weights of a network that was found, where none were named.
    found: Option<PathBuf>,
}

impl Pretrained {
    /// Convolutions that others trained.
    #[must_use]
    pub fn of_weights(weights: BackboneWeights) -> Self {
        Self { weights, is_random: false, initial: None, found: None }
    }

    /// A trained network with these numbers.
    #[must_use]
    pub fn of_network(initial: InitialNetwork, parameters: Vgg19Parameters) -> Self {
        Self { weights: parameters.weights, is_random: initial.is_random, initial: Some(initial), found: None }
    }

    /// The network of the artifact in the folder of a version.
    ///
    /// # Errors
    /// Those of [`InitialNetwork::of_artifact`].
    pub fn of_artifact(dir: &Path) -> Result<Self> {
        let (initial, parameters) = InitialNetwork::of_artifact(dir)?;
        Ok(Self::of_network(initial, parameters))
    }

    /// The values.
    #[must_use]
    pub fn weights(&self) -> &BackboneWeights {
        &self.weights
    }

    /// Whether they were drawn: they know nothing yet, or what the network to start from learnt.
    #[must_use]
    pub fn is_random(&self) -> bool {
        self.is_random
    }

    /// The network that the training starts from; `None` where it begins with convolutions alone.
    #[must_use]
    pub fn initial(&self) -> Option<&InitialNetwork> {
        self.initial.as_ref()
    }

    /// What they are, without a path: `pretrained` or `random`.
    #[must_use]
    pub fn description(&self) -> &'static str {
        if self.is_random { RANDOM } else { PRETRAINED }
    }

    /// What a reader should know of them.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        if let Some(InitialNetwork { provenance, .. }) = &self.initial {
            let random = if self.is_random { " They were random before that." } else { "" };
            return Some(format!(
                "Starts from {provenance}. Its convolutions and the standardisation of its input are kept, the head is new.{random}"
            ));
        }
        self.is_random.then(|| {
            "The convolutions are random: no ImageNet weights were named (--weights) or fetched (train weights fetch). \
             Pretrained ones know more."
                .to_owned()
        })
    }

    /// Refuses a training that cannot start from the network, where there is one.
    ///
    /// # Errors
    /// Those of [`InitialNetwork::check`].
    pub fn check(&self, config: &TrainingConfig, spec: &FeatureSpec) -> Result<()> {
        self.initial.as_ref().map_or(Ok(()), |initial| initial.check(config, spec))
    }

    /// How many of these clips the network to start from was tuned on before, by their ids.
    #[must_use]
    pub fn tuned_on_before<'a>(&self, clip_ids: impl Iterator<Item = &'a str>) -> usize {
        let Some(InitialNetwork { tuned_on, .. }) = &self.initial else { return 0 };
        clip_ids.filter(|clip_id| tuned_on.contains(*clip_id)).count()
    }

    /// The weights that were taken of a network in one of the folders of artifacts; `None` of those that were named or fetched.
    #[must_use]
    pub fn found(&self) -> Option<&Path> {
        self.found.as_deref()
    }

    /// Those that were named; else those that `train weights fetch` fetched; else those of a network that was not tuned in the first
    /// of the folders `artifacts` that has one; else random ones.
    ///
    /// # Errors
    /// When a file is there and cannot be used.
    pub fn choose<'a>(
        named: Option<&Path>,
        config: &TrainingConfig,
        artifacts: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<Self> {
        let blocks = config.pooled_blocks.iter().copied().max().unwrap_or(BLOCKS.len());
        let fetched = PathBuf::from(DEFAULT_WEIGHTS);
        let file = match named {
            Some(path) => Some(path.to_owned()),
            None => fetched.is_file().then_some(fetched),
        };
        if let Some(path) = file {
            return Ok(Self::of_weights(BackboneWeights::read(&path, blocks)?));
        }
        let mut networks = artifacts.into_iter().map(|folder| folder.join(Vgg19Classifier::NAME));
        if let Some(path) = networks.find_map(|network| untuned(&network, blocks)) {
            return Ok(Self { found: Some(path.clone()), ..Self::of_weights(BackboneWeights::read(&path, blocks)?) });
        }
        let mut rng = Rng::stream(config.seed, 0x5EED);
        let weights = BackboneWeights::random(blocks, || rng.normal());
        Ok(Self { weights, is_random: true, initial: None, found: None })
    }
}

/// The weights of a network whose convolutions are still those of a network for photographs, `blocks` of them or more: of the
/// versions in the folder of the model the one in use, else the first. A tuned one is passed over, for it was fitted on clips that
/// another training may hold out.
fn untuned(model_dir: &Path, blocks: usize) -> Option<PathBuf> {
    let in_use = artifact::current(model_dir).ok();
    let versions = artifact::versions(model_dir).ok()?;
    let usable = |version: &String| {
        let artifact = Artifact::open(&model_dir.join(version)).ok()?;
        let training = &artifact.manifest().training;
        let config = TrainingConfig::of_artifact(training)?;
        let has = config.pooled_blocks.iter().copied().max()?;
        let tuned = config.finetune.is_some() || InitProvenance::of_artifact(training).is_some_and(|init| init.tuned);
        let usable = training["weights"] == PRETRAINED && !tuned && has >= blocks;
        usable.then(|| artifact.dir().join(artifact::WEIGHTS))
    };
    in_use.iter().chain(&versions).find_map(usable)
}
