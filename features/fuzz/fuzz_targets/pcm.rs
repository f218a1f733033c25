//! Containers of chunks: WAV, Wave64, AIFF, AU, VOC and CAF, by the last byte.

#![no_main]

mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_last() else { return };
    match kind % 8 {
        0 => harness::check_with(rest, 0, b"RIFF"),
        1 => harness::check_with(rest, 0, b"RIFX"),
        2 => harness::check_with(rest, 0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"),
        3 => harness::check_with(rest, 0, b"FORM"),
        4 => harness::check_with(rest, 0, b".snd"),
        5 => harness::check_with(rest, 0, b"Creative Voice File\x1a"),
        6 => harness::check_with(rest, 0, b"caff\0"),
        _ => harness::check(rest),
    }
});
