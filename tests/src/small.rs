//! Small artifacts of both models, trained in seconds on synthetic tracks.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use data::synth::{SynthSpec, write_dataset};
use serde_json::{Value, json};

use crate::{binary, train};

/// Hyperparameters of a network of two blocks that trains in seconds.
fn config() -> Value {
    json!({
        "seed": 0, "channels": "repeat", "band_upsampling": 1, "standardisation": "band", "pooled_blocks": [1, 2],
        "statistics": ["average", "deviation"], "windows": true, "folds": 2,
        "head": { "steps": 40, "learning_rate": 0.5, "weight_decay": 0.01, "dropout": 0.5, "label_smoothing": 0.0, "heads": 2 },
        "finetune": null,
    })
}

/// A folder that holds `artifacts` of both models, the feature store `store` that they were trained on, and in `tracks`
/// a track of 30 s of each genre. Made once for a build of `train`, by whatever process asks first; tests must not
/// change what is in it.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn shared() -> PathBuf {
    let program = binary("train");
    let metadata = program.metadata().expect("the program exists");
    let modified = metadata.modified().expect("a time").duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let base = program.parent().expect("a folder").join("trained-for-tests");
    fs::create_dir_all(&base).expect("a folder");
    let lock = File::create(base.join("lock")).expect("a file");
    lock.lock().expect("a lock");
    let folder = base.join(format!("{modified}-{}", metadata.len()));
    if folder.join("complete").is_file() {
        return folder;
    }
    // Those of earlier builds.
    for entry in fs::read_dir(&base).expect("a folder").flatten() {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).expect("removed");
        }
    }
    fs::create_dir_all(&folder).expect("a folder");
    train_both(&folder);
    fs::write(folder.join("complete"), "").expect("a file");
    folder
}

/// Makes synthetic clips of ten genres and the tracks below `at`, and trains both models on the clips.
fn train_both(at: &Path) {
    train(at, &["synth", "--out", "dataset", "--clips-per-genre", "6", "--seconds", "12"]);
    tracks(at);
    train(at, &["extract", "--data", "dataset", "--out", "store"]);
    fs::write(at.join("config.json"), config().to_string()).expect("a file");
    train(at, &["svm", "--data", "store", "--artifacts", "artifacts"]);
    train(at, &["vgg19", "--data", "store", "--config", "config.json", "--artifacts", "artifacts", "--no-cache"]);
}

/// Makes a track of 30 s of each of ten genres, in `tracks` below `at`.
///
/// # Panics
/// When they cannot be written.
fn tracks(at: &Path) {
    let spec = SynthSpec { clips_per_genre: 1, seconds: 30.0, seed: 7 };
    write_dataset(&at.join("tracks"), &spec, 2, &|_, _| {}).expect("tracks are written");
}

/// The track of 30 s of that genre below `at`.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn track(at: &Path, genre: &str) -> PathBuf {
    let mut files = fs::read_dir(at.join("tracks").join(genre)).expect("a folder of the genre");
    files.next().expect("a track").expect("an entry").path()
}
