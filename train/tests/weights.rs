//! Weights from a server that does what servers do: redirect, cut connections, send no ranges, lie, change.

#![expect(clippy::unwrap_used, reason = "a test says that something failed by panicking")]

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use models::vgg19::{BLOCKS, BackboneWeights};
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use train::weights::{Fetch, Fetched, Source};

// ---- Files.

type Tensor = (String, Dtype, Vec<usize>);

/// The tensors of a VGG19 without its classifier, and one that is not wanted.
fn tensors() -> Vec<Tensor> {
    let mut tensors = vec![("classifier.6.bias".to_owned(), Dtype::F16, vec![1000])];
    for layer in BLOCKS.iter().copied().flatten() {
        let weight = vec![layer.out_channels, layer.in_channels, 3, 3];
        tensors.push((format!("features.{}.weight", layer.index), Dtype::F16, weight));
        tensors.push((format!("features.{}.bias", layer.index), Dtype::F16, vec![layer.out_channels]));
    }
    tensors
}

/// A file of these tensors; all numbers are small and depend on their position.
fn file_of(tensors: &[Tensor]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, shape)| {
            let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (0..length).map(|index| if index % 2 == 0 { index as u8 } else { 0x2c + (index % 3) as u8 }).collect()
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, dtype, shape), bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    serialize(views, Some(HashMap::from([("host".to_owned(), "example.org".to_owned())]))).unwrap()
}

/// A VGG19 in 16-bit floats: 40 MB.
static VGG19: LazyLock<Vec<u8>> = LazyLock::new(|| file_of(&tensors()));

/// A file that looks like weights as long as its end is not read.
fn small() -> Vec<u8> {
    let mut file = file_of(&tensors()[..1]);
    file.extend([7; 200_000]);
    file
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

// ---- A server.

#[derive(Clone, Debug)]
struct Request {
    /// How many came before it.
    index: usize,
    path: String,
    headers: HashMap<String, String>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What the server sends: one response, then it closes the connection.
#[derive(Clone, Debug)]
struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Only so many bytes of the body are sent.
    cut: usize,
    /// The body is sent over and over.
    endless: bool,
}

impl Response {
    fn new(status: u16, body: &[u8]) -> Self {
        let headers = vec![("Content-Length", body.len().to_string())];
        Self { status, headers, body: body.to_vec(), cut: usize::MAX, endless: false }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_string()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = bytes;
        self
    }
}

/// A file as a well-behaved server sends it, `etag` being its version.
fn ranged(file: &[u8], etag: Option<&str>, request: &Request) -> Response {
    let tagged = |response: Response| if let Some(etag) = etag { response.with("ETag", etag) } else { response };
    let same = request.header("if-range").is_none_or(|version| Some(version) == etag);
    let Some(range) = request.header("range").filter(|_| same) else {
        return tagged(Response::new(200, file));
    };
    let start: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    if start >= file.len() {
        return Response::new(416, b"").with("Content-Range", format!("bytes */{}", file.len()));
    }
    let last = file.len() - 1;
    tagged(Response::new(206, &file[start..]).with("Content-Range", format!("bytes {start}-{last}/{}", file.len())))
}

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(respond: impl Fn(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, stop) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::new(AtomicBool::new(false)));
        let (log, stopped) = (asked.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                let index = log.lock().unwrap().len();
                let Some(request) = read(&stream, index) else { continue };
                log.lock().unwrap().push(request.clone());
                send(&stream, &respond(&request));
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }

    /// Sends `file` as it should be sent.
    fn of(file: Vec<u8>) -> Self {
        Self::new(move |request| ranged(&file, Some("\"1\""), request))
    }

    /// Sends `file`, but of each response listed only so many bytes.
    fn cutting(file: Vec<u8>, etag: Option<&'static str>, cuts: &'static [(usize, usize)]) -> Self {
        Self::new(move |request| {
            let response = ranged(&file, etag, request);
            match cuts.iter().find(|(index, _)| *index == request.index) {
                Some((_, bytes)) => response.cut_after(*bytes),
                None => response,
            }
        })
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// The ranges that were asked for.
    fn ranges(&self) -> Vec<Option<String>> {
        self.asked().iter().map(|request| request.header("range").map(str::to_owned)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `None` when what comes is no HTTP.
fn read(stream: &TcpStream, index: usize) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = HashMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Request { index, path, headers })
}

/// A client may leave before it has read all.
fn send(mut stream: &TcpStream, response: &Response) {
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes());
    while stream.write_all(&response.body[..response.body.len().min(response.cut)]).is_ok() && response.endless {}
}

// ---- A call.

struct Call {
    folder: TempDir,
    fetch: Fetch,
}

impl Call {
    fn to(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::Url(format!("http://{}/vgg19.safetensors", server.address));
        let fetch = Fetch {
            retries: 0,
            wait: Duration::ZERO,
            ..Fetch::new(source, folder.path().join("new/weights.safetensors"))
        };
        Self { folder, fetch }
    }

    fn retries(mut self, retries: u32) -> Self {
        self.fetch.retries = retries;
        self
    }

    fn run(&self) -> anyhow::Result<Fetched> {
        self.fetch.run(&|_, _| {})
    }

    fn fails(&self) -> String {
        format!("{:#}", self.run().unwrap_err())
    }

    /// Fails, and leaves nothing.
    fn refused(&self) -> String {
        let error = self.fails();
        assert_eq!(self.files(), [""; 0], "{error}");
        error
    }

    fn written(&self) -> Vec<u8> {
        fs::read(&self.fetch.out).unwrap()
    }

    /// The names of the files that there are.
    fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.path().join("new")) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn succeeds(&self) -> Fetched {
        let fetched = self.run().unwrap();
        assert_eq!(self.files(), OUT);
        self.holds_the_convolutions();
        fetched
    }

    /// The convolutions of [`VGG19`] and nothing else, as F32.
    fn holds_the_convolutions(&self) {
        let (written, source) = (self.written(), self.folder.path().join("source"));
        let file = SafeTensors::deserialize(&written).unwrap();
        assert_eq!(file.len(), 32);
        assert!(file.iter().all(|(_, tensor)| tensor.dtype() == Dtype::F32));
        assert_eq!(file.tensor("features.28.weight").unwrap().shape(), [512, 512, 3, 3]);
        assert!(!String::from_utf8_lossy(&written[..8192]).contains("example.org"));
        fs::write(&source, &*VGG19).unwrap();
        let read = |path| BackboneWeights::read(path, BLOCKS.len()).unwrap();
        assert_eq!(read(&self.fetch.out).digest(), read(&source).digest());
    }
}

const OUT: [&str; 1] = ["weights.safetensors"];
const PARTIAL: [&str; 2] = ["weights.safetensors.part", "weights.safetensors.part.tag"];

// ---- What is fetched.

#[test]
fn the_convolutions_of_a_file_are_kept() {
    let server = Server::of(VGG19.clone());
    let call = Call::to(&server);
    let told = std::cell::Cell::new((0, 0));
    let fetched = call
        .fetch
        .run(&|done, total| {
            assert!(done >= told.get().0);
            told.set((done, total));
        })
        .unwrap();
    call.holds_the_convolutions();
    let size = VGG19.len() as u64;
    assert_eq!(told.get(), (size, size));
    let (path, bytes_kept) = (call.fetch.out.clone(), call.written().len() as u64);
    let (sha256, source_sha256) = (sha256(&call.written()), Some(sha256(&VGG19)));
    assert_eq!(fetched, Fetched { path, sha256, source_sha256, bytes_downloaded: size, bytes_kept });
    assert_eq!((server.asked().len(), call.files()), (1, OUT.map(String::from).to_vec()));
}

#[test]
fn a_body_of_unknown_length_is_taken_to_its_end() {
    let server = Server::new(|_| {
        let mut body = format!("{:x}\r\n", VGG19.len()).into_bytes();
        body.extend(&*VGG19);
        body.extend(b"\r\n0\r\n\r\n");
        Response::new(200, &body).without("Content-Length").with("Transfer-Encoding", "chunked")
    });
    Call::to(&server).succeeds();
}

#[test]
fn the_digest_may_be_that_of_the_source_or_of_the_written_file() {
    let server = Server::of(VGG19.clone());
    let mut call = Call::to(&server);
    call.fetch.sha256 = Some(sha256(&VGG19).to_uppercase());
    let written = call.succeeds().sha256;
    fs::remove_file(&call.fetch.out).unwrap();
    call.fetch.sha256 = Some(written);
    call.run().unwrap();
    let asked = server.asked().len();
    let again = call.run().unwrap();
    assert_eq!((again.bytes_downloaded, again.bytes_kept), (0, call.written().len() as u64));
    assert_eq!(server.asked().len(), asked, "nothing is asked for what is there");
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    let server = Server::of(VGG19.clone());
    let mut call = Call::to(&server);
    call.fetch.sha256 = Some("0".repeat(64));
    let error = call.refused();
    assert!(error.contains(&"0".repeat(64)) && error.contains(&sha256(&VGG19)), "{error}");
}

#[test]
fn what_is_there_is_not_overwritten() {
    let server = Server::of(small());
    let mut call = Call::to(&server);
    fs::create_dir(call.folder.path().join("new")).unwrap();
    fs::write(&call.fetch.out, "mine").unwrap();
    assert!(call.fails().contains("remove it or name another file"), "{}", call.fails());
    call.fetch.sha256 = Some(sha256(b"yours"));
    let error = call.fails();
    assert!(error.contains(&sha256(b"mine")) && error.contains(&sha256(b"yours")), "{error}");
    assert_eq!(
        (call.written(), call.files(), server.asked().len()),
        (b"mine".to_vec(), OUT.map(String::from).to_vec(), 0)
    );
}

#[test]
fn a_request_that_cannot_be_meant_is_refused_before_it_is_sent() {
    let server = Server::of(small());
    let mut call = Call::to(&server);
    call.fetch.sha256 = Some("abc".into());
    assert!(call.refused().contains("64 hexadecimal digits"));
    call.fetch.sha256 = None;
    call.fetch.out = PathBuf::from("/");
    assert!(call.refused().contains("does not name a file"));
    call.fetch.out = call.folder.path().join("new/weights");
    call.fetch.source = Source::Url("ftp://host/file".into());
    assert!(call.refused().contains("ftp://host/file"));
    assert_eq!(server.asked().len(), 0);
}

// ---- Connections that are cut.

#[test]
fn a_cut_connection_is_taken_up_again_where_it_was_cut() {
    let server = Server::cutting(VGG19.clone(), Some("\"1\""), &[(0, 100_000), (1, 1_000_000)]);
    let fetched = Call::to(&server).retries(2).succeeds();
    let ranges = [None, Some("bytes=100000-".to_owned()), Some("bytes=1100000-".to_owned())];
    assert_eq!(server.ranges(), ranges);
    assert_eq!(fetched.bytes_downloaded, VGG19.len() as u64);
}

#[test]
fn a_later_call_continues_where_an_earlier_one_was_cut() {
    let server = Server::cutting(VGG19.clone(), Some("\"1\""), &[(0, 100_000)]);
    let call = Call::to(&server);
    assert!(call.fails().contains("failed to download"), "{}", call.fails());
    assert_eq!(call.files(), PARTIAL);
    let fetched = call.succeeds();
    assert_eq!(server.ranges(), [None, Some("bytes=100000-".to_owned())]);
    assert_eq!(fetched.bytes_downloaded, VGG19.len() as u64 - 100_000);
}

#[test]
fn without_ranges_or_without_a_version_a_cut_download_starts_over() {
    for etag in [Some("\"1\""), None, Some("W/\"1\"")] {
        let server = Server::new(move |request| {
            let response = Response::new(200, &VGG19).cut_after(if request.index == 0 { 100_000 } else { usize::MAX });
            if let Some(etag) = etag { response.with("ETag", etag) } else { response }
        });
        let call = Call::to(&server);
        call.fails();
        assert_eq!(call.files().is_empty(), etag != Some("\"1\""), "of what cannot be continued nothing is kept");
        assert_eq!(call.succeeds().bytes_downloaded, VGG19.len() as u64);
    }
}

#[test]
fn a_changed_source_starts_over() {
    let server = Server::new(|request| match request.index {
        0 => ranged(&small(), Some("\"1\""), request).cut_after(100_000),
        _ => ranged(&VGG19, Some("\"2\""), request),
    });
    Call::to(&server).retries(1).succeeds();
    let never_the_same =
        Server::new(|request| ranged(&small(), Some(&format!("\"{}\"", request.index)), request).cut_after(100_000));
    assert!(Call::to(&never_the_same).retries(3).fails().contains("failed to download"));
    assert_eq!(never_the_same.asked().len(), 4);
}

#[test]
fn a_rest_from_another_place_is_not_joined() {
    let server = Server::new(|request| {
        let mut request = request.clone();
        match request.index {
            0 => return ranged(&VGG19, Some("\"1\""), &request).cut_after(100_000),
            1 => drop(request.headers.insert("range".into(), "bytes=100001-".into())),
            _ => {}
        }
        ranged(&VGG19, Some("\"1\""), &request)
    });
    Call::to(&server).retries(2).succeeds();
    assert_eq!(server.ranges()[2], None, "it starts over");
}

#[test]
fn a_partial_that_has_become_longer_than_the_file_starts_over() {
    let server = Server::cutting(VGG19.clone(), Some("\"1\""), &[(0, 100_000)]);
    let call = Call::to(&server).retries(1);
    call.fetch.run(&|_, _| {}).unwrap();
    fs::remove_file(&call.fetch.out).unwrap();
    fs::write(call.folder.path().join("new").join(PARTIAL[0]), vec![0; VGG19.len() + 1]).unwrap();
    fs::write(call.folder.path().join("new").join(PARTIAL[1]), "\"1\"").unwrap();
    call.succeeds();
}

// ---- Servers that have no weights.

#[test]
fn a_status_is_told_with_the_address() {
    for (status, says) in [(404, "was not found"), (401, "HF_TOKEN"), (418, "cannot be downloaded")] {
        let server = Server::new(move |_| Response::new(status, b"<html>").with("Content-Type", "text/html"));
        let error = Call::to(&server).retries(3).refused();
        assert!(error.contains(says) && error.contains(&status.to_string()), "{error}");
        assert!(error.contains(&format!("http://{}/vgg19.safetensors", server.address)), "{error}");
        assert_eq!(server.asked().len(), 1, "trying again would not help");
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = Server::new(|request| match request.index {
        0 | 1 => Response::new(503, b""),
        _ => ranged(&VGG19, Some("\"1\""), request),
    });
    Call::to(&server).retries(2).succeeds();
    let server = Server::new(|_| Response::new(500, b""));
    assert!(Call::to(&server).retries(2).refused().contains("status 500"));
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_redirect_is_followed_with_the_range() {
    let server = Server::new(|request| match request.path.as_str() {
        "/here" => {
            ranged(&VGG19, Some("\"1\""), request).cut_after(if request.index == 1 { 9_000 } else { usize::MAX })
        }
        _ => Response::new(302, b"").with("Location", "/here"),
    });
    Call::to(&server).retries(1).succeeds();
    assert_eq!(server.ranges()[2..], [Some("bytes=9000-".to_owned()), Some("bytes=9000-".to_owned())]);
    let server = Server::new(|_| Response::new(302, b"").with("Location", "/there"));
    assert!(Call::to(&server).refused().contains("redirect"), "{}", Call::to(&server).refused());
}

#[test]
fn other_files_are_refused_before_they_are_downloaded() {
    for (start, says) in [
        (&b"<!doctype html><title>Sign in</title>"[..], "is an HTML page"),
        (b"\n <html>", "is an HTML page"),
        (&[7; 100], "neither a safetensors file nor one of torch.save"),
        (b"", "neither a safetensors file nor one of torch.save"),
    ] {
        let endless = !start.is_empty();
        let server = Server::new(move |_| Response {
            endless,
            ..Response::new(200, start).with("Content-Length", if endless { 1 << 30 } else { 0 })
        });
        let error = Call::to(&server).refused();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_tensor_that_is_not_as_it_should_be_is_named() {
    let refused = |change: &dyn Fn(&mut Vec<Tensor>)| {
        let mut tensors = tensors();
        change(&mut tensors);
        // Only small ones, up to the one that is wrong.
        tensors.truncate(6);
        Call::to(&Server::of(file_of(&tensors))).refused()
    };
    for (change, says) in [
        (
            &(|tensors: &mut Vec<Tensor>| tensors.retain(|(name, ..)| !name.starts_with("features.")))
                as &dyn Fn(&mut Vec<Tensor>),
            ["features.0.weight", "missing"],
        ),
        (&|tensors| tensors[1].2 = vec![64, 3, 9], ["features.0.weight", "[64, 3, 9]"]),
        (&|tensors| tensors[1].1 = Dtype::I64, ["features.0.weight", "I64"]),
        (&|_| {}, ["features.5", "missing"]),
        (
            &|tensors| tensors.insert(1, ("features.3.weight".into(), Dtype::F16, vec![1])),
            ["features.3.weight", "vgg11"],
        ),
    ] {
        let error = refused(change);
        assert!(error.contains("is not a VGG19") && says.iter().all(|words| error.contains(words)), "{error}");
    }
}

#[test]
fn a_damaged_header_is_refused() {
    let with_header = |json: &[u8]| [&(json.len() as u64).to_le_bytes()[..], json].concat();
    let short = VGG19[..VGG19.len() - 1].to_vec();
    let too_long = [&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat();
    for file in
        [with_header(b"{not JSON"), with_header(b"{\"a\": 1}"), short, b"\x09\0\0\0\0\0\0\0{}".to_vec(), too_long]
    {
        let error = Call::to(&Server::of(file)).refused();
        assert!(error.contains("is not a VGG19"), "{error}");
    }
}

// ---- Servers that lie.

#[test]
fn a_body_that_is_shorter_than_announced_is_a_cut_one() {
    let server = Server::new(|_| Response::new(200, &small()).with("Content-Length", small().len() + 1));
    assert!(Call::to(&server).retries(1).refused().contains("failed to download"));
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn an_endless_body_ends() {
    let start = [&(1_000_u64).to_le_bytes()[..], &[b'{'; 64_000]].concat();
    let server =
        Server::new(move |_| Response { endless: true, ..Response::new(200, &start).without("Content-Length") });
    let mut call = Call::to(&server);
    call.fetch.max_bytes = 3_000_000;
    assert!(call.refused().contains("3000000"));

    let server = Server::new(|_| Response::new(200, &small()).with("Content-Length", 3_000_001));
    let mut call = Call::to(&server);
    call.fetch.max_bytes = 3_000_000;
    assert!(call.refused().contains("3000000"));
}

#[test]
fn a_range_that_was_not_asked_for_is_not_taken() {
    let server = Server::new(|_| Response::new(206, &small()[10..20]).with("Content-Range", "bytes 10-19/200"));
    assert!(Call::to(&server).refused().contains("status 206"));
}

#[test]
fn a_host_that_takes_no_connection_is_told_at_once() {
    let server = Server::of(small());
    let call = Call::to(&server).retries(3);
    drop(server);
    assert!(call.refused().contains("failed to connect"));
}

#[test]
fn a_server_without_tls_gives_no_secure_connection() {
    let mut call = Call::to(&Server::of(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    call.fetch.source = Source::Url(format!("https://{}/file", listener.local_addr().unwrap()));
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    assert!(call.refused().contains("failed to connect securely"));
    thread.join().unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let server = Server::of(small());
    let mut call = Call::to(&server);
    let file = call.folder.path().join("file");
    fs::write(&file, "").unwrap();
    call.fetch.out = file.join("weights.safetensors");
    assert!(call.fails().contains("file"), "{}", call.fails());
}

// ---- A hub, asked by the real program.

const DIGEST_PATH: &str = "/timm/vgg19.tv_in1k/resolve/main/model.safetensors";

/// Publishes `digest` of its file and redirects to where that is, as the Hugging Face hub does.
fn hub(digest: String) -> Server {
    Server::new(move |request| match request.path.as_str() {
        DIGEST_PATH => {
            Response::new(302, b"").with("X-Linked-ETag", format!("\"{digest}\"")).with("X-Repo-Commit", "c0ffee").with(
                "Location",
                format!("http://localhost:{}/cdn", request.header("host").unwrap().rsplit(':').next().unwrap()),
            )
        }
        "/cdn" => ranged(&VGG19, Some("\"cdn\""), request),
        _ => Response::new(404, b""),
    })
}

fn train(server: &Server, folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command.current_dir(folder).args(["weights", "fetch", "--json"]).args(arguments);
    for name in ["TONEARM_WEIGHTS_URL", "HF_HUB_CACHE"] {
        command.env_remove(name);
    }
    command.env("HF_ENDPOINT", format!("http://{}", server.address));
    command.env("HF_HOME", folder.path().join("hf")).env("HF_TOKEN", "secret");
    command.output().unwrap()
}

fn refused(output: &Output, folder: &TempDir) -> String {
    assert!(!output.status.success() && output.stdout.is_empty());
    let left = fs::read_dir(folder.path().join("data/weights")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_hub_is_asked_for_its_file_and_told_the_token_and_its_digest_is_checked() {
    let (server, folder) = (hub(sha256(&VGG19)), tempfile::tempdir().unwrap());
    let output = train(&server, &folder, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["path"], "data/weights/vgg19.safetensors");
    assert_eq!(said["source_sha256"], sha256(&VGG19));
    assert_eq!(said["bytes_downloaded"], VGG19.len());
    assert_eq!(said["sha256"], sha256(&fs::read(folder.path().join("data/weights/vgg19.safetensors")).unwrap()));
    for request in server.asked() {
        let token = request.header("authorization").map(str::to_owned);
        assert_eq!(token.is_some(), request.path != "/cdn", "{request:?}");
        assert!(token.is_none_or(|token| token == "Bearer secret"));
    }

    let (lying, folder) = (hub("0".repeat(64)), tempfile::tempdir().unwrap());
    let stderr = refused(&train(&lying, &folder, &[]), &folder);
    assert!(stderr.contains("damaged") && stderr.contains(&sha256(&VGG19)), "{stderr}");
}

#[test]
fn a_file_that_a_hub_does_not_have_is_named() {
    let (server, folder) = (hub(sha256(&VGG19)), tempfile::tempdir().unwrap());
    for arguments in [["--repo", "nobody/nothing"], ["--revision", "v2/x"], ["--file", "pytorch_model.bin"]] {
        let stderr = refused(&train(&server, &folder, &arguments), &folder);
        assert!(stderr.contains("was not found") && stderr.contains("--repo"), "{stderr}");
        assert!(
            stderr.contains(&arguments[1].replace('/', if arguments[0] == "--revision" { "%2F" } else { "/" })),
            "{stderr}"
        );
    }
}

#[test]
fn what_huggingface_hub_has_downloaded_is_not_asked_for() {
    let (server, folder) = (hub(sha256(&VGG19)), tempfile::tempdir().unwrap());
    let repo = folder.path().join("hf/hub/models--timm--vgg19.tv_in1k");
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::create_dir_all(repo.join("snapshots/c0ffee")).unwrap();
    fs::write(repo.join("refs/main"), "c0ffee\n").unwrap();
    fs::write(repo.join("snapshots/c0ffee/model.safetensors"), &*VGG19).unwrap();
    let output = train(&server, &folder, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["bytes_downloaded"], server.asked().len()), (&0.into(), 0));
    assert!(folder.path().join("data/weights/vgg19.safetensors").is_file());
}
