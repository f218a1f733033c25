//! A chain of experiments: a network of ten labels, and one of three that starts from it.

mod program;

use std::{fs, path::Path};

use data::{AudioDataset, ExtractOptions, extract, synth};
use features::FeatureSpec;
use program::{dataset, done, experiments, files, json, svm, vgg19};
use serde_json::Value;

/// A store of three labels of eight clips each, of which no other store has any.
fn three_labels(at: &Path) {
    let (made, audio) = (at.join("made"), at.join("audio"));
    let spec = synth::SynthSpec { clips_per_genre: 8, seconds: 3.0, seed: 2 };
    synth::write_dataset(&made, &spec, 2, &|_, _| {}).expect("audio files");
    for (label, genre) in ["jazz", "metal", "pop"].into_iter().enumerate() {
        let folder = audio.join(format!("label {label}"));
        fs::create_dir_all(&folder).expect("a folder");
        for (clip, entry) in fs::read_dir(made.join(genre)).expect("a folder").enumerate() {
            fs::rename(entry.expect("an entry").path(), folder.join(format!("{label}{clip}.wav"))).expect("renamed");
        }
    }
    let files = AudioDataset::open(&audio).expect("an audio folder");
    let options = ExtractOptions { threads: 2, ..ExtractOptions::default() };
    extract(&files, &FeatureSpec::gtzan_store().log_mel_alone(), &at.join("three"), &options).expect("a store");
}

/// A folder with the declarations of a chain: `second` starts from the network of `first`, which is tuned on the labels of the store `ten`.
fn chain(ten: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let first = vgg19("first", "[\"artist-kfold:2\"]", "[1]")
        .replace("kind = \"vgg19\"\n", "kind = \"vgg19\"\nregime = \"finetune\"\n")
        + "[model.training.finetune]\nunfreeze_from = 1\nepochs = 1\ncrop = 32\nlearning_rate = 1e-3\n"
        + &format!("[data]\ndatasets = [{:?}]\n", ten.to_str().expect("UTF-8"));
    let second = "name = \"second\"\nsplits = [\"artist-kfold:2\"]\nseeds = [1]\n[data]\ndatasets = [\"three\"]\n\
                  [model]\nkind = \"vgg19\"\ninit = \"first.toml\"\n[model.training]\nfolds = 2\n\
                  [model.training.head]\nsteps = 20\nheads = 1\n";
    fs::write(at.join("first.toml"), first).expect("written");
    fs::write(at.join("second.toml"), second).expect("written");
    folder
}

/// The jobs that a run printed, by experiment and seed: whether each was done before, its key and its chain.
fn jobs(printed: &Value) -> Vec<(String, u64, bool, String, Value)> {
    let job = |job: &Value| {
        let result = &job["result"];
        let text = |field: &str| result[field].as_str().expect("text").to_owned();
        let seed = result["seed"].as_u64().expect("a seed");
        (text("name"), seed, job["done_before"] == true, text("key"), result["chain"].clone())
    };
    printed["jobs"].as_array().expect("jobs").iter().map(job).collect()
}

#[test]
fn a_transfer_is_a_chain_of_experiments() {
    let folder = chain(&dataset());
    let at = folder.path();
    three_labels(at);
    let printed = json(at, &["run", "second.toml", "--threads", "2"]);
    let done_now = jobs(&printed);
    assert_eq!(done_now.iter().map(|job| (job.1, job.2)).collect::<Vec<_>>(), [(1, false)]);
    // What it starts from was done on the way, with its seed.
    let first = json(at, &["run", "first.toml", "--threads", "2"]);
    let of_first = jobs(&first);
    let [(_, 1, true, key, chain)] = &of_first[..] else { panic!("it was done: {first}") };
    assert_eq!(*chain, Value::Null, "it starts from no other");
    let link = &done_now[0].4[0];
    assert_eq!(
        (&link["name"], &link["split"], link["key"].as_str()),
        (&"first".into(), &"artist-kfold:2".into(), Some(key.as_str()))
    );
    let result = &printed["jobs"][0]["result"];
    assert_eq!((&result["made_from"]["init"], &result["evaluation"]["n"]), (&key.as_str().into(), &24.into()));
    assert_eq!(result["evaluation"]["labels"], serde_json::json!(["label 0", "label 1", "label 2"]));
    assert!(result["remarks"].to_string().contains("Starts from the network that `first` fits"), "{result}");
    let listed = done(at, &["leaderboard"]);
    assert!(listed.contains("second (from first)"), "{listed}");
    let (ours, results) = (files(&at.join("experiments/results")), jobs(&json(at, &["run", "second.toml"])));
    assert!(results.iter().all(|job| job.2), "nothing is done twice");

    // Without what is cached, on one thread, the same bytes; and where the first was done before, its network is fitted again.
    fs::remove_dir_all(at.join("data/cache")).expect("removed");
    fs::remove_dir_all(at.join("experiments/results/second")).expect("removed");
    let again = json(at, &["run", "second.toml", "--threads", "1"]);
    assert_eq!(jobs(&again), done_now);
    let again = files(&at.join("experiments/results"));
    assert!(again == ours, "{:?}", ours.iter().zip(&again).find(|(a, b)| a != b).map(|(a, _)| &a.0));

    // Another first is another second.
    let text = fs::read_to_string(at.join("first.toml")).expect("there").replace("epochs = 1", "epochs = 2");
    fs::write(at.join("first.toml"), text).expect("written");
    let other = jobs(&json(at, &["run", "second.toml"]));
    assert!(!other[0].2 && other[0].3 != done_now[0].3 && other[0].4 != done_now[0].4, "{other:?}");
}

#[test]
fn a_transfer_that_cannot_be_is_refused_before_anything_is_done() {
    let folder = chain(Path::new("ten"));
    let at = folder.path();
    fs::write(at.join("machine.toml"), svm("machine", "[\"artist-kfold:2\"]", "[1]", "")).expect("written");
    let second = fs::read_to_string(at.join("second.toml")).expect("there");
    for (name, first) in [("of-svm.toml", "machine.toml"), ("of-itself.toml", "of-itself.toml")] {
        fs::write(at.join(name), second.replace("first.toml", first)).expect("written");
    }
    let cases: [(&[&str], &str); 3] = [
        (&["second.toml", "--data", "three"], "`data.datasets`"),
        (&["of-svm.toml"], "starts from a network (`vgg19`)"),
        (&["of-itself.toml"], "lead back to"),
    ];
    for (arguments, words) in cases {
        let output = experiments(at, &[&["run"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(words), "{arguments:?}: {stderr}");
    }
    assert!(!at.join("experiments").exists(), "nothing is left");
}
