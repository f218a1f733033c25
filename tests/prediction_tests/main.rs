//! The prediction tests: a track is posted to each service, and a genre comes back.
//!
//! The scenarios are those of the original's container of tests, and what a user expects beside them. They ask a stack that
//! runs, by the URLs in `TONEARM_SVM_URL`, `TONEARM_VGG_URL` and `TONEARM_WEB_URL`; a service that none of them names is left
//! out. With none of them set, the three are started here.
//!
//! ```sh
//! TONEARM_SVM_URL=http://127.0.0.1:8081 TONEARM_VGG_URL=http://127.0.0.1:8082 TONEARM_WEB_URL=http://127.0.0.1:8083 \
//!     cargo test --release --workspace --locked --test prediction_tests
//! ```

mod world;

use serde_json::Value;
use tests::Service;

use world::{Role::*, World, set_up};

/// Where each model answers, and the service that has it.
const ROUTES: [(world::Role, &str, &str); 2] = [(Svm, "/predict", "svm"), (Vgg, "/vgg", "vgg19")];

#[test]
fn svm_predicts_a_genre() {
    let world = set_up();
    if let Some(svm) = world.service(Svm) {
        predicts_a_genre(&world, svm, "/predict", "svm");
    }
}

#[test]
fn vgg_predicts_a_genre() {
    let world = set_up();
    if let Some(vgg) = world.service(Vgg) {
        predicts_a_genre(&world, vgg, "/vgg", "vgg19");
    }
}

#[test]
fn web_forwards_to_both() {
    let world = set_up();
    if let Some(web) = world.service(Web) {
        for (_, route, model) in ROUTES {
            predicts_a_genre(&world, web, route, model);
        }
    }
}

/// A track of each genre gets one of the ten, and the other fields of the response agree.
fn predicts_a_genre(world: &World, service: &Service, route: &str, model: &str) {
    for genre in world.genres {
        let answer = world.predict(service, route, &world.track(genre));
        assert_eq!(answer["model"]["name"], model, "{answer}");
        let probabilities = answer["probabilities"].as_object().expect("an object");
        let p = |label: &str| probabilities.get(label).and_then(Value::as_f64).expect("a number for each genre");
        let all = world.genres.map(p);
        assert_eq!(probabilities.len(), all.len(), "{answer}");
        assert!(
            all.iter().all(|p| (0.0..=1.0).contains(p)) && (all.iter().sum::<f64>() - 1.0).abs() < 1e-6,
            "{answer}"
        );
        let predicted = p(answer["predicted_genre"].as_str().expect("a text"));
        assert!(all.iter().all(|p| *p <= predicted), "another genre is likelier: {answer}");
        assert!(answer["segments"].as_array().is_some_and(|segments| !segments.is_empty()), "{answer}");
    }
}

#[test]
fn web_answers_what_the_service_behind_it_answers() {
    let world = set_up();
    let Some(web) = world.service(Web) else { return };
    let track = world.track("reggae");
    for (role, route, _) in ROUTES {
        let Some(service) = world.service(role) else { continue };
        let [direct, forwarded] = [service, web].map(|service| world.predict(service, route, &track));
        assert_eq!(direct, forwarded, "{route}");
    }
}

#[test]
fn an_empty_file_is_refused_in_plain_words() {
    refused(b"", 400, "/problems/empty-audio", "0 bytes");
}

#[test]
fn a_file_that_is_no_audio_is_refused_in_plain_words() {
    refused(b"These are words, and no audio.\n", 415, "/problems/not-audio", "audio");
}

/// Every service that was named refuses `content` so, on every route that it has.
fn refused(content: &[u8], status: u16, kind: &str, words: &str) {
    let world = set_up();
    for (role, route, _) in ROUTES {
        for service in [role, Web].into_iter().filter_map(|role| world.service(role)) {
            let response = service.post(route, "track.wav", content);
            let said = format!("POST {}{route}: {}", service.url(), String::from_utf8_lossy(&response.body));
            assert_eq!(response.status, status, "{said}");
            assert_eq!(response.header("content-type"), Some("application/problem+json"), "{said}");
            let problem = response.json();
            assert_eq!(
                (problem["type"].as_str(), problem["status"].as_u64()),
                (Some(kind), Some(status.into())),
                "{said}"
            );
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{said}");
        }
    }
}

#[test]
fn every_service_lives_and_is_ready() {
    let world = set_up();
    for service in [Svm, Vgg, Web].into_iter().filter_map(|role| world.service(role)) {
        for path in ["/healthz", "/readyz"] {
            let response = service.get(path);
            assert_eq!(
                response.status,
                200,
                "GET {}{path}: {}",
                service.url(),
                String::from_utf8_lossy(&response.body)
            );
        }
        let models = service.get("/v1/models").json();
        let models = models["models"].as_array().expect("a list");
        assert!(models.iter().all(|model| model["state"] == "ready"), "{}: {models:?}", service.url());
    }
}

#[test]
fn web_has_the_page() {
    let world = set_up();
    let Some(web) = world.service(Web) else { return };
    let page = web.get("/");
    let text = String::from_utf8_lossy(&page.body);
    assert_eq!(page.status, 200, "GET {}/: {text}", web.url());
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{:?}", page.headers);
    assert!(text.contains("<title>Tonearm"), "{text}");
}

#[test]
fn a_url_that_leads_nowhere_is_said_to() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    for (url, words) in [
        (format!("http://{free}"), "not reachable: "),
        ("http://host.invalid:8081".to_owned(), "its host is not known: "),
        ("127.0.0.1:8081".to_owned(), "http://HOST:PORT"),
        ("https://127.0.0.1:8081".to_owned(), "http://HOST:PORT"),
        ("http://127.0.0.1:8081/predict".to_owned(), "http://HOST:PORT"),
        ("http://".to_owned(), "http://HOST:PORT"),
    ] {
        let problem = Service::at(&url).expect_err(&url);
        assert!(problem.contains(words), "{url}: {problem}");
    }
}
