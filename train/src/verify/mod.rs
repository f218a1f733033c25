//! Whether the same inputs give the same bytes: a small configuration is trained several times in different
//! [`Surroundings`], and what comes out is compared, stage by stage, with each other and with a [`Lock`].
//!
//! Each run is the program itself, started as a person would start it, so nothing that it finds in its process, its
//! folder or its environment is kept out of the comparison.

mod lock;
mod surroundings;

pub use lock::{Against, Comparison, Difference, Holds, Lock, Stage, instruction_set};
pub use surroundings::Surroundings;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use features::{FeatureSpec, Fingerprint};
use models::{artifact, svm::SvmClassifier, vgg19::Vgg19Classifier};
use serde::Serialize;

use self::lock::{Files, PARTS, Part, files};
use crate::{
    console::progress::Stage as Bar,
    training::vgg19::{Augment, FinetuneConfig, HeadConfig, TrainingConfig},
};

/// Seed of everything in the small configuration.
const SEED: u64 = 42;

/// The inputs of a run as files in its folder.
const SPEC: &str = "spec.json";
const RECIPE: &str = "recipe.json";

/// What goes in.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// A folder of genre folders of audio files; `None` for 80 synthetic clips of 6 s, which each run makes anew.
    pub music: Option<PathBuf>,
    /// What is heard of it.
    pub spec: FeatureSpec,
    /// How the network is trained.
    pub recipe: TrainingConfig,
}

/// The recipe of the small network: two blocks, a head on them, and a short tuning of the second with all that is drawn in one.
#[must_use]
pub fn recipe() -> TrainingConfig {
    let augment = Augment { mixup: 0.3, mask: 8, stretch: 0.2, shift: 3, equaliser: 3.0 };
    let finetune = FinetuneConfig {
        thaw: 2,
        epochs: 2,
        batch: 8,
        crop: 32,
        learning_rate: 2e-4,
        block_decay: 0.7,
        head_learning_rate: 5e-3,
        weight_decay: 0.05,
        warm_up: 0.1,
        clip_norm: 1.0,
        dropout: 0.2,
        label_smoothing: 0.1,
        averaging: 0.9,
        augment,
        look_every: 1,
        patience: 5,
    };
    let whole = TrainingConfig::frozen(SEED);
    let head = HeadConfig { steps: 40, dropout: 0.5, heads: 2, ..whole.head };
    TrainingConfig { band_upsampling: 1, pooled_blocks: vec![1, 2], head, finetune: Some(finetune), folds: 2, ..whole }
}

/// What a verification found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Of this machine.
    pub instruction_set: String,
    /// Where the runs took place.
    pub runs: Vec<Surroundings>,
    /// What they made, up to the first part of which anything differs.
    pub items: Vec<Comparison>,
    /// The first thing that differs; `None` where nothing does.
    pub difference: Option<Difference>,
}

/// Trains the small configuration in every surroundings and compares what is made, each part before the next is begun, with
/// what the other runs made and with `lock`, if it is to be asked. Ends with the first part of which anything differs.
///
/// # Errors
/// When a training fails (says what it wrote), or there is no room for temporary files.
pub fn run(inputs: &Inputs, lock: Option<&Lock>) -> Result<Report> {
    let instruction_set = instruction_set();
    let runs = surroundings::all(inputs.music.is_none())?;
    let bar = Bar::new("training, and again");
    let (mut items, mut difference) = (Vec::new(), None);
    for (done, part) in PARTS.into_iter().enumerate() {
        let mut made = Vec::new();
        for (index, surroundings) in runs.iter().enumerate() {
            bar.at(done * runs.len() + index, PARTS.len() * runs.len());
            let here = part.items().iter().all(|item| surroundings.computes(item.holds));
            made.push(if here { Some(make(part, inputs, surroundings)?) } else { None });
        }
        for (index, item) in part.items().iter().enumerate() {
            let of_it = made.iter().map(|files| files.as_ref().and_then(|files| files.get(index)).cloned());
            let (comparison, found) =
                lock::compare(*item, runs.iter().map(Surroundings::name).zip(of_it), lock, &instruction_set);
            items.push(comparison);
            difference = difference.or(found);
        }
        if difference.is_some() {
            break;
        }
    }
    drop(bar);
    Ok(Report { instruction_set, runs, items, difference })
}

/// Makes a part in those surroundings, after those before it.
fn make(part: Part, inputs: &Inputs, surroundings: &Surroundings) -> Result<Vec<Files>> {
    let at = surroundings.folder();
    let seed = SEED.to_string();
    let music = inputs.music.as_deref().unwrap_or(Path::new("corpus"));
    let corpus = music.to_str().context("the name of the folder of music is not UTF-8")?;
    let give = |name: &'static str, text: String| {
        fs::write(at.join(name), text).with_context(|| format!("failed to write {}", at.join(name).display()))
    };
    let model = |name: &str| artifact::resolve(&at.join("artifacts"), Some(name));
    Ok(match part {
        Part::Music => {
            if inputs.music.is_none() {
                let size = ["--clips-per-genre", "8", "--seconds", "6"];
                surroundings.train(&[&["synth", "--out", corpus, "--seed", &seed], &size[..]].concat())?;
            }
            vec![files(&at.join(music))?]
        }
        Part::LogMels => {
            give(SPEC, inputs.spec.canonical_json())?;
            surroundings.train(&["extract", "--data", corpus, "--out", "store", "--spec", SPEC])?;
            vec![files(&at.join("store"))?]
        }
        Part::Svm => {
            // From the audio, so that every descriptor has its part.
            let from = ["svm", "--data", corpus, "--spec", SPEC];
            surroundings.train(&[&from[..], &["--artifacts", "artifacts", "--seed", &seed]].concat())?;
            let svm = artifact::Artifact::open(&model(SvmClassifier::NAME)?)?;
            let vectors = Fingerprint::try_from(svm.manifest().data.digest.clone())?;
            vec![Files::from([("data.digest of its artifact.json".to_owned(), vectors)]), files(svm.dir())?]
        }
        Part::Network => {
            give(RECIPE, serde_json::to_string(&inputs.recipe)?)?;
            let from = ["vgg19", "--data", "store", "--recipe", RECIPE, "--spec", SPEC];
            let to = ["--artifacts", "artifacts", "--no-cache", "--seed", &seed];
            surroundings.train(&[&from[..], &to].concat())?;
            vec![files(&model(Vgg19Classifier::NAME)?)?]
        }
    })
}
