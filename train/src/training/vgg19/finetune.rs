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

use super::{
    augment,
    checkpoint::{Checkpoint, Epoch, HeldOutScore, NamedTensor, Progress},
    config::{Augment, FinetuneConfig},
    embedder::values,
    head::{cross_entropy, schedule, targets},
    prepared::PreparedDataset,
};
use crate::console::{interrupt, progress::Tuning};

/// A tuned network, and how it came about.
#[derive(Debug)]
pub(super) struct Tuned {
    /// The network with the tuned blocks.
    pub(super) parts: Vgg19Parameters,
    /// Every epoch.
    pub(super) history: Vec<Epoch>,
    /// Epochs behind its weights.
    pub(super) epochs: usize,
}

/// One tensor that is tuned.
#[derive(Clone)]
struct TunedTensor<const D: usize> {
    value: Tensor<D>,
    average: Tensor<D>,
    state: Option<AdamWState<D>>,
}

impl<const D: usize> TunedTensor<D> {
    fn new(values: &[f32], shape: [usize; D], device: &Device) -> Self {
        let value = Tensor::from_data(TensorData::new(values.to_vec(), shape), device);
        Self { average: value.clone(), value, state: None }
    }

    fn leaf(&self) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_inner(self.value.clone()).require_grad())
    }

    fn step(&mut self, optimiser: &AdamW, rate: f64, gradient: Option<Tensor<D>>, averaging: f64) {
        if let Some(gradient) = gradient {
            // Moved and not cloned: it has no other owner then, and is changed in place.
            let value = std::mem::replace(&mut self.value, self.average.clone());
            (self.value, self.state) = optimiser.step(rate, value, gradient, self.state.take());
        }
        let average = std::mem::replace(&mut self.average, self.value.clone());
        if averaging > 0.0 {
            self.average = average.mul_scalar(averaging) + self.value.clone().mul_scalar(1.0 - averaging);
        }
    }

    fn save(&self, name: &str, to: &mut Vec<NamedTensor>) -> Result<()> {
        let shape = self.value.dims().to_vec();
        let mut save = |suffix: &str, tensor: &Tensor<D>| -> Result<()> {
            to.push(NamedTensor {
                name: format!("{name}{suffix}"),
                shape: shape.clone(),
                values: values(tensor.clone())?,
            });
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
struct TunedConv {
    layer: ConvLayer,
    weight: TunedTensor<4>,
    bias: TunedTensor<1>,
    /// What its learning rate is multiplied by.
    rate: f64,
}

/// What the frozen blocks give for one crop: the input of the tuned blocks, and the frozen part of the embedding.
#[derive(Clone)]
struct FrozenOutput {
    first: Tensor<4>,
    /// `None` when the head takes no frozen block.
    embedding: Option<Tensor<2>>,
}

/// Bytes of [`FrozenOutput`] that a tuning keeps in memory at most; what is over that is computed in every epoch again.
const CACHE_BYTES: usize = 2 << 30;

/// What frozen blocks gave for clips in which nothing is drawn, so that it need not be computed in every epoch.
struct ActivationCache {
    outputs: Vec<Option<FrozenOutput>>,
    bytes: usize,
}

impl ActivationCache {
    fn new(clips: usize) -> Self {
        Self { outputs: vec![None; clips], bytes: 0 }
    }

    fn insert(&mut self, member: usize, output: &FrozenOutput) {
        let bytes = size_of::<f32>() * output.first.dims().iter().product::<usize>();
        if self.outputs[member].is_none() && self.bytes + bytes <= CACHE_BYTES {
            self.bytes += bytes;
            self.outputs[member] = Some(output.clone());
        }
    }
}

/// What is tuned: the blocks from `unfreeze_from` on, and the head.
struct FinetuneModel {
    /// The whole network.
    config: Vgg19Config,
    /// The blocks before them.
    frozen: Vec<Block>,
    /// Blocks with the shapes of those that are tuned; their values are replaced in every step.
    template: Vec<Block>,
    convs: Vec<TunedConv>,
    head_template: Head,
    head_weight: TunedTensor<2>,
    head_bias: TunedTensor<1>,
}

impl FinetuneModel {
    fn new(parts: &Vgg19Parameters, config: &FinetuneConfig, device: &Device) -> Result<Self> {
        let network = parts.network(device)?;
        let mut frozen = network.blocks;
        let template = frozen.split_off(config.unfreeze_from - 1);
        let first: usize = frozen.iter().map(|block| block.convs.len()).sum();
        let last = frozen.len() + template.len();
        let mut convs = Vec::new();
        let mut weights = parts.weights.convs().iter().skip(first);
        for (position, block) in template.iter().enumerate() {
            let below = last - (frozen.len() + position + 1);
            for (_, conv) in block.convs.iter().zip(weights.by_ref()) {
                convs.push(TunedConv {
                    layer: conv.layer,
                    weight: TunedTensor::new(
                        &conv.weight,
                        [conv.layer.out_channels, conv.layer.in_channels, 3, 3],
                        device,
                    ),
                    bias: TunedTensor::new(&conv.bias, [conv.layer.out_channels], device),
                    rate: config.block_decay.powi(below as i32),
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
            head_weight: TunedTensor::new(&transposed, [dim, n_classes], device),
            head_bias: TunedTensor::new(&parts.head.bias, [n_classes], device),
        })
    }

    /// What the frozen blocks give for a standardised log-mel, in all normalisations.
    fn frozen_forward(&self, crop: Array2<f32>, preprocessor: &Preprocessor, device: &Device) -> FrozenOutput {
        let planes = preprocessor.planes(&[crop], device);
        let given = activations(&self.frozen, planes.clone());
        let frozen = self.pooled(|block| block <= self.frozen.len());
        FrozenOutput {
            embedding: (!frozen.pooled_blocks.is_empty()).then(|| embed(&frozen, &given, None)),
            first: given.last().cloned().unwrap_or(planes),
        }
    }

    /// What the head takes of `blocks`, the tuned ones; it always takes the last of them.
    fn tuned_embedding(&self, blocks: &[Block], first: Tensor<4>) -> Tensor<2> {
        let mut given = vec![first.clone(); self.frozen.len()];
        given.extend(activations(blocks, first));
        embed(&self.pooled(|block| block > self.frozen.len()), &given, None)
    }

    /// The configuration of a head that takes some of the blocks alone.
    fn pooled(&self, wanted: impl Fn(usize) -> bool) -> Vgg19Config {
        let pooled_blocks = self.config.pooled_blocks.iter().copied().filter(|&block| wanted(block)).collect();
        Vgg19Config { pooled_blocks, ..self.config.clone() }
    }

    /// The blocks that are tuned with other values in them.
    fn blocks(
        &self,
        weight: impl Fn(&TunedTensor<4>) -> Param<Tensor<4>>,
        bias: impl Fn(&TunedTensor<1>) -> Param<Tensor<1>>,
    ) -> Vec<Block> {
        let mut tuned = self.convs.iter();
        let block = |block: &Block| Block {
            convs: block
                .convs
                .iter()
                .zip(tuned.by_ref())
                .map(|(_, conv)| Conv3x3::new(weight(&conv.weight), bias(&conv.bias)))
                .collect(),
        };
        self.template.iter().map(block).collect()
    }

    /// The averaged network, as it is now.
    fn parts(&self, parts: &Vgg19Parameters) -> Result<Vgg19Parameters> {
        let mut averaged = parts.clone();
        let tuned = self
            .convs
            .iter()
            .map(|conv| {
                Ok(ConvWeights {
                    layer: conv.layer,
                    weight: values(conv.weight.average.clone())?,
                    bias: values(conv.bias.average.clone())?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        averaged.weights = parts.weights.with(tuned);
        averaged.head = HeadParameters {
            weight: values(self.head_weight.average.clone().transpose())?,
            bias: values(self.head_bias.average.clone())?,
            ..averaged.head
        };
        Ok(averaged)
    }

    fn save(&self) -> Result<Vec<NamedTensor>> {
        let mut named = Vec::new();
        for conv in &self.convs {
            conv.weight.save(&format!("features.{}.weight", conv.layer.index), &mut named)?;
            conv.bias.save(&format!("features.{}.bias", conv.layer.index), &mut named)?;
        }
        self.head_weight.save("head.weight", &mut named)?;
        self.head_bias.save("head.bias", &mut named)?;
        Ok(named)
    }

    fn restore(&mut self, from: &Checkpoint, device: &Device) -> bool {
        self.convs.iter_mut().all(|conv| {
            conv.weight.restore(&format!("features.{}.weight", conv.layer.index), from, device)
                && conv.bias.restore(&format!("features.{}.bias", conv.layer.index), from, device)
        }) && self.head_weight.restore("head.weight", from, device)
            && self.head_bias.restore("head.bias", from, device)
    }
}

/// What a tuning works on.
pub(super) struct FinetuneInput<'a> {
    pub training: &'a PreparedDataset<'a>,
    /// Clips that are evaluated on now and then, for early stopping.
    pub held_out: Option<&'a PreparedDataset<'a>>,
    pub config: &'a FinetuneConfig,
    pub preprocessor: &'a Preprocessor,
    pub seed: u64,
    pub device: &'a Device,
    /// Ends after this epoch, with the schedule of the whole configuration.
    pub stop_after: usize,
    /// From where it goes on after a kill.
    pub checkpoint: Option<std::path::PathBuf>,
    pub title: String,
}

/// Tunes `parts`, which have a head already.
///
/// Everything that is drawn comes from the seed and the number of the epoch, so a tuning that was killed and is taken up
/// from its checkpoint ends with the same bits.
pub(super) fn tune(parts: &Vgg19Parameters, input: &FinetuneInput<'_>) -> Result<Tuned> {
    let FinetuneInput { training, config, device, .. } = input;
    let mut model = FinetuneModel::new(parts, config, device)?;
    let mut progress = Progress { history: Vec::new(), steps: 0, best: None, worse: 0 };
    let mut best: Option<Vgg19Parameters> = None;
    if let Some(saved) = input.checkpoint.as_deref().and_then(Checkpoint::read) {
        let saved_best = saved.best(parts);
        if model.restore(&saved, device) && saved_best.is_some() == saved.progress.best.is_some() {
            (progress, best) = (saved.progress, saved_best);
        } else {
            model = FinetuneModel::new(parts, config, device)?;
        }
    }
    let mut cache = ActivationCache::new(training.len());
    let bar = Tuning::new(&input.title, config.epochs, training.len().div_ceil(config.batch));
    while progress.history.len() < input.stop_after && progress.worse < config.patience {
        let epoch = progress.history.len();
        let mut entry = one_epoch(&mut model, &mut cache, parts, input, epoch, &mut progress.steps, &bar)?;
        let last = epoch + 1 == input.stop_after;
        if let Some(held_out) = input.held_out
            && (last || (epoch + 1).is_multiple_of(config.evaluate_every))
        {
            let now = model.parts(parts)?;
            let score = score(&now, held_out, input)?;
            entry.held_out = Some(score);
            bar.say(&format!(
                "epoch {} held out: accuracy {:.3}, log-loss {:.3}",
                epoch + 1,
                score.accuracy,
                score.log_loss
            ));
            if progress.best.is_none_or(|(_, least)| score.log_loss < least) {
                progress.best = Some((epoch + 1, score.log_loss));
                progress.worse = 0;
                best = Some(now);
            } else {
                progress.worse += 1;
            }
        }
        progress.history.push(entry);
        if let Some(path) = &input.checkpoint {
            let saved = model.save()?;
            interrupt::uninterrupted(|| Checkpoint::write(path, &progress, saved, best.as_ref()))
                .with_context(|| format!("failed to write {}", path.display()))?;
        }
    }
    let epochs = progress.best.map_or(progress.history.len(), |(epoch, _)| epoch);
    let parts = match best {
        Some(best) => best,
        None => model.parts(parts)?,
    };
    Ok(Tuned { parts, history: progress.history, epochs })
}

fn one_epoch(
    model: &mut FinetuneModel,
    cache: &mut ActivationCache,
    parts: &Vgg19Parameters,
    input: &FinetuneInput<'_>,
    epoch: usize,
    steps: &mut usize,
    bar: &Tuning,
) -> Result<Epoch> {
    let FinetuneInput { training, config, preprocessor, device, .. } = input;
    let mut rng = Rng::stream(input.seed, epoch as u64 + 1);
    let mut order: Vec<usize> = (0..training.len()).collect();
    rng.shuffle(&mut order);
    let n_classes = parts.config.n_classes;
    let batches = training.len().div_ceil(config.batch);
    let all_steps = config.epochs * batches;
    let db_per_unit = preprocessor.deviation.iter().sum::<f32>() / preprocessor.deviation.len().max(1) as f32;
    let (mut losses, mut right) = (0.0, 0usize);
    let (of_weights, of_biases) = (AdamW::new(config.weight_decay as f32), AdamW::new(0.0));
    for (number, members) in order.chunks(config.batch).enumerate() {
        let n = members.len();
        // Each clip is mixed with the one as far from the end of the batch as it is from the start.
        let share = augment::mixing_share(config.augment.mixup, &mut rng) as f32;
        let clips = training.standardised(members, preprocessor)?;
        let crops: Vec<Array2<f32>> = clips
            .iter()
            .map(|clip| augment::crop(clip.view(), config.crop, &config.augment, db_per_unit, &mut rng))
            .collect();
        let now: &FinetuneModel = model;
        let outputs = (0..n).into_par_iter().map(|i| match &cache.outputs[members[i]] {
            Some(output) => output.clone(),
            None => {
                let crop = &crops[i];
                let mixed = if share < 1.0 { crop * share + &crops[n - 1 - i] * (1.0 - share) } else { crop.clone() };
                now.frozen_forward(mixed, preprocessor, device)
            }
        });
        let outputs: Vec<FrozenOutput> = outputs.collect();
        if config.augment == Augment::NONE {
            for ((&member, clip), output) in members.iter().zip(&clips).zip(&outputs) {
                if clip.ncols() == config.crop {
                    cache.insert(member, output);
                }
            }
        }
        let labels: Vec<_> = members.iter().map(|&member| training.labels[member]).collect();
        let plain = targets(&labels, n_classes, config.label_smoothing);
        let soft: Vec<f32> = (0..n)
            .flat_map(|i| (0..n_classes).map(move |class| (i, class)))
            .map(|(i, class)| {
                plain[i * n_classes + class] * share + plain[(n - 1 - i) * n_classes + class] * (1.0 - share)
            })
            .collect();

        let first = Tensor::cat(outputs.iter().map(|output| output.first.clone()).collect(), 0);
        let frozen: Vec<_> = outputs.iter().filter_map(|output| output.embedding.clone()).collect();
        let blocks = model.blocks(TunedTensor::leaf, TunedTensor::leaf);
        let mut embedding = now.tuned_embedding(&blocks, Tensor::from_inner(first));
        if !frozen.is_empty() {
            embedding =
                joined(Tensor::from_inner(Tensor::cat(frozen, 0)), embedding, parts.config.normalisations.len());
        }
        let lift = |tensor: &Tensor<2>| Tensor::from_inner(tensor.clone());
        let z = (embedding - lift(&model.head_template.mean)) * lift(&model.head_template.scale);
        let [_, dim] = z.dims();
        let constant = |values: Vec<f32>, shape: [usize; 2]| {
            Tensor::<2>::from_inner(Tensor::from_data(TensorData::new(values, shape), *device))
        };
        let z = if config.dropout > 0.0 {
            z * constant(dropped_out(&vec![1.0; n * dim], config.dropout, || rng.next_u64()), [n, dim])
        } else {
            z
        };
        let (weight, bias) = (model.head_weight.leaf(), model.head_bias.leaf());
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
        let clip = (config.clip_norm / norm.max(1e-12)).min(1.0) as f32;
        let schedule = schedule(*steps, all_steps, config.warm_up);
        // The average forgets its start quickly at first.
        let averaging = config.averaging.min((1 + *steps) as f64 / (10 + *steps) as f64);
        let averaging = if config.averaging > 0.0 { averaging } else { 0.0 };
        for (conv, (weight, bias)) in model.convs.iter_mut().zip(of_convs) {
            let rate = config.learning_rate * conv.rate * schedule;
            conv.weight.step(&of_weights, rate, weight.map(|g| g.mul_scalar(clip)), averaging);
            conv.bias.step(&of_biases, rate, bias.map(|g| g.mul_scalar(clip)), averaging);
        }
        let rate = config.head_learning_rate * schedule;
        model.head_weight.step(&of_weights, rate, of_head.0.map(|g| g.mul_scalar(clip)), averaging);
        model.head_bias.step(&of_biases, rate, of_head.1.map(|g| g.mul_scalar(clip)), averaging);
        *steps += 1;
        let seen = (number * config.batch + n) as f64;
        bar.at(epoch, number + 1, losses / seen, right as f64 / seen);
    }
    let n = training.len().max(1) as f64;
    Ok(Epoch { loss: losses / n, accuracy: right as f64 / n, held_out: None })
}

/// What the head takes: of each normalisation what the frozen blocks give, then what the tuned ones do.
///
/// # Shapes
/// - `frozen`: `[n, normalisations · a]`, `tuned`: `[n, normalisations · b]`
/// - result: `[n, normalisations · (a + b)]`
fn joined(frozen: Tensor<2>, tuned: Tensor<2>, normalisations: usize) -> Tensor<2> {
    let [n, _] = frozen.dims();
    let split = |x: Tensor<2>| {
        let dim = x.dims()[1] / normalisations;
        x.reshape([n, normalisations, dim])
    };
    Tensor::cat(vec![split(frozen), split(tuned)], 2).flatten(1, 2)
}

fn squared<const D: usize>(gradient: Option<Tensor<D>>) -> Result<f64> {
    match gradient {
        Some(gradient) => Ok(f64::from(values(gradient.square().sum())?.first().copied().unwrap_or(f32::NAN))),
        None => Ok(0.0),
    }
}

/// How good a network is on the clips that are held out.
fn score(parts: &Vgg19Parameters, held_out: &PreparedDataset<'_>, input: &FinetuneInput<'_>) -> Result<HeldOutScore> {
    let logits = logits_of(&parts.network(input.device)?, parts, held_out, input.preprocessor, input.device)?;
    let (mut loss, mut right) = (0.0, 0);
    for (segments, &label) in logits.iter().zip(&held_out.labels) {
        let rows: Vec<_> = segments.iter().map(|row| softmax(row, 1.0)).collect();
        let probabilities = models::pool(rows.iter().map(Vec::as_slice));
        loss -= libm::log(probabilities[label].max(1e-15));
        right += usize::from(models::most_probable(&probabilities) == label);
    }
    let n = held_out.len().max(1) as f64;
    Ok(HeldOutScore { log_loss: loss / n, accuracy: right as f64 / n })
}

/// Logits of each segment of each clip.
pub(super) fn logits_of(
    network: &Vgg19,
    parts: &Vgg19Parameters,
    training: &PreparedDataset<'_>,
    preprocessor: &Preprocessor,
    device: &Device,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let one = |member: usize| -> Result<Vec<Vec<f32>>> {
        training
            .segments(member)?
            .into_iter()
            .map(|log_mel| {
                let planes = preprocessor.planes(&[preprocessor.standardise(&log_mel)], device);
                let embedding = embed(&parts.config, &network.activations(planes), None);
                values(network.head.forward(embedding))
            })
            .collect()
    };
    (0..training.len()).into_par_iter().map(one).collect()
}
