//! The page of a stack: of the one that `TONEARM_WEB_URL` names, which runs already, or of one that is started here.

use std::{path::PathBuf, sync::Arc};

use tests::{Service, Stack, small};

use crate::{
    browser::{Browser, Setup},
    driver::Driver,
    world::{World, world},
};

/// What the page is of, and what keeps that alive; dropped in this order.
struct Place {
    driver: Arc<Driver>,
    origin: String,
    song: PathBuf,
    _stack: Option<Stack>,
    _world: Option<Arc<World>>,
}

impl Place {
    /// The stack that runs already, if one is named. Nothing is trained for it.
    fn running() -> Option<Self> {
        let web = Service::named_by("TONEARM_WEB_URL")?;
        Some(Self {
            driver: Arc::new(Driver::start()),
            origin: format!("{}/", web.url()),
            song: small::song(&small::shared(), "disco"),
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
            song: world.song("disco"),
            _stack: Some(stack),
            _world: Some(world),
        }
    }
}

#[tokio::test]
async fn a_song_goes_through_the_whole_stack() {
    let place = Place::running().unwrap_or_else(Place::own);
    let browser = Browser::open(&place.driver, &place.origin, &Setup::default()).await;
    for model in ["svm", "vgg19"] {
        browser.until("both models are ready", &format!("by('status-{model}').dataset.state === 'ready'")).await;
    }
    browser.choose(std::slice::from_ref(&place.song)).await;
    browser.until_heard(&["svm", "vgg19"]).await;
    for model in ["svm", "vgg19"] {
        let genre = browser.text(&format!("by('genre-{model}').dataset.genre")).await;
        assert!(data::Genre::ALL.iter().any(|known| known.name() == genre), "{model}: {genre}");
        assert!(browser.colours(&format!("timeline-{model}")).await > 3, "{model}");
        let label = browser.text(&format!("by('timeline-{model}').getAttribute('aria-label')")).await;
        assert!(label.contains("0:00 to "), "{model}: {label}");
    }
    assert_eq!(browser.text("by('song-about').textContent").await, "WAV · 22.05 kHz · mono · 0:30");
    assert!(browser.colours("waveform").await > 3 && browser.colours("log-mel").await > 100);
    browser.picture("stack").await;
    browser.is_clean().await;
}
