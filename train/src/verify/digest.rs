//! What is in a folder, as digests.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use features::Fingerprint;

/// The SHA-256 of files, by their path in a folder, parts joined by `/`.
pub(super) type Files = BTreeMap<String, Fingerprint>;

/// Every file below `folder`.
///
/// # Errors
/// When something there cannot be read, or there is none.
pub(super) fn files(folder: &Path) -> Result<Files> {
    let mut found = Files::new();
    let mut open = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, within)) = open.pop() {
        let reading = || format!("failed to read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(reading)? {
            let path = entry.with_context(reading)?.path();
            let name = format!("{within}{}", path.file_name().unwrap_or_default().to_string_lossy());
            if path.is_dir() {
                // What a link points to counts, as for whoever reads the corpus; but not where that leads in a circle.
                let target = path.canonicalize().with_context(reading)?;
                if !folder.canonicalize().with_context(reading)?.starts_with(target) {
                    open.push((path, format!("{name}/")));
                }
                continue;
            }
            let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
            found.insert(name, Fingerprint::of(&bytes));
        }
    }
    ensure!(!found.is_empty(), "{} holds no file", folder.display());
    Ok(found)
}

/// The SHA-256 of all of them: of what `sha256sum` prints for them in the order of their paths.
///
/// ```sh
/// find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
/// ```
pub(super) fn digest(files: &Files) -> Fingerprint {
    let listing: String = files.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
    Fingerprint::of(listing.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_sha256sum() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("b")).expect("a folder");
        for (name, text) in [("b/c", "one"), ("a", "two"), ("b.x", "three")] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        let files = files(folder.path()).expect("readable");
        assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b.x", "b/c"]);
        // $ printf two >a; printf three >b.x; mkdir b; printf one >b/c; sha256sum a b.x b/c | sha256sum
        assert_eq!(digest(&files).to_string(), "c2588a5bc4e6f8cb64877c2b9a4bed27704286d39a4b288d67bfb8021378fb75");
    }
}
