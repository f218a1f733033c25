//! What is known of a track beside its audio: the table that a dataset has of its own, GTZAN's catalogue, and the label
//! that a name stands for.

use std::{collections::BTreeMap, fs, path::Path};

use labels::Label;

use crate::{
    Error, Result, artist_key,
    gtzan::{CatalogueEntry, Genre, catalogue},
};

/// The label that the name of a folder, a cell of a table or the prefix of a clip id stands for. The only place that
/// restricts which labels a dataset may have: to GTZAN's ten, in any spelling of theirs.
///
/// # Errors
/// [`Error::Genre`].
pub(crate) fn label_named(name: &str) -> Result<Label> {
    name.parse::<Genre>().map(Genre::label)
}

/// The catalogue's entry of a clip id, unless the label or artist known of the clip contradict it.
pub(crate) fn of_gtzan(clip_id: &str, label: &Label, artist: Option<&str>) -> Option<&'static CatalogueEntry> {
    catalogue().get(clip_id).filter(|entry| {
        let same_artist = match (artist, &entry.artist) {
            (Some(ours), Some(theirs)) => artist_key(ours) == artist_key(theirs),
            // A named artist where GTZAN's is unknown: somebody else's clip, as GTZAN's stays unknown everywhere.
            (Some(_), None) => false,
            (None, _) => true,
        };
        entry.genre.name() == label.as_str() && same_artist
    })
}

/// One row of a dataset's own table.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetadataRow {
    pub(crate) label: Option<Label>,
    pub(crate) artist: Option<String>,
    pub(crate) title: Option<String>,
}

/// Reads a table with a header that names `clip_id` and some of `genre`, `artist`, `title`; other columns are ignored.
/// Rows by clip id.
///
/// # Errors
/// [`Error::Table`] for a malformed table, a missing column, an unknown genre, or a clip named twice.
pub(crate) fn read_metadata(path: &Path) -> Result<BTreeMap<String, MetadataRow>> {
    let table = |line: usize, problem: String| Error::Table { path: path.to_owned(), line, problem };
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| table(1, "it is not UTF-8".into()))?;
    let rows = records(text).map_err(|(line, problem)| table(line, problem))?;
    let at = |record: &csv::StringRecord, problem: String| table(line_of(text, record), problem);
    let Some((header, rows)) = rows.split_first() else {
        return Err(table(1, "it is empty; the first line must name the columns: clip_id,genre,artist,title".into()));
    };
    let column = |name: &str| header.iter().position(|h| h.trim().eq_ignore_ascii_case(name));
    let Some(id_column) = column("clip_id") else {
        return Err(table(1, "no column is named clip_id".into()));
    };
    let (genre_column, artist_column, title_column) = (column("genre"), column("artist"), column("title"));
    let mut found = BTreeMap::new();
    for row in rows {
        if row.len() != header.len() {
            return Err(at(row, format!("{} fields where the header has {}", row.len(), header.len())));
        }
        let get = |column: Option<usize>| column.map(|c| row[c].trim()).filter(|text| !text.is_empty());
        let Some(clip_id) = get(Some(id_column)) else {
            return Err(at(row, "its clip_id is empty".into()));
        };
        let label = get(genre_column).map(label_named).transpose().map_err(|error| at(row, error.to_string()))?;
        let [artist, title] = [artist_column, title_column].map(|column| get(column).map(str::to_owned));
        if found.insert(clip_id.to_owned(), MetadataRow { label, artist, title }).is_some() {
            return Err(at(row, format!("`{clip_id}` is named twice")));
        }
    }
    Ok(found)
}

/// All records of a CSV table, its header too. Stricter than the `csv` crate, which makes something of any quotes.
fn records(text: &str) -> Result<Vec<csv::StringRecord>, (usize, String)> {
    if let Some((line, problem)) = stray_quote(text) {
        return Err((line, problem.into()));
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader.records().collect::<Result<_, _>>().map_err(|error| (1, error.to_string()))
}

/// The line that a record starts on, counted from 1. A bare carriage return ends a line too, as old spreadsheets write it.
fn line_of(text: &str, record: &csv::StringRecord) -> usize {
    let byte = record.position().map_or(0, |position| position.byte() as usize);
    let rest = text.get(byte..).unwrap_or_default();
    // The reader has blank lines before it, and the second half of a line end.
    let blank = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    let before = text.get(..byte + blank).unwrap_or_default();
    1 + before.matches('\n').count() + before.matches('\r').count() - before.matches("\r\n").count()
}

/// The line and the problem of a quote that is not closed, or that has text around it.
fn stray_quote(text: &str) -> Option<(usize, &'static str)> {
    let mut chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let (mut line, mut opened, mut at_start) = (1, None, true);
    while let Some(c) = chars.next() {
        match (c, opened) {
            ('"', Some(_)) if chars.next_if_eq(&'"').is_some() => {}
            ('"', Some(_)) => {
                opened = None;
                if chars.peek().is_some_and(|c| !matches!(c, ',' | '\n' | '\r')) {
                    return Some((line, "text follows a closing quote"));
                }
            }
            ('"', None) if at_start => opened = Some(line),
            ('"', None) => return Some((line, "a quote inside a field that is not quoted")),
            _ => line += usize::from(c == '\n' || c == '\r' && chars.peek() != Some(&'\n')),
        }
        at_start = opened.is_none() && matches!(c, ',' | '\n' | '\r');
    }
    opened.map(|line| (line, "a quote is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<(usize, Vec<String>)> {
        let records = records(text).expect("well-formed");
        records.iter().map(|row| (line_of(text, row), row.iter().map(str::to_owned).collect())).collect()
    }

    #[test]
    fn quotes_breaks_and_blank_lines() {
        let rows = rows("\u{feff}a,b\r\n\r\n\"x, \"\"y\"\"\n\",\nlast");
        let fields: Vec<_> = rows.iter().map(|(line, row)| (*line, row.join("|"))).collect();
        assert_eq!(fields, [(1, "a|b".into()), (3, "x, \"y\"\n|".into()), (5, "last".into())]);
    }

    #[test]
    fn a_bare_carriage_return_ends_a_line() {
        let rows = rows("a,b\rc,d\r\r\"e\",f");
        let fields: Vec<_> = rows.iter().map(|(line, row)| (*line, row.join("|"))).collect();
        assert_eq!(fields, [(1, "a|b".into()), (2, "c|d".into()), (4, "e|f".into())]);
    }

    #[test]
    fn malformed_tables_name_their_line() {
        for text in ["a\n\"b", "a\n\"b\"c", "a\nb\"c", "a\rb\"\"", "\u{feff}\"a\"\n\"\"b"] {
            assert_eq!(records(text).expect_err(text).0, 2, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_table_survives(rows in proptest::collection::vec(proptest::collection::vec("[a-z,\"\r\n é]{0,6}", 2..4), 0..6)) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).expect("memory");
            }
            let text = String::from_utf8(writer.into_inner().expect("memory")).expect("text");
            prop_assert_eq!(self::rows(&text).into_iter().map(|(_, row)| row).collect::<Vec<_>>(), rows);
        }

        #[test]
        fn no_text_panics(text in "[\\PC\r\n\",]{0,40}") {
            if let Ok(records) = records(&text) {
                let lines: Vec<usize> = records.iter().map(|record| line_of(&text, record)).collect();
                prop_assert!(lines.is_sorted());
            }
        }
    }
}
