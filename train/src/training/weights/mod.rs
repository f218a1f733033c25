//! Public ImageNet weights of VGG19, fetched over HTTP: of a safetensors file only the 16 convolutions, 80 of 548 MB.
//!
//! [`fetch`] asks for the header of a safetensors file and then for the bytes of its convolutions. Where the server
//! sends no ranges, and for a PyTorch file (`.pth`), the whole file is downloaded; a safetensors file is then reduced
//! to the same bytes, and a PyTorch file is kept as it is. Until a file is complete and checked it is `<out>.partial`,
//! with `<out>.partial.json` beside it, from which the next call continues.
//!
//! ```no_run
//! use train::weights::{Fetch, fetch};
//!
//! let request = Fetch::new("https://example.org/vgg19.safetensors", "vgg19.safetensors");
//! let fetched = fetch(&request, &|done, total| eprintln!("{done} of {total} bytes"))?;
//! println!("{} {}", fetched.sha256, fetched.path.display());
//! # Ok::<(), train::weights::Error>(())
//! ```

mod download;
mod error;
mod http;
mod partial;
mod safetensors;

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use self::{download::Download, http::Client, partial::Partial};
pub use self::{
    error::{Error, Result},
    safetensors::{Expected, vgg19},
};

/// What to fetch, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Address of a safetensors or PyTorch file: `https` or `http`.
    pub url: String,
    /// The file to write. Its folder is made if it is not there.
    pub out: PathBuf,
    /// The SHA-256 that must come out, as 64 hexadecimal digits.
    ///
    /// It may be that of the written file. Where the whole source is downloaded, which [`Fetched::source_sha256`]
    /// tells, it may as well be that of the source. Where only ranges are fetched nobody sees the whole source, so a
    /// digest that is published for the source needs [`Fetch::whole`]. A file that is there already is held to its own.
    pub sha256: Option<String>,
    /// Download the whole source, though ranges would do.
    pub whole: bool,
    /// How often a connection that is cut, or a server that is busy, is tried again within a call. Default 4.
    pub retries: u32,
    /// How long to wait before the first of them; each wait is twice the one before, up to 30 s. Default 1 s.
    pub wait: Duration,
    /// Bytes that are taken at most, so that an endless body ends. Default 2 GiB.
    pub max_bytes: u64,
}

impl Fetch {
    /// Whatever comes from `url`, unchecked, with the defaults.
    #[must_use]
    pub fn new(url: impl Into<String>, out: impl Into<PathBuf>) -> Self {
        Self {
            url: url.into(),
            out: out.into(),
            sha256: None,
            whole: false,
            retries: 4,
            wait: Duration::from_secs(1),
            max_bytes: 2 << 30,
        }
    }
}

/// A file that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// SHA-256 of the source, if all of it was downloaded; of a PyTorch file it is that of the file.
    pub source_sha256: Option<String>,
    /// Bytes that this call took from the network, those of answers that had to be asked for again included.
    pub bytes_downloaded: u64,
    /// Bytes of the file.
    pub bytes_kept: u64,
}

/// Fetches the convolutions of VGG19, as [`vgg19`] lists them, into [`Fetch::out`].
///
/// The file appears there complete and checked, or not at all. If it is there already and has the digest asked for,
/// that is all, without a connection. What a cut connection or an ended process leaves is continued by the next call
/// with the same `url` and `out`, provided that the server names versions of its files (`ETag`, `Last-Modified`) and
/// the version is still the same; otherwise it starts over.
///
/// `progress` is told how many bytes of the file on its way are there, and how many it will have: 0 when unknown. It
/// falls back when a download starts over.
///
/// The tensors of a PyTorch file are not looked at.
///
/// # Errors
/// See [`Error`]. After a wrong digest or content nothing is left on the disk.
pub fn fetch(request: &Fetch, progress: &dyn Fn(u64, u64)) -> Result<Fetched> {
    fetch_tensors(request, &vgg19(), progress)
}

/// [`fetch`] for any network: the tensors that are kept are those of `expected`, and must have those shapes, and be of
/// type F32, F16 or BF16.
///
/// # Errors
/// Those of [`fetch`].
pub fn fetch_tensors(request: &Fetch, expected: &[Expected], progress: &dyn Fn(u64, u64)) -> Result<Fetched> {
    let digest = request.sha256.as_deref().map(digest_of).transpose()?;
    let client = Client::new(&request.url)?;
    if request.out.file_name().is_none() {
        return Err(Error::Out { path: request.out.clone() });
    }
    if let Some(there) = already_there(&request.out, digest.as_deref())? {
        return Ok(there);
    }
    let partial = Partial::open(&request.out, &request.url)?;
    // Another process may have finished it before the lock was given.
    match already_there(&request.out, digest.as_deref()) {
        Ok(None) => {}
        Ok(Some(there)) => {
            partial.discard();
            return Ok(there);
        }
        Err(error) => {
            partial.close();
            return Err(error);
        }
    }
    Download::new(request, expected, digest, client, partial, progress).run()
}

/// The 64 digits in lower case.
fn digest_of(given: &str) -> Result<String> {
    if given.len() == 64 && given.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(given.to_ascii_lowercase())
    } else {
        Err(Error::NotADigest { given: given.to_owned() })
    }
}

fn already_there(out: &Path, digest: Option<&str>) -> Result<Option<Fetched>> {
    if fs::symlink_metadata(out).is_err() {
        return Ok(None);
    }
    let Some(digest) = digest else {
        return Err(Error::Exists { path: out.to_owned(), detail: String::new() });
    };
    let (sha256, bytes_kept) =
        File::open(out).and_then(|mut file| sha256_of(&mut file)).map_err(Error::io("read", out))?;
    if sha256 != digest {
        return Err(Error::Exists {
            path: out.to_owned(),
            detail: format!(" and has the SHA-256 {sha256}, not {digest}"),
        });
    }
    Ok(Some(Fetched { path: out.to_owned(), sha256, source_sha256: None, bytes_downloaded: 0, bytes_kept }))
}

/// Digest and number of the bytes that are left to read.
fn sha256_of(reader: &mut dyn Read) -> std::io::Result<(String, u64)> {
    let mut digest = Sha256::new();
    let bytes = each_block(reader, &mut |block| {
        digest.update(block);
        Ok(())
    })?;
    Ok((hex(digest), bytes))
}

/// Gives everything that is left to read to `take`, and says how much it was.
fn each_block(reader: &mut dyn Read, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<u64> {
    let mut block = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(bytes),
            Ok(n) => {
                take(&block[..n])?;
                bytes += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
