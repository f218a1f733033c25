//! Before the first track: what the models are worth, and examples for those who have no file at hand. And a phone.

use serde_json::json;

use crate::{
    browser::{Browser, Setup},
    reach::is_accessible,
    world::{World, world},
};

fn origin(world: &World) -> String {
    format!("http://{}/", world.server.address)
}

#[tokio::test]
async fn the_models_are_described_before_the_first_track() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    browser.until("they are described", "by('accuracy-svm')?.checkVisibility()").await;
    let listed = "fetch('v1/models').then((response) => response.json()).then(({ models }) => models)";
    let models = browser.value(listed).await;
    for model in models.as_array().expect("a list") {
        let name = model["name"].as_str().expect("a name");
        let accuracy = model["evaluated"]["accuracy"].as_f64().expect("a number");
        let words = browser.text(&format!("by('accuracy-{name}').textContent")).await;
        assert!(words.starts_with(&format!("Accuracy {accuracy:.3} (")), "{words}, not {accuracy}");
        let labels =
            format!("[...by('labels-of-{name}').children].map(({{ textContent }}) => textContent.replace('-', ''))");
        assert_eq!(browser.value(&labels).await, model["labels"]);
    }
    // They are synthetic here, which is said before anything is predicted.
    assert_eq!(browser.value("by('synthetic').checkVisibility()").await, true);
    is_accessible(&browser).await;
    browser.screenshot("empty").await;
    browser.value("by('models-svm').click()").await;
    browser.until("one is described", "by('about-svm') && !by('about-vgg19')").await;
    browser.is_clean().await;
}

#[tokio::test]
async fn an_example_is_made_and_says_that_it_is_synthetic() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    let kinds = browser.value("import('./page/examples.js').then(({ kinds }) => kinds)").await;
    let kinds: Vec<&str> = kinds.as_array().expect("a list").iter().filter_map(|kind| kind.as_str()).collect();
    assert_eq!(kinds.len(), 3);
    // The same bytes each time, of which none is silence or the same as another.
    let digest = |kind: &str| {
        format!(
            "import('./page/examples.js').then(({{ example }}) => example('{kind}', 'x.wav').arrayBuffer()).then((bytes) => {{
                let sum = 0;
                for (const word of new Uint32Array(bytes)) sum = (Math.imul(sum, 31) + word) >>> 0;
                return sum;
            }})"
        )
    };
    let mut digests = Vec::new();
    for kind in &kinds {
        let first = browser.number(&digest(kind)).await;
        assert_eq!(browser.number(&digest(kind)).await.to_bits(), first.to_bits(), "{kind}");
        digests.push(first.to_bits());
    }
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), kinds.len());

    browser.value(&format!("by('example-{}').focus()", kinds[0])).await;
    browser.press(" ").await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(browser.text("by('track-title').textContent").await, "Example, Dance beat.wav");
    assert_eq!(browser.focused().await, "track-title", "its button is gone");
    assert!(browser.text("by('example-note').textContent").await.starts_with("This is a synthetic example"));
    assert!(browser.colours("log-mel").await > 100, "it is not silence");
    is_accessible(&browser).await;
    browser.screenshot("example").await;

    // A track of one's own has no such note.
    browser.choose(&[world.track("rock")]).await;
    browser.until("the other track is open", "by('track-title').textContent.includes('rock')").await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(browser.value("by('example-note').checkVisibility()").await, false);
    browser.is_clean().await;
}

#[tokio::test]
async fn on_a_phone_the_answer_is_in_sight_after_a_file_was_chosen() {
    let world = world();
    for (is_dark, name) in [(false, "phone-answer"), (true, "phone-answer-dark")] {
        let setup = Setup { width: 360, height: 740, is_dark, ..Setup::default() };
        let browser = Browser::open(&world.driver, &origin(&world), &setup).await;
        browser.until("the models are described", "by('accuracy-svm')?.checkVisibility()").await;
        is_accessible(&browser).await;
        // From wherever the page was scrolled to.
        browser.value("scrollTo(0, document.body.scrollHeight)").await;
        browser.choose(&[world.track("jazz")]).await;
        browser.until_predicted(&["svm", "vgg19"]).await;
        for id in ["track-title", "summary", "player", "genre-svm"] {
            browser.until_in_sight(&format!("{id} is in sight"), &format!("by('{id}')")).await;
        }
        let turntable =
            "(({ width, height }) => [width, height])(document.getElementById('turntable').getBoundingClientRect())";
        let size = browser.value(turntable).await;
        assert!(size[0].as_f64() < Some(120.0) && size[1].as_f64() > Some(40.0), "{size}");
        browser.window(name).await;
        browser.fits("a track").await;
        is_accessible(&browser).await;
        assert_eq!(browser.value("document.querySelectorAll('[data-testid=row]').length").await, json!(1));
        browser.is_clean().await;
    }
}
