//! [`AudioDataset`]: audio files with their labels, in the forms in which people have them.

mod fma;
mod folders;
mod manifest;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use features::{
    Clip,
    decode::{Decoded, Limits, Tags, decode_file, stream_file, tags::read_tags},
};
use labels::Label;
use rayon::prelude::*;

use super::{
    metadata::{self, MetadataRow},
    table::TextTable,
    unused::{Reason, Unused, UnusedCounts, shown, shown_below},
};
use crate::{Error, Part, Result};

pub(crate) use folders::has_folder_of;

/// Tables that may stand beside label folders: what they say of a clip, by its id.
const CLIP_TABLES: [&str; 2] = ["clips.csv", "artists.csv"];

/// Longest clip that is decoded into memory as a whole, in seconds.
const WHOLE_SECONDS: f64 = 900.0;

/// What is decoded of a longer one, in seconds.
const MIDDLE_SECONDS: f64 = 300.0;

/// Audio files with their labels.
#[derive(Clone, Debug)]
pub struct AudioDataset {
    root: PathBuf,
    form: AudioForm,
    clips: Vec<AudioClip>,
    unused: Vec<Unused>,
    notes: Vec<String>,
}

/// Where the labels of an [`AudioDataset`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioForm {
    /// A folder for each label.
    LabelFolders,
    /// Hugging Face's AudioFolder: `train/LABEL/…` and `test/LABEL/…`, or a `metadata.csv` beside the files.
    AudioFolder,
    /// A table that names files and labels.
    Manifest,
    /// FMA's `tracks.csv`, and its folders of numbered files.
    Fma,
}

/// One audio file, or a span of one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AudioClip {
    /// The file's name without its extension, as [`shown`]; `<label>.<folders>.<name>` where two files share a name.
    pub clip_id: String,
    /// What it is labelled as.
    pub label: Label,
    /// The file.
    pub path: PathBuf,
    /// Who made it: from the dataset's table, else from the file's tags, else from the folder `Artist/Album` that it is in.
    pub artist: Option<String>,
    /// The album: as the artist.
    pub album: Option<String>,
    /// The title: from the table, else from the tags.
    pub title: Option<String>,
    /// The part of the dataset's own split that it is in.
    pub given: Option<Part>,
    /// The seconds of the file that it is, where it is not the whole.
    pub span: Option<Span>,
}

/// A span of a file, in seconds from its start.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Span {
    /// Where it starts, at least 0.
    pub start: f64,
    /// Where it ends, after its start; `None` for the end of the file.
    pub end: Option<f64>,
}

impl AudioClip {
    /// Decodes this clip: its file, or the span of it. Of a clip of over [`WHOLE_SECONDS`] the middle [`MIDDLE_SECONDS`] are decoded, for a
    /// store keeps no more than a segment of them; `info` is of the whole.
    ///
    /// # Errors
    /// Those of [`decode_file`]; [`features::Error::TooShort`] where the file ends before the span starts.
    pub(crate) fn decode(&self, limits: &Limits) -> Result<Decoded> {
        let whole = Limits { max_seconds: limits.max_seconds.min(WHOLE_SECONDS), ..*limits };
        match decode_file(&self.path, &whole) {
            Ok(decoded) => self.cut(decoded),
            Err(features::Error::TooLong { .. }) if limits.max_seconds > WHOLE_SECONDS => self.decode_long(limits),
            Err(error) => Err(error.into()),
        }
    }

    /// The part of a decoded file that this clip is.
    ///
    /// # Errors
    /// [`features::Error::TooShort`] where the file ends before it starts.
    pub(crate) fn cut(&self, mut decoded: Decoded) -> Result<Decoded> {
        if self.span.is_none() {
            return Ok(decoded);
        }
        let (samples, rate) = (decoded.clip.samples(), decoded.clip.sample_rate());
        let range = self.frames_of(samples.len() as u64, rate)?;
        decoded.clip = Clip::new(samples[range.start as usize..range.end as usize].to_vec(), rate)?;
        decoded.info.seconds = decoded.clip.seconds();
        Ok(decoded)
    }

    /// The frames of a file of `n` frames that this clip is.
    fn frames_of(&self, n: u64, sample_rate: u32) -> Result<Range<u64>> {
        let Some(Span { start, end }) = self.span else { return Ok(0..n) };
        let at = |seconds: f64| ((seconds * f64::from(sample_rate)).round() as u64).min(n);
        let (from, to) = (at(start), end.map_or(n, at));
        if from >= to {
            let seconds = n as f64 / f64::from(sample_rate);
            return Err(features::Error::TooShort { seconds, minimum: start }.into());
        }
        Ok(from..to)
    }

    /// Decodes the file twice, for its length and then for the wanted frames, of which alone memory holds the samples.
    fn decode_long(&self, limits: &Limits) -> Result<Decoded> {
        let mut n = 0;
        let mut info = stream_file(&self.path, limits, &mut |samples, _| {
            n += samples.len() as u64;
            Ok(())
        })?;
        let range = self.frames_of(n, info.sample_rate)?;
        let frames = |seconds: f64| (seconds * f64::from(info.sample_rate)) as u64;
        let left_out = (range.end - range.start).saturating_sub(frames(MIDDLE_SECONDS));
        let middle = match range.end - range.start > frames(WHOLE_SECONDS) {
            true => range.start + left_out / 2..range.end - left_out.div_ceil(2),
            false => range.clone(),
        };
        let (mut kept, mut at) = (Vec::new(), 0);
        stream_file(&self.path, limits, &mut |samples, _| {
            let within = |frame: u64| (frame.saturating_sub(at) as usize).min(samples.len());
            kept.extend_from_slice(&samples[within(middle.start)..within(middle.end)]);
            at += samples.len() as u64;
            Ok(())
        })?;
        info.seconds = (range.end - range.start) as f64 / f64::from(info.sample_rate);
        Ok(Decoded { clip: Clip::new(kept, info.sample_rate)?, info })
    }
}

impl AudioForm {
    /// The name, such as `audio folder`; part of the description of a dataset.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LabelFolders => "audio folder",
            Self::AudioFolder => "AudioFolder",
            Self::Manifest => "manifest",
            Self::Fma => "FMA dataset",
        }
    }
}

impl fmt::Display for AudioForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The audio files in a folder and in the folders in it, told by their content, in the order of their paths; and what else is there.
///
/// # Errors
/// [`Error::Io`] where `folder` is no folder that can be listed.
pub fn audio_files(folder: &Path) -> Result<(Vec<PathBuf>, Vec<Unused>)> {
    walk::entries(folder)?;
    let mut walk = walk::Walk::new(folder);
    walk.visit(folder)?;
    let found = walk.search(folder)?;
    Ok((found, walk.unused))
}

/// What a form of dataset lists: a file with what the form itself says of it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    pub(crate) label: Label,
    pub(crate) row: MetadataRow,
    pub(crate) span: Option<Span>,
    /// Folders between the label's and the file: an artist and an album, if there are two.
    pub(crate) folders: Vec<String>,
}

/// The files of a dataset before they are clips.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) root: PathBuf,
    pub(crate) form: AudioForm,
    pub(crate) files: Vec<Listed>,
    pub(crate) unused: Vec<Unused>,
    pub(crate) notes: Vec<String>,
}

impl AudioDataset {
    /// Opens what `path` holds, in the first of these forms that it has:
    ///
    /// - a file: a manifest (CSV, TSV, JSON lines or Parquet, with the columns `path` and `label`, and if there `artist`, `album`,
    ///   `title`, `split`, `start` and `end` in seconds; paths from the folder of the table), or FMA's `tracks.csv`;
    /// - FMA: `tracks.csv` or `fma_metadata/tracks.csv`, and the folders `000`, `001`, …, also within `fma_small` and the like;
    /// - Hugging Face's AudioFolder: `train`, `test`, … with a folder for each label; or a `metadata.csv`, `.jsonl` or `.parquet` with the
    ///   columns `file_name` and `label`;
    /// - a folder for each label, named after it, with folders in it or not; also in `Data/genres_original`, `genres_original`,
    ///   `genres` or `clips`.
    ///
    /// Any names are read, of any bytes. What is audio is told by the content. Artists, albums and titles come from the table, else from
    /// the tags in the files, else from the folders `LABEL/Artist/Album`. A folder is never entered twice, so a loop of symbolic links ends.
    ///
    /// # Errors
    /// [`Error::NoDataset`] where no label has an audio file; [`Error::Table`] and [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let listing = if path.is_file() { Self::list_table(path)? } else { Self::list_folder(path)? };
        Self::of(listing, path)
    }

    fn list_table(path: &Path) -> Result<Listing> {
        if fma::is_tracks(path) {
            return fma::list(path);
        }
        if !TextTable::is_at(path) {
            return Err(Error::NoDataset {
                path: path.to_owned(),
                looked_for: "a folder, or a table of files and labels (.csv, .tsv, .jsonl, .parquet)".into(),
                found: "another file".into(),
            });
        }
        manifest::list(path)
    }

    fn list_folder(path: &Path) -> Result<Listing> {
        if let Some(tracks) = fma::tracks_in(path) {
            return fma::list(&tracks);
        }
        if let Some(listing) = folders::list_audio_folder(path)? {
            return Ok(listing);
        }
        let listing = if path.is_dir() { Some(folders::list_label_folders(path)?) } else { None };
        match listing {
            Some(listing) if !listing.files.is_empty() => Ok(listing),
            listing => {
                let mut found = walk::contents(path)?;
                if let Some((first, all)) = listing.as_ref().and_then(|of| Some((of.unused.first()?, &of.unused))) {
                    let counts = UnusedCounts::of(all);
                    found = format!(
                        "{found}, of which no file can be used ({counts}; the first: {}: {})",
                        first.file, first.detail
                    );
                }
                Err(Error::NoDataset {
                    path: path.to_owned(),
                    looked_for: format!(
                        "a folder of audio files for each label (here, or in {}), a metadata.csv, FMA's tracks.csv, or a table of files \
                         and labels named as the dataset",
                        folders::ROOTS.join(", ")
                    ),
                    found,
                })
            }
        }
    }

    /// Gives the files their ids, artists and titles.
    fn of(listing: Listing, opened: &Path) -> Result<Self> {
        let Listing { root, form, files, mut unused, mut notes } = listing;
        let files = without_repeats(&root, files, &mut unused);
        let rows = clip_table(&root, opened)?;
        let files = named(&root, files);
        // One small read of every file: the threads wait for the disk, not for each other.
        let of_files: Vec<MetadataRow> = files
            .par_iter()
            .map(|(clip_id, Listed { path, row, folders, .. })| {
                let stem = shown(path.file_stem().unwrap_or_default());
                let own = rows.get(clip_id).or_else(|| rows.get(stem.as_str())).cloned().unwrap_or_default();
                own.or(row.clone()).or(tagged(path)).or(match folders.as_slice() {
                    [artist, album] => {
                        let (artist, album) = (Some(artist.clone()), Some(album.clone()));
                        MetadataRow { artist, album, ..MetadataRow::default() }
                    }
                    _ => MetadataRow::default(),
                })
            })
            .collect();
        let mut clips = Vec::with_capacity(files.len());
        for ((clip_id, Listed { path, label, span, .. }), row) in files.into_iter().zip(of_files) {
            if row.excluded {
                unused.push(Unused::new(
                    Reason::Excluded,
                    shown_below(&path, &root),
                    "left out by the dataset's own split",
                ));
                continue;
            }
            let MetadataRow { artist, album, title, given, .. } = row;
            clips.push(AudioClip { clip_id, label, path, artist, album, title, given, span });
        }
        if clips.is_empty() {
            return Err(Error::NoDataset {
                path: opened.to_owned(),
                looked_for: "audio files with a label".into(),
                found: UnusedCounts::of(&unused).to_string(),
            });
        }
        unused.sort();
        notes.extend(known_artists(&clips));
        Ok(Self { root, form, clips, unused, notes })
    }

    /// The folder that files are named from.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where its labels come from.
    #[must_use]
    pub fn form(&self) -> AudioForm {
        self.form
    }

    /// The clips, ordered by clip id, each id once.
    #[must_use]
    pub fn clips(&self) -> &[AudioClip] {
        &self.clips
    }

    /// The files that are no clips, ordered by reason and name.
    #[must_use]
    pub fn unused(&self) -> &[Unused] {
        &self.unused
    }

    /// What a reader should know of the dataset, such as how many artists are known.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The name of a clip's file, from [`AudioDataset::root`], as [`shown`].
    #[must_use]
    pub fn file_of(&self, clip: &AudioClip) -> String {
        shown_below(&clip.path, &self.root)
    }

    /// Gives clips other labels; a clip whose label has none is left out.
    pub(crate) fn relabel(&mut self, of: &BTreeMap<Label, Option<Label>>) {
        let root = self.root.clone();
        let unused = &mut self.unused;
        self.clips.retain_mut(|clip| match of.get(&clip.label) {
            Some(Some(label)) => {
                clip.label = label.clone();
                true
            }
            Some(None) => {
                let detail = format!("the label map leaves out `{}`", clip.label);
                unused.push(Unused::new(Reason::Excluded, shown_below(&clip.path, &root), detail));
                false
            }
            None => true,
        });
        self.unused.sort();
    }
}

/// What the tags in a file say of it.
fn tagged(path: &Path) -> MetadataRow {
    let Tags { artist, album, title, .. } = read_tags(path);
    MetadataRow { artist, album, title, ..MetadataRow::default() }
}

/// What is said of artists, where any file names one.
fn known_artists(clips: &[AudioClip]) -> Option<String> {
    let known = clips.iter().filter(|clip| clip.artist.is_some()).count();
    match (known, clips.len()) {
        (0, _) => None,
        (known, all) if known == all => Some(format!("The artists of all {all} clips are known.")),
        (known, all) => Some(format!("The artists of {known} of {all} clips are known.")),
    }
}

/// Drops files that are there already: the same path again, or the same name but for its extension.
fn without_repeats(root: &Path, mut files: Vec<Listed>, unused: &mut Vec<Unused>) -> Vec<Listed> {
    let order =
        |file: &Listed| (file.path.clone(), file.span.map(|span| (span.start.to_bits(), span.end.map(f64::to_bits))));
    files.sort_by_cached_key(order);
    let mut seen = BTreeSet::new();
    let mut stems: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    files.retain(|file| {
        let first = stems.entry(file.path.with_extension("")).or_insert_with(|| file.path.clone());
        let detail = if *first != file.path {
            "the same name as another file but for its extension"
        } else if !seen.insert(order(file)) {
            "it is listed twice"
        } else {
            return true;
        };
        unused.push(Unused::new(Reason::Duplicate, shown_below(&file.path, root), detail));
        false
    });
    files
}

/// Every file with its clip id, ordered by it.
fn named(root: &Path, files: Vec<Listed>) -> Vec<(String, Listed)> {
    let stem = |path: &Path| shown(path.file_stem().unwrap_or_default()).trim().to_owned();
    let mut uses: BTreeMap<String, BTreeSet<&Path>> = BTreeMap::new();
    files.iter().for_each(|file| {
        uses.entry(stem(&file.path)).or_default().insert(&file.path);
    });
    let shared: BTreeSet<String> =
        uses.into_iter().filter(|(_, paths)| paths.len() > 1).map(|(stem, _)| stem).collect();
    let mut taken = BTreeSet::new();
    let mut clips: Vec<(String, Listed)> = Vec::with_capacity(files.len());
    for file in files {
        let mut clip_id = stem(&file.path);
        if clip_id.is_empty() || shared.contains(&clip_id) {
            let inside = file.path.strip_prefix(root).unwrap_or(&file.path).with_extension("");
            let parts = inside.iter().skip(1).map(shown);
            clip_id = std::iter::once(file.label.as_str().into()).chain(parts).collect::<Vec<_>>().join(".");
        }
        if let Some(Span { start, end }) = file.span {
            clip_id = format!("{clip_id}@{start}-{}", end.map(|end| end.to_string()).unwrap_or_default());
        }
        // Paths are unique, but joined ones (`a/b.c` and `a.b/c`) need not be.
        let wanted = clip_id.clone();
        let mut copy = 1;
        while !taken.insert(clip_id.clone()) {
            copy += 1;
            clip_id = format!("{wanted}~{copy}");
        }
        clips.push((clip_id, file));
    }
    clips.sort_by(|a, b| a.0.cmp(&b.0));
    clips
}

/// What the first table of [`CLIP_TABLES`], in `root` or in `opened`, says of clips.
fn clip_table(root: &Path, opened: &Path) -> Result<BTreeMap<String, MetadataRow>> {
    for folder in [root, opened] {
        for table in CLIP_TABLES {
            let path = folder.join(table);
            if path.is_file() {
                return metadata::read_metadata(&path);
            }
        }
    }
    Ok(BTreeMap::new())
}
