//! [`GradCam`]: which places of a clip speak for a class, by the last block.

use burn::tensor::{Device, Tensor, TensorData, activation::relu};
use features::{FeatureSpec, Span, dsp::mel};

use super::{
    network::{Statistic, Vgg19Config, channels},
    parameters::HeadParameters,
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
#[derive(Debug)]
pub(super) struct GradCam {
    /// The last block, 1 to 5.
    block: usize,
    /// `Z · α`, of the channels of one normalisation after those of another; `[normalisations · channels, n_classes]`.
    weights: Tensor<2>,
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
    pub(super) fn new(config: &Vgg19Config, head: &HeadParameters, device: &Device) -> Self {
        let block = config.n_blocks();
        let (channels, n_classes) = (channels(block), config.n_classes);
        let (dim, normalisations) = (config.embedding_dim(), config.normalisations.len());
        // Of each normalisation, the last block comes last.
        let first = config.dim_per_normalisation() - channels * config.statistics.len();
        let mut weights = vec![0.0; normalisations * channels * n_classes];
        for (row, weights) in weights.chunks_mut(n_classes).enumerate() {
            let (normalisation, channel) = (row / channels, row % channels);
            for (position, statistic) in config.statistics.iter().enumerate() {
                if *statistic == Statistic::Deviation {
                    continue;
                }
                let at = normalisation * config.dim_per_normalisation() + first + position * channels + channel;
                for (class, weight) in weights.iter_mut().enumerate() {
                    *weight += head.weight[class * dim + at] * head.scale[at];
                }
            }
        }
        Self {
            block,
            weights: Tensor::from_data(TensorData::new(weights, [normalisations * channels, n_classes]), device),
        }
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
        let maps = relu(positions.matmul(self.weights.clone()).div_scalar((rows * columns) as f32));
        let values = maps.into_data().try_to_vec::<f32>().map_err(|error| Error::Network {
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
        let n_classes = self.weights.dims()[1];
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
    use crate::vgg19::{Normalisation, embed};

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

    /// The gradient of the logit of `class` by the activations of block 2, by way of the whole head.
    fn gradient(
        config: &Vgg19Config,
        head: &HeadParameters,
        activations: &Tensor<4>,
        class: usize,
        device: &Device,
    ) -> Vec<f32> {
        let mut head = head.head(device);
        head.mean = Tensor::from_inner(head.mean);
        head.scale = Tensor::from_inner(head.scale);
        head.linear.weight = head.linear.weight.map(Tensor::from_inner);
        head.linear.bias = head.linear.bias.map(|bias| bias.map(Tensor::from_inner));
        let normalisations = config.normalisations.len();
        let before = Tensor::<4>::from_data(
            TensorData::new(noise(9, normalisations * 64 * 10 * 14), [normalisations, 64, 10, 14]),
            device,
        );
        let leaf = Tensor::from_inner(activations.clone()).require_grad();
        let logits = head.forward(embed(config, &[Tensor::from_inner(before), leaf.clone()], None));
        let gradients = logits.narrow(1, class, 1).sum().backward();
        leaf.grad(&gradients).expect("a gradient").into_data().try_to_vec().expect("f32")
    }

    #[test]
    fn maps_are_those_of_the_gradients_of_the_whole_head() {
        use Statistic::{Average, Deviation, Maximum};
        let device = Device::flex();
        let segment = Span { start: 0, end: 28, start_seconds: 0.0, end_seconds: 1.0 };
        for statistics in [vec![Average], vec![Maximum], vec![Average, Deviation], vec![Deviation, Maximum, Average]] {
            for (pooled_blocks, normalisations) in [
                (vec![2], vec![Normalisation::None]),
                (vec![1, 2], vec![Normalisation::Cmn]),
                (vec![1, 2], vec![Normalisation::None, Normalisation::Cmn]),
            ] {
                let shape = [normalisations.len(), SHAPE[1], SHAPE[2], SHAPE[3]];
                let values = noise(1, shape.iter().product()).into_iter().map(|value| value.max(0.0));
                let values: Vec<f32> = values.collect();
                let activations = Tensor::<4>::from_data(TensorData::new(values.clone(), shape), &device);
                let statistics = statistics.clone();
                let config = Vgg19Config { normalisations, pooled_blocks, statistics, n_classes: N_CLASSES };
                let dim = config.embedding_dim();
                let head = HeadParameters {
                    mean: noise(2, dim),
                    scale: noise(3, dim),
                    weight: noise(4, dim * N_CLASSES),
                    bias: noise(5, N_CLASSES),
                };
                let map = GradCam::new(&config, &head, &device).map(segment, &activations).expect("finite");
                for class in 0..N_CLASSES {
                    let positions = SHAPE[2] * SHAPE[3];
                    let gradient = gradient(&config, &head, &activations, class, &device);
                    let mut expected = vec![0.0; positions];
                    for (gradient, values) in gradient.chunks(positions).zip(values.chunks(positions)) {
                        let weight = gradient.iter().map(|&value| f64::from(value)).sum::<f64>() / positions as f64;
                        for (expected, &value) in expected.iter_mut().zip(values) {
                            *expected += weight * f64::from(value);
                        }
                    }
                    assert!(expected.iter().any(|value| *value > 1e-3));
                    for (position, expected) in expected.into_iter().enumerate() {
                        let found = f64::from(map.values[position * N_CLASSES + class]);
                        assert!((found - expected.max(0.0)).abs() < 1e-5, "{config:?}: {found} {expected}");
                    }
                }
            }
        }
    }
}
