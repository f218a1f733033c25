//! Servers that are down, and come back; a server that is busy.

use std::net::TcpListener;

use tests::Server;

use crate::{
    browser::{Browser, Setup},
    reach::is_accessible,
    world::world,
};

#[tokio::test]
async fn a_model_that_is_down_is_named_and_the_other_still_works() {
    let world = world();
    let artifacts = &world.artifacts;
    let svm = Server::start("svm", artifacts);
    // A port that was free a moment ago: no server listens on it.
    let down = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let web = Server::start_with(
        artifacts,
        &[
            "web",
            "--listen",
            "127.0.0.1:0",
            "--svm-url",
            &format!("http://{}", svm.address),
            "--vgg-url",
            &format!("http://{down}"),
        ],
    );
    let browser = Browser::open(&world.driver, &format!("http://{}/", web.address), &Setup::default()).await;
    browser
        .until("the page names it", "by('banner').checkVisibility() && by('status-svm').dataset.state === 'ready'")
        .await;
    let text = browser.text("by('banner').textContent").await;
    assert!(text.starts_with("VGG19's server is down."), "{text}");
    assert_eq!(browser.text("by('status-vgg19').dataset.state").await, "unavailable");

    browser.choose(&[world.track("reggae")]).await;
    browser.until_predicted(&["svm"]).await;
    browser.until("VGG19 is awaited", "by('prediction-vgg19').dataset.state === 'down'").await;
    assert!(browser.colours("timeline-svm").await > 3);
    assert!(browser.colours("log-mel").await > 100);
    browser.screenshot("down").await;
    is_accessible(&browser).await;

    // It comes back, and gets the pending request by itself.
    let _vgg = Server::start_with(artifacts, &["vgg", "--listen", &down.to_string(), "--artifacts", "."]);
    browser.until_predicted(&["svm", "vgg19"]).await;
    browser.until("the banner is gone", "!by('banner').checkVisibility()").await;
    assert_eq!(browser.text("by('announcer').textContent").await, "VGG19 is back.");
    browser.is_alone().await;

    // The other one goes.
    drop(svm);
    browser.until("the page names it", "by('banner').textContent.startsWith(\"The SVM's server is down.\")").await;
    browser.choose(&[world.track("country")]).await;
    browser.until_predicted(&["vgg19"]).await;
    browser.until("the SVM is awaited", "by('prediction-svm').dataset.state === 'down'").await;
}

#[tokio::test]
async fn requests_to_a_busy_server_are_retried() {
    let world = world();
    // One worker and no queue: of two requests at a time, one is refused.
    let arguments = ["all", "--listen", "127.0.0.1:0", "--artifacts", ".", "--threads", "1", "--queue", "0"];
    let server = Server::start_with(&world.artifacts, &arguments);
    let browser = Browser::open(&world.driver, &format!("http://{}/", server.address), &Setup::default()).await;
    browser.choose(&["blues", "disco", "jazz", "metal"].map(|genre| world.track(genre))).await;
    let done = "document.querySelectorAll('[data-testid=row][data-state=done]').length === 4";
    browser.until("all are done", done).await;
    let refused =
        "performance.getEntriesByType('resource').filter(({ responseStatus }) => responseStatus === 503).length";
    assert!(browser.number(refused).await > 0.0, "the server was never busy");
}
