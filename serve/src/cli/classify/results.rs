//! The file of `--output`: rows of this run behind those of earlier ones, which are not predicted again.
//!
//! A row is done if it has a prediction for audio of that content by that version of the model. Rows of files that failed are taken out,
//! so that these are tried again, and so is a last row that was cut off when a run ended within it.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _},
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use super::{
    files::{self, shown},
    options::{Format, Sort},
    output::{self, Column},
    payload::AudioDigest,
    row::{Answer, Key, Top},
};
use crate::{Error, Result, engine::model::Model};

/// Where a row is in the file, in bytes.
pub(super) type Place = Range<u64>;

/// The file, which no other run writes to meanwhile.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    file: File,
    format: Format,
    /// The line before the rows; empty in JSON lines.
    header: Vec<u8>,
}

/// What is done.
#[derive(Debug, Default)]
pub(super) struct Index {
    rows: HashMap<(AudioDigest, usize), Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    file: String,
    top: Top,
    place: Place,
}

/// What was found in the file when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Opened {
    /// Rows that stay.
    pub(super) rows: usize,
    /// Rows of files that failed, which were taken out.
    pub(super) failed: usize,
    /// Whether the last row was cut off, and was taken out.
    pub(super) mended: bool,
}

/// A row, as far as it is read again.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    file: String,
    model: String,
    version: String,
    digest: Option<AudioDigest>,
    /// Nothing for a file that failed.
    top: Option<Top>,
}

/// A row of JSON.
#[derive(Deserialize)]
struct Line {
    file: String,
    audio_sha256: Option<String>,
    predicted_genre: Option<String>,
    probabilities: Option<HashMap<String, f64>>,
    audio: Option<Seconds>,
    model: Named,
}

#[derive(Deserialize)]
struct Seconds {
    seconds: f64,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    version: String,
}

/// What is at the end of a file of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    Torn,
}

impl Results {
    /// Opens the file, or makes it, and finds out what of it is done by any of `models`.
    ///
    /// # Errors
    /// [`Error::Usage`] where it holds something else, or another run writes to it; [`Error::Write`].
    pub(super) fn open(
        path: &Path,
        format: Format,
        header: Vec<u8>,
        models: &[Arc<Model>],
    ) -> Result<(Self, Index, Opened)> {
        let failed = |source| Error::Write { what: shown(path), source };
        let options = || OpenOptions::new().read(true).append(true).create(true).truncate(false).open(path);
        let file = options().map_err(failed)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        match file.try_lock() {
            // Another run may have put a new file in its place.
            Ok(()) if is_at(&file, &path) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => {
                return Err(Error::Usage(format!(
                    "another run writes to {}; wait for it, or name another file",
                    shown(&path)
                )));
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut results = Self { path, file, format, header };
        let (mut rows, end) = results.scan()?;
        let mut opened = Opened { rows: rows.len(), failed: 0, mended: end == End::Torn };
        rows.retain(|(row, _)| row.top.is_some());
        opened.failed = opened.rows - rows.len();
        opened.rows = rows.len();
        let is_new = opened == Opened::default();
        if opened.failed > 0 || opened.mended || is_new {
            let places: Vec<Place> = rows.iter().map(|(_, place)| place.clone()).collect();
            results.rewrite(&places).map_err(|source| results.failure(source))?;
            let mut start = results.header.len() as u64;
            for (_, place) in &mut rows {
                let length = place.end - place.start;
                *place = start..start + length;
                start += length;
            }
        }
        Ok((results, Index::new(rows, models), opened))
    }

    /// Adds rows at the end.
    pub(super) fn append(&mut self, rows: &[u8]) -> io::Result<()> {
        self.file.write_all(rows)
    }

    /// A row as it would be for another file.
    pub(super) fn renamed(&self, place: &Place, to: &files::File) -> io::Result<Vec<u8>> {
        let row = self.read(place)?;
        let renamed = match self.format {
            Format::Json => output::renamed_object(&row, to),
            _ => output::renamed_record(&row, to),
        };
        renamed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a row of it was changed meanwhile"))
    }

    /// Sorts the rows; those of one file stay together, in their order.
    pub(super) fn sort(&mut self, sort: Sort) -> Result<()> {
        let (rows, _) = self.scan()?;
        let mut files: Vec<(Key, Vec<Place>)> = Vec::new();
        let mut last = None;
        for (row, place) in rows {
            match files.last_mut() {
                Some((_, places)) if last.as_ref() == Some(&row.file) => places.push(place),
                _ => files.push((Key::new(row.file.clone(), row.top.as_ref()), vec![place])),
            }
            last = Some(row.file);
        }
        files.sort_by(|(a, _), (b, _)| a.compare(b, sort));
        let places: Vec<Place> = files.into_iter().flat_map(|(_, places)| places).collect();
        self.rewrite(&places).map_err(|source| self.failure(source))
    }

    /// Puts what was added on the disk.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Its name for a terminal.
    pub(super) fn shown(&self) -> String {
        shown(&self.path)
    }

    fn failure(&self, source: io::Error) -> Error {
        Error::Write { what: self.shown(), source }
    }

    fn read(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut row = vec![0; usize::try_from(place.end - place.start).unwrap_or(0)];
        self.file.read_exact_at(&mut row, place.start)?;
        Ok(row)
    }

    /// Puts a file with the header and these rows alone in place of it, in one step.
    fn rewrite(&mut self, places: &[Place]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let mut new = tempfile::Builder::new().prefix(".serve-classify-").suffix(".tmp").tempfile_in(folder)?;
        new.as_file().lock()?;
        let mut writer = BufWriter::new(new.as_file_mut());
        writer.write_all(&self.header)?;
        for place in places {
            writer.write_all(&self.read(place)?)?;
        }
        writer.flush()?;
        drop(writer);
        fs::set_permissions(new.path(), self.file.metadata()?.permissions())?;
        new.as_file().sync_all()?;
        // From here on rows are added to the new one, which is locked too.
        self.file = new.persist(&self.path).map_err(|error| error.error)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// Every whole row, with its place.
    fn scan(&self) -> Result<(Vec<(Stored, Place)>, End)> {
        let mut source = BufReader::new(&self.file);
        let scanned = source.rewind().and_then(|()| match self.format {
            Format::Json => scan_json(&mut source),
            _ => scan_csv(&mut source, &self.header),
        });
        scanned.map_err(|source| self.failure(source))?.map_err(|line| {
            Error::Usage(format!(
                "line {line} of {} is none that this run could go on from: another program wrote it, or a run with other models or \
                 options; name another file with --output",
                self.shown()
            ))
        })
    }
}

/// Rows, or the number of a line that is none.
type Scanned = Result<(Vec<(Stored, Place)>, End), u64>;

fn scan_json(source: &mut impl BufRead) -> io::Result<Scanned> {
    let (mut rows, mut start, mut number) = (Vec::new(), 0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = source.read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            return Ok(Ok((rows, End::Whole)));
        }
        number += 1;
        match serde_json::from_slice::<Line>(&line) {
            Ok(row) if line.ends_with(b"\n") => rows.push((row.into(), start..start + length)),
            // A write that was cut off ends anywhere, and only the last one was.
            _ if source.fill_buf()?.is_empty() => return Ok(Ok((rows, End::Torn))),
            _ => return Ok(Err(number)),
        }
        start += length;
    }
}

fn scan_csv(source: &mut impl BufRead, header: &[u8]) -> io::Result<Scanned> {
    let mut first = Vec::new();
    source.by_ref().take(header.len() as u64).read_to_end(&mut first)?;
    if first.len() < header.len() && header.starts_with(&first) {
        return Ok(Ok((Vec::new(), if first.is_empty() { End::Whole } else { End::Torn })));
    }
    if first != header {
        return Ok(Err(1));
    }
    let header_cells = output::cells(header).map_or(0, |cells| cells.len());
    let mut last = LastByte { source, byte: b'\n' };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&mut last);
    let (mut rows, mut record) = (Vec::new(), csv::ByteRecord::new());
    let mut torn = None;
    loop {
        let start = reader.position().byte();
        let line = reader.position().line() + 1;
        if !reader.read_byte_record(&mut record)? {
            break;
        }
        if let Some(line) = torn {
            return Ok(Err(line));
        }
        let place = header.len() as u64 + start..header.len() as u64 + reader.position().byte();
        match Stored::of_cells(&record) {
            Some(row) if record.len() == header_cells => rows.push((row, place)),
            _ => torn = Some(line),
        }
    }
    drop(reader);
    if torn.is_none() && last.byte != b'\n' {
        // Whole by its cells, and yet the last of them may be cut.
        rows.pop();
        return Ok(Ok((rows, End::Torn)));
    }
    Ok(Ok((rows, if torn.is_some() { End::Torn } else { End::Whole })))
}

/// Remembers the last byte that was read.
struct LastByte<R> {
    source: R,
    byte: u8,
}

impl<R: Read> Read for LastByte<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        if let Some(last) = buffer[..read].last() {
            self.byte = *last;
        }
        Ok(read)
    }
}

impl Stored {
    /// Of a row of CSV; nothing, if it is none.
    fn of_cells(record: &csv::ByteRecord) -> Option<Self> {
        let cell = |column: Column| std::str::from_utf8(record.get(column as usize)?).ok();
        let top = match (cell(Column::Probability)?, cell(Column::Error)?) {
            ("", _) => None,
            (probability, "") => Some(Top {
                genre: cell(Column::Genre)?.to_owned(),
                probability: probability.parse().ok()?,
                seconds: cell(Column::DurationSeconds)?.parse().unwrap_or(0.0),
            }),
            _ => return None,
        };
        Some(Self {
            file: cell(Column::File)?.to_owned(),
            model: cell(Column::Model)?.to_owned(),
            version: cell(Column::Version)?.to_owned(),
            digest: AudioDigest::parse(cell(Column::AudioSha256)?),
            top,
        })
    }
}

impl From<Line> for Stored {
    fn from(line: Line) -> Self {
        let probabilities = line.probabilities.iter().flatten();
        let best = probabilities.map(|(_, probability)| *probability).max_by(f64::total_cmp);
        let top = best.map(|probability| Top {
            genre: line.predicted_genre.unwrap_or_default(),
            probability,
            seconds: line.audio.map_or(0.0, |audio| audio.seconds),
        });
        let digest = line.audio_sha256.as_deref().and_then(AudioDigest::parse);
        Self { file: line.file, model: line.model.name, version: line.model.version, digest, top }
    }
}

impl Index {
    fn new(rows: Vec<(Stored, Place)>, models: &[Arc<Model>]) -> Self {
        let mut index = Self::default();
        for (row, place) in rows {
            let of = |model: &Arc<Model>| model.name().to_string() == row.model && model.version() == row.version;
            // Of other models, or other versions, it stays and is not used.
            if let (Some(model), Some(digest), Some(top)) = (models.iter().position(of), row.digest, row.top) {
                index.rows.entry((digest, model)).or_default().push(Known { file: row.file, top, place });
            }
        }
        index
    }

    /// What the model of that number said of audio of that content, under this name of a file or another one.
    pub(super) fn find(&self, digest: AudioDigest, model: usize, file: &str) -> Option<Answer> {
        let rows = self.rows.get(&(digest, model))?;
        let same = rows.iter().find(|row| row.file == file);
        let row = same.or(rows.first())?;
        Some(Answer::Stored { top: row.top.clone(), elsewhere: same.is_none().then(|| row.place.clone()) })
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().is_ok_and(|here| fs::metadata(path).is_ok_and(|there| of(here) == of(there)))
}
