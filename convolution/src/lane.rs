//! [`Lane`]: sixteen channels side by side, the unit in which everything is stored and computed.

use std::sync::{Mutex, PoisonError};

use bytemuck::{Pod, Zeroable};
use simd::Simd;

/// Channels of a [`Lane`].
pub(crate) const LANE: usize = 16;

/// Sixteen channels of one position, in a cache line of their own. A level of SIMD sees them as one vector or more.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Lane(pub [f32; LANE]);

/// Lanes that hold `channels`.
pub(crate) const fn lanes(channels: usize) -> usize {
    channels.div_ceil(LANE)
}

/// Vectors that a lane is at a level.
pub(crate) const fn vectors<S: Simd>() -> usize {
    LANE / S::F32_LANES
}

/// Vector `v` of sixteen channels.
#[inline(always)]
pub(crate) fn get<S: Simd>(channels: &[f32; LANE], v: usize) -> S::f32s {
    S::as_simd_f32s(channels).0[v]
}

/// Sets vector `v` of sixteen channels.
#[inline(always)]
pub(crate) fn put<S: Simd>(channels: &mut [f32; LANE], v: usize, value: S::f32s) {
    S::as_mut_simd_f32s(channels).0[v] = value;
}

/// The first sixteen of `channels`, with zeros where they end before.
#[inline(always)]
pub(crate) fn load(channels: &[f32]) -> Lane {
    let mut lane = Lane::default();
    match channels.first_chunk() {
        Some(whole) => lane.0 = *whole,
        None => lane.0[..channels.len()].copy_from_slice(channels),
    }
    lane
}

/// Puts as many channels of `lane` as fit into `channels`.
#[inline(always)]
pub(crate) fn store(lane: &Lane, channels: &mut [f32]) {
    match channels.first_chunk_mut() {
        Some(whole) => *whole = lane.0,
        None => channels.copy_from_slice(&lane.0[..channels.len()]),
    }
}

/// Buffers that were used and are kept for the next call: fresh memory costs a page fault for every 4 KiB.
static KEPT: Mutex<Vec<Vec<Lane>>> = Mutex::new(Vec::new());
/// Lanes of all kept buffers together: 256 MiB.
const KEPT_LANES: usize = (256 << 20) / size_of::<Lane>();

/// A buffer whose content is anything.
#[derive(Debug)]
pub(crate) struct Scratch {
    buffer: Vec<Lane>,
    len: usize,
}

impl Scratch {
    pub(crate) fn new(len: usize) -> Self {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, unless most of it would lie idle.
        let fits = |i: &usize| (len..=2 * len).contains(&kept[*i].len());
        let best = (0..kept.len()).filter(fits).min_by_key(|&i| kept[i].len());
        let buffer = best.map(|i| kept.swap_remove(i));
        drop(kept);
        Self { buffer: buffer.unwrap_or_else(|| vec![Lane::zeroed(); len]), len }
    }
}

impl std::ops::Deref for Scratch {
    type Target = [Lane];

    fn deref(&self) -> &[Lane] {
        &self.buffer[..self.len]
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [Lane] {
        &mut self.buffer[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(std::mem::take(&mut self.buffer));
        while kept.iter().map(Vec::len).sum::<usize>() > KEPT_LANES {
            let largest = (0..kept.len()).max_by_key(|&i| kept[i].len());
            largest.map(|i| kept.swap_remove(i));
        }
    }
}
