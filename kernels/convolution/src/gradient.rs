//! The gradients of a convolution with its [`Epilogue`].
//!
//! 1. The gradient of the outputs goes back through pooling and ReLU ([`through_epilogue`]).
//! 2. The gradient of the inputs is the convolution of that with the filters [reversed](crate::Filters::reversed).
//! 3. The gradient of the filters ([`filter_gradient`](crate::filter_gradient)) runs Winograd's filtering backwards: for each factor, the transformed inputs of
//!    all tiles are multiplied with the transformed gradients, and the sum is transformed to nine taps.

use std::{marker::PhantomData, ops::Range};

use rayon::prelude::*;
use simd::{
    Level, Simd, WithSimd,
    lane::{LANE, Lane, get, lanes, load, put, vectors},
};

use crate::{
    buffer_pool::Scratch,
    buffer_pool::Values,
    epilogue::{Epilogue, NO_ARGMAX},
    filter::{SMALL, TAPS},
    gemm::{BLOCK, Matrix, accumulate},
    images::Images,
    tile::{Tile, both_ways},
    winograd::{FAR, GROUP, Grid, TransformInput, transform_groups},
};

/// Transformed tiles of few channels that are worked on at once: 8 MiB, which stay in the last cache.
const NEARBY: usize = (8 << 20) / size_of::<Lane>();
/// Rows of outputs that one task takes back through an epilogue.
const STRIP: usize = 2;

/// What the gradient of an epilogue needs of the forward pass.
#[derive(Clone, Copy, Debug)]
pub enum Saved<'a> {
    /// There was no epilogue.
    Identity,
    /// The output of ReLU, `[n][h][w][outputs]`.
    Relu(&'a [f32]),
    /// The position that each pooled output is of, as [`convolve`](crate::convolve) says.
    MaxPool(&'a [u8]),
}

/// The gradient of the outputs before their epilogue, and that of the bias.
///
/// # Shapes
/// - `gradient`: `[n][size(h)][size(w)][channels]`
/// - results: `[n][h][w][channels]`, `[channels]`
///
/// # Panics
/// When `gradient`, or what `saved` holds, is not of that shape.
#[must_use]
pub fn through_epilogue(gradient: &[f32], [n, h, w, channels]: [usize; 4], saved: Saved<'_>) -> (Values, Vec<f32>) {
    let epilogue = Epilogue { relu: false, pool: matches!(saved, Saved::MaxPool(_)) };
    let (height, columns) = (epilogue.size(h), epilogue.size(w));
    assert_eq!(gradient.len(), n * height * columns * channels, "the gradient is not of the shape of the outputs");
    let mut before = Values::from_pool(n * h * w * channels);
    let strips = h.div_ceil(STRIP);
    let mut sums = vec![0.0; n * strips * channels];
    if before.is_empty() {
        return (before, vec![0.0; channels]);
    }
    let rows: Vec<_> = before
        .chunks_mut(h * w * channels)
        .flat_map(|image| image.chunks_mut(STRIP * w * channels))
        .zip(sums.chunks_mut(channels))
        .collect();
    rows.into_par_iter().enumerate().for_each(|(number, (to, sum))| {
        let (image, top) = (number / strips, number % strips * STRIP);
        match saved {
            Saved::Identity | Saved::Relu(_) => {
                let start = (image * h + top) * w * channels;
                let from = &gradient[start..][..to.len()];
                match saved {
                    Saved::Relu(outputs) => {
                        for ((to, &gradient), &output) in to.iter_mut().zip(from).zip(&outputs[start..][..from.len()]) {
                            *to = if output > 0.0 { gradient } else { 0.0 };
                        }
                    }
                    _ => to.copy_from_slice(from),
                }
                for position in to.chunks_exact(channels) {
                    sum.iter_mut().zip(position).for_each(|(sum, value)| *sum += value);
                }
            }
            Saved::MaxPool(argmax) => {
                to.fill(0.0);
                // An odd last row was left out.
                if top / 2 >= height {
                    return;
                }
                let start = (image * height + top / 2) * columns * channels;
                for column in 0..columns {
                    let at = start + column * channels;
                    let (gradient, argmax) = (&gradient[at..][..channels], &argmax[at..][..channels]);
                    for (channel, (&gradient, &index)) in gradient.iter().zip(argmax).enumerate() {
                        if index < NO_ARGMAX {
                            let (y, x) = (usize::from(index / 2), 2 * column + usize::from(index % 2));
                            to[(y * w + x) * channels + channel] = gradient;
                            sum[channel] += gradient;
                        }
                    }
                }
            }
        }
    });
    let mut bias = vec![0.0; channels];
    for strip in sums.chunks_exact(channels) {
        bias.iter_mut().zip(strip).for_each(|(bias, sum)| *bias += sum);
    }
    (before, bias)
}

/// Transforms the gradients of a group of tiles.
struct TransformGradient<'a, T> {
    gradient: Images<'a>,
    grid: Grid,
    tiles: Range<usize>,
    /// `[A · A][tiles][lanes]`.
    to: &'a mut [Lane],
    tile: PhantomData<T>,
}

impl<T: Tile> WithSimd for TransformGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gradient, grid, tiles, to, .. } = self;
        let (n_tiles, c) = (tiles.len(), gradient.c);
        for (slot, tile) in tiles.enumerate() {
            let (row, column) = (tile / grid.columns, tile % grid.columns);
            let (image, top, left) = (row / grid.rows, row % grid.rows * T::M, column * T::M);
            let (height, width) = (T::M.min(gradient.h - top), T::M.min(gradient.w - left));
            let rows: [&[f32]; 4] =
                std::array::from_fn(|i| if i < height { gradient.positions(image, top + i, left, width) } else { &[] });
            for lane in 0..lanes(c) {
                let first = lane * LANE;
                let mut values = [Lane::default(); 16];
                for (i, row) in rows.iter().enumerate().take(height) {
                    for j in 0..width {
                        values[i * T::M + j] = load(&row[j * c + first..(j + 1) * c]);
                    }
                }
                let values = &values;
                for v in 0..vectors::<S>() {
                    let to = &mut *to;
                    both_ways(
                        simd,
                        [T::M, T::A],
                        #[inline(always)]
                        |values| T::gradient(simd, values),
                        #[inline(always)]
                        move |i, j| get::<S>(&values[i * T::M + j].0, v),
                        #[inline(always)]
                        move |i, j, value| {
                            put::<S>(&mut to[((i * T::A + j) * n_tiles + slot) * lanes(c) + lane].0, v, value);
                        },
                    );
                }
            }
        }
    }
}

/// The part that some tiles have in the gradients of the filters of sixteen outputs.
struct OfTiles<'a, T> {
    /// `[groups][A · A][tiles of the group][lanes]`.
    gradients: &'a [Lane],
    gradient_lanes: usize,
    inputs: &'a [Lane],
    input_lanes: usize,
    /// Which lane of the outputs.
    column: usize,
    /// The sums of the tiles before these, `[blocks of inputs][A · A][16][lanes of the block]`, or space for a block of them.
    sums: &'a mut [Lane],
    /// Whether there are no tiles before these.
    begins: bool,
    /// For the last tiles: `[outputs][inputs][3][3]`, up to 16 outputs; else empty.
    to: &'a mut [f32],
    of_output: usize,
    tile: PhantomData<T>,
}

impl<T: Tile> WithSimd for OfTiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gradients, gradient_lanes, inputs, input_lanes, column, sums, begins, to, of_output, .. } = self;
        let n_factors = T::A * T::A;
        for first in (0..input_lanes).step_by(BLOCK) {
            let width = BLOCK.min(input_lanes - first);
            let of_factor = LANE * width;
            let outlives = sums.len() > n_factors * LANE * BLOCK.min(input_lanes);
            let start = if outlives { first * n_factors * LANE } else { 0 };
            let sums = &mut sums[start..][..n_factors * of_factor];
            for (factor, sums) in sums.chunks_exact_mut(of_factor).enumerate() {
                if begins {
                    sums.fill(Lane::default());
                }
                let groups = gradients
                    .chunks(GROUP * n_factors * gradient_lanes)
                    .zip(inputs.chunks(GROUP * n_factors * input_lanes));
                for (gradients, inputs) in groups {
                    let (left, right) = (gradients.len() / n_factors, inputs.len() / n_factors);
                    let left =
                        Matrix { lanes: &gradients[factor * left..][..left], row: gradient_lanes, first: column };
                    let right = Matrix { lanes: &inputs[factor * right..][..right], row: input_lanes, first };
                    accumulate(simd, left, right, width, sums);
                }
            }
            for (output, to) in to.chunks_exact_mut(of_output).enumerate() {
                for lane in 0..width {
                    let sum = &sums[output * width + lane..];
                    let taps = taps::<S, T>(simd, sum, of_factor);
                    let to = to[(first + lane) * LANE * TAPS..].chunks_exact_mut(TAPS).take(LANE);
                    for (input, to) in to.enumerate() {
                        for (to, tap) in to.iter_mut().zip(&taps) {
                            *to = tap.0[input];
                        }
                    }
                }
            }
        }
    }
}

/// The gradients of nine taps from those of `A · A` factors, which are `of_factor` lanes apart.
#[inline(always)]
fn taps<S: Simd, T: Tile>(simd: S, sums: &[Lane], of_factor: usize) -> [Lane; TAPS] {
    let mut taps = [Lane::default(); TAPS];
    for v in 0..vectors::<S>() {
        let to = &mut taps;
        both_ways(
            simd,
            [T::A, 3],
            #[inline(always)]
            |values| T::filter_gradient(simd, values),
            #[inline(always)]
            move |i, j| get::<S>(&sums[(i * T::A + j) * of_factor].0, v),
            #[inline(always)]
            move |i, j, value| put::<S>(&mut to[3 * i + j].0, v, value),
        );
    }
    taps
}

/// The gradient of the filters.
///
/// # Shapes
/// - `x`: `[n][h][w][inputs]`
/// - `gradient`: `[n][h][w][outputs]`, of the outputs before their epilogue
/// - result: `[outputs][inputs][3][3]`
pub(crate) fn of_filters<T: Tile>(x: Images<'_>, gradient: Images<'_>) -> Values {
    let level = Level::current();
    let grid = Grid::new::<T>(&x);
    let n_factors = T::A * T::A;
    let (input_lanes, gradient_lanes) = (lanes(x.c), lanes(gradient.c));
    let mut filters = Values::from_pool(gradient.c * x.c * TAPS);
    let all_tiles = x.n * grid.rows * grid.columns;
    if filters.is_empty() || all_tiles == 0 {
        filters.fill(0.0);
        return filters;
    }
    // Whole groups, so that the order of a sum does not depend on where it is cut.
    let per_tile = n_factors * (input_lanes + gradient_lanes);
    let lanes_at_once = if x.c * gradient.c <= SMALL { NEARBY } else { FAR };
    let at_once = ((lanes_at_once / per_tile / GROUP).max(1) * GROUP).min(all_tiles);
    let mut inputs = Scratch::new(at_once * n_factors * input_lanes);
    let mut gradients = Scratch::new(at_once * n_factors * gradient_lanes);
    // Sums that outlive some of the tiles; where all tiles are there at once, each task has its own.
    let of_column = n_factors * LANE * input_lanes;
    let mut all_sums = Scratch::new(if at_once < all_tiles { gradient_lanes * of_column } else { 0 });
    for start in (0..all_tiles).step_by(at_once) {
        let n_tiles = at_once.min(all_tiles - start);
        let (begins, ends) = (start == 0, start + n_tiles == all_tiles);
        let inputs = &mut inputs[..n_tiles * n_factors * input_lanes];
        let gradients = &mut gradients[..n_tiles * n_factors * gradient_lanes];
        let moved = |tiles: Range<usize>| start + tiles.start..start + tiles.end;
        transform_groups(n_tiles, n_factors * input_lanes, inputs, |tiles, to| {
            let (tiles, chunk) = (moved(tiles), input_lanes);
            level.dispatch(TransformInput::<T> { x, grid, tiles, chunk, to, tile: PhantomData });
        });
        transform_groups(n_tiles, n_factors * gradient_lanes, gradients, |tiles, to| {
            level.dispatch(TransformGradient::<T> { gradient, grid, tiles: moved(tiles), to, tile: PhantomData });
        });
        let (inputs, gradients) = (&*inputs, &*gradients);
        let of_output = x.c * TAPS;
        let task = |column: usize, sums: &mut [Lane], to: &mut [f32]| {
            level.dispatch(OfTiles::<T> {
                gradients,
                gradient_lanes,
                inputs,
                input_lanes,
                column,
                sums,
                begins,
                to: if ends { to } else { &mut [] },
                of_output,
                tile: PhantomData,
            });
        };
        let columns = filters.par_chunks_mut(LANE * of_output).enumerate();
        if at_once < all_tiles {
            let sums = all_sums.par_chunks_exact_mut(of_column);
            columns.zip(sums).for_each(|((column, to), sums)| task(column, sums, to));
        } else {
            columns.for_each(|(column, to)| {
                let mut sums = Scratch::new(n_factors * LANE * BLOCK.min(input_lanes));
                task(column, &mut sums, to);
            });
        }
    }
    filters
}
