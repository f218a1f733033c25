//! Every problem of the table, by a real request.

use std::{collections::BTreeSet, io::Write as _, sync::Arc, time::Duration};

use crate::{
    client::{self, AUDIO_PART, FORM, form, get, post, predict, send},
    model::{Gate, Script, Scripted},
    server::{Options, Server},
    wav::{self, RATE, Sound},
};
use serde_json::{Value, json};
use serve::{Limits, config::ModelKind, rejection};

/// What `send` is answered with, by name of the problem and status.
type Case = (&'static str, u16, Vec<u8>);

fn json_body(body: &str) -> Vec<u8> {
    post("/predict", "application/json", body.as_bytes())
}

/// Those that a server in good health answers.
fn cases(kind: ModelKind) -> Vec<Case> {
    let good = Sound::Low.wav(2.0, 1);
    let not_finite = wav::encode_float(&[0.0, f32::NAN, 0.5].repeat(20_000), RATE);
    let raw = |bytes: &[u8]| post("/predict", "audio/wav", bytes);
    vec![
        ("no-audio", 400, post("/predict", FORM, &form(&[("Content-Disposition: form-data; name=\"track\"", &good)]))),
        ("no-audio", 400, post("/predict", FORM, b"--BOUNDARY--\r\n")),
        ("no-audio", 400, json_body("{}")),
        ("several-files", 400, post("/predict", FORM, &form(&[(AUDIO_PART, &good), (AUDIO_PART, &good)]))),
        ("empty-audio", 400, predict(b"")),
        ("empty-audio", 400, raw(b"")),
        ("empty-audio", 400, json_body(r#"{"audio_base64": ""}"#)),
        ("bad-multipart", 400, post("/predict", "multipart/form-data", &form(&[(AUDIO_PART, &good)]))),
        ("bad-multipart", 400, post("/predict", "multipart/form-data; boundary=OTHER", &form(&[(AUDIO_PART, &good)]))),
        ("bad-json", 400, json_body("{\"audio_base64\": \"AQID")),
        ("bad-json", 400, json_body(r#"{"audio_base64": [1, 2]}"#)),
        ("bad-base64", 400, json_body(r#"{"audio_base64": "&&&&"}"#)),
        ("bad-base64", 400, json_body(r#"{"audio_base64": "UklGR"}"#)),
        ("bad-query", 400, post(&format!("{}?explain=noise", kind.route()), "audio/wav", &good)),
        ("bad-query", 400, post(&format!("{}?explian=predicted", kind.route()), "audio/wav", &good)),
        ("bad-query", 400, post("/features?include=all", "audio/wav", &good)),
        ("unknown-model", 404, b"GET /v1/models/nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("unknown-version", 404, {
            let head = format!(
                "POST {} HTTP/1.1\r\nHost: x\r\nTonearm-Version: ../../etc\r\nContent-Length: 0\r\n\r\n",
                kind.route()
            );
            head.into_bytes()
        }),
        ("not-found", 404, b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("not-found", 404, b"GET /problems/nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("method-not-allowed", 405, format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", kind.route()).into_bytes()),
        ("method-not-allowed", 405, b"DELETE /readyz HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("body-too-large", 413, raw(&vec![0; (4 << 20) + 1])),
        ("audio-too-long", 413, raw(&wav::encode(&vec![0.1; 8_000 * 25], 8_000))),
        ("unsupported-content-type", 415, post("/predict", "text/plain", &good)),
        ("unsupported-content-type", 415, post("/predict", "application/x-www-form-urlencoded", &good)),
        ("unsupported-content-encoding", 415, {
            let head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx";
            head.as_bytes().to_vec()
        }),
        ("not-audio", 415, raw("Thus with a kiss I die. ".repeat(200).as_bytes())),
        ("not-audio", 415, json_body(r#"{"audio_base64": "bm90IGEgc29uZw=="}"#)),
        ("unsupported-audio", 415, raw(&wav::header(0x0031, 1, RATE, 0, 6_500, &[7; 6_500]))),
        ("truncated-audio", 422, raw(&good[..good.len() / 2])),
        ("corrupt-audio", 422, raw(&wav::header(1, 0, RATE, 16, 8_000, &[0; 8_000]))),
        ("corrupt-audio", 422, raw(&not_finite)),
        ("audio-too-short", 422, raw(&wav::encode(&[0.5], RATE))),
        ("silent", 422, raw(&wav::encode(&vec![0.0; 3 * RATE as usize], RATE))),
        ("silent", 422, raw(&wav::encode(&vec![0.25; 3 * RATE as usize], RATE))),
    ]
}

#[test]
fn every_problem_of_the_table_is_answered() {
    let mut seen = BTreeSet::new();
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options::of(kind));
        for (slug, status, request) in cases(kind) {
            let head = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
            println!("{slug}: {head}");
            let response = server.send(&request);
            let detail = response.assert_problem(slug, status);
            assert!(detail.chars().count() <= 400, "{detail}");
            match status {
                415 => {
                    assert!(response.header("accept").is_some_and(|accept| accept.contains("audio/*")), "{response:?}")
                }
                405 => assert!(response.header("allow").is_some_and(|allow| !allow.is_empty()), "{response:?}"),
                _ => {}
            }
            seen.insert(slug);
        }
    }
    let server = Server::start(Options::default());
    for (slug, provoke) in [
        ("broken-body", broken_body as fn() -> String),
        ("slow-body", slow_body),
        ("internal", internal),
        ("busy", busy),
        ("not-ready", not_ready),
        ("timed-out", timed_out),
        ("unauthorized", unauthorized),
        ("backend-unavailable", backend_unavailable),
        ("backend-timeout", backend_timeout),
        ("out-of-distribution", crate::novelty::refused),
    ] {
        println!("{slug}: {}", provoke());
        seen.insert(slug);
    }
    let table: BTreeSet<&str> = rejection::ALL.iter().map(|kind| kind.uri.trim_start_matches("/problems/")).collect();
    assert_eq!(seen, table);

    let listed = get(server.address, "/problems").json();
    assert_eq!(listed.as_array().map(Vec::len), Some(table.len()));
    for kind in rejection::ALL {
        let shown = get(server.address, kind.uri).json();
        assert_eq!((&shown["type"], &shown["status"]), (&kind.uri.into(), &kind.status.into()));
    }
}

/// Limits are told before a client reaches them, and in units that people use once it did.
#[test]
fn limits_are_told() {
    let limits = Limits { max_body_bytes: 3 << 19, max_seconds: 90.0, ..Options::default().limits };
    let server = Server::start(Options { limits, ..Options::default() });
    let told = json!({"max_body_bytes": 3 << 19, "max_batch_bytes": 256 << 20, "max_seconds": 90.0});
    assert_eq!(get(server.address, "/v1/models").json()["models"][0]["limits"], told);
    assert_eq!(get(server.address, "/v1/models/svm").json()["limits"], told);
    let large = post("/predict", "audio/wav", &vec![0; (3 << 19) + 1]);
    let detail = send(server.address, &large).assert_problem("body-too-large", 413);
    assert_eq!(detail, "the body is larger than the limit of 1572864 bytes (1.5 MiB)");
    let long = post("/predict", "audio/wav", &wav::encode(&vec![0.1; 8_000 * 95], 8_000));
    let detail = send(server.address, &long).assert_problem("audio-too-long", 413);
    assert!(detail.starts_with("the audio is longer than the limit of 90 s (1.5 minutes); "), "{detail}");

    // A file of many that is too large does not stop the others.
    let good = Sound::Low.wav(2.0, 1);
    let part = "Content-Disposition: form-data; name=\"files\"; filename=\"x.wav\"";
    let files = form(&[(part, &good), (part, &vec![0; (3 << 19) + 1]), (part, &good)]);
    let response = send(server.address, &post("/predict/batch", FORM, &files));
    let lines = String::from_utf8(response.body).expect("text");
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    lines.sort_by_key(|line| line["index"].as_u64());
    assert_eq!(lines[1]["problem"]["type"], "/problems/body-too-large");
    assert!(
        lines.len() == 3 && [0, 2].iter().all(|&at| lines[at]["answer"]["predicted_genre"] == "blues"),
        "{lines:?}"
    );

    // What all bodies together may not hold is never read.
    let limits = Limits { max_held_bytes: 100_000, ..limits };
    let server = Server::start(Options { limits, ..Options::default() });
    assert_eq!(get(server.address, "/v1/models").json()["models"][0]["limits"]["max_body_bytes"], 100_000);
}

fn broken_body() -> String {
    let server = Server::start(Options::default());
    let request =
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nRIFF\r\nzz\r\nWAVE\r\n0\r\n\r\n";
    send(server.address, request).assert_problem("broken-body", 400)
}

fn slow_body() -> String {
    let limits = Limits { body_silence: Duration::from_millis(300), ..Options::default().limits };
    let server = Server::start(Options { limits, ..Options::default() });
    let mut stream = client::connect(server.address);
    stream.write_all(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nRIFF").expect("sends");
    client::read(&mut stream).expect("a response").assert_problem("slow-body", 408)
}

fn internal() -> String {
    let server =
        Server::start(Options { model: Some(Scripted::model(Script::PanicOnLong)), threads: 1, ..Options::default() });
    let detail = send(server.address, &predict(&Sound::Low.wav(8.0, 1))).assert_problem("internal", 500);
    assert!(!detail.contains("purpose"), "the cause is for the log: {detail}");
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).status, 200, "the only worker must live on");

    server.slot().put(Scripted::model(Script::Nonsense));
    send(server.address, &predict(&Sound::Low.wav(2.0, 1))).assert_problem("internal", 500)
}

fn busy() -> String {
    let gate = Arc::new(Gate::default());
    let model = Scripted::model(Script::Wait(Arc::clone(&gate)));
    let server = Server::start(Options { model: Some(model), threads: 1, queue: 0, ..Options::default() });
    let mut first = client::connect(server.address);
    first.write_all(&predict(&Sound::Low.wav(2.0, 1))).expect("sends");
    gate.wait_for(1);
    let response = send(server.address, &predict(&Sound::Low.wav(2.0, 1)));
    gate.open();
    assert_eq!(client::read(&mut first).expect("a response").status, 200);
    assert!(response.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{response:?}");
    response.assert_problem("busy", 503)
}

fn timed_out() -> String {
    let gate = Arc::new(Gate::default());
    let model = Scripted::model(Script::Wait(Arc::clone(&gate)));
    let limits = Limits { answer_deadline: Duration::from_millis(200), ..Options::default().limits };
    let server = Server::start(Options { model: Some(model), limits, threads: 1, ..Options::default() });
    let response = send(server.address, &predict(&Sound::Low.wav(2.0, 1)));
    gate.open();
    assert!(response.header("retry-after").is_some(), "{response:?}");
    response.assert_problem("timed-out", 503)
}

/// What is arriving counts against the memory of all, whether it was announced or not, and is given back.
#[test]
fn bodies_share_a_memory() {
    let limits = Limits { max_held_bytes: 100_000, ..Options::default().limits };
    let server = Server::start(Options { limits, ..Options::default() });
    let track = Sound::Low.wav(4.0, 1);
    assert!(track.len() > 100_000 && Sound::Low.wav(2.0, 1).len() < 100_000);
    send(server.address, &predict(&track)).assert_problem("busy", 503);
    let length = format!("{:x}\r\n", track.len());
    let chunked = [
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(),
        length.as_bytes(),
        &track,
        b"\r\n0\r\n\r\n",
    ];
    send(server.address, &chunked.concat()).assert_problem("busy", 503);
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).status, 200);
}

fn config(args: &[&str]) -> serve::Config {
    let args = [&["serve"], args].concat().into_iter().map(Into::into);
    match serve::cli::Cli::read(args).expect("valid") {
        serve::cli::Task::Serve(config) => *config,
        _ => unreachable!("it is told to serve"),
    }
}

fn unauthorized() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "# of the tests\na-key-of-20-letters-\n").expect("writes");
    let config = config(&["svm", "--api-key-file", &keys.to_string_lossy()]);
    let app = serve::App::of(&config, None).expect("threads");
    app.engine().slots()[0].put(crate::model::of(ModelKind::Svm));
    let server = Server::of(app);
    for open in ["/healthz", "/readyz"] {
        assert_eq!(get(server.address, open).status, 200, "{open}");
    }
    let track = Sound::Low.wav(2.0, 1);
    let head = |header: &str| {
        let head = format!("POST /predict HTTP/1.1\r\nHost: x\r\n{header}\r\nContent-Length: {}\r\n\r\n", track.len());
        [head.as_bytes(), &track].concat()
    };
    for right in ["X-API-Key: a-key-of-20-letters-", "Authorization: Bearer a-key-of-20-letters-"] {
        assert_eq!(send(server.address, &head(right)).status, 200, "{right}");
    }
    send(server.address, &head("X-API-Key: a-key-of-20-letters.")).assert_problem("unauthorized", 401);
    get(server.address, "/v1/models").assert_problem("unauthorized", 401);
    send(server.address, &predict(&track)).assert_problem("unauthorized", 401)
}

/// A server of the page whose model servers are where `url` says.
fn web(url: &str) -> Server {
    let arguments =
        ["web", "--svm-url", url, "--vgg-url", url, "--connect-timeout", "0.2", "--response-timeout", "0.3"];
    Server::of(serve::App::of(&config(&arguments), None).expect("threads"))
}

fn backend_unavailable() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    send(web(&format!("http://{free}")).address, &predict(b"RIFF")).assert_problem("backend-unavailable", 502)
}

fn backend_timeout() -> String {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    send(web(&url).address, &predict(b"RIFF")).assert_problem("backend-timeout", 504)
}

fn not_ready() -> String {
    let server = Server::start(Options { model: None, ..Options::default() });
    let response = get(server.address, "/readyz");
    assert!(response.header("retry-after").is_some(), "{response:?}");
    response.assert_problem("not-ready", 503)
}

/// `docs/api.md` has the table as the program has it.
#[test]
fn the_documentation_has_every_problem() {
    let docs = include_str!("../../../docs/api.md");
    let rows: Vec<String> = rejection::ALL
        .iter()
        .map(|kind| format!("| {} | `{}` | {} | {} |", kind.status, kind.uri, kind.title, kind.when))
        .collect();
    assert!(docs.contains(&rows.join("\n")), "docs/api.md must have these rows:\n{}", rows.join("\n"));
    assert!(rejection::ALL.is_sorted_by_key(|kind| kind.status));
}

/// And every kind, as the program plays it.
#[test]
fn the_documentation_has_every_role() {
    let docs = include_str!("../../../docs/api.md");
    let row = |kind: &ModelKind| {
        let (name, route, port, model) = (kind.role().name(), kind.route(), kind.role().port(), kind.name());
        format!("| `serve {name}` | `POST {route}` | {port} | `artifacts/{model}` |")
    };
    let rows: Vec<String> = ModelKind::MEMBERS.iter().map(row).collect();
    assert!(docs.contains(&rows.join("\n")), "docs/api.md must have these rows:\n{}", rows.join("\n"));
}
