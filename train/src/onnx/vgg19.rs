//! VGG19: the convolutions in `f32`, what the head takes of them in `f64`.

use features::{
    FeatureSpec,
    descriptors::delta::{Order, delta},
};
use models::vgg19::{
    BLOCKS, COARSE, Channels, DELTA_GAINS, EPSILON, LogCovariance, Normalisation, Statistic, Vgg19Parameters, channels,
};
use ndarray::{Array1, Array2, Array3, Array4};

use super::{
    graph::{Graph, Value, ints},
    linear_algebra,
};

/// The probabilities of segments of `frames` frames.
///
/// # Shapes
/// - `log_mel`: `[n, n_mels, frames]`, `f32`
/// - result: `[n, n_classes]`, `f64`
pub(super) fn probabilities(
    g: &mut Graph,
    parameters: &Vgg19Parameters,
    spec: &FeatureSpec,
    frames: usize,
    log_mel: Value,
) -> Value {
    let config = &parameters.config;
    let preprocessor = parameters.preprocessor(spec);
    let width = frames.max(preprocessor.min_frames);
    let input = planes(g, parameters, log_mel, frames, width);
    let embedding = embedding(g, parameters, input, preprocessor.rows(), width);
    let head = &parameters.head;
    let of_head = |values: &[f32]| Array1::from_iter(values.iter().map(|&value| f64::from(value)));
    let [mean, scale, bias] = [&head.mean, &head.scale, &head.bias].map(|values| g.constant(&of_head(values)));
    let centred = g.op("Sub", [embedding, mean]);
    let standardised = g.op("Mul", [centred, scale]);
    let dim = config.embedding_dim();
    let weight = Array2::from_shape_fn((dim, config.n_classes), |(at, class)| head.weight[class * dim + at]);
    let weight = g.constant(&weight);
    let weight = g.cast_to_f64(weight);
    let logits = g.op("MatMul", [standardised, weight]);
    let logits = g.op("Add", [logits, bias]);
    let logits = g.times_number(logits, 1.0 / parameters.temperature);
    g.softmax(logits)
}

/// `[n · normalisations, 3, rows, width]`: see [`Preprocessor::planes`](models::vgg19::Preprocessor::planes).
fn planes(g: &mut Graph, parameters: &Vgg19Parameters, log_mel: Value, frames: usize, width: usize) -> Value {
    let column = |values: &[f32]| Array2::from_shape_fn((values.len(), 1), |(band, _)| values[band]);
    let (mean, deviation) = (g.constant(&column(&parameters.mean)), g.constant(&column(&parameters.deviation)));
    let centred = g.op("Sub", [log_mel, mean]);
    let mut standardised = g.op("Div", [centred, deviation]);
    if width > frames {
        let repeated: Vec<usize> = (0..width).map(|frame| frame % frames).collect();
        standardised = g.gather(standardised, 2, &repeated);
    }
    let normalised: Vec<Value> = parameters
        .config
        .normalisations
        .iter()
        .map(|normalisation| match normalisation {
            Normalisation::None => standardised,
            Normalisation::Cmn => {
                let wide = g.cast_to_f64(standardised);
                let mean = g.mean(wide, width);
                let centred = g.op("Sub", [wide, mean]);
                g.cast_to_f32(centred)
            }
        })
        .collect();
    let n_mels = parameters.mean.len();
    let (rows, upsampling) = (n_mels * parameters.band_upsampling, upsampling(n_mels, parameters.band_upsampling));
    let upsampling = g.constant(&upsampling);
    let inputs: Vec<Value> = normalised
        .into_iter()
        .map(|input| {
            let of_channels = match parameters.channels {
                Channels::Repeat => [input; 3],
                Channels::Deltas => {
                    let of = |order| delta(Array2::eye(width).view(), order);
                    let (slope, curvature) = (of(Order::First) * DELTA_GAINS[0], of(Order::Second) * DELTA_GAINS[1]);
                    let [slope, curvature] = [slope, curvature].map(|matrix| {
                        let matrix = g.constant(&matrix);
                        g.op("MatMul", [input, matrix])
                    });
                    [input, slope, curvature]
                }
                Channels::Resolutions => {
                    let of_frames = g.constant(&smoothing(width).t().to_owned());
                    let of_bands = g.constant(&smoothing(n_mels));
                    [input, g.op("MatMul", [input, of_frames]), g.op("MatMul", [of_bands, input])]
                }
            };
            let planes = of_channels.map(|plane| {
                let rows = g.op("MatMul", [upsampling, plane]);
                g.unsqueeze(rows, 1)
            });
            let planes = g.concat(&planes, 1);
            g.unsqueeze(planes, 1)
        })
        .collect();
    let together = g.concat(&inputs, 1);
    g.reshape(together, &[-1, 3, rows as i64, width as i64])
}

/// Rows between the centres of bands, interpolated: `[n_mels · rows_per_band, n_mels]`.
fn upsampling(n_mels: usize, rows_per_band: usize) -> Array2<f32> {
    let mut weights = Array2::zeros((n_mels * rows_per_band, n_mels));
    for (row, mut weights) in weights.outer_iter_mut().enumerate() {
        let centre = (row as f32 + 0.5) / rows_per_band as f32 - 0.5;
        let at = centre.clamp(0.0, n_mels.saturating_sub(1) as f32);
        let (below, weight) = (at as usize, at - at.floor());
        weights[below] += 1.0 - weight;
        weights[(below + 1).min(n_mels - 1)] += weight;
    }
    weights
}

/// The running mean of [`COARSE`] values, of fewer at the ends: `[n, n]`, times a column of values.
fn smoothing(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, n), |(to, from)| {
        let (start, end) = (to.saturating_sub(COARSE / 2), (to + COARSE / 2 + 1).min(n));
        if (start..end).contains(&from) { 1.0 / (end - start) as f32 } else { 0.0 }
    })
}

/// What the head takes of planes of so many rows and columns: see [`Columns::embed`](models::vgg19::Columns::embed).
///
/// # Shapes
/// - `input`: `[n · normalisations, 3, rows, columns]`, `f32`
/// - result: `[n, embedding_dim]`, `f64`
fn embedding(g: &mut Graph, parameters: &Vgg19Parameters, input: Value, rows: usize, columns: usize) -> Value {
    let config = &parameters.config;
    let normalisations = config.normalisations.len();
    let mut convolutions = parameters.weights.convs().iter();
    let mut axes = parameters.axes.iter();
    let (mut x, mut rows, mut columns) = (input, rows, columns);
    let (mut statistics, mut covariances) = (Vec::new(), Vec::new());
    for (index, layers) in BLOCKS.iter().enumerate().take(config.n_blocks()) {
        let block = index + 1;
        for convolution in convolutions.by_ref().take(layers.len()) {
            let layer = convolution.layer;
            let weight = Array4::from_shape_fn((layer.out_channels, layer.in_channels, 3, 3), |(to, from, y, x)| {
                convolution.weight[((to * layer.in_channels + from) * 3 + y) * 3 + x]
            });
            let (weight, bias) = (g.constant(&weight), g.vector(&convolution.bias));
            let attributes = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])];
            let convolved = g.op_with("Conv", &[x, weight, bias], attributes);
            x = g.op("Relu", [convolved]);
        }
        x = g.op_with("MaxPool", &[x], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]);
        (rows, columns) = (rows / 2, columns / 2);
        if !config.pooled_blocks.contains(&block) {
            continue;
        }
        let (n_channels, positions) = (channels(block), rows * columns);
        let shape = [-1, normalisations as i64, n_channels as i64, positions as i64];
        let values = g.reshape(x, &shape);
        let values = g.cast_to_f64(values);
        let mean = g.mean(values, positions);
        let centred = g.op("Sub", [values, mean]);
        for statistic in &config.statistics {
            let of_channels = match statistic {
                Statistic::Average => mean,
                Statistic::Maximum => g.largest(values),
                Statistic::Deviation => {
                    let squares = g.op("Mul", [centred, centred]);
                    let variance = g.mean(squares, positions);
                    let variance = g.add_number(variance, f64::from(EPSILON));
                    g.op("Sqrt", [variance])
                }
            };
            statistics.push(g.reshape(of_channels, &shape[..3]));
        }
        if let (Some(of), Some(axes)) = (config.log_covariance, axes.next()) {
            let n_axes = of.axes_of(block);
            let covariance = covariance(g, centred, axes, [normalisations, n_channels, positions], [n_axes, of.axes]);
            covariances.push(g.unsqueeze(covariance, 2));
        }
    }
    if let Some(of) = config.log_covariance {
        let used: Vec<usize> = config.pooled_blocks.iter().map(|&block| of.axes_of(block)).collect();
        statistics.push(log_covariances(g, &covariances, &used, of.axes, normalisations));
    }
    let of_normalisations = g.concat(&statistics, 2);
    g.reshape(of_normalisations, &[-1, config.embedding_dim() as i64])
}

/// The covariance of the projections on the axes of a block. Its rows and columns beyond those of the axes are 0, so that those of all
/// blocks have one side.
///
/// # Shapes
/// - `centred`: `[n, normalisations, channels, positions]`, channels less their means
/// - `axes`: row-major `[normalisations, channels, axes]`
/// - result: `[n, normalisations, side, side]`
fn covariance(
    g: &mut Graph,
    centred: Value,
    axes: &[f32],
    [normalisations, n_channels, positions]: [usize; 3],
    [n_axes, side]: [usize; 2],
) -> Value {
    let projection = Array3::from_shape_fn((normalisations, side, n_channels), |(normalisation, axis, channel)| {
        let at = (normalisation * n_channels + channel) * n_axes + axis;
        if axis < n_axes { f64::from(axes[at]) } else { 0.0 }
    });
    let projection = g.constant(&projection);
    let projected = g.op("MatMul", [projection, centred]);
    let transposed = g.transpose(projected, &[0, 1, 3, 2]);
    let products = g.op("MatMul", [projected, transposed]);
    g.times_number(products, 1.0 / positions as f64)
}

/// The upper triangles of the logarithms of covariances, of which each block uses so many rows and columns.
///
/// # Shapes
/// - `covariances`: of each block `[n, normalisations, 1, side, side]`
/// - result: `[n, normalisations, Σ used · (used + 1) / 2]`
fn log_covariances(g: &mut Graph, covariances: &[Value], used: &[usize], side: usize, normalisations: usize) -> Value {
    let all = g.concat(covariances, 2);
    let floor = g.constant(&(LogCovariance::FLOOR * &Array2::eye(side)));
    let floored = g.op("Add", [all, floor]);
    let logarithms = linear_algebra::log(g, floored, side);
    let elements = side * side;
    let rows = g.reshape(logarithms, &[-1, normalisations as i64, (used.len() * elements) as i64]);
    let (mut places, mut weights) = (Vec::new(), Vec::new());
    for (block, &used) in used.iter().enumerate() {
        let (of_block, weights_of_block) = linear_algebra::upper_triangle(side, used);
        places.extend(of_block.into_iter().map(|at| block * elements + at));
        weights.extend(weights_of_block);
    }
    let triangles = g.gather(rows, 2, &places);
    let weights = g.vector(&weights);
    g.op("Mul", [triangles, weights])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use models::vgg19::{Preprocessor, no_normalisation};

    use super::*;

    #[test]
    fn matrices_make_the_rows_and_the_resolutions_of_the_preprocessor() {
        const BANDS: usize = 14;
        let preprocessor = Preprocessor {
            normalisations: no_normalisation(),
            channels: Channels::Resolutions,
            mean: vec![0.0; BANDS],
            deviation: vec![1.0; BANDS],
            min_frames: 1,
            band_upsampling: 3,
        };
        let log_mel = Array2::from_shape_fn((BANDS, 25), |(band, frame)| ((band * 7 + frame * 11) % 13) as f32);
        let planes = preprocessor.planes(std::slice::from_ref(&log_mel), &Device::flex());
        let expected = planes.into_data().try_to_vec::<f32>().expect("planes of f32");
        let rows = upsampling(BANDS, 3);
        let found = [log_mel.clone(), log_mel.dot(&smoothing(25).t()), smoothing(BANDS).dot(&log_mel)];
        let found = found.iter().flat_map(|plane| rows.dot(plane).iter().copied().collect::<Vec<_>>());
        for (found, expected) in found.zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }
}
