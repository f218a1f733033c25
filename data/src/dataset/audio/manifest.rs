//! A table that names files and labels: a manifest of one's own, or the `metadata.csv` of Hugging Face's AudioFolder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use labels::Label;

use super::{AudioForm, Listed, Listing, Span, walk::audio_file};
use crate::{
    Error, Part, Result,
    dataset::{
        metadata::{LABEL_COLUMNS, MetadataColumns, MetadataRow},
        table::{TextRow, TextTable},
        unused::{Reason, Unused, shown_below},
    },
};

/// Names of the column that names the file.
const PATH_COLUMNS: [&str; 5] = ["path", "file_name", "file", "filename", "filepath"];

/// Lists a manifest.
///
/// # Errors
/// [`Error::Table`] for a malformed table, and for one without a column of paths or of labels.
pub(super) fn list(table: &Path) -> Result<Listing> {
    let missing = || {
        let columns = TextTable::read(table).map(|read| read.columns()).unwrap_or_default();
        no_column(table, format!("no column is named `label` (or `genre`); it has {columns}"))
    };
    list_as(table, AudioForm::Manifest, None)?.ok_or_else(missing)
}

/// What is wrong with the header of a table.
pub(super) fn no_column(table: &Path, problem: impl Into<String>) -> Error {
    Error::Table { path: table.to_owned(), line: 1, problem: problem.into() }
}

/// Lists the files of a table, all of the part `given` where it is; `None` if it has no column of labels.
pub(super) fn list_as(table: &Path, form: AudioForm, given: Option<Part>) -> Result<Option<Listing>> {
    let read = TextTable::read(table)?;
    let Some(labels) = read.column(&LABEL_COLUMNS) else { return Ok(None) };
    let paths = path_column(&read)?;
    let (start, end) = (read.column(&["start", "start_seconds"]), read.column(&["end", "end_seconds"]));
    let columns = MetadataColumns::of(&read);
    let root = folder_of(table);
    let mut files = Vec::new();
    let mut unused = Vec::new();
    for row in read.rows() {
        let Some(name) = row.get(Some(paths)) else {
            return Err(read.problem(row.line, "it names no file"));
        };
        let path = root.join(name);
        let mut skip = |reason: Reason, detail: String| {
            unused.push(Unused::new(reason, shown_below(&path, &root), detail));
        };
        let label = match row.get(Some(labels)).map(Label::new) {
            None => {
                skip(Reason::NoLabel, format!("line {} names no label", row.line));
                continue;
            }
            Some(Err(error)) => {
                skip(Reason::NoLabel, format!("line {}: {error}", row.line));
                continue;
            }
            Some(Ok(label)) => label,
        };
        let mut metadata = columns.row(&read, row)?;
        metadata.given = metadata.given.or(given);
        let span = span(&read, row, start, end)?;
        match audio_file(&path) {
            Ok(()) => files.push(Listed { path, label, row: metadata, span, folders: Vec::new() }),
            Err((reason, detail)) => skip(reason, detail),
        }
    }
    Ok(Some(Listing { root, form, files, unused, notes: Vec::new() }))
}

/// What a table without labels says of files, by their paths.
pub(super) fn rows_by_path(table: &Path) -> Result<BTreeMap<PathBuf, MetadataRow>> {
    let read = TextTable::read(table)?;
    let paths = path_column(&read)?;
    let columns = MetadataColumns::of(&read);
    let root = folder_of(table);
    let mut rows = BTreeMap::new();
    for row in read.rows() {
        if let Some(name) = row.get(Some(paths)) {
            rows.insert(root.join(name), columns.row(&read, row)?);
        }
    }
    Ok(rows)
}

fn path_column(table: &TextTable) -> Result<usize> {
    table.column(&PATH_COLUMNS).ok_or_else(|| {
        table.problem(1, format!("no column is named `path` (or `file_name`); it has {}", table.columns()))
    })
}

fn folder_of(table: &Path) -> PathBuf {
    match table.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn span(table: &TextTable, row: &TextRow, start: Option<usize>, end: Option<usize>) -> Result<Option<Span>> {
    let seconds = |column: Option<usize>| -> Result<Option<f64>> {
        let Some(text) = row.get(column) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(Some(seconds)),
            _ => Err(table.problem(row.line, format!("`{text}` is no time in seconds, such as 12.5"))),
        }
    };
    match (seconds(start)?, seconds(end)?) {
        (None, None) => Ok(None),
        (start, Some(end)) if end <= start.unwrap_or(0.0) => {
            Err(table.problem(row.line, format!("it ends at {end} s, and starts at {} s", start.unwrap_or(0.0))))
        }
        (start, end) => Ok(Some(Span { start: start.unwrap_or(0.0), end })),
    }
}
