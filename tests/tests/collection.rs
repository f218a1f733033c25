//! `serve classify` on a collection of every format, and the plugin for beets: with mutagen, FFmpeg's libraries and beets from PyPI.

use std::process::Command;

use tests::{binary, small};

#[test]
fn files_of_every_format_are_tagged_and_beets_is_served() {
    // They come from PyPI: `tests/run` installs them, and says where they are.
    let Some(collection) = std::env::var_os("TONEARM_COLLECTION") else {
        eprintln!("skipped: TONEARM_COLLECTION is not set; tests/run installs beets and mutagen and sets it");
        return;
    };
    let status = Command::new(std::path::Path::new(&collection).join("bin/python"))
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", concat!(env!("CARGO_MANIFEST_DIR"), "/collection")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TONEARM_SERVE", binary("serve"))
        .env("TONEARM_ARTIFACTS", small::shared().join("artifacts"))
        .status()
        .expect("Python");
    assert!(status.success(), "a test of tests/collection failed; what it said is above");
}
