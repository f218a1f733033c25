//! A stranger's first minute: `train` without a dataset, then `serve`, then a request.

use std::fs;

use tests::{Server, multipart, request, train};

#[test]
fn from_nothing_to_a_prediction() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let said = train(at, &[]);
    let first = said.lines().next().expect("a line");
    assert!(first.contains("synthetic"), "the first line says what dataset it is: {first}");
    for word in ["accuracy", "95 % interval", "recall", "VGG19", "-p serve -- all"] {
        assert!(said.contains(word), "`{word}` is missing in {said}");
    }
    let accuracy: f64 = said
        .lines()
        .find_map(|line| line.strip_prefix("accuracy ")?.split(' ').next()?.parse().ok())
        .expect("an accuracy");
    assert!(accuracy > 0.7, "ten synthetic genres, artists held out: {accuracy}");

    let version = fs::read_to_string(at.join("artifacts/svm/CURRENT")).expect("CURRENT");
    let artifact = at.join("artifacts/svm").join(version.trim());
    let report = fs::read_to_string(artifact.join("report.html")).expect("a report");
    let body = report.split("<body>").nth(1).expect("a body").trim_start();
    assert!(body.starts_with("<p class=\"warning\">Synthetic music"), "the report begins with what it is");
    assert!(!report.contains("http://") && !report.contains("<script"), "the report needs nothing from elsewhere");

    // The clip that the last line names was held out.
    let asked = said.lines().find_map(|line| line.split("audio_file=@").nth(1)?.split(' ').next()).expect("a request");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(artifact.join("artifact.json")).expect("a manifest")).expect("JSON");
    let clip_id = asked.rsplit('/').next().and_then(|name| name.strip_suffix(".wav")).expect("a WAV");
    let fitted = manifest["training"]["clip_ids"].as_array().expect("a list");
    assert!(!fitted.iter().any(|id| id == clip_id), "{clip_id} was trained on");

    let server = Server::start("svm", &at.join("artifacts"));
    let wav = fs::read(at.join(asked)).expect("the clip");
    let (content_type, form) = multipart("audio_file", "track.wav", &wav);
    let response = request(server.address, "POST", "/predict", Some(&content_type), &form).expect("a response");
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    let response = response.json();
    let labels: Vec<_> = manifest["labels"].as_array().expect("labels").iter().collect();
    assert!(labels.contains(&&response["predicted_genre"]), "{response}");
    assert_eq!(response["model"]["version"], version.trim());
    assert_eq!(response["segments"].as_array().expect("segments").len(), 3, "windows of 11 s in 30 s");

    // Training and serving extract the same: `inspect` with the artifact's specification gives the same digest.
    fs::write(at.join("spec.json"), manifest["spec"].to_string()).expect("a file");
    let inspected: serde_json::Value =
        serde_json::from_str(&train(at, &["inspect", asked, "--json", "--spec", "spec.json"])).expect("JSON");
    assert_eq!(inspected["features_digest"], response["features_digest"]);
    assert_eq!(inspected["fingerprint"], response["model"]["fingerprint"]);
    let raw = request(server.address, "POST", "/predict", Some("audio/wav"), &wav).expect("a response");
    assert_eq!(raw.json(), response, "a raw body gives the same response as a form");

    // The network is trained too, and its response has the same form.
    let server = Server::start("vgg", &at.join("artifacts"));
    let of_network = request(server.address, "POST", "/vgg", Some(&content_type), &form).expect("a response");
    assert_eq!(of_network.status, 200, "{}", String::from_utf8_lossy(&of_network.body));
    let of_network = of_network.json();
    assert!(labels.contains(&&of_network["predicted_genre"]), "{of_network}");
    assert_eq!(of_network["model"]["name"], "vgg19");
    let fields =
        |response: &serde_json::Value| response.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&of_network), fields(&response));
}
