//! [`Regression`]: the gradient of softmax regression with dropout, which is nearly all that fitting a head costs.
//!
//! What the head sees of a few rows at a time stays in the first caches: its dropout, its logits and its part of the gradient
//! are done there, and nothing of the size of all rows is written.

use data::rng::Rng;
use simd::{Simd, WithSimd};

/// Classes side by side.
const LANE: usize = 16;
/// Rows that are worked on at once.
const ROWS: usize = 8;

/// One number for each of sixteen classes, in a cache line of their own.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Lane([f32; LANE]);

/// A linear classifier's mean cross-entropy over `n` rows of `dim` numbers.
#[derive(Debug)]
pub(super) struct Regression<'a> {
    /// Row-major `[n, dim]`.
    x: &'a [f32],
    /// Row-major `[n, n_classes]`.
    targets: &'a [f32],
    dim: usize,
    n_classes: usize,
    dropout: f64,
}

/// Derivatives of the mean cross-entropy.
#[derive(Debug)]
pub(super) struct Gradient {
    /// Row-major `[dim, n_classes]`.
    pub(super) weight: Vec<f32>,
    /// `[n_classes]`.
    pub(super) bias: Vec<f32>,
}

impl<'a> Regression<'a> {
    /// Of rows `x` `[n, dim]`, row-major, and targets `[n, n_classes]`.
    ///
    /// # Panics
    /// When the shapes do not fit together.
    pub(super) fn new(x: &'a [f32], targets: &'a [f32], [dim, n_classes]: [usize; 2], dropout: f64) -> Self {
        let n = targets.len() / n_classes;
        assert!(targets.len() == n * n_classes && x.len() == n * dim, "rows and targets do not fit together");
        Self { x, targets, dim, n_classes, dropout }
    }

    /// Dimensions of a row, and classes.
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.dim, self.n_classes]
    }

    /// The gradient at a weight `[dim, n_classes]` and a bias `[n_classes]`, with a dropout that is drawn from `rng`.
    pub(super) fn gradient(&self, weight: &[f32], bias: &[f32], rng: &mut Rng) -> Gradient {
        let Self { dim, n_classes, .. } = *self;
        let lanes = n_classes.div_ceil(LANE);
        let mut in_lanes = vec![Lane::default(); lanes * dim];
        for (i, row) in weight.chunks_exact(n_classes).enumerate() {
            for (class, &value) in row.iter().enumerate() {
                in_lanes[class / LANE * dim + i].0[class % LANE] = value;
            }
        }
        let mut sums = vec![Lane::default(); lanes * dim];
        let mut bias_sums = vec![0.0; n_classes];
        simd::dispatch(Pass { of: self, weight: &in_lanes, bias, rng, sums: &mut sums, bias_sums: &mut bias_sums });
        let at = |i: usize, class: usize| sums[class / LANE * dim + i].0[class % LANE];
        Gradient {
            weight: (0..dim).flat_map(|i| (0..n_classes).map(move |class| at(i, class))).collect(),
            bias: bias_sums,
        }
    }
}

/// Goes over all rows once.
struct Pass<'a, 'b> {
    of: &'b Regression<'a>,
    /// `[lanes of classes][dim]`.
    weight: &'b [Lane],
    bias: &'b [f32],
    rng: &'b mut Rng,
    sums: &'b mut [Lane],
    bias_sums: &'b mut [f32],
}

impl WithSimd for Pass<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, weight, bias, rng, sums, bias_sums } = self;
        let &Regression { x, targets, dim, n_classes, dropout } = of;
        let share = 1.0 / (targets.len() / n_classes) as f32;
        // Rows beyond the last are seen as nothing, and have no part in the gradient.
        let mut seen = vec![0.0; ROWS * dim];
        let mut logits = vec![0.0; n_classes];
        for (x, targets) in x.chunks(ROWS * dim).zip(targets.chunks(ROWS * n_classes)) {
            seen[..x.len()].copy_from_slice(x);
            seen[x.len()..].fill(0.0);
            if dropout > 0.0 {
                drop_out(&mut seen[..x.len()], dropout, rng);
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
    for v in 0..LANE / S::F32_LANES {
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        for (i, weight) in weight.iter().enumerate() {
            let weight = S::as_simd_f32s(&weight.0).0[v];
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = simd.mul_add_e_f32s(simd.splat_f32s(row[i]), weight, *sum);
            }
        }
        for (output, sum) in outputs.iter_mut().zip(sums) {
            S::as_mut_simd_f32s(&mut output.0).0[v] = sum;
        }
    }
}

/// `sums[i] += Σ_row rows[row][i] · errors[row]`, in the order of the rows.
#[inline(always)]
fn accumulate<S: Simd>(simd: S, rows: [&[f32]; ROWS], errors: &[Lane; ROWS], sums: &mut [Lane]) {
    for v in 0..LANE / S::F32_LANES {
        let errors = errors.each_ref().map(|error| S::as_simd_f32s(&error.0).0[v]);
        for (i, sum) in sums.iter_mut().enumerate() {
            let sum = &mut S::as_mut_simd_f32s(&mut sum.0).0[v];
            for (row, error) in rows.iter().zip(errors) {
                *sum = simd.mul_add_e_f32s(simd.splat_f32s(row[i]), error, *sum);
            }
        }
    }
}

/// Each value times 0 or `1 / (1 − dropout)`.
pub(super) fn dropped_out(values: &[f32], dropout: f64, rng: &mut Rng) -> Vec<f32> {
    let mut seen = values.to_vec();
    simd::dispatch(DropOut { values: &mut seen, dropout, rng });
    seen
}

struct DropOut<'a> {
    values: &'a mut [f32],
    dropout: f64,
    rng: &'a mut Rng,
}

impl WithSimd for DropOut<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        drop_out(self.values, self.dropout, self.rng);
    }
}

/// Multiplies each value with 0 or `1 / (1 − dropout)`; `dropout` is rounded to a multiple of 2⁻¹⁶, so that one draw of the
/// generator decides over four values.
#[inline(always)]
fn drop_out(values: &mut [f32], dropout: f64, rng: &mut Rng) {
    const STEPS: f64 = 65_536.0;
    const BLOCK: usize = 64;
    let dropped = (dropout * STEPS).round().min(STEPS - 1.0);
    let kept = (STEPS / (STEPS - dropped)) as f32;
    let dropped = dropped as u16;
    for block in values.chunks_mut(BLOCK) {
        let mut parts = [0; BLOCK];
        for four in parts.chunks_exact_mut(4).take(block.len().div_ceil(4)) {
            let draw = rng.next_u64();
            four.iter_mut().enumerate().for_each(|(i, part)| *part = (draw >> (16 * i)) as u16);
        }
        // Of a fixed length, so that it becomes vectors and no branch, which would be guessed wrongly every third time.
        let factors = parts.map(|part| if part < dropped { 0.0 } else { kept });
        block.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, TensorData};
    use models::vgg19::Backend;

    use super::*;
    use crate::training::vgg19::head::{cross_entropy, targets};

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..n).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn the_gradient_is_that_of_automatic_differentiation() {
        let device = Backend::Flex.open().unwrap();
        // Rows, dimensions and classes that fill lanes and blocks, and that do not.
        for (n, dim, n_classes) in [(16, 32, 16), (13, 21, 3), (1, 5, 2), (9, 7, 37)] {
            let (x, weight, bias) = (noise(n * dim, 1), noise(dim * n_classes, 2), noise(n_classes, 3));
            let labels: Vec<_> = (0..n).map(|row| row % n_classes).collect();
            let targets = targets(&labels, n_classes, 0.1);
            let tensor = |values: &[f32], shape: [usize; 2]| {
                Tensor::<2>::from_inner(Tensor::from_data(TensorData::new(values.to_vec(), shape), &device))
            };
            // What is dropped is drawn from one seed on both sides.
            let ours = Regression::new(&x, &targets, [dim, n_classes], 0.3).gradient(&weight, &bias, &mut Rng::new(7));
            let mut rng = Rng::new(7);
            let seen: Vec<f32> = x.chunks(ROWS * dim).flat_map(|rows| dropped_out(rows, 0.3, &mut rng)).collect();
            let (w, b) =
                (tensor(&weight, [dim, n_classes]).require_grad(), tensor(&bias, [1, n_classes]).require_grad());
            let logits = tensor(&seen, [n, dim]).matmul(w.clone()) + b.clone();
            let gradients = cross_entropy(logits, tensor(&targets, [n, n_classes])).backward();
            let expected = |gradient: Option<Tensor<2>>| gradient.unwrap().into_data().try_to_vec::<f32>().unwrap();
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
            let mask = dropped_out(&[1.0; 100_001], dropout, &mut Rng::new(5));
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
                Regression::new(&x, &targets, [30, 10], 0.5).gradient(&weight, &bias, &mut Rng::new(4)).weight
            })
        };
        let fused: Vec<_> =
            simd::Level::available().into_iter().filter(|level| level.name() != "scalar").map(at).collect();
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
