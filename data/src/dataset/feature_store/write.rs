//! Rows as they are extracted: kept in memory while they are few, else in files without a name; to be read at once, or to be
//! written as a store.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use features::{ClipFeatures, FeatureSpec, spec::Descriptor};
use ndarray::ArrayView2;
use safetensors::tensor::Dtype;
use tempfile::{SpooledTempFile, TempDir};

use super::{
    CLIPS, FeatureStore, IDS, N_FRAMES, SPEC_KEY, STORE_VERSION, TENSORS, VERSION_KEY, header, log_mel_tensor,
    read::{Slab, StoredClip, series_tensor},
};
use crate::{AudioClip, Error, Part, Result, gtzan::CatalogueEntry};

/// One clip as a store keeps it: padded with zeros to the frames of a segment.
pub(crate) struct Row {
    n_frames: usize,
    log_mel: Vec<u8>,
    series: Vec<(Descriptor, usize, Vec<u8>)>,
}

impl Row {
    /// Encodes the features of a clip. Of a clip that is longer than a segment the first one is kept if it has fewer than
    /// twice as many frames, else the middle one.
    pub(crate) fn encode(features: &ClipFeatures, spec: &FeatureSpec) -> Result<Self> {
        let width = spec.segmentation.segment.frames;
        let found = features.log_mel().n_frames();
        let n_frames = found.min(width);
        let start = if found < 2 * width { 0 } else { (found - width) / 2 };
        let segment;
        let features = if n_frames == found {
            features
        } else {
            segment = features.frames(start, start + n_frames)?;
            &segment
        };
        let log_mel = match &spec.quantisation {
            Some(quantisation) => pad(&features.log_mel().levels(quantisation), n_frames, width),
            None => pad_floats(features.log_mel().db(), width),
        };
        let series = features.all_series().map(|(d, values)| (d, values.nrows(), pad_floats(values, width))).collect();
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

/// Where a store is to be written: a folder that is absent, empty, or a store, and a temporary one beside it. Dropped
/// before the store is in its place, it leaves nothing.
pub(crate) struct StoreTarget {
    out: PathBuf,
    temporary: TempDir,
}

impl StoreTarget {
    /// Checks `out` and makes the temporary folder.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Io`].
    pub(crate) fn new(out: &Path) -> Result<Self> {
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
        Ok(Self { out: out.to_owned(), temporary })
    }

    /// A folder for rows that memory should not hold.
    pub(crate) fn scratch(&self) -> &Path {
        self.temporary.path()
    }
}

/// The rows of one audio folder, in the order in which they are pushed.
pub(crate) struct RowWriter {
    spec: FeatureSpec,
    scratch: PathBuf,
    in_memory: usize,
    log_mel: SpooledTempFile,
    /// Rows (in frequency) and values of each series; its layout is that of the first clip.
    series: Option<BTreeMap<Descriptor, (usize, SpooledTempFile)>>,
    clips: Vec<StoredClip>,
}

impl RowWriter {
    /// No rows yet. A tensor of more than `in_memory` bytes goes to a file in `scratch`.
    pub(crate) fn new(spec: &FeatureSpec, scratch: &Path, in_memory: usize) -> Self {
        Self {
            spec: spec.clone(),
            scratch: scratch.to_owned(),
            in_memory,
            log_mel: SpooledTempFile::new_in(in_memory, scratch),
            series: None,
            clips: Vec::new(),
        }
    }

    pub(crate) fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Clips so far.
    pub(crate) fn len(&self) -> usize {
        self.clips.len()
    }

    /// Adds the next clip.
    pub(crate) fn push(&mut self, clip: &AudioClip, row: &Row, gtzan: Option<&'static CatalogueEntry>) -> Result<()> {
        let Self { scratch, in_memory, .. } = self;
        let series = self.series.get_or_insert_with(|| {
            let spool = |&(descriptor, rows, _): &(Descriptor, usize, _)| {
                (descriptor, (rows, SpooledTempFile::new_in(*in_memory, &*scratch)))
            };
            row.series.iter().map(spool).collect()
        });
        let layout: Vec<_> = series.iter().map(|(descriptor, (rows, _))| (*descriptor, *rows)).collect();
        let found: Vec<_> = row.series.iter().map(|&(descriptor, rows, _)| (descriptor, rows)).collect();
        if layout != found {
            return Err(Error::Features(features::Error::Shape {
                what: "series of a clip",
                expected: format!("{layout:?} as for the first clip"),
                found: format!("{found:?} for `{}`", clip.clip_id),
            }));
        }
        for ((_, spool), (_, _, bytes)) in series.values_mut().zip(&row.series) {
            spool.write_all(bytes).map_err(Error::io("write a file in", scratch))?;
        }
        self.log_mel.write_all(&row.log_mel).map_err(Error::io("write a file in", scratch))?;
        self.clips.push(StoredClip {
            id: clip.clip_id.clone(),
            label: clip.label.clone(),
            artist: clip.artist.clone().or_else(|| gtzan.and_then(|entry| entry.artist.clone())),
            album: clip.album.clone(),
            title: clip.title.clone().or_else(|| gtzan.and_then(|entry| entry.title.clone())),
            given: clip.given,
            gtzan,
            n_frames: row.n_frames,
        });
        Ok(())
    }

    /// The rows, to be read. `folder` is the audio folder that they are of.
    pub(crate) fn into_store(self, folder: &Path) -> FeatureStore {
        let width = self.spec.segmentation.segment.frames;
        let slab = |spool: SpooledTempFile, rows: usize, bytes: usize| Slab {
            source: Arc::new(Mutex::new(spool)),
            offset: 0,
            rows,
            row_bytes: rows * width * bytes,
        };
        let log_mel = slab(self.log_mel, self.spec.mel.n_mels, if self.spec.quantisation.is_some() { 1 } else { 4 });
        let series = self.series.unwrap_or_default().into_iter();
        let series = series.map(|(descriptor, (rows, spool))| (descriptor, slab(spool, rows, 4))).collect();
        FeatureStore::of_rows(folder.to_owned(), self.spec, self.clips, log_mel, series)
    }

    /// Writes the rows as a store; `ids.txt` comes last, so that a store that was not finished does not open.
    pub(crate) fn write(self, target: StoreTarget) -> Result<()> {
        let StoreTarget { out, temporary } = target;
        let width = self.spec.segmentation.segment.frames;
        let written = self.clips.len();
        let series = self.series.unwrap_or_default();
        let n_frames: Vec<u8> = self.clips.iter().flat_map(|clip| (clip.n_frames as u32).to_le_bytes()).collect();
        // Wide types first, so that every tensor is aligned to its type.
        let mut tensors = vec![(N_FRAMES.to_owned(), Dtype::U32, vec![written], n_frames.len())];
        for (&descriptor, (rows, _)) in &series {
            let shape = vec![written, *rows, width];
            tensors.push((series_tensor(descriptor), Dtype::F32, shape, written * rows * width * 4));
        }
        let shape = vec![written, self.spec.mel.n_mels, width];
        let count: usize = shape.iter().product();
        let quantisation = self.spec.quantisation.as_ref();
        let (dtype, bytes) = if quantisation.is_some() { (Dtype::U8, count) } else { (Dtype::F32, count * 4) };
        tensors.push((log_mel_tensor(quantisation).to_owned(), dtype, shape, bytes));
        let (major, minor) = STORE_VERSION;
        let metadata =
            BTreeMap::from([(SPEC_KEY, self.spec.canonical_json()), (VERSION_KEY, format!("{major}.{minor}"))]);

        let path = temporary.path().join(TENSORS);
        let mut file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let head = header::encode(&metadata, &tensors).map_err(|error| Error::store(&out, error.to_string()))?;
        let write = || {
            file.write_all(&head)?;
            file.write_all(&n_frames)?;
            for mut spool in series.into_values().map(|(_, spool)| spool).chain([self.log_mel]) {
                spool.seek(SeekFrom::Start(0))?;
                io::copy(&mut spool, &mut file)?;
            }
            file.sync_all()
        };
        write().map_err(Error::io("write", &path))?;

        let ids: String = self.clips.iter().map(|clip| format!("{}\n", clip.id)).collect();
        let table = clips_table(&self.clips).map_err(Error::io("write", &out.join(CLIPS)))?;
        for (name, text) in [(CLIPS, table.as_slice()), (IDS, ids.as_bytes())] {
            let path = temporary.path().join(name);
            fs::write(&path, text).map_err(Error::io("write", &path))?;
        }

        fs::create_dir_all(&out).map_err(Error::io("create", &out))?;
        let old_ids = out.join(IDS);
        match fs::remove_file(&old_ids) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("replace", &old_ids)(error)),
            _ => {}
        }
        for name in [TENSORS, CLIPS, IDS] {
            let target = out.join(name);
            fs::rename(temporary.path().join(name), &target).map_err(Error::io("write", &target))?;
        }
        Ok(())
    }
}

fn clips_table(clips: &[StoredClip]) -> io::Result<Vec<u8>> {
    type Cell = fn(&StoredClip) -> &str;
    let always: [(&str, Cell); 4] = [
        ("clip_id", |clip| &clip.id),
        ("genre", |clip| &clip.label),
        ("artist", |clip| clip.artist.as_deref().unwrap_or_default()),
        ("title", |clip| clip.title.as_deref().unwrap_or_default()),
    ];
    let where_known: [(&str, Cell); 3] = [
        ("album", |clip| clip.album.as_deref().unwrap_or_default()),
        ("split", |clip| clip.given.map(Part::name).unwrap_or_default()),
        ("gtzan", |clip| clip.gtzan.map(|entry| entry.clip_id.as_str()).unwrap_or_default()),
    ];
    let known = where_known.into_iter().filter(|(_, cell)| clips.iter().any(|clip| !cell(clip).is_empty()));
    let columns: Vec<(&str, Cell)> = always.into_iter().chain(known).collect();
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(columns.iter().map(|(name, _)| name))?;
    for clip in clips {
        table.write_record(columns.iter().map(|(_, cell)| cell(clip)))?;
    }
    table.into_inner().map_err(|error| error.into_error())
}
