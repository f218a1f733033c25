//! What is forwarded where, with which headers, and what the gateway says itself.

use axum::http::{HeaderMap, HeaderValue};

use super::*;

#[tokio::test]
async fn each_route_goes_to_its_backend() {
    let (svm, vgg) = (plain(ModelKind::Svm), plain(ModelKind::Vgg19));
    let setup = Setup::new(svm.port(), vgg.port(), PATIENT);
    setup.until(ModelKind::Svm, "ready").await;
    setup.until(ModelKind::Vgg19, "ready").await;
    let mut client = setup.client().await;
    for (path, by) in [
        ("/predict", "svm"),
        ("/predict/batch?x=1", "svm"),
        ("/vgg?explain=predicted", "vgg19"),
        ("/vgg/batch", "vgg19"),
        ("/features?include=mfcc&encoding=base64", "svm"),
        ("/v1/models/svm/predict", "svm"),
        ("/v1/models/vgg19/versions/0123456789ab/predict", "vgg19"),
        ("/v2/models/vgg19/infer", "vgg19"),
        ("/v2/models/svm/versions/1%2F2/infer", "svm"),
    ] {
        client.post(path, b"clip").await;
        assert_eq!(client.json().await, (200, json!({"by": by, "method": "POST", "target": path})));
    }
    for (path, by) in [
        ("/v1/models/svm", "svm"),
        ("/v1/models/vgg19/versions", "vgg19"),
        ("/v2/models/vgg19", "vgg19"),
        ("/v2/models/svm/ready", "svm"),
    ] {
        assert_eq!(client.get(path).await, (200, json!({"by": by, "method": "GET", "target": path})));
    }
    assert_eq!(client.get("/v2").await.1["name"], "tonearm");
    let (status, problem) = client.get("/v1/models/knn").await;
    assert_eq!((status, &problem["type"]), (404, &json!("/problems/unknown-model")));
    client.post("/v2/models/knn/infer", b"{}").await;
    let (status, problem) = client.json().await;
    assert!(status == 404 && problem["error"].is_string(), "in the form of that protocol: {problem}");
}

/// A model that a server lists beside that of its kind.
fn listed(kind: ModelKind, name: &str) -> Value {
    json!({"name": name, "kind": kind.name(), "route": "/x", "state": "ready", "version": "v", "labels": ["polka"],
        "limits": {"max_body_bytes": 1000, "max_batch_bytes": 4000, "max_seconds": 30.0}})
}

#[tokio::test]
async fn a_model_with_a_name_of_its_own_is_at_the_server_that_lists_it() {
    let of = |kind: ModelKind, names: &'static [&'static str]| {
        let models: Vec<Value> = names.iter().map(|name| listed(kind, name)).collect();
        let list = Router::new().route("/v1/models", get(async move || Json(json!({"models": models}))));
        Server::start(list.fallback(any(move |request: Request| async move {
            Json(json!({"by": kind.name(), "target": request.uri().to_string()}))
        })))
    };
    let (svm, vgg) = (of(ModelKind::Svm, &["dances", "both"]), of(ModelKind::Vgg19, &["vgg19", "night", "both"]));
    let setup = Setup::new(svm.port(), vgg.port(), PATIENT);
    setup.until(ModelKind::Vgg19, "ready").await;
    let wait = async {
        while setup.get("/v1/models").await.1["models"].as_array().map(Vec::len) != Some(4) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("lists them");
    let (_, list) = setup.get("/v1/models").await;
    let names: Vec<_> = list["models"].as_array().expect("a list").iter().map(|model| model["name"].clone()).collect();
    assert_eq!(names, ["vgg19", "dances", "both", "night"], "of two of one name the first");
    assert_eq!(list["models"][1]["predict"], "/v1/models/dances/predict");
    let limits = json!({"max_body_bytes": 1000, "max_batch_bytes": 4000, "max_seconds": 30.0});
    assert_eq!(list["models"][1]["limits"], limits, "those of its server");
    let mut client = setup.client().await;
    for (path, by) in [
        ("/v1/models/dances/predict", "svm"),
        ("/v1/models/night/predict?explain=predicted", "vgg19"),
        ("/v1/models/night/predict/batch", "vgg19"),
        ("/v2/models/dances/infer", "svm"),
        ("/features?model=night", "vgg19"),
        ("/v1/models/both/predict", "svm"),
        // Not listed, and of the kind of its name.
        ("/v1/models/svm/predict", "svm"),
    ] {
        client.post(path, b"song").await;
        assert_eq!(client.json().await, (200, json!({"by": by, "target": path})));
    }
}

#[tokio::test]
async fn a_model_that_nobody_lists_is_asked_for() {
    let has = |name: &'static str| {
        let show = move |request: Request| async move {
            let key = request.headers().get("x-api-key").cloned();
            let found = request.uri().path() == format!("/v1/models/{name}");
            match key.as_ref().map(|key| key.as_bytes()) {
                None => (StatusCode::UNAUTHORIZED, Json(json!({"type": "/problems/unauthorized"}))),
                Some(b"good") if found => (StatusCode::OK, Json(json!({"name": name}))),
                _ => (StatusCode::NOT_FOUND, Json(json!({}))),
            }
        };
        let predict = post(async move |_: Request| Json(json!({"by": name})));
        let path = format!("/v1/models/{name}/predict");
        Server::start(Router::new().route(&path, predict).fallback(any(show)))
    };
    let (svm, vgg) = (has("dances"), has("night"));
    let setup = Setup::new(svm.port(), vgg.port(), PATIENT);
    let mut client = setup.client().await;
    let mut ask = async |name: &str, key: &str| {
        let head = format!("POST /v1/models/{name}/predict HTTP/1.1\r\nHost: x\r\n{key}Content-Length: 4\r\n\r\nsong");
        client.send(head).await;
        client.json().await
    };
    assert_eq!(ask("night", "X-API-Key: good\r\n").await, (200, json!({"by": "night"})));
    assert_eq!(ask("dances", "X-API-Key: good\r\n").await, (200, json!({"by": "dances"})));
    let (status, problem) = ask("salsa", "X-API-Key: good\r\n").await;
    assert_eq!((status, &problem["type"]), (404, &json!("/problems/unknown-model")));
    // Whether it is there is for those who have the key to know.
    assert_eq!(ask("salsa", "").await.0, 401);
    drop(vgg);
    let (status, problem) = ask("salsa", "X-API-Key: good\r\n").await;
    assert_eq!((status, &problem["type"]), (502, &json!("/problems/backend-unavailable")), "it may be there");
}

#[tokio::test]
async fn what_every_backend_can_do_is_done_by_one_that_is_up() {
    let vgg = plain(ModelKind::Vgg19);
    let setup = Setup::new(dead_port(), vgg.port(), PATIENT);
    setup.until(ModelKind::Vgg19, "ready").await;
    let mut client = setup.client().await;
    client.post("/features", b"clip").await;
    assert_eq!(client.json().await.1["by"], "vgg19");
    // A model that is named is that one's.
    client.post("/v2/models/svm/infer", b"{}").await;
    let (status, problem) = client.json().await;
    assert!(status == 502 && problem["error"].is_string(), "{problem}");
}

#[tokio::test]
async fn it_is_ready_while_one_backend_is() {
    let port = Port::take();
    let setup = Setup::new(port.number(), dead_port(), PATIENT);
    let (status, problem) = setup.get("/readyz").await;
    assert_eq!((status, &problem["type"]), (503, &json!("/problems/not-ready")));
    let detail = problem["detail"].as_str().expect("a text");
    assert!(
        ["no model is ready", "svm: its server", "vgg19: its server"].iter().all(|words| detail.contains(words)),
        "{detail}"
    );
    assert_eq!(setup.get("/v2/health/ready").await.0, 503);
    assert_eq!(setup.get("/v2/health/live").await, (200, json!({"live": true})));

    let svm = Server::start_on(port, model_server(ModelKind::Svm, Router::new()));
    setup.until(ModelKind::Svm, "ready").await;
    let (status, ready) = setup.get("/readyz").await;
    let models = json!({
        "svm": {"ready": true, "version": "version-of-svm"},
        "vgg19": {"ready": false, "problem": "its server is not reachable"},
    });
    assert_eq!((status, ready), (200, json!({"status": "ready", "models": models})));
    assert_eq!(setup.get("/v2/health/ready").await, (200, json!({"ready": true})));
    drop(svm);
    setup.until(ModelKind::Svm, "unavailable").await;
    assert_eq!(setup.get("/readyz").await.0, 503);
}

/// Waits until `/v1/models` says of VGG19 that its problem is `problem`, and gives what it says of both.
async fn until_problem(setup: &Setup, problem: &str) -> Value {
    let wait = async {
        loop {
            let (_, said) = setup.get("/v1/models").await;
            if said["models"][1]["problem"] == problem {
                return said["models"].clone();
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("is asked")
}

#[tokio::test]
async fn models_are_listed_in_the_words_of_their_backends() {
    let said = json!({"name": "vgg19", "route": "/vgg", "state": "unavailable", "labels": ["jazz"], "problem": "why"});
    let waiting = Router::new().route("/v1/models", get(async move || Json(json!({"models": [said]}))));
    let (svm, vgg) = (plain(ModelKind::Svm), Server::start(waiting));
    let setup = Setup::new(svm.port(), vgg.port(), PATIENT);
    setup.until(ModelKind::Svm, "ready").await;
    let models = until_problem(&setup, "why").await;
    assert_eq!((&models[1]["state"], &models[1]["labels"]), (&json!("unavailable"), &json!(["jazz"])));
    assert_eq!((&models[0]["name"], &models[0]["version"]), (&json!("svm"), &json!("version-of-svm")));
}

#[tokio::test]
async fn a_url_that_leads_to_the_server_of_another_model_is_told() {
    let svm = plain(ModelKind::Svm);
    let setup = Setup::new(svm.port(), svm.port(), PATIENT);
    until_problem(&setup, "the server that was named for vgg19 does not serve vgg19").await;
}

#[tokio::test]
async fn a_backend_that_wants_a_key_is_known_by_its_readiness() {
    let locked = |ready: StatusCode| {
        Router::new()
            .route("/v1/models", get(async || StatusCode::UNAUTHORIZED))
            .route("/readyz", get(async move || (ready, Json(json!({"detail": "no model is loaded yet"})))))
    };
    let svm = Server::start(locked(StatusCode::OK));
    let vgg = Server::start(locked(StatusCode::SERVICE_UNAVAILABLE));
    let setup = Setup::new(svm.port(), vgg.port(), PATIENT);
    setup.until(ModelKind::Svm, "ready").await;
    until_problem(&setup, "no model is loaded yet").await;
}

#[tokio::test]
async fn a_backend_that_wants_a_key_lists_its_models_to_a_gateway_that_has_it() {
    let models = get(async |headers: HeaderMap| match headers.get(header::AUTHORIZATION) {
        Some(key) if key == "Bearer 0123456789abcdef" => Ok(Json(json!({"models": [
            {"name": "svm", "route": "/predict", "state": "ready", "version": "1", "labels": ["jazz"]},
        ]}))),
        _ => Err(StatusCode::UNAUTHORIZED),
    });
    let svm = Server::start(Router::new().route("/v1/models", models).route("/readyz", get(async || "")));
    for (key, labels) in [("Bearer 0123456789abcdef", json!(["jazz"])), ("Bearer another-0123456789", json!([]))] {
        let url = format!("http://127.0.0.1:{}", svm.port()).parse().expect("a URL");
        let backend = Backend::new(ModelKind::Svm, url).expect("sound").with_key(Some(HeaderValue::from_static(key)));
        let gateway = Gateway::new(vec![backend], PATIENT, Limits::default());
        let setup =
            Setup { server: Server::start(router(Arc::clone(&gateway))), watch: Some(tokio::spawn(gateway.watch())) };
        setup.until(ModelKind::Svm, "ready").await;
        assert_eq!(setup.get("/v1/models").await.1["models"][0]["labels"], labels, "{key}");
    }
}

#[tokio::test]
async fn the_index_of_models_is_that_of_all_backends() {
    let vgg = plain(ModelKind::Vgg19);
    let setup = Setup::new(dead_port(), vgg.port(), PATIENT);
    setup.until(ModelKind::Vgg19, "ready").await;
    let mut client = setup.client().await;
    let ask = async |client: &mut Client, body: &str| {
        client.post("/v2/repository/index", body.as_bytes()).await;
        client.json().await
    };
    let down = json!({"name": "svm", "state": "UNAVAILABLE", "reason": "its server is not reachable"});
    let up = json!({"name": "vgg19", "version": "version-of-vgg19", "state": "READY", "reason": ""});
    assert_eq!(ask(&mut client, "").await, (200, json!([down, up])));
    assert_eq!(ask(&mut client, r#"{"ready": true}"#).await, (200, json!([up])));
    assert_eq!(ask(&mut client, "[").await.0, 400);
    assert_eq!(ask(&mut client, &" ".repeat(100_000)).await.0, 413);
}

#[tokio::test]
async fn headers_are_passed_on_but_for_those_of_a_connection() {
    let echo = post(async |request: Request| {
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
            .collect();
        let said = [
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=9"),
            ("retry-after", "3"),
            ("x-request-id", "r"),
        ];
        (said, Json(json!(headers)))
    });
    let svm = server(ModelKind::Svm, "/predict", echo);
    let setup = Setup::new(svm.port(), dead_port(), PATIENT);
    let mut client = setup.client().await;
    let kept = "Authorization: Bearer k\r\nX-API-Key: k\r\nX-Request-Id: r\r\nTraceparent: t\r\nTonearm-Version: v\r\n\
                Content-Type: audio/wav\r\n";
    let dropped =
        "Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nTE: trailers\r\nX-Forwarded-For: 192.0.2.1\r\nCookie: a=b\r\n";
    client
        .send(format!(
            "POST /predict HTTP/1.1\r\nHost: tonearm.example\r\n{kept}{dropped}Content-Length: 4\r\n\r\nsong"
        ))
        .await;
    let head = client.head().await.expect("an answer");
    assert_eq!((head.header("retry-after"), head.header("x-request-id")), (Some("3"), Some("r")));
    assert_eq!((head.header("x-hop"), head.header("keep-alive"), head.header("connection")), (None, None, None));
    let body = client.body(&head).await.expect("is whole");
    let mut headers: Vec<(String, String)> = serde_json::from_slice(&body).expect("pairs");
    headers.sort();
    let host = format!("127.0.0.1:{}", svm.port());
    let expected = [
        ("authorization", "Bearer k"),
        ("connection", "close"),
        ("content-length", "4"),
        ("content-type", "audio/wav"),
        ("host", &*host),
        ("tonearm-version", "v"),
        ("traceparent", "t"),
        ("via", "1.1 tonearm-web"),
        ("x-api-key", "k"),
        ("x-request-id", "r"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_wrong_method_is_refused_here() {
    let setup = Setup::new(dead_port(), dead_port(), PATIENT);
    let mut client = setup.client().await;
    client.send("GET /predict HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = client.head().await.expect("an answer");
    assert_eq!((head.status, head.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn a_gateway_in_front_of_itself_answers_all_the_same() {
    let port = Port::take();
    let url = format!("http://127.0.0.1:{}", port.number()).parse().expect("a URL");
    let gateway = Gateway::new(vec![Backend::new(ModelKind::Svm, url).expect("sound")], PATIENT, Limits::default());
    let server = Server::start_on(port, router(gateway));
    let mut client = Client::connect(server.address).await;
    client.post("/predict", b"clip").await;
    let (status, problem) = client.json().await;
    assert_eq!((status, &problem["type"]), (502, &json!("/problems/backend-unavailable")));
    // It is not asked in a circle.
    client.post("/v1/models/dances/predict", b"song").await;
    let (status, problem) = client.json().await;
    assert_eq!((status, &problem["type"]), (404, &json!("/problems/unknown-model")));
}
