//! The real binary.

use std::{
    path::Path,
    process::{Command, Output},
};

/// Runs `train` in the folder `at` to its end, with no setting taken from the environment of the test.
pub(crate) fn train(at: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_train"))
        .current_dir(at)
        .env_remove("TONEARM_DATA")
        .env_remove("TONEARM_ARTIFACTS")
        .env_remove("TONEARM_FALLBACK_ARTIFACTS")
        .env("XDG_DATA_HOME", "/nowhere")
        .args(arguments)
        .output()
        .expect("train starts")
}
