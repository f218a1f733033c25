//! [`GradCam`]: which places of a clip speak for a class, by the last block.

use burn::tensor::{Device, Tensor, TensorData, activation::relu};
use features::{FeatureSpec, Span, dsp::mel};

use super::{
    log_covariance::{Axes, contributions},
    network::{EPSILON, Statistic, channels},
    parameters::Vgg19Parameters,
    preprocessing::Preprocessor,
};
use crate::{Error, Explanation, Result};

/// Grad-CAM of the last block that the head pools: Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via
/// gradient-based localization", 2017, equations 1 and 2.
///
/// Of the activations `A` of the block, a class `c` with the logit `y` has the map
///
/// ```text
/// L[i, j] = max(0, Σ_k α_k · A[k, i, j]),     α_k = 1/Z · Σ_ij ∂y / ∂A[k, i, j]
/// ```
///
/// over its `Z` positions. The head is linear in statistics of each channel, so the gradients are known without computing them:
/// an average gives `1/Z` at every position, a maximum 1 at one of them, and a deviation, which no even rise of a channel
/// changes, a sum of 0. With the head's weight `w` and scale `s` of a statistic, `α_k = 1/Z · (w·s of the average + w·s of the
/// maximum)`. Where a segment has several normalisations, `k` goes over the channels of all of
/// them. A head of deviations alone has nothing to show.
///
/// An even rise changes no covariance either, and most of what a head with log-covariances knows would not be seen. So of such a head
/// the gradient of each position counts, and not the mean gradient of its channel (HiResCAM: Draelos and Carin, "Use HiResCAM instead of Grad-CAM
/// for faithful explanations of convolutional neural networks", 2020):
///
/// ```text
/// L[i, j] = max(0, Σ_k ∂y / ∂A[k, i, j] · A[k, i, j])
/// ```
///
/// Of averages alone the two are the same.
#[derive(Debug)]
pub(super) struct GradCam {
    /// The last block, 1 to 5.
    block: usize,
    n_classes: usize,
    gradients: Gradients,
}

/// Gradients of the logits by the activations of the last block; their rows are the channels of one normalisation after those of another,
/// `[normalisations · channels, n_classes]`.
#[derive(Debug)]
enum Gradients {
    /// `Z · α`.
    Mean(Box<Tensor<2>>),
    /// What each position has by itself.
    Positions(Box<PositionGradients>),
}

#[derive(Debug)]
struct PositionGradients {
    /// `w·s` of the averages, the maxima and the deviations; `None` of a statistic that the head does not take.
    average: Option<Tensor<2>>,
    maximum: Option<Tensor<2>>,
    deviation: Option<Tensor<2>>,
    axes: Axes,
    /// `w·s` of the log-covariance of the block, `[normalisations][n_classes][dim_of(block)]`.
    log_covariance: Vec<Vec<Vec<f64>>>,
}

/// The maps of one segment, of every class.
#[derive(Debug)]
pub(super) struct Map {
    segment: Span,
    columns: usize,
    /// Row-major `[rows, columns, n_classes]`.
    values: Vec<f32>,
}

impl GradCam {
    /// Of the head of a network.
    pub(super) fn new(parameters: &Vgg19Parameters, device: &Device) -> Self {
        let Vgg19Parameters { config, head, .. } = parameters;
        let block = config.n_blocks();
        let (channels, n_classes) = (channels(block), config.n_classes);
        let (dim, normalisations) = (config.embedding_dim(), config.normalisations.len());
        // Of the statistics of each normalisation, those of the last block come last.
        let first = config.statistics_dim() - channels * config.statistics.len();
        // The product of weight and scale of some of the statistics of each channel, added up.
        let weights_of = |wanted: &[Statistic]| {
            let mut weights = vec![0.0; normalisations * channels * n_classes];
            for (row, weights) in weights.chunks_mut(n_classes).enumerate() {
                let (normalisation, channel) = (row / channels, row % channels);
                for (position, _) in config.statistics.iter().enumerate().filter(|(_, of)| wanted.contains(of)) {
                    let at = normalisation * config.dim_per_normalisation() + first + position * channels + channel;
                    for (class, weight) in weights.iter_mut().enumerate() {
                        *weight += head.weight[class * dim + at] * head.scale[at];
                    }
                }
            }
            Tensor::<2>::from_data(TensorData::new(weights, [normalisations * channels, n_classes]), device)
        };
        let gradients = match (parameters.axes_on(device), config.log_covariance) {
            (Some(axes), Some(log_covariance)) => {
                let weights_of = |wanted| config.statistics.contains(&wanted).then(|| weights_of(&[wanted]));
                // Of each normalisation, the log-covariance of the last block comes last of all.
                let n = log_covariance.dim_of(block);
                let of_class = |normalisation: usize, class: usize| -> Vec<f64> {
                    let end = (normalisation + 1) * config.dim_per_normalisation();
                    let weights = &head.weight[class * dim + end - n..class * dim + end];
                    weights.iter().zip(&head.scale[end - n..end]).map(|(w, s)| f64::from(*w) * f64::from(*s)).collect()
                };
                Gradients::Positions(Box::new(PositionGradients {
                    average: weights_of(Statistic::Average),
                    maximum: weights_of(Statistic::Maximum),
                    deviation: weights_of(Statistic::Deviation),
                    axes,
                    log_covariance: (0..normalisations)
                        .map(|normalisation| (0..n_classes).map(|class| of_class(normalisation, class)).collect())
                        .collect(),
                }))
            }
            _ => Gradients::Mean(Box::new(weights_of(&[Statistic::Average, Statistic::Maximum]))),
        };
        Self { block, n_classes, gradients }
    }

    /// The maps of all classes over one segment.
    ///
    /// # Shapes
    /// - `activations`: the activations of the last block for each normalisation, `[normalisations, channels, rows, columns]`
    ///
    /// # Errors
    /// [`Error::Network`] for maps that are not finite, or a device that does not compute in `f32`.
    pub(super) fn map(&self, segment: Span, activations: &Tensor<4>) -> Result<Map> {
        let [normalisations, channels, rows, columns] = activations.dims();
        let positions = activations.clone().permute([2, 3, 0, 1]).reshape([rows * columns, normalisations * channels]);
        let n_positions = (rows * columns) as f32;
        let maps = match &self.gradients {
            Gradients::Mean(weights) => positions.matmul(weights.as_ref().clone()).div_scalar(n_positions),
            Gradients::Positions(gradients) => {
                gradients.statistics(positions, n_positions) + gradients.log_covariance(activations, self.n_classes)
            }
        };
        let values = relu(maps).into_data().try_to_vec::<f32>().map_err(|error| Error::Network {
            detail: format!("the device gives activations that are not f32: {error:?}"),
        })?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::Network { detail: "its activations are not finite; train it again".into() });
        }
        Ok(Map { segment, columns, values })
    }

    /// One class in a whole clip of `n_frames` frames, from the maps of its segments.
    ///
    /// A frame has what the column that holds it shows, in the mean over the segments that hold it; frames behind the last whole
    /// column of a segment are taken for part of it, as are bands above the last whole row. A clip that was repeated to fill a
    /// window has the mean over its repetitions. A column of the result is the mean of its frames; those that no segment holds, at
    /// the end of some clips, show nothing. Then all is divided by the largest value.
    pub(super) fn explain(
        &self,
        maps: &[Map],
        label: usize,
        n_frames: usize,
        preprocessor: &Preprocessor,
        spec: &FeatureSpec,
    ) -> Explanation {
        let n_classes = self.n_classes;
        let rows = preprocessor.rows() >> self.block;
        let columns = n_frames.div_ceil(1 << self.block);
        let mut values = vec![0.0; rows * columns];
        let mut covered = vec![0_u32; n_frames];
        for_frames(maps, preprocessor, |_, _, frame| covered[frame] += 1);
        let mut frames_in = vec![0_u32; columns];
        for (frame, _) in covered.iter().enumerate().filter(|(_, segments)| **segments > 0) {
            frames_in[frame >> self.block] += 1;
        }
        for_frames(maps, preprocessor, |map, frame_of_segment, frame| {
            let from = (frame_of_segment >> self.block).min(map.columns - 1);
            let to = frame >> self.block;
            let share = 1.0 / (f64::from(covered[frame]) * f64::from(frames_in[to]));
            for row in 0..rows {
                values[row * columns + to] +=
                    share * f64::from(map.values[(row * map.columns + from) * n_classes + label]);
            }
        });
        let largest = values.iter().copied().fold(0.0, f64::max);
        let normalised = |value: f64| if largest > 0.0 { (value / largest) as f32 } else { 0.0 };
        let hop_seconds = spec.stft.hop_length as f64 / f64::from(spec.sample_rate);
        Explanation {
            label,
            rows,
            columns,
            seconds: spec.seconds(n_frames),
            seconds_per_column: (1_usize << self.block) as f64 * hop_seconds,
            row_edges_hz: self.row_edges_hz(rows, preprocessor, spec),
            values: values.into_iter().map(normalised).collect(),
        }
    }

    /// Edges of the rows in Hz. Two bands meet halfway, in mel, between their centres.
    fn row_edges_hz(&self, rows: usize, preprocessor: &Preprocessor, spec: &FeatureSpec) -> Vec<f64> {
        let bands = &spec.mel;
        let [low, high] = [bands.f_min, bands.f_max].map(|hz| mel::hz_to_mel(hz, bands.scale));
        let step = (high - low) / (bands.n_mels + 1) as f64;
        let edge = |row: usize| {
            let bands_below = if row == rows {
                bands.n_mels as f64
            } else {
                (row << self.block) as f64 / preprocessor.band_upsampling as f64
            };
            mel::mel_to_hz(low + step * (bands_below + 0.5), bands.scale)
        };
        (0..=rows).map(edge).collect()
    }
}

impl PositionGradients {
    /// What the statistics add: of an average `w·s / Z · A`, of a deviation σ from the mean `Ā` `w·s / (Z·σ) · (A − Ā) · A`, and of a maximum
    /// `w·s · A` where the channel has it.
    ///
    /// # Shapes
    /// - `positions`: `[rows · columns, normalisations · channels]`
    /// - result: `[rows · columns, n_classes]`
    fn statistics(&self, positions: Tensor<2>, n_positions: f32) -> Tensor<2> {
        let Self { average, maximum, deviation, .. } = self;
        let average = average.as_ref().map(|weights| positions.clone().matmul(weights.clone()).div_scalar(n_positions));
        let maximum = maximum.as_ref().map(|weights| {
            let largest = positions.clone().max_dim(0).expand(positions.dims());
            let there = positions.clone().equal(largest).float();
            (positions.clone() * there).matmul(weights.clone())
        });
        let deviation = deviation.as_ref().map(|weights| {
            let centred = positions.clone() - positions.clone().mean_dim(0);
            let deviation = centred.clone().square().mean_dim(0).add_scalar(EPSILON).sqrt();
            (centred * positions.clone() / deviation).matmul(weights.clone()).div_scalar(n_positions)
        });
        let parts = [average, maximum, deviation].into_iter().flatten();
        // A configuration names one statistic or more.
        parts.reduce(|sum, part| sum + part).unwrap_or_else(|| positions.zeros_like())
    }

    /// What the log-covariance adds; shaped as of [`PositionGradients::statistics`].
    fn log_covariance(&self, activations: &Tensor<4>, n_classes: usize) -> Tensor<2> {
        let sums = self.axes.project_last(activations).map(|projected| contributions(&projected, &self.log_covariance));
        let sums: Vec<f32> = sums.unwrap_or_default().into_iter().map(|sum| sum as f32).collect();
        let shape = [sums.len() / n_classes, n_classes];
        Tensor::from_data(TensorData::new(sums, shape), &activations.device())
    }
}

/// Each frame of each segment as the network took it: the map, the frame of the segment, and that of the clip.
fn for_frames(maps: &[Map], preprocessor: &Preprocessor, mut each: impl FnMut(&Map, usize, usize)) {
    for map in maps {
        let length = map.segment.end - map.segment.start;
        for frame in 0..length.max(preprocessor.min_frames) {
            each(map, frame, map.segment.start + frame % length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vgg19::{BackboneWeights, Channels, HeadParameters, LogCovariance, Normalisation, Vgg19Config, embed};

    const N_CLASSES: usize = 3;
    /// Of one normalisation.
    const SHAPE: [usize; 4] = [1, 128, 5, 7];

    fn noise(seed: u32, n: usize) -> Vec<f32> {
        let mut state = seed;
        let draw = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as f32 / 32_768.0 - 1.0
        };
        (0..n).map(draw).collect()
    }

    /// A network of which only the head and the axes count.
    fn network(
        normalisations: Vec<Normalisation>,
        pooled_blocks: Vec<usize>,
        statistics: Vec<Statistic>,
        log_covariance: Option<LogCovariance>,
    ) -> Vgg19Parameters {
        let config = Vgg19Config { normalisations, pooled_blocks, statistics, log_covariance, n_classes: N_CLASSES };
        let dim = config.embedding_dim();
        let axes_of = |(seed, block): (u32, &usize)| {
            let n = config.normalisations.len() * channels(*block) * log_covariance?.axes_of(*block);
            Some(noise(seed, n).into_iter().map(|value| 0.3 * value).collect())
        };
        Vgg19Parameters {
            channels: Channels::Repeat,
            band_upsampling: 1,
            mean: vec![0.0; 8],
            deviation: vec![1.0; 8],
            weights: BackboneWeights::random(2, || 0.0),
            axes: (11..).zip(&config.pooled_blocks).filter_map(axes_of).collect(),
            head: HeadParameters {
                mean: noise(2, dim),
                scale: noise(3, dim),
                weight: noise(4, dim * N_CLASSES),
                bias: noise(5, N_CLASSES),
            },
            temperature: 1.0,
            config,
        }
    }

    /// The logarithm of the covariance along the axes plus the floor, by operations that autodiff knows: of `M = c · (I − X)` it is
    /// `log c · I − Σ X^k / k`, where `c` is the trace. Upper triangle, off the diagonal times √2; `[1, axes · (axes + 1) / 2]`.
    fn log_covariance(activations: Tensor<2>, axes: Tensor<2>, device: &Device) -> Tensor<2> {
        let [n, side] = [activations.dims()[1], axes.dims()[1]];
        let constant = |values: Vec<f32>, shape: [usize; 2]| {
            Tensor::<2>::from_inner(Tensor::from_data(TensorData::new(values, shape), device))
        };
        let identity =
            constant((0..side * side).map(|at| f32::from(u8::from(at / side == at % side))).collect(), [side, side]);
        let z = activations.transpose().matmul(axes);
        let centred = z.clone() - z.mean_dim(0);
        let matrix =
            centred.clone().transpose().matmul(centred).div_scalar(n as f32) + identity.clone().mul_scalar(0.01_f32);
        let trace: f32 = matrix.clone().inner().into_data().iter::<f32>().step_by(side + 1).sum();
        let x = identity.clone() - matrix.div_scalar(trace);
        let (mut power, mut log) = (identity.clone(), identity.mul_scalar(libm::logf(trace)));
        for k in 1..400 {
            power = power.matmul(x.clone());
            log = log - power.clone().div_scalar(k as f32);
        }
        let places: Vec<(usize, usize)> = (0..side).flat_map(|i| (i..side).map(move |j| (i, j))).collect();
        let mut chosen = vec![0.0; side * side * places.len()];
        for (at, (i, j)) in places.iter().enumerate() {
            chosen[(i * side + j) * places.len() + at] = if i == j { 1.0 } else { std::f32::consts::SQRT_2 };
        }
        log.reshape([1, side * side]).matmul(constant(chosen, [side * side, places.len()]))
    }

    /// The embedding of the activations of blocks, by operations that autodiff knows.
    fn differentiable(parameters: &Vgg19Parameters, activations: &[Tensor<4>], device: &Device) -> Tensor<2> {
        let config = &parameters.config;
        let Some(of) = config.log_covariance else { return embed(config, activations, None) };
        let plain = Vgg19Config { log_covariance: None, ..config.clone() };
        let statistics = embed(&plain, activations, None);
        let mut parts = Vec::new();
        for normalisation in 0..config.normalisations.len() {
            parts.push(statistics.clone().narrow(1, normalisation * config.statistics_dim(), config.statistics_dim()));
            for (block, axes) in config.pooled_blocks.iter().zip(&parameters.axes) {
                let [_, channels, rows, columns] = activations[block - 1].dims();
                let n = channels * of.axes_of(*block);
                let axes = axes[normalisation * n..(normalisation + 1) * n].to_vec();
                let axes = Tensor::from_data(TensorData::new(axes, [channels, of.axes_of(*block)]), device);
                let input = activations[block - 1].clone().narrow(0, normalisation, 1);
                parts.push(log_covariance(input.reshape([channels, rows * columns]), Tensor::from_inner(axes), device));
            }
        }
        Tensor::cat(parts, 1)
    }

    /// The gradient of the logit of `class` by the activations of block 2, by way of the whole head.
    fn gradient(parameters: &Vgg19Parameters, activations: &Tensor<4>, class: usize, device: &Device) -> Vec<f32> {
        let mut head = parameters.head.head(device);
        head.mean = Tensor::from_inner(head.mean);
        head.scale = Tensor::from_inner(head.scale);
        head.linear.weight = head.linear.weight.map(Tensor::from_inner);
        head.linear.bias = head.linear.bias.map(|bias| bias.map(Tensor::from_inner));
        let normalisations = parameters.config.normalisations.len();
        let before = Tensor::<4>::from_data(
            TensorData::new(noise(9, normalisations * 64 * 10 * 14), [normalisations, 64, 10, 14]),
            device,
        );
        let leaf = Tensor::from_inner(activations.clone()).require_grad();
        let embedding = differentiable(parameters, &[Tensor::from_inner(before), leaf.clone()], device);
        let gradients = head.forward(embedding).narrow(1, class, 1).sum().backward();
        leaf.grad(&gradients).expect("a gradient").into_data().try_to_vec().expect("f32")
    }

    /// Activations of block 2 as ReLU leaves them.
    fn activations(normalisations: usize, device: &Device) -> (Vec<f32>, Tensor<4>) {
        let shape = [normalisations, SHAPE[1], SHAPE[2], SHAPE[3]];
        let values: Vec<f32> = noise(1, shape.iter().product()).into_iter().map(|value| value.max(0.0)).collect();
        (values.clone(), Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// Checks the maps of a network, where `channel` says what a channel adds to a map by its gradient and its activations.
    fn check(parameters: &Vgg19Parameters, channel: impl Fn(&[f32], &[f32]) -> Vec<f64>) {
        let device = Device::flex();
        let segment = Span { start: 0, end: 28, start_seconds: 0.0, end_seconds: 1.0 };
        let (values, activations) = activations(parameters.config.normalisations.len(), &device);
        let map = GradCam::new(parameters, &device).map(segment, &activations).expect("finite");
        for class in 0..N_CLASSES {
            let positions = SHAPE[2] * SHAPE[3];
            let gradient = gradient(parameters, &activations, class, &device);
            let mut expected = vec![0.0; positions];
            for (gradient, values) in gradient.chunks(positions).zip(values.chunks(positions)) {
                expected.iter_mut().zip(channel(gradient, values)).for_each(|(sum, value)| *sum += value);
            }
            let largest = expected.iter().copied().fold(0.0, f64::max);
            assert!(largest > 1e-3);
            for (position, expected) in expected.into_iter().enumerate() {
                let found = f64::from(map.values[position * N_CLASSES + class]);
                let difference = (found - expected.max(0.0)).abs();
                assert!(difference < 1e-5 + 1e-4 * largest, "{:?}: {found} {expected}", parameters.config);
            }
        }
    }

    #[test]
    fn maps_are_those_of_the_gradients_of_the_whole_head() {
        use Normalisation::{Cmn, None as Plain};
        use Statistic::{Average, Deviation, Maximum};
        let inputs = [(vec![2], vec![Plain]), (vec![1, 2], vec![Cmn]), (vec![1, 2], vec![Plain, Cmn])];
        for statistics in [vec![Average], vec![Maximum], vec![Average, Deviation], vec![Deviation, Maximum, Average]] {
            for (blocks, normalisations) in inputs.clone() {
                let parameters = network(normalisations.clone(), blocks.clone(), statistics.clone(), None);
                check(&parameters, |gradient, values| {
                    let mean = gradient.iter().map(|&value| f64::from(value)).sum::<f64>() / gradient.len() as f64;
                    values.iter().map(|&value| mean * f64::from(value)).collect()
                });
                let parameters = network(normalisations, blocks, statistics.clone(), Some(LogCovariance { axes: 4 }));
                check(&parameters, |gradient, values| {
                    gradient
                        .iter()
                        .zip(values)
                        .map(|(&gradient, &value)| f64::from(gradient) * f64::from(value))
                        .collect()
                });
            }
        }
    }
}
