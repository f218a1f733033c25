//! What outlasts a reload of the page: the results, and not the audio.

use serde_json::json;

use crate::{
    browser::{Browser, Setup},
    proxy::Proxy,
    reach::is_accessible,
    world::world,
};

const DONE: &str = "document.querySelectorAll('[data-testid=row][data-state=done]').length";

#[tokio::test(flavor = "multi_thread")]
async fn results_outlast_a_reload_and_the_file_brings_back_the_rest() {
    let world = world();
    let proxy = Proxy::start("", world.server.address, |_, _| None).await;
    let browser = Browser::open(&world.driver, &proxy.origin(), &Setup::default()).await;
    let tracks = [world.track("jazz"), world.file("notes.txt", b"not audio"), world.track("rock")];
    browser.choose(&tracks).await;
    browser.until("two are done", &format!("{DONE} === 2 && by('cancel').disabled")).await;
    browser.value("by('models-svm').click()").await;
    browser.value("document.querySelector('[data-testid=row] button').click()").await;
    browser.until_predicted(&["svm"]).await;
    let shown = "[by('track-title').textContent, by('bars-svm').textContent, by('track-about').textContent, by('timeline-svm').getAttribute('aria-label'), by('table').innerText]";
    browser.until("the timeline is drawn", "by('timeline-svm').getAttribute('aria-label')").await;
    let before = browser.value(shown).await;
    let uploads = proxy.uploads().len();

    browser.reload().await;
    browser.until("the results are there", &format!("{DONE} === 2 && by('prediction-svm')?.dataset.state === 'done' && by('timeline-svm')?.getAttribute('aria-label')")).await;
    assert_eq!(browser.value(shown).await, before);
    assert_eq!(browser.value("Boolean(by('prediction-vgg19'))").await, json!(false), "the choice of models too");
    browser.until("the audio is missed", "by('problem')?.dataset.slug === 'not-kept'").await;
    assert_eq!(browser.value("by('player').checkVisibility() || by('unplayable').checkVisibility() || by('play').checkVisibility() || Boolean(by('retry'))").await, json!(false));
    is_accessible(&browser).await;
    browser.screenshot("reloaded").await;
    let stored = browser.text("sessionStorage.getItem('tonearm-tracks')").await;
    assert!(stored.len() < 200_000, "{} letters: that is more than results", stored.len());
    assert_eq!(proxy.uploads().len(), uploads, "there is nothing to send");

    // The same file is the same track, with its waveform and its sound; nothing is predicted anew.
    browser.choose(&tracks[..1]).await;
    browser.until_predicted(&["svm"]).await;
    browser.until("it can be played", "by('player').checkVisibility()").await;
    assert_eq!(browser.number("document.querySelectorAll('[data-testid=row]').length").await, 3.0);
    assert!(proxy.uploads()[uploads..].iter().all(|path| path.starts_with("/features")), "{:?}", proxy.uploads());

    // Another one is another track; an empty list stays empty.
    browser.choose(&[world.track("pop")]).await;
    browser.until("it is added", "document.querySelectorAll('[data-testid=row]').length === 4").await;
    browser.click("clear").await;
    browser.reload().await;
    browser.until("the models are described", "by('accuracy-svm')?.checkVisibility()").await;
    assert_eq!(browser.number("document.querySelectorAll('[data-testid=row]').length").await, 0.0);
}

#[tokio::test]
async fn what_was_under_way_says_so_after_a_reload() {
    let world = world();
    let browser = Browser::open(&world.driver, &format!("http://{}/", world.server.address), &Setup::default()).await;
    browser.limit_uploads(Some(60_000));
    browser.choose(&[world.track("disco")]).await;
    browser.until("it is under way", "by('prediction-svm')?.dataset.state === 'running'").await;
    browser.reload().await;
    browser.until("the page says so", "by('track-problem').checkVisibility()").await;
    let text = browser.text("by('track-problem').textContent").await;
    assert!(text.contains("The page was reloaded, and the audio was not kept. Choose the file again."), "{text}");
    is_accessible(&browser).await;
}

#[tokio::test]
async fn results_that_are_too_many_are_named() {
    let world = world();
    let browser = Browser::open(&world.driver, &format!("http://{}/", world.server.address), &Setup::default()).await;
    browser.choose(&[world.track("disco")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    // All that the browser stores for the page is taken, but for some 1,000 letters.
    let fill = "(() => {
        for (let size = 1 << 22; size > 0; size >>= 1) {
            try {
                for (let at = 0; ; at += 1) sessionStorage.setItem(`${size}-${at}`, 'x'.repeat(size));
            } catch {
                continue;
            }
        }
        sessionStorage.removeItem('1024-0');
        return true;
    })()";
    browser.value(fill).await;
    browser.reload().await;
    browser.until("it is said", "by('lost').checkVisibility()").await;
    let text = browser.text("by('lost').textContent").await;
    assert_eq!(text, "The results took too much space to be kept when the page was reloaded.");
    is_accessible(&browser).await;
    browser.choose(&[world.track("rock")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
}
