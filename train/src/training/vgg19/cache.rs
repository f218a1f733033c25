//! [`Cache`]: embeddings on disk, by what they were computed from.

use std::{fs, io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use features::{Fingerprint, LogMel};

use super::sounds::Embedded;

/// Revision of what a file holds; raise it when the embeddings of the same clip change.
const REVISION: u32 = 3;

/// A folder of embeddings. The name of a file says the network, the input and the clip; its content says its own digest, so
/// that a file that was cut off is computed again.
#[derive(Debug)]
pub(super) struct Cache {
    /// `None` keeps nothing.
    folder: Option<PathBuf>,
    /// All but the clip.
    key: String,
}

impl Cache {
    /// A cache in `folder` of the embeddings that `key` tells apart: the digest of the weights, the input, the device.
    #[must_use]
    pub(super) fn new(folder: Option<PathBuf>, key: &str) -> Self {
        Self { folder, key: format!("{REVISION} {key}") }
    }

    /// What is kept of this clip, or what `compute` gives, which is then kept.
    ///
    /// # Errors
    /// Those of `compute`; when the folder cannot be written.
    pub(super) fn get_or(
        &self,
        clip: &LogMel,
        dim: usize,
        compute: impl FnOnce() -> Result<Embedded>,
    ) -> Result<Embedded> {
        let Some(folder) = &self.folder else { return compute() };
        let mut bytes = format!("{} {} {}\n", self.key, clip.n_mels(), clip.n_frames()).into_bytes();
        bytes.extend(clip.db().iter().flat_map(|value| value.to_le_bytes()));
        let path = folder.join(Fingerprint::of(&bytes).to_string());
        if let Some(embedded) = fs::read(&path).ok().and_then(|bytes| read(&bytes, dim)) {
            return Ok(embedded);
        }
        let embedded = compute()?;
        let keep = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder)?;
            file.write_all(&written(&embedded))?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        keep().with_context(|| {
            format!("failed to keep embeddings in {}; name another folder with --cache", folder.display())
        })?;
        Ok(embedded)
    }
}

/// Numbers of passages and windows as `u32`, the embeddings as `f32`, then the digest of all that.
fn written(embedded: &Embedded) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in [embedded.passages.len(), embedded.windows.len()] {
        bytes.extend((n as u32).to_le_bytes());
    }
    for row in embedded.passages.iter().chain(&embedded.windows) {
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
    let digest = Fingerprint::of(&bytes).to_string();
    bytes.extend(digest.as_bytes());
    bytes
}

fn read(bytes: &[u8], dim: usize) -> Option<Embedded> {
    let (bytes, digest) = bytes.split_at_checked(bytes.len().checked_sub(64)?)?;
    if Fingerprint::of(bytes).to_string().as_bytes() != digest {
        return None;
    }
    let (words, _) = bytes.as_chunks::<4>();
    let [passages, windows, values @ ..] = words else { return None };
    let (passages, windows) = (u32::from_le_bytes(*passages) as usize, u32::from_le_bytes(*windows) as usize);
    if values.len() != passages.checked_add(windows)?.checked_mul(dim)? {
        return None;
    }
    let mut rows = values.chunks(dim).map(|row| row.iter().map(|&value| f32::from_le_bytes(value)).collect());
    Some(Embedded { passages: rows.by_ref().take(passages).collect(), windows: rows.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_clip_is_computed_once_and_again_when_its_file_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(folder.path().join("new")), "network");
        let clip = |value: f32| LogMel::new(ndarray::Array2::from_elem((2, 3), value)).unwrap();
        let embedded = Embedded { passages: vec![vec![1.0, 2.0]], windows: vec![vec![3.0, -0.0], vec![5.0, 6.0]] };
        let computed = Cell::new(0);
        let compute = || {
            computed.set(computed.get() + 1);
            Ok(embedded.clone())
        };
        for _ in 0..3 {
            assert_eq!(cache.get_or(&clip(1.0), 2, compute).unwrap(), embedded);
        }
        assert_eq!(computed.get(), 1);
        cache.get_or(&clip(2.0), 2, compute).unwrap();
        Cache::new(Some(folder.path().join("new")), "other").get_or(&clip(1.0), 2, compute).unwrap();
        assert_eq!(computed.get(), 3, "another clip and another network are other embeddings");

        for entry in fs::read_dir(folder.path().join("new")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
        assert_eq!(cache.get_or(&clip(1.0), 2, compute).unwrap(), embedded);
        assert_eq!(computed.get(), 4);
    }
}
