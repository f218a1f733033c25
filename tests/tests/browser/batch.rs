//! A list of many tracks: its order, a search, how many there are of each label, and where new ones are.

use std::fs;

use serde_json::{Value, json};

use crate::{
    browser::{Browser, Setup},
    many::fields,
    reach::is_accessible,
    world::world,
};

const ROWS: &str =
    "[...document.querySelectorAll('[data-testid=row]')].map((row) => row.querySelector('button').textContent)";
const DONE: &str = "document.querySelectorAll('[data-testid=row][data-state=done]').length";

/// The column of that model, as `(label, probability)`.
async fn column(browser: &Browser, model: &str) -> Vec<(String, f64)> {
    let cells =
        format!("[...document.querySelectorAll('[data-testid=cell-{model}]')].map(({{ textContent }}) => textContent)");
    let cells = browser.value(&cells).await;
    let read = |cell: &Value| {
        let (label, share) = cell.as_str()?.rsplit_once(' ')?;
        Some((label.to_owned(), share.trim_end_matches('%').parse().ok()?))
    };
    cells.as_array().expect("a list").iter().filter_map(read).collect()
}

#[tokio::test]
async fn tracks_are_sorted_found_and_counted() {
    let world = world();
    let browser = Browser::open(&world.driver, &format!("http://{}/", world.server.address), &Setup::default()).await;
    let genres = ["rock", "jazz", "blues", "metal", "disco"];
    let mut files: Vec<_> = genres
        .iter()
        .enumerate()
        .map(|(at, genre)| {
            world.file(&format!("{} {genre}.wav", 10 - at), &fs::read(world.track(genre)).expect("a track"))
        })
        .collect();
    files.push(world.file("notes.txt", b"not audio"));
    browser.choose(&files).await;
    browser.until("all are done", &format!("{DONE} === 5 && by('cancel').disabled")).await;
    let added = json!(["10 rock.wav", "9 jazz.wav", "8 blues.wav", "7 metal.wav", "6 disco.wav", "notes.txt"]);
    assert_eq!(browser.value(ROWS).await, added);

    // By name: numbers by their size. Then the other way round, then as they were added.
    browser.value("by('sort-file').focus()").await;
    browser.press(" ").await;
    let rising = json!(["6 disco.wav", "7 metal.wav", "8 blues.wav", "9 jazz.wav", "10 rock.wav", "notes.txt"]);
    assert_eq!(browser.value(ROWS).await, rising);
    assert_eq!(browser.text("by('sort-file').closest('th').getAttribute('aria-sort')").await, "ascending");
    assert_eq!(browser.focused().await, "sort-file");
    browser.press(" ").await;
    assert_eq!(browser.text("by('sort-file').closest('th').getAttribute('aria-sort')").await, "descending");
    assert_eq!(browser.value(&format!("{ROWS}[0]")).await, "notes.txt");
    browser.press(" ").await;
    assert_eq!(browser.value(ROWS).await, added);

    // By what a model predicts: labels by name, of one label the most probable first, and last what has no prediction.
    browser.click("sort-model:svm").await;
    let sorted = column(&browser, "svm").await;
    assert_eq!(sorted.len(), 5);
    for pair in sorted.windows(2) {
        assert!(pair[0].0 < pair[1].0 || (pair[0].0 == pair[1].0 && pair[0].1 >= pair[1].1), "{sorted:?}");
    }
    assert_eq!(browser.value(&format!("{ROWS}.at(-1)")).await, "notes.txt");
    is_accessible(&browser).await;

    // How many of each: the counts are those of the column, and one that is pressed leaves its tracks.
    let counts = "[...by('counts-svm').querySelectorAll('button')].map(({ dataset, textContent }) => [JSON.parse(dataset.count)[1], Number(textContent.split(': ')[1])])";
    let counted = browser.value(counts).await;
    let mut sum = 0;
    for count in counted.as_array().expect("a list") {
        let n = count[1].as_u64().expect("a number") as usize;
        sum += n;
        let in_column = count[0].as_str().map_or(1, |label| {
            let name = label.replace("hiphop", "hip-hop");
            sorted.iter().filter(|(found, _)| *found == name).count()
        });
        assert_eq!(n, in_column, "{count}");
    }
    assert_eq!(sum, 6);
    let (label, n) = (counted[0][0].as_str().expect("a label"), counted[0][1].as_u64().expect("a number"));
    browser.value("by('counts-svm').querySelector('button').click()").await;
    let shown = column(&browser, "svm").await;
    assert_eq!(shown.len() as u64, n);
    assert!(shown.iter().all(|(found, _)| *found == label.replace("hiphop", "hip-hop")), "{shown:?}");
    assert_eq!(browser.text("by('shown').textContent").await, format!("{n} of 6 tracks shown"));
    is_accessible(&browser).await;
    browser.screenshot("counts").await;

    // The file has what is shown, and the button says so.
    assert_eq!(browser.text("by('csv').textContent").await, format!("Save {n} as CSV"));
    browser.click("csv").await;
    let csv = browser.downloaded("genres.csv").await;
    let lines: Vec<_> = csv.trim_end().split("\r\n").skip(1).map(fields).collect();
    assert!(lines.len() as u64 == n && lines.iter().all(|line| line[2] == label), "{csv}");

    browser.click("show-all").await;
    assert_eq!(browser.focused().await, "find");
    browser.press("JAZZ").await;
    let found = browser.value(ROWS).await;
    assert!(found.as_array().is_some_and(|rows| rows.contains(&json!("9 jazz.wav")) && rows.len() < 6), "{found}");
    browser.value("by('find').select()").await;
    browser.press("nothing of the kind").await;
    assert_eq!(browser.value(ROWS).await, json!([]));
    is_accessible(&browser).await;

    the_new_ones_are_shown(&browser, &files).await;
    browser.is_alone().await;
}

/// Files that are added while something else is in the window, and a search hides them.
async fn the_new_ones_are_shown(browser: &Browser, files: &[std::path::PathBuf]) {
    browser.value("scrollTo(0, 0)").await;
    let fresh = "[...document.querySelectorAll('tr.fresh')]";
    // The mark lasts for some seconds, which a busy machine may be away for.
    let watched = format!(
        "(() => {{ window.marked = 0; new MutationObserver(() => {{ window.marked = Math.max(window.marked, {fresh}.length); }})\
         .observe(document.getElementById('track-rows'), {{ subtree: true, childList: true, attributeFilter: ['class'] }}); return true; }})()"
    );
    browser.until("the first marks have faded", &format!("{fresh}.length === 0")).await;
    browser.value(&watched).await;
    browser.choose(&files[..2]).await;
    browser.until("they are marked", "window.marked >= 2").await;
    let new = "[...document.querySelectorAll('[data-testid=row]')].filter((row) => row.textContent.includes('10 rock.wav')).at(-1)";
    browser.until_in_sight("they are in the window", new).await;
    assert_eq!(
        browser.number("document.querySelectorAll('[data-testid=row]').length").await,
        8.0,
        "and the search is gone"
    );
    browser.until("they are done", &format!("{DONE} === 7 && by('cancel').disabled")).await;
    browser.until("the mark fades", &format!("{fresh}.length === 0")).await;

    // One file is opened, wherever the page is.
    browser.value("scrollTo(0, document.body.scrollHeight)").await;
    browser.choose(&files[2..3]).await;
    browser.until_predicted(&["svm", "vgg19"]).await;
    browser.until_in_sight("its name is in the window", "by('track-title')").await;
}
