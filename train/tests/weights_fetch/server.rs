//! A server that does as it is told.

use super::*;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// How many came before it.
    pub(crate) index: usize,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What the server sends: one answer, then it closes the connection.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Only so many bytes of the body are sent.
    pub(crate) cut: usize,
    /// The body is sent over and over.
    pub(crate) endless: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        let headers = vec![("Content-Length", body.len().to_string())];
        Self { status, headers, body: body.to_vec(), cut: usize::MAX, endless: false }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = bytes;
        self
    }

    pub(crate) fn chunked(mut self) -> Self {
        let mut body = format!("{:x}\r\n", self.body.len()).into_bytes();
        body.append(&mut self.body);
        body.extend(b"\r\n0\r\n\r\n");
        self.body = body;
        self.without("Content-Length").with("Transfer-Encoding", "chunked")
    }
}

/// A file as a well-behaved server sends it, `etag` being its version.
pub(crate) fn ranged(file: &[u8], etag: Option<&str>, request: &Request) -> Reply {
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

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<Request>>>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
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
    pub(crate) fn of(file: Vec<u8>) -> Self {
        Self::new(move |request| ranged(&file, Some("\"1\""), request))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/vgg19.safetensors", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// The ranges that were asked for since the first `skip` requests.
    pub(crate) fn ranges(&self, skip: usize) -> Vec<Option<String>> {
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

/// Sends the source, but of each answer listed only so many bytes.
pub(crate) fn cutting(file: Vec<u8>, etag: Option<&'static str>, cuts: &'static [(usize, usize)]) -> Server {
    Server::new(move |request| {
        let reply = ranged(&file, etag, request);
        match cuts.iter().find(|(index, _)| *index == request.index) {
            Some((_, bytes)) => reply.cut_after(*bytes),
            None => reply,
        }
    })
}

/// `None` when what comes is no HTTP.
pub(crate) fn read(stream: &TcpStream, index: usize) -> Option<Request> {
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
pub(crate) fn send(mut stream: &TcpStream, reply: &Reply) {
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes());
    while stream.write_all(&reply.body[..reply.body.len().min(reply.cut)]).is_ok() && reply.endless {}
}
