//! `POST /v1/predict`: one upload for several models and features, of one server and through the gateway.

use std::path::Path;

use models::artifact::Written;
use serde_json::{Value, json};
use serve::config::ModelKind;

use crate::{
    binary::{Running, serve},
    client::{AUDIO_PART, FORM, Response, form, get, post, send},
    load::wait_until,
    model,
    wav::Sound,
};

/// Artifacts of an SVM, a network and the ensemble of both, each in use.
fn write(root: &Path) -> [Written; 3] {
    let [svm, vgg19] = ModelKind::MEMBERS.map(|kind| model::write(root, kind));
    let draft = model::ensemble(&[("svm", &svm.version, 0.375), ("vgg19", &vgg19.version, 0.625)]);
    let ensemble = model::write_as(root, "ensemble", &draft);
    [svm, vgg19, ensemble]
}

fn start(role: &str, root: &Path, arguments: &[&str]) -> Running {
    let mut command = serve();
    command.args([role, "--port", "0", "--artifacts"]).arg(root).args(arguments);
    Running::start(&mut command)
}

fn gateway(svm: &Running, vgg19: &Running, arguments: &[&str]) -> Running {
    let mut command = serve();
    command.args(["web", "--port", "0", "--svm-url", &format!("http://{}", svm.address)]);
    command.args(["--vgg-url", &format!("http://{}", vgg19.address)]).args(arguments);
    let gateway = Running::start(&mut command);
    wait_until(|| {
        let list = get(gateway.address, "/v1/models").json();
        list["models"].as_array().is_some_and(|models| models.len() >= 2 && models.iter().all(|m| m["ready"] == true))
    });
    gateway
}

fn ask(server: &Running, target: &str, track: &[u8]) -> Response {
    send(server.address, &post(target, FORM, &form(&[(AUDIO_PART, track)])))
}

fn metric(server: &Running, line: &str) -> u64 {
    let text = String::from_utf8(get(server.address, "/metrics").body).expect("text");
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found.map_or(0, |number| number.trim().parse().expect("a number"))
}

/// The names of the models that a response has, in its order.
fn names(response: &Response) -> Vec<String> {
    let text = String::from_utf8(response.body.clone()).expect("text");
    let at = |name: &str| {
        text.find(&format!("\"{name}\":{{\"answer\":")).or(text.find(&format!("\"{name}\":{{\"problem\":")))
    };
    let mut found: Vec<(usize, String)> = ["svm", "vgg19", "ensemble", "features"]
        .iter()
        .filter_map(|name| Some((at(name)?, (*name).to_owned())))
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn each_model_answers_as_alone_and_the_file_is_decoded_once() {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path());
    let (server, alone) = (start("all", root.path(), &[]), start("all", root.path(), &[]));
    let track = Sound::High.wav(3.0, 1);
    let response = ask(&server, "/v1/predict?include=waveform,log_mel&model=svm&encoding=base64", &track);
    assert_eq!((response.status, response.header("tonearm-cache")), (200, Some("miss")), "{response:?}");
    assert_eq!(names(&response), ["svm", "vgg19", "ensemble", "features"]);
    let json = response.json();
    for name in ["svm", "vgg19", "ensemble"] {
        let expected = ask(&alone, &format!("/v1/models/{name}/predict"), &track).json();
        assert_eq!(json["predictions"][name], json!({"answer": expected}));
    }
    let expected = ask(&alone, "/features?include=waveform,log_mel&model=svm&encoding=base64", &track).json();
    assert_eq!(json["features"], json!({"answer": expected}));
    // All of them take the same features, and the members of the ensemble are asked once.
    for line in ["tonearm_decode_seconds_count ", "tonearm_feature_seconds_count "] {
        assert_eq!(metric(&server, line), 1, "{line}");
    }
    for name in ["svm", "vgg19", "ensemble"] {
        let stats = get(server.address, &format!("/v2/models/{name}/stats")).json();
        let stats = &stats["model_stats"][0];
        let found =
            (&stats["inference_count"], &stats["execution_count"], &stats["inference_stats"]["success"]["count"]);
        assert_eq!(found, (&1.into(), &1.into(), &1.into()), "{name}: {stats}");
    }
    // In the order of the request, and from the cache.
    let again = ask(&server, "/v1/predict?models=vgg19,svm,vgg19", &track);
    assert_eq!(
        (names(&again), again.header("tonearm-cache")),
        (vec!["vgg19".to_owned(), "svm".to_owned()], Some("hit"))
    );
    assert_eq!(again.json()["predictions"]["svm"], json["predictions"]["svm"]);
    assert_eq!(metric(&server, "tonearm_decode_seconds_count "), 1);
    // In every way of sending, with an explanation by those that explain.
    let explained = send(server.address, &post("/v1/predict?models=svm,vgg19&explain=predicted", "audio/wav", &track));
    let predictions = &explained.json()["predictions"];
    assert!(predictions["svm"]["answer"]["explanation"].is_null(), "{predictions}");
    let alone = send(alone.address, &post("/vgg?explain=predicted", "audio/wav", &track)).json();
    assert_eq!(predictions["vgg19"]["answer"], alone);
}

#[test]
fn what_is_wrong_is_told_of_the_request_or_of_a_model() {
    let root = tempfile::tempdir().expect("a folder");
    model::write(root.path(), ModelKind::Svm);
    let server = start("all", root.path(), &["--model", "svm", "--model", "vgg19", "--wait-for-artifact"]);
    let track = Sound::Low.wav(2.0, 1);
    let json = ask(&server, "/v1/predict", &track).json();
    assert_eq!(json["predictions"]["svm"]["answer"]["predicted_genre"], Sound::Low.label());
    let problem = &json["predictions"]["vgg19"]["problem"];
    assert_eq!((&problem["type"], &problem["status"]), (&"/problems/not-ready".into(), &503.into()));
    assert!(json.get("features").is_none());
    ask(&server, "/v1/predict?models=vgg19", &track).assert_problem("not-ready", 503);
    ask(&server, "/v1/predict", b"no track").assert_problem("not-audio", 415);
    ask(&server, "/v1/predict?models=svm,none", &track).assert_problem("unknown-model", 404);
    for query in ["models=", "models=svm,,svm", "model=svm", "include=all", "modles=svm", "include=mfcc&encoding=hex"] {
        ask(&server, &format!("/v1/predict?{query}"), &track).assert_problem("bad-query", 400);
    }
    let none = form(&[("Content-Disposition: form-data; name=\"track\"", &track)]);
    let detail = send(server.address, &post("/v1/predict", FORM, &none)).assert_problem("no-audio", 400);
    assert!(detail.contains("`track`"), "{detail}");
    let head = format!(
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nTonearm-Version: 0123456789ab\r\nContent-Length: {}\r\n\r\n",
        track.len()
    );
    let detail = send(server.address, &[head.as_bytes(), &track].concat()).assert_problem("bad-query", 400);
    assert!(detail.contains("Tonearm-Version"), "{detail}");
}

#[test]
fn the_gateway_asks_every_server_and_joins_what_they_say() {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path());
    let (svm, vgg19, all) =
        (start("svm", root.path(), &[]), start("vgg", root.path(), &[]), start("all", root.path(), &[]));
    let web = gateway(&svm, &vgg19, &["--max-body-bytes", "1000000"]);
    let track = Sound::Noise.wav(4.0, 2);
    for (query, expected) in [
        ("", &["svm", "vgg19"][..]),
        ("?models=vgg19,svm&include=waveform,log_mel", &["vgg19", "svm", "features"]),
        ("?models=vgg19&include=mfcc&model=svm", &["vgg19", "features"]),
        ("?models=vgg19&explain=predicted", &["vgg19"]),
        ("?models=svm,vgg19&explain=predicted", &["svm", "vgg19"]),
    ] {
        let response = ask(&web, &format!("/v1/predict{query}"), &track);
        assert_eq!(
            (response.status, &names(&response)[..]),
            (200, &expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{query}: {response:?}"
        );
        let models = if query.is_empty() { "?models=svm,vgg19" } else { query };
        assert_eq!(response.json(), ask(&all, &format!("/v1/predict{models}"), &track).json(), "{query}");
    }
    let cached = ask(&web, "/v1/predict", &track);
    assert_eq!(cached.header("tonearm-cache"), Some("hit"));
    ask(&web, "/v1/predict", b"no track").assert_problem("not-audio", 415);
    ask(&web, "/v1/predict?models=svm,none", &track).assert_problem("unknown-model", 404);
    ask(&web, "/v1/predict?models=", &track).assert_problem("bad-query", 400);
    ask(&web, "/v1/predict", &vec![0; 1_000_001]).assert_problem("body-too-large", 413);
    let stats = get(web.address, "/v2/models/stats").json();
    let listed: Vec<&Value> =
        stats["model_stats"].as_array().expect("a list").iter().map(|model| &model["name"]).collect();
    assert_eq!(listed, ["svm", "vgg19"]);
    assert_eq!(get(web.address, "/v2/models/svm/config").json()["name"], "svm");

    // One server that has both gets one request.
    let one = gateway(&all, &all, &[]);
    let response = ask(&one, "/v1/predict?include=waveform", &track);
    assert_eq!(names(&response), ["svm", "vgg19", "ensemble", "features"]);

    // A server that is down is told in the place of its models.
    drop(vgg19);
    let json = ask(&web, "/v1/predict?models=svm,vgg19", &track).json();
    assert_eq!(json["predictions"]["vgg19"]["problem"]["type"], "/problems/backend-unavailable");
    assert_eq!(json["predictions"]["svm"]["answer"]["predicted_genre"], Sound::Noise.label());
    ask(&web, "/v1/predict?models=vgg19", &track).assert_problem("backend-unavailable", 502);
}
