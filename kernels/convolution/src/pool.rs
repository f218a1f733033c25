//! [`Pool`]: memory that was used and is kept for the next call, since fresh memory costs a page fault for every 4 KiB; and
//! [`Values`], which may come from there.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use bytemuck::{Pod, cast_slice};

/// Buffers for any length.
pub(crate) struct Pool<T> {
    buffers: Mutex<Vec<Vec<T>>>,
    /// Bytes of all buffers together that are kept.
    most: usize,
}

impl<T: Pod> Pool<T> {
    pub(crate) const fn new(most: usize) -> Self {
        Self { buffers: Mutex::new(Vec::new()), most }
    }

    /// A buffer of this length or longer; its content is anything.
    pub(crate) fn take(&self, len: usize) -> Vec<T> {
        let mut kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, unless most of it would lie idle.
        let fits = |i: &usize| (len..=2 * len).contains(&kept[*i].len());
        let best = (0..kept.len()).filter(fits).min_by_key(|&i| kept[i].len());
        let buffer = best.map(|i| kept.swap_remove(i));
        drop(kept);
        buffer.unwrap_or_else(|| vec![T::zeroed(); len])
    }

    pub(crate) fn give(&self, buffer: Vec<T>) {
        let mut kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(buffer);
        while kept.iter().map(|buffer| size_of_val(&**buffer)).sum::<usize>() > self.most {
            let largest = (0..kept.len()).max_by_key(|&i| kept[i].len());
            largest.map(|i| kept.swap_remove(i));
        }
    }
}

/// With 256 MiB a training step of VGG19 on 16 images of 128 × 128 gained nothing, with this a tenth.
static NUMBERS: Pool<f32> = Pool::new(640 << 20);

/// The numbers of a result.
#[derive(Debug)]
pub struct Values {
    buffer: Vec<f32>,
    len: usize,
    /// Whether the buffer is the pool's.
    pooled: bool,
}

impl Values {
    /// Zeros.
    pub(crate) fn fresh(len: usize) -> Self {
        Self { buffer: vec![0.0; len], len, pooled: false }
    }

    /// Anything, in memory that goes to the next result when these are dropped: for training, where every step wants the same again.
    pub(crate) fn pooled(len: usize) -> Self {
        Self { buffer: NUMBERS.take(len), len, pooled: true }
    }

    /// The numbers alone.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<f32> {
        self.pooled = false;
        self.buffer.truncate(self.len);
        std::mem::take(&mut self.buffer)
    }

    /// Whether their memory goes to another result when they are dropped.
    #[cfg(feature = "burn")]
    pub(crate) fn is_pooled(&self) -> bool {
        self.pooled
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        if self.pooled {
            NUMBERS.give(std::mem::take(&mut self.buffer));
        }
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[..self.len]
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.len]
    }
}

impl AsRef<[u8]> for Values {
    fn as_ref(&self) -> &[u8] {
        cast_slice(self)
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gives_what_is_large_enough_and_not_much_too_large_and_keeps_no_more_than_it_may() {
        let pool = Pool::<f32>::new(4 * 250);
        let marked = |len: usize| vec![len as f32; len];
        pool.give(marked(100));
        pool.give(marked(120));
        assert_eq!(pool.take(49), [0.0; 49]);
        assert_eq!(pool.take(90)[0], 100.0);
        assert_eq!(pool.take(121).len(), 121);
        assert_eq!(pool.take(120)[0], 120.0);
        for len in [90, 200, 110] {
            pool.give(marked(len));
        }
        // The largest went first.
        assert_eq!(pool.take(200), [0.0; 200]);
        assert_eq!((pool.take(110)[0], pool.take(90)[0]), (110.0, 90.0));
    }

    #[test]
    fn values_end_where_they_were_asked_to() {
        NUMBERS.give(vec![7.0; 150]);
        let pooled = Values::pooled(100);
        assert_eq!((pooled.len(), pooled.as_ref().len()), (100, 400));
        assert_eq!(pooled.into_vec().len(), 100);
        assert_eq!(Values::fresh(3).into_vec(), [0.0; 3]);
    }
}
