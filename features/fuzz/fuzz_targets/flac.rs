//! FLAC. Checksums of frames are not checked by symphonia when it is fuzzed; those that the reader checks stay.

#![no_main]

mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::check_with(bytes, 0, b"fLaC"));
