//! `--m3u`: a playlist for each genre, in extended M3U and UTF-8 (`.m3u8`).

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{self, Read as _, Write as _},
    path::{Component, Path, PathBuf},
};

use clap::ValueEnum;
use labels::display;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sanitize_filename::sanitize_with_options;
use unicode_normalization::UnicodeNormalization as _;

use super::files::shown;
use crate::{Error, Result};

/// How every playlist of ours begins: one that does not is somebody else's.
const MARK: &str = "#EXTM3U\n# Written by serve classify, whose next run with --m3u writes over it or removes it.\n";
const ENDING: &str = "m3u8";
/// Most bytes of a name without its ending, so that a number fits behind it: file systems take 255.
const MAX_NAME: usize = 200;
/// What stays as it is in a URL: RFC 3986's unreserved characters, and what divides a path.
const IN_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// How a playlist names files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Paths {
    /// From the folder of the playlist, so that both may be moved together.
    Relative,
    /// From the root, so that the playlist may be moved.
    Absolute,
}

/// The playlists of a run.
#[derive(Debug)]
pub(super) struct Playlists {
    /// Without links.
    folder: PathBuf,
    paths: Paths,
    /// The file of each genre.
    names: BTreeMap<String, String>,
    /// What is in each, in order.
    tracks: BTreeMap<String, Vec<u8>>,
    entries: usize,
}

impl Playlists {
    /// For these genres. The folder is made; nothing is written into it yet.
    ///
    /// # Errors
    /// [`Error::Usage`] where a playlist would take the place of a file that is none of ours; [`Error::Write`].
    pub(super) fn new<'a>(folder: &Path, paths: Paths, genres: impl Iterator<Item = &'a str>) -> Result<Self> {
        let failed = |source| Error::Write { what: shown(folder), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = fs::canonicalize(folder).map_err(failed)?;
        let names = file_names(genres);
        for name in names.values() {
            let path = folder.join(name);
            if path.symlink_metadata().is_ok() && !is_ours(&path) {
                return Err(Error::Usage(format!(
                    "--m3u: {} is there and was not written by `serve classify`; move it, or name another folder",
                    shown(&path)
                )));
            }
        }
        Ok(Self { folder, paths, names, tracks: BTreeMap::new(), entries: 0 })
    }

    /// Adds a file of that genre. One that is gone is left out.
    pub(super) fn add(&mut self, genre: &str, file: &Path, seconds: f64) {
        let (Some(name), Some(stem)) = (file.file_name(), file.file_stem()) else { return };
        // The folder without links, so that `..` leads where it seems to; the file itself by its own name.
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Ok(parent) = fs::canonicalize(parent) else { return };
        let absolute = parent.join(name);
        let title: String = stem.to_string_lossy().chars().map(|c| if ends_line(c) { ' ' } else { c }).collect();
        let seconds = if seconds > 0.0 { seconds.round() } else { -1.0 };
        let list = self.tracks.entry(genre.to_owned()).or_default();
        list.extend_from_slice(format!("#EXTINF:{seconds},{}\n", display::unturned(title.trim())).as_bytes());
        list.extend_from_slice(&entry(&absolute, (self.paths == Paths::Relative).then_some(&self.folder)));
        list.push(b'\n');
        self.entries += 1;
    }

    /// Writes the playlists, each in one step, and removes those of an earlier run whose genres have no file now.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(super) fn write(&self) -> Result<String> {
        let mut written = HashSet::new();
        for (genre, tracks) in &self.tracks {
            let Some(name) = self.names.get(genre) else { continue };
            let path = self.folder.join(name);
            let list = [format!("{MARK}#PLAYLIST:{genre}\n").as_bytes(), tracks].concat();
            self.put(&path, &list).map_err(|source| Error::Write { what: shown(&path), source })?;
            let _ = written.insert(path);
        }
        let stale = self.stale(&written).and_then(|paths| paths.iter().try_for_each(fs::remove_file));
        stale.map_err(|source| Error::Write { what: shown(&self.folder), source })?;
        let (lists, entries) = (written.len(), self.entries);
        Ok(format!("{lists} playlists with {entries} files in {}", shown(&self.folder)))
    }

    fn put(&self, path: &Path, list: &[u8]) -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        // As a new file has them, less what the process leaves out by its mask.
        #[cfg(unix)]
        let _ = builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut new = builder.prefix(".serve-classify-").suffix(".tmp").tempfile_in(&self.folder)?;
        new.write_all(list)?;
        new.as_file().sync_all()?;
        let _ = new.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Playlists of ours that were not written now.
    fn stale(&self, written: &HashSet<PathBuf>) -> io::Result<Vec<PathBuf>> {
        let mut stale = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) && !written.contains(&path) && is_ours(&path) {
                stale.push(path);
            }
        }
        Ok(stale)
    }
}

/// Whether `serve classify` wrote a playlist.
fn is_ours(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MARK.len() as u64).read_to_end(&mut start));
    read.is_ok() && start == MARK.as_bytes()
}

/// A file in a playlist: its path, from a folder or from the root. A path that players would not read as it is, for a line break, spaces
/// around it, a `#` in front or bytes that are not UTF-8, is written as a URL (RFC 8089).
fn entry(file: &Path, from: Option<&PathBuf>) -> Vec<u8> {
    let path = from.map_or_else(|| file.to_owned(), |folder| relative(file, folder));
    let plain = path.to_str().filter(|text| {
        text.trim() == *text && !text.starts_with('#') && !text.contains("://") && !text.contains(ends_line)
    });
    match plain {
        Some(text) => text.as_bytes().to_vec(),
        None => format!("file://{}", percent_encode(file.as_os_str().as_encoded_bytes(), IN_URL)).into_bytes(),
    }
}

/// Whether some program takes it for the end of a line: a control character, or one of Unicode's separators.
fn ends_line(letter: char) -> bool {
    letter.is_control() || ['\u{2028}', '\u{2029}'].contains(&letter)
}

/// The way from a folder to a file, both absolute and without links.
fn relative(file: &Path, folder: &Path) -> PathBuf {
    let common = file.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}

/// A name of a file for each genre that every file system takes, and no two that one of them takes for the same.
fn file_names<'a>(genres: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut taken = HashSet::new();
    let mut names = BTreeMap::new();
    for genre in genres {
        let safe = safe_name(genre);
        let mut name = format!("{safe}.{ENDING}");
        let mut number = 1;
        // Some file systems know no case, and some no difference between a letter with an accent and the two apart.
        while !taken.insert(name.nfkc().collect::<String>().to_lowercase().nfkc().collect::<String>()) {
            number += 1;
            name = format!("{safe} ({number}).{ENDING}");
        }
        let _ = names.insert(genre.to_owned(), name);
    }
    names
}

/// A label as the name of a file, without its ending.
fn safe_name(genre: &str) -> String {
    let options = sanitize_filename::Options { windows: true, truncate: false, replacement: "_" };
    let name = sanitize_with_options(display::unturned(genre).trim(), options);
    let name: String = name.chars().map(|c| if ends_line(c) { '_' } else { c }).collect();
    let end = name.floor_char_boundary(MAX_NAME);
    // A hidden file is none that a player shows.
    let name = match name[..end].trim_end_matches(['.', ' ']) {
        hidden if hidden.starts_with('.') => format!("_{}", &hidden[1..]),
        name => name.to_owned(),
    };
    if name.is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(genres: &[&str]) -> Vec<String> {
        let names = file_names(genres.iter().copied());
        genres.iter().map(|genre| names[*genre].clone()).collect()
    }

    #[test]
    fn a_label_stays_what_it_is_where_it_can() {
        assert_eq!(
            names(&["hip hop", "演歌", "Ländler", "R&B, slow"]),
            ["hip hop.m3u8", "演歌.m3u8", "Ländler.m3u8", "R&B, slow.m3u8"]
        );
        assert_eq!(
            names(&["AC/DC", "..", ".hidden", "a\u{202e}b", "end. "]),
            ["AC_DC.m3u8", "_.m3u8", "_hidden.m3u8", "ab.m3u8", "end_.m3u8"]
        );
    }

    #[test]
    fn no_two_labels_have_names_that_a_file_system_takes_for_one() {
        let two_of_a_kind = [("rock", "Rock"), ("caf\u{e9}", "cafe\u{301}"), ("a/b", "a:b"), ("STRASSE", "strasse")];
        for (first, second) in two_of_a_kind {
            let [a, b] = <[String; 2]>::try_from(names(&[first, second])).expect("two");
            assert!(a != b && b.ends_with(" (2).m3u8"), "{a} and {b}");
        }
        assert_eq!(names(&["rock", "ROCK", "rock (2)"]), ["rock.m3u8", "ROCK (2).m3u8", "rock (2) (2).m3u8"]);
    }

    #[test]
    fn a_path_leads_from_the_folder_to_the_file() {
        let to = |file: &str, folder: &str| entry(Path::new(file), Some(&PathBuf::from(folder)));
        assert_eq!(to("/music/a/b.mp3", "/music"), b"a/b.mp3");
        assert_eq!(to("/music/a/b.mp3", "/music/a"), b"b.mp3");
        assert_eq!(to("/music/a/b.mp3", "/lists/of/mine"), b"../../../music/a/b.mp3");
        assert_eq!(to("/music/#1.mp3", "/music"), b"file:///music/%231.mp3");
        assert_eq!(to("/music/100%.mp3", "/music"), b"100%.mp3");
        assert_eq!(to("/music/ a\n.mp3", "/music"), b"file:///music/%20a%0A.mp3");
        assert_eq!(entry(Path::new("/music/b c.mp3"), None), b"/music/b c.mp3");
    }

    proptest! {
        #[test]
        fn any_label_is_the_name_of_a_file(labels in prop::collection::btree_set("\\PC{1,200}|[ ./:CONcon\u{301}é\u{202e}0-9]{1,9}", 1..20)) {
            let names = file_names(labels.iter().map(String::as_str));
            prop_assert_eq!(names.len(), labels.len());
            let mut folded = HashSet::new();
            for name in names.values() {
                prop_assert!(name.len() <= 255 && name.ends_with(".m3u8") && !name.starts_with('.'), "{name:?}");
                prop_assert!(!name.contains(|c: char| "/\\:*?\"<>|".contains(c) || ends_line(c)), "{name:?}");
                prop_assert_eq!(Path::new(name).components().count(), 1);
                prop_assert!(folded.insert(name.to_lowercase().nfc().collect::<String>()), "{name:?} is there twice");
            }
        }

        #[test]
        fn what_is_relative_leads_back(file in "(/[a-c]{1,2}){1,6}", folder in "(/[a-c]{1,2}){0,6}") {
            let folder = if folder.is_empty() { "/".to_owned() } else { folder };
            let path = relative(Path::new(&file), Path::new(&folder));
            let mut reached: Vec<_> = Path::new(&folder).components().collect();
            for part in path.components() {
                match part {
                    Component::ParentDir => drop(reached.pop()),
                    part => reached.push(part),
                }
            }
            prop_assert_eq!(reached.into_iter().collect::<PathBuf>(), PathBuf::from(&file));
        }
    }
}
