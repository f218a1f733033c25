//! [`Packed`]: filters, transformed for a [`Method`] and laid out in the order in which the products read them.

use std::marker::PhantomData;

use rayon::prelude::*;
use simd::{Level, Simd, WithSimd};

use crate::{
    lane::{LANE, Lane, Scratch, get, lanes, put, vectors},
    product::BLOCK,
    tile::{F2, F4, MOST, Tile, both_ways},
    winograd::SMALL,
};

/// Tiles of F(4×4) of an image that are too few for it.
const FEW_TILES: usize = 4;

/// Taps of a filter.
pub(crate) const TAPS: usize = 9;

/// Filters of 3 × 3, as PyTorch and Burn keep them: `[outputs][inputs][3][3]`.
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    /// The values.
    pub data: &'a [f32],
    /// Channels that come out.
    pub outputs: usize,
    /// Channels that go in.
    pub inputs: usize,
    /// Whether the filters are taken the other way: from outputs to inputs, turned by 180°, as a gradient goes.
    pub(crate) reversed: bool,
}

impl<'a> Filters<'a> {
    /// The filters in `data`.
    ///
    /// # Panics
    /// When `data` has another length than the shape says.
    #[must_use]
    pub fn new(data: &'a [f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(
            data.len(),
            outputs * inputs * TAPS,
            "the filters are not of the shape {outputs} × {inputs} × 3 × 3"
        );
        Self { data, outputs, inputs, reversed: false }
    }

    /// The filters that take gradients of the outputs to gradients of the inputs.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { outputs: self.inputs, inputs: self.outputs, reversed: !self.reversed, ..self }
    }

    /// The taps of sixteen outputs from `output` on and of [`SOME`] inputs from `input` on, `[input][tap][output]`; zeros
    /// beyond the last output.
    fn lanes(&self, output: usize, input: usize, to: &mut [Lane; SOME * TAPS]) {
        let (outputs, inputs) = (LANE.min(self.outputs - output), SOME.min(self.inputs - input));
        if outputs < LANE {
            to.fill(Lane::default());
        }
        for o in 0..outputs {
            if self.reversed {
                for (i, to) in to.chunks_exact_mut(TAPS).enumerate().take(inputs) {
                    let taps = &self.data[((input + i) * self.outputs + output + o) * TAPS..][..TAPS];
                    to.iter_mut().zip(taps.iter().rev()).for_each(|(lane, &tap)| lane.0[o] = tap);
                }
            } else {
                let taps = &self.data[((output + o) * self.inputs + input) * TAPS..][..inputs * TAPS];
                to.iter_mut().zip(taps).for_each(|(lane, &tap)| lane.0[o] = tap);
            }
        }
    }
}

/// Inputs whose filters are transformed together.
const SOME: usize = 8;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Winograd's F(4×4, 3×3): 36 products for 16 outputs, where the definition has 144.
    F4,
    /// Winograd's F(2×2, 3×3): 16 products for 4 outputs, where the definition has 36.
    F2,
    /// By definition, 9 products for an output.
    Direct,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F4, Self::F2, Self::Direct];

    /// The one that was measured to be fastest for images of `h × w` and filters of this size.
    #[must_use]
    pub fn choose([h, w]: [usize; 2], outputs: usize, inputs: usize) -> Self {
        // A transform of few channels costs more than it saves.
        if inputs < LANE / 2 {
            return Self::Direct;
        }
        // With few tiles, reading the filters is what takes long.
        let tiles = h.div_ceil(F4::M) * w.div_ceil(F4::M);
        if tiles <= FEW_TILES && inputs * outputs > SMALL { Self::F2 } else { Self::F4 }
    }

    /// Weights of a filter after its transform.
    pub(crate) fn factors(self) -> usize {
        match self {
            Self::F4 => F4::A * F4::A,
            Self::F2 => F2::A * F2::A,
            Self::Direct => TAPS,
        }
    }
}

/// Filters, ready for use by one [`Method`].
///
/// In blocks of 64 outputs: `[block][factor][input][lanes of the block]`, for [`Method::Direct`] `[block][tap][input][lanes]`.
#[derive(Debug)]
pub struct Packed {
    pub(crate) method: Method,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    lanes: Scratch,
}

impl Packed {
    /// Transforms filters.
    #[must_use]
    pub fn new(filters: Filters<'_>, method: Method) -> Self {
        let Filters { outputs, inputs, .. } = filters;
        let level = Level::current();
        let mut packed = Scratch::new(method.factors() * inputs * lanes(outputs));
        let of_block = method.factors() * inputs * BLOCK;
        if of_block > 0 {
            packed.par_chunks_mut(of_block).enumerate().for_each(|(block, to)| {
                let first = block * BLOCK * LANE;
                match method {
                    Method::F4 => level.dispatch(Transform::<F4> { filters, first, to, tile: PhantomData }),
                    Method::F2 => level.dispatch(Transform::<F2> { filters, first, to, tile: PhantomData }),
                    Method::Direct => gather(filters, first, to),
                }
            });
        }
        Self { method, outputs, inputs, lanes: packed }
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lanes)
    }

    /// Channels that come out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Lanes of all outputs.
    pub(crate) fn output_lanes(&self) -> usize {
        lanes(self.outputs)
    }

    /// `count` factors of a block of outputs, from `factor` on, and its width in lanes.
    pub(crate) fn block(&self, block: usize, factor: usize, count: usize) -> (usize, &[Lane]) {
        let width = BLOCK.min(self.output_lanes() - block * BLOCK);
        let start = block * BLOCK * self.method.factors() * self.inputs;
        (width, &self.lanes[start + factor * self.inputs * width..][..count * self.inputs * width])
    }
}

/// A block of filters as it is.
fn gather(filters: Filters<'_>, first: usize, to: &mut [Lane]) {
    let width = to.len() / (TAPS * filters.inputs);
    let mut taps = [Lane::default(); SOME * TAPS];
    for input in (0..filters.inputs).step_by(SOME) {
        let some = SOME.min(filters.inputs - input);
        for p in 0..width {
            filters.lanes(first + p * LANE, input, &mut taps);
            for (i, taps) in taps.chunks_exact(TAPS).enumerate().take(some) {
                for (tap, lane) in taps.iter().enumerate() {
                    to[(tap * filters.inputs + input + i) * width + p] = *lane;
                }
            }
        }
    }
}

/// Transforms a block of filters.
struct Transform<'a, T> {
    filters: Filters<'a>,
    /// First output of the block.
    first: usize,
    /// `[A · A][inputs][lanes of the block]`.
    to: &'a mut [Lane],
    tile: PhantomData<T>,
}

impl<T: Tile> WithSimd for Transform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { filters, first, to, .. } = self;
        let width = to.len() / (T::A * T::A * filters.inputs);
        let mut taps = [Lane::default(); SOME * TAPS];
        // Factors lie far apart in `to`: a few inputs are brought there at once.
        let mut factors = [Lane::default(); MOST * MOST * SOME * BLOCK];
        for input in (0..filters.inputs).step_by(SOME) {
            let some = SOME.min(filters.inputs - input);
            for p in 0..width {
                filters.lanes(first + p * LANE, input, &mut taps);
                for (i, taps) in taps.chunks_exact(TAPS).enumerate().take(some) {
                    for v in 0..vectors::<S>() {
                        both_ways(
                            simd,
                            [3, T::A],
                            #[inline(always)]
                            |values| T::filter(simd, values),
                            #[inline(always)]
                            move |row, column| get::<S>(&taps[3 * row + column].0, v),
                            #[inline(always)]
                            |row, column, value| {
                                let factor = row * T::A + column;
                                put::<S>(&mut factors[(factor * SOME + i) * width + p].0, v, value);
                            },
                        );
                    }
                }
            }
            for (factor, factors) in factors.chunks_exact(SOME * width).enumerate().take(T::A * T::A) {
                to[(factor * filters.inputs + input) * width..][..some * width]
                    .copy_from_slice(&factors[..some * width]);
            }
        }
    }
}
