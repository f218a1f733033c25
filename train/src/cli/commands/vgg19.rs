//! `train vgg19`: from music, and convolutions that know ImageNet, to a network that a server loads.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use data::rng::Rng;
use models::{
    artifact::{self, Artifact},
    vgg19::{BLOCKS, BackboneWeights, Backend, Vgg19Classifier},
};
use serde_json::json;

use super::{
    fit::{self, Kept, Model, Music},
    print_json,
};
use crate::{
    cli::args::{DEFAULT_WEIGHTS, Regime, Vgg19Args},
    evaluation::{learning, report::Curve},
    training::{
        fitting::{self, Clips, Network},
        vgg19::{Epoch, Fitted, TrainingConfig},
    },
};

/// Trains, evaluates on the clips that were held out, writes the artifact and puts it in use.
///
/// # Errors
/// When there is no usable music, the weights or the device cannot be used, or the artifact cannot be written.
pub fn run(args: &Vgg19Args) -> Result<()> {
    // What is wrong with the settings is said before anything that takes long.
    let recipe = recipe(args)?;
    let spec = Music::spec(&args.fit)?.log_mel_alone();
    let weights = Pretrained::choose(args.weights.as_deref(), &recipe, &args.fit.artifacts)?;
    args.device.open()?;
    let music = Music::prepare(&args.fit, &spec)?;
    let kept = train(args, &recipe, &weights, &music)?;
    if args.fit.run.json {
        return print_json(&kept.json(&music));
    }
    fit::say_first(&music)?;
    kept.say(&args.fit, &music)?;
    kept.say_how_to_serve(&args.fit, &music)
}

/// Fits the network on music that is ready, and keeps it. The set of `music` must have no descriptors.
pub(super) fn train(args: &Vgg19Args, recipe: &TrainingConfig, weights: &Pretrained, music: &Music) -> Result<Kept> {
    let Music { set, train, test, labels, .. } = music;
    let threads = args.fit.run.threads.into();
    let cache = (!args.no_cache).then_some(args.cache.as_path());
    let network = Network { recipe, weights: weights.weights(), backend: args.device, cache };
    let fit =
        |train: &[usize], held_out: &[usize]| fitting::vgg19(Clips { set, train, held_out, labels }, network, threads);
    // With --refit the clips that judge are fitted on too, so they can stop nothing early.
    let held_out: &[usize] = if music.refit { &[] } else { test };
    let (classifier, Fitted { parts, report, heads, .. }) = fit(train, held_out)?;
    let judged = music.judged(&classifier, threads, |fold| Ok(fit(&fold.train, &fold.test)?.0))?;
    let mut remarks = Vec::new();
    if let Some(remark) = weights.remark() {
        remarks.push(remark.to_owned());
    }
    remarks.push(format!(
        "Temperature {:.3}, fitted by cross-validation: log-loss {:.3} without it, {:.3} with it.",
        report.calibration.temperature, report.calibration.log_loss_before, report.calibration.log_loss
    ));
    let model = Model {
        classifier: &classifier,
        judged,
        weights: parts.to_tensors()?,
        training: json!({ "weights": weights.description(), "fit": report }),
        long: &[],
        curves: curves(&report.history),
        learning: learning::vgg19(heads.as_ref(), parts.temperature, threads),
        cross_validated: report.calibration.accuracy,
        command: format!(
            "train vgg19 --data CORPUS{} {} --held-out {}{} --seed {}",
            if weights.is_random() { "" } else { " --weights WEIGHTS" },
            flags(args, recipe),
            music.split,
            music.flag(),
            args.fit.seed
        ),
        role: "vgg",
        address: "127.0.0.1:8082/vgg",
        remarks,
    };
    fit::keep(&args.fit, music, model)
}

/// What says how it is trained, as it was given, but for the folder of a file.
fn flags(args: &Vgg19Args, recipe: &TrainingConfig) -> String {
    let how = match args.recipe {
        Some(_) => "--recipe RECIPE".to_owned(),
        None => format!("--regime {}", recipe.regime()),
    };
    let epochs = args.epochs.map(|epochs| format!(" --epochs {epochs}")).unwrap_or_default();
    let device = if args.device == Backend::default() { String::new() } else { format!(" --device {}", args.device) };
    how + &epochs + &device
}

/// The recipe that the arguments make.
pub(super) fn recipe(args: &Vgg19Args) -> Result<TrainingConfig> {
    let seed = args.fit.seed;
    let mut recipe = match args.regime {
        Regime::Frozen => TrainingConfig::frozen(seed),
        Regime::Finetune => TrainingConfig::finetune(seed),
    };
    if let Some(path) = &args.recipe {
        recipe = TrainingConfig { seed, ..read_recipe(path)? };
    }
    match (&mut recipe.finetune, args.epochs) {
        (Some(tuning), Some(epochs)) => tuning.epochs = epochs,
        (None, Some(_)) => bail!("--epochs is of the tuning; add --regime finetune"),
        (_, None) => {}
    }
    check(&recipe)?;
    if args.fit.refit && recipe.finetune.is_some() {
        bail!("--refit holds no clip out that could stop a tuning early; train without it, or with --regime frozen");
    }
    Ok(recipe)
}

/// Refuses a recipe that cannot be trained.
///
/// # Errors
/// Which rule it breaks.
pub fn check(recipe: &TrainingConfig) -> Result<()> {
    recipe.check().map_err(|rule| anyhow!("the recipe cannot be trained: {rule}"))
}

/// Reads `--recipe`.
pub(super) fn read_recipe(path: &Path) -> Result<TrainingConfig> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("failed to read the recipe {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("failed to understand the recipe {}", path.display()))
}

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
             Pretrained ones hear more.",
        )
    }

    /// Those that were named; else those that `train weights fetch` fetched; else those of a network in `artifacts` that was not
    /// tuned; else random ones.
    ///
    /// # Errors
    /// When a file is there and cannot be used.
    pub fn choose(named: Option<&Path>, recipe: &TrainingConfig, artifacts: &Path) -> Result<Self> {
        let blocks = recipe.pooled_blocks.iter().copied().max().unwrap_or(BLOCKS.len());
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
        let mut rng = Rng::stream(recipe.seed, 0x5EED);
        Ok(Self { weights: BackboneWeights::random(blocks, || rng.normal()), is_random: true })
    }
}

/// The weights of a network whose convolutions are still those of a network for photographs, `blocks` of them or more: of the
/// versions in the folder of the model the one in use, else the first. A tuned one is passed over, for it has heard clips that
/// another training may hold out.
fn untuned(model_dir: &Path, blocks: usize) -> Option<PathBuf> {
    let in_use = artifact::current(model_dir).ok();
    let versions = artifact::versions(model_dir).ok()?;
    let usable = |version: &String| {
        let artifact = Artifact::open(&model_dir.join(version)).ok()?;
        let training = &artifact.manifest().training;
        let recipe: TrainingConfig = serde_json::from_value(training["fit"]["recipe"].clone()).ok()?;
        let has = recipe.pooled_blocks.iter().copied().max()?;
        let usable = training["weights"] == PRETRAINED && recipe.finetune.is_none() && has >= blocks;
        usable.then(|| artifact.dir().join(artifact::WEIGHTS))
    };
    in_use.iter().chain(&versions).find_map(usable)
}

/// The curves of a tuning, for the report.
fn curves(history: &[Epoch]) -> Vec<Curve> {
    if history.is_empty() {
        return Vec::new();
    }
    let of = |value: &dyn Fn(&Epoch) -> Option<f64>| -> Vec<(f64, f64)> {
        history.iter().enumerate().filter_map(|(i, epoch)| Some(((i + 1) as f64, value(epoch)?))).collect()
    };
    vec![
        Curve { title: "Loss", name: "crops that are fitted on", points: of(&|epoch| Some(epoch.loss)) },
        Curve { title: "Loss", name: "held out", points: of(&|epoch| Some(epoch.held_out?.log_loss)) },
        Curve { title: "Accuracy", name: "crops that are fitted on", points: of(&|epoch| Some(epoch.accuracy)) },
        Curve { title: "Accuracy", name: "held out", points: of(&|epoch| Some(epoch.held_out?.accuracy)) },
    ]
}
