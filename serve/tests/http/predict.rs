//! A song goes in, a genre comes out: each way of sending it, and all of the answer.

use crate::{
    client::{self, AUDIO_PART, FORM, form, get, post, predict, send},
    model,
    server::{Options, Server},
    wav::Sound,
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::json;

#[test]
fn the_answer_has_a_genre_its_probabilities_segments_model_and_audio() {
    let server = Server::start(Options::default());
    for sound in Sound::ALL {
        let reply = send(server.address, &predict(&sound.wav(6.0, 77)));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let json = reply.json();
        assert_eq!(json["predicted_genre"], sound.label(), "{json}");

        let text = String::from_utf8(reply.body).expect("text");
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

        let identity = model::svm().identity().clone();
        assert_eq!(
            json["model"],
            json!({"name": "svm", "version": identity.version, "fingerprint": identity.fingerprint.to_string()})
        );
        let audio = &json["audio"];
        assert_eq!(
            (&audio["container"], &audio["sample_rate"], &audio["channels"], &audio["seconds"]),
            (&json!("wav"), &json!(22_050), &json!(1), &json!(6.0)),
            "{json}"
        );
    }
}

/// The server answers what the library gives for the same bytes, to the last bit.
#[test]
fn the_probabilities_are_those_of_the_library() {
    let server = Server::start(Options::default());
    let wav = Sound::High.wav(5.0, 3);
    let clip = features::decode::decode(wav.clone(), &features::decode::Limits::default()).expect("decodes").clip;
    let expected = model::svm().predict_clip(&clip).expect("predicts");
    let json = send(server.address, &predict(&wav)).json();
    for (label, p) in model::svm().labels().iter().zip(&expected.probabilities) {
        assert_eq!(json["probabilities"][label].as_f64().map(f64::to_bits), Some(p.to_bits()), "{label}");
    }
}

#[test]
fn every_way_of_sending_a_song_gives_the_same_answer() {
    let server = Server::start(Options::default());
    let wav = Sound::Noise.wav(3.0, 5);
    let expected = send(server.address, &predict(&wav)).json();
    assert_eq!(expected["predicted_genre"], "metal");

    let standard = BASE64_STANDARD.encode(&wav);
    let json = |text: &str| post("/predict", "application/json", json!({"audio_base64": text}).to_string().as_bytes());
    let part = |head: &str| post("/predict", FORM, &form(&[(head, &wav)]));
    let other = "Content-Disposition: form-data; name=\"comment\"";
    let file = "Content-Disposition: form-data; name=\"file\"";
    let requests = [
        ("raw audio", post("/predict", "audio/wav", &wav)),
        ("raw, wrongly named audio", post("/predict", "audio/mpeg", &wav)),
        ("raw bytes", post("/predict", "application/octet-stream", &wav)),
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
            std::io::Write::write_all(&mut stream, head.as_bytes()).expect("sends");
            assert_eq!(client::read(&mut stream).expect("an answer").status, 100);
            std::io::Write::write_all(&mut stream, &wav).expect("sends");
            assert_eq!(client::read(&mut stream).expect("an answer").json(), expected);
            post("/predict", "", &wav)
        }),
    ];
    for (name, request) in requests {
        let reply = send(server.address, &request);
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert_eq!(reply.json(), expected, "{name}");
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
        let reply = client::read(&mut stream).expect("an answer");
        assert_eq!(reply.json()["predicted_genre"], sound.label());
    }
}

#[test]
fn health_readiness_and_the_index_are_told_apart() {
    let server = Server::start(Options { model: None, ..Options::default() });
    assert_eq!(get(server.address, "/healthz").json(), json!({"status": "alive"}));
    let reply = get(server.address, "/readyz");
    reply.assert_problem("not-ready", 503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    send(server.address, &predict(&Sound::Low.wav(2.0, 1))).assert_problem("not-ready", 503);

    server.app.slot().put(model::svm());
    let ready = get(server.address, "/readyz");
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")));
    assert_eq!(ready.json()["model"]["name"], "svm");
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).status, 200);

    server.app.stop();
    get(server.address, "/readyz").assert_problem("not-ready", 503);
    assert_eq!(get(server.address, "/healthz").status, 200);

    let index = get(server.address, "/").json();
    assert!(index["routes"]["POST /predict"].is_string(), "{index}");
}
