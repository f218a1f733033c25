//! Broken, lying and hostile files: a clear error for each, never a panic, never memory by announcement.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use features::{
    Error,
    decode::{
        Decoded, Limits,
        WarningKind::{self, WrongHeader, WrongSize},
        decode,
    },
};
use proptest::prelude::*;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// Audio files of the fixtures, regressions of the fuzzer included.
fn audio_fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<_> = [folder.clone(), folder.join("fuzz")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("make.py") && !path.ends_with("manifest.json"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn read(bytes: &[u8]) -> Result<Decoded, Error> {
    decode(bytes, &Limits { max_seconds: 60.0, ..Limits::default() })
}

/// `RIFF` around chunks, each padded to an even length.
fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WAVE".to_vec();
    for (id, chunk) in chunks {
        body.extend_from_slice(*id);
        body.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(&[0][..chunk.len() % 2]);
    }
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// Body of a `fmt ` chunk.
fn fmt(tag: u16, channels: u16, sample_rate: u32, block_align: u16, bits: u16) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&channels.to_le_bytes());
    out.extend_from_slice(&sample_rate.to_le_bytes());
    out.extend_from_slice(&sample_rate.wrapping_mul(u32::from(block_align)).to_le_bytes());
    out.extend_from_slice(&block_align.to_le_bytes());
    out.extend_from_slice(&bits.to_le_bytes());
    out
}

fn wav(format: &[u8], data: &[u8]) -> Vec<u8> {
    riff(&[(b"fmt ", format), (b"data", data)])
}

fn au(size: u32, encoding: u32, sample_rate: u32, channels: u32, data: &[u8]) -> Vec<u8> {
    let header = [24, size, encoding, sample_rate, channels].map(u32::to_be_bytes).concat();
    [b".snd".as_slice(), &header, data].concat()
}

/// `bytes` with those at `at` replaced.
fn patched(mut bytes: Vec<u8>, at: usize, patch: &[u8]) -> Vec<u8> {
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

/// An ID3v2 tag that announces `size` bytes and has `body`.
fn id3(size: u32, body: &[u8]) -> Vec<u8> {
    let size = [21, 14, 7, 0].map(|shift| (size >> shift) as u8 & 0x7f);
    [b"ID3\x04\x00\x00".as_slice(), &size, body].concat()
}

/// The 36 bits of STREAMINFO for the number of samples, and 20 for the rate, stand in bytes 18 to 25 of a FLAC.
fn flac_announcing(samples: u64) -> Vec<u8> {
    let flac = fixture("s16.flac");
    let old = u64::from_be_bytes(*flac[18..26].as_array().unwrap());
    patched(flac, 18, &(old >> 36 << 36 | samples).to_be_bytes())
}

type Check = fn(&Error) -> bool;
const TRUNCATED: Check = |e| matches!(e, Error::Truncated { .. });
const CORRUPT: Check = |e| matches!(e, Error::Corrupt { .. });
const UNSUPPORTED: Check = |e| matches!(e, Error::Unsupported { .. });
const NOT_AUDIO: Check = |e| matches!(e, Error::NotAudio { .. });
const EMPTY: Check = |e| matches!(e, Error::Empty);
const BAD_SAMPLE: Check = |e| matches!(e, Error::BadSample { .. });
const TOO_LONG: Check = |e| matches!(e, Error::TooLong { .. });

#[test]
fn each_broken_file_gives_its_own_error() {
    let pcm = fmt(1, 1, 8_000, 2, 16);
    let float = fmt(3, 1, 8_000, 4, 32);
    let good = wav(&pcm, &[1; 400]);
    let data_at = good.windows(4).position(|w| w == b"data").unwrap();
    let bits = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let extensible =
        |guid: &[u8]| [fmt(0xfffe, 1, 8_000, 2, 16), vec![22, 0, 16, 0, 4, 0, 0, 0], guid.to_vec()].concat();
    let half = |name: &str| {
        let bytes = fixture(name);
        bytes[..bytes.len() / 2].to_vec()
    };
    let cases: Vec<(&str, Vec<u8>, Check)> = vec![
        ("nothing", vec![], EMPTY),
        ("one byte", vec![0], NOT_AUDIO),
        ("text", b"Dear Sir or Madam,\nplease find attached".to_vec(), NOT_AUDIO),
        ("html", b"  <!DOCTYPE html><html><body>404</body></html>".to_vec(), NOT_AUDIO),
        ("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj".to_vec(), NOT_AUDIO),
        ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), NOT_AUDIO),
        ("jpeg", [b"\xff\xd8\xff\xe0\0\x10JFIF\0".as_slice(), &[0; 200]].concat(), NOT_AUDIO),
        ("zip", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), NOT_AUDIO),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), NOT_AUDIO),
        ("matroska: a header alone", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81".to_vec(), TRUNCATED),
        ("zeros", vec![0; 100_000], NOT_AUDIO),
        ("all ones", vec![0xff; 100_000], NOT_AUDIO),
        ("avi", [b"RIFF".as_slice(), &[4, 0, 0, 0], b"AVI "].concat(), NOT_AUDIO),
        ("rifx: numbers the wrong way round", [b"RIFX".as_slice(), &good[4..]].concat(), UNSUPPORTED),
        ("wav: header only", good[..12].to_vec(), TRUNCATED),
        ("wav: no data chunk", riff(&[(b"fmt ", &pcm)]), TRUNCATED),
        ("wav: no fmt chunk", riff(&[(b"data", &[0; 40])]), CORRUPT),
        ("wav: fmt behind data", riff(&[(b"data", &[0; 40]), (b"fmt ", &pcm)]), CORRUPT),
        ("wav: fmt of 4 bytes", wav(&pcm[..4], &[0; 40]), CORRUPT),
        ("wav: fmt of 0 bytes", wav(&[], &[0; 40]), CORRUPT),
        ("wav: cut in its data", good[..300].to_vec(), TRUNCATED),
        ("wav: no samples", wav(&pcm, &[]), EMPTY),
        ("wav: half a sample", wav(&pcm, &[1]), EMPTY),
        ("wav: 0 channels", wav(&fmt(1, 0, 8_000, 2, 16), &[0; 40]), CORRUPT),
        ("wav: 0 Hz", wav(&fmt(1, 1, 0, 2, 16), &[0; 40]), CORRUPT),
        ("wav: 0 bits and no alignment", wav(&fmt(1, 1, 8_000, 0, 0), &[0; 40]), UNSUPPORTED),
        ("wav: 12 bytes a sample", wav(&fmt(1, 1, 8_000, 12, 96), &[0; 48]), UNSUPPORTED),
        ("wav: floats of 16 bits", wav(&fmt(3, 1, 8_000, 2, 16), &[0; 40]), UNSUPPORTED),
        ("wav: no MP3 inside, though it says so", wav(&fmt(0x55, 1, 8_000, 1, 0), &[0; 40]), CORRUPT),
        ("wav: GSM", wav(&fmt(0x31, 1, 8_000, 65, 0), &[0; 130]), UNSUPPORTED),
        (
            "wav: data longer than the file by much",
            patched(patched(good.clone(), 4, &[0xff, 0xff, 1, 0]), data_at + 4, &[0xff, 0xff, 0, 0]),
            TRUNCATED,
        ),
        ("wav: extension cut", wav(&fmt(0xfffe, 1, 8_000, 2, 16), &[0; 40]), CORRUPT),
        ("wav: unknown extension", wav(&extensible(&[9; 16]), &[0; 40]), UNSUPPORTED),
        ("wav: NaN", wav(&float, &bits(&[0.0, f32::NAN])), BAD_SAMPLE),
        ("wav: infinity", wav(&float, &bits(&[f32::INFINITY])), BAD_SAMPLE),
        (
            "wav: infinities that cancel",
            wav(&fmt(3, 2, 8_000, 8, 32), &bits(&[f32::INFINITY, -f32::INFINITY])),
            BAD_SAMPLE,
        ),
        ("wav: sum over the range", wav(&fmt(3, 2, 8_000, 8, 32), &bits(&[f32::MAX, f32::MAX])), BAD_SAMPLE),
        ("wav: doubles over the range", wav(&fmt(3, 1, 8_000, 8, 64), &1e300f64.to_le_bytes()), BAD_SAMPLE),
        ("wav: more channels than samples", wav(&fmt(1, 65_535, 8_000, 2, 16), &[0; 40]), EMPTY),
        ("wav: two hours", wav(&fmt(1, 1, 1, 2, 16), &[0; 14_400]), TOO_LONG),
        (
            "wav: chunks within chunks",
            {
                let mut nested = good.clone();
                for _ in 0..1000 {
                    nested = riff(&[(b"LIST", &nested)]);
                }
                nested
            },
            TRUNCATED,
        ),
        ("wav: ADPCM without samples in a block", wav(&fmt(0x11, 1, 8_000, 4, 4), &[0; 40]), |e| {
            CORRUPT(e) || UNSUPPORTED(e)
        }),
        ("au: header cut", b".snd\0\0\0\x18\0\0".to_vec(), TRUNCATED),
        ("au: encoding 99", au(4, 99, 8_000, 1, &[0; 4]), UNSUPPORTED),
        ("au: 0 channels", au(4, 3, 8_000, 0, &[0; 4]), CORRUPT),
        ("au: 0 Hz", au(4, 3, 0, 1, &[0; 4]), CORRUPT),
        ("au: 4 billion channels", au(4, 3, 8_000, u32::MAX, &[0; 4]), EMPTY),
        ("au: longer than the file", au(4_000_000_000, 3, 8_000, 1, &[0; 4]), TRUNCATED),
        ("au: starts behind the file", patched(au(4, 3, 8_000, 1, &[0; 4]), 4, &[0x7f; 4]), TRUNCATED),
        ("au: starts in its header", patched(au(4, 3, 8_000, 1, &[0; 4]), 4, &[0; 4]), CORRUPT),
        ("au: no samples", au(0, 3, 8_000, 1, &[]), EMPTY),
        ("au: NaN", au(4, 6, 8_000, 1, &f32::NAN.to_be_bytes()), BAD_SAMPLE),
        ("flac: marker only", b"fLaC".to_vec(), TRUNCATED),
        ("flac: cut", half("s16.flac"), TRUNCATED),
        ("flac: announces 68 billion samples", flac_announcing((1 << 36) - 1), TRUNCATED),
        ("flac: announces one sample more", flac_announcing(1_103), TRUNCATED),
        ("flac: a picture of 16 MB", [b"fLaC\x06\xff\xff\xff".as_slice(), &[0; 64]].concat(), |e| {
            TRUNCATED(e) || CORRUPT(e)
        }),
        (
            "flac: a frame with a flipped bit",
            {
                let flac = fixture("s16.flac");
                let at = flac.len() - 200;
                let byte = flac[at] ^ 0x10;
                patched(flac, at, &[byte])
            },
            |e| TRUNCATED(e) || CORRUPT(e),
        ),
        ("mp3: cut to less than a frame", fixture("no_xing.mp3")[..60].to_vec(), TRUNCATED),
        (
            "mp3: half of what its Xing header says",
            {
                let long = fixture("mpeg1.mp3");
                let at = long.windows(4).position(|w| w == b"Xing" || w == b"Info").unwrap();
                patched(long, at + 8, &[0, 0, 1, 0])
            },
            |e| TRUNCATED(e),
        ),
        ("mp3: only an ID3 tag", id3(100, &[0; 100]), NOT_AUDIO),
        ("mp3: ten thousand empty ID3 tags", id3(0, &[]).repeat(10_000), NOT_AUDIO),
        ("ogg: marker only", b"OggS\0".to_vec(), TRUNCATED),
        ("ogg: cut", half("vorbis.ogg"), TRUNCATED),
        ("aiff: cut", half("pcm_s16be.aiff"), TRUNCATED),
        ("aiff: header only", fixture("pcm_s16be.aiff")[..12].to_vec(), |e| TRUNCATED(e) || CORRUPT(e)),
        ("m4a: header only", b"\0\0\0\x14ftypM4A \0\0\0\0M4A ".to_vec(), |e| TRUNCATED(e) || UNSUPPORTED(e)),
        ("m4a: cut", half("aac.m4a"), |e| TRUNCATED(e) || CORRUPT(e) || UNSUPPORTED(e)),
        ("m4a: ftyp of 4 GB", b"\xff\xff\xff\xffftypM4A \0\0\0\0".to_vec(), |e| {
            TRUNCATED(e) || CORRUPT(e) || UNSUPPORTED(e)
        }),
    ];
    assert!(cases.len() >= 40);
    let mut problems = Vec::new();
    for (name, bytes, is_right) in &cases {
        match read(bytes) {
            Ok(decoded) => problems.push(format!("{name}: decoded as {:?}", decoded.info)),
            Err(error) if is_right(&error) => (),
            Err(error) => problems.push(format!("{name}: {error:?}")),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn odd_but_honest_files_are_read() {
    let pcm = fmt(1, 1, 8_000, 2, 16);
    let samples = [1u8; 400];
    let good = wav(&pcm, &samples);
    let cases = [
        ("a single sample", wav(&pcm, &[1, 1]), 1),
        (
            "chunks of odd length",
            riff(&[(b"LIST", b"odd"), (b"fmt ", &pcm), (b"junk", b"x"), (b"data", &samples)]),
            200,
        ),
        ("a long header with 32 bits", wav(&[fmt(1, 1, 8_000, 4, 32), vec![0, 0]].concat(), &samples), 100),
        (
            "a RIFF size of 0 and a data size of 0",
            {
                let at = good.windows(4).position(|w| w == b"data").unwrap();
                patched(patched(good.clone(), 4, &[0; 4]), at + 4, &[0; 4])
            },
            200,
        ),
        ("a wrong byte rate", patched(good.clone(), 28, &[9; 4]), 200),
        ("junk behind the data", [good.clone(), vec![7; 33]].concat(), 200),
        ("an ID3 tag before a WAV", id3(10, &[[0; 10].as_slice(), &good].concat()), 200),
        ("a FLAC before an ID3v1 tag", [fixture("s16.flac"), b"TAG".to_vec(), vec![0; 125]].concat(), 1_102),
        ("an AU of unknown size", au(u32::MAX, 3, 8_000, 1, &samples), 200),
        ("an AU with a comment", patched(au(0, 2, 8_000, 1, &samples), 7, &[124]), 300),
    ];
    for (name, bytes, n) in cases {
        assert_eq!(read(&bytes).map(|d| d.clip.samples().len()).map_err(|e| format!("{name}: {e}")), Ok(n));
    }
    // A cut of a stream: junk, then frames of which the first ones miss what they refer to.
    let mp3 = fixture("no_xing.mp3");
    let decoded = read(&[vec![0x55; 300], mp3[50..].to_vec()].concat()).unwrap();
    assert!(decoded.clip.samples().len() >= 1_000, "{:?}", decoded.info);
}

#[test]
fn every_prefix_of_every_container_is_refused_or_read() {
    for (name, bytes) in audio_fixtures() {
        let whole = read(&bytes).map_or(20_000, |decoded| decoded.clip.samples().len());
        // All of the headers, and of what follows every seventh.
        for end in (0..bytes.len()).filter(|end| *end < 2_000 || end % 7 == 0) {
            // Formats without a length may be cut, but nothing is ever added but a frame of delay, which the end would have told.
            if let Ok(decoded) = read(&bytes[..end]) {
                assert!(decoded.clip.samples().len() <= whole + 4_096, "{name}: {end}");
            }
        }
    }
}

/// The kinds of warnings with which `bytes` are decoded, and the samples.
fn warned(bytes: &[u8]) -> Result<(Vec<WarningKind>, usize), String> {
    let decoded = read(bytes).map_err(|error| error.to_string())?;
    let kinds = decoded.info.warnings.iter().map(|warning| warning.kind).collect();
    Ok((kinds, decoded.clip.samples().len()))
}

#[test]
fn a_pcm_file_that_lacks_a_byte_is_read_with_a_warning() {
    for (name, frames) in [
        ("pcm_s16le.wav", 400),
        ("pcm_f64le.wav", 400),
        ("pcm_s24be.au", 400),
        ("pcm_mulaw.au", 400),
        ("pcm_s16be.aiff", 400),
    ] {
        let bytes = fixture(name);
        assert_eq!(warned(&bytes[..bytes.len() - 1]), Ok((vec![WrongSize], frames - 1)), "{name}");
    }
    // The last frame is lost, or with ALAC, whose tables FFmpeg writes behind the audio, everything.
    for name in ["s16.flac", "alac16.m4a"] {
        let bytes = fixture(name);
        let error = read(&bytes[..bytes.len() - 1]).map(|d| d.info);
        assert!(matches!(error, Err(Error::Truncated { .. })), "{name}: {error:?}");
    }
}

#[test]
fn a_wrong_size_is_warned_of_and_not_believed() {
    let good = wav(&fmt(1, 1, 8_000, 2, 16), &[1; 400]);
    let data_at = good.windows(4).position(|w| w == b"data").unwrap();
    let rf64 = fixture("rf64.wav");
    let ds64 = rf64.windows(4).position(|w| w == b"ds64").unwrap();
    for (name, bytes, warnings, frames) in [
        ("data longer than the file", patched(good.clone(), data_at + 4, &[0xff, 0xff, 0, 0]), vec![WrongSize], 200),
        ("fmt of 4 GB", patched(good.clone(), 16, &[0xff; 4]), vec![WrongSize], 200),
        ("an ID3 tag of 256 MB", id3((1 << 28) - 1, &fixture("no_xing.mp3")), vec![WrongSize], 4_608),
        // Sizes of a header that was written before the audio.
        ("data of 4 GB", patched(good.clone(), data_at + 4, &[0xfe, 0xff, 0xff, 0xff]), vec![], 200),
        ("data of 2 GB", patched(good.clone(), data_at + 4, &[0x24, 0, 0, 0x80]), vec![], 200),
        ("data of 2 GB less a header", patched(good.clone(), data_at + 4, &[0xdb, 0xff, 0xff, 0x7f]), vec![], 200),
        ("an exabyte in RF64", patched(rf64, ds64 + 16, &[0xff; 8]), vec![], 400),
    ] {
        assert_eq!(warned(&bytes), Ok((warnings, frames)), "{name}");
    }
}

#[test]
fn a_wrong_alignment_is_not_believed() {
    let data: Vec<u8> = (0..24_000u32).map(|i| ((i * 7919) >> 5) as u8).collect();
    for (channels, bits, align, is_wrong) in [
        (1, 16, 1, true),
        (1, 16, 0, true),
        (1, 16, 3, true),
        (1, 16, 4, true),
        (2, 16, 2, true),
        (2, 16, 3, true),
        (2, 24, 4, true),
        (1, 24, 4, true),
        (1, 8, 2, true),
        (2, 8, 1, true),
        (6, 16, 2, true),
        (1, 32, 2, true),
        (1, 16, 2, false),
        (3, 24, 9, false),
    ] {
        // The bytes a second are right.
        let rate = 8_000 * u32::from(channels) * u32::from(bits) / 8;
        let bytes = wav(&patched(fmt(1, channels, 8_000, align, bits), 8, &rate.to_le_bytes()), &data);
        let frames = data.len() / usize::from(channels * bits / 8);
        let warnings = if is_wrong { vec![WrongHeader] } else { vec![] };
        assert_eq!(warned(&bytes), Ok((warnings, frames)), "{channels} channels, {bits} bits, {align}");
    }
    // 24 bits in 32, as the bytes a second say too.
    let bytes = wav(&fmt(1, 1, 8_000, 4, 24), &data);
    assert_eq!(warned(&bytes), Ok((vec![], data.len() / 4)));
}

/// A FLAC of silence: two hours in a few kilobytes.
fn silent_flac(sample_rate: u32, n_frames: u32, announced: u64) -> Vec<u8> {
    const BLOCK: u64 = 65_535;
    let mut out = b"fLaC\x80\0\0\x22".to_vec();
    out.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    // 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of samples.
    let word = u64::from(sample_rate) << 44 | 15 << 36 | announced;
    out.extend_from_slice(&word.to_be_bytes());
    out.extend_from_slice(&[0; 16]);
    out.extend((0..n_frames).flat_map(|frame| silent_frame(BLOCK as u16, None, frame)));
    out
}

/// A frame of FLAC with `block` samples of silence, one channel, with the width of STREAMINFO, and its rate where none is given.
fn silent_frame(block: u16, rate: Option<u16>, number: u32) -> Vec<u8> {
    // Sync, block size in 16 bits at the end of the header, and the rate in Hz behind it.
    let mut bytes = vec![0xff, 0xf8, if rate.is_some() { 0x7d } else { 0x70 }, 0x00];
    let mut buffer = [0; 4];
    bytes.extend_from_slice(char::from_u32(number).unwrap().encode_utf8(&mut buffer).as_bytes());
    bytes.extend_from_slice(&(block - 1).to_be_bytes());
    bytes.extend(rate.iter().flat_map(|rate| rate.to_be_bytes()));
    bytes.push(crc(&bytes, 8, 0x07) as u8);
    // A constant subframe of value 0.
    bytes.extend_from_slice(&[0, 0, 0]);
    let check = crc(&bytes, 16, 0x8005);
    bytes.extend_from_slice(&check.to_be_bytes());
    bytes
}

#[test]
fn a_difference_of_33_bits_is_refused_and_not_decoded_wrong() {
    let mut flac = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0".to_vec();
    // Two channels of 32 bits at 44.1 kHz.
    flac.extend_from_slice(&(44_100u64 << 44 | 1 << 41 | 31 << 36).to_be_bytes());
    flac.extend_from_slice(&[0; 16]);
    for number in 0..40u8 {
        // 4096 samples, left and difference.
        let mut frame = vec![0xff, 0xf8, 0xc9, 0x8e, number];
        frame.push(crc(&frame, 8, 0x07) as u8);
        // Two constants of 32 and 33 bits, each behind a byte.
        frame.extend_from_slice(&[0; 11]);
        let check = crc(&frame, 16, 0x8005);
        frame.extend_from_slice(&check.to_be_bytes());
        flac.extend_from_slice(&frame);
    }
    let error = read(&flac).unwrap_err();
    assert!(matches!(&error, Error::Unsupported { detail, .. } if detail.contains("32 bits")), "{error}");
}

fn crc(bytes: &[u8], width: u32, polynomial: u16) -> u16 {
    let top = 1 << (width - 1);
    let mask = (top - 1) | top;
    bytes.iter().fold(0, |crc: u16, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << (width - 8), |crc, _| {
            if crc & top == 0 { crc << 1 & mask } else { (crc << 1 & mask) ^ polynomial }
        })
    })
}

#[test]
fn a_bomb_of_silence_is_stopped_at_the_limit() {
    // It is a real FLAC: a minute of it decodes, and is found to be silent.
    let honest = silent_flac(65_535, 50, 50 * 65_535);
    let error = read(&honest).unwrap_err();
    assert!(matches!(error, Error::Silent { .. }), "{error}");
    let two_hours = silent_flac(44_100, 4_845, 0);
    assert!(two_hours.len() < 100_000);
    let error = read(&two_hours).unwrap_err();
    assert!(matches!(error, Error::TooLong { seconds, .. } if seconds < 62.0), "{error}");
    // What is announced is not believed, so that only the samples that are there count.
    let error = decode(silent_flac(655_350, 30, (1 << 36) - 1), &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Silent { .. }), "{error}");
}

#[test]
fn headers_that_lead_nowhere_are_not_followed_for_ever() {
    // Each says that its page has some 20 KB, of which the checksum is wrong.
    let page = [b"OggS\0\0".as_slice(), &[0; 20], &[255], b"OggS"].concat();
    let error = read(&page.repeat(20_000)).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt { container: "ogg", detail } if detail.contains("many headers")),
        "{error}"
    );
}

#[test]
fn a_rate_that_changes_all_the_time_is_refused() {
    // Frames of FLAC that say their own rates, in Hz.
    let mut flac = silent_flac(44_100, 0, 0);
    flac.extend((0..40).flat_map(|n| silent_frame(576, Some(2_000 + 100 * n), n.into())));
    let error = read(&flac).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { detail, .. } if detail.contains("its sample rate changes")), "{error}");
}

#[test]
fn limits_that_are_no_numbers_allow_nothing() {
    for max_seconds in [f64::NAN, -1.0, 0.0] {
        let error = decode(fixture("mono.wav"), &Limits { max_seconds, ..Limits::default() }).unwrap_err();
        assert!(matches!(error, Error::TooLong { .. }), "{error}");
    }
}

/// Files of some seconds with all faults of `cases/`.
fn cases() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.extension().is_some_and(|end| ["md", "tsv", "json"].iter().any(|other| end == *other)))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

proptest! {
    // Each is decoded, some seconds of audio.
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn cut_and_spoiled_cases_take_bounded_time_and_memory(
        which in any::<prop::sample::Index>(),
        cut in 0.2f64..1.2,
        spots in prop::collection::vec((0.0f64..1.0, 1usize..2_000, any::<u8>()), 0..6),
    ) {
        let files = cases();
        let (name, mut bytes) = files[which.index(files.len())].clone();
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        for (from, n, value) in spots {
            // A third of the spots are in the headers.
            let from = if value % 3 == 0 { (from * 400.0) as usize } else { (from * bytes.len() as f64) as usize };
            let n = if value % 3 == 0 { n % 8 } else { n };
            for (i, byte) in bytes.iter_mut().skip(from).take(n).enumerate() {
                *byte = byte.wrapping_mul(31).wrapping_add(value).wrapping_add(i as u8);
            }
        }
        // The most memory so far is forgotten, so that what a failure is reduced to is its own (proc(5)).
        let _ = fs::write("/proc/self/clear_refs", "5");
        let start = std::time::Instant::now();
        if let Ok(decoded) = read(&bytes) {
            prop_assert!(decoded.info.seconds < 60.0);
            prop_assert!(decoded.clip.samples().iter().all(|sample| sample.is_finite()));
        }
        // 400 KB take some 0.2 s; a machine may be busy.
        prop_assert!(start.elapsed().as_secs() < 20, "{}: {:?}", name, start.elapsed());
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_ascii_whitespace().next()?.parse::<u64>().ok());
        prop_assert!(peak.is_none_or(|kib| kib < 512 << 10), "{}: {:?} KiB", name, peak);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read(&bytes);
    }

    #[test]
    fn flipped_bytes_never_panic(which in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let files = audio_fixtures();
        let mut bytes = files[which.index(files.len())].1.clone();
        for (at, value) in flips {
            // Headers are the first few hundred bytes: most flips go there.
            let n = bytes.len();
            let at = if value % 4 == 0 { at.index(n) } else { at.index(n.min(300)) };
            bytes[at] = value;
        }
        let _ = read(&bytes);
    }
}
