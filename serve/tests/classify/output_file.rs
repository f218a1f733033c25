//! `--output`: what is done is not done again, and a run that ended anywhere can be gone on with.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    process::Stdio,
    thread,
    time::Duration,
};

use models::artifact;
use proptest::prelude::*;
use serde_json::Value;
use serve::config::ModelKind;

use crate::{Ran, TRACKS, Workdir, csv, json, many_tracks, model, signal, wav::Sound};

#[test]
fn the_ending_of_its_name_says_the_form() {
    let workdir = Workdir::with_tracks();
    for (name, args) in
        [("out.csv", ["--csv"]), ("out.jsonl", ["--json"]), ("out.ndjson", ["--json"]), ("OUT.JSON", ["--json"])]
    {
        let expected = workdir.run(&[&args[..], &["tracks"]].concat()).stdout;
        let ran = workdir.run(&["--output", name, "tracks"]);
        assert_eq!((ran.assert(0, &[]).stdout.as_str(), ran.stderr.as_str()), ("", ""));
        assert_eq!(workdir.read(name), expected, "{name}");
    }
}

#[test]
fn what_is_done_is_skipped_by_content_and_by_version() {
    let workdir = Workdir::with_tracks();
    for name in ["out.csv", "out.jsonl"] {
        let rows = |workdir: &Workdir| workdir.read(name).lines().count();
        workdir.run(&["--output", name, "tracks/b", "tracks/a.wav"]).assert(0, &[]);
        let first = workdir.read(name);
        let ran = workdir.run(&["--output", name, "tracks"]);
        ran.assert(0, &["goes on from 3 rows", "6 of 6 files classified (3 done before)"]);
        assert!(workdir.read(name).starts_with(&first));
        let all = workdir.read(name);
        workdir.run(&["--output", name, "tracks"]).assert(0, &["goes on from 6 rows", "(6 done before)"]);
        assert_eq!(workdir.read(name), all);

        // A file by another name has a row of its own, which is that of its audio.
        fs::copy(workdir.path("tracks/a.wav"), workdir.path("a copy \"of\", a\n.wav")).expect("copies");
        workdir
            .run(&["--output", name, "a copy \"of\", a\n.wav"])
            .assert(0, &["1 of 1 files classified (1 done before)"]);
        let (before, after) = (rows(&workdir), workdir.read(name));
        if name == "out.csv" {
            let rows = csv(&after);
            let of = |file: &str| {
                let mut row = rows.iter().find(|row| row["file"] == file).expect("a row").clone();
                let _ = row.remove("file");
                row
            };
            assert_eq!(of("a copy \"of\", a\n.wav"), of("tracks/a.wav"));
        } else {
            let lines = json(&after);
            let mut copy = lines.last().expect("a row").clone();
            assert_eq!(copy["file"], "a copy \"of\", a\n.wav");
            copy["file"] = "tracks/a.wav".into();
            assert!(lines.contains(&copy), "{copy}");
        }
        // Once.
        workdir.run(&["--output", name, "a copy \"of\", a\n.wav"]).assert(0, &["(1 done before)"]);
        assert_eq!(rows(&workdir), before);

        // Other audio under the same name is classified.
        let kept = fs::read(workdir.path("tracks/a.wav")).expect("reads");
        workdir.write("tracks/a.wav", &Sound::Noise.wav(3.0, 9));
        workdir.run(&["--output", name, "tracks"]).assert(0, &["(5 done before)"]);
        workdir.write("tracks/a.wav", &kept);
    }
    // A new version classifies all of them anew.
    let artifacts = workdir.path("artifacts");
    let next = model::write_variant(&artifacts, ModelKind::Svm, 1).version;
    artifact::set_current(&artifacts.join("svm"), &next).expect("in use");
    let ran = workdir.run(&["--output", "out.csv", "tracks"]);
    assert!(!ran.assert(0, &[]).stderr.contains("done before"), "{}", ran.stderr);
    assert_eq!(csv(&workdir.read("out.csv")).iter().filter(|row| row["version"] == next).count(), 6);
}

#[test]
fn tags_are_no_part_of_the_content() {
    let workdir = Workdir::with_tracks();
    workdir.run(&["--output", "out.csv", "tracks"]).assert(0, &[]);
    let rows = workdir.read("out.csv");
    // What was predicted by the run before is written into the files, and they are still the same audio.
    let ran = workdir.run(&["--output", "out.csv", "--write-tags", "tracks"]);
    ran.assert(0, &["(6 done before), 6 tags written"]);
    workdir.run(&["--output", "out.csv", "--write-tags", "tracks"]).assert(0, &["(6 done before), 6 tags the same"]);
    assert_eq!(workdir.read("out.csv"), rows);
}

#[test]
fn models_that_are_added_predict_alone() {
    let workdir = Workdir::with_tracks();
    workdir.run(&["--output", "out.jsonl", "tracks"]).assert(0, &[]);
    let ran = workdir.run(&["--output", "out.jsonl", "--model", "both", "tracks"]);
    ran.assert(0, &["goes on from 6 rows"]);
    assert!(ran.stdout.contains("svm and vgg19 agree on"), "{}", ran.stdout);
    let lines = json(&workdir.read("out.jsonl"));
    let of = |name: &str| lines.iter().filter(|line| line["model"]["name"] == name).count();
    assert_eq!([of("svm"), of("vgg19")], [6, 6]);
    assert!(lines[6..].iter().all(|line| line["agree"].is_boolean()));
}

#[test]
fn files_that_failed_are_tried_again() {
    let workdir = Workdir::with_tracks();
    for name in ["out.csv", "out.jsonl"] {
        let args = ["--output", name, "tracks/a.wav", "later.wav", "tracks/f.wav"];
        workdir.run(&args).assert(1, &["later.wav: failed to read it"]);
        assert!(workdir.read(name).contains("failed to read it") || workdir.read(name).contains("\"problem\""));
        workdir.write("later.wav", &Sound::Noise.wav(2.5, 5));
        let ran = workdir.run(&args);
        ran.assert(0, &["goes on from 2 rows, 1 of files that failed are tried again", "(2 done before)"]);
        let text = workdir.read(name);
        assert!(!text.contains("failed") && !text.contains("problem"), "{text}");
        assert_eq!(text.matches("later.wav").count(), 1);
        fs::remove_file(workdir.path("later.wav")).expect("removes");
    }
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let workdir = Workdir::with_tracks();
    let refused = |name: &str, text: &str, words: &[&str]| {
        workdir.write(name, text.as_bytes());
        workdir.run(&["--output", name, "tracks"]).assert(2, words);
        assert_eq!(workdir.read(name), text);
    };
    refused("notes.csv", "file,genre\nx,y\n", &["line 1 of", "notes.csv", "--output"]);
    refused("notes.json", "{\n  \"a\": 1\n}\n", &["line 1 of", "notes.json"]);
    // One of other models, and one whose middle was changed.
    workdir.run(&["--output", "out.csv", "tracks"]).assert(0, &[]);
    let rows = workdir.read("out.csv");
    refused("out.csv", &rows.replace("audio_sha256,blues", "audio_sha256,polka"), &["line 1 of", "other models"]);
    let lines: Vec<&str> = rows.lines().collect();
    refused("out.csv", &[lines[0], lines[1], "x,y", lines.last().expect("a row"), ""].join("\n"), &["line 3 of"]);
    workdir.run(&["--output", "tracks", "tracks"]).assert(2, &["--output tracks"]);

    let file = File::create(workdir.path("busy.csv")).expect("creates");
    file.lock().expect("locks");
    workdir.run(&["--output", "busy.csv", "tracks"]).assert(2, &["another run writes to"]);
}

#[test]
fn a_run_that_is_interrupted_says_how_to_go_on_and_is_gone_on_with() {
    for name in ["out.csv", "out.jsonl"] {
        let workdir = Workdir::new();
        let tracks = many_tracks(&workdir);
        let args = ["--output", name, "--summary", "--m3u", "lists", "--threads", "2", "tracks"];
        let child = workdir.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        while fs::metadata(workdir.path(name)).map_or(0, |metadata| metadata.len()) < 10_000 {
            thread::sleep(Duration::from_millis(5));
        }
        signal(&child, "-INT");
        let ran = Ran::new(child.wait_with_output().expect("ends"));
        ran.assert(130, &["then interrupted", "run the same command again to go on", name, "files are left"]);
        let done = workdir.read(name);
        assert!(done.ends_with('\n') && done.matches("tracks/").count() < tracks);
        // Playlists of half a collection would be taken for those of all of it.
        assert_eq!(fs::read_dir(workdir.path("lists")).expect("made").count(), 0);

        workdir.run(&args).assert(0, &["goes on from", "500 of 500 files classified", "1 playlists with 500 files"]);
        let all = workdir.read(name);
        assert!(all.starts_with(&done));
        if name == "out.jsonl" {
            workdir.run(&["--output", "once.jsonl", "--threads", "2", "tracks"]).assert(0, &[]);
            assert!(all == workdir.read("once.jsonl"), "the rows are not those of a run without a break");
        }
    }
}

/// Whatever is cut off the end, what the next run makes is what a whole run makes.
fn heals(workdir: &Workdir, name: &str, whole: &[u8], cut: usize, junk: &[u8]) -> Result<(), TestCaseError> {
    let path = workdir.path(name);
    fs::write(&path, &whole[..cut]).expect("writes");
    OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(junk)).expect("writes");
    let ran = workdir.run(&["--output", name, "tracks"]);
    prop_assert_eq!(ran.code, Some(0), "cut at {} of {}: {}", cut, name, ran.stderr);
    prop_assert!(fs::read(&path).expect("reads") == whole, "cut at {} of {}", cut, name);
    Ok(())
}

#[test]
fn a_torn_last_row_is_mended() {
    let workdir = Workdir::with_tracks();
    let whole = ["out.csv", "out.jsonl"].map(|name| {
        workdir.run(&["--output", name, "tracks"]).assert(0, &[]);
        (name, fs::read(workdir.path(name)).expect("reads"))
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let junk = prop_oneof![Just(Vec::new()), Just(vec![0; 100]), "[a-z\",{]{1,9}".prop_map(String::into_bytes)];
    let cases = (0..whole.len(), any::<prop::sample::Index>(), junk);
    runner
        .run(&cases, |(which, cut, junk)| {
            let (name, whole) = &whole[which];
            let cut = cut.index(whole.len());
            // The first line of a CSV is written at once, before there is anything to lose.
            let first = if which == 0 { whole.iter().position(|byte| *byte == b'\n').expect("a line") } else { 0 };
            heals(&workdir, name, whole, cut, if cut > first { &junk } else { b"" })
        })
        .expect("every case");
    // Where a row ends but for its line break, and within a name that has one.
    let (name, whole) = &whole[0];
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    for cut in ends.iter().flat_map(|end| [*end, end + 1]) {
        heals(&workdir, name, whole, cut, b"").expect("mended");
    }
    workdir.write(name, &whole[..whole.len() - 3]);
    workdir.run(&["--output", name, "tracks"]).assert(0, &["its last row was cut off", "goes on from 5 rows"]);
}

#[test]
fn permissions_and_a_link_stay() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let workdir = Workdir::with_tracks();
    workdir.run(&["--output", "out.jsonl", "tracks/a.wav", "gone.wav"]).assert(1, &[]);
    fs::set_permissions(workdir.path("out.jsonl"), fs::Permissions::from_mode(0o640)).expect("sets");
    symlink("out.jsonl", workdir.path("link.jsonl")).expect("links");
    workdir.run(&["--output", "link.jsonl", "tracks"]).assert(0, &[]);
    assert!(workdir.path("link.jsonl").is_symlink());
    assert_eq!(workdir.path("out.jsonl").metadata().expect("is there").permissions().mode() & 0o777, 0o640);
    let lines: Vec<Value> = json(&workdir.read("out.jsonl"));
    assert_eq!(lines.len(), TRACKS.len());
}
