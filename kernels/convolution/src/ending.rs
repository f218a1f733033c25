//! [`Ending`]: what is done to an output before it is written.

use simd::Simd;

use crate::{
    images::Images,
    lane::{LANE, Lane, store},
};

/// What follows the products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// `max(0, ·)`.
    pub relu: bool,
    /// The largest of each 2 × 2 positions; an odd last row or column is left out.
    pub pool: bool,
}

/// Of which of its four positions a pooled value is, in reading order; [`NOTHING`] for a value that ReLU made 0.
pub(crate) const NOTHING: u8 = 4;

impl Ending {
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

/// Where a stretch of output rows is written.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// `[rows][columns][channels]`.
    pub(crate) values: &'a mut [f32],
    /// The same shape: the position that each pooled value is of; empty where nobody asks.
    pub(crate) picks: &'a mut [u8],
    pub(crate) columns: usize,
    pub(crate) channels: usize,
}

impl Rows<'_> {
    /// Rows that there is room for.
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
        if self.picks.is_empty() {
            for other in &four[1..] {
                for (largest, &value) in largest.0.iter_mut().zip(&other.0) {
                    *largest = if value > *largest || value.is_nan() { value } else { *largest };
                }
            }
        } else {
            let mut picks = [0u8; LANE];
            for (position, other) in four.iter().enumerate().skip(1) {
                for ((largest, pick), &value) in largest.0.iter_mut().zip(&mut picks).zip(&other.0) {
                    if value > *largest || value.is_nan() {
                        (*largest, *pick) = (value, position as u8);
                    }
                }
            }
            for (pick, &largest) in picks.iter_mut().zip(&largest.0) {
                *pick = if largest == 0.0 { NOTHING } else { *pick };
            }
            let start = (row * self.columns + column) * self.channels;
            let end = start + self.channels.min(channel + LANE);
            let to = &mut self.picks[start + channel..end];
            to.copy_from_slice(&picks[..to.len()]);
        }
        store(&largest, self.at(row, column, channel));
    }
}

/// The outputs of a batch, dealt to strips of `strip` rows before the ending, an even number where it pools.
pub(crate) fn deal<'a>(
    x: &Images<'_>,
    strip: usize,
    channels: usize,
    ending: Ending,
    mut values: &'a mut [f32],
    mut picks: &'a mut [u8],
) -> Vec<Rows<'a>> {
    let (height, columns) = (ending.size(x.h), ending.size(x.w));
    let (of_image, per_strip) = (x.h.div_ceil(strip), ending.size(strip));
    (0..x.n * of_image)
        .map(|number| {
            let top = number % of_image * per_strip;
            let len = per_strip.min(height.saturating_sub(top)) * columns * channels;
            Rows {
                values: values.split_off_mut(..len).unwrap_or_default(),
                picks: if picks.is_empty() { &mut [] } else { picks.split_off_mut(..len).unwrap_or_default() },
                columns,
                channels,
            }
        })
        .collect()
}
