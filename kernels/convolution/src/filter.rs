//! [`Packed`]: filters, made ready for a [`Plan`] and laid out in the order in which the products read them.

use std::{marker::PhantomData, ops::Range};

use rayon::prelude::*;
use simd::{
    Level, Simd, WithSimd,
    lane::{LANE, Lane, get, lanes, put, vectors},
};

use crate::{
    buffer_pool::Scratch,
    gemm::BLOCK,
    tile::{F2, F4, MOST, Tile, both_ways},
};

/// Tiles of F(4×4) of an image that are too few for it.
const FEW_TILES: usize = 4;
/// Most tiles of a batch for which it is quicker to transform taps of a single call in the cache than to write factors to memory
/// and read them.
const TILES_OF_TAPS_ONCE: usize = 128;

/// Most tiles of a batch for which it is quicker to transform taps once more than to read factors from memory.
///
/// Measured on AMD's Zen 5 and on an Intel Xeon with AMX. On the former with AVX-512 taps are level in some layers and slower in
/// all others.
fn tiles_of_taps() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        // No other maker's processors have SSE4a.
        let amd = std::arch::is_x86_feature_detected!("sse4a");
        if amd && Level::current().name() == "v4" {
            return 0;
        }
    }
    64
}

/// Filters of more weights than this are read once for all tiles.
pub(crate) const SMALL: usize = 128 * 128;

/// Taps of a filter.
pub(crate) const TAPS: usize = 9;

/// Filters of 3 × 3, as PyTorch and Burn store them: `[outputs][inputs][3][3]`.
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
        if Self::F4.tiles([h, w]) <= FEW_TILES && inputs * outputs > SMALL { Self::F2 } else { Self::F4 }
    }

    /// Tiles of an image.
    fn tiles(self, [h, w]: [usize; 2]) -> usize {
        let of = |side: usize| h.div_ceil(side) * w.div_ceil(side);
        match self {
            Self::F4 => of(F4::M),
            Self::F2 => of(F2::M),
            Self::Direct => of(1),
        }
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

/// A method, and the form in which the filters are stored for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// How the convolution is computed; decides every bit of the result.
    pub method: Method,
    /// Whether the nine taps are stored and transformed in each call, and not the factors that they are transformed to. It is so
    /// only for a method that transforms, and where filters have more weights than a cache holds.
    pub taps: bool,
}

impl Plan {
    /// The one that was measured to be fastest for `n` images of `h × w` and filters of this size that are packed for many calls, on a
    /// processor of this kind. The method depends neither on `n` nor on the processor.
    #[must_use]
    pub fn choose(images: [usize; 3], outputs: usize, inputs: usize) -> Self {
        Self::of(images, outputs, inputs, tiles_of_taps())
    }

    /// The same for filters of a single call, as in training.
    #[must_use]
    pub fn once(images: [usize; 3], outputs: usize, inputs: usize) -> Self {
        Self::of(images, outputs, inputs, TILES_OF_TAPS_ONCE)
    }

    fn of([n, h, w]: [usize; 3], outputs: usize, inputs: usize, tiles_of_taps: usize) -> Self {
        let method = Method::choose([h, w], outputs, inputs);
        Self { method, taps: n * method.tiles([h, w]) <= tiles_of_taps }.for_filters(outputs, inputs)
    }

    /// The same without taps where they cannot be stored, so that equal plans store the same.
    fn for_filters(self, outputs: usize, inputs: usize) -> Self {
        Self { taps: self.taps && self.method != Method::Direct && inputs * outputs > SMALL, ..self }
    }
}

impl From<Method> for Plan {
    fn from(method: Method) -> Self {
        Self { method, taps: false }
    }
}

/// Filters, ready for use by one [`Plan`].
///
/// In blocks of 64 outputs: `[block][factor][input][lanes of the block]`, for [`Method::Direct`] `[block][tap][input][lanes]`, and
/// where taps are stored for a transform `[block][input][tap][lanes]`.
#[derive(Debug)]
pub struct Packed {
    plan: Plan,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    lanes: Scratch,
}

impl Packed {
    /// Lays filters out for a plan, and transforms them where it says so.
    #[must_use]
    pub fn new(filters: Filters<'_>, plan: impl Into<Plan>) -> Self {
        let Filters { outputs, inputs, .. } = filters;
        let plan = plan.into().for_filters(outputs, inputs);
        let mut packed = Self { plan, outputs, inputs, lanes: Scratch::new(0) };
        packed.lanes = Scratch::new(packed.values() * inputs * lanes(outputs));
        let of_block = packed.values() * inputs * BLOCK;
        let level = Level::current();
        if of_block > 0 {
            packed.lanes.par_chunks_mut(of_block).enumerate().for_each(|(block, to)| {
                let first = block * BLOCK * LANE;
                match plan.method {
                    _ if plan.taps => gather(filters, first, [1, TAPS], to),
                    Method::F4 => level.dispatch(Transform::<F4> { filters, first, to, tile: PhantomData }),
                    Method::F2 => level.dispatch(Transform::<F2> { filters, first, to, tile: PhantomData }),
                    Method::Direct => gather(filters, first, [inputs, 1], to),
                }
            });
        }
        packed
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

    /// How the convolution is computed.
    pub(crate) fn method(&self) -> Method {
        self.plan.method
    }

    /// Whether taps are stored, which are yet to be transformed.
    pub(crate) fn taps(&self) -> bool {
        self.plan.taps
    }

    /// Values that are stored of a filter.
    fn values(&self) -> usize {
        if self.plan.taps { TAPS } else { self.plan.method.factors() }
    }

    /// Lanes of all outputs.
    pub(crate) fn output_lanes(&self) -> usize {
        lanes(self.outputs)
    }

    /// Lanes of a block of outputs.
    pub(crate) fn width(&self, block: usize) -> usize {
        BLOCK.min(self.output_lanes() - block * BLOCK)
    }

    /// `count` factors of a block of outputs, from `factor` on.
    pub(crate) fn block(&self, block: usize, factor: usize, count: usize) -> &[Lane] {
        let of_factor = self.inputs * self.width(block);
        let start = block * BLOCK * self.values() * self.inputs;
        &self.lanes[start + factor * of_factor..][..count * of_factor]
    }

    /// Transforms the taps of a block of outputs for some inputs, to `[factor][input][lanes of the block]` with `stride` lanes from
    /// one factor to the next.
    #[inline(always)]
    pub(crate) fn transform<S: Simd, T: Tile>(
        &self,
        simd: S,
        block: usize,
        inputs: Range<usize>,
        stride: usize,
        to: &mut [Lane],
    ) {
        let width = self.width(block);
        let start = (block * BLOCK * self.inputs + inputs.start * width) * TAPS;
        let taps = &self.lanes[start..][..inputs.len() * TAPS * width];
        for (input, taps) in taps.chunks_exact(TAPS * width).enumerate() {
            for p in 0..width {
                for v in 0..vectors::<S>() {
                    both_ways(
                        simd,
                        [3, T::A],
                        #[inline(always)]
                        |values| T::filter(simd, values),
                        #[inline(always)]
                        move |row, column| get::<S>(&taps[(3 * row + column) * width + p].0, v),
                        #[inline(always)]
                        |row, column, value| {
                            let factor = row * T::A + column;
                            put::<S>(&mut to[factor * stride + input * width + p].0, v, value);
                        },
                    );
                }
            }
        }
    }
}

/// A block of filters as it is: from one tap to the next, and from one input to the next, `strides` blocks.
fn gather(filters: Filters<'_>, first: usize, strides: [usize; 2], to: &mut [Lane]) {
    let width = to.len() / (TAPS * filters.inputs);
    let mut taps = [Lane::default(); SOME * TAPS];
    for input in (0..filters.inputs).step_by(SOME) {
        let some = SOME.min(filters.inputs - input);
        for p in 0..width {
            filters.lanes(first + p * LANE, input, &mut taps);
            for (i, taps) in taps.chunks_exact(TAPS).enumerate().take(some) {
                for (tap, lane) in taps.iter().enumerate() {
                    to[(tap * strides[0] + (input + i) * strides[1]) * width + p] = *lane;
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
