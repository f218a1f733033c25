//! The radial basis function, and sums in an order that no compiler and no CPU changes.
//!
//! A sum over a vector is kept in 8 partial sums, one for each index modulo 8, which are joined as a tree. A loop of this
//! shape is compiled to SIMD instructions of any width up to 8 lanes, all of which add in the same order.

use simd::{Simd, WithSimd};

const LANES: usize = 8;
/// Vectors whose sums are kept together, so that one addition does not wait for the one before.
const TILE: usize = 4;

/// `‖a − b‖²` of two vectors of one length.
#[must_use]
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    reduce(a, b, |x, y| (x - y) * (x - y))
}

/// [`squared_distance`] of `a` to each of `rows`, with the same bits, at the SIMD level in use.
///
/// # Panics
/// If a row is shorter than `a`.
#[must_use]
pub fn squared_distances(a: &[f64], rows: &[&[f64]]) -> Vec<f64> {
    simd::dispatch(Distances { a, rows })
}

/// `Σ a_i · b_i` of two vectors of one length.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    reduce(a, b, |x, y| x * y)
}

/// `exp(−gamma · squared_distance)`.
#[must_use]
pub fn rbf(squared_distance: f64, gamma: f64) -> f64 {
    libm::exp(-gamma * squared_distance)
}

#[inline(always)]
fn reduce(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    for (sum, (&x, &y)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum += term(x, y);
    }
    joined(sums)
}

fn joined([s0, s1, s2, s3, s4, s5, s6, s7]: [f64; LANES]) -> f64 {
    ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
}

struct Distances<'a> {
    a: &'a [f64],
    rows: &'a [&'a [f64]],
}

impl WithSimd for Distances<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let mut distances = Vec::with_capacity(self.rows.len());
        let (tiles, rest) = self.rows.as_chunks::<TILE>();
        for tile in tiles {
            distances.extend_from_slice(&distances_of_tile(simd, self.a, tile));
        }
        for row in rest {
            distances.extend_from_slice(&distances_of_tile(simd, self.a, &[row]));
        }
        distances
    }
}

/// The partial sums of [`reduce`], so many of them at a time as a vector has lanes.
#[inline(always)]
fn distances_of_tile<S: Simd, const N: usize>(simd: S, a: &[f64], rows: &[&[f64]; N]) -> [f64; N] {
    let mut sums = [[0.0; LANES]; N];
    let (blocks, rest) = a.as_chunks::<LANES>();
    let rows = rows.map(|row| {
        let (row, rest) = row[..a.len()].as_chunks::<LANES>();
        (&row[..blocks.len()], rest)
    });
    for first in (0..LANES).step_by(S::F64_LANES) {
        let lanes = first..first + S::F64_LANES;
        let vector = |block: &[f64; LANES]| S::as_simd_f64s(&block[lanes.clone()]).0[0];
        let mut partial = [simd.splat_f64s(0.0); N];
        for (i, a) in blocks.iter().enumerate() {
            let a = vector(a);
            for (partial, (row, _)) in partial.iter_mut().zip(&rows) {
                let difference = simd.sub_f64s(a, vector(&row[i]));
                *partial = simd.add_f64s(*partial, simd.mul_f64s(difference, difference));
            }
        }
        for (sums, partial) in sums.iter_mut().zip(partial) {
            S::as_mut_simd_f64s(&mut sums[lanes.clone()]).0[0] = partial;
        }
    }
    for (sums, (_, row_rest)) in sums.iter_mut().zip(&rows) {
        for (sum, (&x, &y)) in sums.iter_mut().zip(rest.iter().zip(*row_rest)) {
            *sum += (x - y) * (x - y);
        }
    }
    sums.map(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_cover_every_index() {
        for n in 0..40_u32 {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            let ones = vec![1.0; a.len()];
            assert_eq!(dot(&a, &ones), f64::from(n * n.saturating_sub(1) / 2));
            assert_eq!(squared_distance(&a, &a), 0.0);
            assert_eq!(squared_distance(&ones, &vec![3.0; ones.len()]), 4.0 * f64::from(n));
        }
    }

    #[test]
    fn the_order_of_a_sum_is_fixed() {
        // Bits of a sum that rounds at every step: they change with the order of the additions.
        let a: Vec<f64> = (0..1000).map(|i| 1.0 / (f64::from(i) + 0.7)).collect();
        let b: Vec<f64> = (0..1000).map(|i| f64::from(i * 7 % 13) - 6.1).collect();
        let mut lanes = [0.0; 8];
        a.iter().zip(&b).enumerate().for_each(|(i, (x, y))| lanes[i % 8] += x * y);
        let expected =
            ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
        assert_eq!(dot(&a, &b).to_bits(), expected.to_bits());
        assert_ne!(dot(&a, &b).to_bits(), a.iter().zip(&b).map(|(x, y)| x * y).sum::<f64>().to_bits());
    }

    #[test]
    fn distances_to_many_have_the_bits_of_each_at_every_level() {
        let row = |seed: usize, n: usize| -> Vec<f64> {
            (0..n).map(|i| 1.0 / ((i * 31 + seed * 17) % 101 + 1) as f64 - 0.3).collect()
        };
        for (n, count) in [(0, 3), (7, 4), (8, 1), (1364, 11), (57, 13)] {
            let a = row(0, n);
            let rows: Vec<_> = (1..=count).map(|seed| row(seed, n)).collect();
            let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
            let expected: Vec<_> = rows.iter().map(|row| squared_distance(&a, row).to_bits()).collect();
            for level in simd::Level::available() {
                let found = simd::with_level(level, || squared_distances(&a, &rows));
                assert_eq!(found.iter().map(|d| d.to_bits()).collect::<Vec<_>>(), expected, "{}", level.name());
            }
        }
    }

    #[test]
    fn the_kernel_falls_from_one_to_zero() {
        assert_eq!(rbf(0.0, 0.5), 1.0);
        assert!((rbf(2.0, 0.5) - 0.367_879_441_171_442_3).abs() < 1e-16);
        assert_eq!(rbf(f64::MAX, 1e15), 0.0);
    }
}
