//! [`FeatureStore`]: the features of a dataset, open for reading.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use features::{
    ClipFeatures, FeatureSpec, LogMel,
    spec::{Descriptor, Needs},
};
use labels::Label;
use ndarray::Array2;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use sha2::{Digest, Sha256};

use super::{CLIPS, IDS, N_FRAMES, SERIES, SPEC_KEY, STORE_VERSION, TENSORS, VERSION_KEY, header, log_mel_tensor};
use crate::{
    Error, Part, Result,
    dataset::metadata::{self, MetadataRow},
    digest::hex,
    gtzan::{CatalogueEntry, catalogue, recognise},
};

/// Most rows (in frequency) of one frame-wise series; the descriptors of this program have a few dozen.
const MAX_SERIES_ROWS: usize = 4096;
/// Most frames in a row, as in [`FeatureSpec::validate`].
const MAX_FRAMES: usize = 65_536;

/// The features of a dataset. Labels and lengths are in memory; rows are read when they are asked for, from any thread.
#[derive(Debug)]
pub struct FeatureStore {
    /// The folder of the store, or of the audio.
    dir: PathBuf,
    spec: FeatureSpec,
    clips: Vec<StoredClip>,
    max_frames: usize,
    log_mel: Slab,
    series: BTreeMap<Descriptor, Slab>,
}

#[derive(Debug)]
pub(super) struct StoredClip {
    pub(super) id: String,
    pub(super) label: Label,
    pub(super) artist: Option<String>,
    pub(super) album: Option<String>,
    pub(super) title: Option<String>,
    pub(super) given: Option<Part>,
    /// What it was recognised as.
    pub(super) gtzan: Option<&'static CatalogueEntry>,
    pub(super) n_frames: usize,
}

/// Where rows are read from: a file, or the rows that were just extracted.
pub(super) trait Source: Read + Seek + Send + fmt::Debug {}
impl<T: Read + Seek + Send + fmt::Debug> Source for T {}

/// One tensor `[clips, rows, max_frames]`.
#[derive(Debug)]
pub(super) struct Slab {
    pub(super) source: Arc<Mutex<dyn Source>>,
    pub(super) offset: u64,
    pub(super) rows: usize,
    pub(super) row_bytes: usize,
}

impl FeatureStore {
    /// Opens the store in folder `dir`. Every size, id and label is checked; the values of a row when it is read.
    ///
    /// # Errors
    /// [`Error::FeatureStore`] for a store that is truncated, misshapen, contradicts itself, names a clip twice, has a clip without a
    /// label, or was written for another version of this program; [`Error::Table`] for a malformed `clips.csv`;
    /// [`Error::Io`].
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(TENSORS);
        let mut file = File::open(&path).map_err(Error::io("open", &path))?;
        let (metadata, data) = header::read(&mut file, &path)?;
        let bad = |problem: String| Error::store(&path, problem);
        let declared = declared_spec(&metadata).map_err(bad)?;
        let spec = match &declared {
            Some(spec) => spec.clone(),
            None => FeatureSpec::gtzan_store().restricted_to(Needs::LogMel)?,
        };

        let source: Arc<Mutex<dyn Source>> = Arc::new(Mutex::new(file));

        let name = log_mel_tensor(spec.quantisation.as_ref());
        let info = metadata.info(name).ok_or_else(|| bad(format!("it has no tensor `{name}`")))?;
        let &[n_clips, n_mels, max_frames] = info.shape.as_slice() else {
            return Err(bad(format!("`{name}` has shape {:?}, not [clips, n_mels, frames]", info.shape)));
        };
        let dtype = if spec.quantisation.is_some() { Dtype::U8 } else { Dtype::F32 };
        expect_tensor(name, info, dtype, &[n_clips, spec.mel.n_mels, max_frames]).map_err(bad)?;
        if n_clips == 0 || !(1..=MAX_FRAMES).contains(&max_frames) {
            return Err(bad(format!(
                "`{name}` has {n_clips} clips of {max_frames} frames; 1 to {MAX_FRAMES} frames are read"
            )));
        }
        let slab = |info: &TensorInfo, rows: usize, width: usize| Slab {
            source: source.clone(),
            offset: data + info.data_offsets.0 as u64,
            rows,
            row_bytes: rows * max_frames * width,
        };
        let log_mel = slab(info, n_mels, if dtype == Dtype::U8 { 1 } else { 4 });

        let mut series = BTreeMap::new();
        for descriptor in spec.descriptors.iter().copied().filter(|d| d.needs() > Needs::LogMel) {
            let name = series_tensor(descriptor);
            let info = metadata
                .info(&name)
                .ok_or_else(|| bad(format!("it has no tensor `{name}`, which its specification names")))?;
            let rows = info.shape.get(1).copied().unwrap_or(0);
            expect_tensor(&name, info, Dtype::F32, &[n_clips, rows, max_frames]).map_err(bad)?;
            if !(1..=MAX_SERIES_ROWS).contains(&rows) {
                return Err(bad(format!("`{name}` has {rows} rows, not 1 to {MAX_SERIES_ROWS}")));
            }
            series.insert(descriptor, slab(info, rows, 4));
        }

        let n_frames = match metadata.info(N_FRAMES) {
            None => vec![max_frames; n_clips],
            Some(info) => {
                expect_tensor(N_FRAMES, info, Dtype::U32, &[n_clips]).map_err(bad)?;
                let mut bytes = vec![0; n_clips * 4];
                read_at(&source, &mut bytes, data + info.data_offsets.0 as u64).map_err(Error::io("read", &path))?;
                let lengths: Vec<usize> = le_words(&bytes).map(|word| u32::from_le_bytes(word) as usize).collect();
                if let Some(row) = lengths.iter().position(|n| !(1..=max_frames).contains(n)) {
                    return Err(bad(format!("row {row} has {} frames, not 1 to {max_frames}", lengths[row])));
                }
                lengths
            }
        };
        let clips = labelled(dir, read_ids(dir, n_clips)?, &n_frames)?;
        let mut store = Self { dir: dir.to_owned(), spec, clips, max_frames, log_mel, series };
        store.recognise()?;
        Ok(store)
    }

    /// Recognises clips of GTZAN where the store does not say which they are, and takes artist and title from the catalogue.
    fn recognise(&mut self) -> Result<()> {
        for row in 0..self.clips.len() {
            let StoredClip { id, label, artist, gtzan, .. } = &self.clips[row];
            let found = match gtzan {
                Some(entry) => Some(*entry),
                None => recognise::of_row(id, label, artist.as_deref(), &self.spec, || self.log_mel_of(row))?,
            };
            let clip = &mut self.clips[row];
            clip.gtzan = found;
            if let Some(entry) = found {
                clip.artist = clip.artist.take().or_else(|| entry.artist.clone());
                clip.title = clip.title.take().or_else(|| entry.title.clone());
            }
        }
        Ok(())
    }

    /// The store of rows that are not in one file: those of the audio folder `dir`.
    pub(super) fn of_rows(
        dir: PathBuf,
        spec: FeatureSpec,
        clips: Vec<StoredClip>,
        log_mel: Slab,
        series: BTreeMap<Descriptor, Slab>,
    ) -> Self {
        let max_frames = spec.segmentation.segment.frames;
        Self { dir, spec, clips, max_frames, log_mel, series }
    }

    /// Whether `dir` looks like a store: it holds `logmel.safetensors`.
    #[must_use]
    pub fn is_at(dir: &Path) -> bool {
        dir.join(TENSORS).is_file()
    }

    /// The folder: of the store, or of the audio that its rows were extracted from.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Clips; at least one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Never: a store without a clip is not opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// Clip ids in order of the rows.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.clips.iter().map(|clip| clip.id.as_str())
    }

    /// The clip id of row `row`.
    ///
    /// # Panics
    /// If `row` is not below [`FeatureStore::len`], as the other methods that take a row do.
    #[must_use]
    pub fn id(&self, row: usize) -> &str {
        &self.clips[row].id
    }

    /// The label of a row: from the store's own table, else what stands before the first dot of its id.
    #[must_use]
    pub fn label(&self, row: usize) -> &Label {
        &self.clips[row].label
    }

    /// The artist of a row, where known.
    #[must_use]
    pub fn artist(&self, row: usize) -> Option<&str> {
        self.clips[row].artist.as_deref()
    }

    /// The title of a row, where known.
    #[must_use]
    pub fn title(&self, row: usize) -> Option<&str> {
        self.clips[row].title.as_deref()
    }

    /// The album of a row, where known.
    #[must_use]
    pub fn album(&self, row: usize) -> Option<&str> {
        self.clips[row].album.as_deref()
    }

    /// The part of the dataset's own split that a row is in.
    #[must_use]
    pub fn given(&self, row: usize) -> Option<Part> {
        self.clips[row].given
    }

    /// What GTZAN's catalogue says of a row, if it was recognised as a clip of GTZAN.
    #[must_use]
    pub fn catalogue(&self, row: usize) -> Option<&'static CatalogueEntry> {
        self.clips[row].gtzan
    }

    /// Gives rows other labels.
    pub(crate) fn relabel(&mut self, of: &BTreeMap<Label, Option<Label>>) {
        for clip in &mut self.clips {
            if let Some(Some(label)) = of.get(&clip.label) {
                clip.label = label.clone();
            }
        }
    }

    /// Frames of a row.
    #[must_use]
    pub fn n_frames(&self, row: usize) -> usize {
        self.clips[row].n_frames
    }

    /// What the rows hold: the front end, and those descriptors that they suffice for.
    #[must_use]
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// The most that a descriptor may need to be computed from these rows.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.spec.needs()
    }

    /// Whether `descriptor` can be computed from these rows.
    #[must_use]
    pub fn suffices_for(&self, descriptor: Descriptor) -> bool {
        descriptor.needs() == Needs::LogMel || self.series.contains_key(&descriptor)
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::FeatureStore`] for a value that is not finite.
    pub fn features(&self, row: usize) -> Result<ClipFeatures> {
        let log_mel = self.log_mel_of(row)?;
        let mut series = BTreeMap::new();
        for (&descriptor, slab) in &self.series {
            let values = self.floats(&self.trimmed(slab, row)?, slab.rows, row, &series_tensor(descriptor))?;
            series.insert(descriptor, values);
        }
        Ok(ClipFeatures::new(log_mel, series)?)
    }

    /// Reads the log-mel of a row.
    ///
    /// # Errors
    /// Those of [`FeatureStore::features`].
    pub(crate) fn log_mel_of(&self, row: usize) -> Result<LogMel> {
        let bytes = self.trimmed(&self.log_mel, row)?;
        let (rows, n_frames) = (self.log_mel.rows, self.clips[row].n_frames);
        Ok(match &self.spec.quantisation {
            Some(quantisation) => LogMel::from_levels(&bytes, rows, n_frames, quantisation)?,
            None => LogMel::new(self.floats(&bytes, rows, row, "log-mel")?)?,
        })
    }

    /// SHA-256, in hexadecimal, of what training sees of a row: id, label, artist, log-mel, and the series of those
    /// descriptors for which `sees` holds. Padding is no part of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn row_digest(&self, row: usize, sees: impl Fn(Descriptor) -> bool) -> Result<String> {
        let clip = &self.clips[row];
        let mut hash = Sha256::new();
        for text in [clip.id.as_str(), clip.label.as_str(), clip.artist.as_deref().unwrap_or_default()] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.update((clip.n_frames as u64).to_le_bytes());
        hash.update(self.trimmed(&self.log_mel, row)?);
        for (&descriptor, slab) in self.series.iter().filter(|(descriptor, _)| sees(**descriptor)) {
            hash.update(series_tensor(descriptor));
            hash.update(self.trimmed(slab, row)?);
        }
        Ok(hex(&hash.finalize()))
    }

    /// SHA-256, in hexadecimal, of the front end and of [`FeatureStore::row_digest`] of every row: equal for two stores that
    /// train the same model.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(self.spec.log_mel_fingerprint().to_string());
        for row in 0..self.len() {
            hash.update(self.row_digest(row, |_| true)?);
        }
        Ok(hex(&hash.finalize()))
    }

    /// The bytes of a row without its padding, row-major `[rows, n_frames]`.
    fn trimmed(&self, slab: &Slab, row: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; slab.row_bytes];
        read_at(&slab.source, &mut bytes, slab.offset + row as u64 * slab.row_bytes as u64)
            .map_err(Error::io("read the features of", &self.dir))?;
        let n_frames = self.clips[row].n_frames;
        if n_frames < self.max_frames {
            let width = slab.row_bytes / (slab.rows * self.max_frames);
            for band in 1..slab.rows {
                let from = band * self.max_frames * width;
                bytes.copy_within(from..from + n_frames * width, band * n_frames * width);
            }
            bytes.truncate(slab.rows * n_frames * width);
        }
        Ok(bytes)
    }

    fn floats(&self, bytes: &[u8], rows: usize, row: usize, what: &str) -> Result<Array2<f32>> {
        let values: Vec<f32> = le_words(bytes).map(f32::from_le_bytes).collect();
        let bad = |problem: String| Error::store(&self.dir, problem);
        if values.iter().any(|value| !value.is_finite()) {
            return Err(bad(format!("`{what}` of clip `{}` holds a value that is not finite", self.clips[row].id)));
        }
        Array2::from_shape_vec((rows, self.clips[row].n_frames), values).map_err(|error| bad(error.to_string()))
    }
}

pub(super) fn series_tensor(descriptor: Descriptor) -> String {
    format!("{SERIES}{}", descriptor.name())
}

/// The specification in the metadata, `None` for a store without any.
fn declared_spec(metadata: &Metadata) -> Result<Option<FeatureSpec>, String> {
    let Some(entries) = metadata.metadata() else { return Ok(None) };
    match (entries.get(VERSION_KEY), entries.get(SPEC_KEY)) {
        (None, None) => Ok(None),
        (Some(version), Some(spec)) => {
            let major = version.split_once('.').and_then(|(major, _)| major.parse::<u32>().ok());
            if major != Some(STORE_VERSION.0) {
                return Err(format!(
                    "it has layout version `{}`, this program reads {}.x: extract its audio again",
                    version.escape_default(),
                    STORE_VERSION.0
                ));
            }
            FeatureSpec::from_json(spec)
                .map(Some)
                .map_err(|error| format!("{error} (extract its audio again to get a store for this program)"))
        }
        _ => Err(format!("its metadata has only one of `{VERSION_KEY}` and `{SPEC_KEY}`")),
    }
}

fn expect_tensor(name: &str, info: &TensorInfo, dtype: Dtype, shape: &[usize]) -> Result<(), String> {
    if info.dtype != dtype || info.shape != shape {
        return Err(format!("`{name}` is {:?} {:?}, expected {dtype:?} {shape:?}", info.dtype, info.shape));
    }
    Ok(())
}

fn read_ids(dir: &Path, n_clips: usize) -> Result<Vec<String>> {
    let path = dir.join(IDS);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let bad = |problem: String| Error::store(&path, problem);
    let text = String::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".into()))?;
    let ids: Vec<String> = text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect();
    if ids.len() != n_clips {
        return Err(bad(format!("it names {} clips, but {TENSORS} has {n_clips} rows", ids.len())));
    }
    let mut seen = BTreeSet::new();
    for (line, id) in ids.iter().enumerate() {
        if id.trim().is_empty() || id.chars().any(char::is_control) {
            return Err(bad(format!("line {} is not a clip id: `{}`", line + 1, id.escape_default())));
        }
        if !seen.insert(id) {
            return Err(bad(format!("line {} names `{id}` a second time", line + 1)));
        }
    }
    Ok(ids)
}

fn labelled(dir: &Path, ids: Vec<String>, n_frames: &[usize]) -> Result<Vec<StoredClip>> {
    let table = dir.join(CLIPS);
    let mut rows = if table.is_file() { metadata::read_metadata(&table)? } else { BTreeMap::new() };
    let mut unknown = Vec::new();
    let mut clips = Vec::with_capacity(ids.len());
    for (id, &n_frames) in ids.into_iter().zip(n_frames) {
        let MetadataRow { label, artist, album, title, given, gtzan, .. } = rows.remove(&id).unwrap_or_default();
        let from_id = || id.split_once('.').and_then(|(prefix, _)| Label::new(prefix).ok());
        let Some(label) = label.or_else(from_id) else {
            unknown.push(id);
            continue;
        };
        let gtzan = gtzan.and_then(|id| catalogue().get(&id));
        clips.push(StoredClip { id, label, artist, album, title, given, gtzan, n_frames });
    }
    if !unknown.is_empty() {
        let some = unknown.iter().take(5).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        return Err(Error::store(
            dir,
            format!(
                "the label of {} clips is unknown ({some}{}): add a {CLIPS} with the columns clip_id and label",
                unknown.len(),
                if unknown.len() > 5 { ", …" } else { "" }
            ),
        ));
    }
    Ok(clips)
}

fn read_at(source: &Mutex<dyn Source>, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    // A poisoned lock guards no invariant: the position is set before every read.
    let mut file = source.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

fn le_words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> + '_ {
    bytes.as_chunks().0.iter().copied()
}
