//! A file or bytes in memory, read through a window that moves forward: memory does not grow with the file.

use std::{
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// Bytes that are read at a time.
const BLOCK: usize = 64 << 10;

/// What audio is read from.
pub(super) trait Input: Read + Seek {}

impl<T: Read + Seek> Input for T {}

/// The bytes of a file from a position on, as far as [`Source::end`].
pub(super) struct Source<'a> {
    input: Box<dyn Input + 'a>,
    /// Named in errors of the operating system.
    path: PathBuf,
    /// Position in the file of the first byte of `window`.
    start: u64,
    window: Vec<u8>,
    /// How much of the window was consumed.
    at: usize,
    /// Where the bytes end: the length of the file, less the tags behind the audio.
    end: u64,
}

impl<'a> Source<'a> {
    /// `input` from its first to its last byte; `path` is named in errors.
    pub(super) fn new(input: impl Input + 'a, path: &Path) -> Result<Self> {
        let mut input = Box::new(input);
        let io = |source| Error::Io { path: path.to_owned(), source };
        let end = input.seek(SeekFrom::End(0)).map_err(io)?;
        input.rewind().map_err(io)?;
        Ok(Self { input, path: path.to_owned(), start: 0, window: Vec::new(), at: 0, end })
    }

    /// The position of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Where the bytes end.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that follow.
    pub(super) fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.position())
    }

    /// Ends the bytes at `end`, if that is nearer than now.
    pub(super) fn cut(&mut self, end: u64) {
        self.end = self.end.min(end);
        let kept = self.end.saturating_sub(self.start);
        self.window.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.at = self.at.min(self.window.len());
    }

    /// Goes to the byte at `position`, or to the end if that is nearer.
    pub(super) fn seek(&mut self, position: u64) -> Result<()> {
        let position = position.min(self.end);
        match position.checked_sub(self.start) {
            Some(offset) if offset <= self.window.len() as u64 => self.at = offset as usize,
            _ => {
                self.input.seek(SeekFrom::Start(position)).map_err(|source| self.io(source))?;
                self.window.clear();
                (self.start, self.at) = (position, 0);
            }
        }
        Ok(())
    }

    /// Leaves out `n` bytes, or as many as there are.
    pub(super) fn skip(&mut self, n: u64) -> Result<()> {
        self.seek(self.position().saturating_add(n))
    }

    /// The next `n` bytes, which stay the next ones; fewer at the end.
    pub(super) fn peek(&mut self, n: usize) -> Result<&[u8]> {
        if self.window.len() - self.at < n {
            self.fill(n)?;
        }
        let end = self.window.len().min(self.at.saturating_add(n));
        Ok(&self.window[self.at..end])
    }

    /// Reads until the window holds `n` unread bytes, or the end.
    fn fill(&mut self, n: usize) -> Result<()> {
        self.window.drain(..self.at);
        self.start += self.at as u64;
        self.at = 0;
        // More than is asked for, so that small steps do not move the window each time.
        let wanted = n.saturating_add(BLOCK) as u64;
        let available = self.end.saturating_sub(self.start).min(wanted);
        let missing = available.saturating_sub(self.window.len() as u64);
        let read = self.input.by_ref().take(missing).read_to_end(&mut self.window).map_err(|e| self.io(e))?;
        if (read as u64) < missing {
            // The file became shorter while it was read.
            self.end = self.start + self.window.len() as u64;
        }
        Ok(())
    }

    /// The next `n` bytes; fewer at the end.
    pub(super) fn take(&mut self, n: usize) -> Result<Vec<u8>> {
        let bytes = self.peek(n)?.to_vec();
        self.at += bytes.len();
        Ok(bytes)
    }

    /// The next `N` bytes, or `None` at the end.
    pub(super) fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        let array = self.peek(N)?.first_chunk::<N>().copied();
        self.at += if array.is_some() { N } else { 0 };
        Ok(array)
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_window_moves_over_all_bytes() {
        let bytes: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        let mut source = Source::new(Cursor::new(&bytes), Path::new("")).unwrap();
        assert_eq!(source.take(100_000).unwrap(), bytes[..100_000]);
        assert_eq!(source.peek(5).unwrap(), &bytes[100_000..100_005]);
        source.skip(70_000).unwrap();
        assert_eq!(source.position(), 170_000);
        assert_eq!(source.array::<3>().unwrap().unwrap(), bytes[170_000..170_003]);
        source.seek(10).unwrap();
        assert_eq!(source.take(3).unwrap(), bytes[10..13]);
        source.cut(20);
        assert_eq!(source.take(100).unwrap(), bytes[13..20]);
        assert_eq!((source.remaining(), source.array::<1>().unwrap()), (0, None));
        source.seek(1 << 40).unwrap();
        assert_eq!(source.position(), 20);
    }
}
