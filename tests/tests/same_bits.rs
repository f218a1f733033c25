//! The same inputs give the same bytes: any number of threads, any SIMD level, any folder, zone or language.

use std::{collections::BTreeMap, fs, path::Path};

use tests::{run, train};

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder_now) = open.pop() {
        for entry in fs::read_dir(&folder_now).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// Where two folders differ.
fn differences(a: &Path, b: &Path) -> Vec<String> {
    let (a, b) = (files(a), files(b));
    assert!(!a.is_empty());
    a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}

const CORPUS: [&str; 7] = ["synth", "--out", "corpus", "--clips-per-genre", "8", "--seconds", "6"];

#[test]
fn a_store_and_an_artifact_depend_on_their_inputs_alone() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let deep = other.path().join("somewhere/else");
    fs::create_dir_all(&deep).expect("folders");
    let places = [one.path(), &deep];
    let surroundings: [&[(&str, &str)]; 2] = [
        &[("TZ", "UTC"), ("LANG", "C")],
        &[("TZ", "Pacific/Auckland"), ("LANG", "fr_FR.UTF-8"), ("TONEARM_SIMD", "scalar")],
    ];
    for ((at, variables), threads) in places.into_iter().zip(surroundings).zip(["1", "2"]) {
        let commands: [&[&str]; 3] = [
            &CORPUS,
            &["extract", "--data", "corpus", "--out", "store"],
            // From the audio, so that every descriptor has its part.
            &["svm", "--data", "corpus", "--artifacts", "artifacts", "--seed", "7"],
        ];
        for command in commands {
            let output = run("train", at, variables, &[command, &["--threads", threads]].concat());
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    for folder in ["corpus", "store", "artifacts"] {
        let differences = differences(&one.path().join(folder), &deep.join(folder));
        assert!(differences.is_empty(), "{folder}: {differences:?} differ");
    }
    // What was written says nothing of where or when.
    for (name, bytes) in files(&one.path().join("artifacts")) {
        let text = String::from_utf8_lossy(&bytes);
        for place in places {
            assert!(!text.contains(&place.display().to_string()), "{name} names a folder");
        }
    }
}

#[test]
fn features_have_the_same_bits_at_every_simd_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    train(at, &CORPUS);
    for spec in ["gtzan-store", "librosa"] {
        let digest = |level: &str| {
            let arguments = ["inspect", "corpus/jazz/jazz.synth.00001.wav", "--json", "--spec", spec];
            let output = run("train", at, &[("TONEARM_SIMD", level)], &arguments);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            said["features_digest"].as_str().expect("a digest").to_owned()
        };
        let scalar = digest("scalar");
        for level in ["v3", "v4", "auto"] {
            assert_eq!(digest(level), scalar, "{spec} at {level}");
        }
    }
}

/// Whoever changes a number must raise a revision and these.
#[test]
fn features_are_those_of_the_committed_digests() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    train(at, &CORPUS);
    let golden: BTreeMap<String, String> =
        serde_json::from_str(include_str!("golden/features_digests.json")).expect("JSON");
    let mut found = BTreeMap::new();
    for spec in ["gtzan-store", "librosa"] {
        for clip in ["blues/blues.synth.00000", "metal/metal.synth.00003"] {
            let file = format!("corpus/{clip}.wav");
            let said: serde_json::Value =
                serde_json::from_str(&train(at, &["inspect", &file, "--json", "--spec", spec])).expect("JSON");
            found.insert(format!("{spec} {clip}"), said["features_digest"].as_str().expect("a digest").to_owned());
        }
    }
    assert_eq!(found, golden);
}
