//! Every container, codec and width against libsndfile and FFmpeg, and WAV against `hound`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use features::{
    Error,
    decode::{Limits, decode, decode_file},
};
use hound::{SampleFormat, WavSpec, WavWriter};
use proptest::prelude::*;
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name)).unwrap()
}

/// Largest difference between two signals of equal length.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |worst, (a, b)| worst.max((a - b).abs()))
}

#[test]
fn every_fixture_decodes_as_the_reference_does() {
    let manifest: Vec<Value> = serde_json::from_slice(&fixture("manifest.json")).unwrap();
    assert!(manifest.len() > 40);
    let mut problems = Vec::new();
    for entry in &manifest {
        let name = entry["file"].as_str().unwrap();
        let expected: Vec<f32> = fixture(&format!("reference/{}", entry["reference"].as_str().unwrap()))
            .as_chunks()
            .0
            .iter()
            .map(|v| f32::from_le_bytes(*v))
            .collect();
        let decoded = match decode_file(&fixtures().join(name), &Limits::default()) {
            Ok(decoded) => decoded,
            Err(error) => {
                problems.push(format!("{name}: {error}"));
                continue;
            }
        };
        let found = serde_json::to_value(&decoded.info).unwrap();
        for key in ["container", "codec", "sample_rate", "channels", "bits_per_sample"] {
            if found[key] != entry[key] {
                problems.push(format!("{name}: {key} is {}, should be {}", found[key], entry[key]));
            }
        }
        let samples = decoded.clip.samples();
        if samples.len() != expected.len() {
            problems.push(format!("{name}: {} samples, should be {}", samples.len(), expected.len()));
        }
        let worst = difference(samples, &expected);
        if f64::from(worst) > entry["tolerance"].as_f64().unwrap() {
            problems.push(format!("{name}: differs by {worst:e}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_file_name_is_not_asked() {
    let path = std::env::temp_dir().join(format!("tonearm-decode-{}.mp3", std::process::id()));
    fs::write(&path, fixture("s16.flac")).unwrap();
    let decoded = decode_file(&path, &Limits::default());
    fs::remove_file(&path).unwrap();
    assert_eq!(decoded.unwrap().info.container, "flac");
}

#[test]
fn a_missing_file_is_named() {
    let error = decode_file(Path::new("no/such/clip.wav"), &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
    assert!(error.to_string().contains("clip.wav"), "{error}");
}

#[test]
fn limits_are_kept() {
    let wav = fixture("mono.wav");
    let error = decode(&wav, &Limits { max_bytes: 100, ..Limits::default() }).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 100, .. }), "{error}");
    for name in ["mono.wav", "stream.au", "s16.flac", "mpeg1.mp3", "no_xing.mp3", "vorbis.ogg", "sowt.aiff", "aac.m4a"]
    {
        let error = decode(fixture(name), &Limits { max_seconds: 0.01, ..Limits::default() }).unwrap_err();
        assert!(matches!(error, Error::TooLong { .. }), "{name}: {error}");
    }
}

#[test]
fn the_gtzan_clips_decode_to_30_seconds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/gtzan/clips");
    let Ok(genres) = fs::read_dir(&folder) else {
        eprintln!("skipped: no ../shared/gtzan/clips here");
        return;
    };
    for genre in genres {
        let clip = fs::read_dir(genre.unwrap().path()).unwrap().next().unwrap().unwrap().path();
        let decoded = decode_file(&clip, &Limits::default()).unwrap();
        assert_eq!(decoded.info.sample_rate, 22_050);
        assert!((29.0..31.0).contains(&decoded.info.seconds), "{}", clip.display());
    }
}

/// A WAV of `hound`, of integers of `bits` or of floats, and the frames in it.
fn write_wav(spec: WavSpec, values: &[i32]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    for &value in values {
        match spec.sample_format {
            SampleFormat::Int => writer.write_sample(value >> (32 - spec.bits_per_sample)).unwrap(),
            SampleFormat::Float => writer.write_sample(value as f32 / 2f32.powi(31)).unwrap(),
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

proptest! {
    #[test]
    fn wav_round_trip(
        bits in prop::sample::select(vec![8u16, 16, 24, 32, 0]),
        sample_rate in 1u32..400_000,
        channels in 1u16..9,
        values in prop::collection::vec(any::<i32>(), 8..400),
    ) {
        let (bits, format) = if bits == 0 { (32, SampleFormat::Float) } else { (bits, SampleFormat::Int) };
        let spec = WavSpec { channels, sample_rate, bits_per_sample: bits, sample_format: format };
        let n = usize::from(channels);
        let values = &values[..values.len() / n * n];
        let scale = 2f32.powi(31);
        let expected: Vec<f32> = values
            .chunks_exact(n)
            .map(|frame| {
                let truncated = |v: &i32| if format == SampleFormat::Int { *v >> (32 - bits) << (32 - bits) } else { *v };
                let sum = frame.iter().fold(0.0, |sum, v| sum + truncated(v) as f32 / scale);
                sum / f32::from(channels)
            })
            .collect();
        let decoded = decode(write_wav(spec, values), &Limits { max_seconds: 1e9, ..Limits::default() }).unwrap();
        prop_assert_eq!(decoded.clip.samples(), &expected[..]);
        prop_assert_eq!(decoded.clip.sample_rate(), sample_rate);
        prop_assert_eq!(decoded.info.channels, n);
    }

    #[test]
    fn wav_decodes_as_hound_reads_it(
        channels in 1u16..4,
        values in prop::collection::vec(any::<i32>(), 12..200),
    ) {
        let spec = WavSpec { channels, sample_rate: 8_000, bits_per_sample: 24, sample_format: SampleFormat::Int };
        let values = &values[..values.len() / 12 * 12];
        let bytes = write_wav(spec, values);
        let read: Vec<i32> = hound::WavReader::new(Cursor::new(&bytes)).unwrap().samples().map(Result::unwrap).collect();
        let n = usize::from(channels);
        let mean: Vec<f32> = read
            .chunks_exact(n)
            .map(|frame| frame.iter().fold(0.0, |sum, &v| sum + v as f32 / 8_388_608.0) / f32::from(channels))
            .collect();
        let decoded = decode(bytes, &Limits::default()).unwrap();
        prop_assert_eq!(decoded.clip.samples(), &mean[..]);
    }
}
