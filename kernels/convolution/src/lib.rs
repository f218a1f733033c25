//! The 3 × 3 convolution of VGG, fast on the CPU, with its gradients.
//!
//! Nearly all that VGG19 costs is convolutions of 3 × 3 with stride 1 and a border of one zero. This crate computes them, with bias,
//! ReLU and 2 × 2 max-pooling in the same pass, and their gradients: in `f32`, on every core, without `unsafe`. With the feature `burn` it is an
//! operation of Burn's flex backend, in the module `burn`.
//!
//! ```
//! use convolution::{Epilogue, Filters, Images, Method, Packed, convolve};
//!
//! // One image of 4 × 4 with one channel, and a filter that adds up the neighbourhood.
//! let (pixels, filter) = ([1.0; 16], [1.0; 9]);
//! let packed = Packed::new(Filters::new(&filter, 1, 1), Method::F4);
//! let sums = convolve(Images::new(&pixels, [1, 4, 4, 1]), &packed, &[0.5], Epilogue::default(), false).values;
//! assert!((sums[0] - 4.5).abs() < 1e-5 && (sums[5] - 9.5).abs() < 1e-5);
//! ```
//!
//! # Method
//!
//! **Winograd's minimal filtering** (Winograd 1980; Lavin and Gray 2016). F(4×4, 3×3) takes a tile of 6 × 6 of the input and a filter, both transformed
//! to 36 factors, and needs one product for each factor and pair of channels, where the definition needs 144 for the same 16 outputs. Over all
//! tiles and channels that is 36 matrix products; the transforms are some additions. F(2×2, 3×3) needs 16 for 36, and its transformed filters
//! are less than half as large. [`Method::Direct`] is the definition. [`Plan::choose`] takes what was measured to be fastest.
//!
//! **Points.** Transforms evaluate polynomials at 0, ±5/8, ±3/2 and infinity, not at the usual 0, ±1, ±2, ∞: that halves the rounding error, and all
//! constants but the reciprocals are exact in `f32`.
//!
//! **Layout.** Everything has channels last, in lanes of 16, a cache line and an AVX-512 vector: transforms work on vectors of channels and
//! never shuffle, and a product reads its right side in one stream. Filters are laid out in that order once ([`Packed`]).
//!
//! **Filters.** 36 factors are four times as much to read as nine taps. With many tiles that is nothing beside the products, and filters are
//! transformed once. With few (an image of 32 × 32 or less), reading them is what takes long on most processors: then taps are stored, and a thread
//! transforms those of 64 outputs and 32 inputs in its second cache, multiplies, and goes on with the next 32 inputs, adding to
//! the same sums. The bits are the same ([`Plan`]).
//!
//! **Products** keep 6 × 64 sums in registers on AVX-512 (6 × 16 on AVX2 and NEON), and run over the inner dimension without a break: 90 % of what the
//! processor can do. The same source is compiled for each level of SIMD by `pulp`, and the level is chosen when the program runs
//! ([`simd`]).
//!
//! **Threads.** With few channels a thread takes a row of tiles through all steps in its second cache. With many, filters are larger than that cache: then each
//! step is done for the whole batch by all threads, so that filters are read from memory once.
//!
//! **Gradients.** That of the inputs is a convolution with filters that are turned and transposed. That of the filters is the same filtering
//! backwards: 36 products over all tiles, transformed to nine taps. Pooling saves one byte for each of its outputs, and ReLU saves its
//! output, so nothing of the size of the unpooled activations is saved for the backward pass of a pooled layer.
//!
//! **Memory** for what lies between two steps goes to the next call, and in training that of results too ([`Values`]): fresh memory costs a page fault
//! for every 4 KiB, which was a tenth of a step.
//!
//! # Bits
//!
//! A sum runs over its terms in one order, whatever the number of threads, so that changes no bit; nor does the level, among those with fused
//! multiply-adds. The method is chosen by the size of an image and not of the batch: an image gives the same bits alone and among others.
//!
//! # Errors
//!
//! See `docs/vgg19.md`: measured against `f64` on real weights and real audio.

mod buffer_pool;
#[cfg(feature = "burn")]
pub mod burn;
mod direct;
mod epilogue;
mod filter;
mod gemm;
pub mod gradient;
mod images;
mod tile;
mod winograd;

pub use buffer_pool::Values;
pub use epilogue::Epilogue;
pub use filter::{Filters, Method, Packed, Plan};
pub use images::{Images, channels_last};

use tile::{F2, F4};

/// The outputs of a convolution.
#[derive(Debug)]
pub struct Outputs {
    /// `[n][size(h)][size(w)][outputs]`, with the [`Epilogue::size`] of what was asked for.
    pub values: Values,
    /// Of a pooled output in training: the position, 0 to 3, that each pooled value is of, or 4 where ReLU left nothing.
    pub argmax: Vec<u8>,
}

/// The convolution of each image with the filters, stride 1, with a border of one zero, plus the bias, then `epilogue`.
///
/// `training` says that gradients will go back through it: the argmax indices are noted then, and the values are in memory that goes from
/// one step to the next.
///
/// # Shapes
/// - `bias`: `[outputs]`, or empty for none
///
/// # Panics
/// When the channels of `x`, or the length of `bias`, are not those of the filters.
#[must_use]
pub fn convolve(x: Images<'_>, filter: &Packed, bias: &[f32], epilogue: Epilogue, training: bool) -> Outputs {
    assert_eq!(x.c, filter.inputs, "the images and the filters have different channels");
    assert!(bias.is_empty() || bias.len() == filter.outputs, "the bias is not of the outputs");
    let len = x.n * epilogue.size(x.h) * epilogue.size(x.w) * filter.outputs;
    let mut values = if training { Values::from_pool(len) } else { Values::fresh(len) };
    let mut argmax = if training && epilogue.pool { vec![0; len] } else { Vec::new() };
    if len > 0 {
        let run = match filter.method() {
            Method::F4 => winograd::forward::<F4>,
            Method::F2 => winograd::forward::<F2>,
            Method::Direct => direct::forward,
        };
        run(x, filter, bias, epilogue, &mut values, &mut argmax);
    }
    Outputs { values, argmax }
}

/// The gradient of the filters `[outputs][inputs][3][3]`, of inputs and of the gradient of the outputs before their epilogue.
///
/// # Panics
/// When the images of `x` and `gradient` are not of one number and size.
#[must_use]
pub fn filter_gradient(x: Images<'_>, gradient: Images<'_>) -> Values {
    assert_eq!((x.n, x.h, x.w), (gradient.n, gradient.h, gradient.w), "inputs and gradients are of different images");
    gradient::of_filters::<F4>(x, gradient)
}
