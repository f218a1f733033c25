//! The real program on a small synthetic corpus: what it keeps, finds again, chooses and compares.

mod program;

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use program::{command, corpus, done, experiments, files, json, machine, network};
use serde_json::Value;

/// A folder with these files, and the corpus as an argument.
fn folder(declarations: &[(&str, String)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in declarations {
        fs::write(folder.path().join(name), text).expect("written");
    }
    (folder, corpus().to_str().expect("UTF-8").to_owned())
}

fn results(at: &Path) -> Vec<std::path::PathBuf> {
    let found = fs::read_dir(at.join("experiments/results/small"))
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").path());
    // What was being written when a run was killed is hidden, and no result.
    let mut found: Vec<_> =
        found.filter(|path| !program::is_hidden(path) && path.join("result.json").is_file()).collect();
    found.sort();
    found
}

#[test]
fn killed_and_started_again_it_repeats_no_finished_job() {
    let seeds = "[1, 2, 3, 4, 5, 6, 7, 8]";
    let (at, corpus) = folder(&[("small.toml", machine("small", "[\"artist-kfold:2\"]", seeds, ""))]);
    let at = at.path();
    let arguments = ["run", "small.toml", "--data", &corpus, "--threads", "2"];
    let mut child = command(at, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    while results(at).len() < 2 {
        assert!(child.try_wait().expect("a status").is_none(), "it ended before it could be killed");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("it ends");

    let finished = results(at);
    assert!((2..8).contains(&finished.len()), "{} of 8 jobs were done", finished.len());
    let written = |dir: &Path| fs::metadata(dir.join("result.json")).expect("there").modified().expect("a time");
    let before: Vec<_> = finished.iter().map(|dir| written(dir)).collect();
    let said = json(at, &arguments);
    let found = said["jobs"].as_array().expect("jobs").iter().filter(|job| job["done_before"] == true).count();
    assert_eq!((said["jobs"].as_array().expect("jobs").len(), found), (8, finished.len()));
    assert_eq!(finished.iter().map(|dir| written(dir)).collect::<Vec<_>>(), before, "what was done stays as it is");

    // In one go, in another folder and on one thread: the same tables, bit for bit.
    let (other, _) = folder(&[("small.toml", fs::read_to_string(at.join("small.toml")).expect("there"))]);
    done(other.path(), &["run", "small.toml", "--data", &corpus, "--threads", "1"]);
    let (ours, theirs) = (files(&at.join("experiments")), files(&other.path().join("experiments")));
    assert_eq!(ours.len(), 8 * 3);
    assert!(ours == theirs, "{:?}", ours.iter().zip(&theirs).find(|(a, b)| a != b).map(|(a, _)| &a.0));
    let text = String::from_utf8(ours.into_iter().find(|(path, _)| path.ends_with("result.json")).expect("one").1)
        .expect("UTF-8");
    assert!(!text.contains(at.to_str().expect("UTF-8")) && !text.contains(&corpus), "{text}");
    assert!(text.contains("Synthetic music"));
}

#[test]
fn what_decides_a_result_decides_its_key() {
    let (at, corpus) = folder(&[("small.toml", machine("small", "[\"artist-kfold:2\"]", "[1]", ""))]);
    let at = at.path();
    let run = || -> (String, bool) {
        let said = json(at, &["run", "small.toml", "--data", &corpus]);
        let job = &said["jobs"][0];
        (job["result"]["key"].as_str().expect("a key").to_owned(), job["done_before"].as_bool().expect("a truth"))
    };
    let (first, found) = run();
    assert!(!found);
    assert_eq!(run(), (first.clone(), true));
    // Words that change nothing change no key.
    let text = machine("small", "[\"track-kfold:2\", \"artist-kfold:2\"]", "[1]", "criterion = \"accuracy\"\n");
    fs::write(at.join("small.toml"), &text).expect("written");
    let said = json(at, &["run", "small.toml", "--data", &corpus]);
    assert_eq!(
        (&said["jobs"][1]["result"]["key"], &said["jobs"][1]["done_before"]),
        (&first.clone().into(), &true.into())
    );
    for (old, new) in [("gamma = [0.25]", "gamma = [0.5]"), ("mfcc_mean", "mfcc"), ("seeds = [1]", "seeds = [2]")] {
        fs::write(at.join("small.toml"), text.replace("\"track-kfold:2\", ", "").replace(old, new)).expect("written");
        let (key, found) = run();
        assert!(key != first && !found, "{new}");
    }
}

#[test]
fn a_sweep_chooses_and_what_it_chose_can_be_run() {
    let grid = "[grid]\n\"model.search.c\" = [[0.001], [4.0]]\n\"features.descriptors\" = [[\"mfcc_mean\"], [\"mfcc_mean\", \"mel_skewness\"]]\n";
    let (at, corpus) = folder(&[("sweep.toml", machine("small", "[\"artist-kfold:2\"]", "[1, 2]", grid))]);
    let at = at.path();
    let said = json(at, &["sweep", "sweep.toml", "--data", &corpus, "--best", "best.toml"]);
    assert_eq!(said["jobs"].as_array().expect("jobs").len(), 8);
    let accuracies: Vec<_> = said["summaries"]
        .as_array()
        .expect("summaries")
        .iter()
        .map(|of| of["accuracy"].as_f64().expect("a share"))
        .collect();
    assert!(accuracies.len() == 4 && accuracies.is_sorted_by(|a, b| a >= b), "{accuracies:?}");
    assert_eq!((&said["chosen"], &said["chosen_by"]), (&said["summaries"][0], &"artist-kfold:2".into()));
    let again = json(at, &["run", "best.toml", "--data", &corpus]);
    assert!(again["jobs"].as_array().expect("jobs").iter().all(|job| job["done_before"] == true), "{again}");
    assert_eq!(again["summaries"][0]["accuracy"], said["chosen"]["accuracy"]);

    fs::write(at.join("sweep.toml"), machine("small", "[\"fault-filtered:test\"]", "[1]", grid)).expect("written");
    let refused = experiments(at, &["sweep", "sweep.toml", "--data", &corpus]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("nothing is chosen by fault-filtered:test"), "{stderr}");
}

#[test]
fn two_models_are_joined_compared_and_listed() {
    let splits = "[\"artist-kfold:2\"]";
    let ensemble = |name: &str, weight: &str| {
        format!(
            "name = \"{name}\"\nsplits = {splits}\nseeds = [1, 2]\n[model]\nkind = \"ensemble\"\n\
             members = [\"machine.toml\", \"network.toml\"]\nweight = {weight}\n"
        )
    };
    let (at, corpus) = folder(&[
        ("machine.toml", machine("machine", splits, "[1]", "")),
        ("network.toml", network("network", splits, "[1]")),
        ("both.toml", ensemble("both", "\"learnt\"")),
        ("first.toml", ensemble("first", "1.0")),
    ]);
    let at = at.path();
    let said = json(at, &["run", "both.toml", "first.toml", "--data", &corpus]);
    let share = &said["jobs"][0]["result"]["folds"][0]["fit"]["share_of_the_first"];
    assert!((0.0..=1.0).contains(&share.as_f64().expect("a share")), "{share}");
    // The members were done on the way, with the seeds of the ensemble.
    let listed = json(at, &["leaderboard", "--out", "table.csv"]);
    let names: Vec<_> =
        listed.as_array().expect("a list").iter().map(|of| of["name"].as_str().expect("a name")).collect();
    assert!(["machine", "network", "both", "first"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(listed.as_array().expect("a list").iter().all(|of| of["seeds"] == serde_json::json!([1, 2])));
    assert_eq!(fs::read_to_string(at.join("table.csv")).expect("written").lines().count(), 5);
    let text = done(at, &["leaderboard", "--split", "artist-kfold:2"]);
    assert!(text.contains("This split leaks: no known artist") && text.contains("Synthetic music"), "{text}");

    // All of the weight on a member gives that member.
    let same = json(at, &["compare", "first", "machine"]);
    assert_eq!((&same["difference"], &same["seeds"][0]["p"]), (&0.0.into(), &1.0.into()));
    let differ = json(at, &["compare", "machine", "network", "--seed", "2"]);
    let seed = &differ["seeds"][0];
    let (only_a, only_b) = (seed["only_a"].as_f64().expect("a count"), seed["only_b"].as_f64().expect("a count"));
    let difference = seed["accuracy"][0].as_f64().expect("a share") - seed["accuracy"][1].as_f64().expect("a share");
    assert!(((only_a - only_b) / 80.0 - difference).abs() < 1e-12, "{differ}");
    assert_eq!(differ["genres"].as_object().expect("genres").len(), 10);
    let text = done(at, &["compare", "machine", "network"]);
    assert!(text.contains("McNemar") && text.contains("reggae"), "{text}");

    // Any of them as a page, alone and beside another.
    let asked = ["report", "machine", "--against", "network", "--seed", "2", "--out", "page.html"];
    let said = json(at, &asked);
    let page = fs::read_to_string(at.join("page.html")).expect("a page");
    assert_eq!(said["seed"], 2);
    assert_eq!((&said["against"]["paired"]["only_a"], &said["against"]["paired"]["p"]), (&seed["only_a"], &seed["p"]));
    assert_eq!(said["coverage"]["at"][9]["accuracy"], said["evaluation"]["accuracy"]);
    for words in ["Beside network, seed 2", "Confidence against coverage", "What sounds alike", "Synthetic music"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("Learning curve") && !page.contains("<script") && !page.contains("http://"));
    assert!(page.contains(said["key"].as_str().expect("a key")) && !page.contains(at.to_str().expect("UTF-8")));
    json(at, &asked);
    assert_eq!(fs::read_to_string(at.join("page.html")).expect("a page"), page);
    let text = done(at, &["report", "both", "--out", "both.html"]);
    assert!(text.contains("both, seed 1") && text.contains("--seed chooses"), "{text}");
}

#[test]
fn a_ladder_is_a_table_and_a_picture() {
    let small = |name, pieces| machine(name, "[\"artist-kfold:2\"]", "[1]", pieces);
    let (at, corpus) =
        folder(&[("small.toml", small("small", "[data]\npieces = 2\n")), ("whole.toml", small("whole", ""))]);
    let at = at.path();
    // The valid part is GTZAN's alone, which is said before anything is done.
    let refused = experiments(at, &["ladder", "small.toml", "--data", &corpus, "--folds", "2"]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("defined for GTZAN only") && !at.join("experiments").exists(), "{stderr}");
    let gtzan = gtzan_of(&corpus, at);
    let files = ["ladder", "small.toml", "whole.toml", "--data", &gtzan, "--folds", "2"];
    let arguments = [&files[..], &["--picture", "ladder.svg", "--out", "ladder.parquet"]].concat();
    let said = json(at, &arguments);
    let judged = |ladder: usize| -> Vec<_> {
        let rungs = said[ladder]["rungs"].as_array().expect("rungs");
        rungs.iter().map(|of| (of["split"].as_str().expect("a split"), of["pieces"].as_u64())).collect()
    };
    let names = ["segment-kfold:2", "track-kfold:2", "artist-kfold:2", "fault-filtered:valid"];
    let whole: Vec<_> = names[1..].iter().map(|name| (*name, None)).collect();
    assert_eq!(judged(0), [names.map(|name| (name, Some(2))).to_vec(), whole.clone()].concat());
    assert_eq!(judged(1), whole);
    let rungs = &said[0]["rungs"];
    let n = |rung: &Value| rung["n"].as_u64().expect("a count");
    assert_eq!((n(&rungs[0]), n(&rungs[4])), (2 * n(&rungs[4]), n(&rungs[5])));
    assert!(rungs[0]["of_whole_clips"].is_f64() && rungs[4]["of_whole_clips"].is_null());
    assert_eq!(said[1]["rungs"][0]["accuracy"], rungs[4]["accuracy"], "the same job under another name");
    let picture = fs::read_to_string(at.join("ladder.svg")).expect("written");
    assert!(picture.starts_with("<svg") && picture.contains("segment-kfold:2") && !picture.contains("href"));
    done(at, &arguments);
    assert_eq!(fs::read_to_string(at.join("ladder.svg")).expect("written"), picture);
    assert!(at.join("ladder.parquet").is_file());
}

/// The corpus under ids of GTZAN's catalogue, so that it has a train and a valid part.
fn gtzan_of(corpus: &str, at: &Path) -> String {
    let folder = at.join("gtzan");
    fs::create_dir(&folder).expect("a folder");
    fs::copy(Path::new(corpus).join("logmel.safetensors"), folder.join("logmel.safetensors")).expect("copied");
    let ids = fs::read_to_string(Path::new(corpus).join("ids.txt")).expect("ids");
    let mut taken = std::collections::BTreeMap::new();
    let ours = ids.lines().map(|id| {
        let genre = id.split('.').next().expect("a genre");
        let entries = data::catalogue().entries().iter().filter(|entry| entry.genre.name() == genre);
        let mut artists = std::collections::BTreeSet::new();
        // Four clips of the train part and four of the valid part, each by another artist.
        let of = |part| entries.clone().filter(move |entry| entry.split == part);
        let mut distinct = |part, n| -> Vec<_> {
            of(part)
                .filter(|entry| artists.insert(entry.artist_group.as_str()))
                .take(n)
                .map(|entry| entry.clip_id.clone())
                .collect()
        };
        let mut ids = distinct(data::FaultFiltered::Train, 4);
        ids.extend(distinct(data::FaultFiltered::Valid, 4));
        let next = taken.entry(genre.to_owned()).or_insert(0);
        *next += 1;
        ids.get(*next - 1).cloned().unwrap_or_else(|| id.to_owned())
    });
    fs::write(folder.join("ids.txt"), ours.map(|id| id + "\n").collect::<String>()).expect("written");
    folder.to_str().expect("UTF-8").to_owned()
}

#[test]
fn mistakes_are_said_before_anything_is_done() {
    let (at, corpus) = folder(&[
        ("small.toml", machine("small", "[\"artist-kfold:2\"]", "[1]", "")),
        ("same.toml", machine("small", "[\"artist-kfold:3\"]", "[1]", "")),
        ("wrong.toml", machine("wrong", "[\"artist-kfold:2\"]", "[1]", "c = [1.0]\n")),
        ("pieces.toml", machine("small", "[\"artist-kfold:2\"]", "[1]", "[data]\npieces = 900\n")),
        ("many.toml", machine("small", "[\"artist-kfold:900\"]", "[1]", "")),
        (
            "absent.toml",
            network("absent", "[\"artist-kfold:2\"]", "[1]").replace("kind", "weights = \"none.pth\"\nkind"),
        ),
    ]);
    let cases: [(&[&str], &[&str]); 12] = [
        (&["report", "a", "--out", "a.html"], &["`a`", "experiments/results"]),
        (&["run", "nothing.toml"], &["nothing.toml"]),
        (&["run", "small.toml", "same.toml"], &["`small`"]),
        (&["run", "small.toml", "wrong.toml"], &["wrong.toml", "c"]),
        (&["run", "small.toml", "--data", "nowhere"], &["nowhere"]),
        (&["run", "pieces.toml", "--data", &corpus], &["pieces", "900", "16"]),
        (&["run", "many.toml", "--data", &corpus], &["artist-kfold:900", "900 folds"]),
        (&["run", "absent.toml", "--data", &corpus], &["none.pth"]),
        (&["sweep", "small.toml"], &["[grid]", "experiments run"]),
        (&["compare", "a", "b"], &["`a`", "experiments/results"]),
        (&["leaderboard", "--split", "kfold:5"], &["artist-kfold:K"]),
        (&["run", "small.toml", "--seed", "7"], &["small declares no seed 7"]),
    ];
    for (arguments, words) in cases {
        let output = experiments(at.path(), arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?} succeeded");
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{arguments:?} does not say `{word}`: {stderr}");
        }
    }
    assert!(!at.path().join("experiments").exists() && !at.path().join("a.html").exists(), "nothing is left");
}
