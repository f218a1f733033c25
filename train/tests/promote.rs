//! `train promote`, the real program: which version is in use, and that nothing that is broken ever is.

mod program;

use std::{
    fs,
    path::{Path, PathBuf},
};

use features::{Extractor, FeatureSpec, spec::Needs};
use models::{
    artifact::{DataDescription, Draft, SplitMetrics, set_current},
    svm::{Svm, SvmParameters},
};
use serde_json::{Value, json};
use tempfile::TempDir;

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

fn json_of(at: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&done(at, arguments)).expect("JSON")
}

/// A machine of two classes that has learnt nothing, with this accuracy in its manifest.
fn draft(accuracy: f64) -> Draft {
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
        labels: data::labels::LabelSet::from_names(["blues", "metal"]).expect("labels"),
        spec,
        training: json!({"seed": 7}),
        data: DataDescription { digest: "ab".repeat(32), description: "two clips".into(), clips: 2 },
        metrics: vec![SplitMetrics { split: "fault-filtered:valid".into(), n: 197, accuracy, more: [].into() }],
        weights: svm.expect("a machine").to_tensors().expect("bytes"),
        metrics_json: b"{}\n".to_vec(),
        report_html: b"<!doctype html><p>report</p>\n".to_vec(),
    }
}

/// A folder with three versions of `svm`, none of them in use.
struct Versions {
    folder: TempDir,
    versions: [String; 3],
}

impl Versions {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("artifacts");
        let versions = [0.5, 0.6, 0.7].map(|accuracy| draft(accuracy).write(&root).expect("written").version);
        Self { folder, versions }
    }

    fn at(&self) -> &Path {
        self.folder.path()
    }

    fn model_dir(&self) -> PathBuf {
        self.at().join("artifacts/svm")
    }

    fn current(&self) -> String {
        fs::read_to_string(self.model_dir().join("CURRENT")).expect("CURRENT").trim_end().to_owned()
    }
}

#[test]
fn versions_are_promoted_rolled_back_and_listed() {
    let versions = Versions::new();
    let (at, [a, b, c]) = (versions.at(), &versions.versions);
    refused(at, &["promote", "svm", "--previous"], &["CURRENT"]);
    assert!(done(at, &["promote", "svm", a]).contains(&format!("svm {a} is in use")));
    refused(at, &["promote", "svm", "--previous"], &["no other version", a]);
    assert!(done(at, &["promote", "svm", b]).contains(a), "it says what was in use before");
    assert_eq!(versions.current(), *b);

    let listed = json_of(at, &["promote", "svm", "--list", "--json"]);
    assert_eq!((&listed["current"], &listed["previous"], &listed["pinned"]), (&json!(b), &json!(a), &Value::Null));
    let of = |version: &str| {
        let listed = listed["versions"].as_array().expect("a list");
        listed.iter().find(|listed| listed["version"] == version).expect("listed").clone()
    };
    assert_eq!(
        (of(a)["previous"].clone(), of(b)["current"].clone(), of(c)["current"].clone()),
        (json!(true), json!(true), json!(false))
    );
    assert_eq!(of(c)["metrics"][0]["accuracy"], json!(0.7));
    let text = done(at, &["promote", "svm", "--list"]);
    for words in [format!("{b}  in use"), format!("{a}  before"), "accuracy 0.700 on fault-filtered:valid".to_owned()] {
        assert!(text.contains(&words), "{text}");
    }

    let back = json_of(at, &["promote", "svm", "--previous", "--json"]);
    assert_eq!((&back["version"], &back["before"]), (&json!(a), &json!(b)));
    assert_eq!(versions.current(), *a);
    done(at, &["promote", "svm", "--previous"]);
    assert_eq!(versions.current(), *b, "going back from going back");
    done(at, &["promote", "svm", b]);
    done(at, &["promote", "svm", c]);
    done(at, &["promote", "svm", "--previous"]);
    assert_eq!(versions.current(), *b, "what was in use already was not put in use anew");
}

#[test]
fn what_cannot_be_served_is_never_put_in_use() {
    let versions = Versions::new();
    let (at, [a, b, c]) = (versions.at(), &versions.versions);
    done(at, &["promote", "svm", a]);
    // A flipped bit.
    let weights = versions.model_dir().join(b).join("weights.safetensors");
    let mut bytes = fs::read(&weights).expect("weights");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).expect("written");
    refused(at, &["promote", "svm", b], &["weights.safetensors", "damaged"]);
    // Every digest is right, and nothing can be made of it.
    let root = at.join("artifacts");
    let hollow = Draft { weights: b"no tensors".to_vec(), ..draft(0.9) }.write(&root).expect("written").version;
    refused(at, &["promote", "svm", &hollow], &["safetensors"]);
    // The folder of another model.
    fs::create_dir(root.join("vgg19")).expect("a folder");
    let copy = root.join("vgg19").join(c);
    fs::create_dir(&copy).expect("a folder");
    for entry in fs::read_dir(versions.model_dir().join(c)).expect("a folder") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, copy.join(path.file_name().expect("a name"))).expect("copied");
    }
    refused(at, &["promote", "vgg19", c], &["`svm`", "`vgg19`"]);
    for version in ["0123456789ab", "..", "../svm", "", "CURRENT"] {
        refused(at, &["promote", "svm", version], &["no version", a]);
    }
    refused(at, &["promote", "svm"], &["--previous"]);
    refused(at, &["promote", "knn", a], &["no model `knn`", "svm, vgg19"]);
    for name in ["../svm", "SVM", ".svm", "svm/", "", "0123456789ab"] {
        refused(at, &["promote", name, a], &["not allowed"]);
    }
    refused(at, &["promote", "svm", a, "--artifacts", "elsewhere"], &["elsewhere"]);
    assert_eq!(versions.current(), *a);

    let text = done(at, &["promote", "svm", "--list"]);
    let line = text.lines().find(|line| line.starts_with(b.as_str())).expect("listed");
    assert!(line.contains("damaged") && line.contains("SHA-256"), "{text}");
    // What lies beside the versions may be damaged too.
    fs::write(versions.model_dir().join("HISTORY"), "../..\n").expect("written");
    assert!(done(at, &["promote", "svm", "--list"]).contains("../.."));
    refused(at, &["promote", "svm", "--previous"], &["../.."]);
    done(at, &["promote", "svm", c]);
    done(at, &["promote", "svm", "--previous"]);
    assert_eq!(versions.current(), *a);
}

#[test]
fn a_pinned_version_stays_until_it_is_let_go() {
    let versions = Versions::new();
    let (at, [a, b, c]) = (versions.at(), &versions.versions);
    let pinned = versions.model_dir().join("PINNED");
    refused(at, &["promote", "svm", "--pin"], &["CURRENT"]);
    done(at, &["promote", "svm", a]);
    assert!(done(at, &["promote", "svm", "--pin"]).contains(&format!("{a} is pinned")));
    assert_eq!(fs::read_to_string(&pinned).expect("PINNED"), format!("{a}\n"));
    refused(at, &["promote", "svm", b], &[a, b, "--unpin"]);
    refused(at, &["promote", "svm", b, "--pin"], &[a, b, "--unpin"]);
    assert_eq!(versions.current(), *a);
    done(at, &["promote", "svm", a]);
    let listed = json_of(at, &["promote", "svm", "--list", "--json"]);
    assert_eq!(listed["pinned"], json!(a));

    // To another in one step; not to one that is broken.
    refused(at, &["promote", "svm", "0123456789ab", "--unpin"], &["no version"]);
    assert!(pinned.exists());
    let moved = json_of(at, &["promote", "svm", b, "--unpin", "--pin", "--json"]);
    assert_eq!((&moved["version"], &moved["pinned"], &moved["before"]), (&json!(b), &json!(b), &json!(a)));
    // Whatever the file holds, it pins, and can be let go.
    fs::write(&pinned, "all of them\n").expect("written");
    refused(at, &["promote", "svm", c], &["all of them"]);
    assert!(done(at, &["promote", "svm", "--unpin"]).contains("no version is pinned"));
    assert!(!pinned.exists());
    done(at, &["promote", "svm", "--unpin"]);
    done(at, &["promote", "svm", c]);
    assert_eq!(versions.current(), *c);
}

/// Six programs at once, each of which promotes each version: in the end there is a version in use, and each that was is in the
/// history, but for steps that changed nothing.
#[test]
fn promotions_at_the_same_time_leave_a_sound_state() {
    let versions = Versions::new();
    let (at, names) = (versions.at(), &versions.versions);
    set_current(&versions.model_dir(), &names[0]).expect("in use");
    std::thread::scope(|scope| {
        for number in 0..6 {
            scope.spawn(move || {
                for step in 0..3 {
                    done(at, &["promote", "svm", &names[(number + step) % 3]]);
                }
            });
        }
    });
    assert!(names.contains(&versions.current()));
    let history = fs::read_to_string(versions.model_dir().join("HISTORY")).expect("HISTORY");
    let mut history: Vec<_> = history.lines().map(str::to_owned).collect();
    history.push(versions.current());
    assert!(history.iter().all(|version| names.contains(version)), "{history:?}");
    assert!(history.windows(2).all(|pair| pair[0] != pair[1]), "no step is there twice: {history:?}");
    assert_eq!(history[0], names[0]);
    let left: Vec<_> = fs::read_dir(versions.model_dir())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !names.contains(name))
        .collect();
    assert!(left.iter().all(|name| [".lock", "CURRENT", "HISTORY"].contains(&name.as_str())), "{left:?}");
}

#[test]
fn a_training_leaves_a_pinned_version_in_use_and_says_how_to_use_the_new_one() {
    let versions = Versions::new();
    let (at, [a, ..]) = (versions.at(), &versions.versions);
    done(at, &["promote", "svm", a, "--pin"]);
    done(at, &["synth", "--out", "dataset", "--clips-per-genre", "6", "--seconds", "2"]);
    for genre in ["country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"] {
        fs::remove_dir_all(at.join("dataset").join(genre)).expect("removed");
    }
    let arguments = ["svm", "--data", "dataset", "--threads", "2"];
    let said = done(at, &arguments);
    assert!(said.contains(&format!("not in use: {a} is pinned")), "{said}");
    assert!(!said.contains("serve it"), "{said}");
    assert_eq!(versions.current(), *a);
    let told = said.lines().find_map(|line| line.split("-- promote ").nth(1)).expect("it says how to promote");

    let again = json_of(at, &[&arguments[..], &["--json"]].concat());
    assert_eq!((&again["in_use"], &again["pinned"]), (&json!(false), &json!(a)));
    assert_eq!((&again["not_in_use"]["reason"], &again["not_in_use"]["in_use"]), (&json!("pinned"), &json!(a)));
    let new = again["version"].as_str().expect("a version");
    done(at, &["promote"].into_iter().chain(told.split(' ')).collect::<Vec<_>>());
    assert_eq!(versions.current(), new);
    assert_eq!(json_of(at, &[&arguments[..], &["--json"]].concat())["in_use"], json!(true));
}

/// Two genres of the synthetic dataset, each in a folder below `at/name`; its clips are taken for real ones when they are renamed.
fn music(at: &Path, name: &str, genres: [&str; 2], real: bool) {
    done(at, &["synth", "--out", "whole", "--clips-per-genre", "6", "--seconds", "2"]);
    for genre in genres {
        let (from, to) = (at.join("whole").join(genre), at.join(name).join(genre));
        fs::create_dir_all(&to).expect("a folder");
        for (number, entry) in fs::read_dir(&from).expect("a folder").enumerate() {
            let path = entry.expect("an entry").path();
            let file = if real {
                format!("take {number}.wav")
            } else {
                path.file_name().expect("a name").to_string_lossy().into_owned()
            };
            fs::copy(&path, to.join(file)).expect("copied");
        }
    }
    fs::remove_dir_all(at.join("whole")).expect("removed");
}

/// A training of the SVM on `music`.
fn svm<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["svm", "--data", "music", "--threads", "2"][..], arguments].concat()
}

#[test]
fn a_model_has_a_name_and_its_versions_have_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    music(at, "music", ["blues", "classical"], false);
    let named = json_of(at, &svm(&["--name", "dances", "--json"]));
    assert_eq!(
        (&named["name"], &named["in_use"], &named["not_in_use"]),
        (&json!("dances"), &json!(true), &Value::Null)
    );
    let version = named["version"].as_str().expect("a version");
    assert!(at.join("artifacts/dances").join(version).join("artifact.json").is_file());
    assert!(!at.join("artifacts/svm").exists());
    // The name is that of the folder: the same training gives the same version under any.
    let said = done(at, &svm(&[]));
    assert!(said.contains(&format!("artifacts/svm/{version}")) && said.contains("serve it"), "{said}");

    assert!(done(at, &["promote", "dances", version]).contains(&format!("dances {version} is in use")));
    assert!(done(at, &["promote", "dances", "--list"]).contains(version));
    let all = json_of(at, &["promote", "--list", "--json"]);
    assert_eq!(
        (&all[0]["model"], &all[1]["model"], &all[1]["current"]),
        (&json!("dances"), &json!("svm"), &json!(version))
    );
    assert!(done(at, &["card", "--artifact", "artifacts/dances"]).contains(version));
    let evaluate = ["evaluate", "--artifact", "artifacts/dances", "--data", "music", "--split", "everything", "--json"];
    assert_eq!(json_of(at, &evaluate)["version"], json!(version));

    // One folder, one kind; and some names are taken. All of it is said before anything takes long.
    refused(at, &["vgg19", "--data", "music", "--name", "dances"], &["artifacts/dances", "`svm`", "`vgg19`", "--name"]);
    refused(at, &svm(&["--name", "vgg19"]), &["reserved", "--name"]);
    refused(at, &svm(&["--name", "both"]), &["reserved", "--name"]);
    let long = "x".repeat(65);
    for name in ["", ".x", "..", "a/b", "Dances", "dänces", "a b", "0123456789ab", &long] {
        refused(at, &svm(&["--name", name]), &["--name", "not allowed"]);
    }
}

#[test]
fn a_version_that_lacks_labels_of_the_one_in_use_is_kept_beside_it() {
    let versions = Versions::new();
    let (at, [a, ..]) = (versions.at(), &versions.versions);
    // Real, with blues and metal.
    done(at, &["promote", "svm", a]);
    music(at, "other", ["blues", "classical"], true);
    let train = |data: &'static str| ["svm", "--data", data, "--threads", "2"];
    let said = done(at, &train("other"));
    assert!(said.contains(&format!("not in use: {a} has labels that this one lacks (metal)")), "{said}");
    assert!(said.contains("--name") && !said.contains("serve it"), "{said}");
    assert_eq!(versions.current(), *a);
    let told = said.lines().find_map(|line| line.split("-- promote ").nth(1)).expect("it says how to promote");

    let kept = json_of(at, &[&train("other")[..], &["--json"]].concat());
    assert_eq!((&kept["in_use"], &kept["pinned"]), (&json!(false), &Value::Null));
    let why = &kept["not_in_use"];
    assert_eq!(
        (&why["reason"], &why["in_use"], &why["missing_labels"]),
        (&json!("labels"), &json!(a), &json!(["metal"]))
    );
    assert_eq!(why["promote"], json!(format!("train promote {told}")));
    // Synthetic is the stronger reason.
    music(at, "synthetic", ["blues", "classical"], false);
    let synthetic = json_of(at, &[&train("synthetic")[..], &["--json"]].concat());
    assert_eq!((&synthetic["in_use"], &synthetic["not_in_use"]["reason"]), (&json!(false), &json!("synthetic")));

    // With the labels of the one in use, or more, it is put in use.
    done(at, &["promote"].into_iter().chain(told.split(' ')).collect::<Vec<_>>());
    assert_eq!(versions.current(), kept["version"].as_str().expect("a version"));
    music(at, "other", ["metal", "jazz"], true);
    let more = json_of(at, &[&train("other")[..], &["--json"]].concat());
    assert_eq!((&more["in_use"], &more["not_in_use"]), (&json!(true), &Value::Null));
    assert_eq!(versions.current(), more["version"].as_str().expect("a version"));
}
