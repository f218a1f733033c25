//! [`Lane`]: sixteen channels side by side, the unit in which everything is stored and computed.

use bytemuck::{Pod, Zeroable};
use simd::Simd;

use crate::pool::Pool;

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

static LANES: Pool<Lane> = Pool::new(256 << 20);

/// A buffer of lanes whose content is anything.
#[derive(Debug)]
pub(crate) struct Scratch {
    buffer: Vec<Lane>,
    len: usize,
}

impl Scratch {
    pub(crate) fn new(len: usize) -> Self {
        Self { buffer: LANES.take(len), len }
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
        LANES.give(std::mem::take(&mut self.buffer));
    }
}
