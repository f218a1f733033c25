//! Files of the cache that say their own digest, so that one that was cut off or changed is made anew.

use std::{fs, io, io::Write as _, path::Path};

use features::Fingerprint;

/// Bytes of the digest at the end.
const DIGEST: usize = 64;

/// The bytes that [`write()`] wrote; `None` where there is no such file, or it is not whole.
#[must_use]
pub fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok()?;
    let digest = bytes.split_off(bytes.len().checked_sub(DIGEST)?);
    (Fingerprint::of(&bytes).to_string().as_bytes() == digest).then_some(bytes)
}

/// Writes bytes and their digest, with the folder above them. A reader sees all of it or what was there before.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.write_all(Fingerprint::of(bytes).to_string().as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("file");
        assert_eq!(read(&path), None);
        for bytes in [b"".as_slice(), b"some bytes"] {
            write(&path, bytes).unwrap();
            assert_eq!(read(&path).as_deref(), Some(bytes));
        }
        let whole = fs::read(&path).unwrap();
        for wrong in [&whole[..whole.len() - 1], &whole[1..], &whole[..10], b"other bytes"] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(read(&path), None, "{wrong:?}");
        }
    }
}
