//! [`Regression`]: the gradient of softmax regression with dropout, which is nearly all of the cost of fitting a head.
//!
//! A few rows at a time stay in the first caches: their dropout, their logits and their part of the gradient are computed there, and
//! nothing of the size of all rows is written. The two small products keep eight rows of one lane of classes in registers, which is not the
//! shape of the convolution's GEMM (six rows of four lanes).

use simd::{
    Simd, WithSimd,
    lane::{LANE, Lane, get, put, vectors},
};

/// Rows that are worked on at once.
pub const ROWS: usize = 8;

/// A linear classifier's mean cross-entropy over rows of numbers, of each of which a share is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Regression {
    n: usize,
    dim: usize,
    n_classes: usize,
    dropout: f64,
}

/// Derivatives of the mean cross-entropy.
#[derive(Debug)]
pub struct Gradient {
    /// Row-major `[dim, n_classes]`.
    pub weight: Vec<f32>,
    /// `[n_classes]`.
    pub bias: Vec<f32>,
}

/// A [`Gradient`] on its way over the rows, of which a block at a time need be in memory.
#[derive(Debug)]
pub struct GradientSum {
    of: Regression,
    /// `[lanes of classes][dim]`.
    weight: Vec<Lane>,
    bias: Vec<f32>,
    sums: Vec<Lane>,
    bias_sums: Vec<f32>,
}

impl Regression {
    /// Over `n` rows of `dim` numbers, with a `dropout` of 0 to below 1.
    pub fn new(n: usize, [dim, n_classes]: [usize; 2], dropout: f64) -> Self {
        Self { n, dim, n_classes, dropout }
    }

    /// The gradient at a weight `[dim, n_classes]` and a bias `[n_classes]`, of no row yet.
    pub fn gradient_at(&self, weight: &[f32], bias: &[f32]) -> GradientSum {
        let Self { dim, n_classes, .. } = *self;
        let lanes = n_classes.div_ceil(LANE);
        let mut in_lanes = vec![Lane::default(); lanes * dim];
        for (i, row) in weight.chunks_exact(n_classes).enumerate() {
            for (class, &value) in row.iter().enumerate() {
                in_lanes[class / LANE * dim + i].0[class % LANE] = value;
            }
        }
        GradientSum {
            of: *self,
            weight: in_lanes,
            bias: bias.to_vec(),
            sums: vec![Lane::default(); lanes * dim],
            bias_sums: vec![0.0; n_classes],
        }
    }
}

impl GradientSum {
    /// Adds the next rows `x` `[rows, dim]`, row-major, with their targets `[rows, n_classes]`. What is dropped is drawn from `next_u64`,
    /// which gives 64 random bits. Where every block but the last has a multiple of [`ROWS`] rows, the blocks change no bit.
    ///
    /// # Panics
    /// When the shapes do not fit together.
    pub fn add(&mut self, x: &[f32], targets: &[f32], next_u64: impl FnMut() -> u64) {
        let Regression { dim, n_classes, .. } = self.of;
        let n = targets.len() / n_classes;
        assert!(targets.len() == n * n_classes && x.len() == n * dim, "rows and targets do not fit together");
        simd::dispatch(Pass { to: self, x, targets, next_u64 });
    }

    /// The gradient, once all rows were added.
    pub fn finish(self) -> Gradient {
        let Self { of: Regression { dim, n_classes, .. }, sums, bias_sums, .. } = self;
        let at = |i: usize, class: usize| sums[class / LANE * dim + i].0[class % LANE];
        Gradient {
            weight: (0..dim).flat_map(|i| (0..n_classes).map(move |class| at(i, class))).collect(),
            bias: bias_sums,
        }
    }
}

/// Goes over some rows once.
struct Pass<'a, R> {
    to: &'a mut GradientSum,
    x: &'a [f32],
    targets: &'a [f32],
    next_u64: R,
}

impl<R: FnMut() -> u64> WithSimd for Pass<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { to: GradientSum { of, weight, bias, sums, bias_sums }, x, targets, mut next_u64 } = self;
        let Regression { n, dim, n_classes, dropout } = *of;
        let share = 1.0 / n as f32;
        // Rows beyond the last are zeros, and have no part in the gradient.
        let mut seen = vec![0.0; ROWS * dim];
        let mut logits = vec![0.0; n_classes];
        for (x, targets) in x.chunks(ROWS * dim).zip(targets.chunks(ROWS * n_classes)) {
            seen[..x.len()].copy_from_slice(x);
            seen[x.len()..].fill(0.0);
            if dropout > 0.0 {
                drop_out(&mut seen[..x.len()], dropout, &mut next_u64);
            }
            let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &seen[row * dim..][..dim]);
            let mut outputs = vec![[Lane::default(); ROWS]; weight.len() / dim];
            for (weight, outputs) in weight.chunks_exact(dim).zip(&mut outputs) {
                multiply(simd, rows, weight, outputs);
            }
            for (row, targets) in targets.chunks_exact(n_classes).enumerate() {
                for (class, logit) in logits.iter_mut().enumerate() {
                    *logit = outputs[class / LANE][row].0[class % LANE] + bias[class];
                }
                let largest = logits.iter().fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
                logits.iter_mut().for_each(|logit| *logit = libm::expf(*logit - largest));
                let total: f32 = logits.iter().sum();
                for (class, (&power, &target)) in logits.iter().zip(targets).enumerate() {
                    let error = (power / total - target) * share;
                    outputs[class / LANE][row].0[class % LANE] = error;
                    bias_sums[class] += error;
                }
            }
            for (sums, errors) in sums.chunks_exact_mut(dim).zip(&outputs) {
                accumulate(simd, rows, errors, sums);
            }
        }
    }
}

/// `outputs[row] = Σ_i rows[row][i] · weight[i]`, in the order of `i`.
#[inline(always)]
fn multiply<S: Simd>(simd: S, rows: [&[f32]; ROWS], weight: &[Lane], outputs: &mut [Lane; ROWS]) {
    for v in 0..vectors::<S>() {
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        for (i, weight) in weight.iter().enumerate() {
            let weight = get::<S>(&weight.0, v);
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = simd.mul_add_e_f32s(simd.splat_f32s(row[i]), weight, *sum);
            }
        }
        for (output, sum) in outputs.iter_mut().zip(sums) {
            put::<S>(&mut output.0, v, sum);
        }
    }
}

/// `sums[i] += Σ_row rows[row][i] · errors[row]`, in the order of the rows.
#[inline(always)]
fn accumulate<S: Simd>(simd: S, rows: [&[f32]; ROWS], errors: &[Lane; ROWS], sums: &mut [Lane]) {
    for v in 0..vectors::<S>() {
        let errors = errors.each_ref().map(|error| get::<S>(&error.0, v));
        for (i, sum) in sums.iter_mut().enumerate() {
            let sum = &mut S::as_mut_simd_f32s(&mut sum.0).0[v];
            for (row, error) in rows.iter().zip(errors) {
                *sum = simd.mul_add_e_f32s(simd.splat_f32s(row[i]), error, *sum);
            }
        }
    }
}

/// Each value times 0 or `1 / (1 − dropout)`.
pub fn dropped_out(values: &[f32], dropout: f64, next_u64: impl FnMut() -> u64) -> Vec<f32> {
    let mut seen = values.to_vec();
    simd::dispatch(DropOut { values: &mut seen, dropout, next_u64 });
    seen
}

struct DropOut<'a, R> {
    values: &'a mut [f32],
    dropout: f64,
    next_u64: R,
}

impl<R: FnMut() -> u64> WithSimd for DropOut<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        drop_out(self.values, self.dropout, &mut self.next_u64);
    }
}

/// Multiplies each value with 0 or `1 / (1 − dropout)`; `dropout` is rounded to a multiple of 2⁻¹⁶, so that one draw of the
/// generator decides over four values.
#[inline(always)]
fn drop_out(values: &mut [f32], dropout: f64, next_u64: &mut impl FnMut() -> u64) {
    const STEPS: f64 = 65_536.0;
    const BLOCK: usize = 64;
    let dropped = (dropout * STEPS).round().min(STEPS - 1.0);
    let scale = (STEPS / (STEPS - dropped)) as f32;
    let dropped = dropped as u16;
    for block in values.chunks_mut(BLOCK) {
        let mut parts = [0; BLOCK];
        for four in parts.chunks_exact_mut(4).take(block.len().div_ceil(4)) {
            let draw = next_u64();
            four.iter_mut().enumerate().for_each(|(i, part)| *part = (draw >> (16 * i)) as u16);
        }
        // Of a fixed length, so that it becomes vectors and no branch, which would be guessed wrongly every third time.
        let factors = parts.map(|part| if part < dropped { 0.0 } else { scale });
        block.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData, activation::log_softmax};

    use super::*;
    use crate::testing::{Rng, values};

    fn rng(seed: u64) -> impl FnMut() -> u64 {
        let mut rng = Rng::new(seed);
        move || rng.next_u64()
    }

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..n).map(|_| rng.normal() as f32).collect()
    }

    /// Of rows and targets that come in blocks of so many rows.
    fn gradient(
        regression: Regression,
        [weight, bias]: [&[f32]; 2],
        [x, targets]: [&[f32]; 2],
        rows: usize,
        mut next_u64: impl FnMut() -> u64,
    ) -> Gradient {
        let mut sum = regression.gradient_at(weight, bias);
        for (x, targets) in x.chunks(rows * regression.dim).zip(targets.chunks(rows * regression.n_classes)) {
            sum.add(x, targets, &mut next_u64);
        }
        sum.finish()
    }

    #[test]
    fn rows_in_blocks_give_the_bits_of_all_at_once() {
        let (x, weight, bias) = (noise(43 * 21, 1), noise(21 * 17, 2), noise(17, 3));
        let targets: Vec<f32> = (0..43 * 17).map(|i| if i % 17 == i / 17 % 17 { 1.0 } else { 0.0 }).collect();
        let of = |rows| gradient(Regression::new(43, [21, 17], 0.4), [&weight, &bias], [&x, &targets], rows, rng(6));
        let whole = of(43);
        assert!(whole.weight.iter().any(|&value| value != 0.0));
        for rows in [ROWS, 3 * ROWS] {
            let blocks = of(rows);
            assert_eq!((blocks.weight, blocks.bias), (whole.weight.clone(), whole.bias.clone()), "{rows}");
        }
    }

    #[test]
    fn the_gradient_is_that_of_automatic_differentiation() {
        let device = Device::flex();
        // Rows, dimensions and classes that fill lanes and blocks, and that do not.
        for (n, dim, n_classes) in [(16, 32, 16), (13, 21, 3), (1, 5, 2), (9, 7, 37)] {
            let (x, weight, bias) = (noise(n * dim, 1), noise(dim * n_classes, 2), noise(n_classes, 3));
            // Labels smoothed by 0.1.
            let target =
                |i: usize| 0.1 / n_classes as f32 + if i / n_classes % n_classes == i % n_classes { 0.9 } else { 0.0 };
            let targets: Vec<f32> = (0..n * n_classes).map(target).collect();
            let tensor = |values: &[f32], shape: [usize; 2]| {
                Tensor::<2>::from_inner(Tensor::from_data(TensorData::new(values.to_vec(), shape), &device))
            };
            // What is dropped is drawn from one seed on both sides.
            let ours = gradient(Regression::new(n, [dim, n_classes], 0.3), [&weight, &bias], [&x, &targets], n, rng(7));
            let mut rng = rng(7);
            let seen: Vec<f32> = x.chunks(ROWS * dim).flat_map(|rows| dropped_out(rows, 0.3, &mut rng)).collect();
            let (w, b) =
                (tensor(&weight, [dim, n_classes]).require_grad(), tensor(&bias, [1, n_classes]).require_grad());
            let logits = tensor(&seen, [n, dim]).matmul(w.clone()) + b.clone();
            let loss = (log_softmax(logits, 1) * tensor(&targets, [n, n_classes])).sum() / -(n as f32);
            let gradients = loss.backward();
            let expected = |gradient: Option<Tensor<2>>| values(gradient.unwrap());
            let close = |ours: &[f32], theirs: &[f32]| {
                assert_eq!(ours.len(), theirs.len());
                ours.iter()
                    .zip(theirs)
                    .for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{n} {dim} {n_classes}: {a} {b}"));
            };
            close(&ours.weight, &expected(w.grad(&gradients)));
            close(&ours.bias, &expected(b.grad(&gradients)));
        }
    }

    #[test]
    fn dropout_drops_its_share_and_keeps_the_mean() {
        for dropout in [0.0, 0.3, 0.8] {
            let mask = dropped_out(&[1.0; 100_001], dropout, rng(5));
            let dropped = mask.iter().filter(|&&value| value == 0.0).count() as f64 / mask.len() as f64;
            let mean = mask.iter().map(|&value| f64::from(value)).sum::<f64>() / mask.len() as f64;
            assert_eq!(mask.len(), 100_001);
            assert!((dropped - dropout).abs() < 0.006 && (mean - 1.0).abs() < 0.03, "{dropout}: {dropped}, {mean}");
        }
    }

    #[test]
    fn every_level_with_fused_products_gives_the_same_bits() {
        let (x, weight, bias) = (noise(20 * 30, 1), noise(30 * 10, 2), noise(10, 3));
        let targets = [1.0, 0.0].repeat(100);
        let at = |level: simd::Level| {
            simd::with_level(level, || {
                gradient(Regression::new(20, [30, 10], 0.5), [&weight, &bias], [&x, &targets], 20, rng(4)).weight
            })
        };
        let fused: Vec<_> =
            simd::Level::available().into_iter().filter(|level| level.name() != "scalar").map(at).collect();
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
