//! HTTP/1.1 by hand: what a good client sends, and what no client should.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use models::Classifier;
use serde_json::Value;
use serve::config::ModelKind;

/// A response, as it came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// Asserts that it has what `model` gives for that file, to the last bit.
    #[track_caller]
    pub(crate) fn assert_predicts(&self, model: &dyn Classifier, audio: &[u8]) {
        let clip = features::decode::decode(audio, &features::decode::Limits::default()).expect("decodes").clip;
        let expected = model.predict_clip(&clip).expect("predicts");
        let json = self.json();
        let assert_same = |found: &Value, expected: &[f64]| {
            for (label, p) in model.labels().iter().zip(expected) {
                assert_eq!(found[label.as_str()].as_f64().map(f64::to_bits), Some(p.to_bits()), "{label} of {found}");
            }
        };
        assert_same(&json["probabilities"], &expected.probabilities);
        assert_eq!(json["segments"].as_array().map(Vec::len), Some(expected.windows.len()), "{json}");
        for (found, expected) in json["segments"].as_array().expect("a list").iter().zip(&expected.windows) {
            assert_same(&found["probabilities"], &expected.probabilities);
        }
        assert_eq!(json["features_digest"], expected.features_digest.to_string());
        assert_eq!(json["model"]["version"], model.identity().version);
    }

    /// Asserts that it is a problem of that kind, and gives its detail.
    #[track_caller]
    pub(crate) fn assert_problem(&self, slug: &str, status: u16) -> String {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{text}");
        let json = self.json();
        assert_eq!(json["type"], format!("/problems/{slug}"), "{text}");
        assert_eq!(json["status"], status, "{text}");
        let member = |name: &str| json[name].as_str().expect("a string").to_owned();
        let (title, detail) = (member("title"), member("detail"));
        assert!(!title.is_empty() && !detail.is_empty(), "{text}");
        // Neither a path nor a host of the server.
        let temporary = std::env::temp_dir();
        assert!(!detail.contains("127.0.0.1") && !detail.contains(&*temporary.to_string_lossy()), "{text}");
        detail
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

/// Sends those bytes and reads one response. The server may respond, and close, before it has read them all.
#[track_caller]
pub(crate) fn send(address: SocketAddr, bytes: &[u8]) -> Response {
    try_send(address, bytes).expect("a response")
}

/// The same, `None` if the connection ends without a response.
pub(crate) fn try_send(address: SocketAddr, bytes: &[u8]) -> Option<Response> {
    let mut stream = connect(address);
    // A server that has refused may have stopped reading.
    let _ = stream.write_all(bytes);
    read(&mut stream)
}

/// Reads one response.
pub(crate) fn read(stream: &mut TcpStream) -> Option<Response> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        if let Some(response) = parse(&bytes) {
            return Some(response);
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut response = Response { status, headers, body: Vec::new() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = unchunked(bytes.get(end + 4..)?)?;
        return Some(response);
    }
    let length: usize = response.header("content-length").map_or(0, |length| length.parse().expect("a length"));
    response.body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some(response)
}

/// The content of chunks, once the last of them is there.
fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let line = bytes.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).expect("text"), 16).expect("a length");
        let chunk = bytes.get(line + 2..)?;
        if length == 0 {
            return Some(content);
        }
        content.extend_from_slice(chunk.get(..length)?);
        bytes = chunk.get(length + 2..)?;
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    send(address, format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
}

/// The bytes of a `POST` whose length is true.
pub(crate) fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let content_type =
        if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
    let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\n{content_type}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A form with one part for each `(head of the part, content)`.
pub(crate) fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(format!("--BOUNDARY\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--BOUNDARY--\r\n");
    body
}

pub(crate) const FORM: &str = "multipart/form-data; boundary=BOUNDARY";
pub(crate) const AUDIO_PART: &str =
    "Content-Disposition: form-data; name=\"audio_file\"; filename=\"track.wav\"\r\nContent-Type: audio/wav";

/// A `POST /predict` as the old client sent it.
pub(crate) fn predict(audio: &[u8]) -> Vec<u8> {
    post("/predict", FORM, &form(&[(AUDIO_PART, audio)]))
}

/// The same request for the route of `kind`, if it is one for `/predict`.
pub(crate) fn to(kind: ModelKind, request: &[u8]) -> Vec<u8> {
    match request.strip_prefix(b"POST /predict ") {
        Some(rest) => [b"POST ", kind.route().as_bytes(), b" ", rest].concat(),
        None => request.to_vec(),
    }
}
