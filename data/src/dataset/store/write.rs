//! Writing a store: rows are spooled to files as they come, and put in place when all are there.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use features::{ClipFeatures, FeatureSpec, spec::Descriptor};
use ndarray::ArrayView2;
use safetensors::tensor::Dtype;
use tempfile::TempDir;

use super::{
    CLIPS, IDS, N_FRAMES, SPEC_KEY, STORE_VERSION, TENSORS, VERSION_KEY, header, log_mel_tensor, read::series_tensor,
};
use crate::{AudioClip, Error, Result, csv};

/// One clip as a store keeps it: padded with zeros to the frames of a passage.
pub(crate) struct Row {
    n_frames: usize,
    log_mel: Vec<u8>,
    series: Vec<(Descriptor, usize, Vec<u8>)>,
}

impl Row {
    /// Encodes an analysis. Of a clip that is longer than a passage the first one is kept if it has fewer than
    /// twice as many frames, else the middle one.
    pub(crate) fn encode(analysis: &ClipFeatures, spec: &FeatureSpec) -> Result<Self> {
        let width = spec.segmentation.segment.frames;
        let found = analysis.log_mel().n_frames();
        let n_frames = found.min(width);
        let start = if found < 2 * width { 0 } else { (found - width) / 2 };
        let kept;
        let analysis = if n_frames == found {
            analysis
        } else {
            kept = analysis.frames(start, start + n_frames)?;
            &kept
        };
        let log_mel = match &spec.quantisation {
            Some(quantisation) => pad(&analysis.log_mel().levels(quantisation), n_frames, width),
            None => pad_floats(analysis.log_mel().db(), width),
        };
        let series = analysis.all_series().map(|(d, values)| (d, values.nrows(), pad_floats(values, width))).collect();
        Ok(Self { n_frames, log_mel, series })
    }
}

fn pad(levels: &[u8], n_frames: usize, width: usize) -> Vec<u8> {
    let mut padded = Vec::with_capacity(levels.len() / n_frames * width);
    for band in levels.chunks(n_frames) {
        padded.extend_from_slice(band);
        padded.resize(padded.len() + width - n_frames, 0);
    }
    padded
}

fn pad_floats(values: ArrayView2<'_, f32>, width: usize) -> Vec<u8> {
    let mut padded = Vec::with_capacity(values.nrows() * width * 4);
    for row in values.outer_iter() {
        padded.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        padded.resize(padded.len() + (width - row.len()) * 4, 0);
    }
    padded
}

/// A store in the making. Nothing is at its place before [`StoreWriter::finish`]; dropped before, it leaves nothing.
pub(crate) struct StoreWriter {
    out: PathBuf,
    spec: FeatureSpec,
    temporary: TempDir,
    log_mel: Spool,
    /// Rows (in frequency) and values of each series; its layout is that of the first clip.
    series: Option<BTreeMap<Descriptor, (usize, Spool)>>,
    n_frames: Vec<u8>,
    ids: String,
    table: String,
    written: usize,
}

struct Spool {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Spool {
    fn new(path: PathBuf) -> Result<Self> {
        let file =
            File::options().read(true).write(true).create_new(true).open(&path).map_err(Error::io("create", &path))?;
        Ok(Self { file: BufWriter::new(file), path })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    /// Appends all of it to `target`, and removes it.
    fn drain_into(self, target: &mut File) -> Result<()> {
        let mut file = self.file.into_inner().map_err(|e| Error::io("write", &self.path)(e.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(Error::io("read", &self.path))?;
        io::copy(&mut file, target).map_err(Error::io("copy", &self.path))?;
        fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }
}

impl StoreWriter {
    /// Prepares to write a store into `out`, which must be absent, empty, or a store (which is replaced).
    pub(crate) fn new(out: &Path, spec: &FeatureSpec) -> Result<Self> {
        spec.validate()?;
        match fs::read_dir(out) {
            Ok(mut entries) => {
                if entries.next().is_some() && !out.join(TENSORS).is_file() {
                    return Err(Error::NotEmpty { path: out.to_owned() });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("list", out)(error)),
        }
        // Beside the target, so that renaming never crosses a file system.
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        let temporary = tempfile::Builder::new()
            // Of this process, so that an interrupted one can be cleaned up after.
            .prefix(&format!(".tonearm-store-{}-", std::process::id()))
            .tempdir_in(parent)
            .map_err(Error::io("create a temporary folder in", parent))?;
        Ok(Self {
            out: out.to_owned(),
            spec: spec.clone(),
            log_mel: Spool::new(temporary.path().join("log_mel"))?,
            series: None,
            temporary,
            n_frames: Vec::new(),
            ids: String::new(),
            table: csv::line(["clip_id", "genre", "artist", "title"]),
            written: 0,
        })
    }

    /// Clips so far.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Adds the next clip.
    pub(crate) fn push(&mut self, clip: &AudioClip, row: &Row) -> Result<()> {
        if self.series.is_none() {
            let spool = |&(descriptor, rows, _): &(Descriptor, usize, _)| {
                Ok((descriptor, (rows, Spool::new(self.temporary.path().join(series_tensor(descriptor)))?)))
            };
            self.series = Some(row.series.iter().map(spool).collect::<Result<_>>()?);
        }
        let series = self.series.as_mut().map(|s| s.iter_mut().collect::<Vec<_>>()).unwrap_or_default();
        let layout: Vec<_> = series.iter().map(|(descriptor, (rows, _))| (**descriptor, *rows)).collect();
        let found: Vec<_> = row.series.iter().map(|&(descriptor, rows, _)| (descriptor, rows)).collect();
        if layout != found {
            return Err(Error::Features(features::Error::Shape {
                what: "series of a clip",
                expected: format!("{layout:?} as for the first clip"),
                found: format!("{found:?} for `{}`", clip.clip_id),
            }));
        }
        for ((_, (_, spool)), (_, _, bytes)) in series.into_iter().zip(&row.series) {
            spool.push(bytes)?;
        }
        self.log_mel.push(&row.log_mel)?;
        self.n_frames.extend((row.n_frames as u32).to_le_bytes());
        self.ids.push_str(&clip.clip_id);
        self.ids.push('\n');
        let text = |field: &'_ Option<String>| field.clone().unwrap_or_default();
        self.table += &csv::line([clip.clip_id.as_str(), clip.genre.name(), &text(&clip.artist), &text(&clip.title)]);
        self.written += 1;
        Ok(())
    }

    /// Puts the store in its place; `ids.txt` comes last, so that a store that was not finished does not open.
    pub(crate) fn finish(self) -> Result<()> {
        let width = self.spec.segmentation.segment.frames;
        let series = self.series.unwrap_or_default();
        // Wide types first, so that every tensor is aligned to its type.
        let mut tensors = vec![(N_FRAMES.to_owned(), Dtype::U32, vec![self.written], self.n_frames.len())];
        for (&descriptor, (rows, _)) in &series {
            let shape = vec![self.written, *rows, width];
            let bytes = self.written * rows * width * 4;
            tensors.push((series_tensor(descriptor), Dtype::F32, shape, bytes));
        }
        let shape = vec![self.written, self.spec.mel.n_mels, width];
        let count: usize = shape.iter().product();
        let quantisation = self.spec.quantisation.as_ref();
        let (dtype, bytes) = if quantisation.is_some() { (Dtype::U8, count) } else { (Dtype::F32, count * 4) };
        tensors.push((log_mel_tensor(quantisation).to_owned(), dtype, shape, bytes));
        let (major, minor) = STORE_VERSION;
        let metadata =
            BTreeMap::from([(SPEC_KEY, self.spec.canonical_json()), (VERSION_KEY, format!("{major}.{minor}"))]);

        let path = self.temporary.path().join(TENSORS);
        let mut file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let head = header::encode(&metadata, &tensors).map_err(|error| Error::store(&self.out, error.to_string()))?;
        file.write_all(&head).and_then(|()| file.write_all(&self.n_frames)).map_err(Error::io("write", &path))?;
        for (_, (_, spool)) in series {
            spool.drain_into(&mut file)?;
        }
        self.log_mel.drain_into(&mut file)?;
        file.sync_all().map_err(Error::io("write", &path))?;
        for (name, text) in [(CLIPS, &self.table), (IDS, &self.ids)] {
            let path = self.temporary.path().join(name);
            fs::write(&path, text).map_err(Error::io("write", &path))?;
        }

        fs::create_dir_all(&self.out).map_err(Error::io("create", &self.out))?;
        let old_ids = self.out.join(IDS);
        match fs::remove_file(&old_ids) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("replace", &old_ids)(error)),
            _ => {}
        }
        for name in [TENSORS, CLIPS, IDS] {
            let target = self.out.join(name);
            fs::rename(self.temporary.path().join(name), &target).map_err(Error::io("write", &target))?;
        }
        Ok(())
    }
}
