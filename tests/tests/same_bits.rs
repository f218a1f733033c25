//! Features have the same bits at every SIMD level, and those that are committed. (Whole trainings: `verify.rs`.)

use std::collections::BTreeMap;

use tests::{run, train};

const DATASET: [&str; 7] = ["synth", "--out", "dataset", "--clips-per-genre", "8", "--seconds", "6"];

#[test]
fn features_have_the_same_bits_at_every_simd_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    train(at, &DATASET);
    for spec in ["gtzan-store", "librosa"] {
        let digest = |level: &str| {
            let arguments = ["inspect", "dataset/jazz/jazz.synth.00001.wav", "--json", "--spec", spec];
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
    train(at, &DATASET);
    let golden: BTreeMap<String, String> =
        serde_json::from_str(include_str!("golden/features_digests.json")).expect("JSON");
    let mut found = BTreeMap::new();
    for spec in ["gtzan-store", "librosa"] {
        for clip in ["blues/blues.synth.00000", "metal/metal.synth.00003"] {
            let file = format!("dataset/{clip}.wav");
            let said: serde_json::Value =
                serde_json::from_str(&train(at, &["inspect", &file, "--json", "--spec", spec])).expect("JSON");
            found.insert(format!("{spec} {clip}"), said["features_digest"].as_str().expect("a digest").to_owned());
        }
    }
    assert_eq!(found, golden);
}
