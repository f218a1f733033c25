//! The real program on bad and short recordings of a small synthetic dataset.

mod program;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use program::{dataset, done, experiments, files, json, svm, vgg19};
use serde_json::Value;

const SPLIT: &str = "[\"artist-kfold:2\"]";
const DEGRADATIONS: &str = "
[lengths]
seconds = [1.4, 2, 3]
excerpts = 2
[[degradations]]
name = \"same\"
steps = [{ kind = \"gain\", db = 0 }]
[[degradations]]
name = \"noise\"
steps = [{ kind = \"gain\", db = -20 }, { kind = \"noise\", colour = \"white\", db = 0, relative_to = \"full-scale\" }]
[[degradations]]
name = \"mp3\"
codec = { name = \"mp3\", kbits = 64 }
";

/// A declaration of these experiments.
fn robustness(experiments: &str, seeds: &str, degradations: &str) -> String {
    format!("name = \"bad\"\nexperiments = {experiments}\nsplit = \"artist-kfold:2\"\nseeds = {seeds}\n{degradations}")
}

/// A folder with these files.
fn folder(declarations: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in declarations {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn store() -> String {
    dataset().to_str().expect("UTF-8").to_owned()
}

fn audio() -> String {
    dataset().with_file_name("audio").to_str().expect("UTF-8").to_owned()
}

/// The conditions of the first experiment, by their names.
fn conditions(printed: &Value) -> BTreeMap<String, Value> {
    let of = &printed["robustness"][0];
    let lists =
        ["degradations", "lengths", "recordings"].into_iter().flat_map(|list| of[list].as_array().expect("a list"));
    let all = lists.chain([&of["clean"]]);
    all.map(|one| (one["name"].as_str().expect("a name").to_owned(), one.clone())).collect()
}

/// A program that answers as ffmpeg does, and whose codec loses nothing: what it writes is a WAV.
fn lossless_ffmpeg(at: &Path) -> PathBuf {
    let program = at.join("lossless");
    let script = r#"#!/bin/sh
case "$*" in
-version) echo "ffmpeg version 0.0-lossless of a test" ;;
*-encoders*) printf ' ------\n A....D libmp3lame    MP3\n' ;;
*) for to; do :; done
   { printf 'RIFF\377\377\377\377WAVEfmt \020\000\000\000\001\000\001\000\042\126\000\000\104\254\000\000\002\000\020\000data\377\377\377\377'; cat; } > "$to" ;;
esac
"#;
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    program
}

#[test]
fn conditions_are_measured_stored_and_shown() {
    let at = folder(&[
        ("small.toml", svm("small", SPLIT, "[1]", "")),
        ("bad.toml", robustness("[\"small.toml\"]", "[1]", DEGRADATIONS)),
    ]);
    let (at, store, audio) = (at.path(), store(), audio());
    let arguments = ["robustness", "bad.toml", "--data", &store, "--audio", &audio, "--recordings", &audio];
    let arguments = [&arguments[..], &["--ffmpeg", "no-such-ffmpeg", "--out", "figures.json"]].concat();
    let printed = json(at, &[&arguments[..], &["--threads", "2"]].concat());
    let of = &printed["robustness"][0];
    assert_eq!((&of["clips"], &of["without_audio"], &of["fitted_on"]), (&80.into(), &0.into(), &40.into()));
    assert_eq!(of["left_out"][0]["name"], "mp3");
    let reason = of["left_out"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("no-such-ffmpeg"), "{reason}");
    assert!(of["remarks"].to_string().contains("Synthetic music"), "{of}");

    // The models are those of `run`, and the audio is what the store was made of.
    let run = json(at, &["run", "small.toml", "--data", &store]);
    let conditions = conditions(&printed);
    assert_eq!(conditions["clean"]["accuracy"], run["jobs"][0]["result"]["evaluation"]["accuracy"]);
    assert_eq!(conditions["clean"]["log_loss"], run["jobs"][0]["result"]["evaluation"]["log_loss"]);
    for same in ["same", "recordings", "3 s"] {
        let one = &conditions[same];
        assert_eq!(
            (&one["agreement"], &one["difference"], &one["n"]),
            (&1.0.into(), &0.0.into(), &80.into()),
            "{same}"
        );
        assert_eq!(one["accuracy"], conditions["clean"]["accuracy"], "{same}");
    }
    let number = |condition: &str, field: &str| conditions[condition][field].as_f64().expect("a number");
    assert!(number("noise", "accuracy") < number("clean", "accuracy") - 0.3, "{conditions:?}");
    assert!(number("noise", "novel") > 0.9 && number("clean", "novel") < 0.3, "{conditions:?}");
    assert_eq!((&conditions["1.4 s"]["n"], &conditions["2 s"]["n"]), (&160.into(), &80.into()));
    let mean = (number("same", "accuracy") + number("noise", "accuracy")) / 2.0;
    assert!((of["over_degradations"]["accuracy"].as_f64().expect("a number") - mean).abs() < 1e-12);
    assert_eq!(of["over_degradations"]["least"], "noise");

    // Nothing is measured twice, and one thread gives the same bytes.
    let again = json(at, &arguments);
    assert_eq!((&again["results"][0]["measured_before"], &again["robustness"]), (&true.into(), &printed["robustness"]));
    let other =
        folder(&["small.toml", "bad.toml"].map(|name| (name, fs::read_to_string(at.join(name)).expect("there"))));
    let text = done(other.path(), &[&arguments[..], &["--threads", "1"]].concat());
    assert!(text.contains("mean accuracy") && text.contains("Left out: mp3: codecs need ffmpeg"), "{text}");
    let of_robustness = |at: &Path| -> Vec<_> {
        files(at)
            .into_iter()
            .filter(|(path, _)| path.to_string_lossy().contains("bad.artist-kfold-2.seed-1."))
            .collect()
    };
    let (ours, theirs) = (of_robustness(at), of_robustness(other.path()));
    assert_eq!(ours.len(), 3);
    assert!(ours == theirs, "{:?}", ours.iter().zip(&theirs).find(|(a, b)| a != b).map(|(a, _)| &a.0));
    assert_eq!(
        fs::read(at.join("figures.json")).expect("written"),
        fs::read(other.path().join("figures.json")).expect("written")
    );
    let result = ours.iter().find(|(path, _)| path.ends_with("robustness.json")).expect("one");
    let result = String::from_utf8_lossy(&result.1).into_owned();
    assert!(!result.contains(&audio) && !result.contains(&store) && !result.contains("no-such-ffmpeg\""), "{result}");

    // They are no results of experiments, and stand in the report of the one whose models they are of.
    assert_eq!(json(at, &["leaderboard"]).as_array().expect("a list").len(), 1);
    json(at, &["report", "small", "--out", "page.html"]);
    let page = fs::read_to_string(at.join("page.html")).expect("a page");
    for words in ["Bad and short recordings", "Accuracy by length", "<td>noise</td>", "Left out: mp3"] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn a_codec_that_loses_nothing_changes_nothing_and_ffmpeg_is_part_of_the_key() {
    let codec = "[[degradations]]\nname = \"mp3\"\ncodec = { name = \"mp3\", kbits = 64 }\n\
                 [[degradations]]\nname = \"opus\"\ncodec = { name = \"opus\" }\n";
    let at = folder(&[
        ("small.toml", svm("small", SPLIT, "[1]", "")),
        ("bad.toml", robustness("[\"small.toml\"]", "[1]", codec)),
    ]);
    let at = at.path();
    let ffmpeg = lossless_ffmpeg(at);
    let (store, audio, program) = (store(), audio(), ffmpeg.to_str().expect("UTF-8").to_owned());
    let arguments = ["robustness", "bad.toml", "--data", &store, "--audio", &audio, "--ffmpeg", &program];
    let printed = json(at, &arguments);
    let conditions = conditions(&printed);
    assert_eq!((&conditions["mp3"]["agreement"], &conditions["mp3"]["difference"]), (&1.0.into(), &0.0.into()));
    let left_out = &printed["robustness"][0]["left_out"];
    assert_eq!((&left_out[0]["name"], left_out.as_array().map(Vec::len)), (&"opus".into(), Some(1)), "{left_out}");
    assert!(left_out[0]["reason"].as_str().is_some_and(|reason| reason.contains("libopus")), "{left_out}");
    // What was encoded is cached.
    assert_eq!(fs::read_dir(at.join("data/cache/encoded")).expect("a cache").count(), 80);

    let script = fs::read_to_string(&ffmpeg).expect("there");
    fs::write(&ffmpeg, script.replace("0.0-lossless", "0.1-lossless")).expect("written");
    let other = json(at, &arguments);
    assert_eq!(other["results"][0]["measured_before"], false);
    assert_ne!(other["results"][0]["key"], printed["results"][0]["key"]);
    // One that fails is said, with what it said.
    fs::write(&ffmpeg, script.replace("0.0-lossless", "0.2").replace("for to; do :; done", "echo no room >&2; exit 1"))
        .expect("written");
    let failed = experiments(at, &arguments);
    let stderr = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && stderr.contains("libmp3lame -b:a 64k failed: no room"), "{stderr}");
}

#[test]
fn seeds_are_means_and_an_ensemble_joins_its_members() {
    let ensemble = "name = \"both\"\nsplits = [\"artist-kfold:2\"]\n[model]\nkind = \"ensemble\"\nmembers = [\"svm.toml\", \"vgg19.toml\"]\nweight = 1.0\n";
    let steps = "[[degradations]]\nname = \"noise\"\nsteps = [{ kind = \"noise\", colour = \"pink\", db = -10, relative_to = \"clip\" }]\n";
    let at = folder(&[
        ("svm.toml", svm("svm", SPLIT, "[1]", "")),
        ("vgg19.toml", vgg19("vgg19", SPLIT, "[1]")),
        ("both.toml", ensemble.to_owned()),
        ("bad.toml", robustness("[\"svm.toml\", \"both.toml\"]", "[1, 2]", steps)),
    ]);
    let (at, store, audio) = (at.path(), store(), audio());
    let arguments = ["robustness", "bad.toml", "--data", &store, "--audio", &audio];
    let printed = json(at, &arguments);
    let (svm, both) = (&printed["robustness"][0], &printed["robustness"][1]);
    assert_eq!((&svm["seeds"], &both["seeds"]), (&serde_json::json!([1, 2]), &serde_json::json!([1, 2])));
    // All of the weight on a member gives that member; novelty is of both.
    for condition in ["clean", "noise"] {
        let of = |one: &Value| match condition {
            "clean" => one["clean"].clone(),
            _ => one["degradations"][0].clone(),
        };
        for figure in ["accuracy", "ci95", "agreement", "n"] {
            assert_eq!(of(svm)[figure], of(both)[figure], "{condition}: {figure}");
        }
        let difference =
            of(svm)["log_loss"].as_f64().expect("a number") - of(both)["log_loss"].as_f64().expect("a number");
        assert!(difference.abs() < 1e-9, "{condition}: {difference}");
    }
    let of_seed = |seed: &str| {
        let one = json(at, &[&arguments[..], &["--seed", seed, "--experiment", "svm"]].concat());
        assert_eq!(one["results"].as_array().map(Vec::len), Some(1));
        assert_eq!(one["results"][0]["measured_before"], true);
        one["robustness"][0]["degradations"][0]["accuracy"].as_f64().expect("a number")
    };
    let mean = (of_seed("1") + of_seed("2")) / 2.0;
    assert!((svm["degradations"][0]["accuracy"].as_f64().expect("a number") - mean).abs() < 1e-12);
}

#[test]
fn an_artifact_is_measured_as_it_is() {
    let at = folder(&[("bad.toml", robustness("[\"none.toml\"]", "[1]", DEGRADATIONS))]);
    let (at, store, audio) = (at.path(), store(), audio());
    let artifact = Path::new(env!("CARGO_MANIFEST_DIR")).join("../artifacts/svm");
    let artifact = artifact.to_str().expect("UTF-8");
    let arguments = ["robustness", "bad.toml", "--data", &store, "--audio", &audio, "--artifact", artifact];
    let printed = json(at, &[&arguments[..], &["--ffmpeg", "no-such-ffmpeg"]].concat());
    let of = &printed["robustness"][0];
    assert_eq!((&of["model"], &of["clips"], &of["seeds"]), (&"svm".into(), &80.into(), &serde_json::json!([])));
    assert_eq!(conditions(&printed)["same"]["agreement"], 1.0);
    assert!(!at.join("experiments").exists(), "nothing is stored");
}

#[test]
fn mistakes_are_said_before_anything_is_fitted() {
    let at = folder(&[
        ("small.toml", svm("small", SPLIT, "[1]", "")),
        ("bad.toml", robustness("[\"small.toml\"]", "[1]", DEGRADATIONS)),
        ("absent.toml", robustness("[\"none.toml\"]", "[1]", DEGRADATIONS)),
        ("twice.toml", robustness("[\"small.toml\", \"small.toml\"]", "[1]", DEGRADATIONS)),
        ("segments.toml", svm("small", SPLIT, "[1]", "[data]\nsegments_per_clip = 2\n")),
        ("cut.toml", robustness("[\"segments.toml\"]", "[1]", DEGRADATIONS)),
    ]);
    let (store, audio) = (store(), audio());
    fs::create_dir(at.path().join("empty")).expect("a folder");
    let with = |file: &'static str, audio: &'static str, more: &[&'static str]| -> Vec<String> {
        let arguments = ["robustness", file, "--data", "STORE", "--audio", audio];
        arguments.iter().chain(more).map(|&word| word.to_owned()).collect()
    };
    for (arguments, words) in [
        (with("absent.toml", "AUDIO", &[]), "none.toml"),
        (with("twice.toml", "AUDIO", &[]), "have the name `small`"),
        (with("cut.toml", "AUDIO", &[]), "segments_per_clip"),
        (with("bad.toml", "nowhere", &[]), "nowhere"),
        (with("bad.toml", "empty", &[]), "none of the 80 held-out clips has a file of its name"),
        (with("bad.toml", "AUDIO", &["--recordings", "empty"]), "--recordings"),
        (with("bad.toml", "AUDIO", &["--seed", "7"]), "bad declares no seed 7"),
        (with("bad.toml", "AUDIO", &["--experiment", "svm"]), "bad declares no experiment svm"),
        (with("bad.toml", "AUDIO", &["--artifact", "nowhere"]), "nowhere"),
    ] {
        let arguments: Vec<String> =
            arguments.iter().map(|word| word.replace("STORE", &store).replace("AUDIO", &audio)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = experiments(at.path(), &arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?} succeeded");
        assert!(
            stderr.contains(words) && !stderr.contains("panicked"),
            "{arguments:?} does not say `{words}`: {stderr}"
        );
    }
    assert!(!at.path().join("experiments").exists(), "nothing is left");
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_the_others_are() {
    let at = folder(&[
        ("small.toml", svm("small", SPLIT, "[1]", "")),
        ("bad.toml", robustness("[\"small.toml\"]", "[1]", "[lengths]\nseconds = [2]\n")),
    ]);
    let (at, store) = (at.path(), store());
    fs::create_dir_all(at.join("some/flat")).expect("a folder");
    let all = files(&dataset().with_file_name("audio"));
    let wavs: Vec<_> = all.iter().filter(|(path, _)| path.extension().is_some_and(|ending| ending == "wav")).collect();
    for (number, (path, bytes)) in wavs.iter().take(12).enumerate() {
        // Of one a beginning that is too short, and one that is no audio.
        let bytes = match number {
            0 => &bytes[..1_500],
            1 => &b"RIFF\0\0\0\0WAVE nothing"[..],
            _ => &bytes[..],
        };
        fs::write(at.join("some/flat").join(path.file_name().expect("a name")), bytes).expect("written");
    }
    let output = experiments(at, &["robustness", "bad.toml", "--data", &store, "--audio", "some", "--json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&printed["robustness"][0]["clips"], &printed["robustness"][0]["without_audio"]),
        (&10.into(), &70.into())
    );
    let name = wavs[0].0.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(stderr.matches(&format!("{name} is not used")).count(), 1, "{stderr}");
}
