//! [`Epilogue`]: what is done to an output before it is written.

use simd::{
    Simd,
    lane::{LANE, Lane, store},
};

use crate::images::Images;

/// What follows the products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// `max(0, ·)`.
    pub relu: bool,
    /// The largest of each 2 × 2 positions; an odd last row or column is left out.
    pub pool: bool,
}

/// Of which of its four positions a pooled value is, in reading order; [`NO_ARGMAX`] for a value that ReLU made 0.
pub(crate) const NO_ARGMAX: u8 = 4;

impl Epilogue {
    /// What is left of a number of rows or columns.
    #[must_use]
    pub fn size(self, full: usize) -> usize {
        if self.pool { full / 2 } else { full }
    }

    /// Adds the bias and applies ReLU.
    #[inline(always)]
    pub(crate) fn value<S: Simd>(self, simd: S, value: S::f32s, bias: S::f32s) -> S::f32s {
        let value = simd.add_f32s(value, bias);
        // In this order a NaN stays one.
        if self.relu { simd.max_f32s(simd.splat_f32s(0.0), value) } else { value }
    }
}

/// Where some output rows is written.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// `[rows][columns][channels]`.
    pub(crate) values: &'a mut [f32],
    /// The same shape: the position that each pooled value is of; empty where it is not needed.
    pub(crate) argmax: &'a mut [u8],
    pub(crate) columns: usize,
    pub(crate) channels: usize,
}

impl Rows<'_> {
    /// Number of rows.
    #[inline(always)]
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / (self.columns * self.channels).max(1)
    }

    /// The sixteen channels, or those that are left, from `channel` on at a position.
    #[inline(always)]
    pub(crate) fn at(&mut self, row: usize, column: usize, channel: usize) -> &mut [f32] {
        let start = (row * self.columns + column) * self.channels;
        let end = start + self.channels.min(channel + LANE);
        &mut self.values[start + channel..end]
    }

    /// Writes the largest of four lanes, in reading order, to a position of the pooled rows.
    #[inline(always)]
    pub(crate) fn pool(&mut self, row: usize, column: usize, channel: usize, four: [&Lane; 4]) {
        let mut largest = *four[0];
        if self.argmax.is_empty() {
            for other in &four[1..] {
                for (largest, &value) in largest.0.iter_mut().zip(&other.0) {
                    *largest = if value > *largest || value.is_nan() { value } else { *largest };
                }
            }
        } else {
            let mut argmax = [0u8; LANE];
            for (position, other) in four.iter().enumerate().skip(1) {
                for ((largest, index), &value) in largest.0.iter_mut().zip(&mut argmax).zip(&other.0) {
                    if value > *largest || value.is_nan() {
                        (*largest, *index) = (value, position as u8);
                    }
                }
            }
            for (index, &largest) in argmax.iter_mut().zip(&largest.0) {
                *index = if largest == 0.0 { NO_ARGMAX } else { *index };
            }
            let start = (row * self.columns + column) * self.channels;
            let end = start + self.channels.min(channel + LANE);
            let to = &mut self.argmax[start + channel..end];
            to.copy_from_slice(&argmax[..to.len()]);
        }
        store(&largest, self.at(row, column, channel));
    }
}

/// The outputs of a batch, dealt to strips of `strip` rows before the epilogue, an even number where it pools.
pub(crate) fn split<'a>(
    x: &Images<'_>,
    strip: usize,
    channels: usize,
    epilogue: Epilogue,
    mut values: &'a mut [f32],
    mut argmax: &'a mut [u8],
) -> Vec<Rows<'a>> {
    let (height, columns) = (epilogue.size(x.h), epilogue.size(x.w));
    let (of_image, per_strip) = (x.h.div_ceil(strip), epilogue.size(strip));
    (0..x.n * of_image)
        .map(|number| {
            let top = number % of_image * per_strip;
            let len = per_strip.min(height.saturating_sub(top)) * columns * channels;
            Rows {
                values: values.split_off_mut(..len).unwrap_or_default(),
                argmax: if argmax.is_empty() { &mut [] } else { argmax.split_off_mut(..len).unwrap_or_default() },
                columns,
                channels,
            }
        })
        .collect()
}
