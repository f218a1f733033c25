//! What is written, and what it exits with.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::Stdio,
    sync::Arc,
};

use models::artifact;
use serde_json::Value;
use serve::{
    Engine, Input, Limits, PredictRequest,
    config::{Compute, ModelKind},
    engine::model::SYNTHETIC_WARNING,
};

use crate::{Ran, TRACKS, Workdir, csv, many_tracks, model, signal, wav::Sound};

#[test]
fn a_table_has_a_line_for_each_track() {
    let workdir = Workdir::with_tracks();
    let ran = workdir.run(&["tracks"]);
    // Without failures and without a terminal, it prints nothing else but where the model comes from.
    let version = model::of(ModelKind::Svm).version().to_owned();
    let from = "3 labels, trained on 12 clips (three seeded sounds), not evaluated";
    assert_eq!(ran.assert(0, &[]).stderr, format!("serve classify: svm {version} from artifacts: {from}\n"));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 1 + TRACKS.len(), "{}", ran.stdout);
    let genre = lines[0].find("genre").expect("a header");
    assert!(lines[0].starts_with("file ") && lines[0].ends_with("second best"), "{}", lines[0]);
    for (line, (name, sound)) in lines[1..].iter().zip(TRACKS) {
        let columns: Vec<char> = line.chars().collect();
        let from = |at: usize| columns[at..].iter().collect::<String>();
        assert!(line.starts_with(&name.replace('\n', "\u{fffd}")), "{line}");
        assert!(from(genre).starts_with(sound.label()), "{line} has no {} at {genre}", sound.label());
    }
    let both = workdir.run(&["--model", "both", "tracks/a.wav", "tracks/z.wav"]);
    let words: Vec<Vec<&str>> = both.stdout.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    let [a, z] = ["tracks/a.wav", "tracks/z.wav"];
    assert_eq!(words[..5], [["file", "model"], [a, "svm"], [a, "vgg19"], [z, "svm"], [z, "vgg19"]]);
    assert!(both.stdout.ends_with("\n\nsvm and vgg19 agree on 2 of 2 files (100.0 %)\n"), "{}", both.stdout);
}

#[test]
fn json_is_the_response_of_the_server_with_the_file() {
    let workdir = Workdir::with_tracks();
    let ran = workdir.run(&["--json", "--model", "both", "tracks"]);
    let agreement =
        ran.assert(0, &[]).stderr.strip_prefix("serve classify: svm and vgg19 agree on ").expect("no more than that");
    assert!(agreement.contains(" of 6 files ("), "{agreement}");
    let lines = ran.json();
    assert_eq!(lines.len(), 2 * TRACKS.len());
    let models = ModelKind::MEMBERS.map(model::of);
    let engine = Engine::new(&ModelKind::MEMBERS, &Limits::default(), &Compute::default(), None).expect("threads");
    let engine = Arc::new(engine);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for (line, number) in lines.into_iter().zip(0..) {
        let ((name, sound), model) = (TRACKS[number / 2], &models[number % 2]);
        let bytes = fs::read(workdir.path(name)).expect("is there");
        let input = Input::Audio { read: Box::new(|| Ok(bytes.into())), reservation: None };
        let request = PredictRequest { model: Arc::clone(model), input, explain: None };
        let answer = runtime.block_on(async {
            let permit = engine.pool().enter().expect("is free");
            engine.predict(&permit, request).await.expect("is audio")
        });
        let mut expected = serde_json::to_value(&answer).expect("an object");
        if number % 2 == 0 {
            assert_eq!(expected["predicted_genre"], sound.label());
        }
        expected["file"] = name.into();
        expected["audio_sha256"] = line["audio_sha256"].clone();
        assert_eq!(line["audio_sha256"].as_str().map(str::len), Some(64));
        expected["agree"] = line["agree"].clone();
        assert!(line["agree"].is_boolean());
        assert_eq!(line, expected);
    }
}

/// Whatever the form, a model is known by its name, and one that was trained on synthetic audio is told as such.
#[test]
fn a_model_is_named_and_says_where_it_comes_from() {
    let workdir = Workdir::with_tracks();
    let artifacts = workdir.path("artifacts");
    let mut synthetic = model::draft(ModelKind::Svm, 3);
    synthetic.training = serde_json::json!({"warning": "Synthetic music: …"});
    synthetic.metrics = vec![artifact::SplitMetrics {
        split: "artist-kfold:5".to_owned(),
        n: 4,
        accuracy: 0.75,
        more: [("ci95".to_owned(), serde_json::json!([0.5, 1.0]))].into(),
    }];
    let version = model::write_as(&artifacts, "dances", &synthetic).version;
    let warning = format!("serve classify: dances {version}: warning: {SYNTHETIC_WARNING}\n");

    let text = workdir.run(&["--model", "dances", "tracks/a.wav"]);
    let from = "trained on 12 clips (three seeded sounds), accuracy 0.750 (0.500 to 1.000) on artist-kfold:5, 4 clips";
    let first = format!("serve classify: dances {version} from artifacts: 3 labels, {from}\n");
    assert_eq!(text.assert(0, &[]).stderr, first + &warning);

    let json = workdir.run(&["--model", "svm,dances", "--json", "tracks/a.wav", "tracks/missing.wav"]);
    assert!(json.assert(1, &["missing.wav"]).stderr.starts_with(&warning), "{}", json.stderr);
    let lines = json.json();
    let names: Vec<&str> = lines.iter().map(|line| line["model"]["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["svm", "dances", "svm", "dances"]);
    for line in [&lines[1], &lines[3]] {
        let model = &line["model"];
        assert_eq!(
            (&model["kind"], &model["labels"], &model["version"]),
            (&"svm".into(), &3.into(), &version.clone().into())
        );
        assert_eq!(model["trained_on"]["synthetic"], true);
        assert_eq!(model["evaluated"]["ci95"], serde_json::json!([0.5, 1.0]));
        assert_eq!(model["warning"], SYNTHETIC_WARNING);
    }
    assert_eq!(lines[0]["model"]["warning"], Value::Null);

    let csv = workdir.run(&["--model", "dances", "--csv", "--provenance", "tracks/a.wav"]);
    assert_eq!(csv.assert(0, &[]).stderr, warning);
    let mut reader = csv::Reader::from_reader(csv.stdout.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let row = reader.records().next().expect("a row").expect("a row");
    let cell = |name: &str| &row[header.iter().position(|found| found == name).expect("a column")];
    assert_eq!([cell("model"), cell("version"), cell("kind")], ["dances", &version, "svm"]);
    assert_eq!([cell("synthetic"), cell("accuracy"), cell("accuracy_ci95_high")], ["true", "0.75", "1"]);

    // Without a name it is the SVM, or the only one.
    fs::remove_dir_all(artifacts.join("svm")).expect("removes");
    workdir.run(&["tracks/a.wav"]).assert(2, &["several models", "dances, vgg19", "--model"]);
    fs::remove_dir_all(artifacts.join("vgg19")).expect("removes");
    workdir.run(&["tracks/a.wav"]).assert(0, &["dances"]);
}

#[test]
fn csv_has_a_column_for_each_label_and_quotes_what_it_must() {
    let workdir = Workdir::with_tracks();
    workdir.write("tracks/broken.wav", &Sound::Low.wav(3.0, 1)[..10_000]);
    let ran = workdir.run(&["--csv", "tracks"]);
    ran.assert(1, &["tracks/broken.wav: truncated", "6 of 7 files classified, 1 failed"]);
    let columns = "file,model,version,genre,probability,runner_up,runner_up_probability,agree,duration_seconds,warnings,error,\
                   labels_90,novelty,signal,note,audio_sha256,blues,classical,metal";
    assert_eq!(ran.stdout.lines().next(), Some(columns));
    let (broken, rows): (Vec<_>, Vec<_>) =
        csv(&ran.stdout).into_iter().partition(|row| row["file"] == "tracks/broken.wav");
    assert!(broken[0]["error"].contains("truncated"), "{broken:?}");
    let empty = ["genre", "probability", "runner_up", "duration_seconds", "audio_sha256", "blues"];
    assert!(empty.iter().all(|column| broken[0][*column].is_empty()), "{broken:?}");
    let seconds = [3.0, 9.0, 2.5, 2.5, 5.0, 4.0];
    for ((row, (name, sound)), seconds) in rows.iter().zip(TRACKS).zip(seconds) {
        assert_eq!([&row["file"], &row["model"], &row["genre"]], [name, "svm", sound.label()]);
        assert_eq!([&row["error"], &row["warnings"], &row["agree"]], ["", "", ""]);
        assert_eq!(row["version"], model::of(ModelKind::Svm).version());
        assert_eq!(row["duration_seconds"].parse(), Ok(seconds), "{row:?}");
        let labels = ["blues", "classical", "metal"];
        let mut probabilities = labels.map(|label| (row[label].clone(), label));
        assert!(probabilities.iter().all(|(share, _)| share.len() == 6), "four decimals: {row:?}");
        let sum: f64 = probabilities.iter().map(|(share, _)| share.parse::<f64>().expect("a number")).sum();
        assert!((sum - 1.0).abs() < 2e-4, "{row:?}");
        probabilities.sort_by(|a, b| b.cmp(a));
        let [(first, of_first), (second, of_second), _] = &probabilities;
        assert_eq!([&row["genre"], &row["probability"]], [*of_first, first]);
        assert_eq!([&row["runner_up_probability"]], [second]);
        assert!(row["runner_up"] == *of_second || row[&row["runner_up"]] == *second, "{row:?}");
    }
    // The same sound of another length, or another pitch, is other audio.
    let digests: std::collections::HashSet<&String> = rows.iter().map(|row| &row["audio_sha256"]).collect();
    assert_eq!(digests.len(), rows.len());
}

#[test]
fn the_order_of_output_is_that_of_input_whatever_the_threads() {
    let workdir = Workdir::with_tracks();
    let names = ["tracks/z.wav", "tracks/b", "missing.wav", "tracks/a.wav", "tracks/z.wav", "tracks/f.wav"];
    for form in ["--json", "--csv"] {
        let run = |threads: &str| workdir.run(&[&["--threads", threads, form], &names[..]].concat());
        let one = run("1");
        assert_eq!(
            one.assert(1, &["missing.wav: failed to read it"]).stdout.lines().count(),
            run("1").stdout.lines().count()
        );
        for threads in ["2", "5"] {
            let other = run(threads);
            assert_eq!(one.stdout, other.stdout);
            assert_eq!(one.stderr, other.stderr);
        }
    }
    let files: Vec<Value> = workdir.run(&[&["--json"], &names[..]].concat()).json();
    let files: Vec<&str> = files.iter().map(|line| line["file"].as_str().expect("a name")).collect();
    assert_eq!(files, [names[0], TRACKS[1].0, TRACKS[2].0, names[2], names[3], names[4], names[5]]);
}

#[test]
fn what_is_no_audio_is_skipped_and_what_cannot_be_read_is_a_failure() {
    let workdir = Workdir::with_tracks();
    workdir.write("tracks/cover.jpg", b"\xff\xd8\xff\xe0 an image");
    workdir.write("tracks/b/notes.txt", b"not a track");
    workdir.write("tracks/empty.wav", b"");
    workdir.write("tracks/.hidden.wav", b"hidden");
    workdir.write("tracks/.git/x.wav", b"hidden");
    let ran = workdir.run(&["--json", "tracks"]);
    let words = ["tracks/cover.jpg: skipped: not audio", "tracks/b/notes.txt: skipped", "tracks/empty.wav: skipped"];
    ran.assert(0, &words).assert(0, &["6 of 9 files classified, 3 skipped as no audio"]);
    assert!(!ran.stderr.contains("hidden") && !ran.stderr.contains(".git"), "{}", ran.stderr);
    assert_eq!(ran.json().len(), TRACKS.len());

    let ran = workdir.run(&["--json", "tracks/cover.jpg", "tracks/a.wav", "nowhere.wav", "tracks/.hidden.wav"]);
    ran.assert(
        1,
        &[
            "tracks/cover.jpg: skipped: not audio",
            "nowhere.wav: failed to read it",
            "1 of 4 files classified, 1 failed, 2 skipped",
        ],
    );
    let lines = ran.json();
    let problem = |line: &Value| (line["problem"]["type"].clone(), line["problem"]["status"].clone());
    assert_eq!(problem(&lines[0]), ("/problems/not-audio".into(), 415.into()));
    assert_eq!(lines[1]["predicted_genre"], "blues");
    assert_eq!(problem(&lines[2]), ("about:blank".into(), 404.into()));
    assert_eq!((&lines[2]["file"], &lines[2]["model"]["name"]), (&"nowhere.wav".into(), &"svm".into()));
    assert_eq!(problem(&lines[3]), ("/problems/not-audio".into(), 415.into()));

    // What is no audio changes no exit code, named or not; it is listed and counted, and has a row where it was named.
    let ran = workdir.run(&["--json", "tracks/cover.jpg", "tracks/a.wav"]);
    ran.assert(0, &["tracks/cover.jpg: skipped: not audio", "1 of 2 files classified, 1 skipped"]);
    assert_eq!(ran.json().len(), 2);

    fs::create_dir(workdir.path("nothing")).expect("makes a folder");
    workdir.run(&["nothing"]).assert(0, &["no file to classify"]);
}

#[test]
fn limits_are_those_of_the_server_and_name_their_flags() {
    let workdir = Workdir::with_tracks();
    workdir.write("tracks/image.png", &[b"\x89PNG\r\n\x1a\n".to_vec(), vec![7; 200_000]].concat());
    let ran = workdir.run(&["--json", "--max-bytes", "150000", "tracks"]);
    ran.assert(1, &["over 150000 bytes; --max-bytes", "tracks/image.png: skipped"]);
    assert!(ran.json().iter().any(|line| line["problem"]["type"] == "/problems/body-too-large"), "{}", ran.stdout);
    let ran = workdir.run(&["--json", "--max-seconds", "4.5", "tracks"]);
    ran.assert(1, &["tracks/named as a track.txt: the audio is longer than the limit of 4.5 s", "--max-seconds"]);
    assert!(ran.json().iter().any(|line| line["problem"]["status"] == 413), "{}", ran.stdout);
}

#[test]
fn standard_input_is_a_track_too() {
    let workdir = Workdir::new();
    let run = |track: &[u8], args: &[&str]| {
        let mut command = workdir.command(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        // It does not read on beyond its limit.
        let _ = child.stdin.take().expect("piped").write_all(track);
        Ran::new(child.wait_with_output().expect("ends"))
    };
    let ran = run(&Sound::High.wav(3.0, 1), &["--json", "-"]);
    ran.assert(0, &[]);
    assert_eq!((&ran.json()[0]["file"], &ran.json()[0]["predicted_genre"]), (&"-".into(), &"classical".into()));
    run(b"hello", &["-"]).assert(1, &["standard input: not audio"]);
    run(&Sound::High.wav(3.0, 1), &["--max-bytes", "1000", "-"])
        .assert(1, &["standard input: the file has over 1000 bytes"]);
    workdir.run(&["-", "-"]).assert(2, &["named twice"]);
}

#[test]
fn without_a_model_it_says_what_makes_one() {
    let workdir = Workdir::with_tracks();
    let ran = workdir.run(&["--artifacts", "nowhere", "tracks"]);
    ran.assert(2, &["no svm artifact in nowhere", "cargo run --release -p train", "--artifacts"]);
    assert!(ran.stdout.is_empty() && !ran.stderr.contains("--wait"), "{}", ran.stderr);
    let ran = workdir.run(&["--artifacts", "artifacts/vgg19", "tracks"]);
    ran.assert(2, &["holds the model `vgg19`", "--model"]);
    workdir.run(&["--artifacts", "artifacts/vgg19", "--model", "vgg19", "tracks/a.wav"]).assert(0, &[]);
    // One version, and by a URL.
    let version = artifact::resolve(&workdir.path("artifacts"), Some("svm")).expect("in use");
    let url = format!("file://{}", version.display());
    workdir.run(&["--artifacts", &url, "tracks/a.wav"]).assert(0, &[]);
    workdir.run(&["--artifacts", "http://me:hush@127.0.0.1:1/x?y", "tracks"]).assert(2, &["--artifacts", "http://…"]);
    fs::write(version.join("weights.safetensors"), "damage").expect("writes");
    workdir.run(&["tracks"]).assert(1, &["damaged"]);
}

#[test]
fn wrong_usage_is_refused() {
    let workdir = Workdir::with_tracks();
    workdir.run::<&str>(&[]).assert(2, &["FILE"]);
    workdir.run(&["--json", "--csv", "tracks"]).assert(2, &["--csv"]);
    workdir.run(&["--model", "resnet", "tracks"]).assert(2, &["no resnet artifact", "there are: svm, vgg19"]);
    for name in ["../svm", "SVM", ".svm", "a/b", "", &"x".repeat(65)] {
        workdir.run(&["--model", name, "tracks"]).assert(2, &["--model"]);
    }
    workdir.run(&["--provenance", "tracks"]).assert(2, &["--csv"]);
    workdir.run(&["--threads", "0", "tracks"]).assert(2, &["--threads"]);
    workdir.run(&["--device", "abacus", "tracks"]).assert(2, &["abacus", "flex"]);
    let help = workdir.run(&["--help"]);
    for word in [
        "--model",
        "both",
        "--artifacts",
        "--json",
        "--csv",
        "--provenance",
        "--threads",
        "--device",
        "TONEARM_ARTIFACTS",
        "Exit codes",
    ] {
        assert!(help.assert(0, &[]).stdout.contains(word), "{word} is not in\n{}", help.stdout);
    }
}

#[test]
fn ctrl_c_finishes_what_was_begun() {
    let workdir = Workdir::new();
    let tracks = many_tracks(&workdir);
    let mut child = workdir
        .command(&["--json", "--threads", "2", "tracks"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = String::new();
    stdout.read_line(&mut lines).expect("text");
    signal(&child, "-INT");
    stdout.read_to_string(&mut lines).expect("text");
    let rest = child.wait_with_output().expect("ends");
    let ran = Ran { stdout: lines, ..Ran::new(rest) };
    ran.assert(130, &["interrupted", "files are left", "--output FILE.csv"]);
    let done = ran.json();
    assert!(done.len() < tracks, "all {tracks} were done");
    for (number, line) in done.iter().enumerate() {
        assert_eq!(line["file"], format!("tracks/{number:03}.wav"));
    }
}

#[test]
fn a_reader_that_has_enough_ends_it() {
    let workdir = Workdir::new();
    many_tracks(&workdir);
    let mut child =
        workdir.command(&["--csv", "tracks"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
    assert!(line.starts_with("file,model"), "{line}");
    Ran::new(child.wait_with_output().expect("ends")).assert(0, &[]);
}

#[test]
fn folders_that_lead_round_end() {
    let workdir = Workdir::with_tracks();
    std::os::unix::fs::symlink("..", workdir.path("tracks/b/up")).expect("links");
    assert_eq!(workdir.run(&["--json", "tracks"]).assert(0, &[]).json().len(), TRACKS.len());
    std::os::unix::fs::symlink("gone", workdir.path("tracks/nowhere.wav")).expect("links");
    assert_eq!(workdir.run(&["--json", "tracks"]).assert(0, &[]).json().len(), TRACKS.len());
    workdir.run(&["tracks/nowhere.wav"]).assert(1, &["tracks/nowhere.wav: failed to read it"]);
}
