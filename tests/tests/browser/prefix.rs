//! The page below a prefix that a reverse proxy takes away.

use serde_json::json;

use crate::{
    browser::{Browser, Setup},
    proxy::Proxy,
    world::world,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_lives_below_the_prefix_of_a_proxy_and_sends_a_song_once() {
    let world = world();
    let proxy = Proxy::start("/apps/music", world.server.address, |_, _| None).await;
    let browser = Browser::open(&world.driver, &proxy.origin(), &Setup::default()).await;
    browser.choose(&[world.track("disco")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    // What has no prefix was not found, and would stand in the console.
    let beside = "performance.getEntriesByType('resource').map(({ name }) => new URL(name)).filter(({ protocol, pathname }) => protocol !== 'blob:' && !pathname.startsWith('/apps/music/')).map(String)";
    assert_eq!(browser.value(beside).await, json!([]));
    let upload = "/v1/predict?models=svm,vgg19&include=log_mel,waveform&encoding=base64";
    assert_eq!(proxy.uploads(), [upload], "both models, waveform and spectrogram, with one upload");

    browser.click("explain").await;
    browser.until("the map is drawn", "by('grad-cam').checkVisibility()").await;
    browser.until("the brand leads to the page", "document.querySelector('.brand').href === location.href").await;
    browser.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_of_the_api_lives_below_the_prefix_too() {
    let world = world();
    let proxy = Proxy::start("/apps/music", world.server.address, |_, _| None).await;
    let browser = Browser::open(&world.driver, &proxy.origin(), &Setup::default()).await;
    let link = browser.text("[...document.links].at(-1).href").await;
    assert_eq!(link, format!("{}docs/", proxy.origin()));
    // Without the slash a redirection leads there, as relative as everything else.
    browser.goto(link.trim_end_matches('/')).await;
    browser.until("the routes are shown", "document.querySelectorAll('.opblock').length > 5").await;
    assert_eq!(browser.text("location.href").await, link);
    // A request of that page reaches the server.
    for (what, button) in [
        ("the route is opened", "#operations-service-alive .opblock-summary-control"),
        ("it can be tried", "#operations-service-alive .try-out__btn"),
        ("a request is sent", "#operations-service-alive .execute"),
    ] {
        browser
            .until(what, &format!("(document.querySelector('{button}')?.click(), document.querySelector('{button}'))"))
            .await;
    }
    let response = "document.querySelector('#operations-service-alive .live-responses-table')?.textContent";
    browser.until("there is a response", &format!("{response}?.includes('alive')")).await;
    let address =
        browser.text("document.querySelector('#operations-service-alive .request-url pre').textContent").await;
    assert_eq!(address, format!("{}healthz", proxy.origin()));
    assert_eq!(browser.console(), Vec::<String>::new());
}
