//! What the page says of a file itself: its tags, what is wrong with it, silence, and size; and what the browser's own recorder gives.

use std::fs;

use serde_json::{Value, json};
use tests::Server;

use crate::{
    browser::{Browser, Setup},
    many::fields,
    reach::is_accessible,
    world::{World, world},
};

fn origin(world: &World) -> String {
    format!("http://{}/", world.server.address)
}

/// A WAV file with these tags (RIFF INFO), each after its four letters.
fn tagged(wav: &[u8], tags: &[(&str, &str)]) -> Vec<u8> {
    let data = wav.windows(4).position(|window| window == b"data").expect("a chunk of samples");
    let chunk = |name: &str, content: &[u8]| {
        let size = (content.len() as u32).to_le_bytes();
        let padding = vec![0; content.len() % 2];
        [name.as_bytes(), &size, content, &padding].concat()
    };
    let info = tags.iter().flat_map(|(name, text)| chunk(name, text.as_bytes()));
    let list = chunk("LIST", &b"INFO".iter().copied().chain(info).collect::<Vec<u8>>());
    let size = (wav.len() - 8 + list.len()) as u32;
    [&wav[..4], &size.to_le_bytes(), &wav[8..data], &list, &wav[data..]].concat()
}

/// A track of 30 s of which the last 6 s are missing, with tags.
fn cut_short(world: &World) -> Vec<u8> {
    let tags = [("IART", "Nina <b>Simone</b>"), ("INAM", "Sinnerman"), ("IPRD", "Pastel Blues"), ("ICRD", "1965")];
    let whole = tagged(&fs::read(world.track("jazz")).expect("a track"), &tags);
    whole[..whole.len() - 6 * 22_050 * 2].to_vec()
}

#[tokio::test]
async fn tags_and_warnings_are_shown_in_both_languages() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    let cut = world.file("cut.wav", &cut_short(&world));
    browser.choose(std::slice::from_ref(&cut)).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(
        browser.text("by('track-tags').textContent").await,
        "Nina <b>Simone</b> – Sinnerman · Pastel Blues (1965)"
    );
    assert_eq!(browser.value("by('track-tags').querySelector('b')").await, Value::Null, "a tag is text, never markup");
    let warnings = "[...by('track-warnings').querySelectorAll('li')].map(({ textContent }) => textContent)";
    let english = "The file ends too early; what is there was used (at 0:24, 6\u{a0}s missing)";
    assert_eq!(browser.value(warnings).await, json!([english]));
    assert_eq!(browser.text("by('track-about').textContent").await, "WAV · 22.05 kHz · mono · 0:24");
    let detail = world.post("/predict", &cut).json()["audio"]["warnings"][0]["detail"].clone();
    let shown = browser.text("by('track-warnings').querySelector('details').textContent").await;
    assert!(detail.as_str().is_some_and(|detail| shown.contains(detail)), "{detail} is not in {shown}");
    is_accessible(&browser).await;
    browser.screenshot("warnings").await;

    browser.click("language-fr").await;
    let french = "Le fichier s’arrête trop tôt ; ce qui s’y trouve a été utilisé (à 0:24, il manque 6\u{a0}s)";
    browser.until("it is said in French", &format!("{warnings}[0] === '{french}'")).await;
    browser.click("language-en").await;

    // A sound file without tags has neither line.
    browser.choose(&[world.track("rock")]).await;
    browser.until("the other track is open", "by('track-title').textContent !== 'cut.wav'").await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(browser.value("[by('track-tags').hidden, by('track-warnings').hidden]").await, json!([true, true]));

    // The table has a sign with the words, and the CSV file what and where.
    let sign = "[...document.querySelectorAll('[data-testid=row]')].map((row) => row.querySelector('[data-testid=cell-warnings]')?.getAttribute('aria-label') ?? null)";
    browser
        .until("both are done", "document.querySelectorAll('[data-testid=row][data-state=done]').length === 2")
        .await;
    assert_eq!(browser.value(sign).await, json!([english, null]));
    is_accessible(&browser).await;
    browser.click("csv").await;
    let csv = browser.downloaded("genres.csv").await;
    let lines: Vec<_> = csv.trim_end().split("\r\n").map(fields).collect();
    let warnings: Vec<_> = lines.iter().map(|line| line.last().map(String::as_str)).collect();
    assert_eq!(warnings, [Some("warnings"), Some("truncated at 24 s, 6 s lost"), Some("")], "{csv}");
    browser.is_clean().await;
}

#[tokio::test]
async fn every_warning_and_every_problem_of_the_api_has_words() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    let kinds = "fetch('/openapi.json').then((response) => response.json()).then(({ components }) => components.schemas.AudioWarningKind.enum)";
    let kinds = browser.value(kinds).await;
    assert!(kinds.as_array().is_some_and(|kinds| kinds.len() >= 8), "{kinds}");
    let mut said = Vec::new();
    for language in ["en", "fr"] {
        browser.click(&format!("language-{language}")).await;
        let of = |place: &str| {
            let words = format!("({kinds}).concat('another').map((kind) => warningText({{ kind, {place} }}))");
            format!("import('/page/audio.js').then(({{ warningText }}) => {words})")
        };
        for place in [
            "at_seconds: null, lost_seconds: null",
            "at_seconds: 83, lost_seconds: null",
            "at_seconds: null, lost_seconds: 0.25",
            "at_seconds: 83, lost_seconds: 12.5",
        ] {
            let words = browser.value(&of(place)).await;
            for words in words.as_array().expect("a list").iter().map(|words| words.as_str().expect("a text")) {
                assert!(!words.contains(['{', '}']) && !words.contains("warning-"), "{words}");
                assert_eq!(words.contains("1:23"), place.contains("83"), "{words}");
                let lost = words.contains("0.25")
                    || words.contains("12.5")
                    || words.contains("0,25")
                    || words.contains("12,5");
                assert_eq!(lost, !place.contains("lost_seconds: null"), "{words}");
                said.push(words.to_owned());
            }
        }
        let unknown = "Promise.all([import('/page/problems.js'), fetch('/problems').then((response) => response.json())])
            .then(([{ sentence }, kinds]) => kinds.map(({ type }) => type.replace('/problems/', '')).filter((slug) => sentence({ slug }) === sentence({ slug: 'unheard-of' })))";
        assert_eq!(browser.value(unknown).await, json!([]), "{language}");
    }
    let all = said.len();
    said.sort_unstable();
    said.dedup();
    assert_eq!(said.len(), all, "two say the same");
    browser.is_clean().await;
}

#[tokio::test]
async fn silence_is_told_from_music() {
    let world = world();
    let browser = Browser::open(&world.driver, &origin(&world), &Setup::default()).await;
    let mut silence = fs::read(world.track("pop")).expect("a track");
    silence[44..].fill(0);
    browser.choose(&[world.file("silence.wav", &silence)]).await;
    browser.until("the page shows it", "by('track-problem').checkVisibility()").await;
    assert_eq!(browser.text("by('problem').dataset.slug").await, "silent");
    let text = browser.text("by('track-problem').textContent").await;
    assert!(text.contains("The track is silent, so there is nothing to classify."), "{text}");
    assert_eq!(browser.value("Boolean(by('retry')?.checkVisibility())").await, false, "it stays silent");
    browser.click("language-fr").await;
    browser
        .until("it is said in French", "by('track-problem').textContent.includes('Le morceau est silencieux')")
        .await;
    browser.is_alone().await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_sent_and_the_others_are() {
    let world = world();
    let large = world.track("blues");
    let small = fs::read(world.track("disco")).expect("a track");
    // 30 s have 1.26 MiB; a header and 10 s are under half of that.
    let seconds = |seconds: usize| {
        let size = seconds * 22_050 * 2;
        let header =
            [&small[..4], &(size as u32 + 36).to_le_bytes(), &small[8..40], &(size as u32).to_le_bytes()].concat();
        [&header, &small[44..44 + size]].concat()
    };
    let limit = 512 << 10;
    let arguments = [
        "all",
        "--listen",
        "127.0.0.1:0",
        "--artifacts",
        ".",
        "--max-body-bytes",
        &limit.to_string(),
        "--max-seconds",
        "60",
    ];
    let server = Server::start_with(&world.artifacts, &arguments);
    let browser = Browser::open(&world.driver, &format!("http://{}/", server.address), &Setup::default()).await;
    browser.until("the limits are told", "by('limits').textContent !== ''").await;
    assert_eq!(browser.text("by('limits').textContent").await, " · up to 512\u{a0}KiB and 1 minute each");
    browser.choose(&[world.file("a.wav", &seconds(10)), large.clone(), world.file("b.wav", &seconds(8))]).await;
    browser
        .until("the others are done", "document.querySelectorAll('[data-testid=row][data-state=done]').length === 2")
        .await;
    let size = fs::metadata(&large).expect("a file").len() as f64;
    let size = format!("{:.2}\u{a0}MiB", (100.0 * size / f64::from(1 << 20)).ceil() / 100.0);
    let sentence = format!("The file has {size}, and this server accepts 512\u{a0}KiB.");
    let failed = "document.querySelector('[data-testid=row][data-state=failed] [data-testid=cell-state]').textContent";
    let text = browser.text(failed).await;
    assert!(text.starts_with(&sentence), "{text}");
    // Of three files, two were sent, each once, and nothing was refused.
    let sent = "performance.getEntriesByType('resource').filter(({ name }) => /\\/(predict|vgg|features)$/.test(new URL(name).pathname)).map(({ responseStatus }) => responseStatus)";
    assert_eq!(browser.value(sent).await, json!([200, 200]));

    browser.value("document.querySelectorAll('[data-testid=row]')[1].querySelector('button').click()").await;
    browser.until("the page shows it", "by('track-problem').checkVisibility()").await;
    let text = browser.text("by('track-problem').textContent").await;
    assert!(text.contains(&sentence), "{text}");
    assert_eq!(browser.text("by('problem').dataset.slug").await, "body-too-large");
    browser.click("language-fr").await;
    let french = format!(
        "Le fichier fait {}, et ce serveur accepte 512\u{a0}Kio.",
        size.replace('.', ",").replace("MiB", "Mio")
    );
    browser.until("it is said in French", &format!("by('track-problem').textContent.includes('{french}')")).await;
    assert_eq!(browser.number(&format!("{sent}.length")).await, 2.0, "not even its spectrogram was asked for");
    browser.is_clean().await;
}

/// What a `MediaRecorder` of that type gives of six seconds, posted to `/predict` as it is, and the response. The recording stays in the
/// page as `recorded`.
async fn recorded(browser: &Browser, media_type: &str) -> Value {
    let script = format!(
        "(async () => {{
            const audio = {{ echoCancellation: false, noiseSuppression: false, autoGainControl: false }};
            const stream = await navigator.mediaDevices.getUserMedia({{ audio }});
            const recorder = new MediaRecorder(stream, {{ mimeType: '{media_type}' }});
            const parts = [];
            recorder.ondataavailable = ({{ data }}) => parts.push(data);
            const ended = new Promise((resolve) => (recorder.onstop = resolve));
            recorder.start(1000);
            await new Promise((resolve) => setTimeout(resolve, 6000));
            recorder.stop();
            await ended;
            stream.getTracks().forEach((track) => track.stop());
            globalThis.recorded = new Blob(parts, {{ type: recorder.mimeType }});
            const response = await fetch('/predict', {{ method: 'POST', body: recorded }});
            return {{ type: recorded.type, size: recorded.size, status: response.status, answer: await response.json() }};
        }})()"
    );
    browser.value(&script).await
}

#[tokio::test]
async fn what_the_browsers_own_recorder_gives_is_classified_as_it_is() {
    let world = world();
    let setup = Setup { microphone: Some(world.track("metal")), ..Setup::default() };
    let browser = Browser::open(&world.driver, &origin(&world), &setup).await;
    // Chromium records WebM with Opus, and later versions MP4 with it too.
    let supported = "['audio/webm;codecs=opus', 'video/webm;codecs=opus', 'audio/mp4;codecs=opus'].filter((type) => MediaRecorder.isTypeSupported(type))";
    let supported = browser.value(supported).await;
    assert_eq!(supported[0], "audio/webm;codecs=opus");
    for media_type in supported.as_array().expect("a list").iter().map(|each| each.as_str().expect("a text")) {
        let sent = recorded(&browser, media_type).await;
        assert_eq!((&sent["status"], &sent["type"]), (&json!(200), &json!(media_type)), "{sent}");
        let audio = &sent["answer"]["audio"];
        assert_eq!((&audio["codec"], &audio["warnings"]), (&json!("opus"), &json!([])), "{sent}");
        let seconds = audio["seconds"].as_f64().expect("seconds");
        assert!((5.0..7.5).contains(&seconds), "{sent}");

        // Dropped on the page as a file, it is shown like any other.
        let name = format!("recording.{}", if media_type.contains("mp4") { "mp4" } else { "webm" });
        let drop = format!(
            "(() => {{
                const files = new DataTransfer();
                files.items.add(new File([recorded], '{name}', {{ type: recorded.type }}));
                return document.body.dispatchEvent(new DragEvent('drop', {{ dataTransfer: files, bubbles: true, cancelable: true }}));
            }})()"
        );
        browser.value("document.querySelector('[data-testid=clear]').click()").await;
        assert_eq!(browser.value(&drop).await, false, "the page takes what is dropped");
        browser.until_predicted(&["svm", "vgg19"]).await;
        assert_eq!(browser.text("by('track-title').textContent").await, name);
        assert_eq!(browser.text("by('genre-svm').dataset.genre").await, sent["answer"]["predicted_genre"]);
        assert!(browser.text("by('track-about').textContent").await.contains(" · 48 kHz · "));
        assert_eq!(browser.value("[by('track-warnings').hidden, by('unplayable').hidden]").await, json!([true, true]));
    }
    assert!(browser.colours("log-mel").await > 100, "it is not silence");
    browser.screenshot("recorder").await;
    browser.is_clean().await;
}
