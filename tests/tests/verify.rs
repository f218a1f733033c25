//! `train verify`: the same inputs give the same bytes, and one bit of an input is found and its stage named.

use std::{fs, path::Path};

use serde_json::Value;
use tests::{run, train};

const LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/reproducibility.lock");

/// Runs `train verify` in the folder `at` with the lock that is committed: whether it succeeded, its JSON, its stderr.
fn verify(at: &Path, arguments: &[&str]) -> (bool, Value, String) {
    let output = run("train", at, &[], &[&["verify", "--json", "--lock", LOCK], arguments].concat());
    let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.success(), said, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What the lock says of the items that were compared.
fn against(said: &Value) -> Vec<(&str, &str)> {
    let items = said["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| (item["item"].as_str().expect("a name"), item["lock"].as_str().expect("a verdict")))
        .collect()
}

#[test]
fn every_run_makes_the_bytes_of_the_lock() {
    let folder = tempfile::tempdir().expect("a folder");
    let (succeeded, said, errors) = verify(folder.path(), &[]);
    assert!(succeeded, "{errors}");
    // The lock has entries of a network for the instruction sets on which it was written.
    let lock = fs::read_to_string(LOCK).expect("the lock");
    let here = format!("instruction_set = {}", said["instruction_set"]);
    let is_held = |item: &str| {
        lock.split("[[entry]]").any(|entry| entry.contains(&format!("\"{item}\"")) && entry.contains(&here))
    };
    let network = |item: &'static str| (item, if is_held(item) { "same" } else { "other-machines" });
    let expected =
        ["dataset", "feature store", "vectors of the SVM", "svm weights", "svm documents"].map(|item| (item, "same"));
    let networks = ["vgg19 weights", "vgg19 documents"].map(network);
    assert_eq!(against(&said), [&expected[..], &networks].concat());
    // One without SIMD among them, of all but the network.
    let runs = said["runs"].as_array().expect("runs");
    assert_eq!(runs.iter().map(|run| run["simd"].as_str()).collect::<Vec<_>>(), [None, None, Some("scalar")]);
    for item in said["items"].as_array().expect("items") {
        let made = item["sha256"].as_array().expect("digests").iter().filter(|digest| digest.is_string()).count();
        assert_eq!(made, if item["item"].as_str().expect("a name").starts_with("vgg19") { 2 } else { 3 }, "{item}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left where it ran");
}

#[test]
fn one_bit_of_the_dataset_is_found_in_the_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    train(at, &["synth", "--out", "dataset", "--clips-per-genre", "8", "--seconds", "6", "--seed", "42"]);
    let clip = at.join("dataset/reggae/reggae.synth.00005.wav");
    let mut bytes = fs::read(&clip).expect("a clip");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&clip, bytes).expect("written");
    let (succeeded, said, errors) = verify(at, &["--data", "dataset"]);
    assert!(!succeeded);
    assert!(errors.contains("not reproducible: data: dataset has the digest"), "{errors}");
    assert_eq!(against(&said), [("dataset", "different")], "what follows is not made");
    assert_eq!((&said["difference"]["kind"], &said["difference"]["stage"]), (&"from-lock".into(), &"data".into()));
}

#[test]
fn one_number_of_the_specification_is_found_in_the_features() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut spec = serde_json::to_value(features::FeatureSpec::gtzan_store()).expect("JSON");
    let f_max = &mut spec["mel"]["f_max"];
    *f_max = (f_max.as_f64().expect("a frequency in Hz") - 1.0).into();
    fs::write(at.join("spec.json"), spec.to_string()).expect("written");
    let (succeeded, said, errors) = verify(at, &["--spec", "spec.json"]);
    assert!(!succeeded);
    assert!(errors.contains("not reproducible: features: feature store"), "{errors}");
    assert_eq!(against(&said), [("dataset", "same"), ("feature store", "different")]);
}

#[test]
fn a_lock_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run("train", folder.path(), &[], &["verify"]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    for words in ["experiments/reproducibility.lock", "--no-lock"] {
        assert!(errors.contains(words), "{errors}");
    }
}
