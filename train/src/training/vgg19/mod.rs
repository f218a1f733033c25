//! Fitting VGG19: a head on frozen embeddings, then, where the recipe says so, the last blocks with it.
//!
//! 1. Bands are standardised, by a line or by the clips that are fitted on ([`PreparedDataset::standardisation`]).
//! 2. The frozen network embeds every clip ([`PreparedDataset::embed`]), and a head is fitted on the embeddings ([`fit_head`]).
//! 3. The last blocks and the head are tuned together from there (linear probing first, then fine-tuning: Kumar et al.
//!    2022), on random crops, with the weights averaged over the steps.
//! 4. The same is done on folds of the clips that are fitted on; a temperature is fitted on what the folds say of the
//!    clips that they did not see.

mod augment;
mod cache;
mod checkpoint;
mod head;
mod recipe;
mod sounds;
mod temperature;
mod tune;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use data::grouped_kfold;
use features::FeatureSpec;
use models::vgg19::{BackboneWeights, Backend, HeadParameters, Preprocessor, Vgg19Parameters, softmax};
use serde::Serialize;

pub use head::{Heads, fit as fit_head, logits};
pub use recipe::{Augment, FinetuneConfig, HeadConfig, Standardisation, TrainingConfig};
pub use sounds::{Embedded, Embedder, PreparedDataset, chosen};
pub use temperature::Calibration;
pub use tune::{Epoch, Look, Tuned};

use tune::Job;

/// Where a fit computes and keeps what it need not compute twice.
#[derive(Debug)]
pub struct FitContext {
    /// What computes.
    pub backend: Backend,
    /// A device of it.
    pub device: Device,
    /// Folder of embeddings; `None` keeps none.
    pub embeddings: Option<PathBuf>,
    /// Folder of the checkpoints of this very training; `None` keeps none.
    pub checkpoints: Option<PathBuf>,
}

/// A fitted network, and how it came about.
#[derive(Debug)]
pub struct Fitted {
    /// What an artifact keeps.
    pub parts: Vgg19Parameters,
    /// What the artifact says of the fit.
    pub report: FitReport,
    /// Probabilities of each clip by the networks that did not see its artist; none for a clip that all have seen.
    pub cross_validated: Vec<Vec<f64>>,
    /// What the head was fitted on, to fit others on less of it; `None` of a network that was tuned.
    pub heads: Option<Heads>,
    /// What gave the embeddings, to score other clips by; `None` of a network that was tuned, and without a cache.
    pub embedder: Option<Embedder>,
}

/// What a fit says of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FitReport {
    /// Every choice.
    pub recipe: TrainingConfig,
    /// Digest of the convolutions that it began with.
    pub began_with: String,
    /// What computed.
    pub device: &'static str,
    /// What cross-validation by artist found, among the clips that were fitted on.
    pub calibration: Calibration,
    /// Epochs of tuning that the kept weights have seen.
    pub epochs: usize,
    /// Every epoch of the tuning.
    pub history: Vec<Epoch>,
}

/// Fits a network on `sounds`, beginning with the convolutions `weights`. Clips that are held out only stop the tuning
/// early.
///
/// Works on the threads of the rayon pool that it is called in; their number changes no bit.
///
/// # Errors
/// When a clip cannot be read, a folder cannot be written, or the training diverges.
pub fn fit(
    sounds: &PreparedDataset<'_>,
    held_out: &PreparedDataset<'_>,
    n_classes: usize,
    spec: &FeatureSpec,
    weights: &BackboneWeights,
    recipe: &TrainingConfig,
    workplace: &FitContext,
) -> Result<Fitted> {
    let FitContext { backend, device, .. } = workplace;
    let config = recipe.network(n_classes);
    let (mean, deviation) = sounds.standardisation(recipe.standardisation)?;
    let blank = HeadParameters {
        mean: vec![0.0; config.embedding_dim()],
        scale: vec![1.0; config.embedding_dim()],
        weight: vec![0.0; config.embedding_dim() * n_classes],
        bias: vec![0.0; n_classes],
    };
    let mut parts = Vgg19Parameters {
        config,
        channels: recipe.channels,
        band_upsampling: recipe.band_upsampling,
        mean,
        deviation,
        weights: weights.clone(),
        head: blank,
        temperature: 1.0,
    };
    let input = parts.input(spec);

    let embedder = Embedder::new(&parts, spec, workplace)?;
    let embedded = sounds.embed(&embedder)?;
    let embedder = (recipe.finetune.is_none() && workplace.embeddings.is_some()).then_some(embedder);
    let head_of = |members: &[usize], seed: u64| -> Result<HeadParameters> {
        let (rows, labels) = rows(&parts, &embedded, sounds, members, recipe.windows);
        fit_head(&rows, &labels, &parts.config, &recipe.head, seed, device)
    };
    let everyone: Vec<usize> = (0..sounds.len()).collect();
    let folds = grouped_kfold(&sounds.labels, &sounds.groups, recipe.folds, recipe.seed);
    let head = head_of(&everyone, recipe.seed)?;

    let tuned = match &recipe.finetune {
        Some(tuning) => {
            let began = Vgg19Parameters { head: head.clone(), ..parts.clone() };
            Some(tune::tune(&began, &job(0, sounds, Some(held_out), tuning.epochs, tuning, &input, recipe, workplace))?)
        }
        None => None,
    };

    // What the folds say of the clips that they did not see: logits of each passage of each clip.
    let mut unseen: Vec<Vec<Vec<f32>>> = vec![Vec::new(); sounds.len()];
    for (number, test) in folds.iter().enumerate() {
        let train: Vec<usize> = everyone.iter().copied().filter(|member| !test.contains(member)).collect();
        if train.is_empty() || test.is_empty() {
            continue;
        }
        let head = head_of(&train, recipe.seed)?;
        let said = match (&recipe.finetune, &tuned) {
            (Some(tuning), Some(tuned)) => {
                let began = Vgg19Parameters { head, ..parts.clone() };
                let learners = sounds.some(&train);
                let fold = tune::tune(
                    &began,
                    &job(number + 1, &learners, None, tuned.epochs, tuning, &input, recipe, workplace),
                )?;
                let kept = rounded(fold.parts);
                tune::logits_of(&kept.network(device)?, &kept, &sounds.some(test), &input, device)?
            }
            _ => {
                let of_clip = |&member: &usize| {
                    let passages = &embedded[member].passages;
                    passages.iter().map(|row| logits(&head, &chosen(&parts.config, row))).collect()
                };
                test.iter().map(of_clip).collect()
            }
        };
        for (&member, logits) in test.iter().zip(said) {
            unseen[member] = logits;
        }
    }
    let calibration = Calibration::fit(&unseen, &sounds.labels, &sounds.groups);

    let (history, epochs) = match tuned {
        Some(tuned) => {
            parts = rounded(tuned.parts);
            (tuned.history, tuned.epochs)
        }
        None => {
            parts.head = head;
            (Vec::new(), 0)
        }
    };
    parts.temperature = calibration.temperature;
    let cross_validated = unseen
        .iter()
        .map(|passages| {
            let rows: Vec<_> = passages.iter().map(|row| softmax(row, parts.temperature)).collect();
            models::pool(rows.iter().map(Vec::as_slice))
        })
        .collect();
    if let Some(folder) = workplace.checkpoints.as_ref().filter(|folder| folder.is_dir()) {
        std::fs::remove_dir_all(folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    let heads = recipe.finetune.is_none().then(|| {
        let of_clip = |member: usize| rows(&parts, &embedded, sounds, &[member], recipe.windows).0;
        let embeddings = (0..sounds.len()).map(of_clip).collect();
        Heads::new(embeddings, sounds.labels.clone(), &parts.config, &recipe.head, recipe.seed, device)
    });
    let report = FitReport {
        recipe: recipe.clone(),
        began_with: weights.digest().to_owned(),
        device: backend.name(),
        calibration,
        epochs,
        history,
    };
    Ok(Fitted { parts, report, cross_validated, heads, embedder })
}

/// The tuning of everyone (0), or of the training part of a fold (from 1 on).
#[expect(clippy::too_many_arguments, reason = "a struct of the same fields would say no more")]
fn job<'a>(
    number: usize,
    sounds: &'a PreparedDataset<'a>,
    held_out: Option<&'a PreparedDataset<'a>>,
    stop_after: usize,
    tuning: &'a FinetuneConfig,
    input: &'a Preprocessor,
    recipe: &TrainingConfig,
    workplace: &'a FitContext,
) -> Job<'a> {
    Job {
        sounds,
        held_out,
        recipe: tuning,
        input,
        seed: recipe.seed.wrapping_add(1000 * number as u64),
        device: &workplace.device,
        stop_after,
        checkpoint: workplace.checkpoints.as_ref().map(|folder| folder.join(format!("{number}.safetensors"))),
        title: if number == 0 { "tuning".to_owned() } else { format!("fold {number} of {}", recipe.folds) },
    }
}

/// Convolutions are kept, and used from here on, with the precision of 16-bit floats: half the size.
fn rounded(parts: Vgg19Parameters) -> Vgg19Parameters {
    Vgg19Parameters { weights: parts.weights.rounded(), ..parts }
}

/// The embeddings that a head is fitted on, and their classes.
fn rows(
    parts: &Vgg19Parameters,
    embedded: &[Embedded],
    sounds: &PreparedDataset<'_>,
    members: &[usize],
    windows: bool,
) -> (Vec<Vec<f32>>, Vec<usize>) {
    let mut rows = Vec::new();
    let mut labels = Vec::new();
    for &member in members {
        let Embedded { passages, windows: shorter } = &embedded[member];
        for row in passages.iter().chain(shorter.iter().filter(|_| windows)) {
            rows.push(chosen(&parts.config, row));
            labels.push(sounds.labels[member]);
        }
    }
    (rows, labels)
}
