//! Walking folders: what is in them, and which files are audio.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use features::decode;

use super::super::unused::{Reason, Unused, shown, shown_below};
use crate::{Error, Result};

/// Folders within a label folder that are entered; deeper ones are skipped.
const MAX_DEPTH: usize = 16;

/// What an entry of a folder is, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Other,
}

/// An entry of a folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

impl Entry {
    pub(super) fn is_hidden(&self) -> bool {
        self.name.as_encoded_bytes().starts_with(b".")
    }
}

/// Entries of a folder, ordered by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>> {
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
        found.push(Entry { name: entry.file_name(), path, kind });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
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
    let names: Vec<String> = entries(folder)?.into_iter().map(|entry| format!("`{}`", shown(&entry.name))).collect();
    Ok(match names.len() {
        0 => "an empty folder".into(),
        n if n > 8 => format!("{} and {} more", names[..8].join(", "), n - 8),
        _ => names.join(", "),
    })
}

/// Whether a file is audio by its content; else why it cannot be used.
pub(crate) fn audio_file(path: &Path) -> Result<(), (Reason, String)> {
    match decode::container_of_file(path) {
        Ok(_) => Ok(()),
        Err(features::Error::Empty) => Err((Reason::Unreadable, "the file is empty".into())),
        Err(error) => {
            let error = Error::Features(error);
            Err((Reason::of(&error), error.to_string()))
        }
    }
}

/// A walk over folders that lists audio files, and everything else as unused.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) root: &'a Path,
    pub(super) unused: Vec<Unused>,
    visited: BTreeSet<PathBuf>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root, unused: Vec::new(), visited: BTreeSet::new() }
    }

    pub(super) fn skip(&mut self, path: &Path, reason: Reason, detail: impl Into<String>) {
        self.unused.push(Unused::new(reason, shown_below(path, self.root), detail));
    }

    /// Whether a folder, by whatever name, is met for the first time.
    pub(super) fn visit(&mut self, folder: &Path) -> Result<bool> {
        let real = folder.canonicalize().map_err(Error::io("resolve", folder))?;
        let first = self.visited.insert(real);
        if !first {
            self.skip(folder, Reason::Duplicate, "a folder that was searched already, by a link");
        }
        Ok(first)
    }

    /// The audio files of a visited folder and of the folders in it, in order.
    pub(super) fn search(&mut self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        self.search_into(folder, 0, &mut found)?;
        Ok(found)
    }

    fn search_into(&mut self, folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
        let listed = match entries(folder) {
            Ok(listed) => listed,
            Err(error) => {
                self.skip(folder, Reason::Unreadable, error.to_string());
                return Ok(());
            }
        };
        for entry in listed {
            match entry.kind {
                _ if entry.is_hidden() => self.skip(&entry.path, Reason::Excluded, "hidden"),
                Kind::Folder if depth == MAX_DEPTH => {
                    self.skip(&entry.path, Reason::Excluded, format!("more than {MAX_DEPTH} folders deep"));
                }
                Kind::Folder if self.visit(&entry.path)? => self.search_into(&entry.path, depth + 1, found)?,
                Kind::Folder => {}
                Kind::File => self.take(&entry.path, found),
                Kind::Other => self.skip(&entry.path, Reason::Unreadable, "neither a file nor a folder"),
            }
        }
        Ok(())
    }

    /// Adds a file if it is audio.
    pub(super) fn take(&mut self, path: &Path, found: &mut Vec<PathBuf>) {
        match audio_file(path) {
            Ok(()) => found.push(path.to_owned()),
            Err((reason, detail)) => self.skip(path, reason, detail),
        }
    }
}

/// Whether any audio file is in a folder or below it. Hidden ones do not count.
pub(super) fn has_audio(folder: &Path) -> bool {
    let mut visited = BTreeSet::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        let Ok(real) = folder.canonicalize() else { continue };
        if !visited.insert(real) {
            continue;
        }
        for entry in entries(&folder).unwrap_or_default().into_iter().filter(|entry| !entry.is_hidden()) {
            match entry.kind {
                Kind::File if audio_file(&entry.path).is_ok() => return true,
                Kind::Folder => left.push(entry.path),
                _ => {}
            }
        }
    }
    false
}
