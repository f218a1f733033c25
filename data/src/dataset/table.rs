//! [`TextTable`]: the tables that say what the clips of a dataset are, from CSV, TSV, JSON lines or Parquet.

use std::{fs, path::Path, path::PathBuf};

use polars::prelude::DataType;
use serde_json::Value;

use crate::{Error, Result, tables};

/// A table whose cells are text; a cell without anything is empty.
#[derive(Debug)]
pub(crate) struct TextTable {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<TextRow>,
}

/// A row, with the line that it starts on, counted from 1; of a Parquet file, the number of the row.
#[derive(Debug, PartialEq)]
pub(crate) struct TextRow {
    pub(crate) line: usize,
    cells: Vec<String>,
}

impl TextRow {
    /// The cell of a column, without spaces around it; `None` where it is empty.
    pub(crate) fn get(&self, column: Option<usize>) -> Option<&str> {
        self.cells.get(column?).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    }
}

impl TextTable {
    /// Whether a file is a table, by its extension.
    pub(crate) fn is_at(path: &Path) -> bool {
        matches!(extension(path).as_str(), "csv" | "tsv" | "tab" | "jsonl" | "ndjson" | "json" | "parquet")
            && path.is_file()
    }

    /// Reads a table: CSV (its columns divided by the one of `,`, `;` and tab that its header has most of), TSV, JSON lines or an array of
    /// JSON objects, or Parquet, by the extension.
    ///
    /// # Errors
    /// [`Error::Table`] with the line of what is malformed; [`Error::Io`] and [`Error::Frame`].
    pub(crate) fn read(path: &Path) -> Result<Self> {
        match extension(path).as_str() {
            "parquet" => Self::parquet(path),
            "jsonl" | "ndjson" | "json" => Self::json(path),
            extension => Self::csv(path, matches!(extension, "tsv" | "tab").then_some(b'\t')),
        }
    }

    /// The first column that has one of these names, in any case.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.header.iter().position(|column| column.trim().eq_ignore_ascii_case(name)))
    }

    /// The names of the columns, for a message.
    pub(crate) fn columns(&self) -> String {
        self.header.join(", ")
    }

    pub(crate) fn rows(&self) -> &[TextRow] {
        &self.rows
    }

    /// What is wrong with a line.
    pub(crate) fn problem(&self, line: usize, problem: impl Into<String>) -> Error {
        Error::Table { path: self.path.clone(), line, problem: problem.into() }
    }

    fn csv(path: &Path, delimiter: Option<u8>) -> Result<Self> {
        let malformed = |line: usize, problem: String| Error::Table { path: path.to_owned(), line, problem };
        let text = text_of(path)?;
        let delimiter = delimiter.unwrap_or_else(|| delimiter_of(&text));
        let records = records(&text, delimiter).map_err(|(line, problem)| malformed(line, problem))?;
        let Some((header, records)) = records.split_first() else {
            return Err(malformed(1, "it is empty; the first line must name the columns".into()));
        };
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let line = line_of(&text, record);
            if record.len() != header.len() {
                return Err(malformed(line, format!("{} fields where the header has {}", record.len(), header.len())));
            }
            rows.push(TextRow { line, cells: record.iter().map(str::to_owned).collect() });
        }
        Ok(Self { path: path.to_owned(), header: header.iter().map(str::to_owned).collect(), rows })
    }

    fn json(path: &Path) -> Result<Self> {
        let malformed = |line: usize, problem: String| Error::Table { path: path.to_owned(), line, problem };
        let text = text_of(path)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let values: Vec<(usize, Value)> = if text.trim_start().starts_with('[') {
            let all: Vec<Value> =
                serde_json::from_str(text).map_err(|error| malformed(error.line(), format!("not JSON: {error}")))?;
            all.into_iter().enumerate().map(|(index, value)| (index + 1, value)).collect()
        } else {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let parsed = lines.map(|(index, line)| match serde_json::from_str(line) {
                Ok(value) => Ok((index + 1, value)),
                Err(error) => Err(malformed(index + 1, format!("not JSON: {error}"))),
            });
            parsed.collect::<Result<_>>()?
        };
        let mut header: Vec<String> = Vec::new();
        let mut rows = Vec::with_capacity(values.len());
        for (line, value) in values {
            let Value::Object(fields) = value else {
                return Err(malformed(line, "expected an object with the columns as fields".into()));
            };
            let mut cells = vec![String::new(); header.len()];
            for (name, value) in fields {
                let cell = match value {
                    Value::Null => String::new(),
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                match header.iter().position(|column| *column == name) {
                    Some(column) => cells[column] = cell,
                    None => {
                        header.push(name);
                        cells.push(cell);
                    }
                }
            }
            rows.push(TextRow { line, cells });
        }
        if rows.is_empty() {
            return Err(malformed(1, "it is empty; expected one JSON object a line".into()));
        }
        Ok(Self { path: path.to_owned(), header, rows })
    }

    fn parquet(path: &Path) -> Result<Self> {
        let frame = tables::read_parquet(path)?;
        let mut header = Vec::new();
        let mut rows: Vec<TextRow> =
            (0..frame.height()).map(|row| TextRow { line: row + 1, cells: Vec::new() }).collect();
        for column in frame.columns() {
            // Columns that are no text and no numbers say nothing that is asked for.
            let Ok(text) = column.cast(&DataType::String) else { continue };
            header.push(column.name().to_string());
            for (row, cell) in rows.iter_mut().zip(text.str()?.iter()) {
                row.cells.push(cell.unwrap_or_default().to_owned());
            }
        }
        Ok(Self { path: path.to_owned(), header, rows })
    }
}

fn extension(path: &Path) -> String {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase()
}

fn text_of(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let problem = || "it is not UTF-8; save it as UTF-8".to_owned();
    String::from_utf8(bytes).map_err(|_| Error::Table { path: path.to_owned(), line: 1, problem: problem() })
}

/// What divides the columns of a CSV file: that which its first line has most of; a comma where it has none.
pub(crate) fn delimiter_of(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| header.bytes().filter(|&byte| byte == delimiter).count();
    // Of equals the last is taken.
    [b';', b'\t', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

/// All records of a CSV table, its header too. Stricter than the `csv` crate, which makes something of any quotes.
pub(crate) fn records(text: &str, delimiter: u8) -> Result<Vec<csv::StringRecord>, (usize, String)> {
    if let Some((line, problem)) = stray_quote(text, char::from(delimiter)) {
        return Err((line, problem.into()));
    }
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).delimiter(delimiter);
    reader.from_reader(text.as_bytes()).records().collect::<Result<_, _>>().map_err(|error| (1, error.to_string()))
}

/// The line that a record starts on, counted from 1. A bare carriage return ends a line too, as old spreadsheets write it.
pub(crate) fn line_of(text: &str, record: &csv::StringRecord) -> usize {
    let byte = record.position().map_or(0, |position| position.byte() as usize);
    let rest = text.get(byte..).unwrap_or_default();
    // The reader has blank lines before it, and the second half of a line end.
    let blank = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    let before = text.get(..byte + blank).unwrap_or_default();
    1 + before.matches('\n').count() + before.matches('\r').count() - before.matches("\r\n").count()
}

/// The line and the problem of a quote that is not closed, or that has text around it.
fn stray_quote(text: &str, delimiter: char) -> Option<(usize, &'static str)> {
    let mut chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let (mut line, mut opened, mut at_start) = (1, None, true);
    while let Some(c) = chars.next() {
        match (c, opened) {
            ('"', Some(_)) if chars.next_if_eq(&'"').is_some() => {}
            ('"', Some(_)) => {
                opened = None;
                if chars.peek().is_some_and(|&c| c != delimiter && !matches!(c, '\n' | '\r')) {
                    return Some((line, "text follows a closing quote"));
                }
            }
            ('"', None) if at_start => opened = Some(line),
            ('"', None) => return Some((line, "a quote inside a field that is not quoted")),
            _ => line += usize::from(c == '\n' || c == '\r' && chars.peek() != Some(&'\n')),
        }
        at_start = opened.is_none() && (c == delimiter || matches!(c, '\n' | '\r'));
    }
    opened.map(|line| (line, "a quote is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<(usize, Vec<String>)> {
        let records = records(text, b',').expect("well-formed");
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
            assert_eq!(records(text, b',').expect_err(text).0, 2, "{text}");
        }
    }

    type Cells = (usize, Option<String>, Option<String>);

    /// Cells of the columns `path` and `label`, by line.
    fn cells(name: &str, content: &[u8]) -> Result<Vec<Cells>> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        assert!(TextTable::is_at(&path));
        let table = TextTable::read(&path)?;
        let columns = [table.column(&["path", "file_name"]), table.column(&["LABEL"])];
        let row = |row: &TextRow| {
            let [path, label] = columns.map(|column| row.get(column).map(str::to_owned));
            (row.line, path, label)
        };
        Ok(table.rows().iter().map(row).collect())
    }

    #[test]
    fn one_table_in_every_form_is_the_same() {
        let expected =
            [(2, Some("a b.mp3".to_owned()), Some("Köln".to_owned())), (3, Some("c;d.mp3".to_owned()), None)];
        for (name, text) in [
            ("t.csv", "path,label,n\na b.mp3,Köln,1\n\"c;d.mp3\", ,2\n"),
            ("t.CSV", "label;file_name\nKöln;a b.mp3\n;\"c;d.mp3\"\n"),
            ("t.csv", "n\tpath\tlabel\n1\ta b.mp3\tKöln\n2\tc;d.mp3\t\n"),
            ("t.tsv", "Path\tLabel\na b.mp3\tKöln\nc;d.mp3\t\n"),
            (
                "t.jsonl",
                "\n{\"path\": \"a b.mp3\", \"label\": \"Köln\"}\n{\"path\": \"c;d.mp3\", \"n\": [1], \"label\": null}\n",
            ),
        ] {
            assert_eq!(cells(name, text.as_bytes()).expect(name), expected, "{text}");
        }
        let json = r#"[{"path": "a b.mp3", "label": "Köln"}, {"path": "c;d.mp3"}]"#;
        let unnumbered = |rows: Vec<Cells>| rows.into_iter().map(|(_, path, label)| (path, label)).collect::<Vec<_>>();
        assert_eq!(unnumbered(cells("t.json", json.as_bytes()).expect("JSON")), unnumbered(expected.to_vec()));

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.parquet");
        let columns = [
            ("path", tables::Values::Text(vec!["a".into(), "b".into()])),
            ("label", tables::Values::Whole(vec![7, 12])),
        ];
        tables::write_parquet(&mut tables::frame(columns).expect("a frame"), &path).expect("written");
        let table = TextTable::read(&path).expect("a table");
        let label = table.column(&["label"]);
        assert_eq!(table.rows().iter().map(|row| row.get(label)).collect::<Vec<_>>(), [Some("7"), Some("12")]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (name, content, line, words) in [
            ("t.csv", b"path,label\na,b,c\n".as_slice(), 2, "3 fields where the header has 2"),
            ("t.csv", b"", 1, "empty"),
            ("t.csv", b"path\n\xff\n", 1, "UTF-8"),
            ("t.jsonl", b"{\"path\": 1}\n{", 2, "not JSON"),
            ("t.jsonl", b"3\n", 1, "object"),
            ("t.json", b"[1]", 1, "object"),
            ("t.jsonl", b"\n", 1, "empty"),
        ] {
            match cells(name, content).expect_err(words) {
                Error::Table { line: found, problem, .. } => {
                    assert!(found == line && problem.contains(words), "{found}: {problem}");
                }
                other => panic!("{other}"),
            }
        }
        assert!(cells("t.parquet", b"PAR1").is_err());
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
            if let Ok(records) = records(&text, b',') {
                let lines: Vec<usize> = records.iter().map(|record| line_of(&text, record)).collect();
                prop_assert!(lines.is_sorted());
            }
        }
    }
}
