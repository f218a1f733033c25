//! What a table says of a track beside its audio: label, artist, album, title, and the part of the dataset's own split.

use std::{collections::BTreeMap, path::Path};

use labels::Label;

use super::table::{TextRow, TextTable};
use crate::{Part, Result};

/// Names of the column that has the label.
pub(crate) const LABEL_COLUMNS: [&str; 4] = ["label", "genre", "class", "genre_top"];

/// One row of a dataset's own table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MetadataRow {
    pub(crate) label: Option<Label>,
    pub(crate) artist: Option<String>,
    pub(crate) album: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) given: Option<Part>,
    /// The dataset's own split leaves it out.
    pub(crate) excluded: bool,
    /// The clip of GTZAN that it was recognised as.
    pub(crate) gtzan: Option<String>,
}

impl MetadataRow {
    /// What this row says, and else what the other says.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            label: self.label.or(other.label),
            artist: self.artist.or(other.artist),
            album: self.album.or(other.album),
            title: self.title.or(other.title),
            given: self.given.or(other.given),
            excluded: self.excluded || other.excluded,
            gtzan: self.gtzan.or(other.gtzan),
        }
    }
}

/// Where a table has what a [`MetadataRow`] holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetadataColumns {
    label: Option<usize>,
    artist: Option<usize>,
    album: Option<usize>,
    title: Option<usize>,
    split: Option<usize>,
    gtzan: Option<usize>,
}

impl MetadataColumns {
    pub(crate) fn of(table: &TextTable) -> Self {
        Self {
            label: table.column(&LABEL_COLUMNS),
            artist: table.column(&["artist", "artist_name"]),
            album: table.column(&["album", "album_title"]),
            title: table.column(&["title", "track_title"]),
            split: table.column(&["split", "subset"]),
            gtzan: table.column(&["gtzan"]),
        }
    }

    /// What a row says.
    ///
    /// # Errors
    /// [`Error::Table`](crate::Error::Table) for a label that is none, and for an unknown part of a split.
    pub(crate) fn row(&self, table: &TextTable, row: &TextRow) -> Result<MetadataRow> {
        let text = |column: Option<usize>| row.get(column).map(str::to_owned);
        let label = row.get(self.label).map(Label::new).transpose();
        let (mut given, mut excluded) = (None, false);
        match row.get(self.split) {
            None => {}
            Some(text) if text.eq_ignore_ascii_case("excluded") => excluded = true,
            Some(text) => {
                given = Some(Part::named(text).ok_or_else(|| {
                    table.problem(row.line, format!("unknown split `{text}`; expected train, valid, test or excluded"))
                })?);
            }
        }
        Ok(MetadataRow {
            label: label.map_err(|error| table.problem(row.line, error.to_string()))?,
            artist: text(self.artist),
            album: text(self.album),
            title: text(self.title),
            given,
            excluded,
            gtzan: text(self.gtzan),
        })
    }
}

/// Reads a table with a column `clip_id` and some of `label` (or `genre`), `artist`, `album`, `title`, `split`; other columns are
/// ignored. Rows by clip id.
///
/// # Errors
/// [`Error::Table`](crate::Error::Table) for a malformed table, a missing column, or a clip named twice.
pub(crate) fn read_metadata(path: &Path) -> Result<BTreeMap<String, MetadataRow>> {
    let table = TextTable::read(path)?;
    let Some(ids) = table.column(&["clip_id"]) else {
        return Err(table.problem(1, format!("no column is named clip_id; it has {}", table.columns())));
    };
    let columns = MetadataColumns::of(&table);
    let mut found = BTreeMap::new();
    for row in table.rows() {
        let Some(clip_id) = row.get(Some(ids)) else {
            return Err(table.problem(row.line, "its clip_id is empty"));
        };
        if found.insert(clip_id.to_owned(), columns.row(&table, row)?).is_some() {
            return Err(table.problem(row.line, format!("`{clip_id}` is named twice")));
        }
    }
    Ok(found)
}
