//! Public weights of VGG19: downloaded from a Hugging Face hub or any other address, checked, and reduced to the convolutions.
//!
//! A download that was cut goes on where it ended, in this call or the next: `FILE.part` holds what has arrived, `FILE.part.tag`
//! the version (`ETag`) that it is of. Why this is not `hf-hub`: `docs/decisions/0013-weights.md`.

use std::{
    cell::Cell,
    env,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Error, Result, anyhow, bail, ensure};
use models::vgg19::{BLOCKS, BackboneWeights, ConvLayer};
use safetensors::{Dtype, tensor::TensorView};
use sha2::{Digest as _, Sha256};
use ureq::{
    Agent, Body, RequestBuilder,
    http::{HeaderMap, Response, header},
    typestate::WithoutBody,
};

use crate::http::{Fault, address, agent};

/// The hub that is asked where `HF_ENDPOINT` names no other.
const ENDPOINT: &str = "https://huggingface.co";
/// Largest file that is downloaded; torchvision's has 574,673,361 bytes.
const MAX_BYTES: u64 = 4 << 30;
const BLOCK: usize = 64 << 10;
/// Bytes that tell what a file is.
const SIGNATURE: usize = 9;
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A file of a repository on a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// `OWNER/NAME`.
    pub repo: String,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// Its path in the repository.
    pub file: String,
}

impl HubFile {
    /// Its address on the hub of `HF_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> String {
        let endpoint = env::var("HF_ENDPOINT").unwrap_or_else(|_| ENDPOINT.to_owned());
        let Self { repo, revision, file } = self;
        format!("{}/{repo}/resolve/{}/{file}", endpoint.trim_end_matches('/'), revision.replace('/', "%2F"))
    }

    /// Where `huggingface_hub`, `timm` or `transformers` have downloaded it to, if they have.
    #[must_use]
    pub fn cached(&self) -> Option<PathBuf> {
        let hub = env::var_os("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(hf_home()?.join("hub")))?;
        let repo = hub.join(format!("models--{}", self.repo.replace('/', "--")));
        let commit = fs::read_to_string(repo.join("refs").join(&self.revision));
        let commit = commit.map_or_else(|_| self.revision.clone(), |commit| commit.trim().to_owned());
        Some(repo.join("snapshots").join(commit).join(&self.file)).filter(|path| path.is_file())
    }
}

/// The folder of Hugging Face's programs: `HF_HOME`, else `~/.cache/huggingface`.
fn hf_home() -> Option<PathBuf> {
    env::var_os("HF_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache/huggingface")))
}

/// `HF_TOKEN`, else what `hf auth login` wrote.
fn token() -> Option<String> {
    let token = env::var("HF_TOKEN").ok().or_else(|| fs::read_to_string(hf_home()?.join("token")).ok())?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A hub; no request is sent for what is in its cache on this machine.
    Hub(HubFile),
    /// Any address; one with `/resolve/` in it is taken for a hub's.
    Url(String),
}

/// What to fetch, and where to put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Where it comes from: a safetensors file, or one of `torch.save`.
    pub source: Source,
    /// The safetensors file to write.
    pub out: PathBuf,
    /// SHA-256, in hexadecimal, of the source or of the written file.
    pub sha256: Option<String>,
    /// How often a request is sent again whose connection was cut, or to which the server said that it is busy.
    pub retries: u32,
    /// The wait before the first of them; each wait is twice the one before.
    pub wait: Duration,
    /// Bytes of the largest file that is downloaded.
    pub max_bytes: u64,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The written file.
    pub path: PathBuf,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The SHA-256 of the source; `None` where the file was there already.
    pub source_sha256: Option<String>,
    /// Bytes that came over the network in this call.
    pub bytes_downloaded: u64,
    /// Bytes of the written file.
    pub bytes_kept: u64,
}

impl Fetch {
    /// Five retries, after 1, 2, 4, 8 and 16 seconds.
    #[must_use]
    pub fn new(source: Source, out: PathBuf) -> Self {
        Self { source, out, sha256: None, retries: 5, wait: Duration::from_secs(1), max_bytes: MAX_BYTES }
    }

    /// Downloads the source, checks it, and writes its sixteen convolutions, as F32 and under torchvision's names. `progress` is
    /// called with the bytes that have arrived and the bytes that there are, 0 where that is not known.
    ///
    /// # Errors
    /// When the address cannot be used, the server refuses or cannot be reached, the digest is another, the source is not a VGG19
    /// (see [`BackboneWeights::read`]), or `out` exists with other contents or cannot be written. What had arrived stays for the next call
    /// where only the connection failed.
    pub fn run(&self, progress: &dyn Fn(u64, u64)) -> Result<Fetched> {
        let wanted = self.sha256.as_ref().map(|digest| digest.trim().to_ascii_lowercase());
        if let Some(digest) = wanted.as_ref().filter(|digest| !is_sha256(digest)) {
            bail!("`{digest}` is not a SHA-256: expected 64 hexadecimal digits");
        }
        ensure!(self.out.file_name().is_some(), "{} does not name a file to write", self.out.display());
        if self.out.exists() {
            return self.existing(wanted.as_deref());
        }
        if let Some(folder) = self.out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
        }
        if let Source::Hub(file) = &self.source
            && let Some(cached) = file.cached()
        {
            let (bytes, sha256) = self.convert(&cached, None, wanted.as_deref(), &cached.display().to_string())?;
            return self.write(&bytes, sha256, 0);
        }
        let (url, is_hub) = match &self.source {
            Source::Hub(file) => (file.url(), true),
            Source::Url(url) => (url.clone(), url.contains("/resolve/")),
        };
        let mut download = Download::new(self, url, is_hub, progress)?;
        download.download_all()?;
        let converted = self.convert(&download.part, download.digest.as_deref(), wanted.as_deref(), &download.url);
        download.remove();
        let (bytes, sha256) = converted?;
        self.write(&bytes, sha256, download.received)
    }

    fn existing(&self, wanted: Option<&str>) -> Result<Fetched> {
        let out = self.out.display();
        let Some(wanted) = wanted else {
            bail!("{out} exists; remove it or name another file with --out");
        };
        let (sha256, bytes_kept) = sha256_of(&self.out)?;
        ensure!(
            sha256 == wanted,
            "{out} exists with the SHA-256 {sha256}, expected {wanted}; remove it or name another file with --out"
        );
        Ok(Fetched { path: self.out.clone(), sha256, source_sha256: None, bytes_downloaded: 0, bytes_kept })
    }

    /// The bytes of the file to write, and the SHA-256 of the source, which is `published` where a hub said so.
    fn convert(
        &self,
        source: &Path,
        published: Option<&str>,
        wanted: Option<&str>,
        from: &str,
    ) -> Result<(Vec<u8>, String)> {
        let (found, _) = sha256_of(source)?;
        if let Some(published) = published.filter(|published| *published != found) {
            bail!("{from} has the SHA-256 {found}, and its hub says {published}: the download is damaged; try again");
        }
        let weights = BackboneWeights::read(source, BLOCKS.len())
            .with_context(|| format!("{from} is not a VGG19 that can be used"))?;
        let bytes = to_safetensors(&weights)?;
        let written = hex(Sha256::digest(&bytes));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found && *wanted != written) {
            bail!("{from} has the SHA-256 {found}, and {written} when reduced to its convolutions; expected {wanted}");
        }
        Ok((bytes, found))
    }

    fn write(&self, bytes: &[u8], source_sha256: String, bytes_downloaded: u64) -> Result<Fetched> {
        let failed = || format!("failed to write {}", self.out.display());
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
        file.write_all(bytes).with_context(failed)?;
        file.persist_noclobber(&self.out).with_context(failed)?;
        Ok(Fetched {
            path: self.out.clone(),
            sha256: hex(Sha256::digest(bytes)),
            source_sha256: Some(source_sha256),
            bytes_downloaded,
            bytes_kept: bytes.len() as u64,
        })
    }
}

/// The convolutions as a safetensors file of F32, named as torchvision names them.
fn to_safetensors(weights: &BackboneWeights) -> Result<Vec<u8>> {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for conv in weights.convs() {
        let ConvLayer { index, in_channels, out_channels } = conv.layer;
        let shape = vec![out_channels, in_channels, 3, 3];
        tensors.push((format!("features.{index}.weight"), shape, bytes(&conv.weight)));
        tensors.push((format!("features.{index}.bias"), vec![out_channels], bytes(&conv.bias)));
    }
    let views =
        tensors.iter().map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    let format = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(safetensors::serialize(views, Some(format))?)
}

/// Why a request gave no file.
enum Failure {
    /// It may not be so the next time.
    Passing(Error),
    /// The server was never reached: what arrived in an earlier call is still good.
    Unreached(Error),
    /// It would be so again.
    Lasting(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Lasting(error.into())
    }
}

type Step<T> = std::result::Result<T, Failure>;

/// A file on its way from an address to `FILE.part`.
struct Download<'a> {
    fetch: &'a Fetch,
    agent: Agent,
    url: String,
    is_hub: bool,
    part: PathBuf,
    tag: PathBuf,
    /// The SHA-256 that the hub says the file has.
    digest: Option<String>,
    /// Whether the server has answered: before that, no connection is a mistake, and afterwards a mishap.
    reached: Cell<bool>,
    received: u64,
    progress: &'a dyn Fn(u64, u64),
}

impl<'a> Download<'a> {
    fn new(fetch: &'a Fetch, url: String, is_hub: bool, progress: &'a dyn Fn(u64, u64)) -> Result<Self> {
        let uri = address(&url).map_err(|detail| anyhow!("the address `{url}` {detail}"))?;
        let agent = agent(&uri).build().new_agent();
        let beside = |suffix: &str| PathBuf::from([fetch.out.as_os_str(), suffix.as_ref()].join("".as_ref()));
        let (part, tag) = (beside(".part"), beside(".part.tag"));
        let (digest, reached, received) = (None, Cell::new(false), 0);
        Ok(Self { fetch, agent, url, is_hub, part, tag, digest, reached, received, progress })
    }

    /// Downloads all that is missing. What has arrived stays where a later call can go on from it.
    fn download_all(&mut self) -> Result<()> {
        let Fetch { retries, wait, .. } = *self.fetch;
        for retry in 0.. {
            let error = match self.step() {
                Ok(()) => break,
                Err(Failure::Passing(_)) if retry < retries => {
                    thread::sleep(wait.saturating_mul(1 << retry.min(5)).min(MAX_WAIT));
                    continue;
                }
                Err(Failure::Passing(error)) => {
                    if !self.tag.exists() {
                        self.remove();
                    }
                    error.context(format!("failed to download {}", self.url))
                }
                Err(Failure::Unreached(error)) => error,
                Err(Failure::Lasting(error)) => {
                    self.remove();
                    error
                }
            };
            return Err(error);
        }
        Ok(())
    }

    /// One request for what is missing.
    fn step(&mut self) -> Step<()> {
        if self.is_hub && self.digest.is_none() {
            // A hub says the digest and then redirects to where its files are.
            let response = self.send(self.agent.get(&self.url).config().max_redirects(0).build())?;
            self.digest = published(response.headers());
        }
        let tag = fs::read_to_string(&self.tag).ok();
        let have = tag.as_ref().map_or(0, |_| self.part.metadata().map_or(0, |metadata| metadata.len()));
        let mut request = self.agent.get(&self.url);
        if let Some(tag) = tag.filter(|_| have > 0) {
            request = request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, tag);
        }
        let mut response = self.send(request)?;
        let headers = response.headers();
        let (start, total) = match response.status().as_u16() {
            200 => (0, length(headers, header::CONTENT_LENGTH.as_str())),
            206 if have > 0 && part_from(headers) == Some(have) => (have, length(headers, "content-range")),
            // Not what was asked for, or nothing is left of it: from the beginning.
            206 | 416 if have > 0 => {
                self.remove();
                return Err(Failure::Passing(anyhow!("the server does not go on where it was cut off")));
            }
            status => return Err(self.refused(status)),
        };
        let limit = total.unwrap_or(self.fetch.max_bytes);
        if limit > self.fetch.max_bytes {
            return Err(self.too_large());
        }
        let failed = || format!("failed to write {}", self.part.display());
        let mut file = if start == 0 {
            let file = File::create(&self.part).with_context(failed)?;
            match headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) {
                Some(tag) if !tag.starts_with("W/") => fs::write(&self.tag, tag).with_context(failed)?,
                _ => drop(fs::remove_file(&self.tag)),
            }
            file
        } else {
            OpenOptions::new().append(true).open(&self.part).with_context(failed)?
        };
        let (mut at, mut block) = (start, Vec::with_capacity(BLOCK));
        let mut body = response.body_mut().as_reader();
        loop {
            block.clear();
            let read = (&mut body).take(BLOCK as u64).read_to_end(&mut block);
            if at == 0 && (read.is_ok() || block.len() >= SIGNATURE) {
                recognise(&block).map_err(|what| anyhow!("{} {what}", self.url))?;
            }
            at += block.len() as u64;
            self.received += block.len() as u64;
            if at > limit {
                return Err(self.too_large());
            }
            file.write_all(&block).with_context(failed)?;
            (self.progress)(at, total.unwrap_or(0));
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(Failure::Passing(error.into())),
            }
        }
        match total {
            Some(total) if at < total => {
                Err(Failure::Passing(anyhow!("the connection ended {} bytes early", total - at)))
            }
            _ => Ok(()),
        }
    }

    fn send(&self, request: RequestBuilder<WithoutBody>) -> Step<Response<Body>> {
        // Not sent on to where a hub redirects.
        let request = match token().filter(|_| self.is_hub) {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        let url = &self.url;
        let response = request.call().map_err(|error| match Fault::of(error, url.starts_with("https")) {
            Fault::Unreached(detail) if !self.reached.get() => {
                Failure::Unreached(anyhow!("failed to connect to {url}: {detail}"))
            }
            Fault::Unreached(detail) | Fault::Cut(detail) => Failure::Passing(anyhow!(detail)),
            Fault::Tls(detail) => Failure::Unreached(anyhow!("failed to connect securely to {url}: {detail}")),
            Fault::Other(error) => Failure::Lasting(anyhow!("failed to download {url}: {error}")),
        })?;
        self.reached.set(true);
        Ok(response)
    }

    fn refused(&self, status: u16) -> Failure {
        let says = match status {
            401 | 403 => "may not be read; set HF_TOKEN if its hub asks for a token",
            404 | 410 => "was not found; check the address, or --repo, --revision and --file",
            408 | 425 | 429 | 500..=599 => {
                return Failure::Passing(anyhow!("the server answered with status {status}"));
            }
            _ => "cannot be downloaded",
        };
        Failure::Lasting(anyhow!("{} {says} (status {status})", self.url))
    }

    fn too_large(&self) -> Failure {
        Failure::Lasting(anyhow!("{} has more bytes than it said or than {}", self.url, self.fetch.max_bytes))
    }

    /// Removes what has arrived.
    fn remove(&self) {
        for path in [&self.part, &self.tag] {
            let _ = fs::remove_file(path);
        }
    }
}

/// Refuses what is no file of weights by its first bytes, before the rest is downloaded.
fn recognise(start: &[u8]) -> std::result::Result<(), &'static str> {
    let is_torch = start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02");
    if start.get(8) == Some(&b'{') || is_torch {
        Ok(())
    } else if start.trim_ascii_start().starts_with(b"<") {
        Err("is an HTML page, not a file of weights; is it the address of the file itself?")
    } else {
        Err("is neither a safetensors file nor one of torch.save")
    }
}

/// The SHA-256 that a hub publishes of a file.
fn published(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get("x-linked-etag").or_else(|| headers.get(header::ETAG))?.to_str().ok()?;
    let digest = tag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
    is_sha256(&digest).then_some(digest)
}

/// The length in `Content-Length`, or after the `/` of `Content-Range`.
fn length(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.rsplit('/').next()?.trim().parse().ok()
}

/// The first byte of a `Content-Range`.
fn part_from(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn is_sha256(digest: &str) -> bool {
    digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The SHA-256 of a file, in hexadecimal, and its length.
fn sha256_of(path: &Path) -> Result<(String, u64)> {
    let failed = || format!("failed to read {}", path.display());
    let (mut file, mut sha256) = (File::open(path).with_context(failed)?, Sha256::new());
    let (mut block, mut bytes) = (vec![0; BLOCK], 0);
    loop {
        let n = file.read(&mut block).with_context(failed)?;
        if n == 0 {
            return Ok((hex(sha256.finalize()), bytes));
        }
        sha256.update(&block[..n]);
        bytes += n as u64;
    }
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
