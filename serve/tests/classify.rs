//! `serve classify` as it is run: what it writes, and what it exits with.

#[path = "http/model.rs"]
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
mod model;
#[path = "http/network.rs"]
mod network;
#[path = "http/wav.rs"]
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
mod wav;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use models::artifact;
use serde_json::Value;
use serve::{
    Engine, Input, Limits, PredictRequest,
    config::{Compute, ModelKind},
    engine::model::SYNTHETIC_WARNING,
};
use tempfile::TempDir;

use wav::Sound;

/// A folder with artifacts of both models in `artifacts`, and with tracks in `tracks`.
struct Workdir(TempDir);

impl Workdir {
    fn new() -> Self {
        let workdir = Self(tempfile::tempdir().expect("a folder"));
        for kind in ModelKind::ALL {
            model::write(&workdir.0.path().join("artifacts"), kind);
        }
        fs::create_dir(workdir.0.path().join("tracks")).expect("makes a folder");
        workdir
    }

    /// With six tracks.
    fn with_tracks() -> Self {
        let workdir = Self::new();
        workdir.write("tracks/a.wav", &Sound::Low.wav(3.0, 1));
        workdir.write("tracks/b/c, \"d\"\n.wav", &Sound::High.wav(9.0, 2));
        workdir.write("tracks/b/e.flac", &Sound::Noise.flac(2.5, 3));
        workdir.write("tracks/f.wav", &Sound::High.wav(2.5, 4));
        workdir.write("tracks/named as a track.txt", &Sound::Low.wav(5.0, 5));
        workdir.write("tracks/z.wav", &Sound::Noise.wav(4.0, 6));
        workdir
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("below a folder")).expect("makes a folder");
        fs::write(path, bytes).expect("writes");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serve"));
        for variable in ["ARTIFACTS", "FALLBACK_ARTIFACTS", "CONFIG", "DEVICE", "THREADS", "MAX_SECONDS"] {
            command.env_remove(format!("TONEARM_{variable}"));
        }
        // Neither settings nor models of the person who runs the tests.
        command.env("XDG_CONFIG_HOME", self.0.path().join("none")).env("XDG_DATA_HOME", self.0.path().join("none"));
        command.current_dir(self.0.path()).stdin(Stdio::null()).arg("classify").args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::new(self.command(args).output().expect("runs"))
    }
}

/// What came of a run.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn new(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    fn assert(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word} is not in\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
    }
}

const TRACKS: [(&str, Sound); 6] = [
    ("tracks/a.wav", Sound::Low),
    ("tracks/b/c, \"d\"\n.wav", Sound::High),
    ("tracks/b/e.flac", Sound::Noise),
    ("tracks/f.wav", Sound::High),
    ("tracks/named as a track.txt", Sound::Low),
    ("tracks/z.wav", Sound::Noise),
];

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
    assert_eq!(words, [["file", "model"], [a, "svm"], [a, "vgg19"], [z, "svm"], [z, "vgg19"]]);
}

#[test]
fn json_is_the_response_of_the_server_with_the_file() {
    let workdir = Workdir::with_tracks();
    let ran = workdir.run(&["--json", "--model", "both", "tracks"]);
    assert_eq!(ran.assert(0, &[]).stderr, "");
    let lines = ran.json();
    assert_eq!(lines.len(), 2 * TRACKS.len());
    let models = ModelKind::ALL.map(model::of);
    let engine = Engine::new(&ModelKind::ALL, &Limits::default(), &Compute::default(), None).expect("threads");
    let engine = Arc::new(engine);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for (line, number) in lines.into_iter().zip(0..) {
        let ((name, sound), model) = (TRACKS[number / 2], &models[number % 2]);
        let bytes = fs::read(workdir.0.path().join(name)).expect("is there");
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
        assert_eq!(line, expected);
    }
}

/// Whatever the form, a model is known by its name, and one that was trained on synthetic audio is told as such.
#[test]
fn a_model_is_named_and_says_where_it_comes_from() {
    let workdir = Workdir::with_tracks();
    let artifacts = workdir.0.path().join("artifacts");
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
    let mut reader = csv::Reader::from_reader(ran.stdout.as_bytes());
    let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    assert_eq!(header, ["file", "model", "genre", "probability", "blues", "classical", "metal", "error"]);
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect();
    let (broken, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row[0] == "tracks/broken.wav");
    assert_eq!(broken[0][1..7], ["svm", "", "", "", "", ""]);
    assert!(broken[0][7].contains("truncated"), "{broken:?}");
    for (row, (name, sound)) in rows.iter().zip(TRACKS) {
        assert_eq!(row[..3], [name, "svm", sound.label()]);
        let probabilities: Vec<f64> = row[4..7].iter().map(|cell| cell.parse().expect("a number")).collect();
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{row:?}");
        let best = header[4..7].iter().position(|label| label == sound.label()).expect("a label");
        assert_eq!(row[3], row[4 + best]);
        assert_eq!(row[7], "");
    }
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
fn of_a_folder_what_is_no_audio_is_skipped_and_of_names_it_is_a_failure() {
    let workdir = Workdir::with_tracks();
    workdir.write("tracks/cover.jpg", b"\xff\xd8\xff\xe0 an image");
    workdir.write("tracks/b/notes.txt", b"not a track");
    workdir.write("tracks/empty.wav", b"");
    workdir.write("tracks/.hidden.wav", b"hidden");
    workdir.write("tracks/.git/x.wav", b"hidden");
    let ran = workdir.run(&["--json", "tracks"]);
    let words = ["tracks/cover.jpg: skipped: not audio", "tracks/b/notes.txt: skipped", "tracks/empty.wav: skipped"];
    ran.assert(0, &words).assert(0, &["6 of 9 files classified, 3 skipped"]);
    assert!(!ran.stderr.contains("hidden") && !ran.stderr.contains(".git"), "{}", ran.stderr);
    assert_eq!(ran.json().len(), TRACKS.len());

    let ran = workdir.run(&["--json", "tracks/cover.jpg", "tracks/a.wav", "nowhere.wav", "tracks/.hidden.wav"]);
    ran.assert(
        1,
        &["tracks/cover.jpg: not audio", "nowhere.wav: failed to read it", "1 of 4 files classified, 3 failed"],
    );
    let lines = ran.json();
    let problem = |line: &Value| (line["problem"]["type"].clone(), line["problem"]["status"].clone());
    assert_eq!(problem(&lines[0]), ("/problems/not-audio".into(), 415.into()));
    assert_eq!(lines[1]["predicted_genre"], "blues");
    assert_eq!(problem(&lines[2]), ("about:blank".into(), 404.into()));
    assert_eq!((&lines[2]["file"], &lines[2]["model"]["name"]), (&"nowhere.wav".into(), &"svm".into()));
    assert_eq!(problem(&lines[3]), ("/problems/not-audio".into(), 415.into()));

    fs::create_dir(workdir.0.path().join("nothing")).expect("makes a folder");
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
    let version = artifact::resolve(&workdir.0.path().join("artifacts"), Some("svm")).expect("in use");
    let url = format!("file://{}", version.display());
    workdir.run(&["--artifacts", &url, "tracks/a.wav"]).assert(0, &[]);
    workdir.run(&["--artifacts", "http://me:hush@127.0.0.1:1/x?y", "tracks"]).assert(2, &["--artifacts", "http://…"]);
    fs::write(version.join("weights.safetensors"), "damage").expect("writes");
    workdir.run(&["tracks"]).assert(1, &["damaged"]);
}

#[test]
fn wrong_usage_is_refused() {
    let workdir = Workdir::with_tracks();
    workdir.run(&[]).assert(2, &["FILE"]);
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

#[cfg(unix)]
fn many_tracks(workdir: &Workdir) -> usize {
    const TRACKS: usize = 500;
    workdir.write("track.wav", &Sound::High.wav(60.0, 1));
    for number in 0..TRACKS {
        let link = workdir.0.path().join(format!("tracks/{number:03}.wav"));
        std::os::unix::fs::symlink(workdir.0.path().join("track.wav"), link).expect("links");
    }
    TRACKS
}

#[cfg(unix)]
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
    assert!(interrupt(&child).success());
    stdout.read_to_string(&mut lines).expect("text");
    let rest = child.wait_with_output().expect("ends");
    let ran = Ran { stdout: lines, ..Ran::new(rest) };
    ran.assert(130, &["interrupted"]);
    let done = ran.json();
    assert!(done.len() < tracks, "all {tracks} were done");
    for (number, line) in done.iter().enumerate() {
        assert_eq!(line["file"], format!("tracks/{number:03}.wav"));
    }
}

#[cfg(unix)]
fn interrupt(child: &std::process::Child) -> std::process::ExitStatus {
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("runs")
}

#[cfg(unix)]
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

#[cfg(unix)]
#[test]
fn folders_that_lead_round_end() {
    let workdir = Workdir::with_tracks();
    std::os::unix::fs::symlink("..", workdir.0.path().join("tracks/b/up")).expect("links");
    assert_eq!(workdir.run(&["--json", "tracks"]).assert(0, &[]).json().len(), TRACKS.len());
    let link = Path::new("tracks/nowhere.wav");
    std::os::unix::fs::symlink("gone", workdir.0.path().join(link)).expect("links");
    assert_eq!(workdir.run(&["--json", "tracks"]).assert(0, &[]).json().len(), TRACKS.len());
    workdir.run(&["tracks/nowhere.wav"]).assert(1, &["tracks/nowhere.wav: failed to read it"]);
}
