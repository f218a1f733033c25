//! [`Tile`]: the transforms of Winograd's minimal filtering, along one axis.
//!
//! F(m, 3) computes m outputs of a filter of three taps from m + 2 products (Winograd 1980; Lavin and Gray 2016). A filter
//! is a polynomial, and so is a range of the input; polynomials are multiplied by their values at m + 1 points and at
//! infinity. In two dimensions each transform is applied to the columns and then to the rows of a tile.
//!
//! Arrays are as long as the larger tile needs; of the smaller one the first entries count.

use simd::Simd;

/// Products of the largest tile, along one axis.
pub(crate) const MOST: usize = 6;

/// One size of tile. `input` and `output` are the transforms of the forward pass; `gradient` and `filter_gradient` are the
/// transposes of `output` and `filter`, which the gradient of the filters needs.
pub(crate) trait Tile: Copy + Send + Sync + 'static {
    /// Outputs along an axis.
    const M: usize;
    /// Products along an axis, `M + 2`.
    const A: usize;

    /// `A` values of the input to `A` factors.
    fn input<S: Simd>(simd: S, d: [S::f32s; MOST]) -> [S::f32s; MOST];
    /// `A` products to `M` outputs.
    fn output<S: Simd>(simd: S, m: [S::f32s; MOST]) -> [S::f32s; MOST];
    /// 3 taps to `A` factors.
    fn filter<S: Simd>(simd: S, g: [S::f32s; MOST]) -> [S::f32s; MOST];
    /// `M` gradients of outputs to `A` gradients of products.
    fn gradient<S: Simd>(simd: S, y: [S::f32s; MOST]) -> [S::f32s; MOST];
    /// `A` gradients of factors to 3 gradients of taps.
    fn filter_gradient<S: Simd>(simd: S, u: [S::f32s; MOST]) -> [S::f32s; MOST];
}

/// A transform in two dimensions, from `n × n` values to `m × m`: of the columns, then of the rows.
///
/// What is passed must be closures that are `#[inline(always)]`, or they are compiled for the narrowest processor.
#[inline(always)]
pub(crate) fn both_ways<S: Simd>(
    simd: S,
    [n, m]: [usize; 2],
    transform: impl Fn([S::f32s; MOST]) -> [S::f32s; MOST],
    value: impl Fn(usize, usize) -> S::f32s,
    mut put: impl FnMut(usize, usize, S::f32s),
) {
    let zero = simd.splat_f32s(0.0);
    let mut half = [[zero; MOST]; MOST];
    for j in 0..n {
        let mut column = [zero; MOST];
        for (i, to) in column.iter_mut().enumerate().take(n) {
            *to = value(i, j);
        }
        for (row, value) in half.iter_mut().zip(transform(column)).take(m) {
            row[j] = value;
        }
    }
    for (i, &row) in half.iter().enumerate().take(m) {
        for (j, value) in transform(row).into_iter().enumerate().take(m) {
            put(i, j, value);
        }
    }
}

/// `a · b + c`.
#[inline(always)]
fn fma<S: Simd>(simd: S, a: f32, b: S::f32s, c: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(a), b, c)
}

#[inline(always)]
fn scale<S: Simd>(simd: S, a: f32, b: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(a), b)
}

/// F(4, 3) at the points 0, ±5/8, ±3/2 and infinity.
///
/// The usual points 0, ±1, ±2 have larger powers: their rounding error is twice as large. Powers and products of these
/// are exact in `f32`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F4;

/// The points ±a.
const A: f32 = 0.625;
/// The points ±b.
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// What the values of a filter at ±a are divided by, inverted; then the same at ±b.
const CA: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
const CB: f32 = 1.0 / (2.0 * B2 * (B2 - A2));
const C0: f32 = 1.0 / (A2 * B2);

impl Tile for F4 {
    const M: usize = 4;
    const A: usize = 6;

    #[inline(always)]
    fn input<S: Simd>(simd: S, [d0, d1, d2, d3, d4, d5]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let even_a = fma(simd, -B2, d2, d4);
        let odd_a = scale(simd, A, fma(simd, -B2, d1, d3));
        let even_b = fma(simd, -A2, d2, d4);
        let odd_b = scale(simd, B, fma(simd, -A2, d1, d3));
        [
            fma(simd, A2 * B2, d0, fma(simd, -(A2 + B2), d2, d4)),
            simd.add_f32s(even_a, odd_a),
            simd.sub_f32s(even_a, odd_a),
            simd.add_f32s(even_b, odd_b),
            simd.sub_f32s(even_b, odd_b),
            fma(simd, A2 * B2, d1, fma(simd, -(A2 + B2), d3, d5)),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [m0, m1, m2, m3, m4, m5]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let (even_a, odd_a) = (simd.add_f32s(m1, m2), simd.sub_f32s(m1, m2));
        let (even_b, odd_b) = (simd.add_f32s(m3, m4), simd.sub_f32s(m3, m4));
        let zero = simd.splat_f32s(0.0);
        [
            simd.add_f32s(m0, simd.add_f32s(even_a, even_b)),
            fma(simd, A, odd_a, scale(simd, B, odd_b)),
            fma(simd, A2, even_a, scale(simd, B2, even_b)),
            fma(simd, A2 * A, odd_a, fma(simd, B2 * B, odd_b, m5)),
            zero,
            zero,
        ]
    }

    #[inline(always)]
    fn filter<S: Simd>(simd: S, [g0, g1, g2, ..]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let (even_a, odd_a) = (fma(simd, A2, g2, g0), scale(simd, A, g1));
        let (even_b, odd_b) = (fma(simd, B2, g2, g0), scale(simd, B, g1));
        [
            scale(simd, C0, g0),
            scale(simd, CA, simd.add_f32s(even_a, odd_a)),
            scale(simd, CA, simd.sub_f32s(even_a, odd_a)),
            scale(simd, CB, simd.add_f32s(even_b, odd_b)),
            scale(simd, CB, simd.sub_f32s(even_b, odd_b)),
            g2,
        ]
    }

    #[inline(always)]
    fn gradient<S: Simd>(simd: S, [y0, y1, y2, y3, ..]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let (even_a, odd_a) = (fma(simd, A2, y2, y0), fma(simd, A2 * A, y3, scale(simd, A, y1)));
        let (even_b, odd_b) = (fma(simd, B2, y2, y0), fma(simd, B2 * B, y3, scale(simd, B, y1)));
        [
            y0,
            simd.add_f32s(even_a, odd_a),
            simd.sub_f32s(even_a, odd_a),
            simd.add_f32s(even_b, odd_b),
            simd.sub_f32s(even_b, odd_b),
            y3,
        ]
    }

    #[inline(always)]
    fn filter_gradient<S: Simd>(simd: S, [u0, u1, u2, u3, u4, u5]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let even_a = scale(simd, CA, simd.add_f32s(u1, u2));
        let odd_a = scale(simd, CA * A, simd.sub_f32s(u1, u2));
        let even_b = scale(simd, CB, simd.add_f32s(u3, u4));
        let odd_b = scale(simd, CB * B, simd.sub_f32s(u3, u4));
        let zero = simd.splat_f32s(0.0);
        [
            fma(simd, C0, u0, simd.add_f32s(even_a, even_b)),
            simd.add_f32s(odd_a, odd_b),
            fma(simd, A2, even_a, fma(simd, B2, even_b, u5)),
            zero,
            zero,
            zero,
        ]
    }
}

/// F(2, 3) at the points 0, ±1 and infinity: more products for an output, fewer weights to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F2;

impl Tile for F2 {
    const M: usize = 2;
    const A: usize = 4;

    #[inline(always)]
    fn input<S: Simd>(simd: S, [d0, d1, d2, d3, ..]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let zero = simd.splat_f32s(0.0);
        [simd.sub_f32s(d0, d2), simd.add_f32s(d1, d2), simd.sub_f32s(d2, d1), simd.sub_f32s(d3, d1), zero, zero]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [m0, m1, m2, m3, ..]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let zero = simd.splat_f32s(0.0);
        [simd.add_f32s(m0, simd.add_f32s(m1, m2)), simd.add_f32s(simd.sub_f32s(m1, m2), m3), zero, zero, zero, zero]
    }

    #[inline(always)]
    fn filter<S: Simd>(simd: S, [g0, g1, g2, ..]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let zero = simd.splat_f32s(0.0);
        let ends = simd.add_f32s(g0, g2);
        [g0, scale(simd, 0.5, simd.add_f32s(ends, g1)), scale(simd, 0.5, simd.sub_f32s(ends, g1)), g2, zero, zero]
    }

    #[inline(always)]
    fn gradient<S: Simd>(simd: S, [y0, y1, ..]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let zero = simd.splat_f32s(0.0);
        [y0, simd.add_f32s(y0, y1), simd.sub_f32s(y0, y1), y1, zero, zero]
    }

    #[inline(always)]
    fn filter_gradient<S: Simd>(simd: S, [u0, u1, u2, u3, ..]: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let (sum, difference) = (simd.add_f32s(u1, u2), simd.sub_f32s(u1, u2));
        let zero = simd.splat_f32s(0.0);
        [fma(simd, 0.5, sum, u0), scale(simd, 0.5, difference), fma(simd, 0.5, sum, u3), zero, zero, zero]
    }
}
