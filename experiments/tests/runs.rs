//! The real program on a small synthetic dataset: what it stores, finds again, chooses and compares.

mod program;

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use program::{command, dataset, done, experiments, files, json, svm, vgg19};
use serde_json::Value;

/// A folder with these files, and the dataset as an argument.
fn folder(declarations: &[(&str, String)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in declarations {
        fs::write(folder.path().join(name), text).expect("written");
    }
    (folder, dataset().to_str().expect("UTF-8").to_owned())
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
    let (at, dataset) = folder(&[("small.toml", svm("small", "[\"artist-kfold:2\"]", seeds, ""))]);
    let at = at.path();
    let arguments = ["run", "small.toml", "--data", &dataset, "--threads", "2"];
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
    let printed = json(at, &arguments);
    let found = printed["jobs"].as_array().expect("jobs").iter().filter(|job| job["done_before"] == true).count();
    assert_eq!((printed["jobs"].as_array().expect("jobs").len(), found), (8, finished.len()));
    assert_eq!(finished.iter().map(|dir| written(dir)).collect::<Vec<_>>(), before, "what was done stays as it is");

    // In one go, in another folder and on one thread: the same tables, bit for bit.
    let (other, _) = folder(&[("small.toml", fs::read_to_string(at.join("small.toml")).expect("there"))]);
    done(other.path(), &["run", "small.toml", "--data", &dataset, "--threads", "1"]);
    let (ours, theirs) = (files(&at.join("experiments")), files(&other.path().join("experiments")));
    assert_eq!(ours.len(), 8 * 3);
    assert!(ours == theirs, "{:?}", ours.iter().zip(&theirs).find(|(a, b)| a != b).map(|(a, _)| &a.0));
    let text = String::from_utf8(ours.into_iter().find(|(path, _)| path.ends_with("result.json")).expect("one").1)
        .expect("UTF-8");
    assert!(!text.contains(at.to_str().expect("UTF-8")) && !text.contains(&dataset), "{text}");
    assert!(text.contains("Synthetic music"));
}

#[test]
fn what_decides_a_result_decides_its_key() {
    let (at, dataset) = folder(&[("small.toml", svm("small", "[\"artist-kfold:2\"]", "[1]", ""))]);
    let at = at.path();
    let run = || -> (String, bool) {
        let printed = json(at, &["run", "small.toml", "--data", &dataset]);
        let job = &printed["jobs"][0];
        (job["result"]["key"].as_str().expect("a key").to_owned(), job["done_before"].as_bool().expect("a truth"))
    };
    let (first, found) = run();
    assert!(!found);
    assert_eq!(run(), (first.clone(), true));
    // Words that change nothing change no key.
    let text = svm("small", "[\"track-kfold:2\", \"artist-kfold:2\"]", "[1]", "criterion = \"accuracy\"\n");
    fs::write(at.join("small.toml"), &text).expect("written");
    let printed = json(at, &["run", "small.toml", "--data", &dataset]);
    assert_eq!(
        (&printed["jobs"][1]["result"]["key"], &printed["jobs"][1]["done_before"]),
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
    let (at, dataset) = folder(&[("sweep.toml", svm("small", "[\"artist-kfold:2\"]", "[1, 2]", grid))]);
    let at = at.path();
    let printed = json(at, &["sweep", "sweep.toml", "--data", &dataset, "--best", "best.toml"]);
    assert_eq!(printed["jobs"].as_array().expect("jobs").len(), 8);
    let accuracies: Vec<_> = printed["summaries"]
        .as_array()
        .expect("summaries")
        .iter()
        .map(|of| of["accuracy"].as_f64().expect("a share"))
        .collect();
    assert!(accuracies.len() == 4 && accuracies.is_sorted_by(|a, b| a >= b), "{accuracies:?}");
    assert_eq!((&printed["chosen"], &printed["chosen_by"]), (&printed["summaries"][0], &"artist-kfold:2".into()));
    let again = json(at, &["run", "best.toml", "--data", &dataset]);
    assert!(again["jobs"].as_array().expect("jobs").iter().all(|job| job["done_before"] == true), "{again}");
    assert_eq!(again["summaries"][0]["accuracy"], printed["chosen"]["accuracy"]);

    fs::write(at.join("sweep.toml"), svm("small", "[\"fault-filtered:test\"]", "[1]", grid)).expect("written");
    let refused = experiments(at, &["sweep", "sweep.toml", "--data", &dataset]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("nothing is chosen by fault-filtered:test"), "{stderr}");
}

#[test]
fn two_models_are_joined_compared_and_listed() {
    let splits = "[\"artist-kfold:2\"]";
    let ensemble = |name: &str, weight: &str| {
        format!(
            "name = \"{name}\"\nsplits = {splits}\nseeds = [1, 2]\n[model]\nkind = \"ensemble\"\n\
             members = [\"svm.toml\", \"vgg19.toml\"]\nweight = {weight}\n"
        )
    };
    let (at, dataset) = folder(&[
        ("svm.toml", svm("svm", splits, "[1]", "")),
        ("vgg19.toml", vgg19("vgg19", splits, "[1]")),
        ("both.toml", ensemble("both", "\"learnt\"")),
        ("first.toml", ensemble("first", "1.0")),
    ]);
    let at = at.path();
    let printed = json(at, &["run", "both.toml", "first.toml", "--data", &dataset]);
    let share = &printed["jobs"][0]["result"]["folds"][0]["fit"]["share_of_the_first"];
    assert!((0.0..=1.0).contains(&share.as_f64().expect("a share")), "{share}");
    // The members were done on the way, with the seeds of the ensemble.
    let listed = json(at, &["leaderboard", "--out", "table.csv"]);
    let names: Vec<_> =
        listed.as_array().expect("a list").iter().map(|of| of["name"].as_str().expect("a name")).collect();
    assert!(["svm", "vgg19", "both", "first"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(listed.as_array().expect("a list").iter().all(|of| of["seeds"] == serde_json::json!([1, 2])));
    assert_eq!(fs::read_to_string(at.join("table.csv")).expect("written").lines().count(), 5);
    let text = done(at, &["leaderboard", "--split", "artist-kfold:2"]);
    assert!(text.contains("This split leaks: no known artist") && text.contains("Synthetic music"), "{text}");

    // All of the weight on a member gives that member.
    let same = json(at, &["compare", "first", "svm"]);
    assert_eq!((&same["difference"], &same["seeds"][0]["p"]), (&0.0.into(), &1.0.into()));
    let differ = json(at, &["compare", "svm", "vgg19", "--seed", "2"]);
    let seed = &differ["seeds"][0];
    let (only_a, only_b) = (seed["only_a"].as_f64().expect("a count"), seed["only_b"].as_f64().expect("a count"));
    let difference = seed["accuracy"][0].as_f64().expect("a share") - seed["accuracy"][1].as_f64().expect("a share");
    assert!(((only_a - only_b) / 80.0 - difference).abs() < 1e-12, "{differ}");
    assert_eq!(differ["classes"].as_object().expect("classes").len(), 10);
    let text = done(at, &["compare", "svm", "vgg19"]);
    assert!(text.contains("McNemar") && text.contains("reggae"), "{text}");

    // Any of them as a page, alone and beside another.
    let asked = ["report", "svm", "--against", "vgg19", "--seed", "2", "--out", "page.html"];
    let printed = json(at, &asked);
    let page = fs::read_to_string(at.join("page.html")).expect("a page");
    assert_eq!(printed["seed"], 2);
    assert_eq!(
        (&printed["against"]["paired"]["only_a"], &printed["against"]["paired"]["p"]),
        (&seed["only_a"], &seed["p"])
    );
    assert_eq!(printed["coverage"]["at"][9]["accuracy"], printed["evaluation"]["accuracy"]);
    for words in ["Compared with vgg19, seed 2", "Confidence against coverage", "Similar clips", "Synthetic music"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("Learning curve") && !page.contains("<script") && !page.contains("http://"));
    assert!(page.contains(printed["key"].as_str().expect("a key")) && !page.contains(at.to_str().expect("UTF-8")));
    json(at, &asked);
    assert_eq!(fs::read_to_string(at.join("page.html")).expect("a page"), page);
    let text = done(at, &["report", "both", "--out", "both.html"]);
    assert!(text.contains("both, seed 1") && text.contains("--seed chooses"), "{text}");
}

#[test]
fn a_leakage_study_is_a_table_and_a_plot() {
    let small = |name, data| svm(name, "[\"artist-kfold:2\"]", "[1]", data);
    let (at, dataset) = folder(&[
        ("small.toml", small("small", "[data]\nsegments_per_clip = 2\n")),
        ("whole.toml", small("whole", "")),
    ]);
    let at = at.path();
    // The valid part is GTZAN's alone, which is an error before anything is done.
    let refused = experiments(at, &["leakage", "small.toml", "--data", &dataset, "--folds", "2"]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("defined for GTZAN only") && !at.join("experiments").exists(), "{stderr}");
    let gtzan = gtzan_of(&dataset, at);
    let files = ["leakage", "small.toml", "whole.toml", "--data", &gtzan, "--folds", "2"];
    let arguments = [&files[..], &["--plot", "leakage.svg", "--out", "leakage.parquet"]].concat();
    let printed = json(at, &arguments);
    let evaluated_on = |study: usize| -> Vec<_> {
        let levels = printed[study]["levels"].as_array().expect("levels");
        levels.iter().map(|of| (of["split"].as_str().expect("a split"), of["segments_per_clip"].as_u64())).collect()
    };
    let names = ["segment-kfold:2", "track-kfold:2", "artist-kfold:2", "fault-filtered:valid"];
    let whole: Vec<_> = names[1..].iter().map(|name| (*name, None)).collect();
    assert_eq!(evaluated_on(0), [names.map(|name| (name, Some(2))).to_vec(), whole.clone()].concat());
    assert_eq!(evaluated_on(1), whole);
    let levels = &printed[0]["levels"];
    let n = |level: &Value| level["n"].as_u64().expect("a count");
    assert_eq!((n(&levels[0]), n(&levels[4])), (2 * n(&levels[4]), n(&levels[5])));
    assert!(levels[0]["of_whole_clips"].is_f64() && levels[4]["of_whole_clips"].is_null());
    assert_eq!(printed[1]["levels"][0]["accuracy"], levels[4]["accuracy"], "the same job under another name");
    let plot = fs::read_to_string(at.join("leakage.svg")).expect("written");
    assert!(plot.starts_with("<svg") && plot.contains("segment-kfold:2") && !plot.contains("href"));
    // What the command and its option were called before.
    done(at, &[&["ladder"], &files[1..], &["--picture", "again.svg"]].concat());
    assert_eq!(fs::read_to_string(at.join("again.svg")).expect("written"), plot);
    assert!(at.join("leakage.parquet").is_file());
}

/// The dataset under ids of GTZAN's catalogue, so that it has a train and a valid part.
fn gtzan_of(dataset: &str, at: &Path) -> String {
    let folder = at.join("gtzan");
    fs::create_dir(&folder).expect("a folder");
    fs::copy(Path::new(dataset).join("logmel.safetensors"), folder.join("logmel.safetensors")).expect("copied");
    let ids = fs::read_to_string(Path::new(dataset).join("ids.txt")).expect("ids");
    let mut taken = std::collections::BTreeMap::new();
    let ours = ids.lines().map(|id| {
        let genre = id.split('.').next().expect("a genre");
        let entries = data::gtzan::catalogue().entries().iter().filter(|entry| entry.genre.name() == genre);
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
    let ours: Vec<String> = ours.collect();
    fs::write(folder.join("ids.txt"), ours.iter().map(|id| format!("{id}\n")).collect::<String>()).expect("written");
    // A store says which clips of GTZAN its rows were recognised as; by their sound these are none.
    let known = |id: &str| data::gtzan::catalogue().get(id).map(|_| id).unwrap_or_default().to_owned();
    let rows: String =
        ours.iter().map(|id| format!("{id},{},{}\n", id.split('.').next().expect("a genre"), known(id))).collect();
    fs::write(folder.join("clips.csv"), format!("clip_id,genre,gtzan\n{rows}")).expect("written");
    folder.to_str().expect("UTF-8").to_owned()
}

#[test]
fn mistakes_are_said_before_anything_is_done() {
    let (at, dataset) = folder(&[
        ("small.toml", svm("small", "[\"artist-kfold:2\"]", "[1]", "")),
        ("same.toml", svm("small", "[\"artist-kfold:3\"]", "[1]", "")),
        ("wrong.toml", svm("wrong", "[\"artist-kfold:2\"]", "[1]", "c = [1.0]\n")),
        ("segments.toml", svm("small", "[\"artist-kfold:2\"]", "[1]", "[data]\nsegments_per_clip = 900\n")),
        ("many.toml", svm("small", "[\"artist-kfold:900\"]", "[1]", "")),
        ("absent.toml", vgg19("absent", "[\"artist-kfold:2\"]", "[1]").replace("kind", "weights = \"none.pth\"\nkind")),
    ]);
    let cases: [(&[&str], &[&str]); 12] = [
        (&["report", "a", "--out", "a.html"], &["`a`", "experiments/results"]),
        (&["run", "nothing.toml"], &["nothing.toml"]),
        (&["run", "small.toml", "same.toml"], &["`small`"]),
        (&["run", "small.toml", "wrong.toml"], &["wrong.toml", "c"]),
        (&["run", "small.toml", "--data", "nowhere"], &["nowhere"]),
        (&["run", "segments.toml", "--data", &dataset], &["segments_per_clip", "900", "16"]),
        (&["run", "many.toml", "--data", &dataset], &["artist-kfold:900", "900 folds"]),
        (&["run", "absent.toml", "--data", &dataset], &["none.pth"]),
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
