//! An object store: S3, Google Cloud Storage, Azure, or files behind a web server.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    fs::File,
    io::Write as _,
    path::Path as FilePath,
    sync::{Arc, mpsc},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http_body_util::BodyExt as _;
use models::artifact::{self, CURRENT, CURRENT_LIMIT, FILE_LIMIT, MANIFEST, MANIFEST_LIMIT};
use object_store::{GetResult, ObjectStoreExt as _, path::Path};
use serde::{Deserialize, de::IgnoredAny};
use tokio::{runtime, time::timeout};

use super::{Fetched, RepositoryError, RepositoryErrorKind, Result, connect::Connection, error::too_large, names};

/// Files beside the manifest; ours have 3.
const MAX_FILES: usize = 32;
/// Bytes of all files of a version.
const VERSION_LIMIT: u64 = 2 << 30;

/// How long it may take to say which versions there are.
const ASK_DEADLINE: Duration = Duration::from_secs(60);
/// How long it may take to bring one.
const FETCH_DEADLINE: Duration = Duration::from_secs(30 * 60);

/// A client of an object store with a runtime of its own, so that it can be asked before the server's runtime runs.
#[derive(Debug)]
pub(super) struct Store {
    remote: Arc<Connection>,
    runtime: Background,
}

impl Store {
    pub(super) fn new(connection: Connection) -> Result<Self> {
        let start =
            runtime::Builder::new_multi_thread().worker_threads(1).thread_name("repository").enable_all().build();
        match start {
            Ok(runtime) => Ok(Self { remote: Arc::new(connection), runtime: Background(Some(runtime)) }),
            Err(error) => Err(RepositoryError::io(connection.address, "start a thread for", &error)),
        }
    }

    pub(super) fn current(&self, model: &str) -> Result<String> {
        let (remote, model) = (Arc::clone(&self.remote), model.to_owned());
        self.wait(ASK_DEADLINE, async move { remote.current(&model).await })
    }

    pub(super) fn versions(&self, model: &str) -> Result<Vec<String>> {
        let (remote, model) = (Arc::clone(&self.remote), model.to_owned());
        self.wait(ASK_DEADLINE, async move { remote.versions(&model).await })
    }

    pub(super) fn fetch(&self, model: &str, version: &str) -> Result<Fetched> {
        let (remote, model, version) = (Arc::clone(&self.remote), model.to_owned(), version.to_owned());
        self.wait(FETCH_DEADLINE, async move { remote.fetch(&model, &version).await })
    }

    /// Does `work` on the runtime, and waits for it here.
    fn wait<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let fail =
            |detail: String| Err(RepositoryError::new(RepositoryErrorKind::Unreachable, &*self.remote.address, detail));
        let Some(runtime) = &self.runtime.0 else { return fail("it is closed".to_owned()) };
        let (tell, told) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            // Nobody listens any more: nothing is lost.
            let _ = tell.send(timeout(deadline, work).await);
        });
        match told.recv() {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => fail(format!("it took over {} seconds", deadline.as_secs())),
            Err(_) => fail("reading from it panicked".to_owned()),
        }
    }
}

/// A runtime that ends without waiting, since it may be dropped where nobody may wait.
#[derive(Debug)]
struct Background(Option<runtime::Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Connection {
    async fn current(&self, model: &str) -> Result<String> {
        for folder in self.folders(model) {
            let place = join(&folder, CURRENT);
            let Some(found) = self.get(&place).await? else { continue };
            let bytes = self.read(found, CURRENT_LIMIT, &place).await?;
            let version = artifact::names::version_in(&String::from_utf8_lossy(&bytes)).map(str::to_owned);
            return version.map_err(|error| RepositoryError::broken(self.show(&place), error.to_string()));
        }
        match self.fixed().await? {
            Some(version) => Ok(version),
            None => {
                let detail = format!("neither {model}/{CURRENT} nor {CURRENT} is there");
                Err(RepositoryError::not_found(&*self.address, detail))
            }
        }
    }

    async fn versions(&self, model: &str) -> Result<Vec<String>> {
        if !self.lists {
            return match self.current(model).await {
                Ok(version) => Ok(vec![version]),
                Err(error) if error.kind() == RepositoryErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        for folder in self.folders(model) {
            let listed = self.store.list_with_delimiter(Some(&folder)).await;
            let Some(listed) = self.found(listed, &folder)? else { continue };
            let folders = listed.common_prefixes.iter().filter_map(Path::filename);
            let mut found: Vec<String> = folders.filter(|name| names::is_version(name)).map(str::to_owned).collect();
            if !found.is_empty() {
                found.sort_unstable();
                return Ok(found);
            }
        }
        Ok(self.fixed().await?.into_iter().collect())
    }

    async fn fetch(&self, model: &str, version: &str) -> Result<Fetched> {
        let absent = |detail: String| RepositoryError::not_found(&*self.address, detail);
        if !names::is_version(version) {
            return Err(absent(names::no_version(version)));
        }
        let mut folders: Vec<Path> = self.folders(model).iter().map(|folder| join(folder, version)).collect();
        if self.prefix.filename() == Some(version) {
            folders.insert(0, self.prefix.clone());
        }
        for folder in folders {
            let place = join(&folder, MANIFEST);
            if let Some(found) = self.get(&place).await? {
                let manifest = self.read(found, MANIFEST_LIMIT, &place).await?;
                return self.download(&folder, version, &manifest).await;
            }
        }
        Err(absent(format!("there is no version {version} of {}", names::quoted(model))))
    }

    /// The version whose folder the address is.
    async fn fixed(&self) -> Result<Option<String>> {
        let Some(version) = self.prefix.filename().filter(|name| names::is_version(name)) else { return Ok(None) };
        let found = self.get(&join(&self.prefix, MANIFEST)).await?;
        Ok(found.map(|_| version.to_owned()))
    }

    /// Where the versions of `model` may lie: below all artifacts, or in the folder of the one model.
    fn folders(&self, model: &str) -> Vec<Path> {
        let of_model = names::is_model(model).then(|| join(&self.prefix, model));
        of_model.into_iter().chain([self.prefix.clone()]).collect()
    }

    /// Brings the files that `manifest` lists into a temporary folder.
    async fn download(&self, folder: &Path, version: &str, manifest: &[u8]) -> Result<Fetched> {
        let broken = |detail: String| RepositoryError::broken(self.show(&join(folder, MANIFEST)), detail);
        let listing: Listing = serde_json::from_slice(manifest)
            .map_err(|error| broken(format!("it is not what `train` writes: {error}")))?;
        if listing.files.len() > MAX_FILES {
            return Err(broken(format!("it lists {} files; no artifact has over {MAX_FILES}", listing.files.len())));
        }
        if let Some(name) = listing.files.keys().find(|name| !names::is_file(name)) {
            return Err(broken(format!("it lists {}, which is no name of a file of an artifact", names::quoted(name))));
        }
        let fail = |action: &'static str| {
            move |error: std::io::Error| RepositoryError::io("a temporary folder", action, &error)
        };
        let temporary = tempfile::Builder::new().prefix("tonearm-").tempdir().map_err(fail("create"))?;
        let local = temporary.path().join(version);
        std::fs::create_dir(&local).map_err(fail("create"))?;
        std::fs::write(local.join(MANIFEST), manifest).map_err(fail("write to"))?;
        let mut left = VERSION_LIMIT;
        for name in listing.files.keys() {
            let place = join(folder, name);
            let Some(found) = self.get(&place).await? else {
                return Err(RepositoryError::broken(
                    self.show(&place),
                    format!("{MANIFEST} lists it, and it is not there"),
                ));
            };
            left -= self.save(found, FILE_LIMIT.min(left), &place, &local.join(name)).await?;
        }
        Ok(Fetched::downloaded(local, temporary))
    }

    /// Begins to read an object; `None` where there is none.
    async fn get(&self, place: &Path) -> Result<Option<GetResult>> {
        self.found(self.store.get(place).await, place)
    }

    /// What a store gave; `None` where it has nothing there.
    fn found<T>(&self, given: object_store::Result<T>, place: &Path) -> Result<Option<T>> {
        match given {
            Ok(found) => Ok(Some(found)),
            Err(error @ object_store::Error::NotFound { .. }) => match cause(&error) {
                // Of S3 and Google, and of Azure.
                cause if cause.contains("NoSuchBucket") || cause.contains("ContainerNotFound") => {
                    Err(RepositoryError::not_found(&*self.address, "there is no such bucket or container"))
                }
                _ => Ok(None),
            },
            Err(error) => Err(self.problem(place, &error)),
        }
    }

    /// The bytes of an object of at most `limit` bytes.
    async fn read(&self, found: GetResult, limit: u64, place: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.each(found, limit, place, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })
        .await?;
        Ok(bytes)
    }

    /// Writes an object of at most `limit` bytes to a new file. Returns how many it has.
    ///
    /// The disk is waited for on the thread of the store, where nobody else waits.
    async fn save(&self, found: GetResult, limit: u64, place: &Path, path: &FilePath) -> Result<u64> {
        let fail = |error: std::io::Error| RepositoryError::io("a temporary folder", "write to", &error);
        let mut file = File::create_new(path).map_err(fail)?;
        self.each(found, limit, place, |part| file.write_all(part).map_err(fail)).await
    }

    /// Hands an object of at most `limit` bytes on, part by part, and counts: what a store says of a length may be wrong.
    async fn each(
        &self,
        found: GetResult,
        limit: u64,
        place: &Path,
        mut take: impl FnMut(&Bytes) -> Result<()>,
    ) -> Result<u64> {
        let (announced, mut received) = (found.meta.size, 0);
        let over = || Err(RepositoryError::broken(self.show(place), too_large(limit)));
        if announced > limit {
            return over();
        }
        let mut body = Body::from_stream(found.into_stream());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.problem(place, &*error.into_inner()))?;
            let Some(part) = frame.data_ref() else { continue };
            received += part.len() as u64;
            if received > limit {
                return over();
            }
            take(part)?;
        }
        if received != announced {
            let detail = format!("it broke off after {received} of {announced} bytes");
            return Err(RepositoryError::new(RepositoryErrorKind::Unreachable, self.show(place), detail));
        }
        Ok(received)
    }

    /// What is wrong with an answer.
    fn problem(&self, place: &Path, error: &(dyn StdError + Send + Sync + 'static)) -> RepositoryError {
        use object_store::Error as E;
        let cause = cause(error);
        let (kind, detail) = match error.downcast_ref() {
            Some(E::PermissionDenied { .. } | E::Unauthenticated { .. }) => (
                RepositoryErrorKind::Denied,
                format!("the store refuses to show it: {cause}; are the credentials right?"),
            ),
            _ => (
                RepositoryErrorKind::Unreachable,
                format!("the store gave no answer that can be used: {cause}; is the address right, and is it up?"),
            ),
        };
        RepositoryError::new(kind, self.show(place), detail)
    }

    /// Where an object is, for a message.
    fn show(&self, place: &Path) -> String {
        let below = place.as_ref().strip_prefix(self.prefix.as_ref()).unwrap_or(place.as_ref());
        format!("{}/{}", self.address, below.trim_start_matches('/'))
    }
}

/// Of `artifact.json`, what there is to download. All else of it is for `models` to judge.
#[derive(Debug, Deserialize)]
struct Listing {
    files: BTreeMap<String, IgnoredAny>,
}

fn join(folder: &Path, name: &str) -> Path {
    folder.clone().join(name)
}

/// What lies at the bottom of an error, in a line. The errors around it repeat the request, with all that its URL may hold.
fn cause(error: &(dyn StdError + 'static)) -> String {
    const SHOWN: usize = 200;
    let mut bottom = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    let text = bottom.to_string();
    // The body of a refusal is a document: of S3 and Azure one that has the reason as its code, and may repeat the request.
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let line = text.split('<').next().unwrap_or_default().trim().trim_end_matches(':');
    let line = code.map_or_else(|| line.to_owned(), |code| format!("{line}: {code}"));
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str);

    #[test]
    fn of_a_document_the_code_is_shown() {
        for (said, shown) in [
            ("Connection refused (os error 111)", "Connection refused (os error 111)"),
            (
                "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Secret>hush</Secret></Error>",
                "Server returned non-2xx status code: 403 Forbidden: AccessDenied",
            ),
            ("Server returned non-2xx status code: 500: <html>hush</html>", "Server returned non-2xx status code: 500"),
            ("a\nb", "a b"),
        ] {
            assert_eq!(cause(&Said(said)), shown);
        }
    }
}
