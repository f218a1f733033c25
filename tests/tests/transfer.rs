//! A network that was trained on 26 labels, transferred to three others: what is kept, killed and taken up again, and what is refused.

use std::{fs, path::Path};

use models::{
    artifact::{self, Artifact},
    vgg19::Vgg19Parameters,
};
use serde_json::{Value, json};
use tests::{
    Server, datasets, multipart, request, run, train,
    tuning::{artifact_files, checkpoints, kill_after_checkpoint, small_config},
};

/// Epochs of the tuning of the network that is transferred.
const EPOCHS: usize = 4;

/// Stores of 26 and of three labels, and in `artifacts` the network `alphabet` of the 26, tuned for an epoch.
fn prepare(at: &Path) {
    let (many, few) = (datasets::twenty_six(at), datasets::three(at));
    for (dataset, store) in [(many, "many"), (few, "few")] {
        train(at, &["extract", "--data", dataset.to_str().expect("UTF-8"), "--out", store]);
    }
    for (name, epochs) in [("frozen.json", 0), ("source.json", 1), ("transfer.json", EPOCHS)] {
        fs::write(at.join(name), small_config(epochs).to_string()).expect("a file");
    }
    let source = ["vgg19", "--data", "many", "--config", "source.json", "--name", "alphabet"];
    train(at, &[&source[..], &["--artifacts", "artifacts", "--cache", "cache-many"]].concat());
}

/// A training of the three labels as the model `dances` that starts from `init`.
fn arguments<'a>(init: &'a str, artifacts: &'a str, cache: &'a str) -> Vec<&'a str> {
    let what = ["vgg19", "--data", "few", "--config", "transfer.json", "--name", "dances", "--init", init];
    [&what[..], &["--artifacts", artifacts, "--cache", cache]].concat()
}

/// The version in use of a model, and its numbers.
fn opened(model_dir: &Path) -> (Artifact, Vgg19Parameters) {
    let version = model_dir.join(artifact::current(model_dir).expect("a version in use"));
    let artifact = Artifact::open(&version).expect("an artifact");
    let parameters = Vgg19Parameters::from_tensors(artifact.weights().expect("weights")).expect("a network");
    (artifact, parameters)
}

#[test]
fn a_transfer_keeps_the_network_and_says_where_it_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    prepare(at);
    let said = train(at, &arguments("alphabet", "artifacts", "cache"));
    let (source, before) = opened(&at.join("artifacts/alphabet"));
    let (artifact, after) = opened(&at.join("artifacts/dances"));
    assert!(said.contains(&format!("Starts from alphabet {}, a network of 26 labels", source.version())), "{said}");

    // The input and the frozen block are as they were, the tuned block and the head are not.
    assert_eq!((&after.mean, &after.deviation), (&before.mean, &before.deviation));
    let changed = |conv: usize| before.weights.convs()[conv] != after.weights.convs()[conv];
    assert_eq!((0..before.weights.convs().len()).map(changed).collect::<Vec<_>>(), [false, false, true, true]);
    assert_eq!((before.head.bias.len(), after.head.bias.len()), (26, 3));
    let manifest = artifact.manifest();
    assert_eq!(manifest.labels.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["Ländler", "R&B, slow", "polka"]);
    let init = &manifest.training["init"];
    let theirs = source.manifest();
    let expected = json!({
        "name": "alphabet", "version": source.version(), "weights": theirs.files["weights.safetensors"], "tuned": true,
        "labels": theirs.labels, "data": theirs.data, "synthetic": false,
    });
    assert_eq!(*init, expected);
    assert_eq!(manifest.training["tuned_on_before"], 0);
    assert!(theirs.training.get("init").is_none(), "a network that started from none says nothing of it");
    let card = train(at, &["card", "--artifact", "artifacts/dances"]);
    for words in ["It started from the network", "of 26 labels", "--init INIT", "fine-tuned on other clips and then"] {
        assert!(card.contains(words), "{words}: {card}");
    }
    let evaluated: Value = serde_json::from_str(&train(
        at,
        &["evaluate", "--artifact", "artifacts/dances", "--data", "few", "--split", "given:test", "--json"],
    ))
    .expect("JSON");
    assert_eq!((&evaluated["n"], &evaluated["seen_in_training"]), (&json!(10), &json!(0)));

    // A server says it in its list and in every answer.
    let server = Server::start("vgg", &at.join("artifacts"));
    let expected = json!({
        "name": "alphabet", "version": source.version(), "labels": 26,
        "trained_on": { "description": theirs.data.description, "clips": theirs.data.clips, "synthetic": false },
    });
    let of = |name: &str| request(server.address, "GET", &format!("/v1/models/{name}"), None, b"").expect("an answer");
    assert_eq!(of("dances").json()["initialised_from"], expected);
    assert!(of("alphabet").json().get("initialised_from").is_none());
    let track = fs::read(at.join("folk dances/test/polka/0-3-0.wav")).expect("a track");
    let (content_type, form) = multipart("audio_file", "track", &track);
    let answer = request(server.address, "POST", "/v1/models/dances/predict", Some(&content_type), &form);
    assert_eq!(answer.expect("an answer").json()["model"]["initialised_from"], expected);

    // From that network another may start, frozen, and says the whole chain.
    let again = ["vgg19", "--data", "few", "--config", "frozen.json", "--name", "again", "--init", "dances"];
    train(at, &[&again[..], &["--artifacts", "artifacts", "--no-cache"]].concat());
    let (artifact, frozen) = opened(&at.join("artifacts/again"));
    assert_eq!(frozen.weights, after.weights);
    let training = &artifact.manifest().training;
    assert_eq!((&training["init"]["name"], &training["init"]["init"]), (&json!("dances"), init));
    let (fitted, held_out) = (artifact.manifest().data.clips, 10);
    assert_eq!(training["tuned_on_before"], json!(fitted), "of {fitted} clips and {held_out} that were held out");
}

#[test]
fn a_transfer_that_was_killed_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    prepare(at);
    let frozen = ["vgg19", "--data", "many", "--config", "frozen.json", "--name", "other", "--artifacts", "artifacts"];
    train(at, &[&frozen[..], &["--cache", "cache-many"]].concat());
    let artifacts_of = |folder: &str| artifact_files(&at.join(folder).join("dances"));
    train(at, &[&arguments("artifacts/alphabet", "whole", "cache-whole")[..], &["--threads", "1"]].concat());

    // Killed twice, each time once more of it is on the disk.
    let broken = [&arguments("artifacts/alphabet", "broken", "cache")[..], &["--threads", "2"]].concat();
    let killed = (0..2).filter(|_| kill_after_checkpoint(at, &at.join("cache"), &broken)).count();
    assert!(killed >= 1, "the training must be under way when it is killed");
    let left = checkpoints(&at.join("cache"));
    assert!(!at.join("broken").join("dances").exists() && !left.is_empty());

    // The same training from another network takes up nothing of it, and leaves it.
    train(at, &arguments("artifacts/other", "elsewhere", "cache"));
    train(at, &arguments("artifacts/other", "afresh", "cache-afresh"));
    assert!(artifacts_of("elsewhere") == artifacts_of("afresh"));
    assert_eq!(checkpoints(&at.join("cache")), left);

    train(at, &broken);
    for ((name, ours), (other, theirs)) in artifacts_of("whole").into_iter().zip(artifacts_of("broken")) {
        assert_eq!(name, other);
        assert!(ours == theirs, "{name} differs between the unbroken transfer and the one that was killed");
    }
    assert!(artifacts_of("whole") != artifacts_of("elsewhere"));
    assert_eq!(checkpoints(&at.join("cache")).len(), 0, "a finished training leaves no checkpoint");
}

#[test]
fn a_transfer_from_what_does_not_fit_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    prepare(at);
    train(at, &["svm", "--data", "few", "--name", "machine", "--artifacts", "artifacts"]);
    let mut config = small_config(0);
    config["pooled_blocks"] = json!([1]);
    fs::write(at.join("smaller.json"), config.to_string()).expect("a file");
    let damaged = at.join("damaged/alphabet");
    fs::create_dir_all(damaged.join("0123456789ab")).expect("a folder");
    fs::write(damaged.join("CURRENT"), "0123456789ab\n").expect("a file");
    let cases: [(&[&str], &[&str]); 8] = [
        (&["--init", "machine"], &["`svm`", "`vgg19`"]),
        (&["--init", "artifacts/machine"], &["`svm`", "`vgg19`"]),
        (&["--init", "nobody"], &["--init nobody", "artifacts", "alphabet", "machine"]),
        (&["--init", "damaged/alphabet"], &["0123456789ab"]),
        (&["--init", "few"], &["few"]),
        (&["--init", "alphabet", "--spec", "librosa"], &["fingerprint", "alphabet", "--spec"]),
        (&["--init", "alphabet", "--config", "smaller.json"], &["`pooled_blocks`", "[1]", "[1,2]"]),
        (&["--init", "alphabet", "--weights", "vgg19.pth"], &["--init", "--weights", "TONEARM_WEIGHTS"]),
    ];
    for (more, words) in cases {
        let output = run("train", at, &[], &[&["vgg19", "--data", "few", "--name", "dances"], more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{more:?} is accepted");
        assert!(words.iter().all(|word| said.contains(word)), "{more:?} must say {words:?}: {said}");
        assert!(!said.contains("panicked"), "{more:?}: {said}");
    }
    assert!(!at.join("artifacts/dances").exists(), "nothing is left behind");
}
