//! Any bytes decode or give an error: no panic, no hang, no memory beyond the limits.

#![no_main]

use features::decode::{Limits, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Short enough for many inputs a second; long enough for every path of a decoder.
    let limits = Limits { max_seconds: 20.0, ..Limits::default() };
    match decode(bytes, &limits) {
        Ok(decoded) => {
            assert!(decoded.clip.samples().iter().all(|sample| sample.is_finite()));
            assert!(decoded.info.seconds <= limits.max_seconds);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
