//! The files of `cases/`, with the faults of public bug reports: length, rate, channels and log-mel as the reference decoder has them.
//!
//! `CASES.tsv` says what is expected of each. The kinds `not music` and `degraded` are a matter of models; here they only must decode.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use features::{
    Error, FeatureSpec,
    decode::{AudioInfo, Limits, WarningKind, decode, decode_file, stream_file},
    dsp::{db::power_to_db, mel::MelFilterbank, stft::Stft},
    spec::{DbSpec, MelSpec},
};
use serde_json::Value;

/// Below this all levels are alike; a band above [`LOUD_DB`] may not be [`FAR_DB`] off.
const FLOOR_DB: f64 = -70.0;
const LOUD_DB: f64 = -60.0;
const FAR_DB: f64 = 6.0;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

struct Case {
    file: String,
    kind: String,
    expected: String,
}

fn cases() -> Vec<Case> {
    let table = fs::read_to_string(folder().join("CASES.tsv")).unwrap();
    let rows = table.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    rows.map(|row| Case { file: row[0].clone(), kind: row[1].clone(), expected: row[5].clone() }).collect()
}

/// Means over time of 32 mel bands in dB at 22,050 Hz, as `librosa.feature.melspectrogram(n_fft=2048, hop_length=512, n_mels=32)` has them.
fn mel_means(samples: &features::Clip) -> Vec<f64> {
    let spec = FeatureSpec::librosa();
    let clip = samples.resampled(22_050).unwrap();
    let stft = Stft::new(&spec.stft).unwrap();
    let mel = MelSpec { n_mels: 32, ..spec.mel };
    let bank = MelFilterbank::new(22_050, spec.stft.n_fft, &mel).unwrap();
    let mut db = bank.spectrogram(&stft, clip.samples()).unwrap();
    power_to_db(&mut db, &DbSpec { top_db: None, ..spec.db });
    db.rows().into_iter().map(|row| row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    f64::midpoint(values[n / 2], values[(n - 1) / 2])
}

/// Why the mel means are not those of the reference decoder.
fn difference(heard: &[f64], reference: &Value) -> Option<String> {
    let wanted: Vec<f64> =
        reference["mel_db"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap().max(FLOOR_DB)).collect();
    let mut d: Vec<f64> = heard.iter().zip(&wanted).map(|(h, w)| h.max(FLOOR_DB) - w).collect();
    if reference["level_free"] == true {
        let level = median(d.clone());
        d.iter_mut().for_each(|x| *x -= level);
    }
    let tolerance = reference["tolerance_db"].as_f64().unwrap();
    let off = median(d.iter().map(|x| x.abs()).collect());
    if off > tolerance {
        return Some(format!("log-mel is {off:.1} dB off, {tolerance} allowed"));
    }
    let most = FAR_DB.max(2.0 * tolerance);
    let far = d.iter().zip(&wanted).filter(|&(d, w)| *w > LOUD_DB && d.abs() > most).count();
    (far > 3).then(|| format!("log-mel is over {most} dB off in {far} of 32 bands"))
}

/// Why a file does not meet one of its expectations.
fn miss(
    expected: &str,
    result: &Result<features::decode::Decoded, Error>,
    reference: Option<&Value>,
) -> Option<String> {
    if let Some(words) = expected.strip_prefix("refuse: ") {
        let Err(error) = result else { return Some("it is decoded".into()) };
        let text = error.to_string().to_lowercase();
        let is_named = words.split('/').any(|word| text.contains(&word.trim().to_lowercase()));
        return (!is_named).then(|| format!("refused, but not with '{words}': {text}"));
    }
    if expected == "not-music" {
        let is_silent = matches!(result, Err(Error::Silent { .. }));
        return (!is_silent).then(|| format!("not silent: {:?}", result.as_ref().map(|d| &d.info)));
    }
    let decoded = match result {
        Ok(decoded) => decoded,
        Err(error) => return Some(error.to_string()),
    };
    let Some(numbers) = expected.strip_prefix("decode: ") else { return None };
    // 8.000±0.1 s, 48000/44100 Hz, 2 ch
    let [seconds, rates, channels]: [&str; 3] = numbers.split(", ").collect::<Vec<_>>().try_into().unwrap();
    let (seconds, tolerance) = seconds.trim_end_matches(" s").split_once('±').unwrap();
    let [seconds, tolerance] = [seconds, tolerance].map(|text| text.parse::<f64>().unwrap());
    let is_one_of = |list: &str, unit: &str, value: usize| {
        list.trim_end_matches(unit).split('/').any(|item| item == value.to_string())
    };
    let info = &decoded.info;
    if (info.seconds - seconds).abs() > tolerance + 1e-3
        || !is_one_of(rates, " Hz", info.sample_rate as usize)
        || !is_one_of(channels, " ch", info.channels)
    {
        return Some(format!("{:.3} s, {} Hz, {} ch", info.seconds, info.sample_rate, info.channels));
    }
    reference.and_then(|reference| difference(&mel_means(&decoded.clip), reference))
}

#[test]
fn each_case_is_as_expected() {
    let expected: Value = serde_json::from_slice(&fs::read(folder().join("expected.json")).unwrap()).unwrap();
    let (mut problems, mut n) = (Vec::new(), 0);
    for case in cases() {
        let result = decode_file(&folder().join(&case.file), &Limits::default());
        if case.kind == "not music" || case.kind == "degraded" {
            if let Err(error) = result {
                problems.push(format!("{}: {error}", case.file));
            }
            continue;
        }
        n += 1;
        let misses: Vec<_> =
            case.expected.split(" | ").map(|way| miss(way, &result, expected.get(&case.file))).collect();
        if misses.iter().all(Option::is_some) {
            let why: Vec<_> = misses.into_iter().flatten().collect();
            problems.push(format!("{} ({}): expected {}; {}", case.file, case.kind, case.expected, why.join("; ")));
        }
    }
    assert_eq!(n, 68);
    assert!(problems.is_empty(), "{} of {n} miss:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn what_is_wrong_is_warned_of() {
    use WarningKind::{Antiphase, Damaged, FormatChange, LeadingData, TrailingData, Truncated, WrongHeader, WrongSize};
    let kinds = |name: &str| -> Vec<WarningKind> {
        let info = decode_file(&folder().join(name), &Limits::default()).map(|decoded| decoded.info);
        info.unwrap().warnings.iter().map(|warning| warning.kind).collect()
    };
    for (name, expected) in [
        ("clean.flac", vec![]),
        ("lame_pipe.wav", vec![]),
        ("layer2.mp2", vec![]),
        ("apev2_id3v1_behind.flac", vec![]),
        ("apev2_before.mp3", vec![]),
        ("align_1_mono16.wav", vec![WrongHeader]),
        ("joined.mp3", vec![]),
        ("joined_mono_stereo.mp3", vec![FormatChange]),
        ("joined_44_48.mp3", vec![FormatChange]),
        ("chained_other_rate.ogg", vec![FormatChange]),
        ("antiphase.flac", vec![Antiphase]),
        ("plus2.wav", vec![WrongSize]),
        ("cut.wav", vec![Truncated]),
        ("cut.au", vec![Truncated]),
        ("cut.aiff", vec![Truncated]),
        ("cut_xing.mp3", vec![Truncated]),
        ("cut.flac", vec![Truncated]),
        ("cut.ogg", vec![Truncated]),
        ("cut_faststart.m4a", vec![Truncated]),
        ("spot_xing.mp3", vec![Damaged]),
        ("spot.flac", vec![Damaged]),
        ("spot.ogg", vec![Damaged]),
        ("junk_behind.flac", vec![TrailingData]),
        ("zeros_behind.ogg", vec![TrailingData]),
        ("zeros_before.mp3", vec![LeadingData]),
        ("frames_restart.flac", vec![WrongHeader]),
    ] {
        assert_eq!(kinds(name), expected, "{name}");
    }
}

#[test]
fn a_stream_is_the_clip_in_pieces() {
    let mut lengths = BTreeMap::new();
    for case in cases() {
        let path = folder().join(&case.file);
        let (mut samples, mut rates) = (Vec::new(), Vec::new());
        let streamed: Result<AudioInfo, Error> = stream_file(&path, &Limits::default(), &mut |piece, rate| {
            assert!(piece.len() <= 2_000_000, "{}: a piece of {}", case.file, piece.len());
            samples.extend_from_slice(piece);
            rates.push(rate);
            Ok(())
        });
        match (streamed, decode(fs::read(&path).unwrap(), &Limits::default())) {
            (Ok(info), Ok(decoded)) => {
                assert_eq!(info, decoded.info, "{}", case.file);
                assert_eq!(samples, decoded.clip.samples(), "{}", case.file);
                assert!(rates.iter().all(|&rate| rate == info.sample_rate));
                lengths.insert(case.file, samples.len());
            }
            (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string(), "{}", case.file),
            (a, b) => panic!("{}: {a:?}, {:?}", case.file, b.map(|decoded| decoded.info)),
        }
    }
    assert!(lengths.len() > 60, "{}", lengths.len());
}
