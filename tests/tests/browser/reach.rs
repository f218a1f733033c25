//! Accessibility: keyboard, French, small screens, dark mode.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::LazyLock};

use crate::{
    browser::{Browser, Setup},
    world::{World, world},
};

fn origin(world: &World) -> String {
    format!("http://{}/", world.server.address)
}

/// axe-core, from the environment of Python that `TONEARM_AXE` names (`PIP_NO_DEPS=1 tests/python axe` makes it); `None`, said on
/// stderr, where it is absent.
static AXE: LazyLock<Option<String>> = LazyLock::new(|| {
    let Some(environment) = std::env::var_os("TONEARM_AXE").map(PathBuf::from) else {
        eprintln!("skipped: the rules of axe-core (TONEARM_AXE is not set)");
        return None;
    };
    let mut libraries = fs::read_dir(environment.join("lib")).expect("a folder").flatten();
    let found = libraries.find_map(|library| {
        fs::read_to_string(library.path().join("site-packages/axe_playwright_python/axe.min.js")).ok()
    });
    Some(found.expect("the environment has axe-core"))
});

/// What a screen reader needs, and no rule of axe-core is broken.
pub(crate) async fn is_accessible(browser: &Browser) {
    if let Some(axe) = &*AXE {
        browser.run(axe).await;
        // To make a selector of each of a thousand labels takes half a minute.
        let broken = "axe.run({ resultTypes: ['violations'], selectors: false }).then(({ violations }) => violations.map(({ id, help, nodes }) => [id, help, nodes.map(({ html }) => html)]))";
        assert_eq!(browser.value(broken).await, serde_json::json!([]), "axe-core");
    }
    let nameless = "[...document.querySelectorAll('button, input, select, canvas, audio, progress, [role=meter]')]
        .filter((element) => element.checkVisibility() && !element.closest('.unseen'))
        .filter((element) => !(element.getAttribute('aria-label') || element.textContent.trim() || element.labels?.length))
        .map((element) => element.outerHTML)";
    assert_eq!(browser.value(nameless).await, serde_json::json!([]), "without a name");
    let repeated = "(() => { const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
        return ids.filter((id, index) => ids.indexOf(id) !== index); })()";
    assert_eq!(browser.value(repeated).await, serde_json::json!([]), "ids that are not unique");
    assert_eq!(
        browser.value("[...document.querySelectorAll('h1')].filter((each) => each.checkVisibility()).length").await,
        1
    );
    // Targets of at least 24 by 24 CSS pixels, but for links in a line of text.
    let small = "[...document.querySelectorAll('button, select, input')].filter((element) => element.checkVisibility() && !element.closest('.unseen'))
        .map((element) => [element, (element.closest('label') ?? element).getBoundingClientRect()])
        .filter(([, { width, height }]) => width < 24 || height < 16).map(([element]) => element.outerHTML)";
    assert_eq!(browser.value(small).await, serde_json::json!([]), "too small to hit");
    // The words of the page stand out 4.5 : 1 from their ground.
    let faint = "(() => {
        const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const light = (colour) => { const [r, g, b] = parts(colour).map((part) => { const share = part / 255; return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = (element) => { for (let each = element; each; each = each.parentElement) { const { backgroundColor } = getComputedStyle(each); if ((parts(backgroundColor)[3] ?? 1) === 1 && backgroundColor.startsWith('rgb')) return backgroundColor; } return 'rgb(255, 255, 255)'; };
        return [...document.querySelectorAll('body *')].filter((element) => element.checkVisibility() && !element.closest('.unseen, svg, :disabled')
            && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
            .map((element) => { const [a, b] = [light(getComputedStyle(element).color), light(ground(element))]; return [element.textContent.trim().slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; })
            .filter(([, contrast]) => contrast < 4.5);
    })()";
    assert_eq!(browser.value(faint).await, serde_json::json!([]), "too faint to read");
}

#[tokio::test]
async fn the_keyboard_reaches_everything() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    browser.choose(&[world.track("hiphop")]).await; // what the button opens is the browser's own dialogue
    browser.until_predicted(&["svm", "vgg19"]).await;
    is_accessible(&browser).await;

    browser.value("(document.activeElement.blur(), scrollTo(0, 0))").await;
    let mut reached = BTreeSet::new();
    for _ in 0..60 {
        browser.press("\u{E004}").await; // tab
        let visible = "getComputedStyle(document.activeElement).outlineStyle !== 'none'
            || getComputedStyle(document.activeElement.nextElementSibling ?? document.body).outlineStyle !== 'none'";
        let here = browser.focused().await;
        if here == "body" {
            break;
        }
        if here != "player" {
            assert_eq!(browser.value(visible).await, true, "the focus on {here} is not visible");
        }
        match here.as_str() {
            "explain" => {
                browser.press(" ").await;
                browser.until("the map is drawn", "by('grad-cam').checkVisibility()").await;
            }
            "scrub" => {
                browser.press("\u{E010}").await; // end
                browser.until("it is at the end", "Number(by('now').dataset.seconds) > 29").await;
                browser.press("\u{E011}").await; // home
                browser.until("it is at the start", "Number(by('now').dataset.seconds) < 1").await;
            }
            "models-both" => {
                browser.press("\u{E014}").await; // arrow to the right
                browser.until("the SVM alone is shown", "!by('prediction-vgg19')").await;
                browser.press("\u{E012}").await; // arrow to the left
                browser.until("both are shown", "by('prediction-vgg19')").await;
            }
            _ => {}
        }
        if !reached.insert(here.clone()) && here == "language-en" {
            break; // round once
        }
    }
    for wanted in [
        "language-en",
        "language-fr",
        "theme",
        "choose",
        "record",
        "models-both",
        "play",
        "scrub",
        "explain",
        "explain-genre",
        "explain-opacity",
        "summary",
    ] {
        assert!(reached.contains(wanted), "{wanted} is not among {reached:?}");
    }
    browser.is_clean().await;
}

#[tokio::test]
async fn the_page_is_translated_to_french() {
    let world = world();
    let setup = Setup { language: "fr-FR", ..Setup::default() };
    let browser = Browser::open(&world.driver, &origin(&world), &setup).await;
    assert_eq!(browser.text("document.documentElement.lang").await, "fr");
    assert_eq!(browser.text("by('choose').textContent").await, "Choisir des fichiers");
    browser.choose(&[world.track("classical")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    let value = browser.text("by('bars-svm').querySelector('.value').textContent").await;
    assert!(value.contains(',') && value.ends_with("\u{a0}%") || value.ends_with("\u{202f}%"), "{value:?}");
    let names = browser.text("by('bars-svm').textContent").await;
    assert!(names.contains("classique") && !names.contains("classical"), "{names}");
    browser.click("explain").await;
    browser.until("the map is drawn", "by('grad-cam').checkVisibility()").await;
    browser.screenshot("french").await;
    is_accessible(&browser).await;

    // Nothing of the other language is left, in either, and the choice is stored.
    browser.click("language-en").await;
    browser.until("English is shown", "document.documentElement.lang === 'en'").await;
    let english = browser.text("document.querySelector('main').innerText").await;
    for word in ["Choisir", "Forme d’onde", "classique", "Expliquer le genre", "Modèles"] {
        assert!(!english.contains(word), "{word} in {english}");
    }
    browser.reload().await;
    assert_eq!(browser.text("document.documentElement.lang").await, "en");
    browser.click("language-fr").await;
    let untranslated = "[...document.querySelectorAll('[data-text]')].filter((element) => element.textContent === element.dataset.text).map(({ outerHTML }) => outerHTML)";
    assert_eq!(browser.value(untranslated).await, serde_json::json!([]));
    assert_eq!(browser.text("document.title").await, "Tonearm : classification de la musique par genre");
    browser.is_clean().await;
}

#[tokio::test]
async fn the_page_fits_a_phone() {
    let world = world();
    let setup = Setup { width: 360, height: 740, ..Setup::default() };
    let browser = Browser::open(&world.driver, &origin(&world), &setup).await;
    browser.fits("the empty page").await;
    browser.choose(&[world.track("jazz")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    browser.click("explain").await;
    browser.until("the map is drawn", "by('grad-cam').checkVisibility()").await;
    browser.fits("a track").await;
    browser.screenshot("phone").await;
    browser.click("language-fr").await;
    browser.fits("a track in French").await;
    let name = format!("{}.wav", "a_long_name_without_a_place_to_break_it".repeat(3));
    browser
        .choose(&[
            world.file("notes.txt", b"not audio"),
            world.file(&name, &std::fs::read(world.track("pop")).expect("a track")),
        ])
        .await;
    browser.until("all are done", "document.querySelectorAll('[data-testid=row]').length === 3 && by('progress').value === by('progress').max").await;
    browser.fits("many tracks").await;
    is_accessible(&browser).await;
    browser.screenshot("phone-many").await;
}

#[tokio::test]
async fn dark_mode_is_the_systems_choice_or_the_users() {
    let world = world();
    let setup = Setup { is_dark: true, ..Setup::default() };
    let browser = Browser::open(&world.driver, &origin(&world), &setup).await;
    let theme = "document.documentElement.dataset.theme";
    assert_eq!(browser.text(theme).await, "dark");
    browser.choose(&[world.track("rock")]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    is_accessible(&browser).await;
    browser.screenshot("dark").await;
    let image = "by('timeline-svm').toDataURL()";
    let dark = browser.text(image).await;
    browser.click("theme").await;
    assert_eq!(browser.text(theme).await, "light");
    browser.until("the plots follow", &format!("{image} !== '{dark}'")).await;
    browser.reload().await;
    assert_eq!(browser.text(theme).await, "light", "the choice is stored");
    browser.is_clean().await;
}
