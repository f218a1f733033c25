//! The way from an address to a complete file, in as many steps as the network makes of it.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    thread,
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use super::{
    Error, Expected, Fetch, Fetched, each_block,
    error::Result,
    hex,
    http::{Answer, Client, Extent, Failure},
    partial::{Layout, Partial, State},
    safetensors::{Kind, Plan, SIGNATURE_BYTES},
    sha256_of,
};

/// Bytes that are asked for first: the header of most files, which has some 4 KB for VGG19.
const PROBE: u64 = 8 << 10;
/// Bytes that are read at a time.
const BLOCK: usize = 64 << 10;
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(30);

type Step = std::result::Result<(), Failure>;

/// One call of `fetch`.
pub(super) struct Download<'a> {
    request: &'a Fetch,
    expected: &'a [Expected],
    digest: Option<String>,
    client: Client,
    partial: Partial,
    progress: &'a dyn Fn(u64, u64),
    /// Bytes of bodies so far.
    downloaded: u64,
    /// Whether the server has answered in this call.
    reached: bool,
    /// Whether ranges are worth asking for when starting over.
    ranges: bool,
}

impl<'a> Download<'a> {
    pub(super) fn new(
        request: &'a Fetch,
        expected: &'a [Expected],
        digest: Option<String>,
        client: Client,
        partial: Partial,
        progress: &'a dyn Fn(u64, u64),
    ) -> Self {
        let ranges = !request.whole;
        Self { request, expected, digest, client, partial, progress, downloaded: 0, reached: false, ranges }
    }

    /// Downloads what is missing, checks it, and puts it in its place.
    pub(super) fn run(mut self) -> Result<Fetched> {
        match self.download().and_then(|()| self.check()) {
            Ok((from, fetched)) => {
                self.partial.finish(&from, &fetched.path)?;
                Ok(fetched)
            }
            Err(error) => {
                if error.keeps_the_partial() {
                    self.partial.close();
                } else {
                    self.partial.discard();
                }
                Err(error)
            }
        }
    }

    fn download(&mut self) -> Result<()> {
        if self.request.whole && self.partial.state().is_some_and(|state| state.plan != Layout::Whole) {
            self.partial.restart()?;
        }
        let (mut failures, mut restarts) = (0, 0);
        loop {
            let failure = match self.advance() {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let error = match failure {
                Failure::Fatal(error) => {
                    // The disk may be what failed; the last note holds in any case.
                    let _ = self.partial.checkpoint();
                    return Err(error);
                }
                Failure::Changed => {
                    if restarts > self.request.retries {
                        return Err(Error::Changing { url: self.request.url.clone() });
                    }
                    restarts += 1;
                    self.partial.restart()?;
                    continue;
                }
                Failure::Unreached(detail) if !self.reached => {
                    return Err(Error::Connect { url: self.request.url.clone(), detail });
                }
                Failure::Busy(error) => error,
                Failure::Unreached(detail) | Failure::Cut(detail) => self.interrupted(detail)?,
            };
            self.partial.checkpoint()?;
            if failures == self.request.retries {
                return Err(error);
            }
            let wait = self.request.wait.saturating_mul(2_u32.saturating_pow(failures)).min(MAX_WAIT);
            thread::sleep(wait);
            failures += 1;
        }
    }

    fn interrupted(&mut self, detail: String) -> Result<Error> {
        self.partial.checkpoint()?;
        let total = self.partial.state().and_then(State::total);
        Ok(Error::Interrupted { url: self.request.url.clone(), detail, kept: self.partial.kept(), total })
    }

    /// Gets everything that is missing, unless something comes between.
    fn advance(&mut self) -> Step {
        match self.partial.state() {
            Some(state) if self.partial.position() > 0 => {
                self.tell();
                if matches!(state.plan, Layout::Whole) { self.rest() } else { self.spans() }
            }
            _ => self.begin(),
        }
    }

    /// Finds out what the file is, by its first bytes.
    fn begin(&mut self) -> Step {
        if !self.ranges {
            let answer = self.get(None)?;
            return self.whole(answer);
        }
        let answer = self.get(Some((0, PROBE)))?;
        let (end, total) = match answer.extent {
            Extent::Part { start: 0, end, total } if end <= PROBE => (end, total),
            Extent::Whole { .. } => return self.whole(answer),
            _ => {
                self.ranges = false;
                return self.begin();
            }
        };
        let version = answer.version.clone();
        let mut start = self.bytes(answer, end)?;
        let Kind::Safetensors { data } = Kind::of(&self.request.url, &start)? else {
            self.limit(total)?;
            self.partial.start(State::new(&self.request.url, version, Some(total), Layout::Whole))?;
            self.take(&start)?;
            return self.rest();
        };
        if data > total {
            let detail = format!("it ends at byte {data}, and the file has {total}");
            return Err(Error::Header { url: self.request.url.clone(), detail }.into());
        }
        while (start.len() as u64) < data {
            let at = start.len() as u64;
            let answer = self.client.get(Some(at..data), version.as_deref())?;
            match answer.extent {
                Extent::Part { start: from, end, total: now }
                    if from == at && end <= data && now == total && same(&answer.version, &version) =>
                {
                    start.append(&mut self.bytes(answer, end - at)?);
                }
                _ => return Err(Failure::Changed),
            }
        }
        start.truncate(usize::try_from(data).unwrap_or(usize::MAX));
        let Plan { head, spans } = Plan::of(&self.request.url, &start, total, self.expected)?;
        let layout = Layout::Tensors { head: head.len() as u64, spans };
        let state = State::new(&self.request.url, version, Some(total), layout);
        self.limit(state.total().unwrap_or(u64::MAX))?;
        self.partial.start(state)?;
        self.take(&head)?;
        self.spans()
    }

    /// Takes a file from its beginning.
    fn whole(&mut self, mut answer: Answer) -> Step {
        let Extent::Whole { total } = answer.extent else {
            let detail = "it sends a range that nobody asked for".to_owned();
            return Err(Error::Http { url: self.request.url.clone(), detail }.into());
        };
        if let Some(total) = total {
            self.limit(total)?;
        }
        // What is no file of weights is refused before it is downloaded.
        let mut start = Vec::new();
        let read = (&mut answer.body).take(BLOCK as u64).read_to_end(&mut start);
        self.downloaded += start.len() as u64;
        if (read.is_ok() || start.len() >= SIGNATURE_BYTES)
            && let Kind::Safetensors { data } = Kind::of(&self.request.url, &start)?
            && let (Some(total), Some(head)) = (total, usize::try_from(data).ok().and_then(|data| start.get(..data)))
        {
            Plan::of(&self.request.url, head, total, self.expected)?;
        }
        self.partial.start(State::new(&self.request.url, answer.version.take(), total, Layout::Whole))?;
        self.take(&start)?;
        read.map_err(cut)?;
        self.drain(answer, total)
    }

    /// Takes the rest of a file that is downloaded whole.
    fn rest(&mut self) -> Step {
        loop {
            let (at, total) = (self.partial.position(), self.partial.state().and_then(|state| state.length));
            if Some(at) == total {
                return Ok(());
            }
            let answer = self.get(Some((at, u64::MAX)))?;
            match answer.extent {
                Extent::Whole { .. } => return self.whole(answer),
                Extent::Part { start, end, total } if start == at && self.is_same(&answer, total) => {
                    self.limit(total)?;
                    self.partial.set_length(total);
                    self.drain(answer, Some(end))?;
                }
                _ => return Err(Failure::Changed),
            }
        }
    }

    /// Takes the tensors, or what is left of them.
    fn spans(&mut self) -> Step {
        while let Some(span) = self.partial.state().and_then(|state| state.source_of(self.partial.position())) {
            let answer = self.get(Some((span.start, span.end)))?;
            let version = self.partial.state().and_then(|state| state.version.as_ref());
            match answer.extent {
                Extent::Part { start, end, total }
                    if start == span.start && end <= span.end && self.is_same(&answer, total) =>
                {
                    let until = self.partial.position() + (end - start);
                    self.drain(answer, Some(until))?;
                }
                Extent::Whole { .. } if answer.version.is_some() && answer.version.as_ref() == version => {
                    // The same file: it is ranges that the server does not send any more.
                    self.ranges = false;
                    return Err(Failure::Changed);
                }
                _ => return Err(Failure::Changed),
            }
        }
        Ok(())
    }

    fn is_same(&self, answer: &Answer, total: u64) -> bool {
        self.partial.state().is_some_and(|state| {
            same(&answer.version, &state.version) && state.length.is_none_or(|length| length == total)
        })
    }

    /// Takes a body that ends when the partial is at `until`, or that ends when it ends.
    fn drain(&mut self, mut answer: Answer, until: Option<u64>) -> Step {
        let mut block = vec![0; BLOCK];
        loop {
            let n = match answer.body.read(&mut block) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cut(error)),
            };
            let position = self.partial.position();
            match until {
                _ if n == 0 => {}
                Some(until) if position + n as u64 > until => return Err(self.client.length(until, "more").into()),
                _ => {
                    self.downloaded += n as u64;
                    self.limit(position + n as u64)?;
                    self.take(&block[..n])?;
                    continue;
                }
            }
            return match until {
                Some(until) if position < until => {
                    Err(Failure::Cut(format!("the body ended {} bytes early", until - position)))
                }
                Some(_) => Ok(()),
                None => {
                    self.partial.set_length(position);
                    Ok(())
                }
            };
        }
    }

    /// The `length` bytes of a small body.
    fn bytes(&mut self, answer: Answer, length: u64) -> std::result::Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let read = answer.body.take(length + 1).read_to_end(&mut bytes);
        self.downloaded += bytes.len() as u64;
        read.map_err(cut)?;
        match bytes.len() as u64 {
            n if n < length => Err(Failure::Cut(format!("the body ended {} bytes early", length - n))),
            n if n > length => Err(self.client.length(length, "more").into()),
            _ => Ok(bytes),
        }
    }

    fn get(&mut self, range: Option<(u64, u64)>) -> std::result::Result<Answer, Failure> {
        let state = self.partial.state().filter(|_| self.partial.position() > 0);
        let version = state.and_then(|state| state.version.as_deref());
        let answer = self.client.get(range.map(|(start, end)| start..end), version);
        self.reached |= !matches!(answer, Err(Failure::Unreached(_)));
        answer
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.partial.append(bytes)?;
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        (self.progress)(self.partial.position(), self.partial.state().and_then(State::total).unwrap_or(0));
    }

    fn limit(&self, bytes: u64) -> Result<()> {
        let limit = self.request.max_bytes;
        if bytes > limit { Err(Error::TooLarge { url: self.request.url.clone(), limit }) } else { Ok(()) }
    }

    /// Checks the complete partial and, if it is more than is wanted, makes of it the file that is.
    fn check(&mut self) -> Result<(PathBuf, Fetched)> {
        let url = &self.request.url;
        let tensors_only = self.partial.state().is_some_and(|state| state.plan != Layout::Whole);
        let [path, successor] = [self.partial.path().to_owned(), self.partial.successor()];
        let total = self.partial.position();
        let read = || Error::io("read", &path);
        let file = self.partial.complete()?;
        let mut start = vec![];
        file.take(SIGNATURE_BYTES as u64).read_to_end(&mut start).map_err(read())?;
        let kind = Kind::of(url, &start)?;

        let plan = if let Kind::Safetensors { data } = kind {
            let left = data.saturating_sub(start.len() as u64);
            file.take(left).read_to_end(&mut start).map_err(read())?;
            start.truncate(usize::try_from(data).unwrap_or(usize::MAX));
            let plan = Plan::of(url, &start, total, self.expected)?;
            Some(plan).filter(|plan| !plan.is_of(&start, total))
        } else {
            None
        };
        if tensors_only && (plan.is_some() || kind == Kind::PyTorch) {
            let detail = "what was put together of it is not what was planned; try again".to_owned();
            return Err(Error::Header { url: url.clone(), detail });
        }
        file.rewind().map_err(read())?;
        let (all, _) = sha256_of(file).map_err(read())?;
        let (from, sha256, bytes_kept) = match plan {
            None => (path, all.clone(), total),
            Some(plan) => {
                let (sha256, bytes) = reduce(file, &plan, &successor).map_err(Error::io("write", &successor))?;
                (successor, sha256, bytes)
            }
        };
        let source_sha256 = (!tensors_only).then_some(all);
        if let Some(expected) = &self.digest
            && *expected != sha256
            && Some(expected) != source_sha256.as_ref()
        {
            let found = match source_sha256 {
                None => format!(
                    "{sha256}, that of the written file; only its tensors were fetched, so that to check a digest of \
                     the whole source all of it must be downloaded"
                ),
                Some(source) if source == sha256 => source,
                Some(source) => format!("{source}, or {sha256} of the tensors in it"),
            };
            return Err(Error::Digest { url: url.clone(), expected: expected.clone(), found });
        }
        let path = self.request.out.clone();
        Ok((from, Fetched { path, sha256, source_sha256, bytes_downloaded: self.downloaded, bytes_kept }))
    }
}

/// Whether two versions may name the same file: those of two answers, of which one may give less than the other.
fn same(one: &Option<String>, other: &Option<String>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other || one.starts_with('"') != other.starts_with('"'),
        _ => true,
    }
}

fn cut(error: io::Error) -> Failure {
    Failure::Cut(error.to_string())
}

/// Writes the file that `plan` makes of `source`; gives the digest and number of its bytes.
fn reduce(source: &mut File, plan: &Plan, to: &std::path::Path) -> io::Result<(String, u64)> {
    let mut file = File::create(to)?;
    let mut digest = Sha256::new();
    let mut bytes = plan.head.len() as u64;
    file.write_all(&plan.head)?;
    digest.update(&plan.head);
    for span in &plan.spans {
        source.seek(SeekFrom::Start(span.start))?;
        bytes += each_block(&mut source.take(span.end - span.start), &mut |block| {
            digest.update(block);
            file.write_all(block)
        })?;
    }
    file.sync_all()?;
    Ok((hex(digest), bytes))
}
