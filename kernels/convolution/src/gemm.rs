//! GEMM: the matrix products, which are nearly all of the work.
//!
//! Of `acc += a · b`, a row of `b` is a few lanes of channels in vector registers, `a` is a scalar that is multiplied with all of
//! them, and as many rows of `a` as there are registers for are worked on at once. Sums run over the inner dimension from first to
//! last, one fused multiply-add after the other; so a result depends neither on how rows are grouped nor on the width of a
//! vector.

use std::array;

use simd::{
    Simd,
    lane::{LANE, Lane, get, put, vectors},
};

/// Lanes of output channels that are computed together: one block.
pub(crate) const BLOCK: usize = 4;

/// The left side of a product: rows of `segments` × `len` numbers.
///
/// Segment `s` of row `r` begins at `s · segment_stride + r · row_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) segments: usize,
    pub(crate) segment_stride: usize,
    pub(crate) len: usize,
}

/// `out[row] = Σ_i rows[row][i] · block[i]`, or, where `adds` says so, `out[row] + Σ_i …`, as if the sum had gone on.
///
/// # Shapes
/// - `rows`: `n` rows of `segments · len`
/// - `block`: `[segments · len][width]`, `width` of 1 to [`BLOCK`] lanes
/// - `out`: `[n][width]`
#[inline(always)]
pub(crate) fn multiply<S: Simd>(simd: S, rows: Rows<'_>, width: usize, block: &[Lane], out: &mut [Lane], adds: bool) {
    match width {
        4 => multiply_width::<S, 4>(simd, rows, block, out, adds),
        3 => multiply_width::<S, 3>(simd, rows, block, out, adds),
        2 => multiply_width::<S, 2>(simd, rows, block, out, adds),
        _ => multiply_width::<S, 1>(simd, rows, block, out, adds),
    }
}

#[inline(always)]
fn multiply_width<S: Simd, const W: usize>(simd: S, rows: Rows<'_>, block: &[Lane], out: &mut [Lane], adds: bool) {
    let (block, out) = (block.as_chunks::<W>().0, out.as_chunks_mut::<W>().0);
    // How many lanes, and rows, the registers of a level hold the sums of.
    match const { vectors::<S>() } {
        // 32 registers of 16: 6 · W sums.
        1 => grouped::<S, W, W, 1, 6>(simd, rows, block, out, adds),
        // 16 registers of 8: 6 · 2.
        2 => grouped::<S, W, 1, 2, 6>(simd, rows, block, out, adds),
        // 32 registers of 4: 6 · 4.
        4 => grouped::<S, W, 1, 4, 6>(simd, rows, block, out, adds),
        // The compiler makes what it can of single numbers.
        _ => grouped::<S, W, 1, 16, 2>(simd, rows, block, out, adds),
    }
}

/// All rows, `R` at a time, and the lanes of a block, `P` at a time.
#[inline(always)]
fn grouped<S: Simd, const W: usize, const P: usize, const V: usize, const R: usize>(
    simd: S,
    rows: Rows<'_>,
    block: &[[Lane; W]],
    out: &mut [[Lane; W]],
    adds: bool,
) {
    for first in (0..W).step_by(P) {
        let mut row = 0;
        while row < out.len() {
            let some = &mut out[row..];
            match some.len().min(R) {
                6 => some_rows::<S, W, P, V, 6>(simd, rows, row, block, first, some, adds),
                5 => some_rows::<S, W, P, V, 5>(simd, rows, row, block, first, some, adds),
                4 => some_rows::<S, W, P, V, 4>(simd, rows, row, block, first, some, adds),
                3 => some_rows::<S, W, P, V, 3>(simd, rows, row, block, first, some, adds),
                2 => some_rows::<S, W, P, V, 2>(simd, rows, row, block, first, some, adds),
                _ => some_rows::<S, W, P, V, 1>(simd, rows, row, block, first, some, adds),
            }
            row += R;
        }
    }
}

/// `R` rows from `row` on, the `P` lanes from `first` on.
#[inline(always)]
fn some_rows<S: Simd, const W: usize, const P: usize, const V: usize, const R: usize>(
    simd: S,
    rows: Rows<'_>,
    row: usize,
    block: &[[Lane; W]],
    first: usize,
    out: &mut [[Lane; W]],
    adds: bool,
) {
    assert!(first + P <= W);
    let mut sums = [[[simd.splat_f32s(0.0); V]; P]; R];
    if adds {
        for (sums, out) in sums.iter_mut().zip(&*out) {
            for (p, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = get::<S>(&out[first + p].0, v);
                }
            }
        }
    }
    for (segment, block) in block.chunks_exact(rows.len).enumerate().take(rows.segments) {
        let start = |r: usize| segment * rows.segment_stride + (row + r) * rows.row_stride;
        let left: [&[f32]; R] = array::from_fn(|r| &rows.data[start(r)..][..block.len()]);
        for (i, lanes) in block.iter().enumerate() {
            let right: [[S::f32s; V]; P] = array::from_fn(|p| array::from_fn(|v| get::<S>(&lanes[first + p].0, v)));
            for r in 0..R {
                let factor = simd.splat_f32s(left[r][i]);
                for p in 0..P {
                    for v in 0..V {
                        sums[r][p][v] = simd.mul_add_e_f32s(factor, right[p][v], sums[r][p][v]);
                    }
                }
            }
        }
    }
    for (sums, out) in sums.iter().zip(out) {
        for (p, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                put::<S>(&mut out[first + p].0, v, sum);
            }
        }
    }
}

/// Lanes in rows of `row`, of which those from `first` on are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub(crate) lanes: &'a [Lane],
    pub(crate) row: usize,
    pub(crate) first: usize,
}

/// `acc[k] += Σ_t left[t][k] · right[t]` for the sixteen `k` of a lane.
///
/// # Shapes
/// - `left`: of each row one lane
/// - `right`: of each row `width` lanes, 1 to [`BLOCK`]
/// - `acc`: `[16][width]`
#[inline(always)]
pub(crate) fn accumulate<S: Simd>(simd: S, left: Matrix<'_>, right: Matrix<'_>, width: usize, acc: &mut [Lane]) {
    match width {
        4 => accumulate_width::<S, 4>(simd, left, right, acc),
        3 => accumulate_width::<S, 3>(simd, left, right, acc),
        2 => accumulate_width::<S, 2>(simd, left, right, acc),
        _ => accumulate_width::<S, 1>(simd, left, right, acc),
    }
}

#[inline(always)]
fn accumulate_width<S: Simd, const W: usize>(simd: S, left: Matrix<'_>, right: Matrix<'_>, acc: &mut [Lane]) {
    match const { vectors::<S>() } {
        1 => accumulate_lanes::<S, W, W, 1, 4>(simd, left, right, acc),
        2 => accumulate_lanes::<S, W, 1, 2, 4>(simd, left, right, acc),
        4 => accumulate_lanes::<S, W, 1, 4, 4>(simd, left, right, acc),
        _ => accumulate_lanes::<S, W, 1, 16, 1>(simd, left, right, acc),
    }
}

/// The same for the lanes of `right`, `P` at a time, and the channels of `left`, `R` at a time.
#[inline(always)]
fn accumulate_lanes<S: Simd, const W: usize, const P: usize, const V: usize, const R: usize>(
    simd: S,
    left: Matrix<'_>,
    right: Matrix<'_>,
    acc: &mut [Lane],
) {
    let acc = acc.as_chunks_mut::<W>().0;
    for (acc, k) in acc.chunks_exact_mut(R).zip((0..LANE).step_by(R)) {
        for first in (0..W).step_by(P) {
            assert!(first + P <= W);
            let mut sums: [[[S::f32s; V]; P]; R] =
                array::from_fn(|r| array::from_fn(|p| array::from_fn(|v| get::<S>(&acc[r][first + p].0, v))));
            for (left_row, right_row) in left.lanes.chunks_exact(left.row).zip(right.lanes.chunks_exact(right.row)) {
                let factors = &left_row[left.first].0[k..k + R];
                let lanes = &right_row[right.first + first..][..P];
                let lanes: [[S::f32s; V]; P] = array::from_fn(|p| array::from_fn(|v| get::<S>(&lanes[p].0, v)));
                for r in 0..R {
                    let factor = simd.splat_f32s(factors[r]);
                    for p in 0..P {
                        for v in 0..V {
                            sums[r][p][v] = simd.mul_add_e_f32s(factor, lanes[p][v], sums[r][p][v]);
                        }
                    }
                }
            }
            for (acc, sums) in acc.iter_mut().zip(&sums) {
                for (p, sums) in sums.iter().enumerate() {
                    for (v, &sum) in sums.iter().enumerate() {
                        put::<S>(&mut acc[first + p].0, v, sum);
                    }
                }
            }
        }
    }
}
