//! What is there of a file that is not there yet: `<out>.partial`, and beside it `<out>.partial.json`, the note of what
//! it is part of and how far it goes.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Error, error::Result};

/// Bytes that are written, flushed to the disk and noted at a time: what an abrupt end loses at most.
const BUFFER: usize = 1 << 20;
/// Which program may continue a partial: one that writes the same layout.
const FORMAT: u32 = 1;
/// Bytes that the note may have.
const MAX_NOTE: u64 = 1 << 20;

/// What a partial is part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    url: String,
    /// ETag or time of the last change. Without it, no later call can tell that the rest is of the same file.
    pub(super) version: Option<String>,
    /// Bytes of the source, where known.
    pub(super) length: Option<u64>,
    pub(super) plan: Layout,
    /// Bytes that are on the disk.
    done: u64,
}

/// What the bytes of a partial are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Layout {
    /// The source.
    Whole,
    /// A new file: `head` bytes, then these spans of the source.
    Tensors { head: u64, spans: Vec<Range<u64>> },
}

impl State {
    pub(super) fn new(url: &str, version: Option<String>, length: Option<u64>, plan: Layout) -> Self {
        Self { format: FORMAT, url: url.to_owned(), version, length, plan, done: 0 }
    }

    /// Bytes of the file when it is complete.
    pub(super) fn total(&self) -> Option<u64> {
        match &self.plan {
            Layout::Whole => self.length,
            Layout::Tensors { head, spans } => Some(spans.iter().map(|span| span.end - span.start).sum::<u64>() + head),
        }
    }

    /// Which bytes of the source come at `position` of a file of tensors, up to the end of their span.
    pub(super) fn source_of(&self, position: u64) -> Option<Range<u64>> {
        let Layout::Tensors { head, spans } = &self.plan else { return None };
        let mut start = *head;
        for span in spans {
            let end = start + (span.end - span.start);
            if position < end {
                return Some(span.start + position.saturating_sub(start)..span.end);
            }
            start = end;
        }
        None
    }

    /// Whether it can be continued from a file of `length` bytes, and nothing in it overflows.
    fn is_sound(&self, url: &str, length: u64) -> bool {
        let layout = match &self.plan {
            Layout::Whole => true,
            Layout::Tensors { head, spans } => {
                let sum = spans.iter().try_fold(*head, |sum, span| sum.checked_add(span.end.checked_sub(span.start)?));
                *head <= self.done && sum.is_some_and(|sum| self.done <= sum)
            }
        };
        // The version goes into a header.
        let version =
            self.version.as_ref().is_some_and(|version| version.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        self.format == FORMAT && self.url == url && version && self.done <= length && layout
    }
}

/// An open partial, which no other process writes.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    note: PathBuf,
    buffer: Vec<u8>,
    /// Bytes in the file, those in the buffer not counted.
    written: u64,
    state: Option<State>,
    /// Whether this call may remove what there is: it wrote it, continues it, or found nothing.
    ours: bool,
}

impl Partial {
    /// Opens what there is for `out`, to be continued if it is part of `url`. Nothing else is touched until
    /// [`Partial::start`].
    pub(super) fn open(out: &Path, url: &str) -> Result<Self> {
        let [path, note] = [".partial", ".partial.json"].map(|suffix| beside(out, suffix));
        let folder = folder_of(out);
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        // Some network file systems know no locks, which is no reason to refuse.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::Busy { path });
        }
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        let state = read_note(&note).filter(|state| state.is_sound(url, length));
        let written = state.as_ref().map_or(0, |state| state.done);
        let ours = state.is_some() || length == 0;
        Ok(Self { file, path, note, buffer: Vec::new(), written, state, ours })
    }

    pub(super) fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Bytes with which a later call can continue.
    pub(super) fn kept(&self) -> u64 {
        self.state.as_ref().filter(|state| state.version.is_some()).map_or(0, |_| self.written)
    }

    /// Begins anew.
    pub(super) fn start(&mut self, state: State) -> Result<()> {
        self.restart()?;
        self.state = Some(state);
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.ours = true;
        self.state = None;
        self.buffer.clear();
        remove(&self.note)?;
        self.written = 0;
        self.file.set_len(0).map_err(Error::io("truncate", &self.path))
    }

    /// Says how long the source is, now that it is known.
    pub(super) fn set_length(&mut self, length: u64) {
        if let Some(state) = &mut self.state {
            state.length = Some(length);
        }
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = rest;
            if self.buffer.len() == BUFFER {
                self.checkpoint()?;
            }
        }
        Ok(())
    }

    /// Brings everything to the disk, then notes that it is there.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        let Some(state) = &mut self.state else { return Ok(()) };
        self.file
            .seek(SeekFrom::Start(self.written))
            .and_then(|_| self.file.write_all(&self.buffer))
            .and_then(|()| self.file.sync_data())
            .map_err(Error::io("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        state.done = self.written;
        let json = serde_json::to_vec(state).map_err(|error| Error::io("write", &self.note)(error.into()))?;
        let new = beside(&self.note, ".new");
        fs::write(&new, json).map_err(Error::io("write", &new))?;
        fs::rename(&new, &self.note).map_err(Error::io("replace", &self.note))
    }

    /// The complete file, to be read from its start.
    pub(super) fn complete(&mut self) -> Result<&mut File> {
        self.checkpoint()?;
        // What an abrupt end left after the last note.
        self.file.set_len(self.written).and_then(|()| self.file.sync_all()).map_err(Error::io("write", &self.path))?;
        self.file.rewind().map_err(Error::io("read", &self.path))?;
        Ok(&mut self.file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file that is made of this one is written.
    pub(super) fn successor(&self) -> PathBuf {
        beside(&self.path, ".new")
    }

    /// Makes `from`, this partial or its successor, the file `out`, and removes the rest.
    pub(super) fn finish(self, from: &Path, out: &Path) -> Result<()> {
        if fs::symlink_metadata(out).is_ok() {
            return Err(Error::Exists { path: out.to_owned(), detail: ", since a moment ago".to_owned() });
        }
        fs::rename(from, out).map_err(Error::io("create", out))?;
        let folder = folder_of(out);
        if cfg!(unix) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("flush", folder))?;
        }
        self.discard();
        Ok(())
    }

    /// Keeps what a later call can continue, and removes the rest.
    pub(super) fn close(self) {
        if self.ours && self.kept() == 0 {
            self.discard();
        }
    }

    /// Removes everything. What cannot be removed is overwritten by the next call.
    pub(super) fn discard(self) {
        for path in [&self.note, &beside(&self.note, ".new"), &self.successor(), &self.path] {
            let _ = fs::remove_file(path);
        }
    }
}

/// A note that cannot be read is none.
fn read_note(path: &Path) -> Option<State> {
    let mut json = Vec::new();
    File::open(path).ok()?.take(MAX_NOTE).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URL: &str = "http://host/file";

    fn tensors(version: Option<&str>) -> State {
        let plan = Layout::Tensors { head: 10, spans: vec![100..104, 200..300] };
        State::new(URL, version.map(str::to_owned), Some(1000), plan)
    }

    #[test]
    fn positions_are_found_in_the_source() {
        let state = tensors(None);
        assert_eq!(state.total(), Some(114));
        let at: Vec<_> = [10, 13, 14, 113].map(|position| state.source_of(position)).into();
        assert_eq!(at, [Some(100..104), Some(103..104), Some(200..300), Some(299..300)]);
        assert_eq!(state.source_of(114), None);
    }

    #[test]
    fn what_was_noted_is_there_again_and_the_rest_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/out");
        let mut partial = Partial::open(&out, URL).unwrap();
        partial.start(tensors(Some("\"1\""))).unwrap();
        partial.append(&[7; 50]).unwrap();
        partial.checkpoint().unwrap();
        partial.append(&[8; 9]).unwrap();
        assert_eq!((partial.position(), partial.kept()), (59, 50));
        drop(partial);

        fs::write(beside(&out, ".partial"), [7; 70]).unwrap();
        let mut partial = Partial::open(&out, URL).unwrap();
        assert_eq!((partial.position(), partial.state()), (50, Some(&State { done: 50, ..tensors(Some("\"1\"")) })));
        assert!(matches!(Partial::open(&out, URL), Err(Error::Busy { .. })));
        partial.complete().unwrap();
        drop(partial);
        assert_eq!(fs::read(beside(&out, ".partial")).unwrap(), [7; 50]);

        let other = Partial::open(&out, "http://host/other").unwrap();
        assert_eq!(other.state(), None);
        other.close();
        assert_eq!(
            Partial::open(&out, URL).unwrap().position(),
            50,
            "another address removes nothing before it answers"
        );
    }

    #[test]
    fn nothing_is_continued_without_a_version_or_from_a_shorter_file() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        for (version, length) in [(None, 50), (Some("\"1\""), 49)] {
            let mut partial = Partial::open(&out, URL).unwrap();
            partial.start(tensors(version)).unwrap();
            partial.append(&[7; 50]).unwrap();
            partial.checkpoint().unwrap();
            drop(partial);
            File::options().write(true).open(beside(&out, ".partial")).unwrap().set_len(length).unwrap();
            let mut partial = Partial::open(&out, URL).unwrap();
            assert_eq!((partial.state(), partial.position()), (None, 0));
            partial.start(tensors(version)).unwrap();
            partial.close();
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    proptest! {
        #[test]
        fn no_note_panics(numbers in any::<[u64; 3]>(), bounds in any::<Vec<(u64, u64)>>()) {
            let [head, done, position] = numbers;
            let plan = Layout::Tensors { head, spans: bounds.into_iter().map(|(start, end)| start..end).collect() };
            let state = State { done, ..State::new(URL, Some(String::new()), None, plan) };
            if state.is_sound(URL, u64::MAX) {
                prop_assert!(state.total() >= Some(done));
                state.source_of(position);
            }
        }
    }
}
