//! Frames of MPEG audio and ADTS, also within a WAV.

#![no_main]

mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_last() else { return };
    // The sync words of layers III, II, I and of ADTS.
    let sync: &[u8] = [b"\xff\xfb".as_slice(), b"\xff\xfd", b"\xff\xff", b"\xff\xf1", b"\xff\xf3", b""][usize::from(kind % 6)];
    harness::check_with(rest, 0, sync);
});
