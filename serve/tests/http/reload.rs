//! A new version takes the place of the old one while requests are under way; a broken one does not.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use models::{artifact, vgg19::Backend};
use serde_json::Value;
use serve::{
    App, Limits, Role,
    config::{Compute, ModelKind},
    engine::slot::{Refreshed, Source},
    repository::Repository,
};

use crate::{
    client::{get, predict, send},
    model,
    server::Server,
    wav::Sound,
};

/// A server over the artifacts below `root`, which looks at `CURRENT` when it is told to.
fn server(root: &Path) -> Server {
    let repository = Repository::open(&root.to_string_lossy()).expect("a folder");
    let source = Source { repository: Arc::new(repository), device: Backend::default(), models: vec![], pinned: None };
    let compute = Compute { threads: 2, cache_bytes: 1 << 20, ..Compute::default() };
    Server::of(App::new(Role::Svm, Limits::default(), &compute, Some(&source)).expect("threads"))
}

fn version(json: &Value) -> String {
    json["model"]["version"].as_str().expect("a version").to_owned()
}

#[test]
fn versions_are_swapped_under_load_without_a_failed_or_mixed_response() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("svm");
    let versions: Vec<String> =
        (0..3).map(|variant| model::write_variant(root.path(), ModelKind::Svm, variant).version).collect();
    artifact::set_current(&folder, &versions[0]).expect("puts in use");
    let server = server(root.path());
    server.slot().refresh().expect("loads");
    let track = Sound::High.wav(2.0, 1);

    // What each version alone says of the track.
    let alone: BTreeMap<String, Value> = versions
        .iter()
        .map(|version| {
            artifact::set_current(&folder, version).expect("puts in use");
            server.slot().refresh().expect("loads");
            (version.clone(), send(server.address, &predict(&track)).json())
        })
        .collect();
    assert_eq!(
        alone.values().map(|json| json["probabilities"].to_string()).collect::<std::collections::BTreeSet<_>>().len(),
        3
    );

    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..4 {
            let (alone, track, done, asked, address) = (&alone, &track, &done, &asked, server.address);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    // Some of them not cached.
                    let other = Sound::High.wav(2.0, 100 + client);
                    send(address, &predict(&other)).json();
                    let json = send(address, &predict(track)).json();
                    assert_eq!(&json, &alone[&version(&json)]);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut swaps = 0;
        while swaps < 150 || asked.load(Ordering::Relaxed) < 50 {
            artifact::set_current(&folder, &versions[swaps % 3]).expect("puts in use");
            if let Refreshed::Replaced(identity) = server.slot().refresh().expect("loads") {
                assert_eq!(identity.version, versions[swaps % 3]);
            }
            swaps += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_broken_version_is_reported_and_the_old_one_goes_on() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("svm");
    let good = model::write(root.path(), ModelKind::Svm).version;
    let next = model::write_variant(root.path(), ModelKind::Svm, 1).version;
    let server = server(root.path());
    server.slot().refresh().expect("loads");
    let track = Sound::Low.wav(2.0, 1);
    let still_answers = |why: &str| {
        let json = send(server.address, &predict(&track)).json();
        assert_eq!(version(&json), good, "{why}");
        assert_eq!(get(server.address, "/readyz").status, 200, "{why}");
    };
    let problem = || get(server.address, "/v1/models/svm").json()["problem"].as_str().unwrap_or_default().to_owned();
    assert_eq!(problem(), "");

    let weights = folder.join(&next).join("weights.safetensors");
    let whole = fs::read(&weights).expect("is there");
    fs::write(&weights, &whole[..whole.len() / 2]).expect("writes");
    artifact::set_current(&folder, &next).expect("puts in use");
    let said = server.slot().refresh().expect_err("is truncated").to_string();
    assert!(said.contains("weights.safetensors"), "{said}");
    still_answers("a truncated artifact");
    assert!(problem().contains("failed to load") && !problem().contains('/'), "{}", problem());

    for (current, why) in
        [("ffffffffffff\n", "a version that does not exist"), ("../svm\n", "a path"), ("\0\u{1}\n", "garbage")]
    {
        fs::write(folder.join("CURRENT"), current).expect("writes");
        server.slot().refresh().expect_err(why);
        still_answers(why);
    }
    fs::remove_file(folder.join("CURRENT")).expect("is there");
    server.slot().refresh().expect_err("there is none");
    still_answers("no CURRENT at all");

    // Mended, it is taken up, though not at every look.
    fs::write(&weights, &whole).expect("writes");
    artifact::set_current(&folder, &next).expect("puts in use");
    let mut looks = 0;
    while !matches!(server.slot().refresh(), Ok(Refreshed::Replaced(_))) {
        looks += 1;
        assert!(looks < 5, "it is not taken up");
    }
    assert_eq!(version(&send(server.address, &predict(&track)).json()), next);
    assert_eq!(problem(), "");
}

#[test]
fn a_request_may_name_an_older_version() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("svm");
    let versions: Vec<String> =
        (0..4).map(|variant| model::write_variant(root.path(), ModelKind::Svm, variant).version).collect();
    artifact::set_current(&folder, &versions[0]).expect("puts in use");
    let server = server(root.path());
    server.slot().refresh().expect("loads");
    let track = Sound::Low.wav(2.0, 1);
    for version in versions.iter().chain(&versions) {
        let head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n";
        let head = format!("{head}Tonearm-Version: {version}\r\nContent-Length: {}\r\n\r\n", track.len());
        let json = send(server.address, &[head.as_bytes(), &track].concat()).json();
        assert_eq!(json["model"]["version"], *version);
    }
    let listed = get(server.address, "/v1/models/svm/versions").json();
    let listed = listed["versions"].as_array().expect("a list");
    assert_eq!(listed.len(), 4);
    assert_eq!(listed.iter().filter(|version| version["loaded"] == true).count(), 3, "one in use, two named of late");
}
