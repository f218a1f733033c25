//! Matroska and WebM.

#![no_main]

mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::check_with(bytes, 0, b"\x1a\x45\xdf\xa3"));
