//! The page where there is an ensemble: it comes first, and is asked unless the user chooses others.

use std::{fs, os::unix::fs::symlink};

use tests::{Server, train};

use crate::{
    browser::{Browser, Setup},
    reach::is_accessible,
    world::world,
};

#[tokio::test]
async fn the_ensemble_is_the_first_model_and_the_one_that_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (at, world) = (folder.path(), world());
    fs::create_dir(at.join("artifacts")).expect("a folder");
    for model in ["svm", "vgg19"] {
        symlink(world.artifacts.join(model), at.join("artifacts").join(model)).expect("a link");
    }
    train(at, &["ensemble"]);
    let server = Server::start("all", &at.join("artifacts"));
    let browser = Browser::open(&world.driver, &format!("http://{}/", server.address), &Setup::default()).await;
    browser
        .until("the ensemble is chosen", "by('models-ensemble')?.checkVisibility() && by('models-ensemble').checked")
        .await;
    let named =
        "[...by('models-named').querySelectorAll('input')].map(({ value, checked }) => `${value} ${checked}`).join()";
    assert_eq!(browser.text(named).await, "ensemble true,svm false,vgg19 false");

    let track = world.track("disco");
    browser.choose(std::slice::from_ref(&track)).await;
    browser.until_predicted(&["ensemble"]).await;
    assert_eq!(browser.value("document.getElementById('predictions').children.length").await, 1);
    let provenance = browser.text("by('provenance-ensemble').textContent").await;
    assert!(provenance.starts_with("ensemble ") && provenance.contains("joins SVM ("), "{provenance}");
    browser.screenshot("ensemble").await;
    is_accessible(&browser).await;

    // Its members can be asked beside it.
    browser.value("by('models-named').querySelector('[value=svm]').click()").await;
    browser.until_predicted(&["ensemble", "svm"]).await;
    browser.is_clean().await;
}
