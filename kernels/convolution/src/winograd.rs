//! Convolution by Winograd's minimal filtering.
//!
//! 1. Each tile of the input is transformed: `A × A` factors of each channel.
//! 2. For each of the `A · A` factors, tiles × inputs is multiplied with inputs × outputs.
//! 3. Each tile is transformed back to `M × M` outputs, which get their [`Epilogue`].
//!
//! Few channels make little of step 2, so a thread takes a row of tiles through all three steps, in parts that stay in its
//! second cache. Many channels have filters larger than that cache; so that they are read from memory once, each step is done
//! for a large part of the batch, by all threads, before the next. With few tiles, reading them is what takes long: then the nine
//! taps are read instead of the `A · A` factors, and transformed in the cache, for a few inputs at a time.

use std::{marker::PhantomData, ops::Range};

use bytemuck::cast_slice;
use rayon::prelude::*;
use simd::{
    Level, Simd, WithSimd,
    lane::{LANE, Lane, get, lanes, load, put, store, vectors},
};

use crate::{
    buffer_pool::Scratch,
    epilogue::{self, Epilogue},
    filter::{Packed, SMALL},
    gemm::{self, BLOCK, multiply},
    images::Images,
    tile::{MOST, Tile, both_ways},
};

/// Lanes of transformed tiles, in and out, that a thread works on at once: 512 KiB.
const NEAR: usize = (512 << 10) / size_of::<Lane>();
/// The same that all threads work on at once: 64 MiB.
pub(crate) const FAR: usize = (64 << 20) / size_of::<Lane>();
/// Tiles of a group: those that are transformed together.
pub(crate) const GROUP: usize = 32;
/// Lanes of inputs whose taps are transformed at once.
const CHUNK: usize = 2;

/// The tiles of a batch, in reading order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    /// Tiles of a column of an image.
    pub(crate) rows: usize,
    /// Tiles of a row.
    pub(crate) columns: usize,
}

impl Grid {
    pub(crate) fn new<T: Tile>(images: &Images<'_>) -> Self {
        Self { rows: images.h.div_ceil(T::M), columns: images.w.div_ceil(T::M) }
    }
}

/// Step 1 for a group of tiles.
pub(crate) struct TransformInput<'a, T> {
    pub(crate) x: Images<'a>,
    pub(crate) grid: Grid,
    /// Of the whole batch.
    pub(crate) tiles: Range<usize>,
    /// Lanes of a chunk; fewer in the last.
    pub(crate) chunk: usize,
    /// `[chunks][A · A][tiles][lanes of the chunk]`.
    pub(crate) to: &'a mut [Lane],
    pub(crate) tile: PhantomData<T>,
}

impl<T: Tile> WithSimd for TransformInput<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, grid, tiles, chunk, to, .. } = self;
        let (n_tiles, c) = (tiles.len(), x.c);
        // A tile at the border, with the zeros around the image.
        let mut padded = vec![0.0; T::A * T::A * c];
        for (slot, tile) in tiles.enumerate() {
            let (image, row, column) = position(grid, tile);
            // One to the left and above.
            let (top, left) = ((row * T::M) as isize - 1, (column * T::M) as isize - 1);
            let inside = top >= 0 && left >= 0 && top as usize + T::A <= x.h && left as usize + T::A <= x.w;
            if !inside {
                let from = left.max(0) as usize;
                let until = ((left + T::A as isize) as usize).min(x.w);
                let before = (from as isize - left) as usize * c;
                for (row, y) in padded.chunks_exact_mut(T::A * c).zip(top..) {
                    if (0..x.h as isize).contains(&y) {
                        let source = x.positions(image, y as usize, from, until - from);
                        let after = before + source.len();
                        row[..before].fill(0.0);
                        row[before..after].copy_from_slice(source);
                        row[after..].fill(0.0);
                    } else {
                        row.fill(0.0);
                    }
                }
            }
            let rows: [&[f32]; MOST] = std::array::from_fn(|i| {
                if i >= T::A {
                    &[]
                } else if inside {
                    x.positions(image, top as usize + i, left as usize, T::A)
                } else {
                    &padded[i * T::A * c..][..T::A * c]
                }
            });
            for lane in 0..lanes(c) {
                let first = lane * LANE;
                let before = lane / chunk * chunk;
                let width = chunk.min(lanes(c) - before);
                let start = (before * T::A * T::A * n_tiles) + slot * width + (lane - before);
                let at = move |i: usize, j: usize| start + (i * T::A + j) * n_tiles * width;
                for v in 0..vectors::<S>() {
                    let to = &mut *to;
                    both_ways(
                        simd,
                        [T::A, T::A],
                        #[inline(always)]
                        |values| T::input(simd, values),
                        #[inline(always)]
                        move |i, j| {
                            let channels = &rows[i][j * c + first..(j + 1) * c];
                            match channels.first_chunk() {
                                Some(whole) => get::<S>(whole, v),
                                None => get::<S>(&load(channels).0, v),
                            }
                        },
                        #[inline(always)]
                        move |i, j, value| put::<S>(&mut to[at(i, j)].0, v, value),
                    );
                }
            }
        }
    }
}

/// Image, row and column of a tile of the batch.
fn position(grid: Grid, tile: usize) -> (usize, usize, usize) {
    let row = tile / grid.columns;
    (row / grid.rows, row % grid.rows, tile % grid.columns)
}

/// Step 2 for a factor and a block of outputs.
struct Multiply<'a> {
    /// `[groups][A · A][tiles of the group][lanes]`, of which all but the last group have [`GROUP`] tiles.
    factors: &'a [Lane],
    group: usize,
    input_lanes: usize,
    n_factors: usize,
    factor: usize,
    block: usize,
    filter: &'a Packed,
    /// `[tiles][lanes of the block]`.
    to: &'a mut [Lane],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { factors, group, input_lanes, n_factors, factor, block, filter, to } = self;
        let (width, right) = (filter.width(block), filter.block(block, factor, 1));
        for (of_group, to) in factors.chunks(group * n_factors * input_lanes).zip(to.chunks_mut(group * width)) {
            let n_tiles = to.len() / width;
            let rows = gemm::Rows {
                data: cast_slice(&of_group[factor * n_tiles * input_lanes..][..n_tiles * input_lanes]),
                row_stride: input_lanes * LANE,
                segments: 1,
                segment_stride: 0,
                len: filter.inputs,
            };
            multiply(simd, rows, width, right, to, false);
        }
    }
}

/// Step 2 for a block of outputs, whose filters are stored as taps.
struct TransformAndMultiply<'a, 'b, T> {
    /// `[groups][chunks][A · A][tiles of the group][lanes of the chunk]`; all but the last group have [`GROUP`] tiles, all but the
    /// last chunk [`CHUNK`] lanes.
    factors: &'a [Lane],
    input_lanes: usize,
    block: usize,
    filter: &'a Packed,
    /// For each factor `[tiles][lanes of the block]`.
    to: &'a mut [&'b mut [Lane]],
    tile: PhantomData<T>,
}

impl<T: Tile> WithSimd for TransformAndMultiply<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { factors, input_lanes, block, filter, to, .. } = self;
        let n_factors = T::A * T::A;
        let width = filter.width(block);
        // A lane more than a factor has: at a power of two, all would share a few sets of the first cache.
        let stride = CHUNK * LANE * width + 1;
        let mut transformed = Scratch::new(n_factors * stride);
        for before in (0..input_lanes).step_by(CHUNK) {
            let chunk = CHUNK.min(input_lanes - before);
            let inputs = before * LANE..filter.inputs.min((before + chunk) * LANE);
            filter.transform::<S, T>(simd, block, inputs.clone(), stride, &mut transformed);
            for (factor, to) in to.iter_mut().enumerate() {
                let right = &transformed[factor * stride..][..inputs.len() * width];
                let groups = factors.chunks(GROUP * n_factors * input_lanes).zip(to.chunks_mut(GROUP * width));
                for (of_group, to) in groups {
                    let n_tiles = to.len() / width;
                    let start = n_tiles * (n_factors * before + factor * chunk);
                    let rows = gemm::Rows {
                        data: cast_slice(&of_group[start..][..n_tiles * chunk]),
                        row_stride: chunk * LANE,
                        segments: 1,
                        segment_stride: 0,
                        len: inputs.len(),
                    };
                    multiply(simd, rows, width, right, to, before > 0);
                }
            }
        }
    }
}

/// Step 3 for a part of a row of tiles.
struct TransformOutput<'a, 'b, T> {
    /// `[A · A][blocks][tiles][lanes of the block]`.
    products: &'a [Lane],
    /// Tiles of `products`.
    n_tiles: usize,
    /// Those of them that are written, and the column of the first.
    some: Range<usize>,
    column: usize,
    bias: &'a [f32],
    epilogue: Epilogue,
    /// Rows of the image before the epilogue; fewer in the last row of tiles.
    height: usize,
    /// Columns of the image before the epilogue.
    width: usize,
    rows: &'a mut epilogue::Rows<'b>,
    tile: PhantomData<T>,
}

impl<T: Tile> WithSimd for TransformOutput<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { products, n_tiles, some, column, bias, epilogue, height, width, rows, .. } = self;
        let channels = rows.channels;
        let all_lanes = lanes(channels);
        for lane in 0..all_lanes {
            let (block, p) = (lane / BLOCK, lane % BLOCK);
            let block_width = BLOCK.min(all_lanes - block * BLOCK);
            let first = lane * LANE;
            let bias = if bias.is_empty() { Lane::default() } else { load(&bias[first..]) };
            for (nth, tile) in some.clone().enumerate() {
                let left = (column + nth) * T::M;
                let at = move |factor: usize| {
                    factor * n_tiles * all_lanes + block * BLOCK * n_tiles + tile * block_width + p
                };
                let mut out = [Lane::default(); 16];
                for v in 0..vectors::<S>() {
                    let bias = get::<S>(&bias.0, v);
                    both_ways(
                        simd,
                        [T::A, T::M],
                        #[inline(always)]
                        |values| T::output(simd, values),
                        #[inline(always)]
                        move |i, j| get::<S>(&products[at(i * T::A + j)].0, v),
                        #[inline(always)]
                        |i, j, value| put::<S>(&mut out[i * T::M + j].0, v, epilogue.value(simd, value, bias)),
                    );
                }
                if epilogue.pool {
                    for i in 0..(T::M / 2).min(rows.rows()) {
                        for j in 0..(T::M / 2).min((width / 2).saturating_sub(left / 2)) {
                            let corner = 2 * i * T::M + 2 * j;
                            let four = [corner, corner + 1, corner + T::M, corner + T::M + 1].map(|at| &out[at]);
                            rows.pool(i, left / 2 + j, first, four);
                        }
                    }
                } else {
                    for i in 0..T::M.min(height) {
                        for j in 0..T::M.min(width - left) {
                            store(&out[i * T::M + j], rows.at(i, left + j, first));
                        }
                    }
                }
            }
        }
    }
}

/// The outputs of a row of tiles.
struct TileRow<'a> {
    /// Of the whole batch.
    number: usize,
    rows: epilogue::Rows<'a>,
}

/// The convolution of `x` with `filter`.
///
/// # Shapes
/// - `bias`: `[outputs]`, or empty
/// - `values`: `[n][size(h)][size(w)][outputs]` with the `size` of `epilogue`
/// - `argmax`: the same, or empty
pub(crate) fn forward<T: Tile>(
    x: Images<'_>,
    filter: &Packed,
    bias: &[f32],
    epilogue: Epilogue,
    values: &mut [f32],
    argmax: &mut [u8],
) {
    let level = Level::current();
    let grid = Grid::new::<T>(&x);
    let n_factors = T::A * T::A;
    let (input_lanes, output_lanes) = (lanes(x.c), filter.output_lanes());
    let tile_lanes = n_factors * (input_lanes + output_lanes);
    let mut tile_rows: Vec<_> = epilogue::split(&x, T::M, filter.outputs, epilogue, values, argmax)
        .into_iter()
        .enumerate()
        .map(|(number, rows)| TileRow { number, rows })
        .collect();

    let output = |rows: &mut TileRow<'_>, products: &[Lane], n_tiles: usize, some: Range<usize>, column: usize| {
        level.dispatch(TransformOutput::<T> {
            products,
            n_tiles,
            some,
            column,
            bias,
            epilogue,
            height: x.h - (rows.number % grid.rows) * T::M,
            width: x.w,
            rows: &mut rows.rows,
            tile: PhantomData,
        });
    };

    if x.c * filter.outputs <= SMALL {
        // Parts of a row of tiles, of nearly one size.
        let parts = (grid.columns * tile_lanes).div_ceil(NEAR).clamp(1, grid.columns);
        let part = grid.columns.div_ceil(parts);
        tile_rows.par_iter_mut().for_each(|rows| {
            let mut factors = Scratch::new(n_factors * part * input_lanes);
            let mut products = Scratch::new(n_factors * part * output_lanes);
            for column in (0..grid.columns).step_by(part) {
                let n_tiles = part.min(grid.columns - column);
                let first = rows.number * grid.columns + column;
                let factors = &mut factors[..n_factors * n_tiles * input_lanes];
                let products = &mut products[..n_factors * n_tiles * output_lanes];
                let (tiles, to) = (first..first + n_tiles, &mut *factors);
                level.dispatch(TransformInput::<T> { x, grid, tiles, chunk: input_lanes, to, tile: PhantomData });
                for (factor, to) in products.chunks_exact_mut(n_tiles * output_lanes).enumerate() {
                    for (block, to) in to.chunks_mut(n_tiles * BLOCK).enumerate() {
                        level.dispatch(Multiply {
                            factors,
                            group: n_tiles,
                            input_lanes,
                            n_factors,
                            factor,
                            block,
                            filter,
                            to,
                        });
                    }
                }
                output(rows, products, n_tiles, 0..n_tiles, column);
            }
        });
        return;
    }

    let chunk = if filter.taps() { CHUNK } else { input_lanes };
    let at_once = (FAR / (grid.columns * tile_lanes)).max(1);
    for rows in tile_rows.chunks_mut(at_once) {
        let first = rows[0].number * grid.columns;
        let n_tiles = rows.len() * grid.columns;
        let mut factors = Scratch::new(n_factors * n_tiles * input_lanes);
        let mut products = Scratch::new(n_factors * n_tiles * output_lanes);
        transform_groups(n_tiles, n_factors * input_lanes, &mut factors, |tiles, to| {
            let tiles = first + tiles.start..first + tiles.end;
            level.dispatch(TransformInput::<T> { x, grid, tiles, chunk, to, tile: PhantomData });
        });
        let factors = &*factors;
        if filter.taps() {
            let mut blocks: Vec<Vec<&mut [Lane]>> = (0..output_lanes.div_ceil(BLOCK)).map(|_| Vec::new()).collect();
            for of_factor in products.chunks_exact_mut(n_tiles * output_lanes) {
                blocks.iter_mut().zip(of_factor.chunks_mut(n_tiles * BLOCK)).for_each(|(block, to)| block.push(to));
            }
            blocks.par_iter_mut().enumerate().for_each(|(block, to)| {
                let tile = PhantomData::<T>;
                level.dispatch(TransformAndMultiply { factors, input_lanes, block, filter, to, tile });
            });
        } else {
            products.par_chunks_exact_mut(n_tiles * output_lanes).enumerate().for_each(|(factor, to)| {
                to.par_chunks_mut(n_tiles * BLOCK).enumerate().for_each(|(block, to)| {
                    let group = GROUP;
                    level.dispatch(Multiply { factors, group, input_lanes, n_factors, factor, block, filter, to });
                });
            });
        }
        rows.par_iter_mut().enumerate().for_each(|(row, rows)| {
            let some = row * grid.columns..(row + 1) * grid.columns;
            output(rows, &products, n_tiles, some, 0);
        });
    }
}

/// Calls `transform` for each group of tiles with its part of `to`, which holds `per_tile` lanes a tile.
pub(crate) fn transform_groups(
    n_tiles: usize,
    per_tile: usize,
    to: &mut [Lane],
    transform: impl Fn(Range<usize>, &mut [Lane]) + Sync,
) {
    to.par_chunks_mut(GROUP * per_tile).enumerate().for_each(|(group, to)| {
        transform(group * GROUP..n_tiles.min((group + 1) * GROUP), to);
    });
}
