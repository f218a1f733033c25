//! The routes beside the two that predict one file.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use serve::config::ModelKind;

use crate::{
    client::{AUDIO_PART, FORM, Response, form, get, post, predict, send},
    model::{self, Script, Scripted},
    server::{Options, Server},
    wav::Sound,
};

const FILE: &str = "Content-Disposition: form-data; name=\"files\"; filename=";

/// The lines of a chunked response, in the order of their files.
fn lines(response: &Response) -> Vec<Value> {
    assert_eq!(response.header("content-type"), Some("application/x-ndjson"), "{response:?}");
    let text = String::from_utf8(response.body.clone()).expect("text");
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    lines.sort_by_key(|line| line["index"].as_u64());
    lines
}

#[test]
fn many_files_get_a_line_each_as_each_alone() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options::of(kind));
        let tracks = [Sound::Low.wav(2.0, 1), b"no track".to_vec(), Sound::High.wav(3.0, 2), Sound::Noise.flac(2.5, 3)];
        let heads: Vec<String> = (0..tracks.len()).map(|index| format!("{FILE}\"../{index}.wav\"")).collect();
        let parts: Vec<(&str, &[u8])> =
            heads.iter().map(String::as_str).zip(tracks.iter().map(Vec::as_slice)).collect();
        let response = send(server.address, &post(&format!("{}/batch", kind.route()), FORM, &form(&parts)));
        assert_eq!(response.status, 200);
        let lines = lines(&response);
        assert_eq!(lines.len(), tracks.len());
        for (index, (line, track)) in lines.iter().zip(&tracks).enumerate() {
            assert_eq!(line["file_name"], format!("../{index}.wav"));
            let alone = server.send(&predict(track));
            if alone.status == 200 {
                assert_eq!((&line["answer"], &line["problem"]), (&alone.json(), &Value::Null));
            } else {
                assert_eq!((&line["problem"], &line["answer"]), (&alone.json(), &Value::Null));
            }
        }
        let none = post(&format!("{}/batch", kind.route()), FORM, &form(&[(AUDIO_PART, &tracks[0])]));
        send(server.address, &none).assert_problem("no-audio", 400);
        let raw = post(&format!("{}/batch", kind.route()), "audio/wav", &tracks[0]);
        send(server.address, &raw).assert_problem("unsupported-content-type", 415);
    }
}

#[test]
fn a_response_is_cached_for_the_same_track_and_the_same_version() {
    let server = Server::start(Options { cache_bytes: 1 << 20, ..Options::default() });
    let track = Sound::Low.wav(2.0, 1);
    let ask = || send(server.address, &predict(&track));
    let (first, second) = (ask(), ask());
    assert_eq!((first.header("tonearm-cache"), second.header("tonearm-cache")), (Some("miss"), Some("hit")));
    assert_eq!(first.body, second.body);
    server.slot().put(Scripted::model(Script::PanicOnLong));
    let third = ask();
    assert_eq!(
        (third.header("tonearm-cache"), &third.json()["model"]["version"]),
        (Some("miss"), &"000000000000".into())
    );
    let metrics = String::from_utf8(get(server.address, "/metrics").body).expect("text");
    assert!(metrics.contains("tonearm_response_cache_total{outcome=\"hit\"} 1\n"), "{metrics}");
}

#[test]
fn a_version_is_named_by_path_or_by_header() {
    let server = Server::start(Options::default());
    let current = model::of(ModelKind::Svm).identity().version.clone();
    let track = Sound::Low.wav(2.0, 1);
    let by_path = |name: &str, version: &str| {
        let path = format!("/v1/models/{name}/versions/{version}/predict");
        send(server.address, &post(&path, FORM, &form(&[(AUDIO_PART, &track)])))
    };
    let plain = send(server.address, &predict(&track));
    assert_eq!(by_path("svm", &current).json(), plain.json());
    let by_model = post("/v1/models/svm/predict", FORM, &form(&[(AUDIO_PART, &track)]));
    assert_eq!(send(server.address, &by_model).json(), plain.json());
    by_path("svm", "ffffffffffff").assert_problem("unknown-version", 404);
    by_path("vgg19", &current).assert_problem("unknown-model", 404);
    let versions = get(server.address, "/v1/models/svm/versions").json();
    assert_eq!(versions["versions"][0]["version"], current);
    assert_eq!((&versions["versions"][0]["current"], &versions["versions"][0]["loaded"]), (&true.into(), &true.into()));
}

#[test]
fn features_are_those_of_the_library() {
    let server = Server::start(Options::default());
    let track = Sound::High.wav(3.0, 1);
    let ask = |query: &str| send(server.address, &post(&format!("/features{query}"), "audio/wav", &track)).json();
    let decoded = features::decode::decode(&track, &features::decode::Limits::default()).expect("decodes");
    let spec = features::FeatureSpec::librosa();
    let extractor = features::Extractor::new(spec.clone()).expect("valid");
    let analysis = extractor.extract(&decoded.clip).expect("long enough");
    let db = analysis.log_mel().db();

    let json = ask("?include=log_mel,waveform&encoding=base64");
    let floats = |value: &Value| -> Vec<f32> {
        let bytes = BASE64_STANDARD.decode(value.as_str().expect("base64")).expect("base64");
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four"))).collect()
    };
    assert_eq!(floats(&json["log_mel"]["values"]), db.iter().copied().collect::<Vec<f32>>());
    assert_eq!(json["log_mel"]["rows"], db.nrows());
    assert_eq!(json["log_mel"]["row_hz"].as_array().map(Vec::len), Some(db.nrows()));
    assert_eq!(floats(&json["waveform"]["max"]).len() as u64, json["waveform"]["columns"].as_u64().expect("a number"));
    assert!(json["mfcc"].is_null() && json["descriptors"].is_null());

    let json = ask("");
    let mfcc =
        features::descriptors::mfcc::Mfcc::new(spec.mel.n_mels, spec.n_mfcc).expect("valid").apply(db).expect("bands");
    let row = json["mfcc"]["values"][3].as_array().expect("a row");
    let found: Vec<f32> = row.iter().map(|value| value.as_f64().expect("a number") as f32).collect();
    assert_eq!(found, mfcc.row(3).to_vec());
    let segments = extractor.segments(&analysis).expect("long enough");
    assert_eq!(json["descriptors"]["names"].as_array().map(Vec::len), Some(extractor.names().len()));
    let values = json["descriptors"]["segments"][0]["values"].as_array().expect("a list");
    assert_eq!(values[0].as_f64().map(|value| value as f32), Some(segments[0].vector[0]));
    assert_eq!(json["fingerprint"], spec.fingerprint().to_string());
}

#[test]
fn the_network_explains_its_label() {
    let server = Server::start(Options::of(ModelKind::Vgg19));
    let track = Sound::High.wav(5.0, 1);
    let ask = |query: &str| send(server.address, &post(&format!("/vgg{query}"), "audio/wav", &track)).json();
    let (plain, explained) = (ask(""), ask("?explain=predicted"));
    assert_eq!(plain["probabilities"], explained["probabilities"]);
    assert!(plain["explanation"].is_null());
    let explanation = &explained["explanation"];
    assert_eq!(explanation["genre"], explained["predicted_genre"]);
    let number = |name: &str| explanation[name].as_u64().expect("a number") as usize;
    let bytes = BASE64_STANDARD.decode(explanation["values"].as_str().expect("base64")).expect("base64");
    assert_eq!(bytes.len(), number("rows") * number("columns") * 4);
    assert_eq!(explanation["row_edges_hz"].as_array().map(Vec::len), Some(number("rows") + 1));
    assert_eq!(ask("?explain=metal")["explanation"]["genre"], "metal");
}

#[test]
fn requests_have_ids_and_are_counted() {
    let server = Server::start(Options::default());
    let ask = |id: &str| {
        let request = format!("GET /readyz HTTP/1.1\r\nHost: x\r\n{id}\r\n");
        send(server.address, request.as_bytes()).header("x-request-id").expect("an id").to_owned()
    };
    assert_eq!(ask("X-Request-Id: mine-1\r\n"), "mine-1");
    assert_eq!(ask("X-Request-Id: not mine\r\n").len(), 16);
    assert_ne!(ask(""), ask(""));
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).status, 200);
    send(server.address, &predict(b"no track")).assert_problem("not-audio", 415);
    let response = get(server.address, "/metrics");
    assert!(response.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")));
    let text = String::from_utf8(response.body).expect("text");
    let version = model::of(ModelKind::Svm).identity().version.clone();
    for line in [
        r#"tonearm_requests_total{route="/readyz",method="GET",status="200",reason=""} 4"#,
        r#"tonearm_requests_total{route="/predict",method="POST",status="200",reason=""} 1"#,
        r#"tonearm_requests_total{route="/predict",method="POST",status="415",reason="not-audio"} 1"#,
        &format!(r#"tonearm_model_in_use{{model="svm",version="{version}"}} 1"#),
        "tonearm_decode_seconds_count 1",
        r#"tonearm_inference_seconds_count{model="svm"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_description_has_every_route_and_status() {
    let server = Server::start(Options::default());
    let api = get(server.address, "/openapi.json").json();
    for path in
        ["/predict", "/predict/batch", "/features", "/v1/models", "/metrics", "/readyz", "/v2/models/{name}/infer"]
    {
        assert!(api["paths"][path].is_object(), "{path} is not in {}", api["paths"]);
    }
    assert!(api["paths"]["/vgg"].is_null(), "that is the route of another role");
    let statuses = &api["paths"]["/predict"]["post"]["responses"];
    for status in ["200", "400", "408", "413", "415", "422", "500", "503"] {
        assert!(statuses[status].is_object(), "{status} is not in {statuses}");
    }
    // What generated clients need: ids of operations, bytes as strings.
    let mut ids = BTreeSet::new();
    for (path, item) in api["paths"].as_object().expect("an object") {
        for operation in item.as_object().expect("an object").values() {
            assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{path}: twice");
            let bytes = &operation["requestBody"]["content"]["application/octet-stream"];
            assert!(
                bytes.is_null() || bytes["schema"] == json!({"type": "string", "format": "binary"}),
                "{path}: {bytes}"
            );
        }
    }
    let version = &api["paths"]["/predict"]["post"]["parameters"][0];
    assert_eq!(version["schema"], json!({"type": "string", "pattern": "^[0-9a-f]{12}$"}));
    assert!(api["components"]["schemas"]["BatchLine"].is_object() && api["security"].is_null());
    let docs = get(server.address, "/docs/");
    assert!(docs.status == 200 && docs.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
}

#[test]
fn a_key_is_described_where_one_is_required() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "0123456789abcdef\n").expect("writes");
    let args = ["serve", "svm", "--api-key-file", keys.to_str().expect("text")].map(Into::into);
    let serve::cli::Task::Serve(config) = serve::cli::Cli::read(args).expect("valid") else {
        unreachable!("it serves")
    };
    let server = Server::of(serve::App::of(&config, None).expect("threads"));
    let request = "GET /openapi.json HTTP/1.1\r\nHost: x\r\nX-API-Key: 0123456789abcdef\r\n\r\n";
    let api = send(server.address, request.as_bytes()).json();
    assert_eq!(api["security"], json!([{"bearer": []}, {"key": []}]));
    for (path, item) in api["paths"].as_object().expect("an object") {
        for (method, operation) in item.as_object().expect("an object") {
            let (method, path) = (method.to_uppercase(), path.replace(['{', '}'], ""));
            let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
            let is_open = send(server.address, request.as_bytes()).status != 401;
            assert_eq!(operation["security"], if is_open { json!([]) } else { Value::Null }, "{path}");
            assert_eq!(operation["responses"]["401"].is_null(), is_open, "{path}");
        }
    }
}

#[test]
fn tracks_that_share_a_network_get_what_each_gets_alone() {
    let server = Server::start(Options { threads: 4, ..Options::of(ModelKind::Vgg19) });
    let tracks: Vec<Vec<u8>> = (0..6).map(|n| Sound::ALL[n % 3].wav(2.0 + n as f64 / 2.0, n as u64)).collect();
    let model = model::of(ModelKind::Vgg19);
    std::thread::scope(|scope| {
        for track in &tracks {
            let (server, model) = (&server, Arc::clone(&model));
            scope.spawn(move || server.send(&predict(track)).assert_predicts(&**model, track));
        }
    });
}

#[test]
fn the_route_of_another_role_is_named() {
    let server = Server::start(Options::default());
    let detail = send(server.address, &post("/vgg", "", b"x")).assert_problem("not-found", 404);
    assert!(detail.contains("serve vgg") && detail.contains("8082"), "{detail}");
}

#[test]
fn pages_elsewhere_may_ask_if_they_are_named() {
    let preflight = |address, origin: &str| {
        let head = format!("OPTIONS /predict HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n");
        let head =
            format!("{head}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-api-key\r\n\r\n");
        send(address, head.as_bytes()).header("access-control-allow-origin").map(str::to_owned)
    };
    let server = Server::start(Options::default());
    assert_eq!(preflight(server.address, "https://a.example"), None, "none is, without a setting");

    let args = ["serve", "svm", "--cors-origin", "https://a.example,https://b.example"].map(Into::into);
    let serve::cli::Task::Serve(config) = serve::cli::Cli::read(args).expect("valid") else {
        unreachable!("it serves")
    };
    let server = Server::of(serve::App::of(&config, None).expect("threads"));
    for named in ["https://a.example", "https://b.example"] {
        assert_eq!(preflight(server.address, named).as_deref(), Some(named));
    }
    assert_eq!(preflight(server.address, "https://c.example"), None);
}
