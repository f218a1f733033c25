//! FMA (Defferrard, Benzi, Vandergheynst and Bresson, "FMA: a dataset for music analysis", 2017): its `tracks.csv`, and its folders of
//! numbered files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use labels::Label;

use super::{
    AudioForm, Listed, Listing,
    walk::{Entry, Kind, audio_file, entries},
};
use crate::{
    Error, Part, Result,
    dataset::{
        metadata::MetadataRow,
        table,
        unused::{Reason, Unused, shown_below},
    },
};

/// The file that has a row for each track.
const TRACKS: &str = "tracks.csv";
/// The folder that holds it in the archive `fma_metadata.zip`.
const METADATA: &str = "fma_metadata";
/// How the folders of the archives of audio begin: `fma_small`, `fma_medium`, `fma_large`, `fma_full`.
const AUDIO: &str = "fma_";

/// FMA's table, if it is in `folder` or in its `fma_metadata`.
pub(super) fn tracks_in(folder: &Path) -> Option<PathBuf> {
    [folder.join(TRACKS), folder.join(METADATA).join(TRACKS)].into_iter().find(|path| is_tracks(path))
}

/// Whether a file is FMA's table: its first two lines name the columns `track`, `genre_top`, one above the other.
pub(super) fn is_tracks(path: &Path) -> bool {
    use std::io::Read as _;
    if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("csv")) {
        return false;
    }
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(16 << 10).read_to_end(&mut head));
    let text = String::from_utf8_lossy(&head);
    let mut lines = text.lines().map(|line| line.split(',').map(str::trim));
    match (read, lines.next(), lines.next()) {
        (Ok(_), Some(mut above), Some(mut below)) => {
            above.any(|name| name == "track") && below.any(|name| name == "genre_top")
        }
        _ => false,
    }
}

/// Lists the tracks of the table `tracks` whose files are there.
///
/// # Errors
/// [`Error::Table`] for a malformed table; [`Error::Io`].
pub(super) fn list(tracks: &Path) -> Result<Listing> {
    let rows = read(tracks)?;
    let here = match tracks.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    // Of `fma/fma_metadata/tracks.csv` the audio is in `fma/fma_small`.
    let root = if here.ends_with(METADATA) { here.join("..") } else { here };
    let root = root.canonicalize().map_err(Error::io("resolve", &root))?;
    let mut files: BTreeMap<u32, PathBuf> = BTreeMap::new();
    let mut unused = Vec::new();
    for folder in audio_folders(&root)? {
        for Entry { path, .. } in visible(&folder)?.into_iter().filter(|entry| entry.kind == Kind::File) {
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let mut skip = |reason, detail: &str| {
                unused.push(Unused::new(reason, shown_below(&path, &root), detail));
            };
            match number {
                None => skip(Reason::NoLabel, "its name is no number of a track"),
                Some(number) if files.contains_key(&number) => {
                    skip(Reason::Duplicate, "the track is in another folder too")
                }
                Some(number) => {
                    files.insert(number, path);
                }
            }
        }
    }
    let labelled = rows.values().filter(|row| row.label.is_some()).count();
    let mut listed = Vec::new();
    for (number, path) in files {
        let mut skip = |reason, detail: String| unused.push(Unused::new(reason, shown_below(&path, &root), detail));
        let row = match rows.get(&number) {
            None => {
                skip(Reason::NoLabel, format!("{TRACKS} has no track {number}"));
                continue;
            }
            Some(row) => row.clone(),
        };
        let Some(label) = row.label.clone() else {
            skip(Reason::NoLabel, format!("{TRACKS} has no genre_top for track {number}"));
            continue;
        };
        match audio_file(&path) {
            Ok(()) => listed.push(Listed { path, label, row, span: None, folders: Vec::new() }),
            Err((reason, detail)) => skip(reason, detail),
        }
    }
    let there = listed.len();
    let notes = if there < labelled {
        vec![format!("{TRACKS} has {labelled} tracks with a genre; the files of {there} are here.")]
    } else {
        Vec::new()
    };
    Ok(Listing { root, form: AudioForm::Fma, files: listed, unused, notes })
}

/// The folders `000`, `001`, … in `root` and in its `fma_small` and the like.
fn audio_folders(root: &Path) -> Result<Vec<PathBuf>> {
    let numbered = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut folders = Vec::new();
    for Entry { name, path, .. } in visible(root)?.into_iter().filter(|entry| entry.kind == Kind::Folder) {
        if numbered(&path) {
            folders.push(path);
        } else if name.to_string_lossy().starts_with(AUDIO) && name != METADATA {
            let inner = visible(&path)?.into_iter().filter(|entry| entry.kind == Kind::Folder && numbered(&entry.path));
            folders.extend(inner.map(|entry| entry.path));
        }
    }
    Ok(folders)
}

/// What is in a folder and not hidden.
fn visible(folder: &Path) -> Result<Vec<Entry>> {
    Ok(entries(folder)?.into_iter().filter(|entry| !entry.is_hidden()).collect())
}

/// The rows of `tracks.csv` by track id: three rows of header, the third of which names the index alone.
fn read(path: &Path) -> Result<BTreeMap<u32, MetadataRow>> {
    let malformed = |line: usize, problem: String| Error::Table { path: path.to_owned(), line, problem };
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let text = String::from_utf8(bytes).map_err(|_| malformed(1, "it is not UTF-8".into()))?;
    let records = table::records(&text, b',').map_err(|(line, problem)| malformed(line, problem))?;
    let [above, below, _, rows @ ..] = records.as_slice() else {
        return Err(malformed(1, "expected three rows of header, as in FMA's tracks.csv".into()));
    };
    let column = |group: &str, name: &str| {
        (0..above.len())
            .find(|&at| above[at].trim() == group && below.get(at).is_some_and(|found| found.trim() == name))
    };
    let genre = column("track", "genre_top").ok_or_else(|| malformed(2, "no column is track/genre_top".into()))?;
    let [artist, artist_id] = ["name", "id"].map(|name| column("artist", name));
    let (album, title) = (column("album", "title"), column("track", "title"));
    let split = column("set", "split");
    let mut found = BTreeMap::new();
    for row in rows {
        let line = table::line_of(&text, row);
        let get =
            |column: Option<usize>| column.and_then(|at| row.get(at)).map(str::trim).filter(|cell| !cell.is_empty());
        let number: u32 = match get(Some(0)).map(str::parse) {
            Some(Ok(number)) => number,
            _ => return Err(malformed(line, format!("`{}` is no track id", row.get(0).unwrap_or_default()))),
        };
        let label = get(Some(genre)).map(Label::new).transpose().map_err(|error| malformed(line, error.to_string()))?;
        let given = match get(split) {
            None => None,
            Some(text) => Some(Part::named(text).ok_or_else(|| malformed(line, format!("unknown split `{text}`")))?),
        };
        let artist = get(artist).map(str::to_owned).or_else(|| get(artist_id).map(|id| format!("artist {id}")));
        let [album, title] = [album, title].map(|column| get(column).map(str::to_owned));
        let row = MetadataRow { label, artist, album, title, given, ..MetadataRow::default() };
        if found.insert(number, row).is_some() {
            return Err(malformed(line, format!("track {number} is named twice")));
        }
    }
    Ok(found)
}
