//! Audio folders: `…/<label>/<clip_id>.wav` and the like.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use labels::Label;

use crate::{
    Error, Result,
    dataset::metadata::{self, MetadataRow, label_named},
    gtzan::CatalogueEntry,
};

/// Extensions of the files that are taken for audio.
const AUDIO_EXTENSIONS: [&str; 12] =
    ["wav", "wave", "au", "snd", "flac", "mp3", "ogg", "oga", "aif", "aiff", "m4a", "mp4"];

/// Where in a folder the label folders are looked for, in this order: right in it, as in Kaggle's, Marsyas', and `clips`.
const ROOTS: [&str; 5] = ["", "Data/genres_original", "genres_original", "genres", "clips"];

/// Tables beside the label folders that may name artists.
const TABLES: [&str; 2] = ["clips.csv", "artists.csv"];

/// Folders within a label folder that are entered; deeper ones are skipped.
const MAX_DEPTH: usize = 8;

/// A folder of audio files, sorted into a folder for each label.
#[derive(Clone, Debug)]
pub struct AudioFolder {
    root: PathBuf,
    clips: Vec<AudioClip>,
    skipped: Vec<Skipped>,
}

/// One audio file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioClip {
    /// The file's name without its extension; `<label>.<folders>.<name>` where two files share a name.
    pub clip_id: String,
    /// What the folder that it is in stands for.
    pub label: Label,
    /// The file.
    pub path: PathBuf,
    /// From the folder's own table, else from the catalogue.
    pub artist: Option<String>,
    /// From the folder's own table, else from the catalogue.
    pub title: Option<String>,
}

/// A file or folder that is not part of the dataset, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Relative to [`AudioFolder::root`].
    pub path: PathBuf,
    /// Why.
    pub reason: &'static str,
}

impl AudioClip {
    /// What the catalogue of GTZAN says of this clip: the entry of its id, unless label or artist show that the name is
    /// the same by chance.
    #[must_use]
    pub fn catalogue(&self) -> Option<&'static CatalogueEntry> {
        metadata::of_gtzan(&self.clip_id, &self.label, self.artist.as_deref())
    }
}

impl AudioFolder {
    /// Finds the label folders in `path`, or in its `Data/genres_original`, `genres_original`, `genres` or `clips`, and
    /// lists their audio files in order of clip id.
    ///
    /// Labels are GTZAN's ten, in any spelling of [`Genre`](crate::gtzan::Genre)'s `FromStr`. Folders within a label folder
    /// are searched too.
    /// Hidden files, other extensions and other folders are skipped and listed in [`AudioFolder::skipped`]; a folder is
    /// never entered twice, so a loop of symbolic links ends. Artists and titles come from a `clips.csv` or
    /// `artists.csv` (with columns `clip_id` and `artist`, and `title` where known) beside the label folders or in
    /// `path`, else from GTZAN's catalogue.
    ///
    /// # Errors
    /// [`Error::NoDataset`] without a label folder that holds audio; [`Error::Io`] and [`Error::Table`].
    pub fn open(path: &Path) -> Result<Self> {
        for candidate in ROOTS {
            let root = if candidate.is_empty() { path.to_owned() } else { path.join(candidate) };
            if root.is_dir() {
                let folder = Self::scan(&root, path)?;
                if !folder.clips.is_empty() {
                    return Ok(folder);
                }
            }
        }
        Err(Error::NoDataset {
            path: path.to_owned(),
            looked_for: format!(
                "folders named after genres (blues, classical, …) with audio files, here or in {}",
                ROOTS[1..].join(", ")
            ),
            found: contents(path)?,
        })
    }

    /// Whether a label folder stands in `path` itself or in one of the public layouts of GTZAN.
    pub(crate) fn has_labels(path: &Path) -> bool {
        ROOTS[..4].iter().any(|candidate| {
            entries(&path.join(candidate)).is_ok_and(|entries| {
                entries.iter().any(|(name, _, kind)| {
                    matches!(kind, Kind::Folder) && name.as_ref().is_some_and(|name| label_named(name).is_ok())
                })
            })
        })
    }

    /// The folder that holds the label folders.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The audio files, ordered by clip id, each id once.
    #[must_use]
    pub fn clips(&self) -> &[AudioClip] {
        &self.clips
    }

    /// What in the folder is not a clip, ordered by path.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn scan(root: &Path, opened: &Path) -> Result<Self> {
        let mut walk = Walk { root, files: Vec::new(), skipped: Vec::new(), visited: BTreeSet::new() };
        let mut folders = Vec::new();
        walk.visit(root)?;
        for (name, path, kind) in entries(root)? {
            match (kind, name.as_deref().map(label_named)) {
                // All are visited before any is searched: a link from one into another must not change a label.
                (Kind::Folder, Some(Ok(label))) if walk.visit(&path)? => folders.push((path, label)),
                (Kind::Folder, Some(Ok(_))) => {}
                (Kind::Folder, _) => walk.skip(&path, "not a genre"),
                (Kind::File, Some(_)) if name.as_deref().is_some_and(|n| TABLES.contains(&n)) => {}
                (Kind::File, _) => walk.skip(&path, "not in a genre folder"),
                (Kind::Other, _) => walk.skip(&path, "neither a file nor a folder"),
            }
        }
        for (path, label) in folders {
            walk.search(&path, &label, 0)?;
        }
        let Walk { files, mut skipped, .. } = walk;
        let mut clips = named(root, files, &mut skipped);
        let mut tables = vec![root.to_owned()];
        if opened != root {
            tables.push(opened.to_owned());
        }
        let rows = read_tables(&tables)?;
        for clip in &mut clips {
            let stem = clip.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if let Some(row) = rows.get(&clip.clip_id).or_else(|| rows.get(stem)) {
                clip.artist.clone_from(&row.artist);
                clip.title.clone_from(&row.title);
            }
            if let Some(entry) = clip.catalogue() {
                clip.artist = clip.artist.take().or_else(|| entry.artist.clone());
                clip.title = clip.title.take().or_else(|| entry.title.clone());
            }
        }
        skipped.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root: root.to_owned(), clips, skipped })
    }
}

struct Walk<'a> {
    root: &'a Path,
    files: Vec<(Label, PathBuf)>,
    skipped: Vec<Skipped>,
    visited: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn skip(&mut self, path: &Path, reason: &'static str) {
        let path = path.strip_prefix(self.root).unwrap_or(path).to_owned();
        self.skipped.push(Skipped { path, reason });
    }

    /// Whether a folder, by whatever name, is met for the first time.
    fn visit(&mut self, folder: &Path) -> Result<bool> {
        let real = folder.canonicalize().map_err(Error::io("resolve", folder))?;
        let first = self.visited.insert(real);
        if !first {
            self.skip(folder, "a folder that was searched already");
        }
        Ok(first)
    }

    /// Takes the audio files of a visited folder and of the folders in it.
    fn search(&mut self, folder: &Path, label: &Label, depth: usize) -> Result<()> {
        for (name, path, kind) in entries(folder)? {
            let blank = path.file_stem().is_none_or(|stem| stem.to_string_lossy().trim().is_empty());
            let Some(name) = name.filter(|name| !blank && !name.chars().any(char::is_control)) else {
                self.skip(&path, "its name is not plain text");
                continue;
            };
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
            match kind {
                _ if name.starts_with('.') => self.skip(&path, "hidden"),
                Kind::Folder if depth == MAX_DEPTH => self.skip(&path, "too deep within its folder"),
                Kind::Folder if self.visit(&path)? => self.search(&path, label, depth + 1)?,
                Kind::Folder => {}
                Kind::File if AUDIO_EXTENSIONS.contains(&extension.as_str()) => self.files.push((label.clone(), path)),
                Kind::File => self.skip(&path, "not an audio file by its extension"),
                Kind::Other => self.skip(&path, "neither a file nor a folder"),
            }
        }
        Ok(())
    }
}

/// Gives every file its clip id, orders them by it, and drops all but the first of files that differ only in their
/// extension.
fn named(root: &Path, mut files: Vec<(Label, PathBuf)>, skipped: &mut Vec<Skipped>) -> Vec<AudioClip> {
    let stem = |path: &Path| path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().trim().to_owned();
    files.sort();
    let mut stems_seen: BTreeSet<PathBuf> = BTreeSet::new();
    files.retain(|(_, path)| {
        let first = stems_seen.insert(path.with_extension(""));
        if !first {
            let path = path.strip_prefix(root).unwrap_or(path).to_owned();
            skipped.push(Skipped { path, reason: "the same name as another file but for its extension" });
        }
        first
    });
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    files.iter().for_each(|(_, path)| *uses.entry(stem(path)).or_default() += 1);
    let mut taken = BTreeSet::new();
    let mut clips: Vec<AudioClip> = Vec::with_capacity(files.len());
    for (label, path) in files {
        let mut clip_id = stem(&path);
        if uses.get(&clip_id).is_none_or(|&n| n > 1) {
            let inside = path.strip_prefix(root).unwrap_or(&path).with_extension("");
            let parts = inside.iter().skip(1).map(|part| part.to_string_lossy());
            clip_id = std::iter::once(label.as_str().into()).chain(parts).collect::<Vec<_>>().join(".");
        }
        // Paths are unique, but joined ones (`a/b.c` and `a.b/c`) need not be.
        let wanted = clip_id.clone();
        let mut copy = 1;
        while !taken.insert(clip_id.clone()) {
            copy += 1;
            clip_id = format!("{wanted}~{copy}");
        }
        clips.push(AudioClip { clip_id, label, path, artist: None, title: None });
    }
    clips.sort_by(|a, b| a.clip_id.cmp(&b.clip_id));
    clips
}

enum Kind {
    File,
    Folder,
    Other,
}

/// Entries of a folder, ordered by name, links followed. The name is `None` where it is not UTF-8.
fn entries(folder: &Path) -> Result<Vec<(Option<String>, PathBuf, Kind)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let path = entry.path();
        // A broken link, or a loop of links, has no metadata.
        let kind = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Kind::Folder,
            Ok(metadata) if metadata.is_file() => Kind::File,
            _ => Kind::Other,
        };
        found.push((entry.file_name().into_string().ok(), path, kind));
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(found)
}

/// A few names of what a folder holds, for a message.
pub(crate) fn contents(folder: &Path) -> Result<String> {
    if !folder.exists() {
        return Ok("no such folder".into());
    }
    if !folder.is_dir() {
        return Ok("a file, not a folder".into());
    }
    let names: Vec<String> = entries(folder)?
        .into_iter()
        .map(|(name, path, _)| {
            name.unwrap_or_else(|| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        })
        .map(|name| format!("`{}`", name.escape_default()))
        .collect();
    Ok(match names.len() {
        0 => "an empty folder".into(),
        n if n > 8 => format!("{} and {} more", names[..8].join(", "), n - 8),
        _ => names.join(", "),
    })
}

/// Rows of the first table found in `folders`, by clip id.
fn read_tables(folders: &[PathBuf]) -> Result<BTreeMap<String, MetadataRow>> {
    for folder in folders {
        for table in TABLES {
            let path = folder.join(table);
            if path.is_file() {
                return metadata::read_metadata(&path);
            }
        }
    }
    Ok(BTreeMap::new())
}
