use std::{collections::BTreeMap, fs, path::Path, sync::Mutex};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::write::to_i16;
use super::*;

fn short(seconds: f64) -> SynthSpec {
    SynthSpec { clips_per_genre: 2, seconds, ..SynthSpec::default() }
}

/// First 16 hexadecimal digits of the SHA-256 of the samples as they stand in the file.
fn digest(samples: &[f32]) -> String {
    let bytes: Vec<u8> = samples.iter().flat_map(|&s| to_i16(s).to_le_bytes()).collect();
    Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn rms_db(samples: &[f32]) -> f64 {
    let power = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / samples.len() as f64;
    10.0 * libm::log10(power)
}

/// Mean zero-crossing rate in crossings a second: a plain measure of brightness.
fn crossings(samples: &[f32]) -> f64 {
    let count = samples.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count();
    count as f64 * f64::from(SAMPLE_RATE) / samples.len() as f64
}

/// Part of the power that lies below some 120 Hz.
fn bass_part(samples: &[f32]) -> f64 {
    let power = |track: &[f32]| track.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>();
    let mut low = samples.to_vec();
    effects::Biquad::low_pass(120.0, 0.7).apply(&mut low);
    effects::Biquad::low_pass(120.0, 0.7).apply(&mut low);
    power(&low) / power(samples)
}

/// How much the level of the treble jumps between frames of 10 ms, in dB: high with drums, low with bows.
fn attacks(samples: &[f32]) -> f64 {
    let mut high = samples.to_vec();
    effects::Biquad::high_pass(4_000.0, 0.7).apply(&mut high);
    let levels: Vec<f64> = high.chunks_exact(220).map(|frame| rms_db(frame).max(-90.0)).collect();
    let rises: f64 = levels.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0)).sum();
    rises / levels.len() as f64
}

/// The mean of a feature over one clip of each of four artists.
fn mean_over_artists(genre: Genre, feature: impl Fn(&[f32]) -> f64) -> f64 {
    (0..4).map(|artist| feature(&render(genre, artist, artist, &short(8.0)))).sum::<f64>() / 4.0
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder that was just written") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).expect("below the root").display().to_string();
                found.insert(name, fs::read(&path).expect("a readable file"));
            }
        }
    }
    found
}

/// The samples do not depend on the CPU, the compiler's version or the machine's libm. Whoever changes the synthesis on
/// purpose takes the new values from this test's message.
#[test]
fn renders_have_the_recorded_bits() {
    let spec = short(3.0);
    let made = Genre::ALL.map(|genre| digest(&render(genre, 1, 1, &spec)));
    let recorded = [
        "d77c6d181d186e6a",
        "333cea6ba9c3c7c7",
        "c32e9aa4bb99be16",
        "7b3095ff86f8ca05",
        "f50295cbbbdffa5a",
        "e46125a181f25f84",
        "a6dcbf5b42d66540",
        "be6eca45c219da8f",
        "01c6598e485cdf7c",
        "531d2f71f30689c6",
    ];
    assert_eq!(made.each_ref().map(String::as_str), recorded);
}

#[test]
fn a_clip_depends_on_its_artist_number_and_seed() {
    let spec = short(1.0);
    let clip = render(Genre::Pop, 0, 0, &spec);
    assert_eq!(clip, render(Genre::Pop, 0, 0, &SynthSpec { clips_per_genre: 700, ..spec.clone() }));
    assert_ne!(clip, render(Genre::Pop, 1, 0, &spec));
    assert_ne!(clip, render(Genre::Pop, 0, 1, &spec));
    assert_ne!(clip, render(Genre::Pop, 0, 0, &SynthSpec { seed: 21, ..spec }));
}

#[test]
fn genres_differ_as_their_names_say() {
    let bright = Genre::ALL.map(|genre| mean_over_artists(genre, crossings));
    let attack = Genre::ALL.map(|genre| mean_over_artists(genre, attacks));
    let bass = Genre::ALL.map(|genre| mean_over_artists(genre, bass_part));
    let of = |values: &[f64; 10], genre: Genre| values[genre.index()];
    assert!(of(&bright, Genre::Metal) > 1.3 * of(&bright, Genre::Classical), "{bright:?}");
    assert!(of(&bright, Genre::Metal) > 1.3 * of(&bright, Genre::Reggae), "{bright:?}");
    for drummed in [Genre::Disco, Genre::Hiphop, Genre::Pop, Genre::Rock, Genre::Country, Genre::Reggae] {
        assert!(of(&attack, drummed) > of(&attack, Genre::Classical), "{drummed}: {attack:?}");
    }
    for heavy in [Genre::Reggae, Genre::Hiphop] {
        for light in [Genre::Classical, Genre::Country, Genre::Metal, Genre::Rock] {
            assert!(of(&bass, heavy) > of(&bass, light), "{heavy} {light}: {bass:?}");
        }
    }
}

#[test]
fn a_dataset_has_the_same_bytes_with_one_thread_and_with_two() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let told = Mutex::new(Vec::new());
    let spec = short(1.5);
    let (one, two) = (folder.path().join("deep/one"), folder.path().join("two"));
    write_dataset(&one, &spec, 1, &|done, total| told.lock().expect("no panic").push((done, total)))
        .expect("a dataset of one thread");
    write_dataset(&two, &spec, 2, &|_, _| {}).expect("a dataset of two threads");

    let made = files(&one);
    assert!(made == files(&two), "the number of threads changed the bytes");
    assert_eq!(made.len(), 21);
    let table = String::from_utf8(made["clips.csv"].clone()).expect("text");
    assert!(
        table.starts_with("clip_id,genre,artist,title\nblues.synth.00000,blues,Synthetic blues artist 1,Number 1 in ")
    );
    assert_eq!(table.lines().count(), 21);
    for line in table.lines() {
        assert_eq!(line.split(',').count(), 4, "{line}");
    }
    let wav = hound::WavReader::new(made["jazz/jazz.synth.00001.wav"].as_slice()).expect("a WAV file");
    assert_eq!((wav.spec().channels, wav.spec().sample_rate, wav.spec().bits_per_sample), (1, 22_050, 16));
    assert_eq!(wav.duration(), 33_075);
    assert_eq!(*told.lock().expect("no panic"), (1..=20).map(|done| (done, 20)).collect::<Vec<_>>());
    // Nothing is left of the name under which it grew.
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 2);
}

#[test]
fn a_full_folder_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("mine"), "kept").expect("a file");
    let error = write_dataset(folder.path(), &short(1.0), 1, &|_, _| {}).expect_err("the folder is full");
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(files(folder.path()).len(), 1);
    let file = folder.path().join("mine");
    let error = write_dataset(&file, &short(1.0), 1, &|_, _| {}).expect_err("a file is no folder");
    assert!(error.to_string().contains("not a folder"), "{error}");
    let error = write_dataset(Path::new(".."), &short(1.0), 1, &|_, _| {}).expect_err("`..` is not a new folder");
    assert!(matches!(error, Error::Option { name: "out", .. }), "{error}");
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("dataset");
    for (clips_per_genre, seconds) in
        [(0, 30.0), (1_001, 30.0), (1, 0.99), (1, 600.1), (1, f64::NAN), (1, f64::INFINITY), (1, -5.0)]
    {
        let spec = SynthSpec { clips_per_genre, seconds, seed: 0 };
        let error = write_dataset(&out, &spec, 1, &|_, _| {}).expect_err("out of range");
        assert!(matches!(error, Error::Option { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_clip_is_finite_within_full_scale_and_audible(
        seed: u64, genre in 0_usize..10, artist in 0_usize..30, clip in 0_usize..1000, seconds in 1.0..3.0_f64,
    ) {
        let spec = SynthSpec { seed, seconds, ..SynthSpec::default() };
        let made = render(Genre::ALL[genre], artist, clip, &spec);
        prop_assert_eq!(made.len(), (seconds * 22_050.0).round() as usize);
        prop_assert!(made.iter().all(|s| s.is_finite() && s.abs() <= 0.981));
        let rms = rms_db(&made);
        prop_assert!((-30.0..-8.0).contains(&rms), "{rms}");
    }
}
