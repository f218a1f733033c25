//! The page with models that were trained on datasets of every form: 2, 3, 26 and 300 labels.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tests::{
    Server,
    datasets::{self, trained, write_search},
    multipart, request,
};

use crate::{
    browser::{Browser, Setup},
    reach::is_accessible,
    world::world,
};

/// Trains an SVM on the dataset `data`, serves it, and predicts `track` on the page: what is shown is what the server answers.
async fn visit(at: &Path, data: &Path, track: PathBuf, n_labels: usize) {
    write_search(at);
    let data = data.to_str().expect("UTF-8");
    let report = trained(at, &["svm", "--data", data, "--search", "search.json"]);
    // The page is that of `serve all`, which has a network too.
    symlink(world().artifacts.join("vgg19"), at.join("artifacts/vgg19")).expect("a link");
    let server = Server::start("all", &at.join("artifacts"));
    let (content_type, form) = multipart("audio_file", "track.wav", &std::fs::read(&track).expect("a track"));
    let answer = request(server.address, "POST", "/predict", Some(&content_type), &form).expect("an answer").json();
    let probabilities = answer["probabilities"].as_object().expect("probabilities");
    assert_eq!(probabilities.len(), n_labels, "{report}");

    let origin = format!("http://{}/", server.address);
    let browser = Browser::open(&world().driver, &origin, &Setup::default()).await;
    browser.choose(&[track]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(browser.value("by('genre-svm').dataset.genre").await, answer["predicted_genre"]);
    let bars = "[...by('bars-svm').children].map(({ dataset }) => dataset.genre)";
    let shown = browser.value(bars).await;
    let shown: Vec<&str> = shown.as_array().expect("a list").iter().filter_map(|label| label.as_str()).collect();
    assert_eq!(shown.len(), n_labels.min(10));
    assert!(shown.iter().all(|label| probabilities.contains_key(*label)), "{shown:?}");
    let provenance = browser.text("by('provenance-svm').textContent").await;
    assert!(provenance.contains(&format!(" · {n_labels} labels · ")), "{provenance}");
    let accuracy = report["evaluation"]["accuracy"].as_f64().expect("a number");
    assert!(provenance.contains(&format!("accuracy {accuracy:.3} (")), "{provenance}, not {accuracy}");
    if n_labels > 10 {
        browser.click("more-svm").await;
        browser.until("every label has a bar", &format!("by('bars-svm').children.length === {n_labels}")).await;
    }
    is_accessible(&browser).await;
    browser.is_clean().await;
}

#[tokio::test]
async fn two_labels_in_nested_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = datasets::two(folder.path());
    let track = data.join("вальс/Artist вальс 0/Album 0/00.wav");
    visit(folder.path(), &data, track, 2).await;
}

#[tokio::test]
async fn three_labels_of_an_audio_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = datasets::three(folder.path());
    let track = data.join("test/R&B, slow/2-3-0.wav");
    visit(folder.path(), &data, track, 3).await;
}

#[tokio::test]
async fn twenty_six_labels_of_a_manifest() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = datasets::twenty_six(folder.path());
    let track = data.with_file_name("files/0/b00");
    visit(folder.path(), &data, track, 26).await;
}

#[tokio::test]
async fn three_hundred_labels_in_fmas_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = datasets::three_hundred(folder.path());
    let track = data.join("fma_small/001/001001.mp3");
    visit(folder.path(), &data, track, 300).await;
}
