//! Artifacts from a folder, from behind a web server, and from an S3 store, as `serve` reads them.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use features::FeatureSpec;
use models::artifact::{self, DataDescription, Draft};
use serve::repository::{Contents, Origin, Repository, RepositoryError, RepositoryErrorKind};

/// Writes a version of `model` below `root` and puts it in use. Its weights are never loaded.
fn write(root: &Path, model: &str, weights: &[u8]) -> String {
    write_as(root, model, model, weights)
}

/// The same under a name of its own.
fn write_as(root: &Path, name: &str, model: &str, weights: &[u8]) -> String {
    let draft = Draft {
        model: model.to_owned(),
        labels: labels::LabelSet::from_names(["blues", "rock"]).expect("labels"),
        spec: FeatureSpec::gtzan_store(),
        training: serde_json::json!({}),
        data: DataDescription { digest: "0".repeat(64), description: "nothing".to_owned(), clips: 0 },
        metrics: vec![],
        weights: weights.to_vec(),
        metrics_json: b"[]".to_vec(),
        report_html: b"<!doctype html>".to_vec(),
    };
    let version = draft.write_as(root, name).expect("writes").version;
    artifact::set_current(&root.join(name), &version).expect("puts in use");
    version
}

fn open(address: &str) -> Repository {
    Repository::open_with(address, []).expect("an address")
}

/// Reads a version as the server would, and returns its weights.
fn weights(repository: &Repository, model: &str, version: &str) -> Vec<u8> {
    let fetched = repository.fetch(model, version).expect("is there");
    let artifact = fetched.artifact().expect("is whole");
    assert_eq!(artifact.version(), version);
    artifact.weights().expect("has weights").to_vec()
}

fn assert_kind(kind: RepositoryErrorKind, result: Result<impl std::fmt::Debug, RepositoryError>, words: &[&str]) {
    let error = result.expect_err("refused");
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word} is not in {error}");
    }
}

#[test]
fn a_folder_may_be_that_of_all_of_one_model_or_of_one_version() {
    let root = tempfile::tempdir().expect("a folder");
    let old = write(root.path(), "svm", b"old");
    let new = write(root.path(), "svm", b"new");
    let mut both = vec![old.clone(), new.clone()];
    both.sort();
    let of = |path: &Path| open(&path.to_string_lossy());
    for repository in
        [of(root.path()), of(&root.path().join("svm")), open(&format!("file://{}", root.path().display()))]
    {
        assert_eq!(repository.current("svm").expect("in use"), new);
        assert_eq!(repository.versions("svm").expect("lists"), both);
        assert_eq!(weights(&repository, "svm", &old), b"old");
        assert_eq!(weights(&repository, "svm", &new), b"new");
        assert_kind(RepositoryErrorKind::NotFound, repository.fetch("svm", "0123456789ab"), &["0123456789ab"]);
    }
    // One version is fixed, whatever `CURRENT` says, and the rest is not to be had.
    let fixed = of(&root.path().join("svm").join(&old));
    assert_eq!(fixed.current("svm").expect("in use"), old);
    assert_eq!(fixed.versions("svm").expect("lists"), std::slice::from_ref(&old));
    assert_eq!(weights(&fixed, "svm", &old), b"old");
    assert_kind(RepositoryErrorKind::NotFound, fixed.fetch("svm", &new), &[&old, &new]);
    // What is put in use is seen at once.
    artifact::set_current(&root.path().join("svm"), &old).expect("is there");
    assert_eq!(of(root.path()).current("svm").expect("in use"), old);
}

fn models(names: &[&str]) -> Contents {
    Contents::Models(names.iter().map(|&name| name.to_owned()).collect())
}

#[test]
fn a_folder_says_which_models_it_may_hold_and_of_what_kind() {
    let root = tempfile::tempdir().expect("a folder");
    let of = |path: &Path| open(&path.to_string_lossy());
    assert_eq!(of(root.path()).contents().expect("lists"), models(&[]));
    assert_eq!(of(&root.path().join("nothing")).contents().expect("lists"), models(&[]));
    let version = write_as(root.path(), "dances", "svm", b"weights");
    write_as(root.path(), "a.b-c_9", "vgg19", b"weights");
    for no_model in ["Dances", ".hidden", "a b", "0123456789ab", "é"] {
        fs::create_dir(root.path().join(no_model)).expect("makes a folder");
    }
    fs::write(root.path().join("readme"), "no folder").expect("writes");
    let repository = of(root.path());
    assert_eq!(repository.contents().expect("lists"), models(&["a.b-c_9", "dances"]));
    assert_eq!(repository.kind("dances", &version).expect("says"), "svm");
    assert_kind(RepositoryErrorKind::NotFound, repository.kind("dances", "0123456789ab"), &["0123456789ab"]);
    assert_kind(RepositoryErrorKind::NotFound, repository.kind("dances", "../dances"), &["../dances"]);
    for one in [root.path().join("dances"), root.path().join("dances").join(&version)] {
        assert_eq!(of(&one).contents().expect("looks"), Contents::One);
        assert_eq!(of(&one).kind("whatever", &version).expect("says"), "svm");
    }
    let manifest = root.path().join("dances").join(&version).join("artifact.json");
    for garbage in ["", "{}", "[]", "{\"model\": 7}", "<html>"] {
        fs::write(&manifest, garbage).expect("writes");
        assert_kind(RepositoryErrorKind::Broken, repository.kind("dances", &version), &["artifact.json"]);
    }
}

#[test]
fn a_folder_without_a_model_has_none_yet() {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path(), "svm", b"weights");
    for (path, model) in [(root.path().join("nothing"), "svm"), (root.path().to_owned(), "vgg19")] {
        let repository = open(&path.to_string_lossy());
        let path = path.to_string_lossy();
        assert_kind(RepositoryErrorKind::NotFound, repository.current(model), &[&path]);
        assert!(repository.versions(model).expect("lists").is_empty());
        assert_kind(RepositoryErrorKind::NotFound, repository.fetch(model, "0123456789ab"), &[&path, "0123456789ab"]);
    }
}

/// What is looked through in order: a folder that holds one model does not hide what those behind it have of others.
#[test]
fn a_fallback_has_what_the_first_does_not_have() {
    let (root, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let [first, fallback] = [root.path(), other.path()].map(|path| path.to_string_lossy().into_owned());
    let repository = Repository::find(Some(&first), Some(&fallback)).expect("addresses");
    assert_eq!(repository.address(), format!("{first}, {fallback}"));
    assert_kind(RepositoryErrorKind::NotFound, repository.current("svm"), &[&first, &fallback, "svm"]);
    assert_kind(RepositoryErrorKind::NotFound, repository.fetch("svm", "0123456789ab"), &[&first, &fallback]);

    let shipped = write(other.path(), "svm", b"shipped");
    let network = write(other.path(), "vgg19", b"network");
    assert_eq!(repository.contents().expect("lists"), models(&["svm", "vgg19"]));
    assert_eq!(repository.fetch("svm", &shipped).expect("is there").origin(), Origin::Fallback);
    let own = write(root.path(), "svm", b"own");
    write_as(root.path(), "dances", "svm", b"dances");
    assert_eq!(repository.contents().expect("lists"), models(&["dances", "svm", "vgg19"]));
    assert_eq!(
        (repository.current("svm").expect("own"), repository.current("vgg19").expect("other")),
        (own.clone(), network)
    );
    let fetched = repository.fetch("svm", &own).expect("is there");
    assert_eq!((fetched.origin(), fetched.address()), (Origin::Artifacts, &*first));
    // A version that is not in use is to be had from either.
    assert_eq!(weights(&repository, "svm", &shipped), b"shipped");
    assert_eq!(repository.kind("svm", &shipped).expect("says"), "svm");
    let mut versions = [own.clone(), shipped.clone()];
    versions.sort();
    assert_eq!(repository.versions("svm").expect("lists"), versions);

    // What is wrong with the first is told; without a version in use it is passed over.
    let current = root.path().join("svm/CURRENT");
    fs::write(&current, "0123456789ab\n").expect("writes");
    assert_kind(RepositoryErrorKind::NotFound, repository.current("svm"), &["CURRENT", "does not exist"]);
    fs::write(&current, "garbage\n").expect("writes");
    assert_kind(RepositoryErrorKind::Broken, repository.current("svm"), &["garbage"]);
    fs::remove_file(&current).expect("removes");
    assert_eq!(repository.current("svm").expect("of the fallback"), shipped);

    // The folder of one model is that of whatever it is asked for, as it is without a fallback.
    let one = root.path().join("dances").to_string_lossy().into_owned();
    let one = Repository::find(Some(&one), Some(&fallback)).expect("addresses");
    assert_eq!(one.contents().expect("looks"), Contents::One);
    assert_eq!(one.current("svm").expect("in use"), repository.current("dances").expect("in use"));
}

#[test]
fn the_program_holds_an_svm() {
    let embedded = open("embedded");
    assert_eq!(embedded.contents().expect("says"), models(&["svm"]));
    let version = embedded.current("svm").expect("is there");
    assert_eq!(embedded.versions("svm").expect("one"), std::slice::from_ref(&version));
    let fetched = embedded.fetch("svm", &version).expect("is there");
    assert_eq!((fetched.origin(), fetched.folder(), fetched.address()), (Origin::Embedded, None, "embedded"));
    assert_eq!(fetched.artifact().expect("whole").version(), version);
    assert_kind(RepositoryErrorKind::NotFound, embedded.current("vgg19"), &["embedded", "vgg19"]);
    assert_kind(RepositoryErrorKind::NotFound, embedded.fetch("svm", "0123456789ab"), &["0123456789ab", &version]);
    assert!(embedded.versions("dances").expect("none").is_empty());
}

#[test]
fn what_is_no_version_leads_nowhere() {
    let root = tempfile::tempdir().expect("a folder");
    let version = write(root.path(), "svm", b"weights");
    let repository = open(&root.path().join("svm").to_string_lossy());
    let long = "f".repeat(100_000);
    for bad in ["", ".", "..", "../svm", &format!("./{version}"), &format!("../svm/{version}"), "0123456789AB", &long] {
        let error = repository.fetch("svm", bad).expect_err("no version");
        assert_eq!(error.kind(), RepositoryErrorKind::NotFound, "{bad}");
        assert!(error.to_string().len() < 1000, "{error}");
    }
    fs::write(root.path().join("svm/CURRENT"), "../../etc\n").expect("writes");
    assert_kind(RepositoryErrorKind::Broken, repository.current("svm"), &["../../etc", "version"]);
    fs::write(root.path().join("svm/CURRENT"), [b'0'; 100]).expect("writes");
    assert_kind(RepositoryErrorKind::Broken, repository.current("svm"), &["CURRENT", "64 bytes"]);
}

#[test]
fn an_address_that_leads_nowhere_is_refused() {
    for address in ["", "ftp://host/x", "s3://", "://", "http://", "https://host/x?key=hush", "s3://key:hush@bucket/x"]
    {
        let error = Repository::open_with(address, []).expect_err(address);
        assert_eq!(error.kind(), RepositoryErrorKind::Address, "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

/// What a [`Server`] answers to a path.
#[derive(Clone)]
enum CannedResponse {
    Bytes(Vec<u8>),
    /// Announces so many bytes, and sends these.
    Announces(u64, Vec<u8>),
    /// Announces 13 bytes, and sends chunks without end.
    Endless,
    Status(&'static str),
    /// 404, with the code of a bucket that does not exist.
    NoBucket,
}

/// A web server, of which a test says what it answers; an S3 store too, since that is GET and a list in XML.
struct Server {
    address: SocketAddr,
    files: Arc<Mutex<BTreeMap<String, CannedResponse>>>,
    /// Request lines and the header `Authorization`.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (files, seen) =
            (Arc::<Mutex<BTreeMap<String, CannedResponse>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let server = Self { address, files: Arc::clone(&files), seen: Arc::clone(&seen) };
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, seen) = (Arc::clone(&files), Arc::clone(&seen));
                // A client that has gone is no matter.
                thread::spawn(move || stream.map(|stream| response(stream, &files, &seen)));
            }
        });
        server
    }

    fn set(&self, path: &str, response: CannedResponse) {
        self.files.lock().expect("not poisoned").insert(path.to_owned(), response);
    }

    fn remove(&self, path: &str) {
        self.files.lock().expect("not poisoned").remove(path);
    }

    /// Serves every file below `folder`, under `path`.
    fn share(&self, folder: &Path, path: &str) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => self.share(&entry.path(), &path),
                false => self.set(&path, CannedResponse::Bytes(fs::read(entry.path()).expect("is there"))),
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> String {
        self.seen.lock().expect("not poisoned").join("\n")
    }
}

fn response(
    stream: TcpStream,
    files: &Mutex<BTreeMap<String, CannedResponse>>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let Some(Ok(request)) = lines.next() else { return Ok(()) };
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().expect("not poisoned").push(request);
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if line.to_ascii_lowercase().starts_with("authorization:") {
            seen.lock().expect("not poisoned").push(line);
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let answer = if query.contains("list-type=2") {
        Some(CannedResponse::Bytes(list(path, query, &files.lock().expect("not poisoned")).into_bytes()))
    } else {
        files.lock().expect("not poisoned").get(path).cloned()
    };
    let mut stream = &stream;
    let head = "Connection: close\r\nETag: \"1\"\r\nLast-Modified: Tue, 01 Jul 2025 00:00:00 GMT";
    match answer.unwrap_or(CannedResponse::Status("404 Not Found")) {
        CannedResponse::Bytes(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
            stream.write_all(&bytes)
        }
        CannedResponse::Announces(length, bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: {length}\r\n\r\n")?;
            stream.write_all(&bytes)
        }
        CannedResponse::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"10\r\n0123456789abcdef\r\n")?;
            }
        }
        CannedResponse::Status(status) => refuse(stream, status, head, "Because"),
        CannedResponse::NoBucket => refuse(stream, "404 Not Found", head, "NoSuchBucket"),
    }
}

fn refuse(mut stream: &TcpStream, status: &str, head: &str, code: &str) -> std::io::Result<()> {
    let body = format!("<Error><Code>{code}</Code><Message>hush</Message></Error>");
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// `ListObjectsV2` of S3: the folders below a prefix.
fn list(bucket: &str, query: &str, files: &BTreeMap<String, CannedResponse>) -> String {
    let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default().replace("%2F", "/");
    let below = format!("{}/{prefix}", bucket.trim_end_matches('/'));
    let mut folders: Vec<&str> =
        files.keys().filter_map(|path| path.strip_prefix(&below)?.split_once('/').map(|(folder, _)| folder)).collect();
    folders.dedup();
    let here = files.keys().filter_map(|path| path.strip_prefix(&below).filter(|name| !name.contains('/')));
    let objects: String = here
        .map(|name| {
            format!(
                "<Contents><Key>{prefix}{name}</Key><LastModified>2025-07-01T00:00:00.000Z</LastModified>\
                 <ETag>1</ETag><Size>1</Size></Contents>"
            )
        })
        .collect();
    let folders: String = folders
        .iter()
        .map(|folder| format!("<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>"))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>b</Name><Prefix>{prefix}</Prefix>\
         <IsTruncated>false</IsTruncated>{objects}{folders}</ListBucketResult>"
    )
}

#[test]
fn artifacts_lie_behind_a_web_server() {
    let root = tempfile::tempdir().expect("a folder");
    let old = write(root.path(), "svm", b"old");
    let new = write(root.path(), "svm", b"new");
    let server = Server::start("127.0.0.1:0");
    server.share(root.path(), "/my%20artifacts");
    for path in ["/my%20artifacts", "/my%20artifacts/", "/my%20artifacts/svm"] {
        let repository = open(&server.url(path));
        assert_eq!(repository.current("svm").expect("in use"), new);
        assert_eq!(weights(&repository, "svm", &old), b"old");
        assert_eq!(weights(&repository, "svm", &new), b"new");
        // It cannot list.
        assert_eq!(repository.contents().expect("says so"), Contents::Unlisted);
        assert_eq!(repository.kind("svm", &new).expect("says"), "svm");
        assert_eq!(repository.versions("svm").expect("in use"), std::slice::from_ref(&new));
        assert_kind(RepositoryErrorKind::NotFound, repository.fetch("svm", "0123456789ab"), &["0123456789ab"]);
    }
    let fixed = open(&server.url(&format!("/my%20artifacts/svm/{old}")));
    assert_eq!(fixed.current("svm").expect("in use"), old);
    assert_eq!(weights(&fixed, "svm", &old), b"old");
    assert_eq!(fixed.versions("svm").expect("lists"), [old]);

    let local = open(&server.url("/my%20artifacts")).fetch("svm", &new).expect("is there");
    let folder = local.folder().expect("a temporary folder").to_owned();
    assert!(folder.ends_with(&new) && folder.is_dir());
    drop(local);
    assert!(!folder.exists() && !folder.parent().expect("above it").exists());
}

#[test]
fn behind_a_web_server_there_may_be_nothing_yet() {
    let server = Server::start("127.0.0.1:0");
    let repository = open(&server.url("/artifacts"));
    assert_kind(RepositoryErrorKind::NotFound, repository.current("svm"), &["/artifacts", "svm/CURRENT"]);
    assert!(repository.versions("svm").expect("none").is_empty());
    assert_kind(RepositoryErrorKind::NotFound, repository.fetch("svm", "0123456789ab"), &["0123456789ab"]);
    assert_kind(RepositoryErrorKind::NotFound, repository.fetch("svm", "../x"), &["../x", "version"]);
    assert!(!server.seen().contains(".."), "{}", server.seen());
}

#[test]
fn what_a_store_holds_is_not_trusted() {
    let root = tempfile::tempdir().expect("a folder");
    let version = write(root.path(), "svm", b"weights");
    let server = Server::start("127.0.0.1:0");
    let repository = open(&server.url("/a"));
    let reset = || server.share(root.path(), "/a");
    let folder = format!("/a/svm/{version}");
    let manifest = format!("{folder}/artifact.json");

    for (garbage, word) in [
        (CannedResponse::Bytes(b"<!doctype html>".to_vec()), "<!doctype html>"),
        (CannedResponse::Bytes(vec![]), "``"),
        (CannedResponse::Bytes(vec![b'0'; 65]), "64 bytes"),
        (CannedResponse::Endless, "64 bytes"),
    ] {
        server.set("/a/svm/CURRENT", garbage);
        assert_kind(RepositoryErrorKind::Broken, repository.current("svm"), &["/a/svm/CURRENT", word]);
    }
    for (garbage, word) in [
        (CannedResponse::Bytes(b"{}".to_vec()), "files"),
        (CannedResponse::Bytes(b"{\"files\":{\"../x\":\"\"}}".to_vec()), "../x"),
        (CannedResponse::Bytes(b"{\"files\":{\"ARTIFACT.json\":\"\"}}".to_vec()), "ARTIFACT.json"),
        (CannedResponse::Announces(1 << 40, vec![]), "4194304 bytes"),
        (CannedResponse::Endless, "4194304 bytes"),
        (CannedResponse::Bytes(many_files().into_bytes()), "100 files"),
    ] {
        server.set(&manifest, garbage);
        assert_kind(RepositoryErrorKind::Broken, repository.fetch("svm", &version), &["artifact.json", word]);
    }
    reset();
    let weights_path = format!("{folder}/weights.safetensors");
    server.set(&weights_path, CannedResponse::Announces(1 << 40, vec![]));
    let huge = ["weights.safetensors", "1073741824 bytes"];
    assert_kind(RepositoryErrorKind::Broken, repository.fetch("svm", &version), &huge);
    server.remove(&weights_path);
    let missing = ["weights.safetensors", "does not exist"];
    assert_kind(RepositoryErrorKind::Broken, repository.fetch("svm", &version), &missing);
    server.set(&weights_path, CannedResponse::Announces(1000, b"wei".to_vec()));
    let cut = ["weights.safetensors", "no usable response"];
    assert_kind(RepositoryErrorKind::Unreachable, repository.fetch("svm", &version), &cut);
    // Damage of the bytes is for the reader of artifacts to find.
    server.set(&weights_path, CannedResponse::Bytes(b"WEIGHTS".to_vec()));
    let damaged = repository.fetch("svm", &version).expect("is there");
    assert!(matches!(damaged.artifact(), Err(models::Error::Digest { .. })));
    reset();
    assert_eq!(weights(&repository, "svm", &version), b"weights");
}

fn many_files() -> String {
    let files: Vec<String> = (0..100).map(|n| format!("\"{n}\":\"\"")).collect();
    format!("{{\"files\":{{{}}}}}", files.join(","))
}

#[test]
fn a_store_may_go_and_come_back() {
    let root = tempfile::tempdir().expect("a folder");
    let version = write(root.path(), "svm", b"weights");
    let reserved = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = reserved.local_addr().expect("an address").to_string();
    drop(reserved);
    let repository = open(&format!("http://{address}/a"));
    assert_kind(RepositoryErrorKind::Unreachable, repository.current("svm"), &[&address, "refused"]);
    assert_kind(RepositoryErrorKind::Unreachable, repository.versions("svm"), &[&address]);
    assert_kind(RepositoryErrorKind::Unreachable, repository.fetch("svm", &version), &[&address]);
    let server = Server::start(&address);
    server.share(root.path(), "/a");
    assert_eq!(repository.current("svm").expect("in use"), version);
    assert_eq!(weights(&repository, "svm", &version), b"weights");
    server.set("/a/svm/CURRENT", CannedResponse::Status("503 Service Unavailable"));
    assert_kind(RepositoryErrorKind::Unreachable, repository.current("svm"), &["503", "Because"]);
    // A server that is only busy for a moment is asked again.
    let tries = server.seen().matches("GET /a/svm/CURRENT").count();
    assert!((4..=6).contains(&tries), "{tries}");
}

#[test]
fn a_user_and_a_password_are_sent_and_not_shown() {
    let root = tempfile::tempdir().expect("a folder");
    let version = write(root.path(), "svm", b"weights");
    let server = Server::start("127.0.0.1:0");
    server.share(root.path(), "/a");
    let repository = open(&format!("http://me:hu%40sh@{}/a", server.address));
    assert_eq!(repository.current("svm").expect("in use"), version);
    assert!(server.seen().contains("Basic bWU6aHVAc2g="), "{}", server.seen());
    for status in ["401 Unauthorized", "403 Forbidden"] {
        server.set("/a/svm/CURRENT", CannedResponse::Status(status));
        let error = repository.current("svm").expect_err("refused");
        assert_eq!(error.kind(), RepositoryErrorKind::Denied, "{error}");
        assert!(!format!("{error} {error:?} {repository:?}").contains("hu%40sh"), "{repository:?}");
        assert!(!format!("{error} {error:?} {repository:?}").contains("bWU6aHVAc2g="), "{repository:?}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

#[test]
fn artifacts_lie_in_a_bucket() {
    let root = tempfile::tempdir().expect("a folder");
    let old = write(root.path(), "svm", b"old");
    let new = write(root.path(), "svm", b"new");
    let mut both = vec![old.clone(), new.clone()];
    both.sort();
    let server = Server::start("127.0.0.1:0");
    server.share(root.path(), "/bucket/my/artifacts");
    let variables = || {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", server.address)),
            ("AWS_ACCESS_KEY_ID", "key-id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "hush".to_owned()),
            ("AWS_REGION", "eu-west-3".to_owned()),
            ("AWS_UNKNOWN", "x".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    };
    let open = |address: &str| Repository::open_with(address, variables()).expect("an address");
    for address in ["s3://bucket/my/artifacts", "s3://bucket/my/artifacts/", "s3://bucket/my/artifacts/svm"] {
        let repository = open(address);
        assert_eq!(repository.current("svm").expect("in use"), new, "{address}");
        assert_eq!(repository.versions("svm").expect("lists"), both, "{address}");
        assert_eq!(weights(&repository, "svm", &old), b"old");
        assert_kind(RepositoryErrorKind::NotFound, repository.fetch("svm", "0123456789ab"), &["s3://bucket/my"]);
        assert!(!format!("{repository:?}").contains("hush"), "{repository:?}");
    }
    assert!(server.seen().contains("key-id/") && server.seen().contains("eu-west-3"), "{}", server.seen());
    let dances = write_as(root.path(), "dances", "vgg19", b"weights");
    server.share(root.path(), "/bucket/my/artifacts");
    server.set("/bucket/my/artifacts/Notes/x", CannedResponse::Bytes(vec![]));
    let repository = open("s3://bucket/my/artifacts");
    assert_eq!(repository.contents().expect("lists"), models(&["dances", "svm"]));
    assert_eq!(repository.kind("dances", &dances).expect("says"), "vgg19");
    assert_kind(RepositoryErrorKind::NotFound, repository.kind("dances", &old), &[&old]);
    assert_eq!(open("s3://bucket/my/artifacts/svm").contents().expect("lists"), Contents::One);
    let fixed = open(&format!("s3://bucket/my/artifacts/svm/{old}"));
    assert_eq!(fixed.contents().expect("lists"), Contents::One);
    assert_eq!(fixed.kind("svm", &old).expect("says"), "svm");
    assert_eq!(fixed.current("svm").expect("in use"), old);
    assert_eq!(fixed.versions("svm").expect("lists"), [old]);
    let empty = open("s3://bucket/other");
    assert_eq!(empty.contents().expect("lists"), models(&[]));
    assert_kind(RepositoryErrorKind::NotFound, empty.current("svm"), &["s3://bucket/other", "CURRENT"]);
    assert!(empty.versions("svm").expect("none").is_empty());
    server.set("/bucket/other/svm/CURRENT", CannedResponse::NoBucket);
    assert_kind(RepositoryErrorKind::NotFound, empty.current("svm"), &["s3://bucket/other", "no such bucket"]);
    server.set("/bucket/other/svm/CURRENT", CannedResponse::Status("403 Forbidden"));
    assert_kind(RepositoryErrorKind::Denied, empty.current("svm"), &["s3://bucket/other/svm/CURRENT", "Because"]);
}

/// It is called and dropped where blocking is not allowed: it is slow, and nothing breaks.
#[test]
fn it_lives_through_an_async_runtime() {
    let server = Server::start("127.0.0.1:0");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let repository = open(&server.url("/a"));
        assert_kind(RepositoryErrorKind::NotFound, repository.current("svm"), &["CURRENT"]);
        drop(repository);
    });
}
