//! Small artifacts of both models, trained in seconds on synthetic music.

use std::{
    fs,
    path::{Path, PathBuf},
};

use data::synth::{SynthSpec, write_corpus};
use serde_json::{Value, json};

use crate::train;

/// A recipe of two blocks that trains in seconds.
fn recipe() -> Value {
    json!({
        "seed": 0, "channels": "repeat", "band_upsampling": 1, "standardisation": "band", "pooled_blocks": [1, 2],
        "statistics": ["average", "deviation"], "windows": true, "folds": 2,
        "head": { "steps": 40, "learning_rate": 0.5, "weight_decay": 0.01, "dropout": 0.5, "label_smoothing": 0.0, "heads": 2 },
        "finetune": null,
    })
}

/// Makes music of ten genres below `at`, `songs` among it (a song of 30 s of each), and trains both models on it.
/// Gives the folder of the artifacts.
///
/// # Panics
/// When that fails.
pub fn train_both(at: &Path) -> PathBuf {
    train(at, &["synth", "--out", "corpus", "--clips-per-genre", "6", "--seconds", "12"]);
    songs(at);
    train(at, &["extract", "--data", "corpus", "--out", "store"]);
    fs::write(at.join("recipe.json"), recipe().to_string()).expect("a file");
    train(at, &["svm", "--data", "store", "--artifacts", "artifacts"]);
    train(at, &["vgg19", "--data", "store", "--recipe", "recipe.json", "--artifacts", "artifacts", "--no-cache"]);
    at.join("artifacts")
}

/// Makes a song of 30 s of each of ten genres, in `songs` below `at`.
///
/// # Panics
/// When they cannot be written.
pub fn songs(at: &Path) {
    let spec = SynthSpec { clips_per_genre: 1, seconds: 30.0, seed: 7 };
    write_corpus(&at.join("songs"), &spec, 2, &|_, _| {}).expect("songs are written");
}

/// The song of 30 s of that genre below `at`.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn song(at: &Path, genre: &str) -> PathBuf {
    let mut files = fs::read_dir(at.join("songs").join(genre)).expect("a folder of the genre");
    files.next().expect("a song").expect("an entry").path()
}
