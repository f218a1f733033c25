//! [`BufferPool`]: memory for the next call, since fresh memory costs a page fault for every 4 KiB; [`Scratch`] and [`Values`], whose
//! memory may come from a pool.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use bytemuck::{Pod, cast_slice};
use simd::lane::Lane;

/// Buffers for any length.
pub(crate) struct BufferPool<T> {
    buffers: Mutex<Vec<Vec<T>>>,
    /// Most bytes of all buffers together.
    capacity: usize,
}

impl<T: Pod> BufferPool<T> {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { buffers: Mutex::new(Vec::new()), capacity }
    }

    /// A buffer of this length or longer; its content is anything.
    pub(crate) fn acquire(&self, len: usize) -> Vec<T> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, unless less than half of it would be used.
        let fits = |i: &usize| (len..=2 * len).contains(&buffers[*i].len());
        let best = (0..buffers.len()).filter(fits).min_by_key(|&i| buffers[i].len());
        let buffer = best.map(|i| buffers.swap_remove(i));
        drop(buffers);
        buffer.unwrap_or_else(|| vec![T::zeroed(); len])
    }

    pub(crate) fn release(&self, buffer: Vec<T>) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.push(buffer);
        while buffers.iter().map(|buffer| size_of_val(&**buffer)).sum::<usize>() > self.capacity {
            let largest = (0..buffers.len()).max_by_key(|&i| buffers[i].len());
            largest.map(|i| buffers.swap_remove(i));
        }
    }
}

static LANES: BufferPool<Lane> = BufferPool::new(256 << 20);

/// A buffer of lanes whose content is anything.
#[derive(Debug)]
pub(crate) struct Scratch {
    buffer: Vec<Lane>,
    len: usize,
}

impl Scratch {
    pub(crate) fn new(len: usize) -> Self {
        Self { buffer: LANES.acquire(len), len }
    }
}

impl Deref for Scratch {
    type Target = [Lane];

    fn deref(&self) -> &[Lane] {
        &self.buffer[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [Lane] {
        &mut self.buffer[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        LANES.release(std::mem::take(&mut self.buffer));
    }
}

/// With 256 MiB a training step of VGG19 on 16 images of 128 × 128 gained nothing, with this a tenth.
static NUMBERS: BufferPool<f32> = BufferPool::new(640 << 20);

/// The numbers of a result.
#[derive(Debug)]
pub struct Values {
    buffer: Vec<f32>,
    len: usize,
    /// Whether the buffer goes back to the pool.
    from_pool: bool,
}

impl Values {
    /// Zeros.
    pub(crate) fn fresh(len: usize) -> Self {
        Self { buffer: vec![0.0; len], len, from_pool: false }
    }

    /// Anything, in memory that goes to the next result when these are dropped: for training, where every step needs the same sizes.
    pub(crate) fn from_pool(len: usize) -> Self {
        Self { buffer: NUMBERS.acquire(len), len, from_pool: true }
    }

    /// The numbers alone.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<f32> {
        self.from_pool = false;
        self.buffer.truncate(self.len);
        std::mem::take(&mut self.buffer)
    }

    /// Whether their memory goes to another result when they are dropped.
    #[cfg(feature = "burn")]
    pub(crate) fn is_from_pool(&self) -> bool {
        self.from_pool
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        if self.from_pool {
            NUMBERS.release(std::mem::take(&mut self.buffer));
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
    fn a_pool_gives_the_smallest_buffer_of_at_most_twice_the_length_and_stays_within_its_capacity() {
        let pool = BufferPool::<f32>::new(4 * 250);
        let marked = |len: usize| vec![len as f32; len];
        pool.release(marked(100));
        pool.release(marked(120));
        assert_eq!(pool.acquire(49), [0.0; 49]);
        assert_eq!(pool.acquire(90)[0], 100.0);
        assert_eq!(pool.acquire(121).len(), 121);
        assert_eq!(pool.acquire(120)[0], 120.0);
        for len in [90, 200, 110] {
            pool.release(marked(len));
        }
        // The largest went first.
        assert_eq!(pool.acquire(200), [0.0; 200]);
        assert_eq!((pool.acquire(110)[0], pool.acquire(90)[0]), (110.0, 90.0));
    }

    #[test]
    fn values_end_where_they_were_asked_to() {
        NUMBERS.release(vec![7.0; 150]);
        let values = Values::from_pool(100);
        assert_eq!((values.len(), values.as_ref().len()), (100, 400));
        assert_eq!(values.into_vec().len(), 100);
        assert_eq!(Values::fresh(3).into_vec(), [0.0; 3]);
    }
}
