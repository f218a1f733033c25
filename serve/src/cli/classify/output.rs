//! How rows are written: a table for people, JSON or CSV for programs.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use labels::display::{self, padded, width};
use serde::{Serialize, de::IgnoredAny};

use super::{
    files::{Failure, File},
    options::{Format, Sort},
    results::Results,
    row::{Key, Predicted, Row},
};
use crate::{
    Error, Result,
    engine::model::{Model, ModelInfo},
    rejection::Problem,
};

/// Columns of a file's name that are shown on a terminal.
const NARROW: usize = 48;
/// Columns of a label that are shown on a terminal.
const NARROW_LABEL: usize = 28;
/// Between two columns.
const GAP: &str = "  ";
/// Stands in a table for a genre that is not probable enough.
pub(super) const UNKNOWN: &str = "unknown";

/// The first columns of a CSV, whatever the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    File,
    Model,
    Version,
    Genre,
    Probability,
    RunnerUp,
    RunnerUpProbability,
    Agree,
    DurationSeconds,
    Warnings,
    Error,
    Labels90,
    Novelty,
    Signal,
    Note,
    AudioSha256,
}

/// The names of the [`Column`]s.
const COLUMNS: [&str; 16] = [
    "file",
    "model",
    "version",
    "genre",
    "probability",
    "runner_up",
    "runner_up_probability",
    "agree",
    "duration_seconds",
    "warnings",
    "error",
    "labels_90",
    "novelty",
    "signal",
    "note",
    "audio_sha256",
];
/// Between the labels of a cell: no label of GTZAN has it, and those of others are in JSON.
const SEPARATOR: &str = "; ";
/// Columns of a CSV, behind those of the labels, that say where a model comes from.
const PROVENANCE: [&str; 9] = [
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

/// Writes rows in a format.
#[derive(Debug)]
pub(super) struct Renderer {
    format: Format,
    /// Every label of any model.
    labels: Vec<String>,
    widths: Widths,
}

/// Widths of the columns of a table.
#[derive(Clone, Copy, Debug)]
struct Widths {
    file: usize,
    /// Nothing, where there is one model alone: then there is no column `model`, nor `agree`.
    model: Option<usize>,
    genre: usize,
}

#[derive(Serialize)]
struct Object<'a, T: Serialize> {
    #[serde(flatten)]
    name: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agree: Option<bool>,
    #[serde(flatten)]
    of: &'a T,
}

/// The name of a file; also its bytes, where these are not UTF-8.
#[derive(Serialize)]
struct Name {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_base64: Option<String>,
}

#[derive(Serialize)]
struct Failed<'a> {
    model: &'a ModelInfo,
    problem: Problem,
}

impl Renderer {
    /// For these models and files.
    pub(super) fn new(format: Format, models: &[Arc<Model>], files: &[File]) -> Self {
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
        let genres = labels.iter().map(|label| width(&short(label, narrow)));
        let genre = widest(&mut genres.chain([width(UNKNOWN)]));
        let widths = Widths { file, model: (models.len() > 1).then_some(model), genre };
        Self { format, labels, widths }
    }

    /// What comes before the first row.
    pub(super) fn header(&self) -> io::Result<Vec<u8>> {
        match self.format {
            Format::Table { .. } => {
                Ok(self.line("file", "model", "genre", ["probability", "agree", "second best"]).into_bytes())
            }
            Format::Json => Ok(Vec::new()),
            Format::Csv { provenance } => {
                let last = PROVENANCE.into_iter().filter(|_| provenance);
                let header = COLUMNS.into_iter().chain(self.labels.iter().map(String::as_str)).chain(last);
                record(header.map(str::to_owned))
            }
        }
    }

    /// A row. A table has none for failures: they are on standard error.
    pub(super) fn row(&self, row: &Row<'_>) -> io::Result<Vec<u8>> {
        match (self.format, row.prediction) {
            (Format::Table { narrow }, Ok(predicted)) => Ok(self.table_row(row, predicted, narrow).into_bytes()),
            (Format::Table { .. }, Err(_)) => Ok(Vec::new()),
            (Format::Json, Ok(predicted)) => object(row, &predicted.response),
            (Format::Json, Err(failure)) => {
                object(row, &Failed { model: row.model.info(), problem: failure.problem() })
            }
            (Format::Csv { provenance }, prediction) => {
                let last = if provenance { provenance_of(row.model.info()) } else { Vec::new() };
                record(self.cells(row, prediction).into_iter().chain(last))
            }
        }
    }

    fn table_row(&self, row: &Row<'_>, predicted: &Predicted, narrow: bool) -> String {
        let [(_, first), (second, of_second)] = predicted.ranked();
        let file = row.file.shown();
        let file = if narrow { display::cut_start(&file, NARROW) } else { file };
        let genre = match predicted.top.genre.as_str() {
            "" => UNKNOWN.to_owned(),
            genre => short(genre, narrow),
        };
        let note = predicted.note().map(|note| format!("{GAP}({note})")).unwrap_or_default();
        let second = format!("{} {of_second:.3}{note}", short(second, narrow));
        self.line(&file, row.model.name(), &genre, [&format!("{first:.3}"), yes_or_no(row.agree), &second])
    }

    fn line(&self, file: &str, model: &str, genre: &str, [probability, agree, second]: [&str; 3]) -> String {
        let Widths { file: of_file, model: of_model, genre: of_genre } = self.widths;
        let several = |cell: String| of_model.map(|_| cell + GAP).unwrap_or_default();
        let model = several(padded(model, of_model.unwrap_or_default()));
        let agree = several(format!("{agree:<5}"));
        let (file, genre) = (padded(file, of_file), padded(genre, of_genre));
        format!("{file}{GAP}{model}{genre}{GAP}{probability:>11}{GAP}{agree}{second}\n")
    }

    fn cells(&self, row: &Row<'_>, prediction: Result<&Predicted, &Failure>) -> Vec<String> {
        let share = |probability: f64| format!("{probability:.4}");
        let mut cells = vec![String::new(); COLUMNS.len()];
        let mut set = |column: Column, cell: String| cells[column as usize] = cell;
        set(Column::File, row.file.name());
        set(Column::Model, row.model.name().to_string());
        set(Column::Version, row.model.version().to_owned());
        set(Column::Agree, yes_or_no(row.agree).to_owned());
        set(Column::AudioSha256, row.digest.map(|digest| digest.to_string()).unwrap_or_default());
        match prediction {
            Ok(predicted) => {
                let [(_, first), (second, of_second)] = predicted.ranked();
                set(Column::Genre, predicted.top.genre.clone());
                set(Column::Probability, share(first));
                set(Column::RunnerUp, second.to_owned());
                set(Column::RunnerUpProbability, share(of_second));
                set(Column::DurationSeconds, format!("{:.3}", predicted.top.seconds));
                set(Column::Warnings, predicted.warnings());
                if let Some(labels) = &predicted.response.labels_90 {
                    set(Column::Labels90, labels.join(SEPARATOR));
                }
                if let Some(novelty) = &predicted.response.novelty {
                    set(Column::Novelty, share(novelty.p_value));
                    set(Column::Signal, novelty.signal.to_string());
                    set(Column::Note, novelty.note.clone().unwrap_or_default());
                }
            }
            Err(failure) => set(Column::Error, failure.to_string()),
        }
        let of = |label: &String| {
            let mut found = prediction.iter().flat_map(|predicted| predicted.response.probabilities.iter());
            found.find(|(name, _)| name == label).map(|(_, probability)| share(probability)).unwrap_or_default()
        };
        cells.extend(self.labels.iter().map(of));
        cells
    }
}

fn yes_or_no(agree: Option<bool>) -> &'static str {
    match agree {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    }
}

/// The cells of [`PROVENANCE`]; empty where nothing is known.
fn provenance_of(info: &ModelInfo) -> Vec<String> {
    let (clips, found) = (info.provenance.trained_on.as_ref(), info.provenance.evaluated.as_ref());
    let ci95 = found.and_then(|found| found.ci95);
    let cells: [Option<String>; PROVENANCE.len()] = [
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

/// The cells of a line of CSV; nothing, if it is none.
pub(super) fn cells(line: &[u8]) -> Option<csv::StringRecord> {
    csv::ReaderBuilder::new().has_headers(false).from_reader(line).into_records().next()?.ok()
}

/// A line of CSV with the name of another file.
pub(super) fn renamed_record(line: &[u8], to: &File) -> Option<Vec<u8>> {
    let cells = cells(line)?;
    let rest = cells.iter().skip(1).map(str::to_owned);
    record(std::iter::once(to.name()).chain(rest)).ok()
}

/// A line of JSON with the name of another file.
pub(super) fn renamed_object(line: &[u8], to: &File) -> Option<Vec<u8>> {
    let mut rest = behind_value(line.strip_prefix(b"{\"file\":")?)?;
    if let Some(raw) = rest.strip_prefix(b",\"file_base64\":") {
        rest = behind_value(raw)?;
    }
    let mut renamed = serde_json::to_vec(&Name::of(to)).ok()?;
    renamed.pop_if(|last| *last == b'}')?;
    renamed.extend_from_slice(rest);
    Some(renamed)
}

/// What is behind the first value of JSON.
fn behind_value(json: &[u8]) -> Option<&[u8]> {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    json.get(values.byte_offset()..)
}

fn object(row: &Row<'_>, of: &impl Serialize) -> io::Result<Vec<u8>> {
    let audio_sha256 = row.digest.map(|digest| digest.to_string());
    let mut line = serde_json::to_vec(&Object { name: Name::of(row.file), audio_sha256, agree: row.agree, of })?;
    line.push(b'\n');
    Ok(line)
}

impl Name {
    fn of(file: &File) -> Self {
        Self { file: file.name(), file_base64: file.raw_name().map(|raw| BASE64_STANDARD.encode(raw)) }
    }
}

/// A label in a table: its beginning, where the table is narrow.
fn short(label: &str, narrow: bool) -> String {
    let label = display::unturned(label);
    if narrow { display::cut(&label, NARROW_LABEL) } else { label }
}

/// Where rows go.
#[derive(Debug)]
pub(super) enum Output {
    /// Standard output; sorted at the end, if they are to be.
    Stdout { sort: Option<Sort>, held: Vec<(Key, Vec<u8>)> },
    /// The file of `--output`; sorted at the end, if they are to be.
    File { sort: Option<Sort>, results: Box<Results> },
}

impl Output {
    /// Writes the rows of a file, whole: whoever reads them along gets no half of one.
    pub(super) fn write(&mut self, key: Key, rows: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Stdout { sort: Some(_), held } => held.push((key, rows)),
            Self::Stdout { sort: None, .. } => put(&rows)?,
            Self::File { results, .. } => results.append(&rows)?,
        }
        Ok(())
    }

    /// Writes what was held back; sorts a file, unless more of it is to come in a later run.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub(super) fn finish(&mut self, interrupted: bool) -> Result<()> {
        match self {
            Self::Stdout { sort, held } => {
                if let Some(sort) = sort {
                    held.sort_by(|(a, _), (b, _)| a.compare(b, *sort));
                }
                let written = held.iter().try_for_each(|(_, rows)| put(rows));
                written.map_err(|source| Error::Write { what: "standard output".to_owned(), source })
            }
            Self::File { sort, results } => match sort {
                Some(sort) if !interrupted => results.sort(*sort),
                _ => results.finish().map_err(|source| Error::Write { what: results.shown(), source }),
            },
        }
    }
}

/// Writes to standard output.
pub(super) fn put(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::classify::files;

    #[test]
    fn columns_are_those_of_a_terminal() {
        let files = files::find(&["a.wav".into(), "-".into()]).expect("found").files;
        let mut renderer = Renderer::new(Format::Table { narrow: true }, &[], &files);
        renderer.widths = Widths { file: 14, model: None, genre: 6 };
        let text = ["演歌.wav", "standard input"].map(|file| {
            let genre = if file == "演歌.wav" { "演歌" } else { "blues" };
            renderer.line(file, "", genre, ["0.500", "", ""])
        });
        let places = text.each_ref().map(|line| width(line.split_once("0.500").expect("a share").0));
        assert_eq!(places, [14 + 2 + 6 + 2 + 6; 2], "{text:?}");
    }

    #[test]
    fn a_long_label_is_cut_on_a_terminal_alone() {
        let long = format!("{}\u{202e}", "演".repeat(200));
        assert_eq!(width(&short(&long, true)), NARROW_LABEL - 1);
        assert_eq!(width(&short(&long, false)), 400);
    }

    #[test]
    fn a_cell_of_csv_is_quoted_where_it_must_be() {
        let cells = ["a,b", "say \"x\"", "two\nlines", "plain", ""].map(str::to_owned);
        let line = record(cells.into_iter()).expect("memory");
        assert_eq!(String::from_utf8(line).expect("text"), "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",plain,\n");
    }
}
