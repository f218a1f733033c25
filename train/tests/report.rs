//! The report of the real `train`: every part of it, and nothing in it that was not meant to be there.

mod program;

use std::{fs, path::Path};

use program::train;
use serde_json::Value;

/// The name of an artist who would take over the page.
const ARTIST: &str = "<script>alert('1')</script> & \"Friends\"";

/// Runs a command that must succeed, and gives its stdout.
#[track_caller]
fn done(at: &Path, arguments: &[&str]) -> String {
    let output = train(at, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The folder of the artifact in use.
fn in_use(artifacts: &Path, model: &str) -> std::path::PathBuf {
    let version = fs::read_to_string(artifacts.join(model).join("CURRENT")).expect("CURRENT");
    artifacts.join(model).join(version.trim())
}

/// A small synthetic dataset as a store, of which every artist has a name like that.
fn prepare(at: &Path) {
    done(at, &["synth", "--out", "dataset", "--clips-per-genre", "8", "--seconds", "4"]);
    let list = at.join("dataset/clips.csv");
    let text = fs::read_to_string(&list).expect("a list");
    let mut lines = text.lines();
    let head = lines.next().expect("a head");
    let column = head.split(',').position(|name| name == "artist").expect("artists");
    let renamed = lines.map(|line| {
        let mut fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        fields[column] = format!("\"{} {}\"", ARTIST.replace('"', "\"\""), fields[column].trim_matches('"'));
        fields.join(",") + "\n"
    });
    let renamed: String = renamed.collect();
    fs::write(&list, format!("{head}\n{renamed}")).expect("written");
    done(at, &["extract", "--data", "dataset", "--out", "store"]);
}

fn check(page: &str, headings: &[&str]) {
    for heading in headings {
        assert_eq!(page.matches(&format!("<h2>{heading}")).count(), 1, "{heading}");
    }
    assert!(
        !page.contains("<script") && !page.contains("http://") && !page.contains("https://"),
        "nothing from elsewhere"
    );
    assert!(
        page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;Friends&quot;"),
        "the artist's name, as text"
    );
    assert!(!page.contains("NaN") && page.contains("Synthetic music"));
}

const ALWAYS: [&str; 7] = [
    "Classes",
    "Confusion matrix",
    "Reliability",
    "Confidence against coverage",
    "Similar clips",
    "Most confident mistakes",
    "How it was made",
];

#[test]
fn a_report_has_every_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    prepare(at);
    done(at, &["svm", "--data", "store", "--artifacts", "one"]);
    done(at, &["svm", "--data", "store", "--artifacts", "two", "--seed", "7", "--threads", "1"]);

    let artifact = in_use(&at.join("one"), "svm");
    let page = fs::read_to_string(artifact.join("report.html")).expect("a report");
    check(&page, &[&ALWAYS[..], &["Learning curve"]].concat());
    assert!(!page.contains("Compared with"));
    let metrics: Value =
        serde_json::from_slice(&fs::read(artifact.join("metrics.json")).expect("there")).expect("JSON");
    let manifest: Value =
        serde_json::from_slice(&fs::read(artifact.join("artifact.json")).expect("there")).expect("JSON");
    let points = metrics["learning_curve"]["points"].as_array().expect("points");
    assert_eq!(points.last().expect("the model itself")["accuracy"], metrics["accuracy"]);
    assert_eq!(points.last().expect("the model itself")["clips"], manifest["data"]["clips"]);
    // Of three artists of a label one is a quarter, and all are three quarters.
    assert!(points.len() == 3 && points.is_sorted_by_key(|point| point["clips"].as_u64()), "{points:?}");
    assert_eq!(metrics["learning_curve"]["skipped"][0]["share"], 0.25);
    assert!(page.contains("Left out: 25 %"));
    assert_eq!(metrics["coverage"]["at"].as_array().expect("a curve").len(), 10);
    assert_eq!(metrics["coverage"]["at"][9]["accuracy"], metrics["accuracy"]);
    assert_eq!(metrics["known_faults"]["in_catalogue"], 0);
    let made_from = &metrics["made_from"];
    assert_eq!(made_from["weights"], manifest["files"]["weights.safetensors"]);
    assert_eq!(
        (&made_from["training_data"], &made_from["features"]),
        (&manifest["data"]["digest"], &manifest["fingerprint"])
    );
    for digest in ["training_data", "evaluation_data", "features", "weights"] {
        assert!(page.contains(made_from[digest].as_str().expect("a digest")), "{digest}");
    }

    let beside = [
        "evaluate",
        "--artifact",
        "one/svm",
        "--against",
        "two/svm",
        "--data",
        "store",
        "--split",
        "everything",
        "--report",
    ];
    let said: Value = serde_json::from_str(&done(at, &[&beside[..], &["page.html"]].concat())).expect("JSON");
    let page = fs::read_to_string(at.join("page.html")).expect("a report");
    check(&page, &[&ALWAYS[..], &["Compared with svm "]].concat());
    assert!(page.contains("McNemar") && !page.contains("Learning curve"));
    let paired = &said["against"]["paired"];
    assert_eq!(paired["n"], 80);
    let right = |which: &str| paired[which].as_f64().expect("a count");
    assert!(((right("only_a") - right("only_b")) / 80.0 - right("difference")).abs() < 1e-12, "{paired}");
    assert_eq!(paired["genres"].as_object().expect("genres").len(), 10);
    assert_eq!(paired["accuracy"][0], said["accuracy"]);
    // With any number of threads, and anywhere.
    done(at, &[&beside[..], &["again.html", "--threads", "1"]].concat());
    assert!(fs::read_to_string(at.join("again.html")).expect("a report") == page);
    assert!(!page.contains(at.to_str().expect("UTF-8")) && !page.contains("two/svm"), "no folder of this machine");
    let itself =
        ["evaluate", "--artifact", "one/svm", "--against", "one/svm", "--data", "store", "--split", "everything"];
    let said: Value = serde_json::from_str(&done(at, &itself)).expect("JSON");
    assert_eq!((&said["against"]["paired"]["p"], &said["against"]["paired"]["difference"]), (&1.0.into(), &0.0.into()));

    let refused = train(
        at,
        &["evaluate", "--artifact", "one/svm", "--against", "none", "--data", "store", "--split", "everything"],
    );
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("none"));
}
