//! MP4 and QuickTime, whole and in fragments.

#![no_main]

mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::check_with(bytes, 4, b"ftyp"));
