//! Predicting a file: each way of sending it, and all of the response.

use crate::{
    client::{self, AUDIO_PART, FORM, form, get, post, predict},
    model,
    server::{Options, Server},
    wav::Sound,
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::json;
use serve::config::ModelKind;

#[test]
fn the_response_has_a_label_its_probabilities_segments_model_and_audio() {
    ModelKind::MEMBERS.into_iter().for_each(responds_in_full);
}

fn responds_in_full(kind: ModelKind) {
    let server = Server::start(Options::of(kind));
    for sound in Sound::ALL {
        let response = server.send(&predict(&sound.wav(6.0, 77)));
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("content-type"), Some("application/json"));
        let json = response.json();
        assert_eq!(json["predicted_genre"], sound.label(), "{json}");

        let text = String::from_utf8(response.body).expect("text");
        let order = Sound::ALL.map(|sound| text.find(&format!("\"{}\":", sound.label())).expect("a label"));
        assert!(order.is_sorted(), "labels must keep the order of the artifact: {text}");
        let sum = |json: &serde_json::Value| -> f64 {
            json.as_object().expect("an object").values().map(|p| p.as_f64().expect("a number")).sum()
        };
        assert!((sum(&json["probabilities"]) - 1.0).abs() < 1e-9, "{json}");

        let segments = json["segments"].as_array().expect("a list");
        assert!(segments.len() > 2, "{json}");
        for segment in segments {
            assert!((sum(&segment["probabilities"]) - 1.0).abs() < 1e-9, "{json}");
            assert_eq!(segment["predicted_genre"], sound.label(), "{json}");
            let (start, end) = (segment["start_seconds"].as_f64(), segment["end_seconds"].as_f64());
            assert!(start < end && end <= Some(6.05), "{json}");
        }

        let identity = model::of(kind).identity().clone();
        let provenance = json!({
            "name": kind.name(), "version": identity.version, "fingerprint": identity.fingerprint.to_string(),
            "kind": kind.name(), "labels": 3,
            "trained_on": {"description": "three seeded sounds", "clips": 12, "synthetic": false},
            "evaluated": null, "warning": null,
        });
        assert_eq!(json["model"], provenance);
        let audio = &json["audio"];
        assert_eq!(
            (&audio["container"], &audio["sample_rate"], &audio["channels"], &audio["seconds"]),
            (&json!("wav"), &json!(22_050), &json!(1), &json!(6.0)),
            "{json}"
        );
    }
}

/// The server predicts what the library does for the same bytes, to the last bit.
#[test]
fn the_probabilities_are_those_of_the_library() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options::of(kind));
        let model = model::of(kind);
        // 2.5 s are shorter than a window.
        for audio in [Sound::High.wav(5.0, 3), Sound::Low.wav(2.5, 4), Sound::Noise.flac(4.0, 5), mp3()] {
            server.send(&predict(&audio)).assert_predicts(&**model, &audio);
        }
    }
}

/// A lossless copy gives the same prediction.
#[test]
fn a_flac_is_predicted_as_its_wav_is() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options::of(kind));
        let [flac, wav] = [Sound::High.flac(4.0, 8), Sound::High.wav(4.0, 8)].map(|a| server.send(&predict(&a)).json());
        assert_eq!(flac["audio"]["codec"], "flac");
        assert_eq!((&flac["features_digest"], &flac["segments"]), (&wav["features_digest"], &wav["segments"]));
    }
}

/// What is there of a file that was cut short is predicted, and the response says so, in each way of asking.
#[test]
fn what_is_wrong_with_a_file_is_told() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options::of(kind));
        let whole = Sound::High.wav(6.0, 9);
        let cut = &whole[..44 + (whole.len() - 44) / 2];
        let json = server.send(&predict(cut)).json();
        assert_eq!(json["predicted_genre"], "classical", "{json}");
        assert_eq!(json["audio"]["seconds"], 3.0, "{json}");
        let warnings = json["audio"]["warnings"].as_array().expect("a list");
        assert_eq!(warnings.len(), 1, "{json}");
        assert_eq!(
            (&warnings[0]["kind"], &warnings[0]["at_seconds"], &warnings[0]["lost_seconds"]),
            (&json!("truncated"), &json!(3.0), &json!(3.0)),
            "{json}"
        );
        assert!(warnings[0]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{json}");
        let file = "Content-Disposition: form-data; name=\"files\"; filename=\"cut.wav\"";
        let batch = post(&format!("{}/batch", kind.route()), FORM, &form(&[(file, cut)]));
        let line: serde_json::Value = client::send(server.address, &batch).json();
        assert_eq!(line["answer"], json);
        let features = client::send(server.address, &post("/features", "audio/wav", cut)).json();
        assert_eq!(features["audio"], json["audio"]);

        // The whole has none, and nothing of it has tags.
        let json = server.send(&predict(&whole)).json();
        assert_eq!(json["audio"]["warnings"], json!([]));
        let tags = json!({
            "artist": null, "album": null, "title": null, "genre": null, "track": null, "year": null, "cover": false,
        });
        assert_eq!(json["audio"]["tags"], tags);
        let api = get(server.address, "/openapi.json").json();
        let kinds = api["components"]["schemas"]["AudioWarningKind"]["enum"].as_array().expect("a list").clone();
        assert!(kinds.contains(&json!("truncated")) && kinds.contains(&json!("antiphase")), "{kinds:?}");
    }
}

/// Frames of MP3 can be repeated; the fixture alone is too short.
pub(crate) fn mp3() -> Vec<u8> {
    include_bytes!("../../../features/tests/fixtures/no_xing.mp3").repeat(40)
}

#[test]
fn every_way_of_sending_a_track_gives_the_same_response() {
    ModelKind::MEMBERS.into_iter().for_each(predicts_alike);
}

fn predicts_alike(kind: ModelKind) {
    let server = Server::start(Options::of(kind));
    let wav = Sound::Noise.wav(3.0, 5);
    let expected = server.send(&predict(&wav)).json();
    assert_eq!(expected["predicted_genre"], "metal");

    let standard = BASE64_STANDARD.encode(&wav);
    let json = |text: &str| post("/predict", "application/json", json!({"audio_base64": text}).to_string().as_bytes());
    let part = |head: &str| post("/predict", FORM, &form(&[(head, &wav)]));
    let other = "Content-Disposition: form-data; name=\"comment\"";
    let file = "Content-Disposition: form-data; name=\"file\"";
    let requests = [
        ("raw audio", post("/predict", "audio/wav", &wav)),
        ("raw, wrongly named audio", post("/predict", "audio/mpeg", &wav)),
        ("raw, as browsers name a recording", post("/predict", "audio/webm;codecs=opus", &wav)),
        ("raw, as browsers name a video", post("/predict", "video/webm", &wav)),
        ("raw, as .mp4 is named", post("/predict", "video/mp4", &wav)),
        ("raw, as Ogg once was named", post("/predict", "application/ogg", &wav)),
        ("raw bytes", post("/predict", "application/octet-stream", &wav)),
        ("raw bytes of an object store", post("/predict", "binary/octet-stream", &wav)),
        ("raw, of any type", post("/predict", "*/*", &wav)),
        ("raw without a type", post("/predict", "", &wav)),
        ("JSON", json(&standard)),
        ("JSON, URL-safe, no padding", json(&BASE64_URL_SAFE_NO_PAD.encode(&wav))),
        ("JSON, data URL", json(&format!("data:audio/wav;base64,{standard}"))),
        (
            "JSON, wrapped lines",
            json(&standard.as_bytes().chunks(76).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n")),
        ),
        ("field file", part("Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"")),
        ("field audio", part("content-disposition: form-data; name=audio")),
        ("no file name", part("Content-Disposition: form-data; name=\"audio_file\"")),
        ("among other fields", post("/predict", FORM, &form(&[(other, b"hello"), (AUDIO_PART, &wav), (other, b"")]))),
        ("beside a field file", post("/predict", FORM, &form(&[(file, b"not this"), (AUDIO_PART, &wav)]))),
        ("chunked", chunked(&wav)),
        ("after 100 Continue", {
            let head = format!(
                "POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
                wav.len()
            );
            let mut stream = client::connect(server.address);
            std::io::Write::write_all(&mut stream, &client::to(kind, head.as_bytes())).expect("sends");
            assert_eq!(client::read(&mut stream).expect("a response").status, 100);
            std::io::Write::write_all(&mut stream, &wav).expect("sends");
            assert_eq!(client::read(&mut stream).expect("a response").json(), expected);
            post("/predict", "", &wav)
        }),
    ];
    for (name, request) in requests {
        let response = server.send(&request);
        assert_eq!(response.status, 200, "{name}: {response:?}");
        assert_eq!(response.json(), expected, "{name}");
    }
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(10_000) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn one_connection_carries_many_requests() {
    let server = Server::start(Options::default());
    let mut stream = client::connect(server.address);
    for sound in Sound::ALL {
        std::io::Write::write_all(&mut stream, &predict(&sound.wav(2.0, 9))).expect("sends");
        let response = client::read(&mut stream).expect("a response");
        assert_eq!(response.json()["predicted_genre"], sound.label());
    }
}

#[test]
fn health_readiness_and_the_index_are_told_apart() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options { model: None, ..Options::of(kind) });
        assert_eq!(get(server.address, "/healthz").json(), json!({"status": "alive"}));
        let response = get(server.address, "/readyz");
        response.assert_problem("not-ready", 503);
        assert_eq!(response.header("retry-after"), Some("1"));
        server.send(&predict(&Sound::Low.wav(2.0, 1))).assert_problem("not-ready", 503);

        server.slot().put(model::of(kind));
        let ready = get(server.address, "/readyz");
        assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")));
        assert_eq!(ready.json()["models"][kind.name()]["version"], model::of(kind).identity().version);
        assert_eq!(server.send(&predict(&Sound::Low.wav(2.0, 1))).status, 200);

        server.app.stop();
        get(server.address, "/readyz").assert_problem("not-ready", 503);
        assert_eq!(get(server.address, "/healthz").status, 200);

        let index = get(server.address, "/").json();
        assert_eq!(index["role"], kind.role().name());
        assert_eq!(index["predict_routes"], json!([format!("POST {}", kind.route())]));
    }
}

/// A client that has mixed up the ports is told which is right, also when it sends a whole track first.
#[test]
fn the_route_of_another_role_is_not_found_and_its_server_named() {
    for [kind, other] in [ModelKind::MEMBERS, [ModelKind::MEMBERS[1], ModelKind::MEMBERS[0]]] {
        let server = Server::start(Options::of(kind));
        let request = client::to(other, &predict(&Sound::Low.wav(60.0, 1)));
        let mut stream = client::connect(server.address);
        std::io::Write::write_all(&mut stream, &request).expect("all of it is taken");
        let detail = client::read(&mut stream).expect("a response").assert_problem("not-found", 404);
        for words in [other.route(), &format!("serve {}", other.role().name()), &other.role().port().to_string()] {
            assert!(detail.contains(words), "{words} is not in {detail}");
        }
    }
}
