//! Tables of text and numbers as Polars frames, Parquet and CSV.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use polars::prelude::{
    Column, CsvWriter, DataFrame, NamedFrom, ParquetCompression, ParquetReader, ParquetWriter, PolarsResult, SerReader,
    SerWriter, Series,
};

use crate::{Error, Result};

/// A column of a table: its name, and a value for each row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Words.
    Text(Vec<String>),
    /// Whole numbers.
    Whole(Vec<u64>),
    /// Any numbers.
    Real(Vec<f64>),
}

/// A table of columns that are equally long.
///
/// # Errors
/// [`Error::Frame`] when they are not, or two have one name.
pub fn frame<'a>(columns: impl IntoIterator<Item = (&'a str, Values)>) -> Result<DataFrame> {
    let column = |(name, values): (&str, Values)| -> Column {
        match values {
            Values::Text(values) => Series::new(name.into(), values),
            Values::Whole(values) => Series::new(name.into(), values),
            Values::Real(values) => Series::new(name.into(), values),
        }
        .into()
    };
    Ok(DataFrame::new_infer_height(columns.into_iter().map(column).collect())?)
}

/// A column of words.
///
/// # Errors
/// [`Error::Frame`] when there is none of that name, or it holds something else, or nothing in a row.
pub fn text(frame: &DataFrame, name: &str) -> Result<Vec<String>> {
    let column = frame.column(name)?.str()?;
    filled(name, column.iter().map(|value| value.map(str::to_owned)))
}

/// A column of numbers.
///
/// # Errors
/// As [`text`].
pub fn reals(frame: &DataFrame, name: &str) -> Result<Vec<f64>> {
    filled(name, frame.column(name)?.f64()?.iter())
}

/// A column of whole numbers.
///
/// # Errors
/// As [`text`].
pub fn wholes(frame: &DataFrame, name: &str) -> Result<Vec<u64>> {
    filled(name, frame.column(name)?.u64()?.iter())
}

fn filled<T>(name: &str, values: impl Iterator<Item = Option<T>>) -> Result<Vec<T>> {
    let values: Option<Vec<T>> = values.collect();
    let nothing = || polars::error::PolarsError::NoData(format!("a row has nothing in `{name}`").into());
    Ok(values.ok_or_else(nothing)?)
}

/// Reads a Parquet file.
///
/// # Errors
/// [`Error::Io`] and [`Error::Frame`].
pub fn read_parquet(path: &Path) -> Result<DataFrame> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let read: PolarsResult<DataFrame> = ParquetReader::new(file).finish();
    Ok(read?)
}

/// Writes a frame as Parquet; the same frame gives the same bytes. The file appears when it is complete.
///
/// # Errors
/// [`Error::Frame`] and [`Error::Io`].
pub fn write_parquet(frame: &mut DataFrame, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Uncompressed)
        .set_parallel(false)
        .finish(frame)?;
    replace(path, &bytes)
}

/// Writes a frame as CSV with a header; the same frame gives the same bytes. The file appears when it is complete.
///
/// # Errors
/// [`Error::Frame`] and [`Error::Io`].
pub fn write_csv(frame: &mut DataFrame, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes).include_header(true).n_threads(1).finish(frame)?;
    replace(path, &bytes)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io("create a file in", folder))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("table.parquet");
        let columns = || {
            [
                ("clip_id", Values::Text(vec!["a".into(), "b, \"c\"".into()])),
                ("fold", Values::Whole(vec![0, u64::MAX])),
                ("jazz", Values::Real(vec![0.1, -0.0])),
            ]
        };
        let mut table = frame(columns()).expect("equally long");
        write_parquet(&mut table, &path).expect("written");
        let bytes = fs::read(&path).expect("there");
        let read = read_parquet(&path).expect("a table");
        assert_eq!(text(&read, "clip_id").expect("words"), ["a", "b, \"c\""]);
        assert_eq!(wholes(&read, "fold").expect("whole numbers"), [0, u64::MAX]);
        let reals = reals(&read, "jazz").expect("numbers");
        assert_eq!(reals.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), [0.1f64, -0.0].map(f64::to_bits));
        write_parquet(&mut table, &path).expect("written");
        assert_eq!(fs::read(&path).expect("there"), bytes);
        assert!(text(&read, "jazz").is_err() && text(&read, "nothing").is_err());
        assert!(frame([("a", Values::Real(vec![1.0])), ("b", Values::Real(Vec::new()))]).is_err());
    }
}
