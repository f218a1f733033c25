//! Convolution by its definition, for few channels: the three taps of a row of a filter lie side by side in an image with
//! channels last, so an output is a product of three ranges of the input with the filter.

use bytemuck::cast_slice_mut;
use rayon::prelude::*;
use simd::{
    Level, Simd, WithSimd,
    lane::{LANE, Lane, get, lanes, load, put, store, vectors},
};

use crate::{
    buffer_pool::Scratch,
    epilogue::{self, Epilogue},
    filter::{Packed, TAPS},
    gemm::{self, BLOCK, multiply},
    images::Images,
};

/// Output rows of a strip, which one thread pads; even, for pooling.
const STRIP: usize = 4;

/// The products of a strip for a block of outputs.
struct Multiply<'a> {
    /// `[rows + 2][columns + 2][inputs]`.
    padded: &'a [f32],
    columns: usize,
    block: usize,
    filter: &'a Packed,
    /// `[rows][columns][lanes of the block]`.
    to: &'a mut [Lane],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { padded, columns, block, filter, to } = self;
        let (width, right) = (filter.width(block), filter.block(block, 0, TAPS));
        let of_row = (columns + 2) * filter.inputs;
        for (y, to) in to.chunks_exact_mut(columns * width).enumerate() {
            let rows = gemm::Rows {
                data: &padded[y * of_row..(y + 3) * of_row],
                row_stride: filter.inputs,
                segments: 3,
                segment_stride: of_row,
                len: 3 * filter.inputs,
            };
            multiply(simd, rows, width, right, to, false);
        }
    }
}

/// The epilogue of a strip.
struct Finish<'a, 'b> {
    /// `[blocks][rows][columns][lanes of the block]`; changed in position.
    products: &'a mut [Lane],
    height: usize,
    columns: usize,
    bias: &'a [f32],
    epilogue: Epilogue,
    rows: epilogue::Rows<'b>,
}

impl WithSimd for Finish<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { products, height, columns, bias, epilogue, mut rows } = self;
        let all_lanes = lanes(rows.channels);
        let positions = height * columns;
        for lane in 0..all_lanes {
            let (block, p) = (lane / BLOCK, lane % BLOCK);
            let block_width = BLOCK.min(all_lanes - block * BLOCK);
            let first = lane * LANE;
            let bias = if bias.is_empty() { Lane::default() } else { load(&bias[first..]) };
            let at = |position: usize| block * BLOCK * positions + position * block_width + p;
            for position in 0..positions {
                let value = &mut products[at(position)].0;
                for v in 0..vectors::<S>() {
                    let done = epilogue.value(simd, get::<S>(value, v), get::<S>(&bias.0, v));
                    put::<S>(value, v, done);
                }
            }
            if epilogue.pool {
                for (i, j) in (0..height / 2).flat_map(|i| (0..columns / 2).map(move |j| (i, j))) {
                    let corner = 2 * i * columns + 2 * j;
                    let four = [corner, corner + 1, corner + columns, corner + columns + 1];
                    rows.pool(i, j, first, four.map(|position| &products[at(position)]));
                }
            } else {
                for position in 0..positions {
                    store(&products[at(position)], rows.at(position / columns, position % columns, first));
                }
            }
        }
    }
}

/// The convolution of `x` with `filter`; shapes as of [`winograd::forward`](crate::winograd::forward).
pub(crate) fn forward(
    x: Images<'_>,
    filter: &Packed,
    bias: &[f32],
    epilogue: Epilogue,
    values: &mut [f32],
    argmax: &mut [u8],
) {
    let level = Level::current();
    let strips = epilogue::split(&x, STRIP, filter.outputs, epilogue, values, argmax);
    let of_image = x.h.div_ceil(STRIP);
    strips.into_par_iter().enumerate().for_each(|(number, rows)| {
        let (image, top) = (number / of_image, number % of_image * STRIP);
        let height = STRIP.min(x.h - top);
        let of_row = (x.w + 2) * x.c;
        let mut padded = Scratch::new(((height + 2) * of_row).div_ceil(LANE));
        let padded: &mut [f32] = cast_slice_mut(&mut padded);
        for (i, to) in padded.chunks_exact_mut(of_row).enumerate().take(height + 2) {
            to.fill(0.0);
            if (1..=x.h).contains(&(top + i)) {
                to[x.c..of_row - x.c].copy_from_slice(x.positions(image, top + i - 1, 0, x.w));
            }
        }
        let padded = &padded[..(height + 2) * of_row];
        let positions = height * x.w;
        let mut products = Scratch::new(positions * filter.output_lanes());
        products.par_chunks_mut(positions * BLOCK).enumerate().for_each(|(block, to)| {
            level.dispatch(Multiply { padded, columns: x.w, block, filter, to });
        });
        level.dispatch(Finish { products: &mut products, height, columns: x.w, bias, epilogue, rows });
    });
}
