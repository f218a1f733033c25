//! What every target does: any bytes decode or give an error, without a panic, a hang or memory beyond the limits.

use features::decode::{Limits, decode, tags};

/// Decodes `bytes`, which may be of any kind.
pub fn check(bytes: &[u8]) {
    // Short enough for many inputs a second; long enough for every path of a decoder.
    let limits = Limits { max_seconds: 2.0, ..Limits::default() };
    match decode(bytes, &limits) {
        Ok(decoded) => {
            assert!(decoded.clip.samples().iter().all(|sample| sample.is_finite()));
            assert!(decoded.info.seconds <= limits.max_seconds);
            for warning in &decoded.info.warnings {
                assert!(warning.to_string().ends_with('.'));
                assert!(warning.lost_seconds.is_none_or(|seconds| seconds >= 0.0 && seconds.is_finite()), "{warning:?}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Decodes `bytes` with `magic` at `at`, so that no change leaves the container.
#[allow(dead_code, reason = "not every target has a fixed beginning")]
pub fn check_with(bytes: &[u8], at: usize, magic: &[u8]) {
    let mut bytes = bytes.to_vec();
    if bytes.len() < at + magic.len() {
        return;
    }
    bytes[at..at + magic.len()].copy_from_slice(magic);
    check(&bytes);
}

/// Reads tags alone.
#[allow(dead_code, reason = "one target reads tags")]
pub fn check_tags(bytes: &[u8]) {
    let _ = tags::tags(bytes);
}
