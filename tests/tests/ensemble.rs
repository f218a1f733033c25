//! An ensemble from end to end: learnt from what two trainings kept, served, and the default of `serve classify`.

use std::{fs, path::Path};

use models::ensemble::pooled;
use serde_json::Value;
use tests::{Server, multipart, request, small, train};

/// A copy of a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

fn predict(server: &Server, route: &str, track: &Path) -> Value {
    let (content_type, form) = multipart("audio_file", "track.wav", &fs::read(track).expect("a track"));
    request(server.address, "POST", route, Some(&content_type), &form).expect("an answer").json()
}

/// The labels and their probabilities.
fn probabilities(response: &Value) -> Vec<(String, f64)> {
    let labels = response["probabilities"].as_object().expect("probabilities");
    labels.iter().map(|(label, value)| (label.clone(), value.as_f64().expect("a probability"))).collect()
}

#[test]
fn two_trained_models_are_joined_served_and_classified_by() {
    let shared = small::shared();
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    copy(&shared.join("artifacts"), &at.join("artifacts"));
    let said: Value = serde_json::from_str(&train(at, &["ensemble", "--json"])).expect("JSON");
    assert_eq!((&said["in_use"], &said["name"]), (&true.into(), &"ensemble".into()), "{said}");
    let weights: Vec<f64> = said["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|member| member["weight"].as_f64().expect("a weight"))
        .collect();
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{weights:?}");
    let version = said["version"].as_str().expect("a version").to_owned();
    let again: Value = serde_json::from_str(&train(at, &["ensemble", "--json"])).expect("JSON");
    assert_eq!(again["version"], version, "the same members give the same bytes");
    // Its log-loss is no higher than that of its members on the clips that the weights were learnt on.
    let manifest = fs::read(at.join("artifacts/ensemble").join(&version).join("artifact.json")).expect("read");
    let training = serde_json::from_slice::<Value>(&manifest).expect("JSON")["training"].clone();
    let loss = |figures: &Value| figures["cross_validated"]["log_loss"].as_f64().expect("a log-loss");
    for member in training["members"].as_array().expect("members") {
        // Probabilities are kept in 32 bits, and sum to 1 but for that.
        assert!(loss(&training) <= loss(member) + 1e-6, "{training}");
    }
    train(
        at,
        &[
            "evaluate",
            "--artifact",
            "artifacts/ensemble",
            "--data",
            &shared.join("store").display().to_string(),
            "--split",
            "everything",
        ],
    );

    let server = Server::start("all", &at.join("artifacts"));
    let track = small::track(&shared, "reggae");
    let ensemble = predict(&server, "/v1/models/ensemble/predict", &track);
    let [svm, vgg19] = ["/predict", "/vgg"].map(|route| probabilities(&predict(&server, route, &track)));
    let of = |all: &[(String, f64)]| all.iter().map(|(_, p)| *p).collect::<Vec<f64>>();
    let expected = pooled([(&of(&svm)[..], weights[0]), (&of(&vgg19)[..], weights[1])]);
    assert_eq!(of(&probabilities(&ensemble)), expected);
    assert_eq!(ensemble["model"]["version"], version);

    let track = track.to_str().expect("UTF-8");
    let output = tests::run("serve", at, &[], &["classify", "--json", track]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let row: Value = serde_json::from_slice(&output.stdout).expect("a row");
    assert_eq!(
        (&row["model"]["version"], &row["probabilities"]),
        (&ensemble["model"]["version"], &ensemble["probabilities"])
    );
}
