//! `serve web` in front of one server that is up and one that is down, until it is back.

use std::net::TcpListener;

use tests::Server;

use crate::{
    browser::{Browser, Setup},
    world::world,
};

#[tokio::test]
async fn a_model_that_is_down_is_named_and_the_other_goes_on() {
    let world = world();
    let artifacts = &world.artifacts;
    let svm = Server::start("svm", artifacts);
    // A port that was free a moment ago: nobody listens there.
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
    let browser = Browser::open(&world, &format!("http://{}/", web.address), &Setup::default()).await;
    browser
        .until("the page says which", "by('banner').checkVisibility() && by('status-svm').dataset.state === 'ready'")
        .await;
    let said = browser.text("by('banner').textContent").await;
    assert!(said.starts_with("VGG19's server is down."), "{said}");
    assert_eq!(browser.text("by('status-vgg19').dataset.state").await, "unavailable");

    browser.choose(&[world.song("reggae")]).await;
    browser.until_heard(&["svm"]).await;
    browser.until("VGG19 is waited for", "by('verdict-vgg19').dataset.state === 'down'").await;
    assert!(browser.colours("timeline-svm").await > 3);
    assert!(browser.colours("log-mel").await > 100);
    browser.picture("down").await;

    // It comes back, and is asked what it missed, without a hand.
    let _vgg = Server::start_with(artifacts, &["vgg", "--listen", &down.to_string(), "--artifacts", "."]);
    browser.until_heard(&["svm", "vgg19"]).await;
    browser.until("the banner is gone", "!by('banner').checkVisibility()").await;
    assert_eq!(browser.text("by('announcer').textContent").await, "VGG19 is back.");
    browser.is_alone().await;

    // The other one goes.
    drop(svm);
    browser.until("the page says which", "by('banner').textContent.startsWith(\"The SVM's server is down.\")").await;
    browser.choose(&[world.song("country")]).await;
    browser.until_heard(&["vgg19"]).await;
    browser.until("the SVM is waited for", "by('verdict-svm').dataset.state === 'down'").await;
}
