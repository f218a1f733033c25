//! `experiments export` against a real MLflow server, and against servers that are none.

mod mlflow_server;
#[expect(dead_code, reason = "the other program of tests needs more of it")]
mod program;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::mpsc,
    thread,
};

use features::FeatureSpec;
use mlflow_server::Server;
use program::{command, dataset, done, experiments, json, svm};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with the results of `small`, with two seeds, and of `halves`, which is evaluated on segments of clips.
fn results() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let splits = "[\"artist-kfold:2\"]";
    for (name, text) in [
        ("small.toml", svm("small", splits, "[1, 2]", "")),
        ("halves.toml", svm("halves", splits, "[1]", "[data]\nsegments_per_clip = 2\n")),
    ] {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let dataset = dataset();
    done(folder.path(), &["run", "small.toml", "halves.toml", "--data", dataset.to_str().expect("UTF-8")]);
    folder
}

fn export(at: &Path, server: &Server, more: &[&str]) -> Vec<Value> {
    let printed = json(at, &[&["export", "--mlflow", &server.url], more].concat());
    assert_eq!(printed["server"], server.url);
    printed["results"].as_array().expect("results").clone()
}

fn statuses(exported: &[Value]) -> Vec<&str> {
    exported.iter().map(|of| of["status"].as_str().expect("a status")).collect()
}

fn pairs(list: &Value) -> BTreeMap<String, String> {
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    list.as_array().into_iter().flatten().map(|pair| (word(&pair["key"]), word(&pair["value"]))).collect()
}

/// What the server says of a run is what `result.json` says.
#[track_caller]
fn check(at: &Path, server: &Server, exported: &Value, files: bool) {
    let folder = at.join(exported["folder"].as_str().expect("a folder"));
    let result: Value = serde_json::from_slice(&fs::read(folder.join("result.json")).expect("there")).expect("JSON");
    let id = exported["run_id"].as_str().expect("a run");
    let run = server.get(&format!("/api/2.0/mlflow/runs/get?run_id={id}"))["run"].clone();
    let (info, data) = (&run["info"], &run["data"]);
    assert_eq!((&info["status"], &info["experiment_id"]), (&"FINISHED".into(), &exported["experiment_id"]));
    assert!(info["start_time"].as_i64() <= info["end_time"].as_i64() && info["end_time"].is_i64(), "{info}");

    let params = pairs(&data["params"]);
    let spec: FeatureSpec = serde_json::from_value(result["made_from"]["features"].clone()).expect("features");
    for (key, value) in [
        ("model", "svm".to_owned()),
        ("split", "artist-kfold:2".to_owned()),
        ("seed", result["seed"].to_string()),
        ("segments_per_clip", result["segments_per_clip"].as_u64().unwrap_or(1).to_string()),
        ("data", result["data"]["digest"].as_str().expect("a digest").to_owned()),
        ("search.c", "[1.0,4.0]".to_owned()),
        ("search.folds", "2".to_owned()),
        ("features.fingerprint", spec.fingerprint().to_string()),
    ] {
        assert_eq!(params.get(key), Some(&value), "{key}");
    }
    assert!(params["features.descriptors"].contains("mfcc_mean"), "{params:?}");

    let tags = pairs(&data["tags"]);
    for (tag, field) in [("key", "key"), ("configuration", "configuration"), ("leaks", "leaks"), ("experiment", "name")]
    {
        assert_eq!(result[field], tags[&format!("tonearm.{tag}")], "{tag}");
    }
    assert_eq!(result["data"]["digest"], tags["tonearm.data"]);
    assert!(tags["tonearm.remarks"].contains("Synthetic music"), "{tags:?}");
    assert!(tags["mlflow.note.content"].contains("This split leaks: no known artist"), "{tags:?}");

    let mut expected = BTreeMap::new();
    for (prefix, of) in [("", &result["evaluation"]), ("whole_clips_", &result["of_whole_clips"])] {
        let Some(classes) = of["per_class"].as_object() else { continue };
        for figure in ["n", "accuracy", "macro_f1", "log_loss", "ece"] {
            expected.insert(format!("{prefix}{figure}"), of[figure].as_f64().expect("a figure"));
        }
        expected.insert(format!("{prefix}accuracy_ci95_low"), of["ci95"][0].as_f64().expect("a figure"));
        expected.insert(format!("{prefix}accuracy_ci95_high"), of["ci95"][1].as_f64().expect("a figure"));
        for (label, class) in classes {
            for figure in ["precision", "recall", "f1"] {
                expected.insert(format!("{prefix}{figure}/{label}"), class[figure].as_f64().expect("a figure"));
            }
        }
    }
    let folds: Vec<_> = result["folds"].as_array().expect("folds").iter().map(|fold| &fold["accuracy"]).collect();
    expected.insert("fold_accuracy".to_owned(), folds[1].as_f64().expect("a figure"));
    let metrics = data["metrics"].as_array().expect("metrics").iter();
    let metrics: BTreeMap<_, _> = metrics
        .map(|metric| (metric["key"].as_str().expect("a key").to_owned(), metric["value"].as_f64().expect("a figure")))
        .collect();
    assert_eq!(metrics, expected);

    let history = |key: &str| {
        let response = server.get(&format!("/api/2.0/mlflow/metrics/get-history?run_id={id}&metric_key={key}"));
        response["metrics"].as_array().expect("metrics").clone()
    };
    assert_eq!(history("accuracy").len(), 1, "no figure is doubled");
    let steps = history("fold_accuracy");
    assert_eq!(steps.iter().map(|of| &of["value"]).collect::<Vec<_>>(), folds);
    assert_eq!(steps.iter().map(|of| of["step"].as_u64().expect("a step")).collect::<Vec<_>>(), [0, 1]);

    for name in ["result.json", "scores.parquet"].into_iter().filter(|_| files) {
        let kept = server.bytes(&format!("/get-artifact?run_id={id}&path={name}"));
        assert!(kept == fs::read(folder.join(name)).expect("there"), "{name} differs");
    }
}

#[test]
fn results_are_told_once_and_whole() {
    let Some(server) = Server::start() else { return };
    let at = results();
    let at = at.path();

    let first = export(at, &server, &[]);
    assert_eq!(statuses(&first), ["sent_now"; 3]);
    assert_eq!(first.iter().map(|of| of["experiment"].as_str()).collect::<BTreeSet<_>>().len(), 2);
    first.iter().for_each(|exported| check(at, &server, exported, true));

    // Again: nothing is sent.
    let names = ["tonearm/small", "tonearm/halves"];
    let before = names.map(|name| server.runs(name));
    assert_eq!(statuses(&export(at, &server, &[])), ["there_before"; 3]);
    let text = done(at, &["export", "small", "--seed", "2", "--mlflow", &format!("{}/", server.url)]);
    assert!(text.lines().count() == 1 && text.contains("small by artist-kfold:2, seed 2: there before"), "{text}");
    assert_eq!(names.map(|name| server.runs(name)), before);

    what_was_begun_is_finished(at, &server, &first);
    killed_it_doubles_nothing(at, &server);
    what_a_server_does_not_take_is_said(at, &server);
    what_is_too_much_is_cut(at, &server, &first[1]);
}

/// Runs as an export leaves them that was killed, and such as it does not.
fn what_was_begun_is_finished(at: &Path, server: &Server, first: &[Value]) {
    let experiment = server.post("experiments/create", &json!({ "name": "hand/small" }))["experiment_id"].clone();
    let begin = |seed: u64| -> String {
        let of = first.iter().find(|of| {
            of["folder"].as_str().expect("a folder").contains(&format!("small/artist-kfold-2.seed-{seed}."))
        });
        let tag = json!({ "key": "tonearm.key", "value": of.expect("a result")["key"] });
        let body = json!({ "experiment_id": experiment, "start_time": 1_700_000_000_000_u64, "tags": [tag] });
        server.post("runs/create", &body)["run"]["info"]["run_id"].as_str().expect("a run").to_owned()
    };
    let log = |id: &str, key: &str, value: &str| {
        server.post("runs/log-batch", &json!({ "run_id": id, "params": [{ "key": key, "value": value }] }));
    };
    let (half, twice, foreign) = (begin(1), begin(1), begin(2));
    log(&half, "model", "svm");
    let accuracy = server.figure(first[1]["run_id"].as_str().expect("a run"), "accuracy");
    let figure = json!({ "key": "accuracy", "value": accuracy, "timestamp": 1_700_000_000_000_u64, "step": 0 });
    server.post("runs/log-batch", &json!({ "run_id": half, "metrics": [figure] }));
    log(&foreign, "model", "another");

    let mended = export(at, server, &["small", "--prefix", "hand/"]);
    assert_eq!(statuses(&mended), ["finished_now", "sent_now"]);
    mended.iter().for_each(|exported| check(at, server, exported, true));
    let ids: BTreeSet<_> = server.runs("hand/small").into_keys().collect();
    let ours: BTreeSet<_> = mended.iter().map(|of| of["run_id"].as_str().expect("a run").to_owned()).collect();
    assert_eq!(ids, ours);
    assert!(ids.contains(&half) != ids.contains(&twice), "one of two is finished, and the other goes");
    assert!(!ids.contains(&foreign), "what has other parameters cannot become ours");
}

fn killed_it_doubles_nothing(at: &Path, server: &Server) {
    let arguments = ["export", "--mlflow", &server.url, "--prefix", "killed/"];
    let mut child = command(at, &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    child.kill().expect("SIGKILL");
    child.wait().expect("it ends");
    assert!(line.contains("sent now"), "{line}");
    let after = export(at, server, &["--prefix", "killed/"]);
    assert_eq!(statuses(&after)[0], "there_before");
    after.iter().for_each(|exported| check(at, server, exported, true));
    for (name, n) in [("killed/small", 2), ("killed/halves", 1)] {
        let runs = server.runs(name);
        assert!(runs.len() == n && runs.values().all(|run| run["info"]["status"] == "FINISHED"), "{name}: {runs:?}");
    }
}

fn what_a_server_does_not_take_is_said(at: &Path, server: &Server) {
    // Files that it keeps elsewhere, where it passes none on.
    let elsewhere = json!({ "name": "elsewhere/small", "artifact_location": "s3://bucket/folder" });
    server.post("experiments/create", &elsewhere);
    let printed = json(at, &["export", "small", "--seed", "1", "--mlflow", &server.url, "--prefix", "elsewhere/"]);
    let remark = printed["remarks"][0].as_str().expect("a remark");
    assert!(remark.contains("result.json") && remark.contains("elsewhere (s3)"), "{remark}");
    check(at, server, &printed["results"][0], false);

    // An experiment that was deleted keeps its name.
    let id = printed["results"][0]["experiment_id"].clone();
    server.post("experiments/delete", &json!({ "experiment_id": id }));
    let output = experiments(at, &["export", "small", "--mlflow", &server.url, "--prefix", "elsewhere/"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let words = ["`elsewhere/small` was deleted", "restore it", "--prefix"];
    assert!(!output.status.success() && words.iter().all(|word| stderr.contains(word)), "{stderr}");

    // A name that MLflow does not take.
    let output = experiments(at, &["export", "small", "--mlflow", &server.url, "--prefix", &"p".repeat(600)]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("500 characters"), "{stderr}");
}

/// A result with more parameters, longer values and stranger labels than MLflow takes.
fn what_is_too_much_is_cut(at: &Path, server: &Server, first: &Value) {
    let folder = at.join(first["folder"].as_str().expect("a folder"));
    let mut result: Value =
        serde_json::from_slice(&fs::read(folder.join("result.json")).expect("there")).expect("JSON");
    result["key"] = "0123456789abcdef".repeat(4).into();
    for number in 0..250 {
        result["made_from"]["many"][format!("field_{number}")] =
            "é".repeat(if number == 0 { 7000 } else { 5000 }).into();
    }
    result["made_from"]["k".repeat(300)]["l".repeat(300)] = 1.into();
    result["remarks"][0] = "r".repeat(30_000).into();
    let figures = result["evaluation"]["per_class"]["jazz"].clone();
    let labels = ["", ".", "..", "a/b", "a\\b", "drum & bass", "variété", "ロック", "line\nbreak", "/root", "../up"];
    for label in labels {
        result["evaluation"]["per_class"][label] = figures.clone();
    }
    fs::create_dir(at.join("strange")).expect("a folder");
    fs::write(at.join("strange/result.json"), result.to_string()).expect("written");
    fs::copy(folder.join("scores.parquet"), at.join("strange/scores.parquet")).expect("copied");

    let exported = export(at, server, &["strange"]);
    assert_eq!(statuses(&exported), ["sent_now"]);
    let id = exported[0]["run_id"].as_str().expect("a run");
    let data = server.get(&format!("/api/2.0/mlflow/runs/get?run_id={id}"))["run"]["data"].clone();
    let params = pairs(&data["params"]);
    assert_eq!(params.keys().filter(|key| key.starts_with("many.field_")).count(), 250);
    assert_eq!(params["many.field_1"], "é".repeat(5000));
    assert!(params["many.field_0"].ends_with("(7000 characters; all of them are in result.json)"));
    let metrics = data["metrics"].as_array().expect("metrics").iter();
    let recalls = metrics.filter(|metric| metric["key"].as_str().expect("a key").starts_with("recall/"));
    assert_eq!(recalls.count(), 10 + labels.len(), "each label under a key of its own");
    assert_eq!(statuses(&export(at, server, &["strange"])), ["there_before"]);
}

/// A server that gives every connection this response, and passes the requests on.
fn answering(response: &'static str) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = vec![0; 8192];
            let n = stream.read(&mut request).unwrap_or(0);
            let _ = sender.send(String::from_utf8_lossy(&request[..n]).into_owned());
            let _ = stream.write_all(response.as_bytes());
        }
    });
    (url, requests)
}

#[test]
fn servers_that_take_nothing_and_mistakes_are_said() {
    let at = results();
    let at = at.path();
    let (page, _) = answering("HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>");
    let (locked, requests) = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let (closed, _) = answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\nconnection: close\r\n\r\nKeep");
    let unreachable = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let unreachable = format!("http://{unreachable}");
    let token = [("MLFLOW_TRACKING_TOKEN", "t0ken")];
    let user = [("MLFLOW_TRACKING_USERNAME", "me")];
    /// Arguments, variables, and what is printed.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 11] = [
        (&["--mlflow", &page], &[], &["not an MLflow server", "<html>"]),
        (&["--mlflow", &locked], &[], &["401", "MLFLOW_TRACKING_TOKEN"]),
        (&["--mlflow", &locked], &token, &["401", "this MLFLOW_TRACKING_TOKEN"]),
        (&["--mlflow", &closed], &[], &["403", "Keep"]),
        (&["--mlflow", &unreachable], &[], &["failed to reach", "refused"]),
        (&["--mlflow", "sqlite:///mlflow.db"], &[], &["sqlite:///mlflow.db", "an MLflow server"]),
        (&["--mlflow", "http://me:hunter2@host"], &[], &["names a user"]),
        (&["--mlflow", &unreachable], &user, &["MLFLOW_TRACKING_PASSWORD"]),
        (&["--mlflow", &unreachable, "absent"], &[], &["no result of `absent`"]),
        (&["--mlflow", &unreachable, "--seed", "9"], &[], &["no result has"]),
        (&[], &[], &["--mlflow"]),
    ];
    for (arguments, variables, words) in cases {
        let mut command = command(at, &[&["export"], arguments].concat());
        let output = command.envs(variables.iter().copied()).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?} succeeded");
        for word in words {
            assert!(stderr.contains(word), "{arguments:?} does not say `{word}`: {stderr}");
        }
        for secret in ["t0ken", "hunter2", "panicked"] {
            assert!(!stderr.contains(secret), "{arguments:?}: {stderr}");
        }
    }
    let (without, with) = (requests.recv().expect("asked"), requests.recv().expect("asked"));
    assert!(!without.to_lowercase().contains("authorization") && with.contains("Bearer t0ken"), "{without}\n{with}");

    // The variable is where a server is named, too.
    let output = command(at, &["export"]).env("MLFLOW_TRACKING_URI", &page).output().expect("it starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not an MLflow server"));
}
