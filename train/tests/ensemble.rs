//! `train ensemble`, the real program: weights that are learnt on what the members kept, and the artifact that names them.

mod program;

use std::{fs, path::Path};

use features::{Extractor, FeatureSpec, spec::Needs};
use models::{
    artifact::{Artifact, DataDescription, Draft, PREDICTIONS, SplitMetrics, Written, set_current},
    ensemble::{EnsembleParameters, Member},
    svm::{Svm, SvmParameters},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use train::{
    evaluation::metrics::Scored,
    training::{ensemble, predictions::HeldOutPredictions},
};

use program::train;

#[track_caller]
fn done(at: &Path, arguments: &[&str]) -> String {
    let output = train(at, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn refused(at: &Path, arguments: &[&str], words: &[&str]) {
    let output = train(at, arguments);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?} succeeded");
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?} does not say `{word}`: {stderr}");
    }
}

/// A machine of two classes that has learnt nothing.
fn machine(labels: [&str; 2], training: Value) -> Draft {
    let spec = FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some descriptors are left");
    let dim = Extractor::new(spec.clone()).expect("valid").names().len();
    let svm = Svm::new(SvmParameters {
        mean: vec![0.5; dim],
        inverse_deviation: vec![1e-3; dim],
        gamma: 1.0 / dim as f64,
        support_vectors: (0..2 * dim).map(|i| (i % 7) as f32 - 3.0).collect(),
        coefficients: vec![1.5, -1.5],
        rho: vec![0.1],
        platt_a: vec![-2.0],
        platt_b: vec![0.2],
        temperature: 1.25,
    });
    Draft {
        model: "svm".into(),
        labels: data::labels::LabelSet::from_names(labels).expect("labels"),
        spec,
        training,
        data: DataDescription { digest: "ab".repeat(32), description: "clips of nothing".into(), clips: 40 },
        metrics: vec![SplitMetrics { split: "artist-kfold:2".into(), n: 20, accuracy: 0.5, more: [].into() }],
        weights: svm.expect("a machine").to_tensors().expect("bytes"),
        metrics_json: b"{\"made_from\": {\"evaluation_data\": \"cd\"}}\n".to_vec(),
        report_html: b"<!doctype html>\n".to_vec(),
    }
}

const LABELS: [&str; 2] = ["blues", "metal"];

/// What a training says of itself; `variant` makes versions that differ.
fn training(variant: usize) -> Value {
    json!({"seed": 42, "held_out": "artist-kfold:2", "refit": true, "warning": null, "clip_ids": [], "variant": variant})
}

/// Predictions of 40 clips in two folds, by a model that is wrong on every clip of number `wrong` modulo 8.
fn predictions(wrong: usize) -> HeldOutPredictions {
    let clip = |number: usize, confidence: f64| {
        let (truth, is_right) = (number % 2, number % 8 != wrong);
        let mut probabilities = vec![1.0 - confidence; 2];
        probabilities[if is_right { truth } else { 1 - truth }] = confidence;
        Scored {
            clip_id: format!("mine.{number}"),
            metadata: String::new(),
            group: format!("artist {}", number / 2),
            truth,
            probabilities,
        }
    };
    HeldOutPredictions {
        cross_validated: (0..40).map(|number| clip(number, 0.875)).collect(),
        held_out: (0..40).map(|number| clip(number, 0.75)).collect(),
        folds: (0..40).map(|number| number / 20).collect(),
    }
}

fn write(root: &Path, name: &str, draft: &Draft, predictions: &HeldOutPredictions) -> Written {
    let bytes = predictions.to_tensors().expect("bytes").expect("kept");
    let written = draft.write_with(root, name, &[(PREDICTIONS, &bytes)]).expect("written");
    set_current(&root.join(name), &written.version).expect("in use");
    written
}

/// Two machines that err on different clips.
fn members() -> (TempDir, [Written; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("artifacts");
    let members = [("one", 0), ("two", 3)]
        .map(|(name, wrong)| write(&root, name, &machine(LABELS, training(wrong)), &predictions(wrong)));
    (folder, members)
}

const ENSEMBLE: [&str; 3] = ["ensemble", "--members", "one,two"];

#[test]
fn the_artifact_has_the_weights_that_were_learnt_and_names_its_members() {
    let (folder, [one, two]) = members();
    let at = folder.path();
    let said: Value = serde_json::from_str(&done(at, &[&ENSEMBLE[..], &["--json"]].concat())).expect("JSON");
    let [a, b] = [predictions(0), predictions(3)];
    let weights = ensemble::weights(&[&a.cross_validated, &b.cross_validated]).expect("learnt");
    let dir = at.join("artifacts/ensemble").join(said["version"].as_str().expect("a version"));
    let artifact = Artifact::open(&dir).expect("an artifact");
    let expected = [("one", &one), ("two", &two)].into_iter().zip(&weights).map(|((name, member), &weight)| Member {
        name: name.to_owned(),
        version: member.version.clone(),
        weight,
    });
    let parameters = EnsembleParameters::from_tensors(artifact.weights().expect("weights")).expect("parameters");
    assert_eq!(parameters.members, expected.collect::<Vec<_>>());
    let manifest = artifact.manifest();
    assert_eq!((manifest.model.as_str(), manifest.data.clips), ("ensemble", 40));
    for (at, member) in parameters.members.iter().enumerate() {
        assert_eq!(manifest.training["members"][at]["version"], member.version);
        assert_eq!(manifest.training["members"][at]["kind"], "svm");
        assert_eq!(said["members"][at]["weight"].as_f64(), Some(member.weight));
    }
    // Each fold by weights that were learnt on the clips of the other.
    let of_fold = |fold: usize| {
        let others = |predictions: &HeldOutPredictions| -> Vec<Scored> {
            let clips = predictions.cross_validated.iter().zip(&predictions.folds);
            clips.filter(|(_, of)| **of != fold).map(|(clip, _)| clip.clone()).collect()
        };
        ensemble::weights(&[&others(&a), &others(&b)]).expect("learnt")
    };
    assert_eq!(manifest.training["weights_of_folds"], json!([of_fold(0), of_fold(1)]));
    let metrics = &manifest.metrics[0];
    assert_eq!((metrics.split.as_str(), metrics.n, said["in_use"].as_bool()), ("artist-kfold:2", 40, Some(true)));
    assert_eq!(fs::read_to_string(at.join("artifacts/ensemble/CURRENT")).expect("in use").trim(), artifact.version());
    let metrics: Value = serde_json::from_slice(artifact.file("metrics.json").expect("metrics")).expect("JSON");
    assert_eq!(metrics["made_from"]["evaluation_data"], "cd");
    assert!(metrics["learning_curve"]["left_out"].is_string(), "{metrics}");

    // It can be loaded, the card tells of it, the same command makes the same bytes, and so does the one that it gives.
    models::load(&at.join("artifacts/ensemble")).expect("loaded");
    done(at, &["promote", "ensemble", artifact.version()]);
    let card = done(at, &["card", "--artifact", "artifacts/ensemble"]);
    for words in ["Ensemble for music", &one.version, &two.version, "train -- ensemble --members one@"] {
        assert!(card.contains(words), "`{words}` is not in {card}");
    }
    let named = format!("one@{},two@{}", one.version, two.version);
    let again = done(at, &["ensemble", "--members", &named, "--name", "again", "--json"]);
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!((&again["version"], &again["name"]), (&said["version"], &json!("again")));
    let text = done(at, &ENSEMBLE);
    for words in [&one.version, &two.version, "Weights: one", "serve it", "/v1/models/ensemble/predict"] {
        assert!(text.contains(words), "`{words}` is not in {text}");
    }
}

#[test]
fn what_cannot_be_joined_is_named() {
    let (folder, [one, _]) = members();
    let at = folder.path();
    let root = at.join("artifacts");
    let before = || fs::read_dir(root.join("ensemble")).map_or(0, Iterator::count);
    refused(at, &["ensemble"], &["svm", "it is not in artifacts", "there are: one, two"]);
    refused(at, &["ensemble", "--members", "one"], &["1 model", "2 to 8"]);
    refused(at, &["ensemble", "--members", "one,one"], &["member twice", &one.version]);
    refused(at, &["ensemble", "--members", "one,two@0123456789ab"], &["two@0123456789ab", "it is not in"]);
    refused(at, &["ensemble", "--members", "one,../two"], &["--members"]);
    refused(at, &["ensemble", "--members", "one,two@latest"], &["12 hexadecimal digits"]);
    refused(at, &["ensemble", "--members", "one,two", "--name", "svm"], &["reserved", "SVM"]);
    refused(at, &["ensemble", "--members", "one,two", "--name", "two"], &["two holds a model of the kind `svm`"]);
    refused(at, &["svm", "--data", "nothing", "--name", "ensemble"], &["reserved", "train ensemble"]);

    // Of an earlier release, which kept no predictions.
    let old = machine(LABELS, training(7)).write_as(&root, "old").expect("written");
    set_current(&root.join("old"), &old.version).expect("in use");
    refused(at, &["ensemble", "--members", "one,old"], &["old cannot be a member", PREDICTIONS, "train it again"]);
    // Other labels, other clips, other folds, another label of a clip.
    write(&root, "labels", &machine(["metal", "blues"], training(1)), &predictions(1));
    refused(at, &["ensemble", "--members", "one,labels"], &["labels", "order"]);
    let mut fewer = training(2);
    fewer["clip_ids"] = json!(["mine.0"]);
    write(&root, "fewer", &machine(LABELS, fewer), &predictions(1));
    refused(at, &["ensemble", "--members", "one,fewer"], &["not fitted on the same clips"]);
    let mut folds = predictions(1);
    folds.folds.reverse();
    write(&root, "folds", &machine(LABELS, training(3)), &folds);
    refused(at, &["ensemble", "--members", "one,folds"], &["same folds", "--held-out"]);
    let mut once = training(4);
    once["refit"] = Value::Null;
    write(&root, "once", &machine(LABELS, once), &predictions(1));
    refused(at, &["ensemble", "--members", "one,once"], &["artist-kfold:2 --refit", "--refit and --seed"]);
    let mut other = predictions(1);
    other.cross_validated[5].truth = 0;
    write(&root, "other", &machine(LABELS, training(5)), &other);
    refused(at, &["ensemble", "--members", "one,other"], &["mine.5", "another label"]);
    let nothing =
        HeldOutPredictions { cross_validated: predictions(1).cross_validated[..1].to_vec(), ..predictions(1) };
    write(&root, "nothing", &machine(LABELS, training(8)), &nothing);
    refused(at, &["ensemble", "--members", "one,nothing"], &["fold 1", "no clip is left"]);
    // Predictions that no training writes.
    let cut = machine(LABELS, training(6)).write_with(&root, "cut", &[(PREDICTIONS, b"no tensors")]).expect("written");
    set_current(&root.join("cut"), &cut.version).expect("in use");
    refused(at, &["ensemble", "--members", "one,cut"], &["cut cannot be a member", PREDICTIONS]);
    assert_eq!(before(), 0, "nothing was written");

    // An ensemble is no member.
    done(at, &ENSEMBLE);
    refused(at, &["ensemble", "--members", "one,ensemble", "--name", "more"], &["kind `ensemble`"]);
}

#[test]
fn an_ensemble_makes_way_by_the_rules_of_all_models() {
    let (folder, _) = members();
    let at = folder.path();
    let root = at.join("artifacts");
    done(at, &ENSEMBLE);
    let current = || fs::read_to_string(root.join("ensemble/CURRENT")).expect("in use");
    let before = current();
    // Of fewer labels.
    for (name, wrong) in [("three", 1), ("four", 2)] {
        write(&root, name, &machine(["blues", "rock"], training(10 + wrong)), &predictions(wrong));
    }
    let text = done(at, &["ensemble", "--members", "three,four"]);
    assert!(text.contains("not in use") && text.contains("metal") && text.contains("promote ensemble"), "{text}");
    assert_eq!(current(), before);
    // One that is pinned stays.
    done(at, &["promote", "ensemble", "--pin"]);
    write(&root, "five", &machine(LABELS, training(20)), &predictions(5));
    let said: Value = serde_json::from_str(&done(at, &["ensemble", "--members", "one,five", "--json"])).expect("JSON");
    assert_eq!((&said["in_use"], &said["not_in_use"]["reason"]), (&json!(false), &json!("pinned")));
    assert_eq!(current(), before);
}
