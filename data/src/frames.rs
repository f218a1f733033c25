//! Tables of corpora as Polars frames, Parquet and CSV.

use std::{fs, io::Write, path::Path};

use polars::prelude::{CsvWriter, DataFrame, NamedFrom, ParquetCompression, ParquetWriter, SerWriter, Series};

use crate::{Corpus, Error, Genre, Result, catalogue};

/// One row a clip, in the corpus' order: `clip_id`, `genre`, `artist`, `title`, `split` (fault-filtered; null for what
/// is not GTZAN's), `n_frames` (of a store; null for audio) and `file` (relative to the tree; null in a store).
///
/// # Errors
/// [`Error::Frame`].
pub fn manifest(corpus: &Corpus) -> Result<DataFrame> {
    let mut rows = Columns::default();
    match corpus {
        Corpus::AudioTree(tree) => {
            for clip in tree.clips() {
                let file = clip.path.strip_prefix(tree.root()).unwrap_or(&clip.path);
                let file: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
                rows.push(&clip.clip_id, clip.genre, clip.artist.as_deref(), clip.title.as_deref());
                rows.split.push(clip.catalogue().map(|entry| entry.split.name()));
                rows.n_frames.push(None);
                rows.file.push(Some(file.join("/")));
            }
        }
        Corpus::Store(store) => {
            for row in 0..store.len() {
                rows.push(store.id(row), store.genre(row), store.artist(row), store.title(row));
                rows.split.push(store.catalogue(row).map(|entry| entry.split.name()));
                rows.n_frames.push(Some(store.n_frames(row) as u32));
                rows.file.push(None);
            }
        }
    }
    let mut frame = rows.frame()?;
    frame.with_column(Series::new("n_frames".into(), rows.n_frames).into())?;
    frame.with_column(Series::new("file".into(), rows.file).into())?;
    Ok(frame)
}

/// GTZAN's catalogue, one row a clip: `clip_id`, `genre`, `artist`, `title`, `split`, `wav_md5`, `artist_group`.
///
/// # Errors
/// [`Error::Frame`].
pub fn catalogue_frame() -> Result<DataFrame> {
    let mut rows = Columns::default();
    let entries = catalogue().entries();
    for entry in entries {
        rows.push(&entry.clip_id, entry.genre, entry.artist.as_deref(), entry.title.as_deref());
        rows.split.push(Some(entry.split.name()));
    }
    let column = |name: &str, of: fn(&crate::CatalogueEntry) -> &str| {
        Series::new(name.into(), entries.iter().map(of).collect::<Vec<_>>())
    };
    let mut frame = rows.frame()?;
    frame.with_column(column("wav_md5", |entry| &entry.wav_md5).into())?;
    frame.with_column(column("artist_group", |entry| &entry.artist_group).into())?;
    Ok(frame)
}

#[derive(Default)]
struct Columns {
    clip_id: Vec<String>,
    genre: Vec<&'static str>,
    artist: Vec<Option<String>>,
    title: Vec<Option<String>>,
    split: Vec<Option<&'static str>>,
    n_frames: Vec<Option<u32>>,
    file: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, clip_id: &str, genre: Genre, artist: Option<&str>, title: Option<&str>) {
        self.clip_id.push(clip_id.to_owned());
        self.genre.push(genre.name());
        self.artist.push(artist.map(str::to_owned));
        self.title.push(title.map(str::to_owned));
    }

    /// The columns that every table has.
    fn frame(&self) -> Result<DataFrame> {
        Ok(DataFrame::new_infer_height(vec![
            Series::new("clip_id".into(), &self.clip_id).into(),
            Series::new("genre".into(), &self.genre).into(),
            Series::new("artist".into(), &self.artist).into(),
            Series::new("title".into(), &self.title).into(),
            Series::new("split".into(), &self.split).into(),
        ])?)
    }
}

/// Writes a frame as Parquet; the same frame gives the same bytes. The file appears when it is complete.
///
/// # Errors
/// [`Error::Frame`] and [`Error::Io`].
pub fn write_parquet(frame: &mut DataFrame, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Uncompressed)
        .set_parallel(false)
        .finish(frame)?;
    replace(path, &bytes)
}

/// Writes a frame as CSV with a header; the same frame gives the same bytes. The file appears when it is complete.
///
/// # Errors
/// [`Error::Frame`] and [`Error::Io`].
pub fn write_csv(frame: &mut DataFrame, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes).include_header(true).n_threads(1).finish(frame)?;
    replace(path, &bytes)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io("create a file in", folder))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    Ok(())
}
