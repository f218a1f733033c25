//! The real binary, and a small dataset for it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use data::{AudioDataset, ExtractOptions, extract, synth};
use features::FeatureSpec;
use serde_json::Value;
use tempfile::TempDir;

/// 80 synthetic clips of 3 s by 40 artists, as a feature store, with their audio in the folder `audio` beside it. Made once for all tests
/// of a program.
pub(crate) fn dataset() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let audio = folder.path().join("audio");
        let spec = synth::SynthSpec { clips_per_genre: 8, seconds: 3.0, seed: 1 };
        synth::write_dataset(&audio, &spec, 2, &|_, _| {}).expect("audio files");
        let files = AudioDataset::open(&audio).expect("an audio folder");
        let options = ExtractOptions { threads: 2, ..ExtractOptions::default() };
        let spec = FeatureSpec::gtzan_store().log_mel_alone();
        extract(&files, &spec, &folder.path().join("store"), &options).expect("a store");
        folder
    });
    folder.path().join("store")
}

/// A small support vector machine: the declaration `name`, with these splits and seeds, and what `more` adds.
pub(crate) fn svm(name: &str, splits: &str, seeds: &str, more: &str) -> String {
    format!(
        "name = \"{name}\"\nsplits = {splits}\nseeds = {seeds}\n[features]\ndescriptors = [\"mfcc_mean\"]\n\
         [model]\nkind = \"svm\"\n[model.search]\nc = [1.0, 4.0]\ngamma = [0.25]\nfolds = 2\n{more}"
    )
}

/// A small network.
pub(crate) fn vgg19(name: &str, splits: &str, seeds: &str) -> String {
    format!(
        "name = \"{name}\"\nsplits = {splits}\nseeds = {seeds}\n[model]\nkind = \"vgg19\"\n[model.training]\nfolds = 2\n\
         band_upsampling = 1\npooled_blocks = [1]\n[model.training.head]\nsteps = 20\nheads = 1\n"
    )
}

/// The program in the folder `at`, with nothing taken from the environment of the test.
pub(crate) fn command(at: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_experiments"));
    command.current_dir(at).args(arguments).stdin(Stdio::null());
    for variable in ["TONEARM_DATA", "TONEARM_RESULTS", "TONEARM_WEIGHTS", "TONEARM_CACHE"] {
        command.env_remove(variable);
    }
    for variable in ["URI", "TOKEN", "USERNAME", "PASSWORD"] {
        command.env_remove(format!("MLFLOW_TRACKING_{variable}"));
    }
    command
}

pub(crate) fn experiments(at: &Path, arguments: &[&str]) -> Output {
    command(at, arguments).output().expect("it starts")
}

/// What it prints when it succeeds.
#[track_caller]
pub(crate) fn done(at: &Path, arguments: &[&str]) -> String {
    let output = experiments(at, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
pub(crate) fn json(at: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&done(at, &[arguments, &["--json"]].concat())).expect("JSON")
}

/// Whether a file is none for people, such as what was being written when a run was killed.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Every file below a folder, by its path from there; none that is hidden.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).expect("a folder") {
            let path = entry.expect("an entry").path();
            if is_hidden(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                found.push((path.strip_prefix(folder).expect("below").to_owned(), bytes));
            }
        }
    }
    found.sort();
    found
}
