//! One track: chosen or recorded, classified by both models, shown over time.

use std::fs;

use serde_json::Value;

use crate::{
    browser::{Browser, Setup},
    reach::is_accessible,
    world::{World, au, world},
};

fn origin(world: &World) -> String {
    format!("http://{}/", world.server.address)
}

/// How the page shows a probability.
fn percent(probability: &Value) -> String {
    format!("{:.1}%", 100.0 * probability.as_f64().expect("a number"))
}

#[tokio::test]
async fn a_track_is_classified_by_both_models_and_shown_over_time() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    let track = world.track("disco");
    browser.choose(std::slice::from_ref(&track)).await;
    browser.until_predicted(&["svm", "vgg19"]).await;

    // What the page shows is what the API returns.
    for (name, route) in [("svm", "/predict"), ("vgg19", "/vgg")] {
        let response = world.post(route, &track).json();
        let genre = response["predicted_genre"].as_str().expect("a genre");
        assert_eq!(browser.text(&format!("by('genre-{name}').dataset.genre")).await, genre);
        let probabilities = response["probabilities"].as_object().expect("an object");
        for (label, probability) in probabilities {
            let bar = format!("by('bars-{name}').querySelector('[data-genre=\"{label}\"] .value').textContent");
            assert_eq!(browser.text(&bar).await, percent(probability), "{name}: {label}");
        }
        let card = browser.text(&format!("by('prediction-{name}').textContent")).await;
        for part in [&response["model"]["version"], &response["features_digest"], &response["model"]["fingerprint"]] {
            assert!(card.contains(part.as_str().expect("a text")), "{name}: {part} is missing in {card}");
        }
        assert!(browser.colours(&format!("timeline-{name}")).await > 5, "{name}");
        let label = browser.text(&format!("by('timeline-{name}').getAttribute('aria-label')")).await;
        assert!(label.contains("0:00 to "), "{label}");
        let rows = format!(
            "[...by('segments').querySelectorAll('tbody tr')].filter((row) => row.cells[0].textContent === '{}').length",
            name.to_uppercase()
        );
        assert_eq!(browser.number(&rows).await, response["segments"].as_array().expect("a list").len() as f64);
    }
    assert_eq!(browser.text("by('track-about').textContent").await, "WAV · 22.05 kHz · mono · 0:30");
    assert!(browser.colours("waveform").await > 3);
    assert!(browser.colours("log-mel").await > 100);
    assert_eq!(
        browser.number("by('waveform').width").await,
        browser.number("by('waveform').clientWidth * devicePixelRatio").await
    );
    browser.screenshot("light").await;

    only_one_model_is_shown(&browser).await;
    the_timeline_follows(&browser).await;
    the_network_explains_its_prediction(&browser).await;
    browser.is_clean().await;
}

async fn only_one_model_is_shown(browser: &Browser) {
    for (chosen, other) in [("svm", "vgg19"), ("vgg19", "svm")] {
        browser.value(&format!("by('models-{chosen}').click()")).await;
        let shown = format!(
            "by('prediction-{chosen}') && !by('prediction-{other}') && !by('timeline-{other}')?.checkVisibility()"
        );
        browser.until("one model is shown", &shown).await;
    }
    browser.value("by('models-both').click()").await;
    browser.until_predicted(&["svm", "vgg19"]).await;
}

async fn the_timeline_follows(browser: &Browser) {
    let cursor = "new DOMMatrix(getComputedStyle(by('cursor')).transform).m41";
    let start = browser.number(cursor).await;
    browser.click("play").await;
    browser.until("the track plays", "Number(by('now').dataset.seconds) > 1").await;
    assert!(browser.number(cursor).await > start, "the cursor follows the track");
    assert_eq!(browser.value("document.querySelector('#turntable').classList.contains('turns')").await, true);
    browser.click("play").await;
    browser.until("the track is paused", "by('player').paused").await;

    // A click seeks; the arrow keys continue from there, and the text gives the position.
    browser.click_at("timeline-svm", (0.5, 0.5)).await;
    browser.until("the click is handled", "Math.abs(Number(by('now').dataset.seconds) - 14.2) < 1").await;
    let there = browser.number("by('player').currentTime").await;
    browser.value("by('scrub').focus()").await;
    browser.press("\u{E014}").await; // arrow to the right
    browser.until("the key is handled", &format!("Math.abs(by('player').currentTime - {there} - 1) < 0.05")).await;
    let words = browser.text("by('scrub').getAttribute('aria-valuetext')").await;
    assert!(words.contains("/ 0:30") && words.contains("SVM: ") && words.contains("VGG19: "), "{words}");
}

async fn the_network_explains_its_prediction(browser: &Browser) {
    browser.click("explain").await;
    browser.until("the map is drawn", "by('grad-cam').checkVisibility()").await;
    let genre = browser.text("by('genre-vgg19').textContent").await;
    let text = browser.text("by('explain-status').textContent").await;
    assert!(text.contains(&genre), "{text}");
    assert!(browser.colours("grad-cam").await > 50, "the map is not blank");
    assert!(browser.value("by('explain-legend').checkVisibility()").await == true);
    browser.screenshot("grad-cam").await;
    is_accessible(browser).await;

    let image = browser.text("by('grad-cam').toDataURL()").await;
    let other = browser.text("[...by('explain-genre').options].at(-1).value").await;
    browser
        .value("(by('explain-genre').value = [...by('explain-genre').options].at(-1).value, by('explain-genre').dispatchEvent(new Event('change')))")
        .await;
    browser.until("another genre is explained", &format!("by('explain-status').textContent.includes('{other}')")).await;
    assert_ne!(browser.text("by('grad-cam').toDataURL()").await, image, "another genre has another map");

    browser.value("(by('explain-opacity').value = 30, by('explain-opacity').dispatchEvent(new Event('input')))").await;
    assert_eq!(browser.text("getComputedStyle(by('grad-cam')).opacity").await, "0.3");
    browser.click("explain").await;
    browser.until("the map is gone", "!by('grad-cam').checkVisibility()").await;
}

#[tokio::test]
async fn a_recording_is_classified() {
    let world = world();
    let setup = Setup { microphone: Some(world.track("metal")), ..Setup::default() };
    let browser = Browser::open(&world.driver, &origin(&world), &setup).await;
    browser.click("record").await;
    browser.until("sound comes in", "Number(by('record-level').getAttribute('aria-valuenow')) > -40").await;
    browser.until("some seconds are recorded", "by('record-elapsed').textContent >= '0:06'").await;
    assert_eq!(browser.focused().await, "record-stop");
    is_accessible(&browser).await;
    browser.click("record-stop").await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    let title = browser.text("by('track-title').textContent").await;
    assert!(title.starts_with("recording ") && title.ends_with(".wav"), "{title}");
    assert!(browser.text("by('track-about').textContent").await.starts_with("WAV · "));
    assert!(browser.colours("log-mel").await > 100, "it is not silence");
    assert_eq!(browser.value("by('recorder').hidden").await, true);

    browser.click("record").await;
    browser
        .until(
            "it records again",
            "by('record-elapsed').checkVisibility() && by('record-elapsed').textContent >= '0:01'",
        )
        .await;
    browser.click("record-discard").await;
    browser.until("it is discarded", "by('recorder').hidden && !by('record').disabled").await;
    assert_eq!(browser.text("by('track-title').textContent").await, title);
    browser.is_clean().await;
}

#[tokio::test]
async fn what_the_browser_cannot_play_is_still_shown() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    let track = world.file("old.au", &au(&fs::read(world.track("blues")).expect("a track")));
    browser.choose(&[track]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    browser.until("the page shows it", "by('unplayable').checkVisibility() && !by('player').checkVisibility()").await;
    assert!(browser.text("by('track-about').textContent").await.starts_with("AU · "));
    browser.click_at("log-mel", (0.5, 0.5)).await;
    browser.until("the cursor goes there", "Number(by('now').dataset.seconds) > 10").await;
    browser.is_clean().await;
}

#[tokio::test]
async fn a_file_that_is_not_audio_is_refused() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    browser.choose(&[world.file("notes.txt", b"This is text, not audio.\n")]).await;
    browser.until("the page shows it", "by('track-problem').checkVisibility()").await;
    let text = browser.text("by('track-problem').textContent").await;
    assert!(text.contains("notes.txt could not be analysed") && text.contains("This is not audio"), "{text}");
    assert_eq!(browser.text("by('problem').dataset.slug").await, "not-audio");
    assert_eq!(browser.text("by('track-problem').getAttribute('role')").await, "alert");
    assert_eq!(
        browser.value("by('analysis').checkVisibility() || Boolean(by('prediction-svm')?.checkVisibility())").await,
        false
    );
    browser.screenshot("error").await;
    is_accessible(&browser).await;

    // The page still works.
    browser.choose(&[world.track("pop")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(browser.value("by('track-problem').hidden").await, true);
    browser.is_alone().await;
}
