//! Products of matrices with the same bits at every SIMD level and with any number of threads.
//!
//! Each lane is another element of the result. Its sum goes over the depth in order, by a multiplication and an addition that are never
//! fused; threads work on different rows.

use simd::{Simd, WithSimd};

/// Columns of the result that are computed together: a multiple of two vectors at every level.
const PANEL: usize = 16;
/// Rows that are computed together: six rows of two vectors are what sixteen registers hold.
const ROWS: usize = 6;

/// The right-hand side of a product, in groups of [`PANEL`] rows that lie side by side.
#[derive(Debug)]
pub(in crate::training) struct Panels {
    /// Of each panel `[depth][PANEL]`.
    panels: Vec<Vec<f64>>,
    rows: usize,
}

impl Panels {
    /// Of a matrix `[n, depth]`, row-major.
    pub(in crate::training) fn new(matrix: &[f64], depth: usize) -> Self {
        Self::of(matrix, depth, |_| depth)
    }

    /// Of a lower triangular matrix `[n, n]`, row-major: the zeros beyond its diagonal cost nothing.
    pub(super) fn lower(matrix: &[f64], n: usize) -> Self {
        Self::of(matrix, n, |last| last + 1)
    }

    /// `needed` is the depth that is needed for a row and all before it.
    fn of(matrix: &[f64], depth: usize, needed: impl Fn(usize) -> usize) -> Self {
        let rows = matrix.len() / depth;
        let panel = |first: usize| {
            let last = (first + PANEL).min(rows);
            let mut panel = vec![0.0; needed(last - 1) * PANEL];
            for row in first..last {
                let values = &matrix[row * depth..(row + 1) * depth];
                panel.chunks_exact_mut(PANEL).zip(values).for_each(|(side, &value)| side[row - first] = value);
            }
            panel
        };
        Self { panels: (0..rows).step_by(PANEL).map(panel).collect(), rows }
    }
}

/// Adds `a · bᵀ` to `sums`: `sums[i, j] += Σ_k a[i, k] · b[j, k]`. `a` is `[n, depth]`, `sums` `[n, b.rows()]`, row-major.
pub(in crate::training) fn add(a: &[f64], depth: usize, b: &Panels, sums: &mut [f64]) {
    add_first(a, depth, b, b.rows, sums);
}

/// The same of the first `columns` of the sums; what is beyond them is left, or added to. For a symmetric product, of which the lower half is
/// enough.
pub(in crate::training) fn add_first(a: &[f64], depth: usize, b: &Panels, columns: usize, sums: &mut [f64]) {
    debug_assert_eq!(a.len() / depth * b.rows, sums.len());
    simd::dispatch(Product { a, depth, b, panels: columns.div_ceil(PANEL), sums });
}

/// `Σ x²` in the order of a product, so that the distance of a vector to itself is 0.
pub(super) fn square(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |sum, x| sum + x * x)
}

struct Product<'a> {
    a: &'a [f64],
    depth: usize,
    b: &'a Panels,
    /// How many of its panels.
    panels: usize,
    sums: &'a mut [f64],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, depth, b, panels, sums } = self;
        let n = a.len() / depth;
        for (p, panel) in b.panels.iter().enumerate().take(panels) {
            let columns = p * PANEL..((p + 1) * PANEL).min(b.rows);
            for first in (0..n).step_by(ROWS) {
                // Beyond the last row, that one again; what comes of it is not stored.
                let rows: [&[f64]; ROWS] =
                    std::array::from_fn(|r| &a[(first + r).min(n - 1) * depth..][..panel.len() / PANEL]);
                let mut tile = [[0.0; PANEL]; ROWS];
                for (r, tile) in tile.iter_mut().enumerate().take(n - first) {
                    let row = &sums[(first + r) * b.rows..][..b.rows];
                    tile[..columns.len()].copy_from_slice(&row[columns.clone()]);
                }
                accumulate(simd, rows, panel, &mut tile);
                for (r, tile) in tile.iter().enumerate().take(n - first) {
                    let row = &mut sums[(first + r) * b.rows..][..b.rows];
                    row[columns.clone()].copy_from_slice(&tile[..columns.len()]);
                }
            }
        }
    }
}

/// `tile[r][c] += Σ_k rows[r][k] · panel[k][c]`.
#[inline(always)]
fn accumulate<S: Simd>(simd: S, rows: [&[f64]; ROWS], panel: &[f64], tile: &mut [[f64; PANEL]; ROWS]) {
    let (panel, _) = panel.as_chunks::<PANEL>();
    let rows = rows.map(|row| &row[..panel.len()]);
    for pair in 0..PANEL / (2 * S::F64_LANES) {
        let pair = 2 * pair..2 * pair + 2;
        let mut sums = [[simd.splat_f64s(0.0); 2]; ROWS];
        for (sums, tile) in sums.iter_mut().zip(&*tile) {
            sums.copy_from_slice(&S::as_simd_f64s(tile).0[pair.clone()]);
        }
        for (k, columns) in panel.iter().enumerate() {
            let columns = &S::as_simd_f64s(columns).0[pair.clone()];
            for (sums, row) in sums.iter_mut().zip(rows) {
                let value = simd.splat_f64s(row[k]);
                for (sum, &column) in sums.iter_mut().zip(columns) {
                    *sum = simd.add_f64s(*sum, simd.mul_f64s(value, column));
                }
            }
        }
        for (sums, tile) in sums.iter().zip(&mut *tile) {
            S::as_mut_simd_f64s(tile).0[pair.clone()].copy_from_slice(sums);
        }
    }
}

/// The inverse of a lower triangular matrix `[n, n]`, row-major; it is lower triangular too.
pub(super) fn inverse_of_lower(factor: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for (i, row) in factor.chunks_exact(n).enumerate() {
        let (above, rest) = inverse.split_at_mut(i * n);
        let out = &mut rest[..=i];
        for (k, &value) in row[..i].iter().enumerate() {
            let other = &above[k * n..k * n + k + 1];
            out.iter_mut().zip(other).for_each(|(out, other)| *out -= value * other);
        }
        out[i] = 1.0;
        out.iter_mut().for_each(|out| *out /= row[i]);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use data::rng::Rng;
    use proptest::prelude::*;

    use super::*;

    fn matrix(rng: &mut Rng, n: usize, depth: usize) -> Vec<f64> {
        (0..n * depth).map(|_| rng.normal()).collect()
    }

    proptest! {
        #[test]
        fn every_level_adds_in_the_order_of_the_depth(n in 1_usize..20, m in 1_usize..40, depth in 1_usize..70, seed: u64) {
            let mut rng = Rng::new(seed);
            let (a, b, before) = (matrix(&mut rng, n, depth), matrix(&mut rng, m, depth), matrix(&mut rng, n, m));
            let mut expected = before.clone();
            for i in 0..n {
                for j in 0..m {
                    for k in 0..depth {
                        expected[i * m + j] += a[i * depth + k] * b[j * depth + k];
                    }
                }
            }
            let panels = Panels::new(&b, depth);
            for level in simd::Level::available() {
                let mut sums = before.clone();
                simd::with_level(level, || add(&a, depth, &panels, &mut sums));
                prop_assert_eq!(&sums, &expected, "{}", level.name());
                let (mut sums, columns) = (before.clone(), m / 2);
                simd::with_level(level, || add_first(&a, depth, &panels, columns, &mut sums));
                for (sums, expected) in sums.chunks(m).zip(expected.chunks(m)) {
                    prop_assert_eq!(&sums[..columns], &expected[..columns], "{}", level.name());
                }
            }
        }

        #[test]
        fn a_lower_matrix_times_its_inverse_is_the_identity(n in 1_usize..40, seed: u64) {
            let mut rng = Rng::new(seed);
            let mut factor = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..i {
                    factor[i * n + j] = 0.3 * rng.normal();
                }
                factor[i * n + i] = 1.0 + rng.unit();
            }
            let inverse = inverse_of_lower(&factor, n);
            // Rows of the factor by columns of the inverse: the transpose is the right-hand side.
            let transposed: Vec<f64> = (0..n * n).map(|i| inverse[i % n * n + i / n]).collect();
            let mut product = vec![0.0; n * n];
            add(&factor, n, &Panels::new(&transposed, n), &mut product);
            for (i, value) in product.iter().enumerate() {
                let expected = if i % n == i / n { 1.0 } else { 0.0 };
                prop_assert!((value - expected).abs() < 1e-7, "{i}: {value}");
            }
            // The panels of a lower matrix leave out zeros alone.
            let (mut whole, mut lower) = (vec![0.0; n * n], vec![0.0; n * n]);
            add(&factor, n, &Panels::new(&inverse, n), &mut whole);
            add(&factor, n, &Panels::lower(&inverse, n), &mut lower);
            prop_assert_eq!(whole, lower);
        }
    }

    #[test]
    fn a_vector_is_at_no_distance_from_itself() {
        let mut rng = Rng::new(3);
        let x = matrix(&mut rng, 7, 133);
        let mut sums = vec![0.0; 49];
        add(&x, 133, &Panels::new(&x, 133), &mut sums);
        for (i, x) in x.chunks_exact(133).enumerate() {
            assert_eq!(sums[i * 8], square(x));
        }
    }
}
