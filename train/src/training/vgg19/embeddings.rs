//! [`Embeddings`]: what heads are fitted on, in memory as far as there are few, else in a file that is read block by block.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use optimiser::ROWS;

use super::embedder::cannot_write;

/// Bytes of embeddings that are held in memory; of those beyond, a block at a time.
const IN_MEMORY: usize = 512 << 20;
/// Bytes of such a block: little beside a fit, and few enough that the next is read while one is worked on.
const BLOCK: usize = 64 << 20;
/// Values that are written at once.
const AT_ONCE: usize = 1 << 18;

/// How much of the embeddings is in memory. It changes no bit of what is fitted on them.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryLimits {
    /// Bytes that are held.
    pub(super) held: usize,
    /// Bytes of a block of those that are not.
    pub(super) block: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { held: IN_MEMORY, block: BLOCK }
    }
}

/// The embeddings of clips, of the segments and the shorter windows of each: `[row][dimension]`, clip after clip.
#[derive(Debug)]
pub struct Embeddings {
    dim: usize,
    clips: Vec<ClipRows>,
    /// Where a file of them may lie; `None` holds all of them in memory.
    folder: Option<PathBuf>,
    limits: MemoryLimits,
    store: Store,
}

/// Where the rows of a clip are.
#[derive(Clone, Copy, Debug)]
struct ClipRows {
    first: usize,
    segments: usize,
    windows: usize,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<f32>),
    /// It has no name, and goes with the process that made it.
    File(Mutex<File>),
}

impl Embeddings {
    /// No clip yet. What is over some 500 MB goes to a file in `folder`, if there is one.
    #[must_use]
    pub fn new(dim: usize, folder: Option<&Path>) -> Self {
        Self::limited(dim, folder, MemoryLimits::default())
    }

    pub(super) fn limited(dim: usize, folder: Option<&Path>, limits: MemoryLimits) -> Self {
        let folder = folder.map(Path::to_owned);
        Self { dim, clips: Vec::new(), folder, limits, store: Store::Memory(Vec::new()) }
    }

    /// Adds a clip: what the head takes of each of its segments and windows.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When a row has another dimension.
    pub fn push(&mut self, segments: &[Vec<f32>], windows: &[Vec<f32>]) -> Result<()> {
        let rows = || segments.iter().chain(windows);
        assert!(rows().all(|row| row.len() == self.dim), "a row has not {} dimensions", self.dim);
        let first = self.n_rows();
        self.clips.push(ClipRows { first, segments: segments.len(), windows: windows.len() });
        match &mut self.store {
            Store::Memory(values) => rows().for_each(|row| values.extend_from_slice(row)),
            Store::File(file) => {
                let file = file.get_mut().unwrap_or_else(PoisonError::into_inner);
                let folder = self.folder.as_deref().unwrap_or(Path::new("."));
                append(file, rows().map(Vec::as_slice)).with_context(|| cannot_write(folder))?;
            }
        }
        self.spill()
    }

    /// Moves what is in memory to a file, should it be more than is to be held.
    fn spill(&mut self) -> Result<()> {
        let (Store::Memory(values), Some(folder)) = (&self.store, &self.folder) else { return Ok(()) };
        if size_of_val(values.as_slice()) <= self.limits.held {
            return Ok(());
        }
        let write = || -> std::io::Result<File> {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::tempfile_in(folder)?;
            append(&mut file, values.chunks(AT_ONCE))?;
            Ok(file)
        };
        let file = write().with_context(|| cannot_write(folder))?;
        self.store = Store::File(Mutex::new(file));
        Ok(())
    }

    /// Rows of all clips.
    pub(super) fn n_rows(&self) -> usize {
        self.clips.last().map_or(0, |clip| clip.first + clip.segments + clip.windows)
    }

    /// Segments of all clips.
    pub(super) fn n_segments(&self) -> usize {
        self.clips.iter().map(|clip| clip.segments).sum()
    }

    /// Rows of a clip, or its segments alone.
    pub(super) fn rows_of(&self, clip: usize, segments_alone: bool) -> usize {
        self.clips[clip].segments + if segments_alone { 0 } else { self.clips[clip].windows }
    }

    /// Clips.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Whether there is no clip.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// Dimensions of a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The embeddings of the segments of a clip, `[segment][dimension]`.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When there is no such clip.
    pub fn segments(&self, clip: usize) -> Result<Vec<Vec<f32>>> {
        let ClipRows { first, segments, .. } = self.clips[clip];
        let mut values = Vec::new();
        self.read(first, segments, &mut values)?;
        Ok(values.chunks_exact(self.dim).map(<[f32]>::to_vec).collect())
    }

    /// Appends `n` rows from `first` on.
    fn read(&self, first: usize, n: usize, to: &mut Vec<f32>) -> Result<()> {
        match &self.store {
            Store::Memory(values) => to.extend_from_slice(&values[first * self.dim..(first + n) * self.dim]),
            Store::File(file) => {
                let mut bytes = vec![0; n * self.dim * size_of::<f32>()];
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let start = (first * self.dim * size_of::<f32>()) as u64;
                let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes));
                read.context("failed to read embeddings that were written before")?;
                let (values, _) = bytes.as_chunks::<4>();
                to.extend(values.iter().map(|&value| f32::from_le_bytes(value)));
            }
        }
        Ok(())
    }
}

fn append<'a>(file: &mut File, rows: impl Iterator<Item = &'a [f32]>) -> std::io::Result<()> {
    file.seek(SeekFrom::End(0))?;
    for row in rows {
        file.write_all(&row.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(())
}

/// The rows of some clips, each of the class of its clip: what one head is fitted on.
#[derive(Debug)]
pub struct Rows<'a> {
    embeddings: &'a Embeddings,
    /// Which of the rows of all clips.
    rows: Vec<usize>,
    /// Class of each.
    classes: Vec<usize>,
}

/// Some rows, row-major `[n, dim]`, and the class of each.
pub(super) struct RawBlock<'a> {
    pub(super) values: Vec<f32>,
    pub(super) classes: &'a [usize],
}

impl<'a> Rows<'a> {
    /// Of the clips `members`, in this order; `labels` is the class of each of all clips.
    ///
    /// # Panics
    /// When there is no such clip.
    #[must_use]
    pub fn new(embeddings: &'a Embeddings, members: &[usize], labels: &[usize]) -> Self {
        Self::chosen(embeddings, members, labels, false)
    }

    /// The same, of their segments alone where that is wanted.
    pub(super) fn chosen(
        embeddings: &'a Embeddings,
        members: &[usize],
        labels: &[usize],
        segments_alone: bool,
    ) -> Self {
        let (mut rows, mut classes) = (Vec::new(), Vec::new());
        for &member in members {
            let first = embeddings.clips[member].first;
            rows.extend(first..first + embeddings.rows_of(member, segments_alone));
            classes.resize(rows.len(), labels[member]);
        }
        Self { embeddings, rows, classes }
    }

    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Dimensions of a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.embeddings.dim
    }

    /// Whether they are so few that they may be in memory together.
    pub(super) fn are_few(&self) -> bool {
        self.rows.len() * self.dim() * size_of::<f32>() <= self.embeddings.limits.held
            || self.embeddings.folder.is_none()
    }

    /// Blocks of all of them: of as many rows each, a multiple of [`ROWS`], but for the last.
    pub(super) fn n_blocks(&self) -> usize {
        self.rows.len().div_ceil(self.rows_per_block())
    }

    fn rows_per_block(&self) -> usize {
        (self.embeddings.limits.block / (self.dim() * size_of::<f32>()).max(1) / ROWS).max(1) * ROWS
    }

    /// Reads a block of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn block(&self, number: usize) -> Result<RawBlock<'_>> {
        let first = number * self.rows_per_block();
        let range = first..(first + self.rows_per_block()).min(self.rows.len());
        let rows = &self.rows[range.clone()];
        let mut values = Vec::with_capacity(rows.len() * self.dim());
        for run in rows.chunk_by(|row, next| row + 1 == *next) {
            self.embeddings.read(run[0], run.len(), &mut values)?;
        }
        Ok(RawBlock { values, classes: &self.classes[range] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five clips of two segments and three windows, of three dimensions.
    fn embeddings(folder: Option<&Path>, held: usize) -> Embeddings {
        let mut embeddings = Embeddings::limited(3, folder, MemoryLimits { held, block: 8 * 3 * 4 });
        let row = |clip: usize, row: usize| (0..3).map(|i| (100 * clip + 10 * row + i) as f32).collect::<Vec<_>>();
        for clip in 0..5 {
            let rows: Vec<_> = (0..5).map(|number| row(clip, number)).collect();
            embeddings.push(&rows[..2], &rows[2..]).unwrap();
        }
        embeddings
    }

    #[test]
    fn rows_of_a_file_are_those_that_memory_holds() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("new");
        let of_memory = embeddings(None, 0);
        assert!(matches!(of_memory.store, Store::Memory(_)), "without a folder all are held");
        // All from the first clip on, and from the fourth on.
        for held in [0, 200] {
            let of_file = embeddings(Some(&cache), held);
            assert!(matches!(of_file.store, Store::File(_)));
            assert_eq!(of_file.segments(3).unwrap(), [[300.0, 301.0, 302.0], [310.0, 311.0, 312.0]]);
            let labels = [0, 1, 0, 2, 1];
            let [ours, theirs] = [&of_file, &of_memory].map(|all| Rows::new(all, &[4, 0, 1, 3], &labels));
            assert_eq!((ours.len(), ours.n_blocks(), ours.are_few()), (20, 3, false));
            for number in 0..3 {
                let (ours, theirs) = (ours.block(number).unwrap(), theirs.block(number).unwrap());
                assert_eq!((ours.values, ours.classes), (theirs.values, theirs.classes));
            }
            let last = ours.block(2).unwrap();
            assert_eq!((last.values[0], last.classes), (310.0, &[2; 4][..]));
        }
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0, "the file has no name");
        assert!(matches!(embeddings(Some(&cache), 300).store, Store::Memory(_)));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let mut embeddings = Embeddings::limited(1, Some(&file), MemoryLimits { held: 0, block: 4 });
        let error = format!("{:#}", embeddings.push(&[vec![1.0]], &[]).unwrap_err());
        assert!(error.contains("file") && error.contains("--cache"), "{error}");
    }
}
