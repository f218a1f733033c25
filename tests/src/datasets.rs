//! Datasets with labels of their own, in the forms in which people have them, from synthetic audio.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use data::rng::Rng;
use serde_json::{Value, json};

use crate::train;

/// Samples a second.
const RATE: u32 = 22_050;

/// A take of an artist who plays what is called `label`: the label decides the chords, the rhythm and the noise, the artist the tuning and the
/// balance, the take the order. Two takes are two recordings.
#[must_use]
pub fn take(label: usize, artist: usize, take: usize, seconds: f64) -> Vec<f32> {
    let mut of_label = Rng::new(1_000 + label as u64);
    let chords: Vec<Vec<f64>> =
        (0..3).map(|_| (0..4).map(|_| 80.0 * (5.0 * of_label.unit()).exp2()).collect()).collect();
    let (beat, noise, decay) = (of_label.uniform(0.1, 0.5), of_label.uniform(0.0, 0.3), of_label.uniform(1.0, 20.0));
    let mut of_artist = Rng::new(10_000_000 + (label * 100 + artist) as u64);
    let (tuning, loudness) = (of_artist.uniform(0.98, 1.02), of_artist.uniform(0.1, 0.3));
    let mut rng = Rng::new(20_000_000 + ((label * 100 + artist) * 100 + take) as u64);
    let n = (seconds * f64::from(RATE)) as usize;
    let mut samples = Vec::with_capacity(n);
    while samples.len() < n {
        let chord = &chords[rng.below(chords.len())];
        let length = beat * rng.uniform(0.9, 1.1) * f64::from(RATE);
        for i in 0..length as usize {
            let t = i as f64 / f64::from(RATE);
            let tone: f64 = chord.iter().map(|hz| (std::f64::consts::TAU * hz * tuning * t).sin()).sum();
            samples.push((loudness * (tone / 4.0 + noise * rng.normal()) * (-decay * t).exp()) as f32);
        }
    }
    samples.truncate(n);
    samples
}

/// Writes mono WAV of 16 bits, with the folders above it.
///
/// # Panics
/// When it cannot be written.
pub fn write_wav(path: &Path, samples: &[f32]) {
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("folders");
    let spec =
        hound::WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).expect("a new file");
    for sample in samples {
        writer.write_sample((sample * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16).expect("a sample");
    }
    writer.finalize().expect("a whole file");
}

/// Two labels in Cyrillic, as folders `LABEL/Artist/Album/`: six artists each, two tracks of 3 s each. Returns the folder.
#[must_use]
pub fn two(at: &Path) -> PathBuf {
    let folder = at.join("музыка");
    for (index, label) in ["марш", "вальс"].into_iter().enumerate() {
        for artist in 0..6 {
            for track in 0..2 {
                let file = folder.join(label).join(format!("Artist {label} {artist}/Album {artist}/{track:02}.wav"));
                write_wav(&file, &take(index, artist, track, 3.0));
            }
        }
    }
    folder
}

/// Three labels of 24, 12 and 8 clips of 3 s as Hugging Face's AudioFolder, with parts `train`, `validation` and `test`. Returns the folder.
#[must_use]
pub fn three(at: &Path) -> PathBuf {
    let folder = at.join("folk dances");
    for (index, (label, artists)) in [("polka", 12), ("Ländler", 6), ("R&B, slow", 4)].into_iter().enumerate() {
        for artist in 0..artists {
            let part = ["train", "train", "validation", "test"][artist % 4];
            for track in 0..2 {
                let file = folder.join(part).join(label).join(format!("{index}-{artist}-{track}.wav"));
                write_wav(&file, &take(10 + index, artist, track, 3.0));
            }
        }
    }
    folder
}

/// 26 labels, each of four artists with two clips of 3 s, named by a manifest with artists. Returns the table.
#[must_use]
pub fn twenty_six(at: &Path) -> PathBuf {
    let folder = at.join("alphabet");
    let mut table = String::from("path,label,artist\n");
    for (index, letter) in ('a'..='z').enumerate() {
        let label = format!("{letter} · {}", ["ночь", "夜", "night", "nuit"][index % 4]);
        for artist in 0..4 {
            for track in 0..2 {
                let name = format!("files/{}/{letter}{artist}{track}", artist % 2);
                write_wav(&folder.join(&name), &take(20 + index, artist, track, 3.0));
                writeln!(table, "{name},{label},Artist {index}.{artist}").expect("memory");
            }
        }
    }
    let path = folder.join("tracks.csv");
    fs::write(&path, table).expect("a table");
    path
}

/// 300 labels of four artists with one clip of 2 s each, in FMA's form: numbered files and `tracks.csv` with a split. Returns the folder.
#[must_use]
pub fn three_hundred(at: &Path) -> PathBuf {
    let folder = at.join("fma");
    let mut table =
        String::from(",artist,artist,set,set,track,track\n,id,name,split,subset,genre_top,title\ntrack_id,,,,,,\n");
    for label in 0..300 {
        for artist in 0..4 {
            let track = label * 4 + artist + 2;
            let split = ["training", "training", "training", "test"][artist];
            let name = format!("fma_small/{:03}/{track:06}.mp3", track / 1000);
            write_wav(&folder.join(name), &take(100 + label, artist, 0, 2.0));
            writeln!(table, "{track},{0},Artist {0},{split},small,Genre {label:03},Track {track}", label * 4 + artist)
                .expect("memory");
        }
    }
    fs::create_dir_all(folder.join("fma_metadata")).expect("a folder");
    fs::write(folder.join("fma_metadata/tracks.csv"), table).expect("a table");
    folder
}

/// Writes `search.json` into the folder `at`: a search of one point, so that `train svm --search search.json` takes a moment.
///
/// # Panics
/// When it cannot be written.
pub fn write_search(at: &Path) {
    let search = json!({
        "c": [4.0], "gamma": [1.0], "balance": [0.0], "class_weight": "equal", "folds": 2, "repeats": 1,
        "criterion": "accuracy", "calibration": "shared_slope", "temperature": false, "tolerance": 1e-3,
    });
    fs::write(at.join("search.json"), search.to_string()).expect("a file");
}

/// Runs `train` in the folder `at` with `--json`, which must succeed, and gives what it printed.
///
/// # Panics
/// When it fails or prints something else.
#[must_use]
pub fn trained(at: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&train(at, &[arguments, &["--json"]].concat())).expect("JSON")
}
