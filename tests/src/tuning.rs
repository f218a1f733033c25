//! Small networks that are trained, killed and taken up again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant, SystemTime},
};

use models::artifact;
use serde_json::{Value, json};

use crate::command;

/// Most time until a training has written its next checkpoint.
const PATIENCE: Duration = Duration::from_secs(300);

/// Hyperparameters of a network of two blocks that trains in seconds; tuned for so many epochs, or frozen for 0.
#[must_use]
pub fn small_config(epochs: usize) -> Value {
    let tuning = json!({
        "unfreeze_from": 2, "epochs": epochs, "batch": 8, "crop": 32, "learning_rate": 2e-4, "block_decay": 0.7,
        "head_learning_rate": 5e-3, "weight_decay": 0.05, "warm_up": 0.1, "clip_norm": 1.0, "dropout": 0.2,
        "label_smoothing": 0.1, "averaging": 0.9, "evaluate_every": 1, "patience": 5,
        "augment": { "mixup": 0.3, "mask": 8, "stretch": 0.2, "shift": 3, "equaliser": 3.0 },
    });
    json!({
        "seed": 0, "channels": "repeat", "band_upsampling": 1, "standardisation": "band", "pooled_blocks": [1, 2],
        "statistics": ["average", "deviation"], "windows": false, "folds": 2,
        "head": { "steps": 40, "learning_rate": 0.5, "weight_decay": 0.01, "dropout": 0.5, "label_smoothing": 0.0, "heads": 2 },
        "finetune": if epochs > 0 { tuning } else { Value::Null },
    })
}

/// The files, by name, of the version in use of the model in the folder `model_dir`.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn artifact_files(model_dir: &Path) -> Vec<(String, Vec<u8>)> {
    let version = model_dir.join(artifact::current(model_dir).expect("a version in use"));
    let file = |entry: fs::DirEntry| (entry.file_name().display().to_string(), fs::read(entry.path()).expect("a file"));
    let mut files: Vec<_> =
        fs::read_dir(version).expect("a folder").map(|entry| file(entry.expect("an entry"))).collect();
    files.sort();
    // Manifest, weights, figures, report, and what was predicted of clips that were held out.
    assert_eq!(files.len(), 5);
    files
}

/// The checkpoints in a cache, by path.
#[must_use]
pub fn checkpoints(cache: &Path) -> Vec<PathBuf> {
    let Ok(runs) = fs::read_dir(cache.join("tuning")) else { return Vec::new() };
    let mut checkpoints: Vec<_> = runs
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read_dir(entry.path()).ok())
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    checkpoints.sort();
    checkpoints
}

/// Runs `train` in the folder `at` until one more checkpoint is in the cache, then sends it SIGKILL, which leaves no time to clean up.
/// Returns whether it was under way when it was killed.
///
/// # Panics
/// When it cannot be started, or writes no checkpoint.
#[must_use]
pub fn kill_after_checkpoint(at: &Path, cache: &Path, arguments: &[&str]) -> bool {
    let written = || -> Vec<SystemTime> {
        checkpoints(cache).iter().filter_map(|path| fs::metadata(path).ok()?.modified().ok()).collect()
    };
    let before = written();
    let mut train = command("train", at);
    let mut child = train.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let start = Instant::now();
    while written() == before && child.try_wait().expect("a child").is_none() {
        assert!(start.elapsed() < PATIENCE, "no checkpoint is written");
        thread::sleep(Duration::from_millis(5));
    }
    let under_way = child.try_wait().expect("a child").is_none();
    let _ = child.kill();
    child.wait().expect("it ends");
    under_way
}
