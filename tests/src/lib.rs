//! The whole system from outside: the real binaries, the real server, the files that they write.
//!
//! The tests are in `tests/`; this library starts programs and talks to servers for them.

pub mod datasets;
mod http;
mod program;
mod relabelled;
pub mod small;
mod stack;
pub mod tuning;

pub use http::{Response, multipart, request};
pub use program::{Server, binary, command, run, train};
pub use relabelled::relabelled;
pub use stack::{Service, Stack};

use std::{fs, path::PathBuf};

/// The folder with the real datasets (`TONEARM_SHARED`, else `shared` beside the clone), or `None`, said on stderr,
/// where it is absent.
#[must_use]
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("TONEARM_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    if folder.join("gtzan/logmel").is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no real dataset in {} (TONEARM_SHARED names another folder)", folder.display());
    None
}

/// `artifacts` of the repository. After a training another version may be in use there; what is shipped has a card.
#[must_use]
pub fn shipped_artifacts() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../artifacts"))
}

/// The version of a model in [`shipped_artifacts`], which its card names.
///
/// # Panics
/// When there is no card.
#[must_use]
pub fn shipped_version(model: &str) -> String {
    let card = fs::read_to_string(shipped_artifacts().join(model).join("README.md")).expect("a card");
    let heading = card.lines().find(|line| line.starts_with("# ")).expect("a heading");
    heading.split('`').nth(1).expect("a version").to_owned()
}
