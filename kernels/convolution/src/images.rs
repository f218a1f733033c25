//! [`Images`]: what is convolved, and the layouts it comes in.

use rayon::prelude::*;

/// A batch of images, channels last: `[n][h][w][c]`.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// `n · h · w · c` values.
    pub data: &'a [f32],
    /// Images.
    pub n: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl<'a> Images<'a> {
    /// The batch in `data`.
    ///
    /// # Panics
    /// When `data` has another length than the shape says.
    #[must_use]
    pub fn new(data: &'a [f32], [n, h, w, c]: [usize; 4]) -> Self {
        assert_eq!(data.len(), n * h * w * c, "the images are not of the shape {n} × {h} × {w} × {c}");
        Self { data, n, h, w, c }
    }

    /// The channels of `len` neighbouring positions of a row of an image.
    pub(crate) fn positions(&self, n: usize, y: usize, x: usize, len: usize) -> &'a [f32] {
        &self.data[((n * self.h + y) * self.w + x) * self.c..][..len * self.c]
    }
}

/// Positions that one task of [`channels_last`] turns.
const STRIP: usize = 256;

/// `[n][c][positions]` to `[n][positions][c]`.
///
/// # Panics
/// When `data` has another length.
#[must_use]
pub fn channels_last(data: &[f32], n: usize, c: usize, positions: usize) -> Vec<f32> {
    assert_eq!(data.len(), n * c * positions, "{n} images of {c} × {positions}");
    let mut turned = vec![0.0; data.len()];
    if data.is_empty() {
        return turned;
    }
    turned.par_chunks_mut(c * positions).zip(data.par_chunks(c * positions)).for_each(|(to, from)| {
        to.par_chunks_mut(STRIP * c).enumerate().for_each(|(strip, to)| {
            // Squares of 16 × 16 stay in the first cache.
            let strip_len = to.len() / c;
            for first in (0..strip_len).step_by(16) {
                let some = 16.min(strip_len - first);
                for channels in (0..c).step_by(16) {
                    for channel in channels..(channels + 16).min(c) {
                        let from = &from[channel * positions + strip * STRIP + first..][..some];
                        for (position, &value) in from.iter().enumerate() {
                            to[(first + position) * c + channel] = value;
                        }
                    }
                }
            }
        });
    });
    turned
}
