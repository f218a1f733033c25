//! Object stores: S3, Google Cloud Storage, Azure, or files behind a web server.

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
use models::artifact::{CURRENT, CURRENT_LIMIT, FILE_LIMIT, MANIFEST, MANIFEST_LIMIT, names};
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, GetResult, HeaderMap, ObjectStore, ObjectStoreExt as _,
    ObjectStoreScheme, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
    path::Path,
};
use reqwest::{Url, header::AUTHORIZATION};
use serde::{Deserialize, de::IgnoredAny};
use tokio::{runtime, time::timeout};

use super::{
    Contents, Files, RepositoryError, RepositoryErrorKind, Result, is_model, is_version, kind_in, no_version, quoted,
    too_large,
};
use crate::telemetry;

/// Limits of every client; `Timeout` is for a request with its whole response.
const CLIENT: [(ClientConfigKey, &str); 4] = [
    (ClientConfigKey::ConnectTimeout, "5 seconds"),
    (ClientConfigKey::ReadTimeout, "20 seconds"),
    (ClientConfigKey::Timeout, "10 minutes"),
    (ClientConfigKey::UserAgent, concat!("tonearm/", env!("CARGO_PKG_VERSION"))),
];
const SCHEMES: &str = "expected s3, gs, az, http, https or file";

/// A client, and the prefix of the artifacts in its store.
#[derive(Debug)]
struct Connection {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// For messages: without credentials.
    address: String,
    /// Whether it can list objects.
    lists: bool,
}

/// Parses an address that has a scheme.
fn parse(address: &str) -> Result<Url> {
    // Not the whole address: it may hold a password.
    let refuse = |detail: String| {
        let scheme = address.split_once("://").map_or(address, |(scheme, _)| scheme);
        Err(RepositoryError::address(format!("{scheme}://…"), detail))
    };
    let url = match Url::parse(address) {
        Ok(url) => url,
        Err(error) => return refuse(format!("not a URL: {error}")),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("remove what follows `?` or `#`, and give credentials by environment variables".to_owned());
    }
    match url.scheme() {
        "http" | "https" => Ok(url),
        // The part before `@` of an Azure address is the container.
        "az" | "azure" | "adl" | "abfs" | "abfss" if url.password().is_none() => Ok(url),
        "s3" | "s3a" | "gs" if url.password().is_none() && url.username().is_empty() => Ok(url),
        "s3" | "s3a" | "gs" | "az" | "azure" | "adl" | "abfs" | "abfss" => {
            refuse("remove the credentials, and give them by AWS_…, GOOGLE_… or AZURE_… variables".to_owned())
        }
        _ => refuse(format!("unknown scheme; {SCHEMES}")),
    }
}

/// A client of the store at `url`, configured by these environment variables. Sends no request.
fn connect(url: &Url, variables: &[(String, String)]) -> Result<Connection> {
    telemetry::install_tls();
    let address = shown(url);
    let refuse = |error: &dyn std::error::Error| RepositoryError::address(&address, error.to_string());
    let (scheme, prefix) = ObjectStoreScheme::parse(url).map_err(|error| refuse(&error))?;
    let (store, lists) = match scheme {
        ObjectStoreScheme::AmazonS3 => (amazon(url, variables), true),
        ObjectStoreScheme::GoogleCloudStorage => (google(url, variables), true),
        ObjectStoreScheme::MicrosoftAzure => (azure(url, variables), true),
        ObjectStoreScheme::Http => (web(url), false),
        _ => return Err(RepositoryError::address(&address, format!("unknown scheme; {SCHEMES}"))),
    };
    Ok(Connection { store: store.map_err(|error| refuse(&*error))?, prefix, address, lists })
}

/// A URL without secrets.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Except an Azure container.
    if matches!(url.scheme(), "http" | "https") {
        // These fail for URLs without a host, and both schemes have one.
        let _ = url.set_username("");
    }
    let _ = url.set_password(None);
    url.to_string().trim_end_matches('/').to_owned()
}

type Opened = std::result::Result<Arc<dyn ObjectStore>, Box<dyn std::error::Error>>;

/// A builder with the variables of `prefix` and with [`CLIENT`]; unknown variables are ignored.
macro_rules! builder {
    ($builder:ty, $key:ty, $prefix:literal, $url:expr, $variables:expr) => {{
        let mut builder = <$builder>::new();
        let mut plain = false;
        for (name, value) in $variables.iter().filter(|(name, _)| name.starts_with($prefix)) {
            if let Ok(key) = name.to_ascii_lowercase().parse::<$key>() {
                plain |= name.contains("ENDPOINT") && value.starts_with("http://");
                builder = builder.with_config(key, value);
            }
        }
        for (key, value) in CLIENT {
            builder = builder.with_config(<$key>::Client(key), value);
        }
        if plain {
            // The endpoint was configured as such.
            builder = builder.with_config(<$key>::Client(ClientConfigKey::AllowHttp), "true");
        }
        builder.with_url($url.as_str()).with_retry(retry())
    }};
}

fn amazon(url: &Url, variables: &[(String, String)]) -> Opened {
    Ok(Arc::new(builder!(AmazonS3Builder, AmazonS3ConfigKey, "AWS_", url, variables).build()?))
}

fn google(url: &Url, variables: &[(String, String)]) -> Opened {
    Ok(Arc::new(builder!(GoogleCloudStorageBuilder, GoogleConfigKey, "GOOGLE_", url, variables).build()?))
}

fn azure(url: &Url, variables: &[(String, String)]) -> Opened {
    Ok(Arc::new(builder!(MicrosoftAzureBuilder, AzureConfigKey, "AZURE_", url, variables).build()?))
}

/// Files behind a web server. A user and password in the URL are sent as a header, so that no message shows them.
fn web(url: &Url) -> Opened {
    let client = reqwest::Client::builder().build().map_err(reqwest::Error::without_url)?;
    let request = client.get(url.clone()).build().map_err(reqwest::Error::without_url)?;
    let mut headers = HeaderMap::new();
    headers.extend(request.headers().get(AUTHORIZATION).map(|value| (AUTHORIZATION, value.clone())));
    let options = ClientOptions::new().with_default_headers(headers).with_allow_http(url.scheme() == "http");
    let options = CLIENT.into_iter().fold(options, |options, (key, value)| options.with_config(key, value));
    let mut host = request.url().clone();
    host.set_path("");
    Ok(Arc::new(HttpBuilder::new().with_url(host).with_client_options(options).with_retry(retry()).build()?))
}

/// Three retries, within half a minute.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(30),
    }
}

/// Files beside the manifest; ours have 3.
const MAX_FILES: usize = 32;
/// Bytes of all files of a version.
const VERSION_LIMIT: u64 = 2 << 30;

/// Time limit to list versions.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit to download one.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// A client of an object store with its own runtime, so that it can be used before the server's runtime runs.
#[derive(Debug)]
pub(super) struct Store {
    remote: Arc<Connection>,
    runtime: Background,
}

impl Store {
    /// The store at `address`, configured by these environment variables. Sends no request.
    pub(super) fn open(address: &str, variables: &[(String, String)]) -> Result<Self> {
        let connection = connect(&parse(address)?, variables)?;
        let start =
            runtime::Builder::new_multi_thread().worker_threads(1).thread_name("repository").enable_all().build();
        match start {
            Ok(runtime) => Ok(Self { remote: Arc::new(connection), runtime: Background(Some(runtime)) }),
            Err(error) => Err(RepositoryError::io(connection.address, "start a thread for", &error)),
        }
    }

    pub(super) fn address(&self) -> String {
        self.remote.address.clone()
    }

    pub(super) fn contents(&self) -> Result<Contents> {
        let remote = Arc::clone(&self.remote);
        self.wait(LIST_TIMEOUT, async move { remote.contents().await })
    }

    pub(super) fn kind(&self, model: &str, version: &str) -> Result<String> {
        let (remote, model, version) = (Arc::clone(&self.remote), model.to_owned(), version.to_owned());
        self.wait(LIST_TIMEOUT, async move { remote.kind(&model, &version).await })
    }

    pub(super) fn current(&self, model: &str) -> Result<String> {
        let (remote, model) = (Arc::clone(&self.remote), model.to_owned());
        self.wait(LIST_TIMEOUT, async move { remote.current(&model).await })
    }

    pub(super) fn versions(&self, model: &str) -> Result<Vec<String>> {
        let (remote, model) = (Arc::clone(&self.remote), model.to_owned());
        self.wait(LIST_TIMEOUT, async move { remote.versions(&model).await })
    }

    pub(super) fn fetch(&self, model: &str, version: &str) -> Result<Files> {
        let (remote, model, version) = (Arc::clone(&self.remote), model.to_owned(), version.to_owned());
        self.wait(FETCH_TIMEOUT, async move { remote.fetch(&model, &version).await })
    }

    /// Runs `work` on the runtime, and waits for it here.
    fn wait<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let fail =
            |detail: String| Err(RepositoryError::new(RepositoryErrorKind::Unreachable, &*self.remote.address, detail));
        let Some(runtime) = &self.runtime.0 else { return fail("it is closed".to_owned()) };
        let (sender, receiver) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            // Fails only if the receiver is gone.
            let _ = sender.send(timeout(limit, work).await);
        });
        match receiver.recv() {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => fail(format!("no result within {} seconds", limit.as_secs())),
            Err(_) => fail("reading from it panicked".to_owned()),
        }
    }
}

/// A runtime that is shut down without waiting, since it may be dropped in an async context.
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
    async fn contents(&self) -> Result<Contents> {
        if !self.lists {
            return Ok(Contents::Unlisted);
        }
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let Some(listed) = self.found(listed, &self.prefix)? else { return Ok(Contents::Models(Vec::new())) };
        let mut files = listed.objects.iter().filter_map(|object| object.location.filename());
        if files.any(|name| name == CURRENT || name == MANIFEST) {
            return Ok(Contents::One);
        }
        let folders = listed.common_prefixes.iter().filter_map(Path::filename);
        let mut names: Vec<String> = folders.filter(|name| is_model(name)).map(str::to_owned).collect();
        names.sort_unstable();
        Ok(Contents::Models(names))
    }

    async fn kind(&self, model: &str, version: &str) -> Result<String> {
        let (folder, manifest) = self.manifest(model, version).await?;
        kind_in(&manifest, &self.show(&join(&folder, MANIFEST)))
    }

    async fn current(&self, model: &str) -> Result<String> {
        for folder in self.folders(model) {
            let path = join(&folder, CURRENT);
            let Some(found) = self.get(&path).await? else { continue };
            let bytes = self.read(found, CURRENT_LIMIT, &path).await?;
            let version = names::version_in(&String::from_utf8_lossy(&bytes)).map(str::to_owned);
            return version.map_err(|error| RepositoryError::broken(self.show(&path), error.to_string()));
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
            let mut found: Vec<String> = folders.filter(|name| is_version(name)).map(str::to_owned).collect();
            if !found.is_empty() {
                found.sort_unstable();
                return Ok(found);
            }
        }
        Ok(self.fixed().await?.into_iter().collect())
    }

    async fn fetch(&self, model: &str, version: &str) -> Result<Files> {
        let (folder, manifest) = self.manifest(model, version).await?;
        self.download(&folder, version, &manifest).await
    }

    /// The folder of a version, and its manifest.
    async fn manifest(&self, model: &str, version: &str) -> Result<(Path, Vec<u8>)> {
        let absent = |detail: String| RepositoryError::not_found(&*self.address, detail);
        if !is_version(version) {
            return Err(absent(no_version(version)));
        }
        let mut folders: Vec<Path> = self.folders(model).iter().map(|folder| join(folder, version)).collect();
        if self.prefix.filename() == Some(version) {
            folders.insert(0, self.prefix.clone());
        }
        for folder in folders {
            let path = join(&folder, MANIFEST);
            if let Some(found) = self.get(&path).await? {
                let manifest = self.read(found, MANIFEST_LIMIT, &path).await?;
                return Ok((folder, manifest));
            }
        }
        Err(absent(format!("there is no version {version} of {}", quoted(model))))
    }

    /// The version, if the address is the folder of one.
    async fn fixed(&self) -> Result<Option<String>> {
        let Some(version) = self.prefix.filename().filter(|name| is_version(name)) else { return Ok(None) };
        let found = self.get(&join(&self.prefix, MANIFEST)).await?;
        Ok(found.map(|_| version.to_owned()))
    }

    /// Folders of the versions of `model`: below all artifacts, or in the folder of the one model.
    fn folders(&self, model: &str) -> Vec<Path> {
        let of_model = is_model(model).then(|| join(&self.prefix, model));
        of_model.into_iter().chain([self.prefix.clone()]).collect()
    }

    /// Downloads the files that `manifest` lists into a temporary folder.
    async fn download(&self, folder: &Path, version: &str, manifest: &[u8]) -> Result<Files> {
        let broken = |detail: String| RepositoryError::broken(self.show(&join(folder, MANIFEST)), detail);
        let listing: Listing =
            serde_json::from_slice(manifest).map_err(|error| broken(format!("not a manifest: {error}")))?;
        if listing.files.len() > MAX_FILES {
            return Err(broken(format!("it lists {} files; expected at most {MAX_FILES}", listing.files.len())));
        }
        if let Some(name) = listing.files.keys().find(|name| names::check_file(name).is_err()) {
            return Err(broken(format!("it lists {}, which is not a file name of an artifact", quoted(name))));
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
            let path = join(folder, name);
            let Some(found) = self.get(&path).await? else {
                return Err(RepositoryError::broken(
                    self.show(&path),
                    format!("{MANIFEST} lists it, but it does not exist"),
                ));
            };
            left -= self.save(found, FILE_LIMIT.min(left), &path, &local.join(name)).await?;
        }
        Ok(Files::Downloaded { folder: local, _scratch: temporary })
    }

    /// Starts to read an object; `None` if it does not exist.
    async fn get(&self, path: &Path) -> Result<Option<GetResult>> {
        self.found(self.store.get(path).await, path)
    }

    /// The result of a request; `None` if the object does not exist.
    fn found<T>(&self, given: object_store::Result<T>, path: &Path) -> Result<Option<T>> {
        match given {
            Ok(found) => Ok(Some(found)),
            Err(error @ object_store::Error::NotFound { .. }) => match cause(&error) {
                // Of S3 and Google, and of Azure.
                cause if cause.contains("NoSuchBucket") || cause.contains("ContainerNotFound") => {
                    Err(RepositoryError::not_found(&*self.address, "there is no such bucket or container"))
                }
                _ => Ok(None),
            },
            Err(error) => Err(self.problem(path, &error)),
        }
    }

    /// The bytes of an object of at most `limit` bytes.
    async fn read(&self, found: GetResult, limit: u64, path: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.each(found, limit, path, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })
        .await?;
        Ok(bytes)
    }

    /// Writes an object of at most `limit` bytes to a new file. Returns how many it has.
    ///
    /// Blocks the thread of the store on the disk, which only this store uses.
    async fn save(&self, found: GetResult, limit: u64, path: &Path, target: &FilePath) -> Result<u64> {
        let fail = |error: std::io::Error| RepositoryError::io("a temporary folder", "write to", &error);
        let mut file = File::create_new(target).map_err(fail)?;
        self.each(found, limit, path, |part| file.write_all(part).map_err(fail)).await
    }

    /// Passes an object of at most `limit` bytes on in parts, and counts its bytes: the announced length may be wrong.
    async fn each(
        &self,
        found: GetResult,
        limit: u64,
        path: &Path,
        mut take: impl FnMut(&Bytes) -> Result<()>,
    ) -> Result<u64> {
        let (announced, mut received) = (found.meta.size, 0);
        let over = || Err(RepositoryError::broken(self.show(path), too_large(limit)));
        if announced > limit {
            return over();
        }
        let mut body = Body::from_stream(found.into_stream());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.problem(path, &*error.into_inner()))?;
            let Some(part) = frame.data_ref() else { continue };
            received += part.len() as u64;
            if received > limit {
                return over();
            }
            take(part)?;
        }
        if received != announced {
            let detail = format!("it ended after {received} of {announced} bytes");
            return Err(RepositoryError::new(RepositoryErrorKind::Unreachable, self.show(path), detail));
        }
        Ok(received)
    }

    /// The error of a failed request.
    fn problem(&self, path: &Path, error: &(dyn StdError + Send + Sync + 'static)) -> RepositoryError {
        use object_store::Error as E;
        let cause = cause(error);
        let (kind, detail) = match error.downcast_ref() {
            Some(E::PermissionDenied { .. } | E::Unauthenticated { .. }) => {
                (RepositoryErrorKind::Denied, format!("the store denies access: {cause}; check the credentials"))
            }
            _ => (
                RepositoryErrorKind::Unreachable,
                format!("the store gave no usable response: {cause}; check the address, and whether it is up"),
            ),
        };
        RepositoryError::new(kind, self.show(path), detail)
    }

    /// The address of an object, for a message.
    fn show(&self, path: &Path) -> String {
        let below = path.as_ref().strip_prefix(self.prefix.as_ref()).unwrap_or(path.as_ref());
        format!("{}/{}", self.address, below.trim_start_matches('/'))
    }
}

/// The files that `artifact.json` lists. `models` validates the rest.
#[derive(Debug, Deserialize)]
struct Listing {
    files: BTreeMap<String, IgnoredAny>,
}

fn join(folder: &Path, name: &str) -> Path {
    folder.clone().join(name)
}

/// The innermost source of an error, in a line. The outer errors repeat the request with its URL, which may hold secrets.
fn cause(error: &(dyn StdError + 'static)) -> String {
    const SHOWN: usize = 200;
    let mut bottom = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    let text = bottom.to_string();
    // The body of a refusal is a document: for S3 and Azure one with the reason as its code, which may repeat the request.
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
    struct Failure(&'static str);

    #[test]
    fn the_code_of_an_error_document_is_shown() {
        for (text, shown) in [
            ("Connection refused (os error 111)", "Connection refused (os error 111)"),
            (
                "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Secret>hush</Secret></Error>",
                "Server returned non-2xx status code: 403 Forbidden: AccessDenied",
            ),
            ("Server returned non-2xx status code: 500: <html>hush</html>", "Server returned non-2xx status code: 500"),
            ("a\nb", "a b"),
        ] {
            assert_eq!(cause(&Failure(text)), shown);
        }
    }

    #[test]
    fn no_message_shows_a_password() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        assert_eq!(shown(&url("https://me:hush@host:8/x/")), "https://host:8/x");
        assert_eq!(shown(&url("az://container@account/x")), "az://container@account/x");
        for address in [
            "https://me:hush@host:port/",
            "https://host/x?sig=hush",
            "https://host/x#hush",
            "s3://key:hush@bucket/x",
            "gs://hush@bucket/x",
            "az://container:hush@account/x",
            "ftp://me:hush@host/x",
            "http://me:hush@/",
        ] {
            let error = parse(address).expect_err("refused");
            assert_eq!(error.kind(), RepositoryErrorKind::Address);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }

    #[test]
    fn every_kind_of_store_is_opened_without_a_request() {
        let variables = [("AZURE_STORAGE_ACCOUNT_NAME".to_owned(), "account".to_owned())];
        for (address, prefix, lists) in [
            ("s3://bucket/a/b", "a/b", true),
            ("gs://bucket", "", true),
            ("az://container/a/", "a", true),
            ("http://host/a%20b/", "a b", false),
            ("https://me:hush@host/", "", false),
        ] {
            let url = parse(address).expect("an address");
            let connection = connect(&url, &variables).expect(address);
            assert_eq!((connection.prefix.as_ref(), connection.lists), (prefix, lists), "{address}");
            assert!(!format!("{connection:?}").contains("hush"), "{connection:?}");
        }
        let url = parse("az://container/a").expect("an address");
        let error = connect(&url, &[]).expect_err("no account is named").to_string();
        assert!(error.contains("az://container/a") && error.contains("ccount"), "{error}");
    }
}
