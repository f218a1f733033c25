//! VGG19 from outside: trained, killed, taken up again, asked; on a small network and a small dataset.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tests::{
    run, train,
    tuning::{artifact_files, checkpoints, kill_after_checkpoint, small_config},
};

const DATASET: [&str; 7] = ["synth", "--out", "dataset", "--clips-per-genre", "6", "--seconds", "5"];
/// Epochs of a tuning.
const EPOCHS: usize = 5;

fn prepare(at: &Path) {
    train(at, &DATASET);
    train(at, &["extract", "--data", "dataset", "--out", "store"]);
    fs::write(at.join("frozen.json"), small_config(0).to_string()).expect("a file");
    fs::write(at.join("finetune.json"), small_config(EPOCHS).to_string()).expect("a file");
}

fn arguments<'a>(config: &'a str, artifacts: &'a str, cache: &'a str) -> Vec<&'a str> {
    vec!["vgg19", "--data", "store", "--config", config, "--artifacts", artifacts, "--cache", cache, "--json"]
}

/// Bytes of the artifact in use.
fn artifact(at: &Path, artifacts: &str) -> Vec<(String, Vec<u8>)> {
    artifact_files(&at.join(artifacts).join("vgg19"))
}

#[test]
fn a_training_that_was_killed_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    prepare(at);
    let whole = arguments("finetune.json", "whole", "cache-whole");
    let said: Value = serde_json::from_str(&train(at, &[&whole[..], &["--threads", "1"]].concat())).expect("JSON");
    assert!(said["evaluation"]["accuracy"].as_f64().expect("a number") > 0.2, "better than one in ten: {said}");
    assert_eq!(checkpoints(&at.join("cache-whole")), Vec::<PathBuf>::new(), "a finished training leaves no checkpoint");

    // Killed three times, each time once more of it is on the disk.
    let broken = [&arguments("finetune.json", "broken", "cache")[..], &["--threads", "2"]].concat();
    let killed = (0..3).filter(|_| kill_after_checkpoint(at, &at.join("cache"), &broken)).count();
    assert!(killed >= 2, "the training must be under way when it is killed");
    assert!(!at.join("broken/vgg19/CURRENT").exists());
    train(at, &broken);
    for ((name, ours), (other, theirs)) in artifact(at, "whole").into_iter().zip(artifact(at, "broken")) {
        assert_eq!(name, other);
        assert!(ours == theirs, "{name} differs between the unbroken training and the one that was killed");
    }

    // A checkpoint that is no checkpoint is not believed, and does not stand in the way.
    let again = arguments("finetune.json", "again", "cache");
    let _ = kill_after_checkpoint(at, &at.join("cache"), &again);
    for path in checkpoints(&at.join("cache")) {
        let bytes = fs::read(&path).expect("a checkpoint");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
    }
    train(at, &again);
    assert!(artifact(at, "again") == artifact(at, "whole"));
}

#[test]
fn frozen_trainings_agree_with_and_without_their_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    prepare(at);
    for (artifacts, more) in
        [("one", &["--threads", "1"][..]), ("two", &["--threads", "2"]), ("three", &["--threads", "2", "--no-cache"])]
    {
        train(at, &[&arguments("frozen.json", artifacts, "cache")[..], more].concat());
    }
    assert!(artifact(at, "one") == artifact(at, "two"), "from the cache");
    assert!(artifact(at, "one") == artifact(at, "three"), "without it");
    assert!(fs::read_dir(at.join("cache/embeddings")).expect("a cache").count() > 20);

    // Another seed is another training; evaluate takes the artifact; the report shows no curve where none was trained.
    train(at, &[&arguments("frozen.json", "other", "cache")[..], &["--seed", "1"]].concat());
    assert!(artifact(at, "one") != artifact(at, "other"));
    let evaluated: Value = serde_json::from_str(&train(
        at,
        &["evaluate", "--artifact", "one/vgg19", "--data", "dataset", "--split", "everything", "--json"],
    ))
    .expect("JSON");
    assert_eq!(evaluated["model"], "vgg19");
    assert_eq!(evaluated["n"], 60);
    let report = artifact(at, "one").into_iter().find(|(name, _)| name == "report.html").expect("a report").1;
    assert!(!String::from_utf8(report).expect("UTF-8").contains("How the training went"));
}

#[test]
fn what_cannot_be_trained_is_said_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    prepare(at);
    train(at, &["svm", "--data", "dataset", "--artifacts", "artifacts"]);
    fs::write(at.join("noise.safetensors"), [7u8; 1000]).expect("a file");
    fs::write(at.join("bad.json"), json!({ "seed": 1 }).to_string()).expect("a file");
    let mut unfrozen = small_config(EPOCHS);
    unfrozen["finetune"]["unfreeze_from"] = json!(4);
    fs::write(at.join("unfrozen.json"), unfrozen.to_string()).expect("a file");
    let cases: [(&[&str], &[&str]); 8] = [
        (&["--weights", "nowhere.pth"], &["nowhere.pth"]),
        (&["--weights", "noise.safetensors"], &["noise.safetensors"]),
        (&["--weights", "artifacts/svm"], &["svm", "vgg19"]),
        (&["--device", "cuda"], &["cuda", "--features cuda"]),
        (&["--device", "abacus"], &["abacus", "flex"]),
        (&["--epochs", "3"], &["--regime finetune"]),
        (&["--config", "bad.json"], &["bad.json"]),
        (&["--config", "unfrozen.json"], &["unfreeze_from"]),
    ];
    for (more, words) in cases {
        let output = run("train", at, &[], &[&["vgg19", "--data", "store"], more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{more:?} is accepted");
        assert!(words.iter().all(|word| said.contains(word)), "{more:?} must say {words:?}: {said}");
        assert!(!said.contains("panicked"), "{more:?}: {said}");
    }
    assert!(!at.join("artifacts/vgg19").exists(), "nothing is left behind");

    // Nothing listens there; the default repository would be on the internet.
    let output = run("train", at, &[("HF_ENDPOINT", "http://127.0.0.1:9")], &["weights", "fetch"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !at.join("data/weights").join("vgg19.safetensors").exists());
    assert!(said.contains("failed to connect to http://127.0.0.1:9/timm/vgg19.tv_in1k"), "{said}");
}
