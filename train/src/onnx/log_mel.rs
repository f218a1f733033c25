//! The log-mel that a graph takes, and the descriptors of it that a vector holds: as `features` computes them, by sums over bands and frames
//! as products with constant matrices.

use std::f64::consts::TAU;

use features::{
    FeatureSpec,
    aggregate::{cepstrum, log_mel, stats},
    descriptors::{
        delta::{Order, delta},
        mfcc::Mfcc,
    },
    spec::{Descriptor, FloorSpec, Quantisation},
};
use ndarray::{Array1, Array2, Array3};

use super::{
    Result,
    graph::{Graph, Value},
    linear_algebra,
};

/// A log-mel in dB rounded as the specification says; one that is rounded already stays as it is. `f32`.
///
/// # Shapes
/// - `log_mel`, result: `[n, n_mels, frames]`
pub(super) fn quantised(g: &mut Graph, quantisation: Option<Quantisation>, log_mel: Value) -> Value {
    let Some(Quantisation { floor_db, step_db }) = quantisation else { return log_mel };
    let wide = g.cast_to_f64(log_mel);
    let above = g.add_number(wide, -floor_db);
    let step = g.scalar(step_db);
    let steps = g.op("Div", [above, step]);
    let (least, most) = (g.scalar(0.0_f64), g.scalar(f64::from(u8::MAX)));
    let held = g.op("Max", [steps, least]);
    let held = g.op("Min", [held, most]);
    // Of numbers from 0 on, the nearest whole one, and of halves the larger.
    let half = g.add_number(held, 0.5);
    let level = g.op("Floor", [half]);
    let db = g.times_number(level, step_db);
    let db = g.add_number(db, floor_db);
    g.cast_to_f32(db)
}

/// The vector of a segment of `frames` frames, of every descriptor of the specification, none of which may need more than the log-mel. `f32`.
///
/// # Shapes
/// - `log_mel`: `[n, n_mels, frames]`, `f32`
/// - result: `[n, dimensions]`
///
/// # Errors
/// Those of [`Mfcc::new`].
pub(super) fn vector(g: &mut Graph, spec: &FeatureSpec, frames: usize, log_mel: Value) -> Result<Value> {
    let n_mels = spec.mel.n_mels;
    let mfcc = Mfcc::new(n_mels, spec.n_mfcc)?;
    let floored = spec.floor.map_or(log_mel, |floor| floored(g, floor, n_mels, frames, log_mel));
    let log_mel = g.cast_to_f64(floored);
    let basis = Array2::from_shape_fn((spec.n_mfcc, n_mels), |(k, band)| mfcc.basis()[k][band]);
    let mfcc = g.times_from_left(&basis, log_mel);
    // An MFCC is an `f32`.
    let mfcc = g.cast_to_f32(mfcc);
    let mfcc = g.cast_to_f64(mfcc);
    let mut segment =
        Segment { g: &mut *g, n_mels, n_mfcc: spec.n_mfcc, frames, log_mel, mfcc, spectra: None, flux: None };
    let groups: Vec<Value> = spec.descriptors.iter().filter_map(|&descriptor| segment.group(descriptor)).collect();
    let vector = g.concat(&groups, 1);
    Ok(g.cast_to_f32(vector))
}

/// A log-mel held above the floor, of `f32`; shapes as of [`quantised`].
fn floored(g: &mut Graph, floor: FloorSpec, n_mels: usize, frames: usize, log_mel: Value) -> Value {
    let line = floor.line(n_mels);
    let line = g.constant(&Array2::from_shape_fn((n_mels, 1), |(band, _)| line[band]));
    let above = g.op("Sub", [log_mel, line]);
    let all = g.reshape(above, &[0, -1]);
    // The median is the value of index n / 2 in rising order.
    let n = n_mels * frames;
    let rank = n - n / 2;
    let top = g.top(all, 1, rank, true);
    let level = g.slice(top, 1, rank - 1..rank);
    let level = g.unsqueeze(level, 2);
    let line_of_music = g.op("Add", [line, level]);
    let range = g.scalar(floor.range_db as f32);
    let least = g.op("Sub", [line_of_music, range]);
    g.op("Max", [log_mel, least])
}

/// The segments of the graph, of one size.
struct Segment<'a> {
    g: &'a mut Graph,
    n_mels: usize,
    n_mfcc: usize,
    frames: usize,
    /// `[n, n_mels, frames]`.
    log_mel: Value,
    /// `[n, n_mfcc, frames]`.
    mfcc: Value,
    /// `[n, n_mfcc, columns]`: see [`Spectra`].
    spectra: Option<(Spectra, Value)>,
    /// `[n, n_mels, frames − 1]`.
    flux: Option<Value>,
}

impl Segment<'_> {
    /// The values of a descriptor, `[n, dimensions]`; none of one that needs more than the log-mel.
    fn group(&mut self, descriptor: Descriptor) -> Option<Value> {
        Some(match descriptor {
            Descriptor::Mfcc => self.mfcc_statistics(),
            Descriptor::MfccDelta => self.mfcc_deltas(),
            Descriptor::MfccCorrelation => self.mfcc_correlations(),
            Descriptor::MfccMean => {
                let range = cepstrum::MEAN_MFCC;
                let some = self.g.slice(self.mfcc, 1, range);
                let mean = self.g.mean(some, self.frames);
                self.flat(mean)
            }
            Descriptor::MfccModulation => self.modulation_energies(),
            Descriptor::MfccModulationCovariance => self.modulation_covariances(),
            Descriptor::OnsetCovariance => self.onset_covariance(),
            Descriptor::OnsetStatistics => self.onset_statistics(),
            Descriptor::MelRoughness => self.roughness(),
            Descriptor::MelSkewness => {
                let pooled = self.g.times_from_left(&pooling(self.n_mels, stats::POOLED_BANDS), self.log_mel);
                let [.., skewness] = self.moments(pooled, self.frames);
                self.flat(skewness)
            }
            Descriptor::MelContrast => self.contrast(),
            _ => return None,
        })
    }

    /// `[n, …]` as `[n, dimensions]`, the last axis the fastest.
    fn flat(&mut self, x: Value) -> Value {
        self.g.reshape(x, &[0, -1])
    }

    /// Mean, deviation and skewness over the last axis, of `n` values.
    fn moments(&mut self, x: Value, n: usize) -> [Value; 3] {
        let g = &mut *self.g;
        let mean = g.mean(x, n);
        let centred = g.op("Sub", [x, mean]);
        let square = g.op("Mul", [centred, centred]);
        let variance = g.mean(square, n);
        let deviation = g.op("Sqrt", [variance]);
        let cube = g.op("Mul", [square, centred]);
        let third = g.mean(cube, n);
        let scale = g.op("Mul", [variance, deviation]);
        let scale = g.add_number(scale, stats::SKEWNESS_FLOOR);
        [mean, deviation, g.op("Div", [third, scale])]
    }

    fn mfcc_statistics(&mut self) -> Value {
        let [mean, deviation, _] = self.moments(self.mfcc, self.frames);
        let sorted = self.g.top(self.mfcc, 2, self.frames, false);
        // A percentile is linear between the neighbours of its position.
        let last = self.frames - 1;
        let weights = Array2::from_shape_fn((self.frames, cepstrum::PERCENTILES.len()), |(at, percentile)| {
            let position = last as f64 * cepstrum::PERCENTILES[percentile] / 100.0;
            let below = (position.floor() as usize).min(last);
            let share = position - below as f64;
            f64::from(u8::from(at == below)) * (1.0 - share) + f64::from(u8::from(at == below + 1)) * share
        });
        let percentiles = self.g.times(sorted, &weights);
        let all = self.g.concat(&[mean, deviation, percentiles], 2);
        self.flat(all)
    }

    fn mfcc_deltas(&mut self) -> Value {
        let of = |order| delta(Array2::eye(self.frames).view(), order).mapv(f64::from);
        let [first, second] = [of(Order::First), of(Order::Second)].map(|matrix| self.g.times(self.mfcc, &matrix));
        let [mean, deviation, _] = self.moments(first, self.frames);
        let [_, deviation_of_second, _] = self.moments(second, self.frames);
        let all = self.g.concat(&[mean, deviation, deviation_of_second], 2);
        self.flat(all)
    }

    fn mfcc_correlations(&mut self) -> Value {
        let n = self.n_mfcc.min(cepstrum::CORRELATED_MFCC);
        let g = &mut *self.g;
        let some = g.slice(self.mfcc, 1, 0..n);
        let mean = g.mean(some, self.frames);
        let centred = g.op("Sub", [some, mean]);
        let transposed = g.transpose(centred, &[0, 2, 1]);
        let products = g.op("MatMul", [centred, transposed]);
        let square = g.op("Mul", [centred, centred]);
        let of_rows = g.times(square, &Array2::from_elem((self.frames, 1), 1.0));
        let of_columns = g.transpose(of_rows, &[0, 2, 1]);
        let scale = g.op("Mul", [of_rows, of_columns]);
        let scale = g.op("Sqrt", [scale]);
        // What does not move has no correlation.
        let least = g.scalar(cepstrum::LEAST_MOVEMENT);
        let moves = g.op("Greater", [scale, least]);
        let moves = g.cast_to_f64(moves);
        let scale = g.op("Max", [scale, least]);
        let correlations = g.op("Div", [products, scale]);
        let correlations = g.op("Mul", [correlations, moves]);
        let flat = g.reshape(correlations, &[0, -1]);
        let (places, _) = linear_algebra::upper_triangle(n, n);
        let places: Vec<usize> = places.into_iter().filter(|at| at % n != at / n).collect();
        g.gather(flat, 1, &places)
    }

    /// The spectra of the trajectories of the MFCC, made once.
    fn spectra(&mut self) -> (Spectra, Value) {
        if let Some(spectra) = self.spectra {
            return spectra;
        }
        let spectra = Spectra::new(self.frames);
        let values = self.g.times(self.mfcc, &spectra.transform());
        *self.spectra.insert((spectra, values))
    }

    fn modulation_energies(&mut self) -> Value {
        let (spectra, values) = self.spectra();
        let g = &mut *self.g;
        let powers = g.op("Mul", [values, values]);
        let energies = g.times(powers, &spectra.means(&cepstrum::ENERGY_BANDS));
        let energies = g.add_number(energies, cepstrum::ENERGY_FLOOR);
        let logarithms = g.op("Log", [energies]);
        self.flat(logarithms)
    }

    fn modulation_covariances(&mut self) -> Value {
        let (spectra, values) = self.spectra();
        let g = &mut *self.g;
        let n = self.n_mfcc.min(cepstrum::COVARIANCE_MFCC);
        let some = g.slice(values, 1, 0..n);
        let transposed = g.transpose(some, &[0, 2, 1]);
        let transposed = g.unsqueeze(transposed, 1);
        // The columns of each band, over their number: [bands, 1, columns].
        let bands = cepstrum::COVARIANCE_BANDS;
        let means = spectra.means(&bands);
        let weights = Array3::from_shape_fn((bands.len(), 1, means.nrows()), |(band, _, column)| means[[column, band]]);
        let weights = g.constant(&weights);
        let some = g.unsqueeze(some, 1);
        let weighted = g.op("Mul", [some, weights]);
        let covariances = g.op("MatMul", [weighted, transposed]);
        log_vectors(g, covariances, cepstrum::COVARIANCE_FLOOR, bands.len(), n)
    }

    /// By how much each band is louder than in the frame before; made once.
    fn flux(&mut self) -> Value {
        if let Some(flux) = self.flux {
            return flux;
        }
        let g = &mut *self.g;
        let here = g.slice(self.log_mel, 2, 1..self.frames);
        let before = g.slice(self.log_mel, 2, 0..self.frames - 1);
        let rise = g.op("Sub", [here, before]);
        let nothing = g.scalar(0.0_f64);
        *self.flux.insert(g.op("Max", [rise, nothing]))
    }

    fn onset_covariance(&mut self) -> Value {
        let flux = self.flux();
        let g = &mut *self.g;
        let pooled = g.times_from_left(&pooling(self.n_mels, stats::POOLED_BANDS), flux);
        let transposed = g.transpose(pooled, &[0, 2, 1]);
        let products = g.op("MatMul", [pooled, transposed]);
        let moments = g.times_number(products, 1.0 / (self.frames - 1) as f64);
        let moments = g.unsqueeze(moments, 1);
        log_vectors(g, moments, log_mel::COVARIANCE_FLOOR, 1, stats::POOLED_BANDS)
    }

    fn onset_statistics(&mut self) -> Value {
        let flux = self.flux();
        let n_mels = self.n_mels;
        let edges = log_mel::RANGES.map(|(_, first, end)| (first * n_mels / 32, end * n_mels / 32));
        let strength = self.g.times_from_left(&means_of(n_mels, &edges), flux);
        let [mean, deviation, skewness] = self.moments(strength, self.frames - 1);
        let largest = self.g.largest(strength);
        let scale = self.g.add_number(mean, log_mel::CREST_FLOOR);
        let crest = self.g.op("Div", [largest, scale]);
        let all = self.g.concat(&[mean, deviation, skewness, crest], 2);
        self.flat(all)
    }

    fn roughness(&mut self) -> Value {
        let last = self.n_mels - 1;
        // What each band is above the line through its neighbours; the outermost take the value of theirs.
        let above = Array2::from_shape_fn((self.n_mels, self.n_mels), |(from, band)| {
            let band = band.clamp(1, last - 1);
            f64::from(u8::from(from == band)) - 0.5 * f64::from(u8::from(from.abs_diff(band) == 1))
        });
        let mean = self.g.mean(self.log_mel, self.frames);
        let mean = self.flat(mean);
        let rough = self.g.times(mean, &above);
        let rough = self.g.op("Abs", [rough]);
        self.g.times(rough, &pooling(self.n_mels, stats::POOLED_BANDS).t().to_owned())
    }

    fn contrast(&mut self) -> Value {
        let n_mels = self.n_mels;
        let edges = log_mel::CONTRAST_EDGES.map(|edge| edge * n_mels / 128);
        let contrasts: Vec<Value> = edges
            .windows(2)
            .map(|range| {
                let n = range[1] - range[0];
                let share = ((log_mel::CONTRAST_SHARE * n as f64).round() as usize).max(1);
                let g = &mut *self.g;
                let bands = g.slice(self.log_mel, 1, range[0]..range[1]);
                let [high, low] = [true, false].map(|largest| g.top(bands, 1, share, largest));
                let difference = g.op("Sub", [high, low]);
                g.times_from_left(&Array2::from_elem((1, share), 1.0 / share as f64), difference)
            })
            .collect();
        let contrasts = self.g.concat(&contrasts, 1);
        let [_, deviation, _] = self.moments(contrasts, self.frames);
        self.flat(deviation)
    }
}

/// The upper triangles of the logarithms of `count` covariances of this side and a floor on their diagonals, one behind the other.
///
/// # Shapes
/// - `covariances`: `[n, count, side, side]`
/// - result: `[n, count · side · (side + 1) / 2]`
fn log_vectors(g: &mut Graph, covariances: Value, floor: f64, count: usize, side: usize) -> Value {
    let floor = g.constant(&(floor * &Array2::eye(side)));
    let floored = g.op("Add", [covariances, floor]);
    let logarithms = linear_algebra::log(g, floored, side);
    let (places, weights) = linear_algebra::upper_triangle(side, side);
    let rows = g.reshape(logarithms, &[0, count as i64, (side * side) as i64]);
    let triangles = g.gather(rows, 2, &places);
    let weights = g.constant(&Array1::from(weights));
    let weighted = g.op("Mul", [triangles, weights]);
    g.reshape(weighted, &[0, -1])
}

/// Means of ranges of `n` rows, each from its first to before its end: `[ranges, n]`.
fn means_of(n: usize, ranges: &[(usize, usize)]) -> Array2<f64> {
    Array2::from_shape_fn((ranges.len(), n), |(range, row)| {
        let (first, end) = ranges[range];
        if (first..end).contains(&row) { 1.0 / (end - first) as f64 } else { 0.0 }
    })
}

/// Means of adjacent rows, `to` of them: `[to, n]`.
fn pooling(n: usize, to: usize) -> Array2<f64> {
    let ranges: Vec<_> = (0..to).map(|range| (range * n / to, (range + 1) * n / to)).collect();
    means_of(n, &ranges)
}

/// The bins of the spectra, of which the first has no energy: the mean is taken off.
const BINS: usize = cepstrum::WINDOW / 2;

/// The spectra of the windows of trajectories of so many frames, as columns: of each window the real parts of the bins from 1 on, then their imaginary parts.
#[derive(Clone, Copy)]
struct Spectra {
    frames: usize,
    /// Frames of a window.
    length: usize,
    windows: usize,
}

impl Spectra {
    fn new(frames: usize) -> Self {
        let length = frames.min(cepstrum::WINDOW);
        Self { frames, length, windows: (frames - length) / cepstrum::HOP + 1 }
    }

    fn columns(&self) -> usize {
        self.windows * 2 * BINS
    }

    /// `[frames, columns]`: each window less its mean, under a Hann window of energy 1, transformed.
    fn transform(&self) -> Array2<f64> {
        let length = self.length;
        let hann: Vec<f64> = (0..length).map(|n| 0.5 - 0.5 * libm::cos(TAU * n as f64 / length as f64)).collect();
        let energy = hann.iter().map(|w| w * w).sum::<f64>().max(f64::MIN_POSITIVE);
        let wave = |frame: usize, column: usize| {
            let turn = TAU * (frame * (column % BINS + 1) % cepstrum::WINDOW) as f64 / cepstrum::WINDOW as f64;
            let wave = if column < BINS { libm::cos(turn) } else { -libm::sin(turn) };
            hann[frame] * wave / libm::sqrt(energy)
        };
        let mut of_window = Array2::from_shape_fn((length, 2 * BINS), |(frame, column)| wave(frame, column));
        // Of a frame less the mean of all frames: the mean of a column goes from its rows.
        for mut column in of_window.columns_mut() {
            let mean = column.sum() / length as f64;
            column -= mean;
        }
        Array2::from_shape_fn((self.frames, self.columns()), |(frame, column)| {
            let start = column / (2 * BINS) * cepstrum::HOP;
            if (start..start + length).contains(&frame) { of_window[[frame - start, column % (2 * BINS)]] } else { 0.0 }
        })
    }

    /// What makes of squares of columns their mean over the bins of each band, of all windows, real and imaginary parts added:
    /// `[columns, bands]`.
    fn means(&self, bands: &[(usize, usize)]) -> Array2<f64> {
        Array2::from_shape_fn((self.columns(), bands.len()), |(column, band)| {
            let (first, last) = bands[band];
            let share = 1.0 / (self.windows * (last + 1 - first)) as f64;
            if (first..=last).contains(&(column % BINS + 1)) { share } else { 0.0 }
        })
    }
}
