//! Tuning the last blocks and the head together.

use anyhow::{Context as _, Result};
use burn::{
    module::Param,
    optim::{AdamWState, AdaptiveMomentumState, Optimizer as _},
    tensor::{Device, Tensor, TensorData},
};
use convolution::burn::Conv3x3;
use data::rng::Rng;
use models::vgg19::{
    Block, ConvLayer, ConvWeights, Head, HeadParameters, Preprocessor, Vgg19, Vgg19Config, Vgg19Parameters,
    activations, embed, softmax,
};
use ndarray::Array2;
use optimiser::{AdamW, dropped_out};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    augment,
    checkpoint::{Checkpoint, Named},
    head::{cross_entropy, schedule, targets},
    recipe::{Augment, FinetuneConfig},
    sounds::{PreparedDataset, values},
};
use crate::console::{interrupt, progress::Tuning};

/// How one epoch went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss of its steps, with mixed clips and smoothed targets.
    pub loss: f64,
    /// Share of its crops whose most probable class is the one that the larger share of the mix is.
    pub accuracy: f64,
    /// How good the averaged weights are on the held-out clips, if they were looked at.
    pub held_out: Option<Look>,
}

/// How good a network is on held-out clips, before any temperature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Mean of −ln of the probability of the true class.
    pub log_loss: f64,
    /// Share that is right.
    pub accuracy: f64,
}

/// A tuned network, and how it came about.
#[derive(Debug)]
pub struct Tuned {
    /// The network with the tuned blocks.
    pub parts: Vgg19Parameters,
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// Epochs that the kept weights have seen.
    pub epochs: usize,
}

/// One tensor that is tuned.
#[derive(Clone)]
struct Slot<const D: usize> {
    value: Tensor<D>,
    average: Tensor<D>,
    state: Option<AdamWState<D>>,
}

impl<const D: usize> Slot<D> {
    fn new(values: &[f32], shape: [usize; D], device: &Device) -> Self {
        let value = Tensor::from_data(TensorData::new(values.to_vec(), shape), device);
        Self { average: value.clone(), value, state: None }
    }

    fn leaf(&self) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_inner(self.value.clone()).require_grad())
    }

    fn step(&mut self, optimiser: &AdamW, rate: f64, gradient: Option<Tensor<D>>, averaging: f64) {
        if let Some(gradient) = gradient {
            // Moved and not cloned: nobody else holds it then, and it is changed in place.
            let value = std::mem::replace(&mut self.value, self.average.clone());
            (self.value, self.state) = optimiser.step(rate, value, gradient, self.state.take());
        }
        let average = std::mem::replace(&mut self.average, self.value.clone());
        if averaging > 0.0 {
            self.average = average.mul_scalar(averaging) + self.value.clone().mul_scalar(1.0 - averaging);
        }
    }

    fn save(&self, name: &str, to: &mut Vec<Named>) -> Result<()> {
        let shape = self.value.dims().to_vec();
        let mut save = |suffix: &str, tensor: &Tensor<D>| -> Result<()> {
            to.push(Named { name: format!("{name}{suffix}"), shape: shape.clone(), values: values(tensor.clone())? });
            Ok(())
        };
        save("", &self.value)?;
        save(".average", &self.average)?;
        if let Some(state) = &self.state {
            save(".moment_1", &state.momentum.moment_1)?;
            save(".moment_2", &state.momentum.moment_2)?;
        }
        Ok(())
    }

    /// Takes up what was saved; `false` when it is not all there.
    fn restore(&mut self, name: &str, from: &Checkpoint, device: &Device) -> bool {
        let shape = self.value.dims();
        let restore = |suffix: &str| -> Option<Tensor<D>> {
            let values = from.values(&format!("{name}{suffix}"), &shape)?;
            Some(Tensor::from_data(TensorData::new(values, shape), device))
        };
        let (Some(value), Some(average)) = (restore(""), restore(".average")) else { return false };
        self.state = match (restore(".moment_1"), restore(".moment_2")) {
            (Some(first), Some(second)) => {
                Some(AdamWState::new(AdaptiveMomentumState::new(from.progress.steps, first, second)))
            }
            _ => None,
        };
        (self.value, self.average) = (value, average);
        true
    }
}

/// A convolution that is tuned.
struct ConvSlot {
    layer: ConvLayer,
    weight: Slot<4>,
    bias: Slot<1>,
    /// What its learning rate is multiplied by.
    rate: f64,
}

/// What the frozen blocks say of one crop: what the tuned blocks hear in each view, and the frozen part of the embedding.
#[derive(Clone)]
struct Heard {
    first: Tensor<4>,
    /// `None` when the head hears no frozen block.
    embedding: Option<Tensor<2>>,
}

/// Bytes of [`Heard`] that a tuning keeps in memory at most; what is over that is computed in every epoch again.
const KEPT_BYTES: usize = 2 << 30;

/// What frozen blocks said of clips in which nothing is drawn, so that it need not be computed in every epoch.
struct Kept {
    heard: Vec<Option<Heard>>,
    bytes: usize,
}

impl Kept {
    fn new(clips: usize) -> Self {
        Self { heard: vec![None; clips], bytes: 0 }
    }

    fn keep(&mut self, member: usize, heard: &Heard) {
        let bytes = size_of::<f32>() * heard.first.dims().iter().product::<usize>();
        if self.heard[member].is_none() && self.bytes + bytes <= KEPT_BYTES {
            self.bytes += bytes;
            self.heard[member] = Some(heard.clone());
        }
    }
}

/// What is tuned: the blocks from the first that thaws on, and the head.
struct Trainee {
    /// The whole network.
    config: Vgg19Config,
    /// The blocks before them.
    frozen: Vec<Block>,
    /// Blocks with the shapes of those that are tuned; their values are replaced in every step.
    template: Vec<Block>,
    convs: Vec<ConvSlot>,
    head_template: Head,
    head_weight: Slot<2>,
    head_bias: Slot<1>,
}

impl Trainee {
    fn new(parts: &Vgg19Parameters, recipe: &FinetuneConfig, device: &Device) -> Result<Self> {
        let network = parts.network(device)?;
        let mut frozen = network.blocks;
        let template = frozen.split_off(recipe.thaw - 1);
        let first: usize = frozen.iter().map(|block| block.convs.len()).sum();
        let last = frozen.len() + template.len();
        let mut convs = Vec::new();
        let mut weights = parts.weights.convs().iter().skip(first);
        for (position, block) in template.iter().enumerate() {
            let below = last - (frozen.len() + position + 1);
            for (_, conv) in block.convs.iter().zip(weights.by_ref()) {
                convs.push(ConvSlot {
                    layer: conv.layer,
                    weight: Slot::new(&conv.weight, [conv.layer.out_channels, conv.layer.in_channels, 3, 3], device),
                    bias: Slot::new(&conv.bias, [conv.layer.out_channels], device),
                    rate: recipe.block_decay.powi(below as i32),
                });
            }
        }
        let (dim, n_classes) = (parts.head.mean.len(), parts.head.bias.len());
        let transposed: Vec<f32> = (0..dim)
            .flat_map(|i| (0..n_classes).map(move |class| (class, i)))
            .map(|(class, i)| parts.head.weight[class * dim + i])
            .collect();
        Ok(Self {
            config: parts.config.clone(),
            frozen,
            template,
            convs,
            head_template: network.head,
            head_weight: Slot::new(&transposed, [dim, n_classes], device),
            head_bias: Slot::new(&parts.head.bias, [n_classes], device),
        })
    }

    /// What the frozen blocks say of a standardised log-mel, in all views.
    fn hear(&self, crop: Array2<f32>, input: &Preprocessor, device: &Device) -> Heard {
        let planes = input.planes(&[crop], device);
        let heard = activations(&self.frozen, planes.clone());
        let frozen = self.pooled(|block| block <= self.frozen.len());
        Heard {
            embedding: (!frozen.pooled_blocks.is_empty()).then(|| embed(&frozen, &heard, None)),
            first: heard.last().cloned().unwrap_or(planes),
        }
    }

    /// What the head hears of `blocks`, the tuned ones; the last of them is always heard.
    fn tuned_embedding(&self, blocks: &[Block], first: Tensor<4>) -> Tensor<2> {
        let mut heard = vec![first.clone(); self.frozen.len()];
        heard.extend(activations(blocks, first));
        embed(&self.pooled(|block| block > self.frozen.len()), &heard, None)
    }

    /// The configuration of a head that hears some of the blocks alone.
    fn pooled(&self, wanted: impl Fn(usize) -> bool) -> Vgg19Config {
        let pooled_blocks = self.config.pooled_blocks.iter().copied().filter(|&block| wanted(block)).collect();
        Vgg19Config { pooled_blocks, ..self.config.clone() }
    }

    /// The blocks that are tuned with other values in them.
    fn blocks(
        &self,
        weight: impl Fn(&Slot<4>) -> Param<Tensor<4>>,
        bias: impl Fn(&Slot<1>) -> Param<Tensor<1>>,
    ) -> Vec<Block> {
        let mut slots = self.convs.iter();
        let block = |block: &Block| Block {
            convs: block
                .convs
                .iter()
                .zip(slots.by_ref())
                .map(|(_, slot)| Conv3x3::new(weight(&slot.weight), bias(&slot.bias)))
                .collect(),
        };
        self.template.iter().map(block).collect()
    }

    /// The averaged network, as it would be kept now.
    fn parts(&self, parts: &Vgg19Parameters) -> Result<Vgg19Parameters> {
        let mut kept = parts.clone();
        let tuned = self
            .convs
            .iter()
            .map(|slot| {
                Ok(ConvWeights {
                    layer: slot.layer,
                    weight: values(slot.weight.average.clone())?,
                    bias: values(slot.bias.average.clone())?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        kept.weights = parts.weights.with(tuned);
        kept.head = HeadParameters {
            weight: values(self.head_weight.average.clone().transpose())?,
            bias: values(self.head_bias.average.clone())?,
            ..kept.head
        };
        Ok(kept)
    }

    fn save(&self) -> Result<Vec<Named>> {
        let mut named = Vec::new();
        for slot in &self.convs {
            slot.weight.save(&format!("features.{}.weight", slot.layer.index), &mut named)?;
            slot.bias.save(&format!("features.{}.bias", slot.layer.index), &mut named)?;
        }
        self.head_weight.save("head.weight", &mut named)?;
        self.head_bias.save("head.bias", &mut named)?;
        Ok(named)
    }

    fn restore(&mut self, from: &Checkpoint, device: &Device) -> bool {
        self.convs.iter_mut().all(|slot| {
            slot.weight.restore(&format!("features.{}.weight", slot.layer.index), from, device)
                && slot.bias.restore(&format!("features.{}.bias", slot.layer.index), from, device)
        }) && self.head_weight.restore("head.weight", from, device)
            && self.head_bias.restore("head.bias", from, device)
    }
}

/// What a tuning works on.
pub(super) struct Job<'a> {
    pub sounds: &'a PreparedDataset<'a>,
    /// Clips that are looked at now and then, for early stopping.
    pub held_out: Option<&'a PreparedDataset<'a>>,
    pub recipe: &'a FinetuneConfig,
    pub input: &'a Preprocessor,
    pub seed: u64,
    pub device: &'a Device,
    /// Ends after this epoch, with the schedule of the whole recipe.
    pub stop_after: usize,
    /// Where it is taken up after a kill.
    pub checkpoint: Option<std::path::PathBuf>,
    pub title: String,
}

/// Tunes `parts`, which have a head already.
///
/// Everything that is drawn comes from the seed and the number of the epoch, so a tuning that was killed and is taken up
/// from its checkpoint ends with the same bits.
pub(super) fn tune(parts: &Vgg19Parameters, job: &Job<'_>) -> Result<Tuned> {
    let Job { sounds, recipe, device, .. } = job;
    let mut trainee = Trainee::new(parts, recipe, device)?;
    let mut progress = Progress { history: Vec::new(), steps: 0, best: None, worse: 0 };
    let mut best: Option<Vgg19Parameters> = None;
    if let Some(saved) = job.checkpoint.as_deref().and_then(Checkpoint::read) {
        let kept = saved.best(parts);
        if trainee.restore(&saved, device) && kept.is_some() == saved.progress.best.is_some() {
            (progress, best) = (saved.progress, kept);
        } else {
            trainee = Trainee::new(parts, recipe, device)?;
        }
    }
    let mut kept = Kept::new(sounds.len());
    let bar = Tuning::new(&job.title, recipe.epochs, sounds.len().div_ceil(recipe.batch));
    while progress.history.len() < job.stop_after && progress.worse < recipe.patience {
        let epoch = progress.history.len();
        let mut entry = one_epoch(&mut trainee, &mut kept, parts, job, epoch, &mut progress.steps, &bar)?;
        let last = epoch + 1 == job.stop_after;
        if let Some(held_out) = job.held_out
            && (last || (epoch + 1).is_multiple_of(recipe.look_every))
        {
            let now = trainee.parts(parts)?;
            let look = look(&now, held_out, job)?;
            entry.held_out = Some(look);
            bar.say(&format!(
                "epoch {} held out: accuracy {:.3}, log-loss {:.3}",
                epoch + 1,
                look.accuracy,
                look.log_loss
            ));
            if progress.best.is_none_or(|(_, least)| look.log_loss < least) {
                progress.best = Some((epoch + 1, look.log_loss));
                progress.worse = 0;
                best = Some(now);
            } else {
                progress.worse += 1;
            }
        }
        progress.history.push(entry);
        if let Some(path) = &job.checkpoint {
            let saved = trainee.save()?;
            interrupt::uninterrupted(|| Checkpoint::write(path, &progress, saved, best.as_ref()))
                .with_context(|| format!("failed to keep {}", path.display()))?;
        }
    }
    let epochs = progress.best.map_or(progress.history.len(), |(epoch, _)| epoch);
    let parts = match best {
        Some(best) => best,
        None => trainee.parts(parts)?,
    };
    Ok(Tuned { parts, history: progress.history, epochs })
}

/// How far a tuning is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub history: Vec<Epoch>,
    pub steps: usize,
    /// Epochs and log-loss of the best look.
    pub best: Option<(usize, f64)>,
    /// Looks since then.
    pub worse: usize,
}

fn one_epoch(
    trainee: &mut Trainee,
    kept: &mut Kept,
    parts: &Vgg19Parameters,
    job: &Job<'_>,
    epoch: usize,
    steps: &mut usize,
    bar: &Tuning,
) -> Result<Epoch> {
    let Job { sounds, recipe, input, device, .. } = job;
    let mut rng = Rng::stream(job.seed, epoch as u64 + 1);
    let mut order: Vec<usize> = (0..sounds.len()).collect();
    rng.shuffle(&mut order);
    let n_classes = parts.config.n_classes;
    let batches = sounds.len().div_ceil(recipe.batch);
    let all_steps = recipe.epochs * batches;
    let db_per_unit = input.deviation.iter().sum::<f32>() / input.deviation.len().max(1) as f32;
    let (mut losses, mut right) = (0.0, 0usize);
    let (of_weights, of_biases) = (AdamW::new(recipe.weight_decay as f32), AdamW::new(0.0));
    for (number, members) in order.chunks(recipe.batch).enumerate() {
        let n = members.len();
        // Each clip is mixed with the one as far from the end of the batch as it is from the start.
        let share = augment::mixing_share(recipe.augment.mixup, &mut rng) as f32;
        let clips = sounds.standardised(members, input)?;
        let crops: Vec<Array2<f32>> = clips
            .iter()
            .map(|clip| augment::crop(clip.view(), recipe.crop, &recipe.augment, db_per_unit, &mut rng))
            .collect();
        let learner: &Trainee = trainee;
        let heard = (0..n).into_par_iter().map(|i| match &kept.heard[members[i]] {
            Some(heard) => heard.clone(),
            None => {
                let crop = &crops[i];
                let mixed = if share < 1.0 { crop * share + &crops[n - 1 - i] * (1.0 - share) } else { crop.clone() };
                learner.hear(mixed, input, device)
            }
        });
        let heard: Vec<Heard> = heard.collect();
        if recipe.augment == Augment::NONE {
            for ((&member, clip), heard) in members.iter().zip(&clips).zip(&heard) {
                if clip.ncols() == recipe.crop {
                    kept.keep(member, heard);
                }
            }
        }
        let labels: Vec<_> = members.iter().map(|&member| sounds.labels[member]).collect();
        let plain = targets(&labels, n_classes, recipe.label_smoothing);
        let soft: Vec<f32> = (0..n)
            .flat_map(|i| (0..n_classes).map(move |class| (i, class)))
            .map(|(i, class)| {
                plain[i * n_classes + class] * share + plain[(n - 1 - i) * n_classes + class] * (1.0 - share)
            })
            .collect();

        let first = Tensor::cat(heard.iter().map(|heard| heard.first.clone()).collect(), 0);
        let frozen: Vec<_> = heard.iter().filter_map(|heard| heard.embedding.clone()).collect();
        let blocks = trainee.blocks(Slot::leaf, Slot::leaf);
        let mut embedding = learner.tuned_embedding(&blocks, Tensor::from_inner(first));
        if !frozen.is_empty() {
            embedding =
                joined(Tensor::from_inner(Tensor::cat(frozen, 0)), embedding, parts.config.normalisations.len());
        }
        let lift = |tensor: &Tensor<2>| Tensor::from_inner(tensor.clone());
        let z = (embedding - lift(&trainee.head_template.mean)) * lift(&trainee.head_template.scale);
        let [_, dim] = z.dims();
        let constant = |values: Vec<f32>, shape: [usize; 2]| {
            Tensor::<2>::from_inner(Tensor::from_data(TensorData::new(values, shape), *device))
        };
        let z = if recipe.dropout > 0.0 {
            z * constant(dropped_out(&vec![1.0; n * dim], recipe.dropout, || rng.next_u64()), [n, dim])
        } else {
            z
        };
        let (weight, bias) = (trainee.head_weight.leaf(), trainee.head_bias.leaf());
        let logits = z.matmul(weight.val()) + bias.val().unsqueeze();
        let loss = cross_entropy(logits.clone(), constant(soft, [n, n_classes]));
        losses += f64::from(values(loss.clone().inner())?.first().copied().unwrap_or(f32::NAN)) * n as f64;
        right += values(logits.inner())?
            .chunks(n_classes)
            .zip(&labels)
            .filter(|(row, label)| models::most_probable(&softmax(row, 1.0)) == **label)
            .count();

        let mut gradients = loss.backward();
        let of_convs: Vec<_> = blocks
            .iter()
            .flat_map(|block| &block.convs)
            .map(|conv| (conv.weight.val().grad_remove(&mut gradients), conv.bias.val().grad_remove(&mut gradients)))
            .collect();
        let of_head = (weight.val().grad_remove(&mut gradients), bias.val().grad_remove(&mut gradients));
        // They hold the values, which are about to change.
        drop((blocks, weight, bias));
        let mut square = squared(of_head.0.clone())? + squared(of_head.1.clone())?;
        for (weight, bias) in &of_convs {
            square += squared(weight.clone())? + squared(bias.clone())?;
        }
        let norm = libm::sqrt(square);
        anyhow::ensure!(
            norm.is_finite(),
            "the training diverged in epoch {} (the gradients are not finite); lower the learning rates",
            epoch + 1
        );
        let clip = (recipe.clip_norm / norm.max(1e-12)).min(1.0) as f32;
        let now = schedule(*steps, all_steps, recipe.warm_up);
        // The average forgets its start quickly at first.
        let averaging = recipe.averaging.min((1 + *steps) as f64 / (10 + *steps) as f64);
        let averaging = if recipe.averaging > 0.0 { averaging } else { 0.0 };
        for (slot, (weight, bias)) in trainee.convs.iter_mut().zip(of_convs) {
            let rate = recipe.learning_rate * slot.rate * now;
            slot.weight.step(&of_weights, rate, weight.map(|g| g.mul_scalar(clip)), averaging);
            slot.bias.step(&of_biases, rate, bias.map(|g| g.mul_scalar(clip)), averaging);
        }
        let rate = recipe.head_learning_rate * now;
        trainee.head_weight.step(&of_weights, rate, of_head.0.map(|g| g.mul_scalar(clip)), averaging);
        trainee.head_bias.step(&of_biases, rate, of_head.1.map(|g| g.mul_scalar(clip)), averaging);
        *steps += 1;
        let seen = (number * recipe.batch + n) as f64;
        bar.at(epoch, number + 1, losses / seen, right as f64 / seen);
    }
    let n = sounds.len().max(1) as f64;
    Ok(Epoch { loss: losses / n, accuracy: right as f64 / n, held_out: None })
}

/// What the head hears: of each view what the frozen blocks say, then what the tuned ones do.
///
/// # Shapes
/// - `frozen`: `[n, views · a]`, `tuned`: `[n, views · b]`
/// - result: `[n, views · (a + b)]`
fn joined(frozen: Tensor<2>, tuned: Tensor<2>, views: usize) -> Tensor<2> {
    let [n, _] = frozen.dims();
    let of_views = |x: Tensor<2>| {
        let dim = x.dims()[1] / views;
        x.reshape([n, views, dim])
    };
    Tensor::cat(vec![of_views(frozen), of_views(tuned)], 2).flatten(1, 2)
}

fn squared<const D: usize>(gradient: Option<Tensor<D>>) -> Result<f64> {
    match gradient {
        Some(gradient) => Ok(f64::from(values(gradient.square().sum())?.first().copied().unwrap_or(f32::NAN))),
        None => Ok(0.0),
    }
}

/// How good a network is on the clips that are held out.
fn look(parts: &Vgg19Parameters, held_out: &PreparedDataset<'_>, job: &Job<'_>) -> Result<Look> {
    let logits = logits_of(&parts.network(job.device)?, parts, held_out, job.input, job.device)?;
    let (mut loss, mut right) = (0.0, 0);
    for (passages, &label) in logits.iter().zip(&held_out.labels) {
        let rows: Vec<_> = passages.iter().map(|row| softmax(row, 1.0)).collect();
        let probabilities = models::pool(rows.iter().map(Vec::as_slice));
        loss -= libm::log(probabilities[label].max(1e-15));
        right += usize::from(models::most_probable(&probabilities) == label);
    }
    let n = held_out.len().max(1) as f64;
    Ok(Look { log_loss: loss / n, accuracy: right as f64 / n })
}

/// Logits of each passage of each clip.
pub(super) fn logits_of(
    network: &Vgg19,
    parts: &Vgg19Parameters,
    sounds: &PreparedDataset<'_>,
    input: &Preprocessor,
    device: &Device,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let one = |member: usize| -> Result<Vec<Vec<f32>>> {
        sounds
            .passages(member)?
            .into_iter()
            .map(|log_mel| {
                let planes = input.planes(&[input.standardise(&log_mel)], device);
                let embedding = embed(&parts.config, &network.activations(planes), None);
                values(network.head.forward(embedding))
            })
            .collect()
    };
    (0..sounds.len()).into_par_iter().map(one).collect()
}
