//! The models that come with the repository: a stranger's first minute, before any training.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tests::{Server, multipart, request, run, shared, shipped_artifacts, shipped_version, small, train};

const MODELS: [&str; 2] = ["svm", "vgg19"];

/// A folder with what is shipped in use, and nothing else.
fn fresh() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for model in MODELS {
        let version = shipped_version(model);
        let (from, to) = (shipped_artifacts().join(model), folder.path().join("artifacts").join(model));
        fs::create_dir_all(to.join(&version)).expect("a folder");
        for file in fs::read_dir(from.join(&version)).expect("a version") {
            let file = file.expect("a file");
            fs::copy(file.path(), to.join(&version).join(file.file_name())).expect("a copy");
        }
        fs::write(to.join("CURRENT"), format!("{version}\n")).expect("a file");
    }
    folder
}

fn track(at: &Path) -> PathBuf {
    train(at, &["synth", "--out", "tracks", "--clips-per-genre", "1", "--seconds", "12"]);
    let entry = fs::read_dir(at.join("tracks/jazz")).expect("a genre").next().expect("a track").expect("a track");
    entry.path()
}

#[test]
fn they_are_small_and_their_cards_are_what_the_artifacts_say() {
    let mut bytes = 0;
    for model in MODELS {
        let version = shipped_artifacts().join(model).join(shipped_version(model));
        for file in fs::read_dir(&version).expect("a version") {
            bytes += file.expect("a file").metadata().expect("a size").len();
        }
        let written = train(Path::new("."), &["card", "--artifact", version.to_str().expect("UTF-8")]);
        let kept = fs::read_to_string(shipped_artifacts().join(model).join("README.md")).expect("a card");
        assert!(written == kept, "{model}: write the card anew: train card --artifact … --out …/README.md\n{written}");
        for heading in ["## Use", "## Figures", "## Limits", "## Data and licence", "## How it was made"] {
            assert!(kept.contains(heading), "{heading} is missing");
        }
    }
    assert!(bytes <= 45_000_000, "{bytes} bytes are shipped");
}

#[test]
fn a_track_gets_a_genre_without_any_training() {
    let folder = fresh();
    let at = folder.path();
    let track = track(at);
    let track = track.to_str().expect("UTF-8");
    for model in MODELS {
        let output = run("serve", at, &[], &["classify", track, "--model", model, "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(said.contains("predicted_genre"), "{said}");
    }
    let server = Server::start("all", &at.join("artifacts"));
    let wav = fs::read(track).expect("the track");
    let (content_type, form) = multipart("audio_file", "track.wav", &wav);
    for (route, model) in [("/predict", "svm"), ("/vgg", "vgg19")] {
        let response = request(server.address, "POST", route, Some(&content_type), &form).expect("a response");
        assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
        let response: Value = response.json();
        assert_eq!(response["model"]["version"], shipped_version(model));
        assert_eq!(response["probabilities"].as_object().expect("genres").len(), 10);
    }
}

#[test]
fn synthetic_music_does_not_take_their_place_and_a_training_begins_with_their_convolutions() {
    let folder = fresh();
    let at = folder.path();
    train(at, &["synth", "--out", "tracks", "--clips-per-genre", "8", "--seconds", "12"]);
    let dataset = ["--data", "tracks"];
    for model in MODELS {
        let said = train(at, &[&[model], dataset.as_slice()].concat());
        let current = fs::read_to_string(at.join("artifacts").join(model).join("CURRENT")).expect("CURRENT");
        assert_eq!(current.trim(), shipped_version(model));
        assert!(said.contains("not in use") && said.contains("knows real music"), "{said}");
        assert!(!said.contains("convolutions are random"), "{said}");
        // Its version, out of the command that puts it in use.
        let promote = said.lines().find_map(|line| line.split("-- promote ").nth(1)).expect("how to use it");
        train(at, &[&["promote"], promote.split(' ').collect::<Vec<_>>().as_slice()].concat());
        let now = fs::read_to_string(at.join("artifacts").join(model).join("CURRENT")).expect("CURRENT");
        assert!(promote.contains(now.trim()), "{promote}");
    }
    let from: Value =
        serde_json::from_slice(&fs::read(version_in_use(at, "vgg19").join("artifact.json")).expect("a manifest"))
            .expect("JSON");
    assert_eq!(from["training"]["weights"], "pretrained");
}

/// As in a container: what came with the program is served, and begun with, until a version is put in use where it is looked for first.
#[test]
fn what_came_with_the_program_stays_in_use_until_another_is() {
    let (folder, small) = (fresh(), small::shared());
    let at = folder.path();
    let [store, config, track] = [small.join("store"), small.join("config.json"), small::track(&small, "jazz")]
        .map(|path| path.into_os_string().into_string().expect("UTF-8"));
    let places = ["--artifacts", "mine", "--fallback-artifacts", "artifacts"];
    let classify = |words: &str| {
        let output = run("serve", at, &[], &[&["classify", &track], &places[..]].concat());
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.success() && said.contains(words), "{words} is not in {said}");
    };
    classify(&format!("svm {} from the fallback artifacts", shipped_version("svm")));
    let said = train(at, &[&["svm", "--data", &store], &places[..]].concat());
    assert!(said.contains("not in use") && said.contains(&shipped_version("svm")), "{said}");
    assert!(!at.join("mine/svm/CURRENT").exists());
    classify(&format!("svm {} from the fallback artifacts", shipped_version("svm")));
    let promote = said.lines().find_map(|line| line.split("-- promote ").nth(1)).expect("how to use it");
    train(at, &[&["promote"], promote.split(' ').collect::<Vec<_>>().as_slice()].concat());
    let version = promote.split(' ').nth(1).expect("a version");
    classify(&format!("svm {version} from mine"));
    // Now something is in use there, and another synthetic version takes its place.
    let said = train(at, &[&["svm", "--data", &store, "--seed", "7"], &places[..]].concat());
    assert!(!said.contains("not in use"), "{said}");

    let network = ["vgg19", "--data", &store, "--config", &config, "--no-cache", "--name", "net"];
    let output = run("train", at, &[], &[&network[..], &places[..]].concat());
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let expected = format!("Convolutions: those of artifacts/vgg19/{}", shipped_version("vgg19"));
    assert!(output.status.success() && said.contains(&expected), "{said}");
}

/// Where models are in the data folder of the user, `train` writes there, and `serve` finds it.
#[test]
fn models_of_the_user_are_written_and_found_in_the_data_folder() {
    let (folder, small) = (fresh(), small::shared());
    let at = folder.path();
    let (data, here) = (at.join("data"), at.join("here"));
    fs::create_dir_all(data.join("tonearm")).expect("a folder");
    fs::create_dir(&here).expect("a folder");
    fs::rename(at.join("artifacts"), data.join("tonearm/artifacts")).expect("renamed");
    let [store, track, data] = [small.join("store"), small::track(&small, "jazz"), data]
        .map(|path| path.into_os_string().into_string().expect("UTF-8"));
    let env = [("XDG_DATA_HOME", data.as_str())];
    let done = |name: &str, arguments: &[&str]| {
        let output = run(name, &here, &env, arguments);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    let said = done("train", &["svm", "--data", &store, "--name", "dances"]);
    assert!(said.contains(&format!("Artifacts: {data}/tonearm/artifacts")), "{said}");
    // Whoever looks by himself finds it.
    assert!(said.contains("serve -- svm\n"), "{said}");
    assert!(fs::read_dir(&here).expect("a folder").next().is_none(), "nothing is written to the current folder");
    let said = done("serve", &["classify", "--model", "dances", &track]);
    assert!(said.contains(&format!("from {data}/tonearm/artifacts")), "{said}");
    assert!(done("train", &["promote", "--list"]).contains("dances"));
}

fn version_in_use(at: &Path, model: &str) -> PathBuf {
    let folder = at.join("artifacts").join(model);
    let version = fs::read_to_string(folder.join("CURRENT")).expect("CURRENT");
    folder.join(version.trim())
}

#[test]
fn they_predict_the_labels_of_clips_that_they_were_fitted_on() {
    let Some(shared) = shared() else { return };
    let folder = fresh();
    let clips = shared.join("gtzan/clips").canonicalize().expect("it exists").join("metal");
    let clips = clips.to_str().expect("UTF-8");
    for model in MODELS {
        let output = run("serve", folder.path(), &[], &["classify", clips, "--model", model, "--csv"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        let rows: Vec<_> = said.lines().skip(1).collect();
        let metal = rows.iter().filter(|row| row.split(',').nth(3) == Some("metal")).count();
        assert!(!rows.is_empty() && metal * 10 >= rows.len() * 7, "{model}: {metal} of {}: {said}", rows.len());
    }
}
