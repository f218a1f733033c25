//! Standard output (a table for people, JSON or CSV for programs) and standard error.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::Arc,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use labels::display::{self, padded, width};
use serde::Serialize;

use super::files::{Failure, File};
use crate::{
    PredictResponse,
    engine::model::{Model, ModelInfo},
    rejection::Problem,
};

/// Columns of a file's name that are shown on a terminal.
const NARROW: usize = 48;
/// Columns of a label that are shown on a terminal.
const NARROW_LABEL: usize = 28;
/// Columns of a CSV that say where a model comes from.
const PROVENANCE: [&str; 10] = [
    "version",
    "kind",
    "trained_on",
    "trained_on_clips",
    "synthetic",
    "evaluated_on",
    "evaluated_clips",
    "accuracy",
    "accuracy_ci95_low",
    "accuracy_ci95_high",
];
/// Between two columns.
const GAP: &str = "  ";

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// In columns; long names cut, if narrow.
    Table { narrow: bool },
    /// An object a line.
    Json,
    /// RFC 4180, with a header; with the columns of [`PROVENANCE`] at the end, or without.
    Csv { provenance: bool },
}

/// What a model predicted for a file.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) file: &'a File,
    pub(super) model: &'a Model,
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
    model: &'a ModelInfo,
    problem: Problem,
}

impl<W: Write> Output<W> {
    /// For these models and files; nothing is written yet.
    pub(super) fn new(format: Format, models: &[Arc<Model>], files: &[File], writer: W) -> Self {
        let mut labels: Vec<String> = Vec::new();
        for label in models.iter().flat_map(|model| model.labels()) {
            if !labels.iter().any(|known| label == known.as_str()) {
                labels.push(label.to_string());
            }
        }
        let widest = |names: &mut dyn Iterator<Item = usize>| names.max().unwrap_or_default();
        let file = widest(&mut files.iter().map(|file| width(&file.shown()))).max(width("file"));
        let narrow = format == (Format::Table { narrow: true });
        let file = if narrow { file.min(NARROW) } else { file };
        let model = widest(&mut models.iter().map(|model| width(model.name()))).max(width("model"));
        let genre = widest(&mut labels.iter().map(|label| width(&shown(label, narrow)))).max(width("genre"));
        Self { format, writer, labels, widths: (file, (models.len() > 1).then_some(model), genre) }
    }

    /// Writes what comes before the first row.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        match self.format {
            Format::Table { .. } => self.line("file", "model", "genre", "probability", "second best"),
            Format::Json => Ok(()),
            Format::Csv { provenance } => {
                let first = ["file", "model", "genre", "probability"].into_iter();
                let last = PROVENANCE.into_iter().filter(|_| provenance);
                let header = first.chain(self.labels.iter().map(String::as_str)).chain(["error"]).chain(last);
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
                let second = format!("{} {:.3}", shown(of(1).0, narrow), of(1).1);
                let file = row.file.shown();
                let file = if narrow { display::cut_start(&file, NARROW) } else { file };
                let genre = shown(&prediction.predicted_genre, narrow);
                self.line(&file, row.model.name(), &genre, &format!("{:.3}", of(0).1), &second)
            }
            (Format::Table { .. }, Err(_)) => Ok(()),
            (Format::Json, Ok(prediction)) => self.object(&Predicted { file: &row.file.name(), prediction }),
            (Format::Json, Err(failure)) => {
                self.object(&Failed { file: &row.file.name(), model: row.model.info(), problem: failure.problem() })
            }
            (Format::Csv { provenance }, prediction) => {
                let last = if provenance { provenance_of(row.model.info()) } else { Vec::new() };
                let record = record(self.cells(row, prediction).into_iter().chain(last))?;
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
        let mut cells = vec![row.file.name(), row.model.name().to_string(), genre.to_owned(), of(genre)];
        cells.extend(self.labels.iter().map(|label| of(label)));
        cells.push(prediction.err().map(Failure::to_string).unwrap_or_default());
        cells
    }

    fn line(&mut self, file: &str, model: &str, genre: &str, probability: &str, second: &str) -> io::Result<()> {
        let (of_file, of_model, of_genre) = self.widths;
        let model = of_model.map(|of_model| padded(model, of_model) + GAP).unwrap_or_default();
        let (file, genre) = (padded(file, of_file), padded(genre, of_genre));
        let line = format!("{file}{GAP}{model}{genre}{GAP}{probability:>11}{GAP}{second}\n");
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

/// The cells of [`PROVENANCE`]; empty where nothing is known.
fn provenance_of(info: &ModelInfo) -> Vec<String> {
    let (clips, found) = (info.provenance.trained_on.as_ref(), info.provenance.evaluated.as_ref());
    let ci95 = found.and_then(|found| found.ci95);
    let cells: [Option<String>; PROVENANCE.len()] = [
        Some(info.version.clone()),
        Some(info.kind.to_owned()),
        clips.map(|clips| clips.description.clone()),
        clips.map(|clips| clips.clips.to_string()),
        clips.map(|clips| clips.synthetic.to_string()),
        found.map(|found| found.split.clone()),
        found.map(|found| found.n.to_string()),
        found.map(|found| found.accuracy.to_string()),
        ci95.map(|[low, _]| low.to_string()),
        ci95.map(|[_, high]| high.to_string()),
    ];
    cells.into_iter().map(Option::unwrap_or_default).collect()
}

/// A line of CSV.
fn record(cells: impl Iterator<Item = String>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// A label in a table: its beginning, where the table is narrow.
fn shown(label: &str, narrow: bool) -> String {
    let label = display::unturned(label);
    if narrow { display::cut(&label, NARROW_LABEL) } else { label }
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
    use crate::cli::classify::files;

    #[test]
    fn columns_are_those_of_a_terminal() {
        let files = files::find(&["a.wav".into(), "-".into()]).expect("found").files;
        let mut output = Output::new(Format::Table { narrow: true }, &[], &files, Vec::new());
        output.widths = (14, None, 6);
        output.line("演歌.wav", "", "演歌", "0.500", "").expect("memory");
        output.line("standard input", "", "blues", "0.500", "").expect("memory");
        let text = String::from_utf8(output.writer).expect("text");
        let places: Vec<usize> = text.lines().map(|line| width(line.split_once("0.500").expect("a share").0)).collect();
        assert_eq!(places, [14 + 2 + 6 + 2 + 6; 2], "{text}");
    }

    #[test]
    fn a_long_label_is_cut_on_a_terminal_alone() {
        let long = format!("{}\u{202e}", "演".repeat(200));
        assert_eq!(width(&shown(&long, true)), NARROW_LABEL - 1);
        assert_eq!(width(&shown(&long, false)), 400);
    }

    #[test]
    fn a_cell_of_csv_is_quoted_where_it_must_be() {
        let cells = ["a,b", "say \"x\"", "two\nlines", "plain", ""].map(str::to_owned);
        let line = record(cells.into_iter()).expect("memory");
        assert_eq!(String::from_utf8(line).expect("text"), "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",plain,\n");
    }
}
