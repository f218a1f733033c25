//! A folder for each label; and Hugging Face's AudioFolder, which has such folders for each part of its split.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use labels::Label;

use super::{
    AudioForm, Listed, Listing, manifest,
    walk::{Entry, Kind, Walk, entries, has_audio},
};
use crate::{
    Part, Result,
    dataset::{
        feature_store::FeatureStore,
        metadata::MetadataRow,
        unused::{Reason, shown},
    },
};

/// Where in a folder the label folders are looked for before the folder itself: as in Kaggle's GTZAN, Marsyas', and `clips`.
pub(super) const ROOTS: [&str; 4] = ["Data/genres_original", "genres_original", "genres", "clips"];

/// Tables of an AudioFolder.
const METADATA: [&str; 3] = ["metadata.csv", "metadata.jsonl", "metadata.parquet"];

/// Files beside label folders that say something of the dataset, and are no part of it.
const BESIDE: [&str; 3] = ["clips.csv", "artists.csv", "README.md"];

/// Lists the label folders in `path`, or in one of [`ROOTS`]; they may have no audio.
pub(super) fn list_label_folders(path: &Path) -> Result<Listing> {
    let root = ROOTS.iter().map(|root| path.join(root)).find(|root| {
        // With another folder of audio beside it, its name is a label too.
        root.is_dir()
            && has_audio_folders(root, |_| true)
            && !has_audio_folders(path, |folder| !root.starts_with(folder))
    });
    let root = root.unwrap_or_else(|| path.to_owned());
    let mut walk = Walk::new(&root);
    let files = label_folders(&mut walk, &root, None)?;
    let unused = walk.unused;
    Ok(Listing { root: root.clone(), form: AudioForm::LabelFolders, files, unused, notes: Vec::new() })
}

/// Lists an AudioFolder; `None` for a folder that is none. Folders are parts of a split where one is `train` and all with audio are named
/// after parts.
pub(super) fn list_audio_folder(path: &Path) -> Result<Option<Listing>> {
    if !path.is_dir() {
        return Ok(None);
    }
    if let Some(table) = metadata_in(path) {
        return list_with_table(path, &table, None).map(Some);
    }
    let mut parts: Vec<(PathBuf, Part)> = Vec::new();
    for entry in entries(path)?.into_iter().filter(|entry| entry.kind == Kind::Folder && !entry.is_hidden()) {
        match entry.name.to_str().and_then(Part::named) {
            Some(part) => parts.push((entry.path, part)),
            None if has_audio(&entry.path) => return Ok(None),
            None => {}
        }
    }
    let labelled = |folder: &Path| metadata_in(folder).is_some() || has_audio_folders(folder, |_| true);
    if !parts.iter().any(|(folder, part)| *part == Part::Train && labelled(folder)) {
        return Ok(None);
    }
    let mut walk = Walk::new(path);
    walk.visit(path)?;
    let mut files = Vec::new();
    for (folder, part) in &parts {
        match metadata_in(folder) {
            Some(table) => {
                let of_part = list_with_table(folder, &table, Some(*part))?;
                files.extend(of_part.files);
                walk.unused.extend(of_part.unused);
            }
            None => files.extend(label_folders(&mut walk, folder, Some(*part))?),
        }
    }
    for entry in entries(path)?.into_iter().filter(|entry| parts.iter().all(|(folder, _)| *folder != entry.path)) {
        match entry.kind {
            Kind::Folder if !entry.is_hidden() => {
                walk.skip(&entry.path, Reason::NotAudio, "a folder without audio");
            }
            _ => beside(&mut walk, &entry),
        }
    }
    let listing =
        Listing { root: path.to_owned(), form: AudioForm::AudioFolder, files, unused: walk.unused, notes: Vec::new() };
    Ok((!listing.files.is_empty()).then_some(listing))
}

/// Lists the files that a table of an AudioFolder names; where it has no labels, those of the folders are taken, with what the table says of
/// each file.
fn list_with_table(folder: &Path, table: &Path, given: Option<Part>) -> Result<Listing> {
    if let Some(listing) = manifest::list_as(table, AudioForm::AudioFolder, given)? {
        return Ok(listing);
    }
    let rows = manifest::rows_by_path(table)?;
    let mut listing = list_label_folders(folder)?;
    if listing.files.is_empty() {
        let problem = "neither has it a column `label`, nor are the files in folders of labels";
        return Err(manifest::no_column(table, problem));
    }
    listing.form = AudioForm::AudioFolder;
    for file in &mut listing.files {
        file.row = rows.get(&file.path).cloned().unwrap_or_default();
        file.row.given = file.row.given.or(given);
    }
    Ok(listing)
}

fn metadata_in(folder: &Path) -> Option<PathBuf> {
    METADATA.iter().map(|table| folder.join(table)).find(|table| table.is_file())
}

/// The audio files in the folders of `root`, which are named after labels.
fn label_folders(walk: &mut Walk<'_>, root: &Path, given: Option<Part>) -> Result<Vec<Listed>> {
    if !walk.visit(root)? {
        return Ok(Vec::new());
    }
    let mut folders: Vec<(PathBuf, Label)> = Vec::new();
    for entry in entries(root)? {
        match entry.kind {
            Kind::Folder if entry.is_hidden() => beside(walk, &entry),
            Kind::Folder if FeatureStore::is_at(&entry.path) => {
                walk.skip(&entry.path, Reason::Excluded, "a feature store");
            }
            // All are visited before any is searched: a link from one into another must not change a label.
            Kind::Folder if walk.visit(&entry.path)? => match Label::new(shown(&entry.name)) {
                Ok(label) => folders.push((entry.path, label)),
                Err(error) => walk.skip(&entry.path, Reason::NoLabel, error.to_string()),
            },
            Kind::Folder => {}
            _ => beside(walk, &entry),
        }
    }
    let mut files = Vec::new();
    for (folder, label) in folders {
        for path in walk.search(&folder)? {
            let inside = path.strip_prefix(&folder).ok().and_then(Path::parent);
            let folders = inside.map(|inside| inside.iter().map(shown).collect()).unwrap_or_default();
            let row = MetadataRow { given, ..MetadataRow::default() };
            files.push(Listed { path, label: label.clone(), row, span: None, folders });
        }
    }
    Ok(files)
}

/// What stands beside the folders of labels is not used, but for tables.
fn beside(walk: &mut Walk<'_>, entry: &Entry) {
    let known = |names: &[&str]| names.iter().any(|name| entry.name == *name);
    match entry.kind {
        Kind::File if known(&BESIDE) || known(&METADATA) => {}
        _ if entry.is_hidden() => walk.skip(&entry.path, Reason::Excluded, "hidden"),
        Kind::File => {
            let mut found = Vec::new();
            walk.take(&entry.path, &mut found);
            if !found.is_empty() {
                walk.skip(&entry.path, Reason::NoLabel, "not in the folder of a label");
            }
        }
        _ => walk.skip(&entry.path, Reason::Unreadable, "neither a file nor a folder"),
    }
}

/// Whether audio is in one of those folders of `folder` that are `wanted`.
fn has_audio_folders(folder: &Path, wanted: impl Fn(&Path) -> bool) -> bool {
    entries(folder)
        .unwrap_or_default()
        .iter()
        .any(|entry| entry.kind == Kind::Folder && !entry.is_hidden() && wanted(&entry.path) && has_audio(&entry.path))
}

/// Whether a folder that is named after one of `labels` and has audio stands in `path` itself, or in one of [`ROOTS`] but `clips`, which
/// GTZAN's store has beside it.
pub(crate) fn has_folder_of(path: &Path, labels: &BTreeSet<&Label>) -> bool {
    let named = |folder: &Path| {
        let label = folder.file_name().map(|name| Label::new(shown(name)));
        label.is_some_and(|label| label.is_ok_and(|label| labels.contains(&label)))
    };
    has_audio_folders(path, named) || ROOTS[..3].iter().any(|root| has_audio_folders(&path.join(root), named))
}
