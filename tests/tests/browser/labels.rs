//! Models of any labels and any name: 2, 26 and 1,000 labels, odd names, what a model was trained on.

use std::os::unix::fs::symlink;

use axum::{Json, response::IntoResponse as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Server, relabelled};

use crate::{
    browser::{Browser, Setup},
    many::fields,
    proxy::Proxy,
    reach::is_accessible,
    world::{World, world},
};

/// Names to be careful with.
const ODD: [&str; 6] = ["演歌", "<b>rock & \"roll\"</b>", "موسيقى شعبية", "=1+1, a formula", "constructor", "1980"];

/// So many labels, odd ones first, the last of 200 letters.
fn labels(k: usize) -> Vec<String> {
    let plain = |i| if i == k - 1 && k > ODD.len() { "ö".repeat(200) } else { format!("label {i:03}") };
    (0..k).map(|i| ODD.get(i).map_or_else(|| plain(i), ToString::to_string)).collect()
}

/// `serve all` with an SVM of `k` labels, and the network of ten genres.
fn server(world: &World, k: usize) -> (Server, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let labels = labels(k);
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    relabelled(&world.artifacts.join("svm"), &labels, folder.path());
    symlink(world.artifacts.join("vgg19"), folder.path().join("vgg19")).expect("a link");
    (Server::start("all", folder.path()), folder)
}

/// The labels that have a bar.
const BARS: &str = "[...by('bars-svm').children].map(({ dataset }) => dataset.genre)";

#[tokio::test]
async fn two_labels_are_all_shown() {
    let world = world();
    let (server, _folder) = server(&world, 2);
    let browser = Browser::open(&world.driver, &format!("http://{}/", server.address), &Setup::default()).await;
    browser.choose(&[world.track("disco")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(browser.number(&format!("{BARS}.length")).await, 2.0);
    assert_eq!(browser.value("Boolean(by('more-svm') ?? by('search-svm'))").await, false);
    assert_eq!(browser.value("by('legend-svm').checkVisibility()").await, false);
    // A name is text, never markup.
    assert!(browser.text("by('bars-svm').textContent").await.contains("<b>rock & \"roll\"</b>"));
    assert_eq!(browser.value("document.querySelector('article b')").await, json!(null));
    assert!(browser.text("by('provenance-svm').textContent").await.contains(" · 2 labels"));
    assert!(browser.text("by('provenance-vgg19').textContent").await.contains(" · 10 labels"));
    browser.screenshot("labels-2").await;
    is_accessible(&browser).await;
    browser.is_clean().await;
}

#[tokio::test]
async fn of_many_labels_the_most_probable_are_shown_first() {
    let world = world();
    let (server, _folder) = server(&world, 26);
    let origin = format!("http://{}/", server.address);
    let browser = Browser::open(&world.driver, &origin, &Setup::default()).await;
    browser.choose(&[world.track("disco")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    let response = {
        let (content_type, form) =
            tests::multipart("audio_file", "track.wav", &std::fs::read(world.track("disco")).expect("a track"));
        tests::request(server.address, "POST", "/predict", Some(&content_type), &form).expect("a response").json()
    };
    let probabilities = response["probabilities"].as_object().expect("an object");
    let mut ranked: Vec<(&str, f64)> =
        probabilities.iter().map(|(label, share)| (label.as_str(), share.as_f64().expect("a number"))).collect();
    ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    assert_eq!(browser.text("by('genre-svm').dataset.genre").await, response["predicted_genre"]);
    let shown = browser.value(BARS).await;
    assert_eq!(shown.as_array().expect("a list").len(), 10);
    assert!(
        shown
            .as_array()
            .expect("a list")
            .iter()
            .all(|label| { label.as_str().is_some_and(|label| probabilities[label].as_f64() >= Some(ranked[9].1)) })
    );
    // Every label of both models has a colour of its own.
    let colours = "import('/page/palette.js').then(({ colourOf }) => new Set(Array.from({ length: 36 }, (_, at) => colourOf(at))).size)";
    assert_eq!(browser.number(colours).await, 36.0);
    assert_eq!(browser.number("by('legend-svm').children.length").await, 11.0);
    assert!(browser.colours("timeline-svm").await > 5);
    browser.screenshot("labels-26").await;

    // The others, by mouse and by keyboard.
    assert_eq!(browser.text("by('more-svm').textContent").await, "and 16 more");
    browser.click("more-svm").await;
    assert_eq!(browser.number(&format!("{BARS}.length")).await, 26.0);
    assert_eq!(browser.text("by('more-svm').getAttribute('aria-expanded')").await, "true");
    assert_eq!(browser.focused().await, "more-svm");
    browser.press(" ").await;
    assert_eq!(browser.number(&format!("{BARS}.length")).await, 10.0);
    browser.value("by('search-svm').focus()").await;
    browser.press("LABEL 00").await;
    assert_eq!(browser.value(&format!("{BARS}.every((label) => label.startsWith('label 00'))")).await, true);
    assert_eq!(browser.text("by('found-svm').textContent").await, "4 of 26 labels");
    browser.value("by('search-svm').select()").await;
    browser.press("nothing of the kind").await;
    assert_eq!(browser.text("by('found-svm').textContent").await, "No label contains “nothing of the kind”.");
    browser.value("by('search-svm').select()").await;
    browser.press("\u{E003}").await; // backspace
    assert_eq!(browser.number(&format!("{BARS}.length")).await, 10.0);
    browser.click("legend-more-svm").await;
    browser.until("every label is in the legend", "by('legend-svm').children.length === 26").await;
    is_accessible(&browser).await;

    the_table_has_any_labels(&browser, &world, &response["predicted_genre"]).await;
    browser.is_alone().await;

    let setup = Setup { width: 360, height: 740, ..Setup::default() };
    let phone = Browser::open(&world.driver, &origin, &setup).await;
    phone.choose(&[world.track("disco"), world.track("jazz")]).await;
    phone.until("all are done", "by('progress').value === 4 && by('progress').max === 4").await;
    phone.fits("many labels in the table").await;
    phone.value("document.querySelector('[data-testid=row] button').click()").await;
    phone.until_predicted(&["svm", "vgg19"]).await;
    phone.click("more-svm").await;
    phone.fits("many labels of a track").await;
}

async fn the_table_has_any_labels(browser: &Browser, world: &World, predicted: &serde_json::Value) {
    browser.choose(&[world.track("disco"), world.track("jazz")]).await;
    browser.until("all are done", "document.querySelectorAll('[data-testid=row][data-state=done]').length === 3").await;
    browser.click("csv").await;
    let csv = browser.downloaded("labels.csv").await;
    let first = fields(csv.split("\r\n").nth(1).expect("a line"));
    // A spreadsheet must not take a label for a formula.
    assert_eq!(Some(first[2].trim_start_matches('\'')), predicted.as_str());
}

/// A server with other models: `dances` of 26 labels, trained on synthetic audio, and `everything` of 1,000, a network.
fn other_models() -> Value {
    let model = |name: &str, kind: &str, labels: Vec<String>, synthetic: bool| {
        json!({
            "name": name, "kind": kind, "version": "0123456789ab", "labels": labels, "ready": true,
            "trained_on": { "description": "a test", "clips": 640, "synthetic": synthetic },
            "evaluated": { "split": "fault-filtered:valid", "accuracy": 0.7512, "ci95": [0.655, 0.8371], "n": 197 },
            "warning": null, "predict": format!("/v1/models/{name}/predict"),
        })
    };
    json!([model("everything", "vgg19", labels(1000), false), model("dances", "svm", labels(26), true)])
}

/// What such a model says of any track.
fn prediction_of(model: &Value) -> Value {
    let labels: Vec<&str> = model["labels"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let share = |at: usize| 1.0 / (at + 1) as f64;
    let sum: f64 = (0..labels.len()).map(share).sum();
    let shares = |turn: usize| {
        let of = |(at, label): (usize, &&str)| ((*label).to_owned(), json!(share((at + turn) % labels.len()) / sum));
        Value::Object(labels.iter().enumerate().map(of).collect())
    };
    let segment = |at: usize| json!({ "start_seconds": at, "end_seconds": at + 1, "predicted_genre": labels[0], "probabilities": shares(at % 3) });
    let is_novel = model["name"] == "everything";
    json!({
        "predicted_genre": labels[0], "probabilities": shares(0), "segments": (0..30).map(segment).collect::<Vec<_>>(),
        "features_digest": "abc", "labels_90": labels[..2],
        "novelty": { "p_value": 0.5, "threshold": 0.02, "out_of_distribution": is_novel, "signal": "speech-like", "note": "a note" },
        "model": { "name": model["name"], "version": model["version"], "fingerprint": "def" },
        "audio": { "container": "wav", "codec": "pcm_s16le", "sample_rate": 22050, "channels": 1, "seconds": 30 },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn models_by_name_are_chosen_and_say_where_they_come_from() {
    let world = world();
    let models = other_models();
    let features = {
        let path = "/features?include=log_mel,waveform&encoding=base64";
        world.post(path, &world.track("disco")).json()
    };
    let proxy = Proxy::start("", world.server.address, move |_, path| {
        if path == "/v1/models" {
            return Some(Json(json!({ "models": models })).into_response());
        }
        let asked = path.strip_prefix("/v1/predict?models=")?.split('&').next()?.to_owned();
        let of = |name: &str| {
            let model = models.as_array()?.iter().find(|model| model["name"] == name)?;
            Some((name.to_owned(), json!({ "answer": prediction_of(model) })))
        };
        let predictions: serde_json::Map<_, _> = asked.split(',').filter_map(of).collect();
        Some(Json(json!({ "predictions": predictions, "features": { "answer": features } })).into_response())
    })
    .await;
    let browser = Browser::open(&world.driver, &proxy.origin(), &Setup::default()).await;
    browser.until("the models are listed", "by('models-dances')?.checkVisibility()").await;
    // Before the first track: how good the models are, and what they know.
    browser.until("they are described", "by('accuracy-dances')?.checkVisibility()").await;
    let sentence = "Accuracy 0.751 (0.655 to 0.837) on fault-filtered:valid";
    assert_eq!(browser.text("by('accuracy-everything').textContent").await, sentence);
    assert_eq!(browser.number("by('labels-of-everything').children.length").await, 10.0);
    browser.click("labels-more-of-everything").await;
    assert_eq!(browser.number("by('labels-of-everything').children.length").await, 1000.0);
    is_accessible(&browser).await;
    browser.screenshot("models-by-name-empty").await;

    browser.choose(&[world.track("disco")]).await;
    browser.until_predicted(&["dances", "everything"]).await;
    says_label(&browser).await;
    assert_eq!(browser.value("by('models-both').checkVisibility()").await, false);
    assert_eq!(
        browser.text("by('provenance-dances').textContent").await,
        "dances 0123456789ab · trained on 640 clips of synthetic audio (a test) · 26 labels · accuracy 0.751 (0.655 to 0.837) on fault-filtered:valid"
    );
    assert_eq!(
        browser.text("by('provenance-everything').textContent").await,
        "everything 0123456789ab · trained on 640 clips (a test) · 1,000 labels · accuracy 0.751 (0.655 to 0.837) on fault-filtered:valid"
    );
    assert_eq!(browser.text("by('synthetic').getAttribute('role')").await, "alert");
    let warning = "dances was trained on synthetic audio. What it predicts of real music means nothing.";
    assert_eq!(browser.text("by('synthetic').textContent").await, warning);
    assert_eq!(
        browser.text("by('summary').textContent").await,
        "Both models predict 演歌. This does not resemble what was used to train everything."
    );
    let likely = browser.text("by('likely-dances').textContent").await;
    assert!(likely.starts_with("Most likely 演歌 or "), "{likely}");
    assert_eq!(browser.value("Boolean(by('novelty-dances') || by('likely-everything'))").await, false);
    assert_eq!(
        browser.text("by('novelty-everything').textContent").await,
        "This does not resemble the audio that the model was trained on. It sounds like speech."
    );
    browser.screenshot("models-by-name").await;

    browser.click("more-everything").await;
    assert_eq!(browser.number("by('bars-everything').children.length").await, 1000.0);
    assert_eq!(browser.number("by('explain-genre').options.length").await, 1000.0);
    is_accessible(&browser).await;
    browser.click("language-fr").await;
    let french = browser.text("by('provenance-dances').textContent").await;
    assert!(french.contains("extraits d’audio synthétique") && french.contains("exactitude 0,751"), "{french}");
    assert!(browser.text("by('synthetic').textContent").await.starts_with("dances a été entraîné sur de l’audio"));
    assert_eq!(browser.text("by('more-dances').textContent").await, "et 16 de plus");
    browser.click("language-en").await;

    // Without the model its warning is gone; the last one stays.
    browser.value("by('models-dances').click()").await;
    browser.until("one model is left", "!by('prediction-dances') && !by('synthetic').checkVisibility()").await;
    browser.value("by('models-everything').click()").await;
    assert_eq!(browser.value("by('models-everything').checked").await, true);
    assert_eq!(browser.text("by('announcer').textContent").await, "At least one model stays selected.");
    browser.is_clean().await;
}

/// Nothing is called a genre where the labels may be anything, in either language.
async fn says_label(browser: &Browser) {
    let hidden = "document.getElementById('explain-more').textContent";
    let names = "[...document.querySelectorAll('[aria-label]')].map((element) => element.getAttribute('aria-label'))";
    let said =
        format!("[document.title, document.body.innerText, {hidden}, ...{names}].join(' ').match(/.*genre.*/gi)");
    for language in ["fr", "en"] {
        browser.click(&format!("language-{language}")).await;
        let changed = format!("document.documentElement.lang === '{language}'");
        browser.until("it speaks of labels", &format!("{changed} && !({said})")).await;
    }
}

#[tokio::test]
async fn every_colour_stands_out_from_the_page() {
    let world = world();
    let browser = Browser::open(&world.driver, &format!("http://{}/", world.server.address), &Setup::default()).await;
    let least = "import('/page/palette.js').then(({ colourOf, luminance }) => Math.min(...[[false, '#fffcf5'], [true, '#1f1a14']].flatMap(([dark, ground]) =>
        Array.from({ length: 1000 }, (_, at) => {
            const [a, b] = [luminance(colourOf(at, dark)), luminance(ground)];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        }))))";
    let least = browser.number(least).await;
    assert!(least >= 3.0, "{least}");
    let different = "import('/page/palette.js').then(({ colourOf }) => new Set(Array.from({ length: 200 }, (_, at) => colourOf(at, false))).size)";
    assert!(browser.number(different).await >= 199.0);
}
