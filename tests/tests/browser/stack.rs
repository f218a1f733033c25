//! The page of a stack: of the running one that `TONEARM_WEB_URL` names, or of one that is started here.

use std::{path::PathBuf, sync::Arc};

use tests::{Service, Stack, small};

use crate::{
    browser::{Browser, Setup},
    driver::Driver,
    world::{World, world},
};

/// A stack and what it needs; dropped in this order.
struct Target {
    driver: Arc<Driver>,
    origin: String,
    track: PathBuf,
    _stack: Option<Stack>,
    _world: Option<Arc<World>>,
}

impl Target {
    /// The stack that runs already, if one is named. Nothing is trained for it.
    fn running() -> Option<Self> {
        let web = Service::named_by("TONEARM_WEB_URL")?;
        Some(Self {
            driver: Arc::new(Driver::start()),
            origin: format!("{}/", web.url()),
            track: small::track(&small::shared(), "disco"),
            _stack: None,
            _world: None,
        })
    }

    fn own() -> Self {
        let world = world();
        let stack = Stack::start(&world.artifacts);
        Self {
            driver: Arc::clone(&world.driver),
            origin: format!("http://{}/", stack.web.address),
            track: world.track("disco"),
            _stack: Some(stack),
            _world: Some(world),
        }
    }
}

#[tokio::test]
async fn a_track_passes_through_the_whole_stack() {
    let target = Target::running().unwrap_or_else(Target::own);
    let browser = Browser::open(&target.driver, &target.origin, &Setup::default()).await;
    for model in ["svm", "vgg19"] {
        browser.until("both models are ready", &format!("by('status-{model}').dataset.state === 'ready'")).await;
    }
    browser.choose(std::slice::from_ref(&target.track)).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    for model in ["svm", "vgg19"] {
        let genre = browser.text(&format!("by('genre-{model}').dataset.genre")).await;
        assert!(data::gtzan::Genre::ALL.iter().any(|known| known.name() == genre), "{model}: {genre}");
        assert!(browser.colours(&format!("timeline-{model}")).await > 3, "{model}");
        let label = browser.text(&format!("by('timeline-{model}').getAttribute('aria-label')")).await;
        assert!(label.contains("0:00 to "), "{model}: {label}");
    }
    assert_eq!(browser.text("by('track-about').textContent").await, "WAV · 22.05 kHz · mono · 0:30");
    assert!(browser.colours("waveform").await > 3 && browser.colours("log-mel").await > 100);
    browser.screenshot("stack").await;
    browser.is_clean().await;
}
