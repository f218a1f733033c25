//! Anybody's genres: datasets of every form and size, from training to an answer.

use std::{fs, path::Path};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tests::{
    Server,
    datasets::{self, trained, write_search},
    multipart, request, run, train,
};

/// What `train` says when it must fail.
fn refused(at: &Path, arguments: &[&str]) -> String {
    let output = run("train", at, &[], arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// The labels of the model in use below `at/artifacts/NAME`.
fn labels_of(at: &Path, name: &str) -> Vec<String> {
    let folder = at.join("artifacts").join(name);
    let version = fs::read_to_string(folder.join("CURRENT")).expect("CURRENT");
    let manifest = fs::read(folder.join(version.trim()).join("artifact.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    manifest["labels"]
        .as_array()
        .expect("labels")
        .iter()
        .map(|label| label.as_str().expect("text").to_owned())
        .collect()
}

/// What a server says of a file, by form and by the Open Inference Protocol, and `classify`, which must say the same.
fn answers(at: &Path, file: &Path) -> Value {
    let server = Server::start("svm", &at.join("artifacts"));
    let bytes = fs::read(file).expect("a file");
    let (content_type, form) = multipart("audio_file", "track", &bytes);
    let answer = request(server.address, "POST", "/predict", Some(&content_type), &form).expect("an answer");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let answer = answer.json();

    let metadata = request(server.address, "GET", "/v2/models/svm", None, b"").expect("an answer");
    assert_eq!(metadata.status, 200);
    let n_labels = answer["probabilities"].as_object().expect("probabilities").len();
    assert_eq!(metadata.json()["outputs"][1]["shape"], json!([-1, n_labels]));
    let audio = BASE64_STANDARD.encode(&bytes);
    let input = json!({ "inputs": [{ "name": "audio", "datatype": "BYTES", "shape": [1], "data": [audio] }] });
    let inferred =
        request(server.address, "POST", "/v2/models/svm/infer", Some("application/json"), input.to_string().as_bytes())
            .expect("an answer")
            .json();
    assert_eq!(inferred["outputs"][0]["data"], json!([answer["predicted_genre"]]), "{inferred}");
    assert_eq!(inferred["outputs"][1]["shape"], json!([1, n_labels]));
    assert_eq!(inferred["outputs"][1]["data"].as_array().expect("probabilities").len(), n_labels);
    let output =
        run("serve", at, &[], &["classify", "--json", "--artifacts", "artifacts", file.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let classified: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(classified.to_string().contains(answer["predicted_genre"].as_str().expect("a label")), "{classified}");
    answer
}

#[test]
fn two_labels_in_nested_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let dataset = datasets::two(at);
    fs::write(dataset.join("марш/cover.jpg"), b"\xff\xd8\xff\xe0").expect("a file");
    fs::write(dataset.join("notes.txt"), "words").expect("a file");
    write_search(at);
    let data = dataset.to_str().expect("UTF-8");
    let report = trained(at, &["svm", "--data", data, "--search", "search.json"]);
    assert_eq!(labels_of(at, "svm"), ["вальс", "марш"]);
    assert_eq!(report["held_out"], "artist-kfold:4");
    assert_eq!(report["unused"]["counts"], json!({ "not_audio": 2 }));
    assert_eq!(report["unused"]["files"][0]["file"], "notes.txt");
    assert!(report["evaluation"]["accuracy"].as_f64().expect("a number") > 0.8, "{}", report["evaluation"]);
    assert!(report["notes"][0].as_str().expect("a note").contains("all 24 clips"), "{}", report["notes"]);

    let answer = answers(at, &dataset.join("вальс/Artist вальс 0/Album 0/00.wav"));
    assert_eq!(answer["probabilities"].as_object().expect("probabilities").len(), 2);
    assert_eq!(answer["predicted_genre"], "вальс");

    let audit = trained(at, &["audit", "--data", data]);
    assert_eq!((&audit["clips"], &audit["findings"]), (&json!(24), &json!([])), "{audit}");
    let evaluated = trained(at, &["evaluate", "--artifact", "artifacts/svm", "--data", data, "--split", "everything"]);
    assert_eq!(evaluated["n"], 24, "{evaluated}");
    train(at, &["manifest", "--data", data, "--out", "clips.csv"]);
    let table = fs::read_to_string(at.join("clips.csv")).expect("a table");
    assert!(table.contains("вальс.Artist вальс 0.Album 0.00,вальс,Artist вальс 0,"), "{table}");
}

#[test]
fn files_that_something_is_wrong_with_are_used_and_named_or_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let dataset = datasets::two(at);
    write_search(at);
    let data = dataset.to_str().expect("UTF-8");
    // Cut short by a fifth, as a download is; its header still says 3 s.
    let short = "вальс/Artist вальс 1/Album 1/00.wav";
    let whole = fs::read(dataset.join(short)).expect("a file");
    fs::write(dataset.join(short), &whole[..44 + (whole.len() - 44) * 4 / 5]).expect("a file");
    datasets::write_wav(&dataset.join("марш/silence.wav"), &vec![0.0; 3 * 22_050]);

    let inspected = trained(at, &["inspect", dataset.join(short).to_str().expect("UTF-8")]);
    let warnings = &inspected["audio"]["warnings"];
    assert_eq!((warnings.as_array().map(Vec::len), &warnings[0]["kind"]), (Some(1), &json!("truncated")), "{warnings}");
    let lost = warnings[0]["lost_seconds"].as_f64().expect("seconds");
    assert!((lost - 0.6).abs() < 0.01, "{warnings}");
    assert!(inspected["audio"]["tags"].is_object(), "{inspected}");

    let report = trained(at, &["svm", "--data", data, "--search", "search.json"]);
    assert_eq!(report["warnings"]["counts"], json!({ "truncated": 1 }));
    assert_eq!(report["warnings"]["files"], json!([{ "file": short, "warnings": warnings }]));
    assert_eq!(report["unused"]["counts"], json!({ "silent": 1 }));
    assert_eq!(report["unused"]["files"][0]["file"], "марш/silence.wav");

    let extract = |arguments: &[&str]| {
        let output = run("train", at, &[], &[&["extract", "--data", data, "--out", "store"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (stdout, stderr) = extract(&[]);
    assert!(stdout.contains(": 24 clips"), "{stdout}");
    let said = "1 file is used and has warnings, which --strict leaves out: 1 truncated\n";
    assert!(stderr.contains(said) && stderr.contains(&format!("  {short}: ")), "{stderr}");
    // A store has features, and says nothing of the files.
    let of_store = trained(at, &["svm", "--data", "store", "--search", "search.json"]);
    assert_eq!(of_store["warnings"], json!({ "counts": {}, "files": [] }));
    let (stdout, stderr) = extract(&["--strict"]);
    assert!(stdout.contains(": 23 clips") && !stderr.contains("is used and has"), "{stdout}{stderr}");
    let said = "2 files are not used: 1 with warnings, 1 silent\n";
    assert!(stderr.contains(said) && stderr.contains(&format!("  {short}: with warnings: ")), "{stderr}");

    let audit = trained(at, &["audit", "--data", data]);
    let found = audit["findings"].as_array().expect("a list").iter();
    let found: Vec<_> = found.map(|finding| (finding["clip_id"].clone(), finding["fault"].clone())).collect();
    let short = "вальс.Artist вальс 1.Album 1.00";
    assert_eq!(found, [(json!("silence"), json!("silent")), (json!(short), json!("warning"))], "{audit}");
}

#[test]
fn three_unbalanced_labels_with_a_split_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let dataset = datasets::three(at);
    write_search(at);
    let data = dataset.to_str().expect("UTF-8");
    let report = trained(at, &["svm", "--data", data, "--search", "search.json"]);
    assert_eq!(labels_of(at, "svm"), ["Ländler", "R&B, slow", "polka"]);
    assert_eq!((&report["held_out"], &report["shared_groups"]), (&json!("given:valid"), &json!(0)));
    let evaluated = trained(at, &["evaluate", "--artifact", "artifacts/svm", "--data", data, "--split", "given:test"]);
    assert_eq!(evaluated["n"], 10, "{evaluated}");
    assert_eq!(evaluated["seen_in_training"], 0);
    let answer = answers(at, &dataset.join("test/R&B, slow/2-3-0.wav"));
    assert_eq!(answer["probabilities"].as_object().expect("probabilities").len(), 3);
    let scores = at.join("scores.csv");
    let scores_arg = scores.to_str().expect("UTF-8");
    train(
        at,
        &["evaluate", "--artifact", "artifacts/svm", "--data", data, "--split", "given:test", "--scores", scores_arg],
    );
    let mut table = csv_rows(&fs::read_to_string(&scores).expect("a table"));
    assert_eq!(table.remove(0), ["clip_id", "genre", "predicted", "Ländler", "R&B, slow", "polka"]);
    assert!(table.iter().all(|row| row.len() == 6), "a label with a comma is one cell");
}

/// The cells of a CSV table without line breaks in them.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let row = |line: &str| {
        let (mut cells, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                c => cells.last_mut().expect("a cell").push(c),
            }
        }
        cells
    };
    text.lines().map(row).collect()
}

#[test]
fn twenty_six_labels_of_a_manifest() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let table = datasets::twenty_six(at);
    write_search(at);
    let data = table.to_str().expect("UTF-8");
    train(at, &["extract", "--data", data, "--out", "store"]);
    let report = trained(at, &["svm", "--data", "store", "--search", "search.json"]);
    let labels = labels_of(at, "svm");
    assert_eq!((labels.len(), labels[0].as_str()), (26, "a · ночь"));
    assert!(report["evaluation"]["accuracy"].as_f64().expect("a number") > 0.5, "{}", report["evaluation"]["accuracy"]);
    let answer = answers(at, &table.with_file_name("files/0/b00"));
    assert_eq!(answer["probabilities"].as_object().expect("probabilities").len(), 26);
    let audit = trained(at, &["audit", "--data", data]);
    assert_eq!(audit["clips"], 208);
    let text =
        train(at, &["evaluate", "--artifact", "artifacts/svm", "--data", "store", "--split", "everything", "--json"]);
    assert!(text.contains("z · nuit") || text.contains("z · 夜"), "{text}");
}

#[test]
fn three_hundred_labels_in_fmas_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let dataset = datasets::three_hundred(at);
    write_search(at);
    let data = dataset.to_str().expect("UTF-8");
    train(at, &["extract", "--data", data, "--out", "store"]);
    let report = trained(at, &["svm", "--data", "store", "--search", "search.json"]);
    assert_eq!(labels_of(at, "svm").len(), 300);
    assert_eq!(report["held_out"], "given:test");
    assert_eq!(report["evaluation"]["n"], 300);
    assert!(report["evaluation"]["accuracy"].as_f64().expect("a number") > 0.3, "{}", report["evaluation"]["accuracy"]);
    let answer = answers(at, &dataset.join("fma_small/001/001001.mp3"));
    assert_eq!(answer["probabilities"].as_object().expect("probabilities").len(), 300);
}

#[test]
fn labels_of_others_beside_known_ones_are_all_trained_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    for (index, label) in ["jazz", "rock", "dubstep", "k-pop"].into_iter().enumerate() {
        for artist in 0..6 {
            // Names like GTZAN's are names.
            let name = format!("data/{label}/{label}.{artist:05}.wav");
            datasets::write_wav(&at.join(name), &datasets::take(index, artist, 0, 3.0));
        }
    }
    write_search(at);
    let report = trained(at, &["svm", "--data", "data", "--search", "search.json"]);
    assert_eq!(labels_of(at, "svm"), ["dubstep", "jazz", "k-pop", "rock"]);
    assert_eq!(report["held_out"], "artist-kfold:4", "it is not taken for GTZAN");
    assert!(report["notes"].to_string().contains("12 clips have the names of GTZAN's"), "{}", report["notes"]);
    let manifest = fs::read_to_string(at.join("artifacts/svm/CURRENT")).expect("CURRENT");
    let card = train(at, &["card", "--artifact", &format!("artifacts/svm/{}", manifest.trim())]);
    assert!(!card.contains("Hooker") && !card.contains("Kereliuk"), "{card}");
    let audit = trained(at, &["audit", "--data", "data"]);
    assert_eq!(audit["findings"].as_array().expect("findings").len(), 12);
    assert!(
        audit["findings"].as_array().expect("findings").iter().all(|found| found["fault"] == "not_gtzan"),
        "{audit}"
    );
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_and_any_ending_are_trained_on() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    for (index, label) in [b"caf\xe9".as_slice(), b"new\nline"].into_iter().enumerate() {
        for (artist, ending) in [b".opus".as_slice(), b".m4b", b"", b".wav", b".\xff", b".txt"].into_iter().enumerate()
        {
            let name = [format!("{index} {artist}").as_bytes(), ending].concat();
            let path = at.join("data").join(OsStr::from_bytes(label)).join(OsStr::from_bytes(&name));
            datasets::write_wav(&path, &datasets::take(index, artist, 0, 3.0));
        }
    }
    write_search(at);
    let report = trained(at, &["svm", "--data", "data", "--search", "search.json"]);
    assert_eq!(labels_of(at, "svm"), ["caf%E9", "new%0Aline"]);
    assert_eq!(report["unused"]["files"], json!([]));
}

#[test]
fn one_class_or_one_artist_is_told_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    for artist in 0..4 {
        let name = format!("one/polka/{artist}.wav");
        datasets::write_wav(&at.join(name), &datasets::take(0, artist, 0, 3.0));
    }
    let said = refused(at, &["svm", "--data", "one"]);
    assert!(said.contains("all 4 clips are polka") && said.contains("two labels or more"), "{said}");

    let mut table = String::from("path,label,artist\n");
    for (index, label) in ["polka", "waltz"].into_iter().enumerate() {
        for artist in 0..4 {
            let name = format!("{label}{artist}.wav");
            datasets::write_wav(&at.join(&name), &datasets::take(index, artist, 0, 3.0));
            let artist = if index == 0 { "Frankie Yankovic".to_owned() } else { format!("Johann {artist}") };
            table += &format!("{name},{label},{artist}\n");
        }
    }
    fs::write(at.join("tracks.csv"), &table).expect("a table");
    let said = refused(at, &["svm", "--data", "tracks.csv"]);
    assert!(said.contains("polka has 4 clips of 1 artist") && said.contains("--label-map"), "{said}");
    assert!(said.contains("track-kfold"), "{said}");
}

#[test]
fn spellings_are_told_and_merged_on_demand() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    for (index, label) in ["Hip-Hop", "hip hop", "podcast", "polka"].into_iter().enumerate() {
        for artist in 0..4 {
            let name = format!("data/{label}/{index}{artist}.wav");
            datasets::write_wav(&at.join(name), &datasets::take(index.max(1), 10 * index + artist, 0, 3.0));
        }
    }
    write_search(at);
    fs::write(at.join("map.csv"), "from,to\npodcast,\n").expect("a table");
    let report = trained(at, &["svm", "--data", "data", "--search", "search.json"]);
    assert_eq!(labels_of(at, "svm"), ["Hip-Hop", "hip hop", "podcast", "polka"]);
    assert!(report["notes"].to_string().contains("--merge-labels"), "{}", report["notes"]);
    let more = ["--merge-labels", "--label-map", "map.csv", "--artifacts", "merged"];
    let report = trained(at, &[&["svm", "--data", "data", "--search", "search.json"], &more[..]].concat());
    assert_eq!(report["unused"]["counts"], json!({ "excluded": 4 }));
    let version = fs::read_to_string(at.join("merged/svm/CURRENT")).expect("CURRENT");
    let manifest = fs::read(at.join("merged/svm").join(version.trim()).join("artifact.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["labels"], json!(["Hip-Hop", "polka"]));
}

/// The blocks of commands of a document.
fn commands(document: &str) -> Vec<String> {
    document
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .collect()
}

#[test]
fn the_commands_of_the_page_on_training_run_as_they_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut table = String::from("path,label,artist\n");
    for (index, label) in ["polka", "Polka", "waltz", "podcast"].into_iter().enumerate() {
        for artist in 0..6 {
            let name = format!("music/{label}/Artist {index}{artist}/Album/{index}{artist}.wav");
            datasets::write_wav(&at.join(&name), &datasets::take(index.max(1), 10 * index + artist, 0, 3.0));
            if label != "Polka" {
                table += &format!("{name},{label},Artist {index}{artist}\n");
            }
        }
    }
    fs::write(at.join("tracks.csv"), table).expect("a table");
    fs::write(at.join("map.csv"), "from,to\npodcast,\n").expect("a table");
    datasets::write_wav(&at.join("song.wav"), &datasets::take(2, 99, 0, 8.0));
    let page = include_str!("../../docs/training.md");
    let blocks = commands(page);
    assert_eq!(blocks.len(), page.matches("```").count() / 2, "every block is one of commands");
    let programs = tests::binary("train");
    let programs = programs.parent().expect("a folder").to_owned();
    let path = std::env::join_paths(
        [programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    for block in blocks {
        let mut shell = std::process::Command::new("bash");
        shell.args(["-euc", &block]).current_dir(at).env("PATH", path.as_ref().expect("a path"));
        for variable in ["TONEARM_DATA", "TONEARM_ARTIFACTS"] {
            shell.env_remove(variable);
        }
        let output = shell.output().expect("bash runs");
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(labels_of(at, "svm"), ["Polka", "podcast", "polka", "waltz"], "the last training was of all labels");
}
