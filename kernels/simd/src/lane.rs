//! [`Lane`]: sixteen numbers side by side, the unit in which the kernels store and compute.

use bytemuck::{Pod, Zeroable};
use pulp::Simd;

/// Channels of a [`Lane`].
pub const LANE: usize = 16;

/// Sixteen channels of one position, in a cache line of their own. A level of SIMD sees them as one vector or more.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Lane(pub [f32; LANE]);

/// Lanes that hold `channels`.
#[must_use]
pub const fn lanes(channels: usize) -> usize {
    channels.div_ceil(LANE)
}

/// Vectors that a lane is at a level.
#[must_use]
pub const fn vectors<S: Simd>() -> usize {
    LANE / S::F32_LANES
}

/// Vector `v` of sixteen channels.
#[must_use]
#[inline(always)]
pub fn get<S: Simd>(channels: &[f32; LANE], v: usize) -> S::f32s {
    S::as_simd_f32s(channels).0[v]
}

/// Sets vector `v` of sixteen channels.
#[inline(always)]
pub fn put<S: Simd>(channels: &mut [f32; LANE], v: usize, value: S::f32s) {
    S::as_mut_simd_f32s(channels).0[v] = value;
}

/// The first sixteen of `channels`, with zeros where they end before.
#[must_use]
#[inline(always)]
pub fn load(channels: &[f32]) -> Lane {
    let mut lane = Lane::default();
    match channels.first_chunk() {
        Some(whole) => lane.0 = *whole,
        None => lane.0[..channels.len()].copy_from_slice(channels),
    }
    lane
}

/// Puts as many channels of `lane` as fit into `channels`.
#[inline(always)]
pub fn store(lane: &Lane, channels: &mut [f32]) {
    match channels.first_chunk_mut() {
        Some(whole) => *whole = lane.0,
        None => channels.copy_from_slice(&lane.0[..channels.len()]),
    }
}
