//! Requests that no honest client sends. After each of them the server still answers a good one.

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use crate::{
    client::{self, AUDIO_PART, FORM, form, post, predict, send, try_send},
    server::{Options, Server},
    wav::{self, RATE, Sound},
};
use serve::{Limits, Timeouts, config::ModelKind};

/// What may become of a rude request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// That status.
    Status(u16),
    /// Any status of the client's fault, or an end of the connection.
    Refused,
    /// A response as for any other.
    Ok,
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    post("/predict", "audio/wav", bytes)
}

fn head(lines: &str) -> Vec<u8> {
    format!("POST /predict HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n").into_bytes()
}

fn requests() -> Vec<(&'static str, Fate, Vec<u8>)> {
    use Fate::{Ok, Refused, Status};
    let good = Sound::Low.wav(2.0, 1);
    let named = |disposition: &[u8]| {
        let mut body = b"--BOUNDARY\r\n".to_vec();
        body.extend_from_slice(disposition);
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&good);
        body.extend_from_slice(b"\r\n--BOUNDARY--\r\n");
        post("/predict", FORM, &body)
    };
    let form_body = form(&[(AUDIO_PART, &good)]);
    let nested = form(&[(
        "Content-Disposition: form-data; name=audio_file\r\nContent-Type: multipart/mixed; boundary=B2",
        b"--B2\r\nContent-Disposition: attachment; filename=a.wav\r\n\r\nRIFF\r\n--B2--\r\n",
    )]);
    let many: Vec<(&str, &[u8])> = vec![("Content-Disposition: form-data; name=x", b""); 5_000];
    let with_length = |length: &str| [head(&format!("Content-Length: {length}")).as_slice(), &good].concat();
    let deep = format!("{{\"x\": {}}}", "[".repeat(1 << 20));
    vec![
        ("a truncated form", Status(400), post("/predict", FORM, &form_body[..form_body.len() / 2])),
        ("a form without its last boundary", Status(400), post("/predict", FORM, &form_body[..form_body.len() - 16])),
        ("a form of nothing", Status(400), post("/predict", FORM, b"")),
        ("a form of boundaries only", Status(400), post("/predict", FORM, &b"--BOUNDARY\r\n".repeat(1_000))),
        ("a form of 5000 parts", Status(400), post("/predict", FORM, &form(&many))),
        ("the wrong boundary", Status(400), post("/predict", "multipart/form-data; boundary=WRONG", &form_body)),
        (
            "a boundary of 5000 characters",
            Status(400),
            post("/predict", &format!("multipart/form-data; boundary={}", "B".repeat(5_000)), &form_body),
        ),
        ("a form within a form", Status(415), post("/predict", FORM, &nested)),
        (
            "a field name of 1 MiB",
            Status(400),
            named(format!("Content-Disposition: form-data; name=\"{}\"", "n".repeat(1 << 20)).as_bytes()),
        ),
        (
            "a part whose head never ends",
            Status(400),
            post("/predict", FORM, &[b"--BOUNDARY\r\n".as_slice(), &[b'a'; 1 << 20]].concat()),
        ),
        (
            "a file name that climbs",
            Ok,
            named(b"Content-Disposition: form-data; name=\"audio_file\"; filename=\"../../../../etc/passwd\""),
        ),
        (
            "a file name of Windows",
            Ok,
            named(b"Content-Disposition: form-data; name=\"audio_file\"; filename=\"C:\\\\windows\\\\..\\\\x\\0.wav\""),
        ),
        (
            "a file name of no encoding",
            Ok,
            named(b"Content-Disposition: form-data; name=\"audio_file\"; filename=\"\xff\xfe\x00\x80.wav\""),
        ),
        (
            "a field name of no encoding",
            Status(400),
            named(b"Content-Disposition: form-data; name=\"\xff\xfe\"; filename=a"),
        ),
        ("a quote that never closes", Status(400), named(b"Content-Disposition: form-data; name=\"audio_file")),
        (
            "a header of no encoding",
            Ok,
            [
                b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Name: \xff\xfe\r\nContent-Length: ".as_slice(),
                good.len().to_string().as_bytes(),
                b"\r\n\r\n",
                &good,
            ]
            .concat(),
        ),
        (
            "a content type of no encoding",
            Status(415),
            [b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: \xff\xfe\r\nContent-Length: 4\r\n\r\nRIFF"
                .as_slice()]
            .concat(),
        ),
        ("a length of words", Status(400), with_length("many")),
        ("a negative length", Status(400), with_length("-5")),
        ("a length beyond 64 bits", Refused, with_length("99999999999999999999999")),
        ("a length of 2^63", Status(413), with_length("9223372036854775807")),
        ("two lengths", Status(400), with_length("10\r\nContent-Length: 20")),
        ("a length and chunks", Refused, head("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        ("a length shorter than the body", Refused, with_length("20")),
        ("an unknown transfer coding", Refused, [head("Transfer-Encoding: gzip").as_slice(), &good].concat()),
        (
            "a chunk of 2^64",
            Refused,
            [head("Transfer-Encoding: chunked").as_slice(), b"ffffffffffffffff\r\n", &good].concat(),
        ),
        (
            "a chunk size of 100 kB",
            Refused,
            [head("Transfer-Encoding: chunked").as_slice(), &[b'0'; 100_000], b"1\r\n"].concat(),
        ),
        ("a head of 1 MB", Status(431), head(&format!("X: {}", "x".repeat(1 << 20)))),
        ("a thousand headers", Status(431), head(&"X: y\r\n".repeat(1_000))),
        ("no HTTP", Refused, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(50)),
        ("JSON of a million brackets", Status(400), post("/predict", "application/json", deep.as_bytes())),
        ("JSON in UTF-16", Status(400), post("/predict", "application/json", b"\xff\xfe{\0}\0")),
        (
            "JSON of 10000 keys",
            Status(400),
            post("/predict", "application/json", format!("{{{}\"x\": 1}}", "\"k\": \"v\", ".repeat(10_000)).as_bytes()),
        ),
        (
            "base64 of base64",
            Status(415),
            post("/predict", "application/json", b"{\"audio_base64\": \"VW1sR1JnPT0=\"}"),
        ),
        ("0 bytes", Status(400), raw(b"")),
        ("1 byte", Status(415), raw(b"R")),
        ("a RIFF header alone", Status(422), raw(&good[..12])),
        ("a WAV header alone", Status(422), raw(&good[..44])),
        ("a WAV of 1 sample", Status(422), raw(&wav::encode(&[0.5], RATE))),
        ("a WAV of no sample", Refused, raw(&wav::encode(&[], RATE))),
        ("a WAV of NaN", Status(422), raw(&wav::encode_float(&vec![f32::NAN; 50_000], RATE))),
        ("a WAV of infinities", Status(422), raw(&wav::encode_float(&vec![f32::INFINITY; 50_000], RATE))),
        ("a WAV of 0 channels", Status(422), raw(&wav::header(1, 0, RATE, 16, 1_000, &[0; 1_000]))),
        ("a WAV of 65535 channels", Refused, raw(&wav::header(1, u16::MAX, RATE, 16, 1_000, &[0; 1_000]))),
        ("a WAV of rate 0", Refused, raw(&wav::header(1, 1, 0, 16, 100_000, &[0; 100_000]))),
        ("a WAV of rate 2^32-1", Status(415), raw(&wav::header(1, 1, u32::MAX, 16, 100_000, &[0; 100_000]))),
        ("a WAV of 1 Hz", Refused, raw(&wav::header(1, 1, 1, 16, 100_000, &[0; 100_000]))),
        ("a WAV that announces 4 GB", Refused, raw(&wav::header(1, 2, RATE, 16, u32::MAX, &[0; 1_000]))),
        ("a WAV of 7 bits", Refused, raw(&wav::header(1, 1, RATE, 7, 1_000, &[0; 1_000]))),
        ("a path that climbs", Status(404), b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        (
            "an encoded path that climbs",
            Status(404),
            b"GET /problems/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        ("a path of no encoding", Refused, b"GET /problems/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ]
}

#[test]
fn after_every_rude_request_a_good_one_is_answered() {
    ModelKind::MEMBERS.into_iter().for_each(lives_on);
}

fn lives_on(kind: ModelKind) {
    let limits = Limits { body_silence: Duration::from_secs(1), ..Options::default().limits };
    let server = Server::start(Options { limits, ..Options::of(kind) });
    let good = predict(&Sound::High.wav(2.0, 2));
    for (name, fate, request) in requests() {
        let response = try_send(server.address, &client::to(kind, &request));
        let status = response.as_ref().map(|response| response.status);
        println!(
            "{name}: {status:?} {}",
            response.as_ref().map_or_else(String::new, |response| String::from_utf8_lossy(&response.body).into_owned())
        );
        match fate {
            Fate::Status(expected) => assert_eq!(status, Some(expected), "{name}: {response:?}"),
            Fate::Refused => assert!(status.is_none_or(|status| (400..500).contains(&status)), "{name}: {response:?}"),
            Fate::Ok => assert_eq!(status, Some(200), "{name}: {response:?}"),
        }
        if let Some(response) = response {
            let text = String::from_utf8_lossy(&response.body);
            assert!(!text.contains("passwd") && !text.contains("tmp"), "{name}: {text}");
        }
        let response = server.send(&good);
        assert_eq!((response.status, &response.json()["predicted_genre"]), (200, &"classical".into()), "after {name}");
    }
}

/// A good file cut at every byte of its header, and at many of its data.
#[test]
fn a_file_cut_anywhere_is_refused() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options::of(kind));
        let good = Sound::Low.wav(1.5, 1);
        let cuts = (0..=64).chain((64..good.len() - 1).step_by(7_919));
        for cut in cuts {
            let response = server.send(&raw(&good[..cut]));
            assert!((400..500).contains(&response.status), "{cut} bytes: {response:?}");
            assert_eq!(response.header("content-type"), Some("application/problem+json"), "{cut} bytes");
        }
        assert_eq!(server.send(&raw(&good)).status, 200);
    }
}

#[test]
fn an_endless_chunked_body_is_cut_off() {
    let limits = Limits { max_body_bytes: 1 << 20, ..Options::default().limits };
    let server = Server::start(Options { limits, ..Options::default() });
    let mut stream = client::connect(server.address);
    stream.write_all(&head("Transfer-Encoding: chunked")).expect("sends");
    let chunk = [b"10000\r\n".as_slice(), &[0; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 16 << 20, "the server read {sent} bytes, 16 times its limit");
    // The response is there unless the reset of the connection has overtaken it.
    if let Some(response) = client::read(&mut stream) {
        response.assert_problem("body-too-large", 413);
    }
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).status, 200);
}

/// A client that sends somewhat too much, and only then reads, is told why.
#[test]
fn a_body_over_the_limit_is_answered_to_a_client_that_sends_it_all() {
    let limits = Limits { max_body_bytes: 1 << 20, ..Options::default().limits };
    let server = Server::start(Options { limits, ..Options::default() });
    for _ in 0..5 {
        let request = raw(&vec![0; (1 << 20) + (1 << 19)]);
        let mut stream = client::connect(server.address);
        stream.write_all(&request).expect("all of it is taken");
        client::read(&mut stream).expect("a response").assert_problem("body-too-large", 413);
    }
}

/// One that asks first is not made to send it.
#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let server = Server::start(Options::default());
    let mut stream = client::connect(server.address);
    let start = Instant::now();
    stream.write_all(&head("Expect: 100-continue\r\nContent-Length: 99999999999")).expect("sends");
    client::read(&mut stream).expect("a response").assert_problem("body-too-large", 413);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_body_that_stops_before_its_length_holds_no_worker() {
    let limits = Limits { body_silence: Duration::from_millis(500), ..Options::default().limits };
    let server = Server::start(Options { limits, threads: 1, queue: 1, ..Options::default() });
    let mut lying: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = client::connect(server.address);
            stream.write_all(&head("Content-Length: 100000")).expect("sends");
            stream.write_all(b"RIFF").expect("sends");
            stream
        })
        .collect();
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).status, 200);
    for stream in &mut lying {
        client::read(stream).expect("a response").assert_problem("slow-body", 408);
    }
}

#[test]
fn a_head_that_never_ends_and_an_idle_connection_are_closed() {
    let timeouts = Timeouts { head: Duration::from_millis(300), ..Options::default().timeouts };
    let server = Server::start(Options { timeouts, ..Options::default() });
    for sent in ["", "POST /pre", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut stream = client::connect(server.address);
        stream.write_all(sent.as_bytes()).expect("sends");
        let start = Instant::now();
        // Reads the response, if the request was one, to the end of the connection.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(start.elapsed() < Duration::from_secs(5), "`{sent}` was left open");
    }
    assert_eq!(send(server.address, &predict(&Sound::Low.wav(2.0, 1))).status, 200);
}

/// A loris sends a byte now and then, so that it is never silent for long.
#[test]
fn a_body_that_drips_is_cut_off_by_its_deadline() {
    let limits = Limits {
        body_silence: Duration::from_secs(5),
        body_deadline: Duration::from_millis(700),
        ..Options::default().limits
    };
    let server = Server::start(Options { limits, ..Options::default() });
    let mut stream = client::connect(server.address);
    stream.write_all(&head("Content-Length: 100000")).expect("sends");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        let _ = stream.write_all(b"R");
    }
    client::read(&mut stream).expect("a response").assert_problem("slow-body", 408);
}
