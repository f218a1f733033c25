//! Bodies that lie: each is answered with an error or a request, without a panic and without more memory than it is long.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue},
};
use serde_json::json;

use super::{
    request::{InferInput, InferRequest},
    tensor::{HEADER_LENGTH, MAX_CLIPS},
};

/// Requests that are sound, as bytes of JSON and of binary data.
fn sound() -> Vec<(Vec<u8>, Vec<u8>)> {
    let outputs = json!([{"name": "probabilities", "parameters": {"classification": 2, "binary_data": true}}]);
    let json = [
        json!({"inputs": [{"name": "audio", "shape": [2], "datatype": "BYTES", "data": ["AQID", "BAUG"]}], "id": "1"}),
        json!({"inputs": [{"name": "log_mel", "shape": [2, 2], "datatype": "FP32", "data": [[0, -8.5], [1e-3, 2]]}]}),
        json!({"inputs": [{"name": "audio", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 14}}], "outputs": outputs}),
        json!({"inputs": [{"name": "log_mel", "shape": [1, 2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]}),
    ];
    let data: [&[u8]; 4] = [b"", b"", b"\x03\0\0\0abc\x03\0\0\0def", &[0x3f; 16]];
    json.iter().zip(data).map(|(json, data)| (json.to_string().into_bytes(), data.to_vec())).collect()
}

fn parse(json: &[u8], data: &[u8]) -> Option<InferInput> {
    parse_at(json.len(), &[json, data].concat())
}

/// Has the header say that `length` bytes of `body` are JSON. Whatever is read must be in the body.
fn parse_at(length: usize, body: &[u8]) -> Option<InferInput> {
    let headers = HeaderMap::from_iter([(HEADER_LENGTH, HeaderValue::from(length))]);
    let input = match InferRequest::parse(&headers, Bytes::copy_from_slice(body)) {
        Ok(request) => request.input,
        Err(error) => {
            assert!(error.status().is_client_error() && error.to_string().len() < 600, "{error}");
            return None;
        }
    };
    assert!((1..=MAX_CLIPS).contains(&input.clips()));
    match &input {
        InferInput::Audio(files) => assert!(files.iter().map(Bytes::len).sum::<usize>() <= body.len()),
        InferInput::LogMel(log_mels) => {
            let values: usize = log_mels.clips().map(<[f32]>::len).sum();
            assert_eq!(values, log_mels.clips().len() * log_mels.bands() * log_mels.frames());
            assert!(values <= body.len() / 2);
            assert!(log_mels.clips().flatten().all(|value| value.is_finite()));
        }
    }
    Some(input)
}

#[test]
fn what_is_cut_off_is_refused() {
    for (json, data) in sound() {
        assert!(parse(&json, &data).is_some(), "{}", String::from_utf8_lossy(&json));
        for length in 0..json.len() {
            assert!(parse(&json[..length], &data).is_none());
            assert!(parse(&json[..length], &[]).is_none());
        }
        for length in 0..data.len() {
            assert!(parse(&json, &data[..length]).is_none(), "{length}");
        }
        let surplus = [&data[..], b"\0"].concat();
        assert!(parse(&json, &surplus).is_none());
    }
}

#[test]
fn a_header_that_lies_is_refused() {
    for (json, data) in sound() {
        let body = [&json[..], &data].concat();
        for length in (0..body.len() + 2).filter(|length| *length != json.len()) {
            assert!(parse_at(length, &body).is_none(), "{length} of {}", json.len());
        }
        assert!(parse_at(usize::MAX, &body).is_none());
    }
}

#[test]
fn no_byte_that_is_changed_does_harm() {
    for (json, data) in sound() {
        let body = [&json[..], &data].concat();
        for at in 0..body.len() {
            for byte in 0..=u8::MAX {
                let mut changed = body.clone();
                changed[at] = byte;
                parse_at(json.len(), &changed);
            }
        }
    }
}

#[test]
fn no_number_that_is_changed_does_harm() {
    let lies = [
        "0",
        "-1",
        "1",
        "3",
        "65",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "18446744073709551615",
        "1e300",
        "0.5",
    ];
    for (json, data) in sound() {
        let text = String::from_utf8(json).expect("text");
        let digits: Vec<(usize, &str)> = text.match_indices(|c: char| c.is_ascii_digit()).collect();
        for (at, _) in digits {
            for lie in lies {
                let changed = [&text[..at], lie, &text[at + 1..]].concat();
                parse(changed.as_bytes(), &data);
            }
        }
    }
}

#[test]
fn lengths_of_elements_that_lie_are_refused() {
    let (json, data) = sound().swap_remove(2);
    for at in [0, 7] {
        for lie in [0, 1, 2, 4, 6, 10, 11, 255, 1 << 16, u32::MAX - 4, u32::MAX] {
            let mut changed = data.clone();
            changed[at..at + 4].copy_from_slice(&u32::to_le_bytes(lie));
            assert!(parse(&json, &changed).is_none(), "{lie} at {at}");
        }
    }
}

#[test]
fn depth_and_length_need_no_more_than_the_body_has() {
    let tensor = r#"{"name":"log_mel","shape":[1000000,1000000],"datatype":"FP32","data":"#;
    for (before, inside, after) in [
        (r#"{"inputs":[],"x":"#, "[", ""),
        (r#"{"inputs":[],"parameters":{"x":"#, "{\"a\":", ""),
        (r#"{"inputs":["#, "[", ""),
        (r#"{"inputs":["#, "{},", "]}"),
        (r#"{"inputs":[],"outputs":["#, r#"{"name":"genre"},"#, "]}"),
        (r#"{"inputs":[{"name":"audio","datatype":"BYTES","shape":["#, "1,", "1]}]}"),
        (tensor, "[", ""),
        ("", "[", ""),
    ] {
        let body = [before, &inside.repeat(200_000), after].concat();
        assert!(parse(body.as_bytes(), &[]).is_none(), "{before}{inside}…");
    }
    let wide = format!("{{\"inputs\":[{tensor}[{}0]}}]}}", "0,".repeat(200_000));
    assert!(parse(wide.as_bytes(), &[]).is_none());
}
