//! A server with API keys: the page prompts for one.

use tests::Server;

use crate::{
    browser::{Browser, Setup},
    reach::is_accessible,
    world::world,
};

const KEY: &str = "a-key-of-33-letters-and-no-secret";

#[tokio::test]
async fn a_key_is_prompted_for_where_one_is_required() {
    let world = world();
    let keys = world.file("keys", format!("{KEY}\n").as_bytes());
    let arguments =
        ["all", "--listen", "127.0.0.1:0", "--artifacts", ".", "--api-key-file", &keys.display().to_string()];
    let server = Server::start_with(&world.artifacts, &arguments);
    let browser = Browser::open(&world.driver, &format!("http://{}/", server.address), &Setup::default()).await;
    browser.until("a key is prompted for", "by('key-box').checkVisibility()").await;
    is_accessible(&browser).await;
    browser.choose(&[world.track("disco")]).await;
    browser.until("nothing is classified without", "by('problem')?.dataset.slug === 'unauthorized'").await;

    browser.value("by('key').focus()").await;
    browser.press("a-key-that-is-not-the-right-one\u{E007}").await; // enter
    browser.until("it is not the right one", "by('key-box').checkVisibility()").await;
    browser.value("by('key').select()").await;
    browser.press(&format!("{KEY}\u{E007}")).await;
    browser.until("the key is accepted", "!by('key-box').checkVisibility()").await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    browser.is_alone().await;
}
