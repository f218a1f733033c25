//! Standard output (a table for people, JSON or CSV for programs) and standard error.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::Arc,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use models::{Classifier, Identity};
use serde::Serialize;

use super::files::{Failure, File};
use crate::{PredictResponse, rejection::Problem};

/// Characters of a file's name that are shown on a terminal.
const NARROW: usize = 48;
/// Between two columns.
const GAP: &str = "  ";

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// In columns; long names cut, if narrow.
    Table { narrow: bool },
    /// An object a line.
    Json,
    /// RFC 4180, with a header.
    Csv,
}

/// What a model predicted for a file.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) file: &'a File,
    pub(super) model: &'a Identity,
    pub(super) prediction: Result<&'a PredictResponse, &'a Failure>,
}

/// Writes rows.
#[derive(Debug)]
pub(super) struct Output<W> {
    format: Format,
    writer: W,
    /// Every label of any model.
    labels: Vec<String>,
    /// Widths of the columns of a table: file; model, unless there is one alone; genre.
    widths: (usize, Option<usize>, usize),
}

#[derive(Serialize)]
struct Predicted<'a> {
    file: &'a str,
    #[serde(flatten)]
    prediction: &'a PredictResponse,
}

#[derive(Serialize)]
struct Failed<'a> {
    file: &'a str,
    model: &'a Identity,
    problem: Problem,
}

impl<W: Write> Output<W> {
    /// For these models and files; nothing is written yet.
    pub(super) fn new(format: Format, models: &[Arc<dyn Classifier>], files: &[File], writer: W) -> Self {
        let mut labels: Vec<String> = Vec::new();
        for label in models.iter().flat_map(|model| model.labels()) {
            if !labels.iter().any(|known| label == known.as_str()) {
                labels.push(label.to_string());
            }
        }
        let widest = |names: &mut dyn Iterator<Item = usize>| names.max().unwrap_or_default();
        let file = widest(&mut files.iter().map(|file| width(&file.shown()))).max(width("file"));
        let file = if format == (Format::Table { narrow: true }) { file.min(NARROW) } else { file };
        let model = widest(&mut models.iter().map(|model| width(&model.identity().name))).max(width("model"));
        let genre = widest(&mut labels.iter().map(|label| width(label))).max(width("genre"));
        Self { format, writer, labels, widths: (file, (models.len() > 1).then_some(model), genre) }
    }

    /// Writes what comes before the first row.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        match self.format {
            Format::Table { .. } => self.line("file", "model", "genre", "probability", "second best"),
            Format::Json => Ok(()),
            Format::Csv => {
                let first = ["file", "model", "genre", "probability"].into_iter();
                let header = first.chain(self.labels.iter().map(String::as_str)).chain(["error"]);
                let header = record(header.map(str::to_owned))?;
                self.put(&header)
            }
        }
    }

    /// Writes a row and flushes it. A table has no rows for failures: they are on standard error.
    pub(super) fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        match (self.format, row.prediction) {
            (Format::Table { narrow }, Ok(prediction)) => {
                let mut ranked: Vec<(&str, f64)> = prediction.probabilities.iter().collect();
                // Stable: of equals the first stays first, as in the response.
                ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
                let of = |rank: usize| ranked.get(rank).copied().unwrap_or_default();
                let second = format!("{} {:.3}", of(1).0, of(1).1);
                let file = row.file.shown();
                let file = if narrow { cut(&file) } else { file };
                self.line(&file, &row.model.name, &prediction.predicted_genre, &format!("{:.3}", of(0).1), &second)
            }
            (Format::Table { .. }, Err(_)) => Ok(()),
            (Format::Json, Ok(prediction)) => self.object(&Predicted { file: &row.file.name(), prediction }),
            (Format::Json, Err(failure)) => {
                self.object(&Failed { file: &row.file.name(), model: row.model, problem: failure.problem() })
            }
            (Format::Csv, prediction) => {
                let record = record(self.cells(row, prediction).into_iter())?;
                self.put(&record)
            }
        }
    }

    fn cells(&self, row: &Row<'_>, prediction: Result<&PredictResponse, &Failure>) -> Vec<String> {
        let of = |label: &str| {
            let mut found = prediction.iter().flat_map(|found| found.probabilities.iter());
            found.find(|(name, _)| *name == label).map(|(_, probability)| probability.to_string()).unwrap_or_default()
        };
        let genre = prediction.map_or("", |found| found.predicted_genre.as_str());
        let mut cells = vec![row.file.name(), row.model.name.clone(), genre.to_owned(), of(genre)];
        cells.extend(self.labels.iter().map(|label| of(label)));
        cells.push(prediction.err().map(Failure::to_string).unwrap_or_default());
        cells
    }

    fn line(&mut self, file: &str, model: &str, genre: &str, probability: &str, second: &str) -> io::Result<()> {
        let (of_file, of_model, of_genre) = self.widths;
        let model = of_model.map(|of_model| format!("{model:of_model$}{GAP}")).unwrap_or_default();
        let line = format!("{file:of_file$}{GAP}{model}{genre:of_genre$}{GAP}{probability:>11}{GAP}{second}\n");
        self.put(line.as_bytes())
    }

    fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(object)?;
        line.push(b'\n');
        self.put(&line)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.writer.flush()
    }
}

/// A line of CSV.
fn record(cells: impl Iterator<Item = String>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The end of a name, which tells files of a folder apart.
fn cut(name: &str) -> String {
    let over = width(name).saturating_sub(NARROW);
    match over {
        0 => name.to_owned(),
        _ => std::iter::once('…').chain(name.chars().skip(over + 1)).collect(),
    }
}

/// Standard error: a progress bar, if it is a terminal, and lines above it.
#[derive(Debug)]
pub(super) struct Console {
    bar: ProgressBar,
}

/// How many files were classified, failed or were skipped.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) classified: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Console {
    pub(super) fn new(files: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(files as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {elapsed} (ETA {eta})");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    /// Writes a line.
    pub(super) fn say(&self, line: &str) {
        // Standard error may be closed.
        self.aside(|| drop(writeln!(io::stderr(), "serve classify: {line}")));
    }

    /// Writes elsewhere on the terminal, with the bar out of the way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// One file is done.
    pub(super) fn step(&self) {
        self.bar.inc(1);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// The last line: on a terminal, or where some files were not classified.
    pub(super) fn summarise(&self, counts: &Counts, files: usize, interrupted: bool) {
        let Counts { classified, failed, skipped } = counts;
        let mut line = format!("{classified} of {files} files classified");
        if *failed > 0 {
            line += &format!(", {failed} failed");
        }
        if *skipped > 0 {
            line += &format!(", {skipped} skipped");
        }
        if interrupted {
            line += ", then interrupted";
        }
        if files == 0 {
            "found no file to classify".clone_into(&mut line);
        }
        if interrupted || failed + skipped > 0 || files == 0 || (files > 1 && io::stderr().is_terminal()) {
            self.say(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_to_its_end() {
        assert_eq!(cut("short.wav"), "short.wav");
        let long = format!("{}é/song.wav", "folder/".repeat(20));
        assert_eq!(width(&cut(&long)), NARROW);
        assert!(cut(&long).starts_with('…') && cut(&long).ends_with("é/song.wav"));
    }

    #[test]
    fn a_cell_of_csv_is_quoted_where_it_must_be() {
        let cells = ["a,b", "say \"x\"", "two\nlines", "plain", ""].map(str::to_owned);
        let line = record(cells.into_iter()).expect("memory");
        assert_eq!(String::from_utf8(line).expect("text"), "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",plain,\n");
    }
}
