//! The Open Inference Protocol over gRPC: messages as they are on the wire, answered by the router that the program serves.
//! `tests/peers/grpc_client.py` has Triton's client talk to the program.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Request},
};
use http_body_util::BodyExt as _;
use prost::Message;
use serve::{
    App, Limits, Timeouts,
    config::ModelKind,
    http::server,
    oip::grpc::{
        self,
        messages::{
            Empty, InferTensor, InferTensorContents, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
            ModelMetadataResponse, ModelRequest, ModelStatisticsResponse, ReadyResponse, RepositoryIndexRequest,
            RepositoryIndexResponse, ServerLiveResponse, ServerMetadataResponse,
        },
    },
};
use tower::ServiceExt as _;

use crate::{
    client::predict,
    model,
    server::{Options, Server},
    wav::Sound,
};

/// Calls a method, and gives its message, or its status and what that says.
fn call_with<A: Message + Default>(
    app: &Arc<App>,
    method: &str,
    message: &impl Message,
    headers: &[(&str, &str)],
) -> Result<A, (String, String)> {
    let mut body = vec![0];
    body.extend(u32::try_from(message.encoded_len()).expect("short").to_be_bytes());
    body.extend(message.encode_to_vec());
    let mut request = Request::post(format!("/inference.GRPCInferenceService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let response = grpc::router(Arc::clone(app)).oneshot(request).await.expect("a response");
        assert_eq!(response.status(), 200);
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body");
        let trailers = body.trailers().cloned().unwrap_or_default();
        let of = |name: &str, headers: &HeaderMap| Some(headers.get(name)?.to_str().expect("text").to_owned());
        let find = |name: &str| of(name, &trailers).or(of(name, &head.headers));
        let status = find("grpc-status").expect("a status");
        let bytes = body.to_bytes();
        if status != "0" {
            return Err((status, find("grpc-message").unwrap_or_default()));
        }
        let (prefix, message) = bytes.split_at(5);
        assert_eq!(prefix[0], 0, "it is not compressed");
        assert_eq!(u32::from_be_bytes(prefix[1..].try_into().expect("four")) as usize, message.len());
        Ok(A::decode(message).expect("a message"))
    })
}

fn call<A: Message + Default>(app: &Arc<App>, method: &str, message: &impl Message) -> Result<A, (String, String)> {
    call_with(app, method, message, &[])
}

fn infer(kind: ModelKind, files: &[&[u8]], raw: bool) -> ModelInferRequest {
    let elements = || files.iter().map(|file| Bytes::from(file.to_vec()));
    let shape = vec![i64::try_from(files.len()).expect("few")];
    let mut input = InferTensor { name: "audio".into(), datatype: "BYTES".into(), shape, ..Default::default() };
    let mut raw_input_contents = Vec::new();
    if raw {
        let lengths =
            elements().map(|file| [&u32::try_from(file.len()).expect("short").to_le_bytes()[..], &file].concat());
        raw_input_contents.push(Bytes::from(lengths.collect::<Vec<_>>().concat()));
    } else {
        input.contents = Some(InferTensorContents { bytes: elements().collect(), ..Default::default() });
    }
    ModelInferRequest {
        model_name: kind.name().into(),
        id: "a".into(),
        inputs: vec![input],
        raw_input_contents,
        ..Default::default()
    }
}

#[test]
fn models_are_described_and_predict_as_over_http() {
    for kind in ModelKind::MEMBERS {
        let server = Server::start(Options::of(kind));
        let app = &server.app;
        let name = || ModelRequest { name: kind.name().into(), version: String::new() };
        assert_eq!(call::<ServerLiveResponse>(app, "ServerLive", &Empty {}).map(|live| live.live), Ok(true));
        assert_eq!(call::<ReadyResponse>(app, "ServerReady", &Empty {}).map(|ready| ready.ready), Ok(true));
        assert_eq!(call::<ReadyResponse>(app, "ModelReady", &name()).map(|ready| ready.ready), Ok(true));
        let about: ServerMetadataResponse = call(app, "ServerMetadata", &Empty {}).expect("metadata");
        assert!(about.name == "tonearm" && about.extensions.contains(&"statistics".to_owned()), "{about:?}");
        let index: RepositoryIndexResponse =
            call(app, "RepositoryIndex", &RepositoryIndexRequest { ready: true }).expect("a list");
        assert_eq!((&*index.models[0].name, &*index.models[0].state), (kind.name(), "READY"));
        let metadata: ModelMetadataResponse = call(app, "ModelMetadata", &name()).expect("metadata");
        assert_eq!((&*metadata.inputs[0].name, &metadata.inputs[0].shape), ("audio", &vec![-1]));
        let config = call::<ModelConfigResponse>(app, "ModelConfig", &name()).expect("a configuration").config;
        let config = config.expect("a configuration");
        assert_eq!((&*config.backend, config.output.len()), ("tonearm", metadata.outputs.len()));

        let tracks = [Sound::Low.wav(2.0, 1), Sound::High.wav(3.0, 2)];
        let files: Vec<&[u8]> = tracks.iter().map(Vec::as_slice).collect();
        let typed: ModelInferResponse = call(app, "ModelInfer", &infer(kind, &files, false)).expect("a prediction");
        assert_eq!((&*typed.id, &*typed.model_version), ("a", model::of(kind).version()));
        let contents = |at: usize| typed.outputs[at].contents.clone().expect("contents");
        assert_eq!(contents(0).bytes, [Sound::Low.label(), Sound::High.label()]);
        let labels = model::of(kind).labels().len();
        assert_eq!(typed.outputs[1].shape, [2, i64::try_from(labels).expect("few")]);
        for (track, found) in tracks.iter().zip(contents(1).fp64.chunks(labels)) {
            let alone = server.send(&predict(track)).json();
            let classifier = model::of(kind);
            let expected = classifier.labels().iter().map(|label| alone["probabilities"][label.as_str()].as_f64());
            assert_eq!(found.iter().map(|p| Some(*p)).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
        // What came raw is answered raw.
        let raw: ModelInferResponse = call(app, "ModelInfer", &infer(kind, &files, true)).expect("a prediction");
        let doubles: Vec<u8> = contents(1).fp64.iter().flat_map(|p| p.to_le_bytes()).collect();
        assert!(raw.outputs.iter().all(|output| output.contents.is_none()) && raw.raw_output_contents[1] == doubles);

        let stats: ModelStatisticsResponse = call(app, "ModelStatistics", &name()).expect("statistics");
        assert_eq!(stats.model_stats[0].inference_count, 6);
        let all: ModelStatisticsResponse = call(app, "ModelStatistics", &ModelRequest::default()).expect("statistics");
        assert_eq!(all, stats);
    }
}

#[test]
fn what_fails_has_a_status_and_says_why() {
    let limits = Limits { max_body_bytes: 200_000, ..Options::default().limits };
    let server = Server::start(Options { limits, ..Options::default() });
    let track = Sound::Low.wav(2.0, 1);
    let fails = |request: &ModelInferRequest, status: &str, words: &str| {
        let (found, message) = call::<ModelInferResponse>(&server.app, "ModelInfer", request).expect_err(words);
        assert!(found == status && message.contains(words), "{found}: {message}");
    };
    fails(
        &ModelInferRequest { model_name: "none".into(), ..infer(ModelKind::Svm, &[&track], true) },
        "5",
        "unknown%20model",
    );
    fails(
        &ModelInferRequest { model_version: "ffffffffffff".into(), ..infer(ModelKind::Svm, &[&track], true) },
        "5",
        "version",
    );
    fails(&infer(ModelKind::Svm, &[&track, b"no track"], true), "3", "element%201");
    fails(&infer(ModelKind::Svm, &[&vec![0; 200_001]], true), "8", "limit");
    fails(&ModelInferRequest::default(), "5", "model");
    let (status, _) = call::<Empty>(&server.app, "RepositoryModelLoad", &Empty {}).expect_err("not there");
    assert_eq!(status, "12");
    // Bytes that are no message.
    let request =
        Request::post("/inference.GRPCInferenceService/ModelInfer").header("content-type", "application/grpc");
    let request = request.body(Body::from(&b"\0\0\0\0\x04\xff\xff\xff\xff"[..])).expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let response = runtime.block_on(grpc::router(Arc::clone(&server.app)).oneshot(request)).expect("a response");
    assert!(response.headers().get("grpc-status").is_some_and(|status| status != "0"), "{response:?}");
}

#[test]
fn a_key_is_required_as_over_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "0123456789abcdef\n").expect("writes");
    let args = ["serve", "svm", "--api-key-file", keys.to_str().expect("text")].map(Into::into);
    let serve::cli::Task::Serve(config) = serve::cli::Cli::read(args).expect("valid") else {
        unreachable!("it serves")
    };
    let app = Arc::new(App::of(&config, None).expect("threads"));
    app.engine().slot(ModelKind::Svm).expect("is served").put(model::of(ModelKind::Svm));
    let metadata = |headers: &[(&str, &str)]| {
        call_with::<ServerMetadataResponse>(&app, "ServerMetadata", &Empty {}, headers).map(|metadata| metadata.name)
    };
    assert_eq!(metadata(&[]).expect_err("refused").0, "16");
    assert_eq!(metadata(&[("authorization", "Bearer 0123456789abcdef")]), Ok("tonearm".to_owned()));
    assert!(call::<ServerLiveResponse>(&app, "ServerLive", &Empty {}).is_ok(), "as /healthz is open");
}

/// A connection that holds its place and sends no request, or no whole preface, or answers no ping.
#[test]
fn a_connection_that_does_not_begin_is_closed() {
    let app = &Server::start(Options::default()).app;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(server::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let timeouts = Timeouts { head: Duration::from_millis(300), ..Timeouts::default() };
    let (router, metrics) = (grpc::router(Arc::clone(app)), Arc::clone(app.engine().metrics()));
    runtime.spawn(async move {
        server::serve_http2(listener, router, timeouts, &metrics, std::future::pending()).await;
    });
    for sent in ["", "PRI * HTTP/2.0\r\n\r\nS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
        stream.write_all(sent.as_bytes()).expect("sends");
        let start = Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(start.elapsed() < Duration::from_secs(4), "`{sent}` was left open");
    }
}
