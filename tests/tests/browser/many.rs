//! Many tracks: the table, its CSV file, cancelling and retrying.

use std::fs;

use crate::{
    browser::{Browser, Setup},
    reach::is_accessible,
    world::world,
};

/// The fields of a line of CSV.
pub(crate) fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(letter),
        }
    }
    fields.push(field);
    fields
}

#[tokio::test]
async fn many_files_make_a_table_and_a_csv() {
    let world = world();
    let browser = Browser::open(&world.driver, &format!("http://{}/", world.server.address), &Setup::default()).await;
    let track = |genre: &str| fs::read(world.track(genre)).expect("a track");
    let files = [
        world.file("Night bus.wav", &track("jazz")),
        world.file("=HYPERLINK(1), \"now\".wav", &track("rock")),
        world.file("notes.txt", b"not audio"),
        world.file("Low tide.wav", &track("classical")),
    ];
    browser.choose(&files).await;
    browser
        .until(
            "the table is there",
            "by('track-list').checkVisibility() && document.querySelectorAll('[data-testid=row]').length === 4",
        )
        .await;
    browser.until("all are done", "by('progress').value === 8 && by('progress').max === 8").await;
    // What failed is not done.
    assert_eq!(browser.text("by('progress-text').textContent").await, "6 of 8 predictions · 2 failed");
    browser.until("it is said", "by('announcer').textContent === '3 of 4 tracks are done. 1 failed.'").await;
    assert_eq!(browser.value("by('retry-all').hidden").await, true, "it stays no audio");
    let cells = "[...document.querySelectorAll('[data-testid=row]')].map((row) => ['cell-length', 'cell-svm', 'cell-vgg19', 'cell-state'].map((id) => row.querySelector(`[data-testid=${id}]`).textContent))";
    browser
        .until("every row shows it", "document.querySelectorAll('[data-testid=row][data-state=done]').length === 3")
        .await;
    let rows = browser.value(cells).await;
    let response = world.post("/predict", &files[0]).json();
    let genre = response["predicted_genre"].as_str().expect("a genre");
    assert_eq!(rows[0][0], "0:30");
    assert!(
        rows[0][1]
            .as_str()
            .is_some_and(|cell| cell.starts_with(&genre.replace("hiphop", "hip-hop")) && cell.ends_with('%')),
        "{rows}"
    );
    assert!(rows[2][3].as_str().is_some_and(|cell| cell.contains("not audio")), "{rows}");
    browser.screenshot("many").await;
    is_accessible(&browser).await;

    browser.click("csv").await;
    let csv = browser.downloaded("genres.csv").await;
    assert!(csv.ends_with("\r\n") && !csv.replace("\r\n", "").contains('\n'), "{csv:?}");
    let lines: Vec<_> = csv.trim_end().split("\r\n").map(fields).collect();
    assert_eq!(
        lines[0],
        [
            "file",
            "seconds",
            "svm_genre",
            "svm_probability",
            "svm_version",
            "vgg19_genre",
            "vgg19_probability",
            "vgg19_version",
            "problem",
            "warnings"
        ]
    );
    assert!(lines.iter().all(|line| line.len() == 10) && lines.len() == 5, "{csv}");
    assert_eq!(lines[1][..3], ["Night bus.wav".to_owned(), "30".to_owned(), genre.to_owned()]);
    let probability: f64 = lines[1][3].parse().expect("a number");
    assert_eq!(Some(probability), response["probabilities"][genre].as_f64());
    assert_eq!(lines[2][0], "'=HYPERLINK(1), \"now\".wav", "a spreadsheet must not take it for a formula");
    assert_eq!(lines[3], ["notes.txt", "", "", "", "", "", "", "", "not-audio", ""]);

    // A row opens its track.
    browser.value("document.querySelectorAll('[data-testid=row]')[3].querySelector('button').click()").await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    assert_eq!(browser.text("by('track-title').textContent").await, "Low tide.wav");
    assert_eq!(browser.focused().await, "track-title");
    assert_eq!(browser.text("document.querySelector('[aria-current=true]').textContent").await, "Low tide.wav");
    browser.is_alone().await;
}

#[tokio::test]
async fn what_was_cancelled_can_be_retried() {
    let world = world();
    let browser = Browser::open(&world.driver, &format!("http://{}/", world.server.address), &Setup::default()).await;
    let genres = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"];
    browser.choose(&genres.map(|genre| world.track(genre))).await;
    browser.until("the table is there", "by('track-list').checkVisibility() && !by('cancel').disabled").await;
    browser.value("by('cancel').click()").await;
    browser.until("nothing is under way", "by('cancel').disabled && by('progress').value === by('progress').max").await;
    browser.until("rows show it", "document.querySelector('[data-testid=row][data-state=cancelled]')").await;
    browser
        .until("it is said", "/^\\d of 10 tracks are done\\. \\d+ cancelled\\.$/.test(by('announcer').textContent)")
        .await;
    assert_eq!(
        browser
            .value(
                "document.querySelectorAll('[data-testid=row]:is([data-state=done], [data-state=cancelled])').length"
            )
            .await,
        10
    );
    browser.click("retry-all").await;
    browser
        .until("all are done", "document.querySelectorAll('[data-testid=row][data-state=done]').length === 10")
        .await;
    assert_eq!(browser.value("by('retry-all').hidden").await, true);
    assert_eq!(browser.text("by('announcer').textContent").await, "All tracks are done.");

    browser.click("clear").await;
    browser.until("the list is empty", "!by('track-list').checkVisibility() && by('track').hidden").await;
    assert_eq!(browser.focused().await, "choose");
    browser.is_clean().await;
}
