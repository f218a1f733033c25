//! Whether the same inputs give the same bytes: a small configuration is trained several times in different
//! [`Surroundings`], and the results are compared, stage by stage, with each other and with a [`Lock`].
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

use self::lock::{Files, STEPS, Step, files};
use crate::{
    console::progress::Stage as Bar,
    training::vgg19::{Augment, FinetuneConfig, HeadConfig, TrainingConfig},
};

/// Seed of everything in the small configuration.
const SEED: u64 = 42;

/// The inputs of a run as files in its folder.
const SPEC: &str = "spec.json";
const CONFIG: &str = "config.json";

/// What goes in.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// A folder with one of audio files for each label; `None` for 80 synthetic clips of 6 s, which each run makes.
    pub dataset: Option<PathBuf>,
    /// The features that are extracted.
    pub spec: FeatureSpec,
    /// How the network is trained.
    pub config: TrainingConfig,
}

/// The configuration of the small network: two blocks, a head on them, and a short tuning of the second with all that is drawn in one.
#[must_use]
pub fn small_config() -> TrainingConfig {
    let augment = Augment { mixup: 0.3, mask: 8, stretch: 0.2, shift: 3, equaliser: 3.0 };
    let finetune = FinetuneConfig {
        unfreeze_from: 2,
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
        evaluate_every: 1,
        patience: 5,
    };
    let whole = TrainingConfig::logistic(SEED);
    let head = HeadConfig { steps: 40, dropout: 0.5, heads: 2, ..whole.head };
    TrainingConfig { band_upsampling: 1, pooled_blocks: vec![1, 2], head, finetune: Some(finetune), folds: 2, ..whole }
}

/// What a verification found.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// Of this machine.
    pub instruction_set: String,
    /// Where the runs took place.
    pub runs: Vec<Surroundings>,
    /// What they made, up to the first step of which anything differs.
    pub items: Vec<Comparison>,
    /// The first thing that differs; `None` where nothing does.
    pub difference: Option<Difference>,
}

/// Trains the small configuration in every surroundings and compares what is made, each step before the next is begun, with
/// what the other runs made and with `lock`, if it is to be asked. Ends with the first step of which anything differs.
///
/// # Errors
/// When a training fails (says what it wrote), or temporary files cannot be written.
pub fn run(inputs: &Inputs, lock: Option<&Lock>) -> Result<Verification> {
    let instruction_set = instruction_set();
    let runs = surroundings::all(inputs.dataset.is_none())?;
    let bar = Bar::new("training, and again");
    let (mut items, mut difference) = (Vec::new(), None);
    for (done, step) in STEPS.into_iter().enumerate() {
        let mut made = Vec::new();
        for (index, surroundings) in runs.iter().enumerate() {
            bar.at(done * runs.len() + index, STEPS.len() * runs.len());
            let here = step.items().iter().all(|item| surroundings.computes(item.holds));
            made.push(if here { Some(make(step, inputs, surroundings)?) } else { None });
        }
        for (index, item) in step.items().iter().enumerate() {
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
    Ok(Verification { instruction_set, runs, items, difference })
}

/// Makes a step in those surroundings, after those before it.
fn make(step: Step, inputs: &Inputs, surroundings: &Surroundings) -> Result<Vec<Files>> {
    let at = surroundings.folder();
    let seed = SEED.to_string();
    let dataset = inputs.dataset.as_deref().unwrap_or(Path::new("dataset"));
    let data = dataset.to_str().context("the path of the dataset is not UTF-8")?;
    let give = |name: &'static str, text: String| {
        fs::write(at.join(name), text).with_context(|| format!("failed to write {}", at.join(name).display()))
    };
    let model = |name: &str| artifact::resolve(&at.join("artifacts"), Some(name));
    Ok(match step {
        Step::Dataset => {
            if inputs.dataset.is_none() {
                let size = ["--clips-per-genre", "8", "--seconds", "6"];
                surroundings.train(&[&["synth", "--out", data, "--seed", &seed], &size[..]].concat())?;
            }
            vec![files(&at.join(dataset))?]
        }
        Step::FeatureStore => {
            give(SPEC, inputs.spec.canonical_json())?;
            surroundings.train(&["extract", "--data", data, "--out", "store", "--spec", SPEC])?;
            vec![files(&at.join("store"))?]
        }
        Step::Svm => {
            // From the audio, so that every descriptor has its step.
            let from = ["svm", "--data", data, "--spec", SPEC];
            surroundings.train(&[&from[..], &["--artifacts", "artifacts", "--seed", &seed]].concat())?;
            let svm = artifact::Artifact::open(&model(SvmClassifier::NAME)?)?;
            let vectors = Fingerprint::try_from(svm.manifest().data.digest.clone())?;
            let [weights, documents] = model_files(svm.dir())?;
            vec![Files::from([("data.digest of its artifact.json".to_owned(), vectors)]), weights, documents]
        }
        Step::Network => {
            give(CONFIG, serde_json::to_string(&inputs.config)?)?;
            let from = ["vgg19", "--data", "store", "--config", CONFIG, "--spec", SPEC];
            let to = ["--artifacts", "artifacts", "--no-cache", "--seed", &seed];
            surroundings.train(&[&from[..], &to].concat())?;
            let [weights, documents] = model_files(&model(Vgg19Classifier::NAME)?)?;
            vec![weights, documents]
        }
    })
}

/// The weights of an artifact, and its other files, which repeat their digest and say how good they are.
fn model_files(folder: &Path) -> Result<[Files; 2]> {
    let mut documents = files(folder)?;
    let weights = documents.remove_entry(artifact::WEIGHTS).context("the artifact has no weights")?;
    Ok([Files::from([weights]), documents])
}
