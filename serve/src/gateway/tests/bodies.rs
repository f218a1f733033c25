//! Bodies that are large, slow, or on their way in both directions at once.

use std::sync::Mutex;

use axum::{
    body::{Body, Bytes},
    response::IntoResponse as _,
};
use futures_util::stream::unfold;
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::*;

/// Bytes that repeat nowhere soon: multiples of a prime.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    bytes.resize(length, 0);
    bytes
}

/// An answer of lines, as they are sent.
fn lines(receiver: mpsc::Receiver<&'static str>) -> axum::response::Response {
    let stream = unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|line| (Ok::<_, std::io::Error>(Bytes::from(line)), receiver))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response()
}

/// A handler that is used once, with what it needs.
fn once<T: Send + 'static>(value: T) -> Arc<Mutex<Option<T>>> {
    Arc::new(Mutex::new(Some(value)))
}

fn take<T>(cell: &Mutex<Option<T>>) -> T {
    cell.lock().expect("is not poisoned").take().expect("is used once")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_waits_at_the_client_until_the_backend_reads() {
    const LENGTH: usize = 64 << 20;
    let (go, gone) = oneshot::channel::<()>();
    let gone = once(gone);
    let slow = post(async move |request: Request| {
        take(&gone).await.expect("is told");
        let body = request.into_body().collect().await.expect("a whole body").to_bytes();
        Json(json!({"length": body.len(), "same": body == noise(LENGTH)}))
    });
    let svm = server(ModelKind::Svm, "/predict", slow);
    let setup = Setup::new(svm.port(), dead_port(), PATIENT);
    let body = noise(LENGTH);
    let mut client = setup.client().await;
    client.send(format!("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    let mut sent = 0;
    while let Ok(Ok(n)) = timeout(Duration::from_millis(300), client.stream.write(&body[sent..])).await {
        sent += n;
    }
    // What two pairs of socket buffers take, and little more.
    assert!(sent < LENGTH / 2, "{sent} bytes were taken that were not read");
    go.send(()).expect("is awaited");
    client.send(&body[sent..]).await;
    assert_eq!(client.json().await, (200, json!({"length": LENGTH, "same": true})));
}

#[tokio::test]
async fn chunked_uploads_arrive_whole() {
    let echo = post(async |request: Request| {
        let length = request.headers().get(header::CONTENT_LENGTH).cloned();
        let body = request.into_body().collect().await.expect("a whole body").to_bytes();
        Json(json!({"body": String::from_utf8_lossy(&body), "announced": length.is_some()}))
    });
    let svm = server(ModelKind::Svm, "/predict", echo);
    let setup = Setup::new(svm.port(), dead_port(), PATIENT);
    let mut client = setup.client().await;
    let head = "POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n")).await;
    assert_eq!(client.json().await, (200, json!({"body": "hello world", "announced": false})));
    // The connection of the client is kept.
    client.post("/predict", b"again").await;
    assert_eq!(client.json().await, (200, json!({"body": "again", "announced": true})));
    client.post("/predict", b"").await;
    assert_eq!(client.json().await.1["body"], "");
}

#[tokio::test]
async fn lines_come_when_they_are_ready_and_not_at_the_end() {
    let (sender, receiver) = mpsc::channel(1);
    let receiver = once(receiver);
    let batch = post(async move |_: Bytes| lines(take(&receiver)));
    let vgg = server(ModelKind::Vgg19, "/vgg/batch", batch);
    let setup = Setup::new(dead_port(), vgg.port(), PATIENT);
    let mut client = setup.client().await;
    client.post("/vgg/batch", b"clips").await;
    let head = client.head().await.expect("an answer before its end");
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/x-ndjson")));
    for line in ["{\"index\":0}\n", "{\"index\":1}\n", "{\"index\":2}\n"] {
        sender.send(line).await.expect("is awaited");
        assert_eq!(client.chunk().await.as_deref(), Some(line.as_bytes()));
    }
    drop(sender);
    assert_eq!(client.chunk().await.as_deref(), Some(&b""[..]));
}

#[tokio::test]
async fn an_answer_may_begin_while_its_request_is_still_sent() {
    let batch = post(async move |request: Request| {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {
                let _ = sender.send("line\n").await;
            }
        });
        lines(receiver)
    });
    let svm = server(ModelKind::Svm, "/predict/batch", batch);
    let setup = Setup::new(svm.port(), dead_port(), PATIENT);
    let mut client = setup.client().await;
    client.send("POST /predict/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("4\r\nclip\r\n").await;
    assert_eq!(client.head().await.expect("an answer").status, 200);
    assert_eq!(client.chunk().await.as_deref(), Some(&b"line\n"[..]));
    client.send("4\r\nclip\r\n").await;
    assert_eq!(client.chunk().await.as_deref(), Some(&b"line\n"[..]));
    client.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await.as_deref(), Some(&b""[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_all_before_it_reads_gets_the_refusal() {
    // Refuses as hyper does, over unread bytes, so that what still comes is reset.
    let refuse = post(async |request: Request| {
        let mut body = request.into_body();
        // A little of it, so that the refusal meets the upload in full flow.
        for _ in 0..20 {
            let _ = body.frame().await;
        }
        (StatusCode::PAYLOAD_TOO_LARGE, Json(json!({"type": "/problems/body-too-large"})))
    });
    let svm = server(ModelKind::Svm, "/predict", refuse);
    let setup = Setup::new(svm.port(), dead_port(), PATIENT);
    let body = noise(8 << 20);
    for round in 0..30 {
        let mut client = setup.client().await;
        client.post("/predict", &body).await;
        let (status, said) = client.json().await;
        assert_eq!((status, &said["type"]), (413, &json!("/problems/body-too-large")), "round {round}");
    }
}

#[tokio::test]
async fn a_client_that_awaits_100_continue_sends_nothing_to_a_backend_that_refuses() {
    let busy = post(async |request: Request| {
        assert!(request.headers().contains_key(header::EXPECT));
        (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "7")], "busy")
    });
    let svm = server(ModelKind::Svm, "/predict", busy);
    let vgg = server(ModelKind::Vgg19, "/vgg", post(async |body: Bytes| body.len().to_string()));
    let setup = Setup::new(svm.port(), vgg.port(), PATIENT);
    let ask = "HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

    let mut client = setup.client().await;
    client.send(format!("POST /predict {ask}")).await;
    let head = client.head().await.expect("an answer");
    assert_eq!((head.status, head.header("retry-after")), (503, Some("7")), "at once, and no 100 before it");

    let mut client = setup.client().await;
    client.send(format!("POST /vgg {ask}")).await;
    assert_eq!(client.head().await.expect("leave to send").status, 100);
    client.send("hello").await;
    assert_eq!(client.json().await, (200, json!(5)));
}

#[tokio::test]
async fn a_client_that_awaits_100_continue_is_not_held_back_for_ever() {
    // Knows nothing of `Expect`: reads the body, then answers.
    let old = Server::raw(async |mut stream: TcpStream| {
        let mut received = Vec::new();
        while !received.ends_with(b"hello") && stream.read_buf(&mut received).await.is_ok_and(|n| n > 0) {}
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    });
    let setup = Setup::new(old.port(), dead_port(), PATIENT);
    let mut client = setup.client().await;
    client.send("POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(client.head().await.expect("leave to send").status, 100);
    client.send("hello").await;
    assert_eq!(client.head().await.expect("an answer").status, 200);
}
