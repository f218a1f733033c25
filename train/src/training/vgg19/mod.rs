//! Fitting VGG19: a head on frozen embeddings, then, where the configuration says so, the last blocks with it.
//!
//! 1. Bands are standardised, by a line or by the clips that are fitted on ([`PreparedDataset::standardisation`]); or as the network has
//!    it that the training starts from.
//! 2. The frozen network embeds every clip ([`PreparedDataset::embeddings`]), and a head is fitted on the embeddings ([`Heads::fit`]): by ridge or by
//!    logistic regression.
//! 3. The last blocks and the head are tuned together from there (linear probing first, then fine-tuning: Kumar et al.
//!    2022), on random crops, with the weights averaged over the steps.
//! 4. The same is done on folds of the clips that are fitted on; a temperature is fitted on what models of the folds
//!    give for the clips that they did not see.

mod augment;
mod axes;
mod calibration;
mod checkpoint;
mod config;
mod embedder;
mod embeddings;
mod finetune;
mod head;
mod prepared;
mod ridge;

use anyhow::{Context as _, Result};
use data::grouped_kfold;
use features::FeatureSpec;
use models::vgg19::{HeadParameters, Vgg19Parameters, softmax};
use serde::Serialize;

use self::finetune::{FinetuneInput, Tuned, logits_of, tune};
pub use self::{
    calibration::Calibration,
    checkpoint::{Epoch, HeldOutScore},
    config::{Augment, FinetuneConfig, FitContext, HeadConfig, Standardisation, TrainingConfig},
    embedder::{Embedded, Embedder},
    embeddings::{Embeddings, Rows},
    head::{Heads, fit as fit_head, logits},
    prepared::PreparedDataset,
};
use super::pretrained::Pretrained;

/// A fitted network, and how it came about.
#[derive(Debug)]
pub struct FittedVgg19 {
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
    pub config: TrainingConfig,
    /// Digest of the convolutions that it began with.
    pub began_with: String,
    /// What computed.
    pub device: &'static str,
    /// What cross-validation by artist found, among the clips that were fitted on.
    pub calibration: Calibration,
    /// Epochs of tuning behind the weights.
    pub epochs: usize,
    /// Every epoch of the tuning.
    pub history: Vec<Epoch>,
    /// Whether logistic regression fitted the head in place of ridge regression, since the clips are too many for that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub too_many_for_ridge: bool,
}

/// Fits a network on `training`, beginning with the convolutions of `start`, and with the standardisation of its input where it is a
/// trained network. Clips that are held out only stop the tuning early.
///
/// Works on the threads of the rayon pool that it is called in; their number changes no bit.
///
/// # Errors
/// When a clip cannot be read, a folder cannot be written, or the training diverges.
pub fn fit(
    training: &PreparedDataset<'_>,
    held_out: &PreparedDataset<'_>,
    n_classes: usize,
    spec: &FeatureSpec,
    start: &Pretrained,
    config: &TrainingConfig,
    context: &FitContext,
) -> Result<FittedVgg19> {
    let FitContext { backend, device, .. } = context;
    let (network, weights) = (config.network(n_classes), start.weights());
    let (mean, deviation) = match start.initial() {
        Some(initial) => (initial.mean.clone(), initial.deviation.clone()),
        None => training.standardisation(config.standardisation)?,
    };
    let blank = HeadParameters {
        mean: vec![0.0; network.embedding_dim()],
        scale: vec![1.0; network.embedding_dim()],
        weight: vec![0.0; network.embedding_dim() * n_classes],
        bias: vec![0.0; n_classes],
    };
    let mut parts = Vgg19Parameters {
        config: network,
        channels: config.channels,
        band_upsampling: config.band_upsampling,
        mean,
        deviation,
        weights: weights.clone(),
        axes: Vec::new(),
        head: blank,
        temperature: 1.0,
    };
    if parts.config.log_covariance.is_some() {
        parts.axes = axes::axes(&parts, spec, context)?;
    }
    let preprocessor = parts.preprocessor(spec);

    let embedder = Embedder::new(&parts, spec, context)?;
    let embeddings = training.embeddings(&embedder, config, context.embeddings.as_deref())?;
    let embedder = (config.finetune.is_none() && context.embeddings.is_some()).then_some(embedder);
    let heads = Heads::new(embeddings, training, &parts.config, config, device);
    let everyone: Vec<usize> = (0..training.len()).collect();
    let folds = grouped_kfold(&training.labels, &training.groups, config.folds, config.seed);
    let head = heads.fit(&everyone)?;

    // Of all clips (0), or of the training part of a fold (from 1 on).
    let finetune =
        |number: usize, on: &PreparedDataset<'_>, held_out, hyperparameters: &FinetuneConfig, epochs, head| {
            let began = Vgg19Parameters { head, ..parts.clone() };
            let input = FinetuneInput {
                training: on,
                held_out,
                config: hyperparameters,
                preprocessor: &preprocessor,
                seed: config.seed.wrapping_add(1000 * number as u64),
                device,
                stop_after: epochs,
                checkpoint: context.checkpoints.as_ref().map(|folder| folder.join(format!("{number}.safetensors"))),
                title: if number == 0 { "tuning".to_owned() } else { format!("fold {number} of {}", config.folds) },
            };
            tune(&began, &input)
        };
    let tuned: Option<Tuned> = match &config.finetune {
        Some(hyperparameters) => {
            let epochs = hyperparameters.epochs;
            Some(finetune(0, training, Some(held_out), hyperparameters, epochs, head.clone())?)
        }
        None => None,
    };

    // What models of the folds give for the clips that they did not see: logits of each segment of each clip.
    let mut unseen: Vec<Vec<Vec<f32>>> = vec![Vec::new(); training.len()];
    for (number, test) in folds.iter().enumerate() {
        let train: Vec<usize> = everyone.iter().copied().filter(|member| !test.contains(member)).collect();
        if train.is_empty() || test.is_empty() {
            continue;
        }
        let head = heads.fit(&train)?;
        let given = match (&config.finetune, &tuned) {
            (Some(hyperparameters), Some(tuned)) => {
                let on = training.some(&train);
                let of_fold = rounded(finetune(number + 1, &on, None, hyperparameters, tuned.epochs, head)?.parts);
                let network = of_fold.network(device)?;
                logits_of(&network, &of_fold, &training.some(test), &preprocessor, device)?
            }
            _ => {
                let of_clip = |&member: &usize| -> Result<Vec<Vec<f32>>> {
                    Ok(heads.embeddings().segments(member)?.iter().map(|row| logits(&head, row)).collect())
                };
                test.iter().map(of_clip).collect::<Result<_>>()?
            }
        };
        for (&member, logits) in test.iter().zip(given) {
            unseen[member] = logits;
        }
    }
    let calibration = Calibration::fit(&unseen, &training.labels, &training.groups);

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
        .map(|segments| {
            let rows: Vec<_> = segments.iter().map(|row| softmax(row, parts.temperature)).collect();
            models::pool(rows.iter().map(Vec::as_slice))
        })
        .collect();
    if let Some(folder) = context.checkpoints.as_ref().filter(|folder| folder.is_dir()) {
        std::fs::remove_dir_all(folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    let too_many_for_ridge = heads.too_many_for(config);
    let heads = config.finetune.is_none().then_some(heads);
    let report = FitReport {
        config: config.clone(),
        began_with: weights.digest().to_owned(),
        device: backend.name(),
        calibration,
        epochs,
        history,
        too_many_for_ridge,
    };
    Ok(FittedVgg19 { parts, report, cross_validated, heads, embedder })
}

/// Convolutions are written, and used from here on, with the precision of 16-bit floats: half the size.
fn rounded(parts: Vgg19Parameters) -> Vgg19Parameters {
    Vgg19Parameters { weights: parts.weights.rounded(), ..parts }
}
