//! Backends and clients that are down, slow, or go away.

use axum::{body::Bytes, response::IntoResponse as _};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};

use super::*;

/// Says when it is dropped.
struct Alarm(mpsc::UnboundedSender<&'static str>);

impl Drop for Alarm {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// A handler that says when it has begun and when it has read its body, never answers, and says when it is dropped.
fn endless(says: &mpsc::UnboundedSender<&'static str>) -> axum::routing::MethodRouter {
    let says = says.clone();
    post(async move |request: Request| {
        let _alarm = Alarm(says.clone());
        let _ = says.send("begun");
        if request.into_body().collect().await.is_ok() {
            let _ = says.send("read");
            std::future::pending::<()>().await;
        }
    })
}

async fn next(said: &mut mpsc::UnboundedReceiver<&'static str>) -> Option<&'static str> {
    timeout(PATIENCE, said.recv()).await.expect("says something in time")
}

#[tokio::test]
async fn a_backend_that_is_down_is_named_and_one_that_comes_up_is_used() {
    let reserved = Port::take();
    let port = reserved.number();
    let svm = plain(ModelKind::Svm);
    let setup = Setup::new(svm.port(), port, PATIENT);
    setup.until(ModelKind::Svm, "ready").await;
    let mut client = setup.client().await;
    client.post("/vgg", b"clip").await;
    let (status, problem) = client.json().await;
    assert_eq!((status, &problem["type"]), (502, &json!("/problems/backend-unavailable")));
    let detail = problem["detail"].as_str().expect("words");
    assert!(
        detail.contains("vgg19") && !detail.contains("127.0.0.1") && !detail.contains(&port.to_string()),
        "{detail}"
    );

    let vgg = Server::start_on(reserved, model_server(ModelKind::Vgg19, Router::new()));
    client.post("/vgg", b"clip").await;
    assert_eq!(client.json().await.1["by"], "vgg19", "at the next request, whatever was known");
    setup.until(ModelKind::Vgg19, "ready").await;

    drop(vgg);
    client.post("/vgg", b"clip").await;
    assert_eq!(client.json().await.0, 502);
    let (_, models) = setup.get("/v1/models").await;
    assert_eq!(models["models"][1]["state"], "unavailable", "the request told");
    assert_eq!(models["models"][1]["problem"], "its server is not reachable");
    client.post("/predict", b"clip").await;
    assert_eq!(client.json().await.1["by"], "svm", "the other one serves on");
}

#[tokio::test]
async fn a_connection_is_tried_again() {
    let port = Port::take();
    let stubborn = GatewaySettings { connect_attempts: 8, ..PATIENT };
    // Not known to be down: then it would be tried once.
    let (_, setup) = Setup::unwatched(port.number(), dead_port(), stubborn);
    let mut client = setup.client().await;
    let late = tokio::spawn(async move {
        sleep(Duration::from_millis(150)).await;
        Server::start_on(port, model_server(ModelKind::Svm, Router::new()))
    });
    client.post("/predict", b"clip").await;
    assert_eq!(client.json().await.1["by"], "svm");
    late.await.expect("starts");
}

#[tokio::test]
async fn a_slow_backend_is_given_up() {
    let (says, mut said) = mpsc::unbounded_channel();
    let svm = server(ModelKind::Svm, "/predict", endless(&says));
    let settings = GatewaySettings { response_timeout: Duration::from_millis(200), ..PATIENT };
    let setup = Setup::new(svm.port(), dead_port(), settings);
    let mut client = setup.client().await;
    client.post("/predict", b"clip").await;
    let (status, problem) = client.json().await;
    assert_eq!((status, &problem["type"]), (504, &json!("/problems/backend-timeout")));
    let said = [next(&mut said).await, next(&mut said).await, next(&mut said).await];
    assert_eq!(said, [Some("begun"), Some("read"), Some("dropped")], "and it is told");
}

#[tokio::test]
async fn a_slow_upload_is_not_the_fault_of_the_backend() {
    let vgg = server(ModelKind::Vgg19, "/vgg", post(async |body: Bytes| body.len().to_string()));
    let settings = GatewaySettings { response_timeout: Duration::from_secs(1), ..PATIENT };
    let setup = Setup::new(dead_port(), vgg.port(), settings);
    let mut client = setup.client().await;
    client.send("POST /vgg HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n").await;
    for byte in b"a clip" {
        sleep(settings.response_timeout / 5).await;
        client.send([*byte]).await;
    }
    assert_eq!(client.json().await, (200, json!(6)));
}

#[tokio::test]
async fn a_backend_that_reads_nothing_is_given_up_too() {
    let deaf = Server::raw(async |stream: TcpStream| {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let settings = GatewaySettings { response_timeout: Duration::from_millis(200), ..PATIENT };
    let setup = Setup::new(deaf.port(), dead_port(), settings);
    let mut client = setup.client().await;
    // More than the buffers on the way take.
    client.send(format!("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 64 << 20)).await;
    let block = vec![0; 1 << 20];
    while let Ok(Ok(())) = timeout(Duration::from_millis(100), client.stream.write_all(&block)).await {}
    assert_eq!(client.head().await.expect("an answer").status, 504);
}

#[tokio::test]
async fn a_backend_that_ends_before_its_answer_is_502() {
    for said in ["", "HTTP/1.1 200 OK\r\nContent-Le", "no HTTP at all\r\n\r\n"] {
        let broken = Server::raw(move |mut stream: TcpStream| async move {
            let _ = stream.read(&mut [0; 1000]).await;
            let _ = stream.write_all(said.as_bytes()).await;
        });
        let setup = Setup::new(broken.port(), dead_port(), PATIENT);
        let mut client = setup.client().await;
        client.post("/predict", b"clip").await;
        let (status, problem) = client.json().await;
        assert_eq!((status, &problem["type"]), (502, &json!("/problems/backend-unavailable")), "{said:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client() {
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 10\r\n\r\nhalf",
    ] {
        let broken = Server::raw(move |mut stream: TcpStream| async move {
            let _ = stream.read(&mut [0; 1000]).await;
            let _ = stream.write_all(said.as_bytes()).await;
        });
        let setup = Setup::new(broken.port(), dead_port(), PATIENT);
        let mut client = setup.client().await;
        client.post("/predict", b"clip").await;
        let head = client.head().await.expect("a head");
        assert_eq!(head.status, 200);
        assert_eq!(client.body(&head).await, None, "{said:?} is not whole");
    }
}

#[tokio::test]
async fn an_answer_that_stands_still_is_given_up() {
    let stuck = Server::raw(async |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1000]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    });
    let settings = GatewaySettings { idle_timeout: Duration::from_millis(200), ..PATIENT };
    let setup = Setup::new(stuck.port(), dead_port(), settings);
    let mut client = setup.client().await;
    client.post("/predict", b"clip").await;
    let head = client.head().await.expect("a head");
    assert_eq!(
        (client.exactly(4).await.as_deref(), client.is_closed().await),
        (Some(&b"half"[..]), true),
        "{}",
        head.status
    );
}

#[tokio::test]
async fn a_client_that_is_silent_is_told_so() {
    let (says, mut said) = mpsc::unbounded_channel();
    let svm = server(ModelKind::Svm, "/predict", endless(&says));
    let settings = GatewaySettings { idle_timeout: Duration::from_millis(200), ..PATIENT };
    let setup = Setup::new(svm.port(), dead_port(), settings);
    let mut client = setup.client().await;
    client.send("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await;
    let (status, problem) = client.json().await;
    assert_eq!((status, &problem["type"]), (408, &json!("/problems/slow-body")));
    assert!(problem["detail"].as_str().expect("words").contains("4 bytes"), "{problem}");
    while next(&mut said).await != Some("dropped") {}
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_with_it() {
    let (says, mut said) = mpsc::unbounded_channel();
    let svm = server(ModelKind::Svm, "/predict", endless(&says));
    let setup = Setup::new(svm.port(), dead_port(), PATIENT);

    // After its upload.
    let mut client = setup.client().await;
    client.post("/predict", b"clip").await;
    assert_eq!([next(&mut said).await, next(&mut said).await], [Some("begun"), Some("read")]);
    drop(client);
    assert_eq!(next(&mut said).await, Some("dropped"));

    // In the middle of it: the backend sees that the body broke off.
    let mut client = setup.client().await;
    client.send("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(next(&mut said).await, Some("begun"));
    drop(client);
    while next(&mut said).await != Some("dropped") {}
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_of_an_answer_ends_it() {
    let (says, mut said) = mpsc::unbounded_channel();
    let batch = post(async move |_: Bytes| {
        let alarm = Alarm(says);
        let stream = futures_util::stream::unfold((alarm, true), async |(alarm, first)| {
            if !first {
                std::future::pending::<()>().await;
            }
            Some((Ok::<_, std::io::Error>(Bytes::from("line\n")), (alarm, false)))
        });
        axum::body::Body::from_stream(stream).into_response()
    });
    let svm = server(ModelKind::Svm, "/predict/batch", batch);
    let setup = Setup::new(svm.port(), dead_port(), PATIENT);
    let mut client = setup.client().await;
    client.post("/predict/batch", b"clips").await;
    client.head().await.expect("an answer");
    assert_eq!(client.chunk().await.as_deref(), Some(&b"line\n"[..]));
    drop(client);
    assert_eq!(next(&mut said).await, Some("dropped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_keeps_no_connection_loses_no_request() {
    // What a pool would trip over: it says nothing of closing, and closes.
    let rude = Server::raw(async |mut stream: TcpStream| {
        let mut received = Vec::new();
        while !received.ends_with(b"clip") && stream.read_buf(&mut received).await.is_ok_and(|n| n > 0) {}
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    });
    let setup = Setup::new(rude.port(), dead_port(), PATIENT);
    let mut client = setup.client().await;
    for _ in 0..300 {
        client.post("/predict", b"clip").await;
        let head = client.head().await.expect("an answer");
        assert_eq!((head.status, client.body(&head).await.as_deref()), (200, Some(&b"ok"[..])));
    }
}
