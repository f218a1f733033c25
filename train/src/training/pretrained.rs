//! [`Pretrained`]: the convolutions that a training of VGG19 begins with.

use std::path::{Path, PathBuf};

use anyhow::Result;
use data::rng::Rng;
use models::{
    artifact::{self, Artifact},
    vgg19::{BLOCKS, BackboneWeights, Vgg19Classifier},
};

use super::vgg19::TrainingConfig;

/// Where weights are looked for when none are named, and where `train weights fetch` puts them.
pub const DEFAULT_WEIGHTS: &str = "data/weights/vgg19.safetensors";

/// What an artifact calls convolutions that were learnt on photographs.
const PRETRAINED: &str = "pretrained";

/// The convolutions that a training begins with.
#[derive(Debug)]
pub struct Pretrained {
    weights: BackboneWeights,
    is_random: bool,
}

impl Pretrained {
    /// The values.
    #[must_use]
    pub fn weights(&self) -> &BackboneWeights {
        &self.weights
    }

    /// Whether they were drawn, and know nothing yet.
    #[must_use]
    pub fn is_random(&self) -> bool {
        self.is_random
    }

    /// What they are, without a path: `pretrained` or `random`.
    #[must_use]
    pub fn description(&self) -> &'static str {
        if self.is_random { "random" } else { PRETRAINED }
    }

    /// What a reader should know of them.
    #[must_use]
    pub fn remark(&self) -> Option<&'static str> {
        self.is_random.then_some(
            "The convolutions are random: no ImageNet weights were named (--weights) or fetched (train weights fetch). \
             Pretrained ones know more.",
        )
    }

    /// Those that were named; else those that `train weights fetch` fetched; else those of a network in `artifacts` that was not
    /// tuned; else random ones.
    ///
    /// # Errors
    /// When a file is there and cannot be used.
    pub fn choose(named: Option<&Path>, config: &TrainingConfig, artifacts: &Path) -> Result<Self> {
        let blocks = config.pooled_blocks.iter().copied().max().unwrap_or(BLOCKS.len());
        let fetched = PathBuf::from(DEFAULT_WEIGHTS);
        let file = match named {
            Some(path) => Some(path.to_owned()),
            None if fetched.is_file() => Some(fetched),
            None => untuned(&artifacts.join(Vgg19Classifier::NAME), blocks),
        };
        if let Some(path) = file {
            let weights = BackboneWeights::read(&path, blocks)?;
            return Ok(Self { weights, is_random: false });
        }
        let mut rng = Rng::stream(config.seed, 0x5EED);
        Ok(Self { weights: BackboneWeights::random(blocks, || rng.normal()), is_random: true })
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
        let usable = training["weights"] == PRETRAINED && config.finetune.is_none() && has >= blocks;
        usable.then(|| artifact.dir().join(artifact::WEIGHTS))
    };
    in_use.iter().chain(&versions).find_map(usable)
}
