//! How far an upload is, and what is sent again: what may pass, and nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use crate::{
    browser::{Browser, Setup},
    proxy::Proxy,
    reach::is_accessible,
    world::world,
};

#[tokio::test]
async fn the_share_that_is_uploaded_is_shown() {
    let world = world();
    let browser = Browser::open(&world.driver, &format!("http://{}/", world.server.address), &Setup::default()).await;
    // 1.26 MiB take some 20 seconds.
    browser.limit_uploads(Some(60_000));
    browser.choose(&[world.track("disco")]).await;
    let share = "Number(/Uploading… (\\d+)%/.exec(by('prediction-svm')?.textContent)?.[1] ?? NaN)";
    browser.until("some of it is sent", &format!("{share} > 0 && {share} < 70")).await;
    is_accessible(&browser).await;
    browser.window("uploading").await;
    let before = browser.number(share).await;
    browser.until("it goes on", &format!("{share} > {before}")).await;
    browser.limit_uploads(None);
    browser
        .until(
            "all of it is sent",
            "/Analysing…/.test(by('prediction-svm')?.textContent) || by('prediction-svm').dataset.state === 'done'",
        )
        .await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    browser.is_clean().await;
}

/// A problem document of a server that stands for another.
fn problem(status: StatusCode, slug: &str) -> Response {
    let body =
        json!({ "type": format!("/problems/{slug}"), "title": slug, "status": status.as_u16(), "detail": "a test" });
    (status, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_pass_and_an_unfit_file_does_not() {
    let world = world();
    let refusals = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refusals);
    let proxy = Proxy::start("", world.server.address, move |method, _| {
        (method == "POST" && count.fetch_add(1, Ordering::Relaxed) == 0)
            .then(|| problem(StatusCode::TOO_MANY_REQUESTS, "too-many-requests"))
    })
    .await;
    let browser = Browser::open(&world.driver, &proxy.origin(), &Setup::default()).await;
    browser.choose(&[world.track("disco")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(proxy.uploads().len(), 2, "once refused, once taken");

    // The server refuses the file itself: once, and there is nothing to try again.
    browser.choose(&[world.file("notes.txt", b"This is text, not audio.\n")]).await;
    browser.until("the page shows it", "by('track-problem').checkVisibility()").await;
    assert_eq!(proxy.uploads().len(), 3);
    assert_eq!(browser.value("Boolean(by('retry')?.checkVisibility()) || !by('retry-all').hidden").await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_failed_at_can_be_repeated() {
    let world = world();
    let refusals = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refusals);
    let proxy = Proxy::start("", world.server.address, move |method, _| {
        (method == "POST" && count.fetch_add(1, Ordering::Relaxed) == 0)
            .then(|| problem(StatusCode::INTERNAL_SERVER_ERROR, "internal"))
    })
    .await;
    let browser = Browser::open(&world.driver, &proxy.origin(), &Setup::default()).await;
    browser.choose(&[world.track("disco")]).await;
    browser.until("the page shows it", "by('track-problem').checkVisibility()").await;
    assert_eq!(browser.text("by('problem').dataset.slug").await, "internal");
    is_accessible(&browser).await;
    browser.click("retry").await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(proxy.uploads().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_says_nothing_but_a_status_is_understood() {
    let world = world();
    let proxy = Proxy::start("", world.server.address, |method, _| {
        (method == "POST").then(|| (StatusCode::PAYLOAD_TOO_LARGE, "<h1>413</h1>").into_response())
    })
    .await;
    let browser = Browser::open(&world.driver, &proxy.origin(), &Setup::default()).await;
    browser.choose(&[world.track("disco")]).await;
    browser.until("the page shows it", "by('track-problem').checkVisibility()").await;
    let text = browser.text("by('track-problem').textContent").await;
    assert!(text.contains("The file is larger than this server accepts."), "{text}");
    assert_eq!(browser.value("Boolean(by('retry'))").await, false);
    assert_eq!(proxy.uploads().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_an_answer_leaves_the_others_theirs() {
    let world = world();
    let track = world.track("jazz");
    let svm = world.post("/predict", &track).json();
    let problem =
        json!({ "type": "/problems/audio-too-short", "title": "too short", "status": 422, "detail": "a test" });
    let proxy = Proxy::start("", world.server.address, move |_, path| {
        path.starts_with("/v1/predict").then(|| {
            let predictions = json!({ "svm": { "answer": svm }, "vgg19": { "problem": problem } });
            Json(json!({ "predictions": predictions, "features": { "problem": problem } })).into_response()
        })
    })
    .await;
    let browser = Browser::open(&world.driver, &proxy.origin(), &Setup::default()).await;
    browser.choose(std::slice::from_ref(&track)).await;
    browser.until("the SVM has predicted", "by('prediction-svm')?.dataset.state === 'done'").await;
    assert_eq!(browser.text("by('prediction-vgg19').dataset.state").await, "failed");
    assert_eq!(
        browser.text("by('prediction-vgg19').querySelector('[data-testid=problem]').dataset.slug").await,
        "audio-too-short"
    );
    assert_eq!(browser.value("Boolean(by('retry'))").await, false);
    is_accessible(&browser).await;
    browser.is_clean().await;
}
