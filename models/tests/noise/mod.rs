//! Values that are drawn the same everywhere.

/// `n` values in `[-1, 1)`, of 16 bits.
pub(crate) fn noise(seed: u32, n: usize) -> Vec<f32> {
    let mut state = seed;
    let draw = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 32_768.0 - 1.0
    };
    (0..n).map(draw).collect()
}
