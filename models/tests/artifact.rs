//! The artifact: the same bytes for the same training, and nothing read that was not written.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use features::{Clip, Extractor, FeatureSpec, Fingerprint, spec::Needs};
use labels::LabelSet;
use models::{
    Error, Explain, PredictRequest,
    artifact::{
        Artifact, CURRENT, DataDescription, Draft, HISTORY, MANIFEST, METRICS, PINNED, REPORT, SplitMetrics, WEIGHTS,
        Written, current, history, models, names, pin, pinned, previous, resolve, set_current, unpin, versions,
    },
    svm::{Scheme, Svm, SvmParameters},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

fn spec() -> FeatureSpec {
    FeatureSpec::gtzan_store().restricted_to(Needs::LogMel).expect("some descriptors are left")
}

/// A machine of two classes for the vectors of `spec`.
fn weights() -> Vec<u8> {
    let dim = Extractor::new(spec()).expect("valid").names().len();
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
    svm.expect("a machine").to_tensors().expect("bytes")
}

/// The same with a machine for each class against the rest.
fn weights_against_the_rest() -> Vec<u8> {
    let svm = Svm::from_tensors(&weights()).expect("a machine");
    let twice = |values: &[f64]| [values, values].concat();
    let parts = svm.parts().clone();
    let parts = SvmParameters {
        coefficients: vec![1.5, -1.5, -1.5, 1.5],
        rho: vec![0.1, -0.1],
        platt_a: twice(&parts.platt_a),
        platt_b: twice(&parts.platt_b),
        ..parts
    };
    Svm::of_scheme(parts, Scheme::OneVsRest).expect("a machine").to_tensors().expect("bytes")
}

fn label_set(names: &[&str]) -> LabelSet {
    LabelSet::from_names(names).expect("labels")
}

fn draft() -> Draft {
    Draft {
        model: "svm".into(),
        labels: label_set(&["blues", "metal"]),
        spec: spec(),
        training: json!({"seed": 7, "hyperparameters": {"gamma": 0.1, "c": 10.0}, "a": 1.0 / 3.0}),
        data: DataDescription { digest: "ab".repeat(32), description: "two clips".into(), clips: 2 },
        metrics: vec![SplitMetrics {
            split: "fault-filtered:valid".into(),
            n: 197,
            accuracy: 0.7,
            more: [("log_loss".to_owned(), json!(0.9)), ("ci95".to_owned(), json!([0.6, 0.8]))].into(),
        }],
        weights: weights(),
        metrics_json: b"{\"n\": 197}\n".to_vec(),
        report_html: b"<!doctype html><p>report</p>\n".to_vec(),
    }
}

fn written() -> (TempDir, Written) {
    let root = tempfile::tempdir().expect("a folder");
    let written = draft().write(root.path()).expect("written");
    (root, written)
}

fn refusal(dir: &Path) -> String {
    Artifact::open(dir).expect_err("refused").to_string()
}

/// Rewrites the manifest and renames the folder as a program would that meant it.
fn forge(written: &Written, change: impl FnOnce(&mut Value)) -> PathBuf {
    let path = written.dir.join(MANIFEST);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    change(&mut manifest);
    let bytes = serde_json::to_vec(&manifest).expect("JSON");
    fs::write(&path, &bytes).expect("written");
    let dir = written.dir.with_file_name(&Fingerprint::of(&bytes).to_string()[..12]);
    fs::rename(&written.dir, &dir).expect("renamed");
    dir
}

fn names(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
        .collect()
}

#[test]
fn a_model_has_the_name_of_its_folder_and_the_artifact_has_none() {
    let (root, written) = written();
    let named = draft().write_as(root.path(), "dances-2.0_b").expect("written");
    assert_eq!(
        named.dir,
        root.path().join("dances-2.0_b").join(&written.version),
        "the version is that of its content"
    );
    assert_eq!(fs::read(named.dir.join(MANIFEST)).expect("read"), fs::read(written.dir.join(MANIFEST)).expect("read"));
    assert_eq!(Artifact::open(&named.dir).expect("readable").manifest().model, "svm");
    fs::create_dir(root.path().join("empty")).expect("a folder");
    fs::create_dir(root.path().join("Loud")).expect("a folder");
    fs::write(root.path().join("Loud").join(CURRENT), "").expect("written");
    fs::write(root.path().join("file"), "").expect("written");
    assert_eq!(models(root.path()).expect("lists"), ["dances-2.0_b", "svm"]);
    assert!(matches!(models(&root.path().join("nowhere")), Err(Error::NotFound { .. })));
    set_current(&root.path().join("dances-2.0_b"), &named.version).expect("in use");
    assert_eq!(resolve(root.path(), Some("dances-2.0_b")).expect("there"), named.dir);

    let long = "x".repeat(65);
    for bad in
        ["", ".", "..", ".x", "a/b", "a\\b", "../x", "Dances", "dänces", "a b", "a\n", "a\0", "0123456789ab", &long]
    {
        assert!(names::check_model(bad).is_err(), "{bad:?}");
        assert!(matches!(draft().write_as(root.path(), bad), Err(Error::Name { .. })), "{bad:?}");
    }
    for good in ["a", "0", "-", "_", "a..b", "0123456789abc", &long[1..]] {
        assert_eq!(names::check_model(good).expect("a name"), good);
    }
}

#[test]
fn an_artifact_survives_the_disk() {
    let (root, written) = written();
    assert_eq!(written.dir, root.path().join("svm").join(&written.version));
    assert_eq!(names(&root.path().join("svm")), BTreeSet::from([written.version.clone()]), "nothing temporary is left");
    let artifact = Artifact::open(&written.dir).expect("readable");
    assert_eq!(artifact.version(), written.version);
    assert_eq!(artifact.weights().expect("weights"), weights());
    assert_eq!(artifact.file(METRICS).expect("metrics"), draft().metrics_json);
    assert_eq!(artifact.file(REPORT).expect("report"), draft().report_html);
    let manifest = artifact.manifest();
    assert_eq!((&manifest.spec, &manifest.fingerprint), (&spec(), &spec().fingerprint()));
    assert_eq!(manifest.training, draft().training);
    assert_eq!(manifest.metrics, draft().metrics);
    assert!(artifact.file("other").is_err());
}

#[test]
fn the_same_training_gives_the_same_bytes_and_any_other_another_version() {
    let ((_a, one), (_b, other)) = (written(), written());
    assert_eq!(one.version, other.version);
    for name in [MANIFEST, WEIGHTS, METRICS, REPORT] {
        assert_eq!(
            fs::read(one.dir.join(name)).expect("read"),
            fs::read(other.dir.join(name)).expect("read"),
            "{name}"
        );
    }
    let changes: [fn(&mut Draft); 6] = [
        |draft| draft.labels = label_set(&["metal", "blues"]),
        |draft| draft.spec.n_mfcc = 13,
        |draft| draft.training["seed"] = json!(8),
        |draft| draft.data.clips = 3,
        |draft| draft.metrics[0].accuracy = 0.700_000_000_000_000_1,
        |draft| draft.report_html.push(b' '),
    ];
    let mut versions = BTreeSet::from([one.version]);
    let root = tempfile::tempdir().expect("a folder");
    for change in changes {
        let mut draft = draft();
        change(&mut draft);
        assert!(versions.insert(draft.write(root.path()).expect("written").version));
    }
}

#[test]
fn a_version_that_is_there_is_left_as_it_is_and_a_damaged_one_is_not_overwritten() {
    let (root, written) = written();
    let path = written.dir.join(REPORT);
    let before = fs::metadata(&path).expect("metadata").modified().expect("time");
    assert_eq!(draft().write(root.path()).expect("the same"), written);
    assert_eq!(fs::metadata(&path).expect("metadata").modified().expect("time"), before);
    fs::write(&path, "other").expect("written");
    let message = draft().write(root.path()).expect_err("refused").to_string();
    assert!(message.contains(REPORT) && message.contains("remove that folder"), "{message}");
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_its_file_named() {
    let (_root, written) = written();
    for name in [MANIFEST, WEIGHTS, METRICS, REPORT] {
        let path = written.dir.join(name);
        let good = fs::read(&path).expect("read");
        let step = (good.len() / 97).max(1);
        for offset in (0..good.len()).step_by(step).chain([good.len() - 1]) {
            let mut bad = good.clone();
            bad[offset] ^= 1 << (offset % 8);
            fs::write(&path, &bad).expect("written");
            let message = refusal(&written.dir);
            assert!(message.contains(name), "{name}, byte {offset}: {message}");
        }
        fs::write(&path, &good).expect("written");
    }
    Artifact::open(&written.dir).expect("whole again");
}

#[test]
fn a_truncated_or_longer_file_is_found_and_named() {
    let (_root, written) = written();
    for name in [MANIFEST, WEIGHTS, METRICS, REPORT] {
        let path = written.dir.join(name);
        let good = fs::read(&path).expect("read");
        for length in [0, 1, good.len() / 2, good.len() - 1] {
            fs::write(&path, &good[..length]).expect("written");
            assert!(refusal(&written.dir).contains(name), "{name} cut to {length}");
        }
        fs::write(&path, [good.as_slice(), b" "].concat()).expect("written");
        assert!(refusal(&written.dir).contains(name));
        fs::write(&path, &good).expect("written");
    }
}

#[test]
fn missing_and_unexpected_files_are_named() {
    let (_root, written) = written();
    for name in [WEIGHTS, METRICS, REPORT] {
        let path = written.dir.join(name);
        let good = fs::read(&path).expect("read");
        fs::remove_file(&path).expect("removed");
        let message = refusal(&written.dir);
        assert!(message.contains(name) && message.contains("missing"), "{message}");
        fs::write(&path, good).expect("written");
    }
    fs::write(written.dir.join("notes.txt"), "x").expect("written");
    assert!(refusal(&written.dir).contains("notes.txt"));
    fs::remove_file(written.dir.join("notes.txt")).expect("removed");
    fs::create_dir(written.dir.join("folder")).expect("created");
    assert!(refusal(&written.dir).contains("folder"));
    fs::remove_dir(written.dir.join("folder")).expect("removed");
    fs::remove_file(written.dir.join(MANIFEST)).expect("removed");
    assert!(matches!(Artifact::open(&written.dir), Err(Error::NotFound { .. })));
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_file_is_refused() {
    let (root, written) = written();
    let path = written.dir.join(WEIGHTS);
    let outside = root.path().join("weights");
    fs::rename(&path, &outside).expect("moved");
    std::os::unix::fs::symlink(&outside, &path).expect("linked");
    assert!(refusal(&written.dir).contains("plain file"));
}

#[test]
fn a_renamed_folder_is_refused() {
    let (_root, written) = written();
    let other = written.dir.with_file_name("0123456789ab");
    fs::rename(&written.dir, &other).expect("renamed");
    let message = refusal(&other);
    assert!(message.contains("0123456789ab") && message.contains(&written.version), "{message}");
}

#[test]
fn machines_against_the_rest_are_of_a_newer_format_and_others_of_the_old_one() {
    let format = |draft: Draft| {
        let root = tempfile::tempdir().expect("a folder");
        let written = draft.write(root.path()).expect("written");
        let artifact = Artifact::open(&written.dir).expect("readable");
        models::from_artifact(&artifact, models::vgg19::Backend::default()).expect("a classifier");
        artifact.manifest().format.to_string()
    };
    assert_eq!(format(draft()), "1.0");
    assert_eq!(format(Draft { weights: weights_against_the_rest(), ..draft() }), "1.1");
}

#[test]
fn a_newer_format_is_refused_before_anything_else_is_read() {
    for (major, minor) in [(2, 0), (1, 9)] {
        let (_root, written) = written();
        // Content that this program would not understand, in a folder that is named in another way.
        let manifest = json!({"format": {"major": major, "minor": minor}, "program": "tonearm 9.1.0", "novel": [1, 2]});
        fs::write(written.dir.join(MANIFEST), manifest.to_string()).expect("written");
        let message = refusal(&written.dir);
        for part in [&format!("format {major}.{minor}"), "reads format 1.2", "tonearm 9.1.0", "newer one"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let (_root, written) = written();
    fs::write(written.dir.join(MANIFEST), r#"{"format": {"major": 0, "minor": 3}}"#).expect("written");
    assert!(refusal(&written.dir).contains("train it again"));
}

#[test]
fn features_that_cannot_be_reproduced_are_refused_with_both_fingerprints() {
    let (_root, one) = written();
    let theirs = "0f".repeat(32);
    let dir = forge(&one, |manifest| manifest["fingerprint"] = json!(theirs));
    let message = refusal(&dir);
    assert!(message.contains(&theirs) && message.contains(&spec().fingerprint().to_string()), "{message}");

    // Another revision of the algorithms, signed as that program would.
    let (_root, two) = written();
    let mut old = spec();
    old.revision.algorithm += 1;
    let dir = forge(&two, |manifest| {
        manifest["spec"] = serde_json::to_value(&old).expect("JSON");
        manifest["fingerprint"] = json!(old.fingerprint().to_string());
    });
    let message = refusal(&dir);
    assert!(message.contains(&old.fingerprint().to_string()), "{message}");
    assert!(message.contains(&spec().fingerprint().to_string()), "{message}");

    // A setting that this program does not know.
    let (_root, three) = written();
    let dir = forge(&three, |manifest| manifest["spec"]["pre_emphasis"] = json!(0.97));
    let message = refusal(&dir);
    assert!(message.contains("pre_emphasis") && message.contains(&spec().fingerprint().to_string()), "{message}");
}

/// A change, and what the refusal must say.
type Case<T> = (fn(&mut T), &'static str);

#[test]
fn what_no_artifact_says_is_refused() {
    let cases: [Case<Value>; 9] = [
        (|manifest| manifest["labels"] = json!(["blues"]), "needs 2 labels or more"),
        (|manifest| manifest["labels"] = json!(["blues", " "]), "a label is empty"),
        (|manifest| manifest["labels"] = json!(["blues", "blues"]), "`blues` is there twice"),
        (|manifest| manifest["model"] = json!("../svm"), "../svm"),
        (|manifest| manifest["novel"] = json!(1), "novel"),
        (|manifest| manifest["metrics"][0]["accuracy"] = json!(null), "expected f64"),
        (|manifest| manifest["fingerprint"] = json!("xyz"), "xyz"),
        (|manifest| manifest["data"] = json!(null), "DataDescription"),
        (|manifest| manifest["spec"]["stft"]["hop_length"] = json!(0), "hop_length"),
    ];
    for (change, expected) in cases {
        let (_root, written) = written();
        let message = refusal(&forge(&written, change));
        assert!(message.contains(expected), "{message}");
    }
    for name in [
        "../../etc/passwd",
        "/etc/passwd",
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "a\\b",
        "a\nb",
        "artifact.json",
        "Artifact.JSON",
    ] {
        let (_root, written) = written();
        let dir = forge(&written, |manifest| manifest["files"][name] = json!("00".repeat(32)));
        assert!(matches!(Artifact::open(&dir), Err(Error::Name { .. })), "{name:?}");
    }
}

#[test]
fn drafts_that_would_be_refused_are_not_written() {
    let root = tempfile::tempdir().expect("a folder");
    let changes: [fn(&mut Draft); 6] = [
        |draft| draft.model = "../up".into(),
        |draft| draft.model = String::new(),
        |draft| draft.labels = LabelSet::default(),
        |draft| draft.labels = label_set(&["blues"]),
        |draft| draft.metrics[0].accuracy = f64::NAN,
        |draft| draft.spec.stft.n_fft = 3,
    ];
    for change in changes {
        let mut draft = draft();
        change(&mut draft);
        draft.write(root.path()).expect_err("refused");
    }
    assert_eq!(names(root.path()), BTreeSet::new());
}

#[test]
fn current_names_the_version_in_use() {
    let (root, written) = written();
    let model_dir = root.path().join("svm");
    assert!(matches!(current(&model_dir), Err(Error::NotFound { .. })));
    set_current(&model_dir, &written.version).expect("set");
    assert_eq!(current(&model_dir).expect("current"), written.version);
    for path in [root.path(), &model_dir, &written.dir] {
        assert_eq!(resolve(path, None).expect("found"), written.dir);
        assert_eq!(resolve(path, Some("svm")).expect("found"), written.dir);
    }
    assert!(resolve(root.path(), Some("vgg19")).is_err());
    assert!(matches!(resolve(&root.path().join("no"), None), Err(Error::NotFound { .. })));
    assert!(matches!(set_current(&model_dir, "0123456789ab"), Err(Error::NotFound { .. })));
    // A version that was removed.
    fs::write(model_dir.join(CURRENT), "0123456789ab\n").expect("written");
    assert!(resolve(&model_dir, None).expect_err("refused").to_string().contains("0123456789ab"));
    // Several models: the caller must say which.
    fs::create_dir(root.path().join("other")).expect("created");
    fs::write(root.path().join("other").join(CURRENT), "0123456789ab").expect("written");
    assert!(resolve(root.path(), None).expect_err("refused").to_string().contains("several"));
}

/// Three versions in the folder of a model.
fn three_versions() -> (TempDir, PathBuf, [String; 3]) {
    let root = tempfile::tempdir().expect("a folder");
    let versions = [0.5, 0.6, 0.7].map(|accuracy| {
        let mut draft = draft();
        draft.metrics[0].accuracy = accuracy;
        draft.write(root.path()).expect("written").version
    });
    let model_dir = root.path().join("svm");
    (root, model_dir, versions)
}

#[test]
fn what_was_in_use_is_remembered() {
    let (_root, model_dir, [a, b, c]) = three_versions();
    assert!(history(&model_dir).expect("no history").is_empty());
    assert!(matches!(previous(&model_dir), Err(Error::NotFound { .. })));
    set_current(&model_dir, &a).expect("set");
    set_current(&model_dir, &a).expect("set again");
    assert!(matches!(previous(&model_dir), Err(Error::NotFound { .. })));
    for version in [&b, &a, &c] {
        set_current(&model_dir, version).expect("set");
    }
    assert_eq!(history(&model_dir).expect("a history"), [&a, &b, &a].map(String::clone));
    assert_eq!(previous(&model_dir).expect("a version"), a);
    assert_eq!(fs::read_to_string(model_dir.join(HISTORY)).expect("HISTORY"), format!("{a}\n{b}\n{a}\n"));

    // A power cut between the two files: what is in use stands at the end of the history too.
    fs::write(model_dir.join(HISTORY), format!("{a}\n{b}\n{c}\n")).expect("written");
    assert_eq!(previous(&model_dir).expect("a version"), b);
    for _ in 0..40 {
        set_current(&model_dir, &a).expect("set");
        set_current(&model_dir, &b).expect("set");
    }
    let kept = history(&model_dir).expect("a history");
    assert_eq!((kept.len(), &kept[31]), (32, &a), "it is bounded");

    // One that cannot be understood is not believed, and is not in the way.
    for damage in ["..\n", "\n\n", &format!("{a} {b}"), &"x".repeat(5000)] {
        fs::write(model_dir.join(HISTORY), damage).expect("written");
        assert!(history(&model_dir).is_err() && previous(&model_dir).is_err(), "{damage:?}");
    }
    set_current(&model_dir, &c).expect("set");
    assert_eq!(history(&model_dir).expect("a history"), [b]);
}

#[test]
fn a_pinned_version_is_not_replaced() {
    let (_root, model_dir, [a, b, _]) = three_versions();
    assert!(matches!(pin(&model_dir, &a), Err(Error::NotFound { .. })), "nothing is in use");
    set_current(&model_dir, &a).expect("set");
    assert!(matches!(pin(&model_dir, &b), Err(Error::NotInUse { current, .. }) if current == a));
    assert_eq!(pinned(&model_dir).expect("none"), None);
    pin(&model_dir, &a).expect("pinned");
    assert_eq!(pinned(&model_dir).expect("one"), Some(a.clone()));
    assert!(matches!(set_current(&model_dir, &b), Err(Error::Pinned { pinned, .. }) if pinned == a));
    set_current(&model_dir, &a).expect("it is in use already");
    assert_eq!(current(&model_dir).expect("current"), a);
    for damage in ["", "..", "latest\n"] {
        fs::write(model_dir.join(PINNED), damage).expect("written");
        assert!(pinned(&model_dir).is_err() && set_current(&model_dir, &b).is_err(), "{damage:?}");
    }
    unpin(&model_dir).expect("let go");
    unpin(&model_dir).expect("there is nothing to let go of");
    set_current(&model_dir, &b).expect("set");
    assert_eq!(previous(&model_dir).expect("a version"), a);
}

#[test]
fn versions_are_folders_of_such_a_name() {
    let (root, model_dir, mut expected) = three_versions();
    expected.sort();
    fs::create_dir(model_dir.join(".writing-x")).expect("created");
    fs::create_dir(model_dir.join("0123456789AB")).expect("created");
    fs::write(model_dir.join("0123456789ab"), "").expect("written");
    fs::write(model_dir.join(CURRENT), "").expect("written");
    assert_eq!(versions(&model_dir).expect("a list"), expected);
    // What is damaged is there all the same.
    fs::remove_file(model_dir.join(&expected[0]).join(MANIFEST)).expect("removed");
    assert_eq!(versions(&model_dir).expect("a list"), expected);
    assert!(matches!(versions(&root.path().join("vgg19")), Err(Error::NotFound { .. })));
}

#[test]
fn threads_that_put_versions_in_use_take_turns() {
    let (_root, model_dir, names) = three_versions();
    set_current(&model_dir, &names[0]).expect("set");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (model_dir, names) = (&model_dir, &names);
            scope.spawn(move || {
                for step in 0..5 {
                    set_current(model_dir, &names[(number + step) % 3]).expect("set");
                    assert!(names.contains(&current(model_dir).expect("never a part")));
                }
            });
        }
    });
    let mut all = history(&model_dir).expect("a history");
    all.push(current(&model_dir).expect("current"));
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "no step is lost or there twice: {all:?}");
}

#[test]
fn tricks_in_current_are_refused() {
    let (root, written) = written();
    let model_dir = root.path().join("svm");
    let version = &written.version;
    let tricks = [
        String::new(),
        "\n".into(),
        format!("../svm/{version}"),
        format!("./{version}"),
        format!("{version}/"),
        format!("/{version}"),
        written.dir.display().to_string(),
        format!("{version}\n\n"),
        format!("{version}\nmore"),
        format!("{version}\r\n"),
        format!(" {version}"),
        format!("{version}\0"),
        version.to_uppercase() + "G",
        "..".into(),
        "x".repeat(1000),
    ];
    for trick in tricks {
        fs::write(model_dir.join(CURRENT), &trick).expect("written");
        assert!(current(&model_dir).is_err(), "{trick:?}");
        assert!(resolve(root.path(), Some("svm")).is_err(), "{trick:?}");
        assert!(set_current(&model_dir, &trick).is_err(), "{trick:?}");
    }
    fs::write(model_dir.join(CURRENT), [0xff, 0xfe, 0x00]).expect("written");
    assert!(current(&model_dir).is_err());
    for model in ["..", "../svm", "/svm", "", "svm\n", "SVM"] {
        assert!(
            matches!(resolve(root.path(), Some(model)), Err(Error::NotFound { .. } | Error::Name { .. })),
            "{model:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn another_user_may_read_an_artifact_as_far_as_the_umask_allows() {
    use std::os::unix::fs::PermissionsExt;
    let (root, written) = written();
    let plain = root.path().join("plain");
    fs::create_dir(&plain).expect("created");
    fs::write(plain.join("file"), "").expect("written");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&written.dir), mode(&plain));
    assert_eq!(mode(&written.dir.join(WEIGHTS)), mode(&plain.join("file")));
    set_current(&root.path().join("svm"), &written.version).expect("set");
    assert_eq!(mode(&root.path().join("svm").join(CURRENT)), mode(&plain.join("file")));
}

#[test]
fn a_loaded_model_predicts_the_label_of_a_clip() {
    let (root, written) = written();
    set_current(&root.path().join("svm"), &written.version).expect("set");
    let model = models::load(root.path()).expect("loaded");
    assert_eq!(*model.labels(), label_set(&["blues", "metal"]));
    assert_eq!((model.identity().name.as_str(), &model.identity().version), ("svm", &written.version));
    assert_eq!(model.identity().fingerprint, spec().fingerprint());
    let samples = (0..22_050 * 40).map(|i| 0.3 * libm::sinf(i as f32 * 0.05) * libm::sinf(i as f32 * 3e-4)).collect();
    let clip = Clip::new(samples, 22_050).expect("samples");
    let prediction = model.predict_clip(&clip).expect("predicted");
    assert_eq!(prediction, model.predict(&model.extractor().extract(&clip).expect("extracted")).expect("predicted"));
    assert!(!prediction.windows.is_empty() && prediction.best() < 2);
    let all = prediction.windows.iter().map(|segment| &segment.probabilities).chain([&prediction.probabilities]);
    for probabilities in all {
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let short = Clip::new(vec![0.1; 100], 22_050).expect("samples");
    assert!(matches!(model.predict_clip(&short), Err(Error::Features(features::Error::TooShort { .. }))));
}

#[test]
fn a_machine_predicts_several_clips_and_leaves_cancelled_ones() {
    let (root, written) = written();
    set_current(&root.path().join("svm"), &written.version).expect("set");
    let model = models::load(root.path()).expect("loaded");
    let clips = [40_u32, 12, 70].map(|seconds| {
        let sample = |i| 0.3 * libm::sinf(i as f32 * 0.05) * libm::sinf(i as f32 * 3e-4);
        let clip = Clip::new((0..22_050 * seconds).map(sample).collect(), 22_050).expect("samples");
        model.extractor().extract(&clip).expect("extracted")
    });
    let asked = AtomicUsize::new(0);
    let at_the_second_time = || asked.fetch_add(1, Ordering::Relaxed) >= 1;
    let outputs = model.predict_batch(&[
        PredictRequest { cancelled: &at_the_second_time, ..PredictRequest::new(&clips[2]) },
        PredictRequest { explain: Some(Explain::Predicted), ..PredictRequest::new(&clips[0]) },
        PredictRequest { explain: Some(Explain::Label(2)), ..PredictRequest::new(&clips[0]) },
        PredictRequest::new(&clips[1]),
    ]);
    assert!(matches!(outputs[0], Err(Error::Cancelled)), "{outputs:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 2, "it is left at its second segment");
    assert!(matches!(outputs[2], Err(Error::NoSuchClass { index: 2, n_classes: 2 })), "{outputs:?}");
    for (output, clip) in [(&outputs[1], &clips[0]), (&outputs[3], &clips[1])] {
        let output = output.as_ref().expect("a prediction");
        assert_eq!(output.prediction, model.predict(clip).expect("a prediction"));
        assert_eq!(output.explanation, None, "the input of a machine is one vector a clip");
    }
    assert_eq!(model.explain(&clips[1], 0).expect("a prediction"), None);
}

#[test]
fn weights_that_do_not_fit_the_manifest_are_refused() {
    let cases: [Case<Draft>; 4] = [
        (|draft| draft.labels = label_set(&["blues", "metal", "jazz"]), "3"),
        (|draft| draft.spec.descriptors.truncate(1), "dimensions"),
        (|draft| draft.model = "oracle".into(), "oracle"),
        (|draft| draft.weights = b"no".to_vec(), "safetensors"),
    ];
    for (change, expected) in cases {
        let root = tempfile::tempdir().expect("a folder");
        let mut draft = draft();
        change(&mut draft);
        let written = draft.write(root.path()).expect("written");
        let message = models::load(&written.dir).expect_err("refused").to_string();
        assert!(message.contains(expected), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_never_opens(file in 0_usize..4, offset: u32, bytes in prop::collection::vec(any::<u8>(), 1..40)) {
        let (_root, written) = written();
        let path = written.dir.join([MANIFEST, WEIGHTS, METRICS, REPORT][file]);
        let good = fs::read(&path).expect("read");
        let offset = offset as usize % good.len();
        let mut bad = good.clone();
        let end = good.len().min(offset + bytes.len());
        bad.splice(offset..end, bytes);
        prop_assume!(bad != good);
        fs::write(&path, bad).expect("written");
        prop_assert!(Artifact::open(&written.dir).is_err());
    }
}
