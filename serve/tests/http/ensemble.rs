//! An ensemble beside its members: it predicts by the formula over them, holds no second copy of them, and is served for as long as
//! they are there.

use std::{fs, path::Path, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use labels::LabelSet;
use models::{
    artifact::{self, Draft, Written},
    ensemble::pooled,
    vgg19::Backend,
};
use serde_json::{Value, json};
use serve::{
    App, Limits, Role,
    config::{Compute, ModelKind},
    engine::slot::Source,
    repository::Repository,
};

use crate::{
    binary::{Running, serve},
    client::{AUDIO_PART, FORM, Response, form, get, post, send},
    load::wait_until,
    model,
    wav::Sound,
};

const WEIGHTS: [f64; 2] = [0.375, 0.625];

/// Artifacts of an SVM, a network and the ensemble of both, each in use.
fn write(root: &Path) -> [Written; 3] {
    let [svm, vgg19] = ModelKind::MEMBERS.map(|kind| model::write(root, kind));
    let draft = model::ensemble(&[("svm", &svm.version, WEIGHTS[0]), ("vgg19", &vgg19.version, WEIGHTS[1])]);
    let ensemble = model::write_as(root, "ensemble", &draft);
    [svm, vgg19, ensemble]
}

/// A server of that role over the artifacts below `root`, which looks for what is new ten times a second.
fn start(role: &str, root: &Path) -> Running {
    let mut command = serve();
    command.args([role, "--port", "0", "--reload-every", "0.1", "--artifacts"]).arg(root);
    Running::start(&mut command)
}

fn predict(server: &Running, route: &str, track: &[u8]) -> Response {
    send(server.address, &post(route, FORM, &form(&[(AUDIO_PART, track)])))
}

fn listed(server: &Running) -> Vec<String> {
    let list = get(server.address, "/v1/models").json();
    let names = list["models"].as_array().expect("a list").iter().map(|model| model["name"].as_str().expect("a name"));
    names.map(str::to_owned).collect()
}

/// The probabilities of a response, in the order of the labels.
fn probabilities(response: &Value) -> Vec<f64> {
    let of = |sound: Sound| response["probabilities"][sound.label()].as_f64().expect("a probability");
    Sound::ALL.map(of).to_vec()
}

const ROUTE: &str = "/v1/models/ensemble/predict";

#[test]
fn it_is_served_beside_its_members_and_predicts_by_the_formula_over_them() {
    let root = tempfile::tempdir().expect("a folder");
    let [svm, vgg19, ensemble] = write(root.path());
    let server = start("all", root.path());
    assert_eq!(listed(&server), ["svm", "vgg19", "ensemble"]);
    let status = get(server.address, "/v1/models/ensemble").json();
    let members = json!([
        {"name": "svm", "version": svm.version, "kind": "svm", "weight": WEIGHTS[0]},
        {"name": "vgg19", "version": vgg19.version, "kind": "vgg19", "weight": WEIGHTS[1]},
    ]);
    assert_eq!((&status["kind"], &status["ready"], &status["members"]), (&json!("ensemble"), &json!(true), &members));
    assert_eq!((&status["version"], &status["predict"]), (&json!(ensemble.version), &json!(ROUTE)));
    assert_eq!(get(server.address, "/v1/models/svm").json()["members"], Value::Null, "of an ensemble alone");

    for (sound, seconds) in [(Sound::Low, 2.0), (Sound::High, 3.0), (Sound::Noise, 9.0)] {
        let track = sound.wav(seconds, 1);
        let [of_svm, of_vgg19] = ["/predict", "/vgg"].map(|route| predict(&server, route, &track).json());
        assert_eq!((&of_svm["model"]["name"], &of_vgg19["model"]["name"]), (&json!("svm"), &json!("vgg19")));
        let first = predict(&server, ROUTE, &track);
        assert_eq!(first.header("tonearm-cache"), Some("miss"));
        let json = first.json();
        assert_eq!((&json["model"]["kind"], &json["model"]["members"]), (&json!("ensemble"), &members));
        assert_eq!(json["predicted_genre"], sound.label());
        let expected =
            |a: &Value, b: &Value| pooled([(&probabilities(a)[..], WEIGHTS[0]), (&probabilities(b)[..], WEIGHTS[1])]);
        assert_eq!(probabilities(&json), expected(&of_svm, &of_vgg19));
        let windows = |of: &Value| of["segments"].as_array().expect("windows").clone();
        assert_eq!(windows(&json).len(), windows(&of_svm).len());
        for ((window, a), b) in windows(&json).iter().zip(windows(&of_svm)).zip(windows(&of_vgg19)) {
            assert_eq!(window["start_seconds"], a["start_seconds"]);
            assert_eq!(probabilities(window), expected(&a, &b));
        }
        assert_eq!(json["features_digest"], of_svm["features_digest"]);
        // In every way of asking.
        let again = predict(&server, ROUTE, &track);
        assert_eq!((again.header("tonearm-cache"), &again.body), (Some("hit"), &first.body));
        let file = "Content-Disposition: form-data; name=\"files\"; filename=\"x.wav\"";
        let batch = send(server.address, &post(&format!("{ROUTE}/batch"), FORM, &form(&[(file, &track)])));
        assert_eq!(serde_json::from_slice::<Value>(&batch.body).expect("a line")["answer"], json);
        let versioned = format!("/v1/models/ensemble/versions/{}/predict", ensemble.version);
        assert_eq!(predict(&server, &versioned, &track).json(), json);
        let audio =
            json!({"name": "audio", "datatype": "BYTES", "shape": [1], "data": [BASE64_STANDARD.encode(&track)]});
        let request = json!({"inputs": [audio]}).to_string();
        let answer = send(server.address, &post("/v2/models/ensemble/infer", "application/json", request.as_bytes()));
        let outputs = answer.json()["outputs"].clone();
        let of = |name: &str| {
            let outputs = outputs.as_array().expect("outputs").iter();
            outputs.clone().find(|output| output["name"] == name).expect("an output")["data"].clone()
        };
        assert_eq!((of("genre"), of("probabilities")), (json!([sound.label()]), json!(probabilities(&json))));
        // The label of the ensemble is explained by its network.
        let explain = |route: &str, label: &str| {
            let route = format!("{route}?explain={label}");
            send(server.address, &post(&route, "audio/wav", &track)).json()["explanation"].clone()
        };
        for label in ["predicted", "blues"] {
            let explained = explain(ROUTE, label);
            let label = if label == "predicted" { sound.label() } else { label };
            assert_eq!(explained["genre"], label);
            assert_eq!(explained, explain("/vgg", label));
        }
    }
    let described = get(server.address, "/v2/models/ensemble").json();
    assert_eq!(described["platform"], "tonearm_ensemble");
    assert!(described["parameters"]["members"].as_str().is_some_and(|members| members.contains(&svm.version)));
    let features =
        send(server.address, &post("/features?model=ensemble&include=mfcc", "audio/wav", &Sound::Low.wav(2.0, 1)));
    assert_eq!(features.json()["fingerprint"], status["fingerprint"]);
    let metrics = String::from_utf8(get(server.address, "/metrics").body).expect("text");
    assert!(metrics.contains("tonearm_inference_seconds_count{model=\"ensemble\"}"), "{metrics}");
    let api = get(server.address, "/openapi.json").json();
    assert!(api["components"]["schemas"]["EnsembleMember"].is_object());
    // A server of one kind of models has no ensemble, and does without.
    let one = start("svm", root.path());
    assert_eq!(listed(&one), ["svm"]);
    predict(&one, ROUTE, &Sound::Low.wav(2.0, 1)).assert_problem("unknown-model", 404);
    // A gateway forwards to the server that has one, if there is one.
    let url = format!("http://{}", server.address);
    let web = Running::start(serve().args(["web", "--port", "0", "--svm-url", &url, "--vgg-url", &url]));
    wait_until(|| listed(&web) == ["svm", "vgg19", "ensemble"]);
    let track = Sound::Low.wav(2.0, 1);
    assert_eq!(predict(&web, ROUTE, &track).json(), predict(&server, ROUTE, &track).json());
}

#[test]
fn a_version_is_in_memory_once_whoever_uses_it() {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path());
    let repository = Arc::new(Repository::open(&root.path().to_string_lossy()).expect("a folder"));
    let source = Source { repository, device: Backend::default(), models: vec![], pinned: None };
    let app = App::new(Role::All, Limits::default(), &Compute::default(), Some(&source)).expect("threads");
    let found = app.engine().registry().find().expect("lists");
    assert!(found.added.iter().all(|(_, loaded)| loaded.is_ok()), "{found:?}");
    for slot in app.engine().slots() {
        slot.refresh().expect("loads");
    }
    let of = |kind: ModelKind| app.engine().slot(kind).expect("is served").get().expect("is loaded");
    let ensemble = of(ModelKind::Ensemble);
    let members = ensemble.ensemble().expect("an ensemble").members();
    for (member, kind) in members.iter().zip(ModelKind::MEMBERS) {
        assert!(Arc::ptr_eq(member, &of(kind)), "{kind:?} is there twice");
    }
    // A new version of the network is another model; that of the ensemble stays.
    let next = model::write_as(
        root.path(),
        "vgg19",
        &Draft { training: json!({ "variant": "next" }), ..model::draft(ModelKind::Vgg19, 0) },
    );
    app.engine().slot(ModelKind::Vgg19).expect("is served").refresh().expect("loads");
    assert_eq!(of(ModelKind::Vgg19).version(), next.version);
    assert!(!Arc::ptr_eq(&members[1], &of(ModelKind::Vgg19)));
    app.engine().slot(ModelKind::Ensemble).expect("is served").refresh().expect("its member is still there");
    assert!(Arc::ptr_eq(&ensemble, &of(ModelKind::Ensemble)));
}

#[test]
fn it_is_retired_while_a_member_is_gone_and_says_so() {
    let root = tempfile::tempdir().expect("a folder");
    let [_, vgg19, ensemble] = write(root.path());
    // The network in use is another; the ensemble keeps its own.
    let next = model::write_as(
        root.path(),
        "vgg19",
        &Draft { training: json!({ "variant": "next" }), ..model::draft(ModelKind::Vgg19, 0) },
    );
    let server = start("all", root.path());
    let track = Sound::High.wav(2.0, 1);
    let status = || get(server.address, "/v1/models/ensemble").json();
    assert_eq!(predict(&server, "/vgg", &track).json()["model"]["version"], next.version);
    let before = predict(&server, ROUTE, &track).json();
    assert_eq!(before["model"]["members"][1]["version"], vgg19.version);

    let elsewhere = root.path().join(".gone");
    fs::rename(&vgg19.dir, &elsewhere).expect("moves");
    wait_until(|| status()["ready"] == false);
    let said = status();
    let problem = said["problem"].as_str().expect("a problem").to_owned();
    assert!(problem.contains(&format!("vgg19 {}", vgg19.version)), "{problem}");
    assert!(!problem.contains('/'), "no folder: {problem}");
    assert_eq!((&said["version"], &said["labels"]), (&Value::Null, &json!([])));
    let detail = predict(&server, ROUTE, &track).assert_problem("not-ready", 503);
    assert_eq!(detail, problem);
    let metrics = || String::from_utf8(get(server.address, "/metrics").body).expect("text");
    assert!(!metrics().contains("tonearm_model_in_use{model=\"ensemble\""), "{}", metrics());
    let ready = get(server.address, "/readyz").json();
    assert_eq!((&ready["status"], &ready["models"]["ensemble"]["ready"]), (&json!("ready"), &json!(false)));
    assert_eq!(predict(&server, "/predict", &track).status, 200, "the others go on");
    assert_eq!(predict(&server, "/vgg", &track).status, 200);

    // It is back with its member.
    fs::rename(&elsewhere, &vgg19.dir).expect("moves");
    wait_until(|| status()["ready"] == true);
    assert_eq!(status()["version"], ensemble.version);
    assert_eq!((status()["problem"].clone(), predict(&server, ROUTE, &track).json()), (Value::Null, before));
    // Without a folder it is none.
    fs::remove_dir_all(root.path().join("ensemble")).expect("removes");
    wait_until(|| listed(&server) == ["svm", "vgg19"]);
}

#[test]
fn members_that_do_not_fit_are_refused_and_the_other_models_are_served() {
    let root = tempfile::tempdir().expect("a folder");
    let [svm, vgg19, _] = write(root.path());
    let others = Draft {
        labels: LabelSet::from_names(["blues", "classical", "rock"]).expect("labels"),
        ..model::draft(ModelKind::Vgg19, 0)
    };
    let others = model::write_as(root.path(), "others", &others).version;
    let join = |name: &str, member: (&str, &str)| {
        let draft = model::ensemble(&[("svm", &svm.version, 0.5), (member.0, member.1, 0.5)]);
        model::write_as(root.path(), name, &draft)
    };
    join("labels", ("others", &others));
    join("gone", ("vgg19", "0123456789ab"));
    // A model has its kind from its artifact, whatever its name: this ensemble has a name of its own.
    join("mix", ("vgg19", &vgg19.version));
    // An ensemble in the folder of an SVM.
    let inside = model::ensemble(&[("svm", &svm.version, 0.5), ("vgg19", &vgg19.version, 0.5)]);
    let inside = inside.write_as(root.path(), "svm").expect("writes").version;
    let server = start("all", root.path());
    assert_eq!(listed(&server), ["svm", "vgg19", "ensemble", "gone", "labels", "mix", "others"]);
    let of = |name: &str| get(server.address, &format!("/v1/models/{name}")).json();
    let ready = ["svm", "vgg19", "ensemble", "gone", "labels", "mix", "others"].map(|name| of(name)["ready"] == true);
    assert_eq!(ready, [true, true, true, false, false, true, true]);
    let problem = of("gone")["problem"].as_str().expect("a problem").to_owned();
    assert!(problem.contains("vgg19 0123456789ab"), "{problem}");
    assert!(
        of("labels")["problem"].as_str().is_some_and(|problem| problem.contains("failed to load")),
        "{}",
        of("labels")
    );
    artifact::set_current(&root.path().join("svm"), &inside).expect("puts in use");
    wait_until(|| !of("svm")["problem"].is_null());
    assert_eq!(of("svm")["version"], svm.version);
    let track = Sound::Low.wav(2.0, 1);
    assert_eq!(predict(&server, "/v1/models/mix/predict", &track).json()["predicted_genre"], Sound::Low.label());
}
