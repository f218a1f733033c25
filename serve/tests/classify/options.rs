//! Thresholds, orders, sums, and what two models agree on.

use crate::{Workdir, csv, wav::Sound};

#[test]
fn below_the_least_probability_there_is_no_genre() {
    let workdir = Workdir::with_tracks();
    let all = csv(&workdir.run(&["--csv", "tracks"]).stdout);
    let mut probabilities: Vec<f64> = all.iter().map(|row| row["probability"].parse().expect("a number")).collect();
    probabilities.sort_by(f64::total_cmp);
    // In the middle of the widest gap, so that four decimals are enough to know on which side a file is.
    let gaps = probabilities.windows(2).map(|pair| (pair[1] - pair[0], f64::midpoint(pair[0], pair[1])));
    let (gap, least) = gaps.max_by(|a, b| a.0.total_cmp(&b.0)).expect("six files");
    assert!(gap > 1e-3, "{probabilities:?}");
    let below = probabilities.iter().filter(|probability| **probability < least).count();
    assert!((1..6).contains(&below), "{probabilities:?}");

    let threshold = least.to_string();
    let ran = workdir.run(&["--csv", "--min-probability", &threshold, "tracks"]);
    ran.assert(0, &[&format!("6 of 6 files classified ({below} below --min-probability, or unlike the training set)")]);
    for (row, before) in csv(&ran.stdout).iter().zip(&all) {
        let probability: f64 = row["probability"].parse().expect("a number");
        let expected = if probability < least { "" } else { before["genre"].as_str() };
        assert_eq!((&row["genre"], &row["probability"]), (&expected.to_owned(), &before["probability"]));
    }
    let json = workdir.run(&["--json", "--min-probability", &threshold, "tracks"]).json();
    assert_eq!(json.iter().filter(|line| line["predicted_genre"] == "").count(), below);
    let table = workdir.run(&["--min-probability", &threshold, "--summary", "tracks"]);
    assert_eq!(table.stdout.matches("unknown").count(), below + 1, "{}", table.stdout);
    for bad in ["1.1", "-0.1", "NaN", "high"] {
        let option = format!("--min-probability={bad}");
        workdir.run(&[option.as_str(), "tracks"]).assert(2, &["0 to 1"]);
    }
}

#[test]
fn the_summary_has_files_and_hours_by_genre() {
    let workdir = Workdir::with_tracks();
    let ran = workdir.run(&["--summary", "tracks"]);
    let summary = ran.assert(0, &[]).stdout.split_once("\n\n").expect("behind the rows").1.to_owned();
    let words: Vec<Vec<&str>> = summary.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected: [&[&str]; 5] = [
        &["genre", "files", "share", "hours"],
        &["blues", "2", "33.3", "%", "0.00"],
        &["classical", "2", "33.3", "%", "0.00"],
        &["metal", "2", "33.3", "%", "0.00"],
        &["all", "6", "100.0", "%", "0.01"],
    ];
    assert_eq!(words, expected);
    // A program that reads rows finds nothing else.
    let csv_run = workdir.run(&["--csv", "--summary", "tracks"]);
    assert_eq!(csv(&csv_run.stdout).len(), 6);
    csv_run.assert(0, &["serve classify: classical      2   33.3 %   0.00\n"]);
    let to_file = workdir.run(&["--output", "out.csv", "--summary", "tracks"]);
    assert_eq!(to_file.assert(0, &[]).stdout, summary);
}

#[test]
fn rows_are_sorted_as_wanted() {
    let workdir = Workdir::with_tracks();
    workdir.write("tracks/broken.wav", &Sound::Low.wav(3.0, 1)[..10_000]);
    let keys = |ran: &str| -> Vec<(String, String, String)> {
        csv(ran)
            .into_iter()
            .map(|row| (row["genre"].clone(), row["probability"].clone(), row["file"].clone()))
            .collect()
    };
    // Of equals by four decimals either may be first.
    let in_order = |sort: &str, rows: &[(String, String, String)]| {
        let key = |row: &(String, String, String)| {
            let (genre, probability, file) = row.clone();
            let least_first = 1.0 - probability.parse().unwrap_or(f64::NEG_INFINITY);
            match sort {
                "path" => (false, file, 0.0),
                "genre" => (probability.is_empty(), genre, least_first),
                _ => (probability.is_empty(), String::new(), least_first),
            }
        };
        rows.windows(2).all(|pair| key(&pair[0]) <= key(&pair[1]))
    };
    for sort in ["path", "genre", "probability"] {
        let args = ["--csv", "--sort", sort, "tracks/z.wav", "tracks", "--threads", "3"];
        let mut rows = keys(&workdir.run(&args).assert(1, &["tracks/broken.wav"]).stdout);
        assert_eq!(rows.len(), 8);
        assert!(in_order(sort, &rows), "{sort}: {rows:?}");
        // A file of rows is sorted in the end, whatever the order in which they came.
        let out = format!("{sort}.csv");
        workdir.run(&["--output", &out, "tracks/z.wav"]).assert(0, &[]);
        workdir.run(&["--output", &out, "--sort", sort, "tracks"]).assert(1, &["tracks/broken.wav"]);
        let mut from_file = keys(&workdir.read(&out));
        assert!(in_order(sort, &from_file), "{sort}: {from_file:?}");
        from_file.sort();
        rows.sort();
        rows.dedup();
        assert_eq!(from_file, rows, "{sort}");
    }
    workdir.run(&["--sort", "size", "tracks"]).assert(2, &["path", "genre", "probability"]);
}

#[test]
fn where_models_agree_is_said_of_each_file_and_of_all() {
    let workdir = Workdir::with_tracks();
    let ran = workdir.run(&["--csv", "--model", "both", "tracks"]);
    let rows = csv(&ran.assert(0, &[]).stdout);
    let mut same = 0;
    for pair in rows.chunks(2) {
        let agree = pair[0]["genre"] == pair[1]["genre"];
        same += usize::from(agree);
        let expected = if agree { "yes" } else { "no" };
        assert!(pair.iter().all(|row| row["agree"] == expected), "{pair:?}");
    }
    ran.assert(0, &[&format!("svm and vgg19 agree on {same} of 6 files")]);
    for option in ["--write-tags", "--m3u=lists"] {
        workdir.run(&["--model", "both", option, "tracks"]).assert(2, &["one model", "--model"]);
        workdir.run(&[option, "-"]).assert(2, &["standard input"]);
    }
}

#[test]
fn options_that_need_another_say_which() {
    let workdir = Workdir::with_tracks();
    for option in ["--overwrite", "--dry-run", "--keep-mtime", "--tag-field=MOOD"] {
        workdir.run(&[option, "tracks"]).assert(2, &["--write-tags"]);
    }
    workdir.run(&["--m3u-paths", "absolute", "tracks"]).assert(2, &["--m3u"]);
    workdir.run(&["--output", "out.txt", "tracks"]).assert(2, &["out.txt", ".csv", ".jsonl"]);
    workdir.run(&["--output", "out.csv", "--json", "tracks"]).assert(2, &["--json"]);
    workdir.run(&["--output", "out.jsonl", "--provenance", "tracks"]).assert(2, &["--provenance", "CSV"]);
    workdir.run(&["--output", "nowhere/out.csv", "tracks"]).assert(1, &["failed to write nowhere/out.csv"]);
    let help = workdir.run(&["--help"]);
    for word in [
        "--write-tags",
        "--tag-field",
        "--overwrite",
        "--dry-run",
        "--m3u",
        "--min-probability",
        "--output",
        "--summary",
        "--sort",
    ] {
        assert!(help.stdout.contains(word), "{word} is not in\n{}", help.stdout);
    }
}
