//! Weights from a server that does what servers do: send ranges or not, cut connections, lie, change.

#![expect(clippy::unwrap_used, reason = "a test says that something failed by panicking")]

use std::{
    cell::Cell,
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use train::weights::{Error, Expected, Fetch, Fetched, fetch, fetch_tensors, vgg19};

/// Bytes that are asked for first.
const PROBE: u64 = 8 << 10;

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

/// What the server sends: one answer, then it closes the connection.
#[derive(Clone, Debug)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Only so many bytes of the body are sent.
    cut: usize,
    /// The body is sent over and over.
    endless: bool,
}

impl Reply {
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

    fn chunked(mut self) -> Self {
        let mut body = format!("{:x}\r\n", self.body.len()).into_bytes();
        body.append(&mut self.body);
        body.extend(b"\r\n0\r\n\r\n");
        self.body = body;
        self.without("Content-Length").with("Transfer-Encoding", "chunked")
    }
}

/// A file as a well-behaved server sends it, `etag` being its version.
fn ranged(file: &[u8], etag: Option<&str>, request: &Request) -> Reply {
    let tagged = |reply: Reply| if let Some(etag) = etag { reply.with("ETag", etag) } else { reply };
    let same = request.header("if-range").is_none_or(|version| Some(version) == etag);
    let Some(range) = request.header("range").filter(|_| same) else {
        return tagged(Reply::new(200, file));
    };
    let (start, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    let last = last.parse().map_or(file.len().saturating_sub(1), |last: usize| last.min(file.len().saturating_sub(1)));
    if start > last || file.is_empty() {
        return Reply::new(416, b"").with("Content-Range", format!("bytes */{}", file.len()));
    }
    tagged(Reply::new(206, &file[start..=last]).with("Content-Range", format!("bytes {start}-{last}/{}", file.len())))
}

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
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
                send(&stream, &answer(&request));
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }

    /// Sends `file` as it should be sent.
    fn of(file: Vec<u8>) -> Self {
        Self::new(move |request| ranged(&file, Some("\"1\""), request))
    }

    fn url(&self) -> String {
        format!("http://{}/vgg19.safetensors", self.address)
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// The ranges that were asked for since the first `skip` requests.
    fn ranges(&self, skip: usize) -> Vec<Option<String>> {
        self.asked().iter().skip(skip).map(|request| request.header("range").map(str::to_owned)).collect()
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
    let first = lines.next()?.ok()?;
    let path = first.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = HashMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Request { index, path, headers })
}

/// A client may leave before it has read all.
fn send(mut stream: &TcpStream, reply: &Reply) {
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes());
    while stream.write_all(&reply.body[..reply.body.len().min(reply.cut)]).is_ok() && reply.endless {}
}

// ---- Files.

/// `name`, element type, shape.
type Tensor = (&'static str, Dtype, Vec<usize>);

/// The tensors of a small network, between others. The first two wanted ones touch, the third lies apart.
fn source_tensors() -> Vec<Tensor> {
    vec![
        ("classifier.0.weight", Dtype::F32, vec![100, 100]),
        ("features.0.bias", Dtype::F32, vec![20]),
        ("features.0.weight", Dtype::F32, vec![20, 3, 3, 3]),
        ("features.1.running_mean", Dtype::F32, vec![20]),
        ("features.2.weight", Dtype::F32, vec![30, 20, 3, 3]),
        ("head.weight", Dtype::F32, vec![7]),
    ]
}

fn expected() -> Vec<Expected> {
    source_tensors()
        .into_iter()
        .filter(|(name, ..)| ["features.0.weight", "features.0.bias", "features.2.weight"].contains(name))
        .map(|(name, _, shape)| Expected { name: name.to_owned(), shape })
        .collect()
}

/// A file of these tensors, whose bytes depend on the tensor's name and the salt only.
fn file_of(tensors: &[Tensor], salt: u8, metadata: Option<HashMap<String, String>>) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(name, dtype, shape)| {
            let seed = name.bytes().fold(salt, u8::wrapping_add);
            let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (0..length).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)).collect()
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, dtype, shape), bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    serialize(views, metadata).unwrap()
}

fn source() -> Vec<u8> {
    let metadata = HashMap::from([("host".to_owned(), "example.org".to_owned())]);
    file_of(&source_tensors(), 0, Some(metadata))
}

/// What `safetensors` itself writes for the wanted ones of these tensors.
fn reduced(tensors: &[Tensor], salt: u8) -> Vec<u8> {
    let wanted = expected();
    let wanted: Vec<Tensor> =
        tensors.iter().filter(|(name, ..)| wanted.iter().any(|tensor| tensor.name == *name)).cloned().collect();
    file_of(&wanted, salt, Some(HashMap::from([("format".to_owned(), "pt".to_owned())])))
}

/// Where the wanted tensors lie in the source: two spans.
fn spans(source: &[u8]) -> [Range<u64>; 2] {
    let (header, metadata) = SafeTensors::read_metadata(source).unwrap();
    let at = |name: &str| {
        let (from, to) = metadata.info(name).unwrap().data_offsets;
        (8 + header + from) as u64..(8 + header + to) as u64
    };
    [at("features.0.bias").start..at("features.0.weight").end, at("features.2.weight")]
}

fn range(bytes: Range<u64>) -> Option<String> {
    Some(format!("bytes={}-{}", bytes.start, bytes.end - 1))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A PyTorch file, as far as anybody looks.
fn pytorch() -> Vec<u8> {
    let mut file = b"PK\x03\x04\0\0\x08\x08".to_vec();
    file.extend((0..50_000_u32).flat_map(u32::to_le_bytes));
    file
}

// ---- A call.

struct Call {
    folder: TempDir,
    request: Fetch,
}

impl Call {
    fn to(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = Fetch {
            retries: 0,
            wait: Duration::ZERO,
            ..Fetch::new(server.url(), folder.path().join("weights.safetensors"))
        };
        Self { folder, request }
    }

    fn retries(mut self, retries: u32) -> Self {
        self.request.retries = retries;
        self
    }

    fn run(&self) -> Result<Fetched, Error> {
        fetch_tensors(&self.request, &expected(), &|_, _| {})
    }

    fn written(&self) -> Vec<u8> {
        fs::read(&self.request.out).unwrap()
    }

    /// The names of the files that there are.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs and fails, and leaves nothing.
    fn refused(&self) -> Error {
        let error = self.run().unwrap_err();
        assert_eq!(self.files(), [""; 0], "{error}");
        error
    }
}

const OUT: [&str; 1] = ["weights.safetensors"];
const PARTIAL: [&str; 2] = ["weights.safetensors.partial", "weights.safetensors.partial.json"];

// ---- What is fetched.

#[test]
fn of_a_safetensors_file_only_the_bytes_of_the_tensors_are_fetched() {
    let source = source();
    let server = Server::of(source.clone());
    let call = Call::to(&server);
    let told = Cell::new((0, 0));
    let fetched = fetch_tensors(&call.request, &expected(), &|done, total| {
        assert!(done >= told.get().0);
        told.set((done, total));
    })
    .unwrap();

    let [first, second] = spans(&source);
    assert_eq!(server.ranges(0), [range(0..PROBE), range(first.clone()), range(second.clone())]);
    let file = reduced(&source_tensors(), 0);
    assert_eq!(call.written(), file);
    let size = file.len() as u64;
    assert_eq!(told.get(), (size, size));
    let wanted = PROBE + (first.end - first.start) + (second.end - second.start);
    let path = call.request.out.clone();
    let sha256 = sha256(&file);
    assert_eq!(fetched, Fetched { path, sha256, source_sha256: None, bytes_downloaded: wanted, bytes_kept: size });
    assert_eq!(call.files(), OUT);
    assert!(!String::from_utf8_lossy(&file).contains("example.org"));
}

#[test]
fn a_server_without_ranges_gives_the_same_file() {
    let source = source();
    let body = source.clone();
    let server = Server::new(move |_| Reply::new(200, &body));
    let call = Call::to(&server);
    let fetched = call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(fetched.sha256, sha256(&call.written()));
    assert_eq!(fetched.source_sha256, Some(sha256(&source)));
    assert_eq!(fetched.bytes_downloaded, source.len() as u64);
    assert_eq!((server.asked().len(), call.files()), (1, OUT.map(String::from).to_vec()));
}

#[test]
fn a_body_of_unknown_length_is_taken_to_its_end() {
    let body = source();
    let server = Server::new(move |_| Reply::new(200, &body).chunked());
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
}

#[test]
fn the_file_is_the_same_wherever_its_tensors_lay() {
    // Tensors of half the size come last, by the format; of the source only the order differs.
    let mut tensors = source_tensors();
    tensors[1].1 = Dtype::BF16;
    tensors.push(("another", Dtype::F64, vec![3]));
    let server = Server::of(file_of(&tensors, 0, None));
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&tensors, 0));
    assert_eq!(
        SafeTensors::deserialize(&call.written()).unwrap().tensor("features.0.bias").unwrap().dtype(),
        Dtype::BF16
    );
}

#[test]
fn a_long_header_is_read_to_its_end() {
    let metadata = HashMap::from([("remark".to_owned(), "x".repeat(20_000))]);
    let source = file_of(&source_tensors(), 0, Some(metadata));
    let server = Server::of(source.clone());
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    let header = SafeTensors::read_metadata(&source).unwrap().0 as u64;
    assert_eq!(server.ranges(1)[0], range(PROBE..8 + header));
}

#[test]
fn a_pytorch_file_is_kept_as_it_is() {
    let server = Server::of(pytorch());
    let call = Call::to(&server);
    let fetched = call.run().unwrap();
    assert_eq!(call.written(), pytorch());
    assert_eq!(server.ranges(0), [range(0..PROBE), Some(format!("bytes={PROBE}-"))]);
    assert_eq!(fetched.source_sha256.unwrap(), fetched.sha256);
    assert_eq!(fetched.bytes_downloaded, pytorch().len() as u64);
}

#[test]
fn the_convolutions_of_vgg19_are_a_fraction_of_the_file() {
    let table = vgg19();
    let mut tensors: Vec<(&str, Dtype, Vec<usize>)> =
        table.iter().map(|tensor| (tensor.name.as_str(), Dtype::F16, tensor.shape.clone())).collect();
    tensors.push(("classifier.0.weight", Dtype::F16, vec![4096, 1000]));
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, shape)| vec![1; 2 * shape.iter().product::<usize>()]).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, dtype, shape), bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let server = Server::of(serialize(views, None).unwrap());
    let call = Call::to(&server);
    let fetched = fetch(&call.request, &|_, _| {}).unwrap();
    let (parameters, written) = (20_024_384, call.written());
    assert_eq!(fetched.bytes_downloaded, PROBE + 2 * parameters);
    assert_eq!(server.asked().len(), 2);
    let file = SafeTensors::deserialize(&written).unwrap();
    assert_eq!(file.len(), 32);
    assert_eq!(file.tensor("features.28.weight").unwrap().shape(), [512, 512, 3, 3]);
}

// ---- Digests, and what is there already.

#[test]
fn the_right_digest_is_that_of_the_written_file() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    call.request.sha256 = Some(sha256(&reduced(&source_tensors(), 0)).to_uppercase());
    call.run().unwrap();
    let asked = server.asked().len();
    let again = call.run().unwrap();
    assert_eq!((again.bytes_downloaded, again.bytes_kept), (0, call.written().len() as u64));
    assert_eq!(server.asked().len(), asked, "nothing is asked for what is there");
}

#[test]
fn the_digest_of_the_source_can_be_checked_where_all_of_it_is_downloaded() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    call.request.sha256 = Some(sha256(&source()));
    let error = call.refused();
    assert!(
        error.to_string().contains("to check a digest of the whole source all of it must be downloaded"),
        "{error}"
    );
    call.request.whole = true;
    let fetched = call.run().unwrap();
    assert_eq!(fetched.source_sha256, call.request.sha256);
    assert_eq!(call.written(), reduced(&source_tensors(), 0));

    let server = cutting(source(), Some("\"1\""), &[(1, 1000)]);
    let mut call = Call::to(&server);
    call.run().unwrap_err();
    call.request.whole = true;
    assert_eq!(call.run().unwrap().source_sha256, Some(sha256(&source())), "what was left of a call for ranges");
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    for (file, whole) in [(source(), false), (source(), true), (pytorch(), false)] {
        let server = Server::of(file);
        let mut call = Call::to(&server);
        call.request.whole = whole;
        call.request.sha256 = Some("0".repeat(64));
        let error = call.refused();
        let Error::Digest { expected, .. } = &error else { panic!("{error}") };
        assert_eq!(*expected, "0".repeat(64));
        call.request.sha256 = None;
        let found = call.run().unwrap().sha256;
        assert!(error.to_string().contains(&found), "{error}");
    }
}

#[test]
fn what_is_there_is_not_overwritten() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    fs::write(&call.request.out, "mine").unwrap();
    let error = call.run().unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert!(error.to_string().contains("remove it or name another file"), "{error}");
    call.request.sha256 = Some(sha256(b"yours"));
    let error = call.run().unwrap_err().to_string();
    assert!(error.contains(&sha256(b"mine")) && error.contains(&sha256(b"yours")), "{error}");
    assert_eq!(
        (call.written(), call.files(), server.asked().len()),
        (b"mine".to_vec(), OUT.map(String::from).to_vec(), 0)
    );
}

#[test]
fn a_request_that_cannot_be_meant_is_refused_before_it_is_sent() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    call.request.sha256 = Some("abc".into());
    assert!(matches!(call.refused(), Error::NotADigest { .. }));
    call.request.sha256 = None;
    call.request.out = PathBuf::from("/");
    assert!(matches!(call.refused(), Error::Out { .. }));
    assert_eq!(server.asked().len(), 0);
}

// ---- Connections that are cut.

/// Sends the source, but of each answer listed only so many bytes.
fn cutting(file: Vec<u8>, etag: Option<&'static str>, cuts: &'static [(usize, usize)]) -> Server {
    Server::new(move |request| {
        let reply = ranged(&file, etag, request);
        match cuts.iter().find(|(index, _)| *index == request.index) {
            Some((_, bytes)) => reply.cut_after(*bytes),
            None => reply,
        }
    })
}

#[test]
fn a_cut_connection_is_taken_up_again_where_it_was_cut() {
    let source = source();
    let server = cutting(source.clone(), Some("\"1\""), &[(0, 100), (2, 1000), (3, 0), (5, 7)]);
    let call = Call::to(&server).retries(4);
    let fetched = call.run().unwrap();
    let [first, second] = spans(&source);
    let expected = [
        range(0..PROBE),
        range(0..PROBE),
        range(first.clone()),
        range(first.start + 1000..first.end),
        range(first.start + 1000..first.end),
        range(second.clone()),
        range(second.start + 7..second.end),
    ];
    assert_eq!(server.ranges(0), expected);
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(fetched.bytes_downloaded, 100 + PROBE + (first.end - first.start) + (second.end - second.start));
}

#[test]
fn a_later_call_continues_where_an_earlier_one_was_cut() {
    let source = source();
    let server = cutting(source.clone(), Some("\"1\""), &[(1, 1000)]);
    let call = Call::to(&server);
    let error = call.run().unwrap_err();
    let file = reduced(&source_tensors(), 0);
    let head = SafeTensors::read_metadata(&file).unwrap().0 as u64 + 8;
    let Error::Interrupted { kept, total, .. } = error else { panic!("{error}") };
    assert_eq!((kept, total), (head + 1000, Some(file.len() as u64)));
    assert!(error.to_string().contains("the same command continues"), "{error}");
    assert_eq!(call.files(), PARTIAL);

    call.run().unwrap();
    let [first, second] = spans(&source);
    assert_eq!(server.ranges(2), [range(first.start + 1000..first.end), range(second)]);
    assert_eq!(server.asked()[2].header("if-range"), Some("\"1\""));
    assert_eq!((call.written(), call.files()), (file, OUT.map(String::from).to_vec()));
}

#[test]
fn a_file_that_is_downloaded_whole_is_continued_too() {
    for (file, whole, expected) in [(pytorch(), false, pytorch()), (source(), true, reduced(&source_tensors(), 0))] {
        // The second answer to a request for ranges is the rest of the file; the only one without is all of it.
        let server =
            cutting(file.clone(), Some("\"1\""), if whole { &[(0, 30_000)] } else { &[(1, 30_000 - PROBE as usize)] });
        let mut call = Call::to(&server);
        call.request.whole = whole;
        let error = call.run().unwrap_err();
        assert!(matches!(error, Error::Interrupted { kept: 30_000, .. }), "{error}");
        let fetched = call.run().unwrap();
        assert_eq!(server.ranges(if whole { 1 } else { 2 }), [Some("bytes=30000-".to_owned())]);
        assert_eq!(fetched.bytes_downloaded, file.len() as u64 - 30_000);
        assert_eq!(fetched.source_sha256, Some(sha256(&file)));
        assert_eq!(call.written(), expected);
    }
}

#[test]
fn without_ranges_a_cut_download_starts_over() {
    let file = source();
    let server = Server::new(move |request| {
        Reply::new(200, &file).with("ETag", "\"1\"").cut_after(if request.index == 0 { 20_000 } else { usize::MAX })
    });
    let call = Call::to(&server).retries(1);
    call.run().unwrap();
    assert_eq!(server.asked().len(), 2);
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
}

#[test]
fn of_a_source_without_a_version_nothing_is_kept_for_a_later_call() {
    let server = cutting(source(), None, &[(1, 1000)]);
    let call = Call::to(&server);
    let error = call.refused();
    assert!(error.to_string().contains("nothing is kept"), "{error}");
    call.run().unwrap();
    assert_eq!(server.ranges(2)[0], range(0..PROBE));

    let server = cutting(source(), None, &[(1, 1000)]);
    let call = Call::to(&server).retries(1);
    call.run().unwrap();
    assert_eq!(server.asked().len(), 4, "within a call its length tells enough");
}

#[test]
fn a_changed_source_starts_over() {
    // A server that heeds If-Range, and one that does not.
    for heeds in [true, false] {
        let [old, new] = [0, 99].map(|salt| file_of(&source_tensors(), salt, None));
        let server = Server::new(move |request| match request.index {
            0..=1 => ranged(&old, Some("\"1\""), request).cut_after(if request.index == 1 { 1000 } else { usize::MAX }),
            _ => {
                let mut request = request.clone();
                if !heeds {
                    request.headers.remove("if-range");
                }
                ranged(&new, Some("\"2\""), &request)
            }
        });
        let call = Call::to(&server);
        assert!(matches!(call.run(), Err(Error::Interrupted { .. })));
        call.run().unwrap();
        assert_eq!(call.written(), reduced(&source_tensors(), 99), "heeds If-Range: {heeds}");
    }
}

#[test]
fn a_part_need_not_name_the_version() {
    let file = source();
    let server = Server::new(move |request| match ranged(&file, Some("\"1\""), request) {
        reply if request.index == 1 => reply.without("ETag"),
        reply if request.index == 2 => reply.without("ETag").with("Last-Modified", "Mon, 06 Jul 2026 10:00:00 GMT"),
        reply => reply,
    });
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!((call.written(), server.asked().len()), (reduced(&source_tensors(), 0), 3));
}

#[test]
fn a_source_that_never_stays_the_same_is_given_up() {
    let file = source();
    let server = Server::new(move |request| {
        let mut request = request.clone();
        request.headers.remove("if-range");
        ranged(&file, Some(&format!("\"{}\"", request.index)), &request)
    });
    assert!(matches!(Call::to(&server).retries(2).refused(), Error::Changing { .. }));
    assert_eq!(server.asked().len(), 8);
}

#[test]
fn a_server_that_stops_sending_ranges_sends_it_whole() {
    let file = source();
    let server = Server::new(move |request| match request.index {
        0 => ranged(&file, Some("\"1\""), request),
        _ => Reply::new(200, &file).with("ETag", "\"1\""),
    });
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(server.ranges(2), [None]);
}

#[test]
fn an_abrupt_end_loses_no_more_than_a_buffer() {
    let expected = [Expected { name: "features.0.weight".into(), shape: vec![3 << 20] }];
    let source = file_of(&[("features.0.weight", Dtype::F16, vec![3 << 20])], 0, None);
    let server = Server::of(source.clone());
    let call = Call::to(&server);
    let stop_at = 5_000_000;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        fetch_tensors(&call.request, &expected, &|done, _| assert!(done < stop_at, "the plug is pulled"))
    }));
    assert!(ended.is_err());
    assert_eq!(call.files(), PARTIAL);

    let from = Cell::new(None);
    let fetched = fetch_tensors(&call.request, &expected, &|done, _| {
        from.set(from.get().or(Some(done)));
    })
    .unwrap();
    let from = from.get().unwrap();
    assert!((stop_at - (1 << 20)..=stop_at).contains(&from), "{from}");
    assert_eq!(fetched.bytes_downloaded, fetched.bytes_kept - from);
    assert_eq!(SafeTensors::deserialize(&call.written()).unwrap().len(), 1);
    assert!(call.written().ends_with(&source[source.len() - (6 << 20)..]));
}

#[test]
fn a_note_that_makes_no_sense_is_no_note() {
    let server = cutting(source(), Some("\"1\""), &[(1, 1000)]);
    let call = Call::to(&server);
    call.run().unwrap_err();
    fs::write(call.folder.path().join(PARTIAL[1]), "{\"format\": 1").unwrap();
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(call.files(), OUT);
}

#[test]
fn a_partial_that_was_tampered_with_gives_no_file() {
    let server = cutting(source(), Some("\"1\""), &[(1, 1000)]);
    let call = Call::to(&server);
    call.run().unwrap_err();
    let partial = call.folder.path().join(PARTIAL[0]);
    let mut bytes = fs::read(&partial).unwrap();
    bytes[20] ^= 1;
    fs::write(&partial, bytes).unwrap();
    assert!(matches!(call.refused(), Error::Header { .. } | Error::Tensor { .. }));
}

// ---- Servers that have no weights.

#[test]
fn a_status_is_told_with_the_address() {
    let server = Server::new(|_| Reply::new(404, b"<html>").with("Content-Type", "text/html"));
    let error = Call::to(&server).retries(3).refused();
    assert_eq!(error.to_string(), format!("{} answers with HTTP status 404; check the address", server.url()));
    assert_eq!(server.asked().len(), 1, "trying again would not help");
}

#[test]
fn a_busy_server_is_asked_again() {
    let file = source();
    let server = Server::new(move |request| match request.index {
        0 | 2 => Reply::new(503, b""),
        _ => ranged(&file, Some("\"1\""), request),
    });
    Call::to(&server).retries(2).run().unwrap();
    let server = Server::new(|_| Reply::new(500, b""));
    assert!(matches!(Call::to(&server).retries(2).refused(), Error::Status { status: 500, .. }));
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_redirect_is_followed_with_the_range() {
    let file = source();
    let server = Server::new(move |request| match request.path.as_str() {
        "/here" => ranged(&file, Some("\"1\""), request),
        _ => Reply::new(302, b"").with("Location", "/here"),
    });
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), reduced(&source_tensors(), 0));
    assert_eq!(server.ranges(0)[..2], [range(0..PROBE), range(0..PROBE)]);

    let server = Server::new(|_| Reply::new(302, b"").with("Location", "/there"));
    assert!(matches!(Call::to(&server).refused(), Error::Redirects { .. }));
}

#[test]
fn a_page_for_people_is_no_file() {
    let page = b"<!doctype html><title>Sign in</title>";
    let server = Server::new(|_| Reply::new(200, page).with("Content-Type", "text/html; charset=utf-8"));
    assert!(matches!(Call::to(&server).refused(), Error::Html { .. }));
    let server = Server::new(|request| ranged(page, Some("\"1\""), request));
    let error = Call::to(&server).refused();
    assert!(error.to_string().contains("is an HTML page"), "{error}");
}

#[test]
fn other_files_are_refused_before_they_are_downloaded() {
    let file = vec![7; 1 << 20];
    let body = file.clone();
    let server = Server::of(file);
    assert!(matches!(Call::to(&server).refused(), Error::NotWeights { .. }));
    assert_eq!(server.ranges(0), [range(0..PROBE)]);
    let server = Server::new(move |_| Reply::new(200, &body));
    assert!(matches!(Call::to(&server).refused(), Error::NotWeights { .. }));
    let server = Server::of(Vec::new());
    assert!(matches!(Call::to(&server).refused(), Error::NotWeights { .. }));
}

#[test]
fn the_tensor_that_is_not_as_it_should_be_is_named() {
    for ranges in [true, false] {
        let refused = |change: &dyn Fn(&mut Vec<Tensor>)| {
            let mut tensors = source_tensors();
            change(&mut tensors);
            let file = file_of(&tensors, 0, None);
            let server =
                Server::new(move |request| if ranges { ranged(&file, None, request) } else { Reply::new(200, &file) });
            let error = Call::to(&server).refused();
            let Error::Tensor { name, detail, .. } = error else { panic!("{error}") };
            format!("{name} {detail}")
        };
        let missing = refused(&|tensors| tensors.retain(|(name, ..)| !name.starts_with("features.")));
        assert_eq!(missing, "features.0.bias is missing");
        let misshaped = refused(&|tensors| tensors[4].2 = vec![30, 20, 9]);
        assert_eq!(misshaped, "features.2.weight is of shape [30, 20, 9], not [30, 20, 3, 3]");
        let double = refused(&|tensors| tensors[2].1 = Dtype::F64);
        assert_eq!(double, "features.0.weight is of type F64, not F32, F16 or BF16");
    }
}

#[test]
fn a_damaged_header_is_refused() {
    let with_header = |json: &[u8]| [&(json.len() as u64).to_le_bytes()[..], json].concat();
    let short = source()[..source().len() - 1].to_vec();
    for file in [with_header(b"{not JSON"), with_header(b"{\"a\": 1}"), short] {
        for ranges in [true, false] {
            let file = file.clone();
            let server =
                Server::new(move |request| if ranges { ranged(&file, None, request) } else { Reply::new(200, &file) });
            let error = Call::to(&server).refused();
            assert!(matches!(error, Error::Header { .. }), "{error}");
        }
    }
    let server = Server::of(b"\x09\0\0\0\0\0\0\0{}".to_vec());
    assert!(matches!(Call::to(&server).refused(), Error::Header { .. }));
    let server = Server::of([&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat());
    assert!(matches!(Call::to(&server).refused(), Error::HeaderTooLarge { .. }));
}

// ---- Servers that lie.

#[test]
fn a_body_that_is_shorter_than_announced_is_a_cut_one() {
    let server = Server::new(move |_| Reply::new(200, &pytorch()).with("Content-Length", pytorch().len() + 1));
    let error = Call::to(&server).retries(1).refused();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    assert_eq!(server.asked().len(), 2);

    let file = source();
    let server = Server::new(move |request| {
        let reply = ranged(&file, Some("\"1\""), request);
        let body = reply.body[..reply.body.len().min(500)].to_vec();
        Reply { body, ..reply }.chunked()
    });
    assert!(matches!(Call::to(&server).refused(), Error::Interrupted { .. }));
}

#[test]
fn a_body_that_is_longer_than_its_range_is_refused() {
    let file = source();
    let more = move |request: &Request, index: usize| {
        let mut reply = ranged(&file, Some("\"1\""), request);
        if request.index == index {
            reply.body.push(0);
        }
        reply
    };
    for index in [0, 1] {
        // Of no announced length, and of one that differs from the range.
        let (chunked, announced) = (more.clone(), more.clone());
        let server = Server::new(move |request| chunked(request, index).chunked());
        let error = Call::to(&server).refused();
        assert!(matches!(error, Error::Length { .. }), "{error}");
        let server = Server::new(move |request| {
            let reply = announced(request, index);
            let length = reply.body.len();
            reply.with("Content-Length", length)
        });
        let error = Call::to(&server).refused();
        assert!(matches!(error, Error::Length { .. }), "{error}");
    }
}

#[test]
fn a_range_that_was_not_asked_for_is_not_taken() {
    let file = source();
    let server = Server::new(move |_| {
        Reply::new(206, &file[10..20]).with("Content-Range", format!("bytes 10-19/{}", file.len()))
    });
    assert!(matches!(Call::to(&server).refused(), Error::Http { .. }));
    // All at once, for a question after the first bytes.
    let server = Server::new(|_| {
        Reply::new(206, b"")
            .with("Content-Range", "bytes 0-1099511627775/1099511627776")
            .with("Content-Length", 1_u64 << 40)
    });
    assert!(matches!(Call::to(&server).refused(), Error::Http { .. }));
}

#[test]
fn a_rest_from_another_place_is_not_joined() {
    let server = Server::new(|request| {
        let mut request = request.clone();
        if request.index == 1 {
            request.headers.insert("range".into(), format!("bytes={}-", PROBE + 1));
        }
        ranged(&pytorch(), Some("\"1\""), &request)
    });
    let call = Call::to(&server);
    call.run().unwrap();
    assert_eq!(call.written(), pytorch());
}

#[test]
fn an_endless_body_ends() {
    let start = [&(1_000_u64).to_le_bytes()[..], &[b'{'; 64_000]].concat();
    let server = Server::new(move |_| Reply { endless: true, ..Reply::new(200, &start).without("Content-Length") });
    let mut call = Call::to(&server);
    call.request.max_bytes = 3_000_000;
    let error = call.refused();
    assert!(matches!(error, Error::TooLarge { limit: 3_000_000, .. }), "{error}");

    let server = Server::new(|_| Reply::new(200, &pytorch()).with("Content-Length", 3_000_001));
    let mut call = Call::to(&server);
    call.request.max_bytes = 3_000_000;
    assert!(matches!(call.refused(), Error::TooLarge { .. }));
}

#[test]
fn a_host_that_takes_no_connection_is_told_at_once() {
    let server = Server::of(source());
    let call = Call::to(&server).retries(3);
    drop(server);
    assert!(matches!(call.refused(), Error::Connect { .. }));
}

#[test]
fn a_server_without_tls_gives_no_secure_connection() {
    let mut call = Call::to(&Server::of(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    call.request.url = format!("https://{}/file", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let error = call.refused();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
    thread.join().unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let server = Server::of(source());
    let mut call = Call::to(&server);
    let file = call.folder.path().join("file");
    fs::write(&file, "").unwrap();
    call.request.out = file.join("weights.safetensors");
    let error = call.run().unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("file"), "{error}");
}
