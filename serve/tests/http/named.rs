//! Models by name: all that are there, each by its routes, as they come and go; and what every answer says of its model.

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use models::artifact::{self, Draft, SplitMetrics};
use serde_json::{Value, json};
use serve::{config::ModelKind, engine::model::SYNTHETIC_WARNING};

use crate::{
    binary::{Running, run, serve},
    client::{AUDIO_PART, FORM, Response, form, get, post, send},
    load::wait_until,
    model,
    wav::Sound,
};

/// A server of that role over the artifacts below `root`, which looks for what is new ten times a second.
fn start(role: &str, root: &Path, arguments: &[&str]) -> Running {
    let mut command = serve();
    command.args([role, "--port", "0", "--reload-every", "0.1"]).args(arguments);
    Running::start(command.arg("--artifacts").arg(root))
}

fn predict(server: &Running, route: &str, track: &[u8]) -> Response {
    send(server.address, &post(route, FORM, &form(&[(AUDIO_PART, track)])))
}

/// The names of the models that a server lists, in its order.
fn listed(server: &Running) -> Vec<String> {
    let list = get(server.address, "/v1/models").json();
    let names = list["models"].as_array().expect("a list").iter().map(|model| model["name"].as_str().expect("a name"));
    names.map(str::to_owned).collect()
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("text")
}

/// An SVM that was trained on synthetic audio, and evaluated.
fn synthetic(variant: usize) -> Draft {
    let more = [("ci95".to_owned(), json!([0.5, 1.0]))].into();
    Draft {
        training: json!({"warning": "Synthetic music: …", "variant": variant}),
        metrics: vec![SplitMetrics { split: "artist-kfold:5".to_owned(), n: 8, accuracy: 0.75, more }],
        ..model::draft(ModelKind::Svm, variant)
    }
}

#[test]
fn every_model_that_is_there_is_served_by_its_name() {
    let root = tempfile::tempdir().expect("a folder");
    for kind in ModelKind::MEMBERS {
        model::write(root.path(), kind);
    }
    let dances = model::write_as(root.path(), "dances", &model::draft(ModelKind::Svm, 1)).version;
    model::write_as(root.path(), "a.night_at-9", &model::draft(ModelKind::Vgg19, 0));
    let server = start("all", root.path(), &[]);
    assert_eq!(listed(&server), ["svm", "vgg19", "a.night_at-9", "dances"]);
    assert_eq!(get(server.address, "/readyz").status, 200);

    // Each gives what it gives under any other name.
    let track = Sound::High.wav(3.0, 1);
    for (name, kind, alias) in [
        ("svm", "svm", Some("/predict")),
        ("vgg19", "vgg19", Some("/vgg")),
        ("dances", "svm", None),
        ("a.night_at-9", "vgg19", None),
    ] {
        let route = format!("/v1/models/{name}/predict");
        let status = get(server.address, &format!("/v1/models/{name}")).json();
        assert_eq!(
            (&status["kind"], &status["ready"], &status["predict"]),
            (&kind.into(), &true.into(), &json!(route))
        );
        assert_eq!(status["route"], alias.unwrap_or(&route));
        let json = predict(&server, &route, &track).json();
        assert_eq!((&json["model"]["name"], &json["model"]["kind"]), (&name.into(), &kind.into()), "{json}");
        assert_eq!(json["predicted_genre"], "classical");
        if let Some(alias) = alias {
            assert_eq!(predict(&server, alias, &track).json(), json);
        }
        let raw = send(server.address, &post(&route, "audio/wav", &track));
        assert_eq!(raw.json(), json, "in every way of sending");
        let file = "Content-Disposition: form-data; name=\"files\"; filename=\"x.wav\"";
        let batch = send(server.address, &post(&format!("{route}/batch"), FORM, &form(&[(file, &track)])));
        assert_eq!(serde_json::from_slice::<Value>(&batch.body).expect("a line")["answer"], json);
    }
    // The SVM of the other temperature is another.
    let [svm, dances_says] =
        ["/predict", "/v1/models/dances/predict"].map(|route| predict(&server, route, &track).json());
    assert_ne!(svm["probabilities"], dances_says["probabilities"]);
    assert_eq!(svm["features_digest"], dances_says["features_digest"]);
    // A network that has a name of its own explains, and an SVM does not.
    let explained =
        send(server.address, &post("/v1/models/a.night_at-9/predict?explain=predicted", "audio/wav", &track));
    assert_eq!(explained.json()["explanation"]["genre"], "classical");
    let refused = send(server.address, &post("/v1/models/dances/predict?explain=predicted", "audio/wav", &track));
    refused.assert_problem("bad-query", 400);
    // Features by its specification, and its versions.
    let features = send(server.address, &post("/features?model=dances&include=mfcc", "audio/wav", &track)).json();
    assert_eq!(features["fingerprint"], svm["model"]["fingerprint"]);
    let versions = get(server.address, "/v1/models/dances/versions").json();
    assert_eq!(versions["versions"], json!([{"version": dances, "current": true, "loaded": true}]));
    let by_version = predict(&server, &format!("/v1/models/dances/versions/{dances}/predict"), &track);
    assert_eq!(by_version.json(), dances_says);

    let metrics = text(&get(server.address, "/metrics"));
    assert!(metrics.contains(&format!("tonearm_model_in_use{{model=\"dances\",version=\"{dances}\"}} 1")), "{metrics}");
    assert!(metrics.contains("tonearm_inference_seconds_count{model=\"a.night_at-9\"}"), "{metrics}");
    let api = get(server.address, "/openapi.json").json();
    for path in ["/v1/models/{name}/predict", "/v1/models/{name}/predict/batch", "/v2/models/{name}/infer"] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    for schema in ["Model", "TrainedOn", "Evaluated", "ModelStatus", "InferenceModelParameters"] {
        assert!(
            api["components"]["schemas"][schema].is_object(),
            "{schema} is not in {}",
            api["components"]["schemas"]
        );
    }
}

#[test]
fn the_same_version_under_two_names_answers_with_each_name() {
    let root = tempfile::tempdir().expect("a folder");
    let svm = model::write(root.path(), ModelKind::Svm).version;
    let dances = model::write_as(root.path(), "dances", &model::draft(ModelKind::Svm, 0)).version;
    assert_eq!(svm, dances, "the name is that of the folder alone");
    let server = start("svm", root.path(), &[]);
    let track = Sound::Low.wav(2.0, 1);
    for _ in 0..2 {
        for name in ["svm", "dances"] {
            let json = predict(&server, &format!("/v1/models/{name}/predict"), &track).json();
            assert_eq!(json["model"]["name"], name);
        }
    }
}

#[test]
fn the_open_inference_protocol_has_every_model() {
    let root = tempfile::tempdir().expect("a folder");
    let version = model::write_as(root.path(), "dances", &synthetic(0)).version;
    let server = start("svm", root.path(), &[]);
    let index = send(server.address, &post("/v2/repository/index", "", b"")).json();
    assert_eq!(index, json!([{"name": "dances", "version": version, "state": "READY", "reason": ""}]));
    assert_eq!(get(server.address, "/v2/models/dances/ready").json(), json!({"name": "dances", "ready": true}));
    let parameters = json!({
        "kind": "svm", "labels": 3, "trained_on": "three seeded sounds", "trained_on_clips": 12,
        "trained_on_synthetic": true, "evaluated_on": "artist-kfold:5", "evaluated_clips": 8, "accuracy": 0.75,
        "accuracy_ci95_low": 0.5, "accuracy_ci95_high": 1.0, "warning": SYNTHETIC_WARNING,
    });
    let metadata = get(server.address, "/v2/models/dances").json();
    assert_eq!((&metadata["platform"], &metadata["parameters"]), (&"tonearm_svm".into(), &parameters));
    assert_eq!(metadata["outputs"][1]["shape"], json!([-1, 3]));

    let audio = BASE64_STANDARD.encode(Sound::Noise.wav(2.0, 1));
    let body = json!({"inputs": [{"name": "audio", "datatype": "BYTES", "shape": [1], "data": [audio]}]}).to_string();
    let answer = send(server.address, &post("/v2/models/dances/infer", "application/json", body.as_bytes())).json();
    assert_eq!((&answer["model_name"], &answer["model_version"]), (&"dances".into(), &version.into()));
    assert_eq!((&answer["parameters"], &answer["outputs"][0]["data"]), (&parameters, &json!(["metal"])));
    let svm = send(server.address, &post("/v2/models/svm/infer", "application/json", body.as_bytes()));
    assert_eq!(svm.status, 404, "{}", text(&svm));
}

#[test]
fn a_role_serves_the_models_of_its_kind_and_those_that_are_named() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), ModelKind::Svm);
    model::write_as(root.path(), "dances", &model::draft(ModelKind::Svm, 1));
    model::write_as(root.path(), "night", &model::draft(ModelKind::Vgg19, 0));
    for (role, arguments, names) in [
        ("svm", &[][..], &["svm", "dances"][..]),
        ("vgg", &[], &["night"]),
        ("all", &[], &["svm", "dances", "night"]),
        ("all", &["--model", "night", "--model", "dances"], &["dances", "night"]),
        ("svm", &["--model", "dances"], &["dances"]),
    ] {
        let server = start(role, root.path(), arguments);
        assert_eq!(listed(&server), names, "{role} {arguments:?}");
        assert_eq!(get(server.address, "/readyz").status, 200);
    }
    let mut command = serve();
    let server = Running::start(
        command.args(["all", "--port", "0", "--artifacts"]).arg(root.path()).env("TONEARM_MODELS", "dances,svm"),
    );
    assert_eq!(listed(&server), ["svm", "dances"]);
    // The folder of one model, under any name.
    let one = start("svm", &root.path().join("dances"), &["--model", "dances"]);
    assert_eq!(listed(&one), ["dances"]);
    let default = start("all", &root.path().join("dances"), &[]);
    assert_eq!(listed(&default), ["svm"], "the folder of one model says nothing of its name");

    let refused = |arguments: &[&str], words: &[&str]| {
        let (code, _, stderr) = run(serve().args(arguments).args(["--port", "0", "--artifacts"]).arg(root.path()));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{words:?} are not in {stderr}");
    };
    refused(&["svm", "--model", "salsa"], &["no salsa artifact"]);
    refused(&["svm", "--model", "night"], &["holds the model `vgg19`", "`serve svm` serves `svm`"]);
    refused(&["all", "--model", "dances,svm", "--model-version", "0123456789ab"], &["--model-version", "--model"]);
    for name in ["../svm", "a/b", ".hidden", "Dances", "", "0123456789ab"] {
        refused(&["svm", "--model", name], &["--model"]);
    }
}

#[test]
fn models_come_and_go_while_the_server_runs() {
    let root = tempfile::tempdir().expect("a folder");
    let server = start("all", root.path(), &["--wait-for-artifact"]);
    assert_eq!(listed(&server), ["svm", "vgg19"], "they are waited for");
    get(server.address, "/readyz").assert_problem("not-ready", 503);
    let track = Sound::Low.wav(2.0, 1);
    predict(&server, "/v1/models/dances/predict", &track).assert_problem("unknown-model", 404);

    let first = model::write_as(root.path(), "dances", &model::draft(ModelKind::Svm, 0)).version;
    wait_until(|| listed(&server) == ["dances"]);
    assert_eq!(get(server.address, "/readyz").status, 200, "one that is there is enough");
    assert_eq!(predict(&server, "/v1/models/dances/predict", &track).json()["model"]["version"], first);

    // A new version of it.
    let second = model::write_as(root.path(), "dances", &model::draft(ModelKind::Svm, 1)).version;
    let in_use = || get(server.address, "/v1/models/dances").json()["version"].clone();
    wait_until(|| in_use() == second);

    // A broken one beside it is told, and stops nothing.
    model::write_as(root.path(), "salsa", &model::draft(ModelKind::Svm, 2));
    let broken = model::draft(ModelKind::Svm, 3).write_as(root.path(), "tango").expect("writes");
    fs::write(broken.dir.join("weights.safetensors"), "damage").expect("writes");
    artifact::set_current(&root.path().join("tango"), &broken.version).expect("puts in use");
    wait_until(|| listed(&server) == ["dances", "salsa", "tango"]);
    let ready = get(server.address, "/readyz").json();
    assert_eq!((&ready["status"], &ready["models"]["tango"]["ready"]), (&"ready".into(), &false.into()));
    let tango = get(server.address, "/v1/models/tango").json();
    assert!(tango["problem"].as_str().is_some_and(|problem| problem.contains("tango")), "{tango}");
    assert_eq!((&tango["ready"], &tango["trained_on"]), (&false.into(), &Value::Null));
    predict(&server, "/v1/models/tango/predict", &track).assert_problem("not-ready", 503);

    // A folder without a version in use is no model, and a version of another kind is not taken.
    fs::create_dir(root.path().join("notes")).expect("makes a folder");
    let other = model::draft(ModelKind::Vgg19, 0).write_as(root.path(), "dances").expect("writes").version;
    artifact::set_current(&root.path().join("dances"), &other).expect("puts in use");
    let problem = || get(server.address, "/v1/models/dances").json()["problem"].clone();
    wait_until(|| !problem().is_null());
    assert_eq!(in_use(), second);

    // What is gone is retired, with its metrics.
    let series = || text(&get(server.address, "/metrics"));
    assert!(series().contains("model=\"dances\""));
    fs::remove_dir_all(root.path().join("dances")).expect("removes");
    wait_until(|| listed(&server) == ["salsa", "tango"]);
    predict(&server, "/v1/models/dances/predict", &track).assert_problem("unknown-model", 404);
    assert!(!series().contains("model=\"dances\""), "{}", series());
    assert_eq!(predict(&server, "/v1/models/salsa/predict", &track).status, 200);
}

#[test]
fn every_answer_says_where_its_model_comes_from() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), ModelKind::Svm);
    let version = model::write_as(root.path(), "dances", &synthetic(1)).version;
    let mut server = start("svm", root.path(), &[]);
    let track = Sound::Low.wav(2.0, 1);
    let trained_on = json!({"description": "three seeded sounds", "clips": 12, "synthetic": true});
    let evaluated = json!({"split": "artist-kfold:5", "accuracy": 0.75, "ci95": [0.5, 1.0], "n": 8});
    let first = predict(&server, "/v1/models/dances/predict", &track);
    let model = first.json()["model"].clone();
    assert_eq!((&model["name"], &model["version"], &model["labels"]), (&"dances".into(), &json!(version), &3.into()));
    assert_eq!((&model["trained_on"], &model["evaluated"]), (&trained_on, &evaluated));
    assert_eq!(model["warning"], SYNTHETIC_WARNING);
    let again = predict(&server, "/v1/models/dances/predict", &track);
    assert_eq!(again.header("tonearm-cache"), Some("hit"));
    assert_eq!(again.body, first.body);

    let list = get(server.address, "/v1/models").json();
    let [svm, dances] = [&list["models"][0], &list["models"][1]];
    assert_eq!((&dances["name"], &dances["labels"]), (&"dances".into(), &json!(["blues", "classical", "metal"])));
    assert_eq!((&dances["trained_on"], &dances["evaluated"]), (&trained_on, &evaluated));
    assert_eq!((&dances["warning"], &dances["state"]), (&SYNTHETIC_WARNING.into(), &"ready".into()));
    assert_eq!((&svm["warning"], &svm["evaluated"]), (&Value::Null, &Value::Null));
    assert_eq!(svm["trained_on"]["synthetic"], false);
    assert_eq!(predict(&server, "/predict", &track).json()["model"]["warning"], Value::Null);
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
}

/// A name reaches no file: it is compared with those that there are.
#[test]
fn a_hostile_name_is_unknown() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), ModelKind::Svm);
    fs::create_dir(root.path().join("inner")).expect("makes a folder");
    model::write(&root.path().join("inner"), ModelKind::Svm);
    let svm = start("svm", root.path(), &[]);
    let url = format!("http://{}", svm.address);
    let web = Running::start(serve().args(["web", "--port", "0", "--svm-url", &url, "--vgg-url", &url]));
    let track = Sound::Low.wav(2.0, 1);
    let long = "x".repeat(5_000);
    for server in [&svm, &web] {
        for name in [
            "..%2Fsvm",
            "%2e%2e",
            "inner%2Fsvm",
            "SVM",
            "svm%00",
            "s%20v",
            "svm%0A",
            "%F0%9F%8E%B5",
            ".",
            "inner",
            &long,
        ] {
            for request in [
                format!("GET /v1/models/{name} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes(),
                post(&format!("/v1/models/{name}/predict"), "audio/wav", &track),
                post(&format!("/v2/models/{name}/infer"), "application/json", b"{}"),
                post(&format!("/features?model={name}"), "audio/wav", &track),
            ] {
                let response = send(server.address, &request);
                assert_eq!(response.status, 404, "{name}: {}", text(&response));
            }
        }
        assert_eq!(predict(server, "/v1/models/svm/predict", &track).status, 200);
    }
    let metrics = text(&get(svm.address, "/metrics"));
    assert!(!metrics.contains("inner") && !metrics.contains("SVM"), "a client makes no series:\n{metrics}");
}

#[test]
fn the_gateway_forwards_to_the_server_that_has_a_model() {
    let root = tempfile::tempdir().expect("a folder");
    for kind in ModelKind::MEMBERS {
        model::write(root.path(), kind);
    }
    model::write_as(root.path(), "dances", &synthetic(1));
    model::write_as(root.path(), "night", &model::draft(ModelKind::Vgg19, 0));
    let keys = root.path().join("keys");
    fs::write(&keys, "a-key-of-20-letters-\n").expect("writes");
    let servers = |arguments: &[&str]| ["svm", "vgg"].map(|role| start(role, root.path(), arguments));
    let web = |servers: &[Running; 2]| {
        let [svm, vgg] = servers.each_ref().map(|server| format!("http://{}", server.address));
        Running::start(serve().args(["web", "--port", "0", "--svm-url", &svm, "--vgg-url", &vgg]))
    };
    let open = servers(&[]);
    let gateway = web(&open);
    wait_until(|| listed(&gateway) == ["svm", "vgg19", "dances", "night"]);
    let list = get(gateway.address, "/v1/models").json();
    assert_eq!(list["models"][2], get(open[0].address, "/v1/models/dances").json(), "as its server says it");
    assert_eq!(list["models"][2]["warning"], SYNTHETIC_WARNING);
    let track = Sound::High.wav(2.0, 1);
    for (name, server) in [("dances", &open[0]), ("night", &open[1]), ("svm", &open[0])] {
        let route = format!("/v1/models/{name}/predict");
        let json = predict(&gateway, &route, &track).json();
        assert_eq!(json["model"]["name"], name);
        assert_eq!(json, predict(server, &route, &track).json());
        assert_eq!(get(gateway.address, &format!("/v2/models/{name}")).json()["name"], name);
    }
    let index = send(gateway.address, &post("/v2/repository/index", "", b"")).json();
    assert_eq!(index.as_array().map(Vec::len), Some(4));
    predict(&gateway, "/v1/models/salsa/predict", &track).assert_problem("unknown-model", 404);
    // One that is new is found before it is listed.
    model::write_as(root.path(), "salsa", &model::draft(ModelKind::Svm, 4));
    wait_until(|| listed(&open[0]).contains(&"salsa".to_owned()));
    assert_eq!(predict(&gateway, "/v1/models/salsa/predict", &track).json()["model"]["name"], "salsa");
    // A server that is down is named as such, not its models as unknown.
    wait_until(|| listed(&gateway).contains(&"salsa".to_owned()));
    let [svm, _vgg] = open;
    drop(svm);
    predict(&gateway, "/v1/models/dances/predict", &track).assert_problem("backend-unavailable", 502);
    assert!(listed(&gateway).contains(&"dances".to_owned()));

    // Where only clients have the key, they are asked with it.
    let locked = servers(&["--api-key-file", &keys.to_string_lossy()]);
    let gateway = web(&locked);
    let ask = |key: &str| {
        let head = format!(
            "POST /v1/models/night/predict HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {}\r\n\r\n",
            track.len()
        );
        send(gateway.address, &[head.as_bytes(), &track].concat())
    };
    assert_eq!(ask("X-API-Key: a-key-of-20-letters-\r\n").json()["model"]["name"], "night");
    assert_eq!(ask("Authorization: Bearer a-key-of-20-letters-\r\n").json()["model"]["name"], "night");
    ask("").assert_problem("unauthorized", 401);
}
