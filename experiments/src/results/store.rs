//! What jobs gave, on disk: a folder for each, `<results>/<name>/<split>.seed-<n>.<key>`, complete or not there.
//!
//! - `result.json`: an [`RunResult`];
//! - `scores.parquet`: a row for each clip that was judged: `clip_id`, `whole` (the clip of a piece), `artist_group`, `credit`,
//!   `fold`, `genre`, and the probability of each genre;
//! - `cross_validated.parquet`: the same of the clips that were fitted on, by machines that did not see their artists; for
//!   ensembles. An ensemble has none.
//!
//! Nothing in it says when, where or by how many threads it was made: the same job gives the same bytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use data::{
    Split,
    dataset::frames::{self, Values},
};
use models::artifact::DataDescription;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use train::{
    console::interrupt::Unfinished,
    evaluation::metrics::{Evaluation, Scored},
};

/// Version of the files; one of another is not read.
const FORMAT: u32 = 1;

pub(crate) const RESULT: &str = "result.json";
pub(crate) const SCORES: &str = "scores.parquet";
const CROSS_VALIDATED: &str = "cross_validated.parquet";

/// What a job gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Version of this file.
    pub format: u32,
    /// Digest of `made_from`.
    pub key: String,
    /// Digest of what this has in common with results of other seeds: see [`setting`](crate::runner::job::setting).
    pub setting: String,
    /// The experiment.
    pub name: String,
    /// What its grid sets; empty without a grid.
    pub point: String,
    /// `svm`, `vgg19` or `ensemble`.
    pub model: String,
    /// The split.
    pub split: String,
    /// What the split leaks.
    pub leaks: String,
    /// Pieces of each clip that were judged one by one; `None` for whole clips.
    pub pieces: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// Everything that decided the result: see [`Identity`](crate::runner::job::Identity).
    pub made_from: Value,
    /// What was fitted on and judged.
    pub data: DataDescription,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
    /// The figures, of the held-out clips of all folds together.
    pub evaluation: Evaluation,
    /// The figures of whole clips, each judged by the mean of its pieces; `None` where whole clips were judged.
    pub of_whole_clips: Option<Evaluation>,
    /// Each fold.
    pub folds: Vec<FoldOutcome>,
}

/// What one fold gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldOutcome {
    /// Clips that were fitted on.
    pub fitted_on: usize,
    /// Clips that were judged.
    pub judged: usize,
    /// Share of them that is right.
    pub accuracy: f64,
    /// How the fit went.
    pub fit: Value,
}

/// A clip that was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// In which fold, from 0.
    pub fold: usize,
    /// The clip that it is a piece of, or itself.
    pub whole: String,
    /// What was said of it.
    pub scored: Scored,
}

/// A folder of results.
#[derive(Clone, Debug)]
pub struct Results(PathBuf);

/// A result that is there.
#[derive(Clone, Debug)]
pub struct StoredResult {
    /// Its folder.
    pub dir: PathBuf,
    /// What it says.
    pub outcome: RunResult,
}

impl RunResult {
    /// The version that this program writes.
    pub const FORMAT: u32 = FORMAT;
}

impl Results {
    /// The results in this folder, which need not be there yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The result of the job of this key, if it was done.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn find(
        &self,
        name: &str,
        (split, pieces): (Split, Option<usize>),
        seed: u64,
        key: &str,
    ) -> Result<Option<StoredResult>> {
        let dir = self.0.join(name).join(folder(&split.to_string(), pieces, seed, key));
        if !StoredResult::is_at(&dir) {
            return Ok(None);
        }
        let kept = StoredResult::read(&dir)?;
        if kept.outcome.key != key {
            bail!("{} is the result of another job; remove it", dir.display());
        }
        Ok(Some(kept))
    }

    /// Keeps a result. Another process may have done the same job meanwhile; what it kept is the same.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep(&self, outcome: RunResult, scores: &[Row], cross_validated: &[Row]) -> Result<StoredResult> {
        let parent = self.0.join(&outcome.name);
        let dir = parent.join(folder(&outcome.split, outcome.pieces, outcome.seed, &outcome.key));
        let keep = || -> Result<()> {
            fs::create_dir_all(&parent)?;
            let prefix = format!(".writing-{}-", std::process::id());
            let _unfinished = Unfinished::beside(&dir, prefix.clone());
            let writing = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent)?;
            let labels = &outcome.evaluation.labels;
            frames::write_parquet(&mut table(labels, scores)?, &writing.path().join(SCORES))?;
            if !cross_validated.is_empty() {
                frames::write_parquet(&mut table(labels, cross_validated)?, &writing.path().join(CROSS_VALIDATED))?;
            }
            let mut json = serde_json::to_vec_pretty(&outcome)?;
            json.push(b'\n');
            fs::write(writing.path().join(RESULT), json)?;
            match fs::rename(writing.path(), &dir) {
                Err(_) if StoredResult::is_at(&dir) => Ok(()),
                renamed => Ok(renamed?),
            }
        };
        keep().with_context(|| format!("failed to keep the result in {}", dir.display()))?;
        Ok(StoredResult { dir, outcome })
    }

    /// Every result, in the order of the folders' names.
    ///
    /// # Errors
    /// When a folder or a result cannot be read.
    pub fn all(&self) -> Result<Vec<StoredResult>> {
        let mut kept = Vec::new();
        for name in folders(&self.0)? {
            kept.extend(self.of_folder(&name)?);
        }
        Ok(kept)
    }

    /// Every result of an experiment, in the order of the folders' names.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn of(&self, name: &str) -> Result<Vec<StoredResult>> {
        let kept = self.of_folder(&self.0.join(name))?;
        if kept.is_empty() {
            bail!("there is no result of `{name}` in {}; run its declaration first", self.0.display());
        }
        Ok(kept)
    }

    fn of_folder(&self, folder: &Path) -> Result<Vec<StoredResult>> {
        let dirs = folders(folder)?.into_iter().filter(|dir| StoredResult::is_at(dir));
        dirs.map(|dir| StoredResult::read(&dir)).collect()
    }
}

impl StoredResult {
    /// Whether `dir` is the folder of a result.
    #[must_use]
    pub fn is_at(dir: &Path) -> bool {
        dir.join(RESULT).is_file()
    }

    /// Reads a result.
    ///
    /// # Errors
    /// When it is not there, or of another version.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(RESULT);
        let read = || -> Result<RunResult> {
            let value: Value = serde_json::from_slice(&fs::read(&path)?)?;
            if value["format"] != FORMAT {
                bail!("it has the format {}, and this program reads {FORMAT}; remove it", value["format"]);
            }
            Ok(serde_json::from_value(value)?)
        };
        let outcome = read().with_context(|| format!("failed to read {}", path.display()))?;
        Ok(Self { dir: dir.to_owned(), outcome })
    }

    /// The clips that were judged.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn scores(&self) -> Result<Vec<Row>> {
        self.rows(SCORES)
    }

    /// The clips that were fitted on, by machines that did not see their artists.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn cross_validated(&self) -> Result<Vec<Row>> {
        self.rows(CROSS_VALIDATED)
    }

    fn rows(&self, file: &str) -> Result<Vec<Row>> {
        let path = self.dir.join(file);
        let read = || -> Result<Vec<Row>> {
            let frame = frames::read_parquet(&path)?;
            let text = |name| frames::text(&frame, name);
            let labels = &self.outcome.evaluation.labels;
            let columns = labels.iter().map(|label| frames::reals(&frame, label)).collect::<Result<Vec<_>, _>>()?;
            let (clip_ids, wholes, groups) = (text("clip_id")?, text("whole")?, text("artist_group")?);
            let (credits, genres, folds) = (text("credit")?, text("genre")?, frames::wholes(&frame, "fold")?);
            (0..clip_ids.len())
                .map(|row| {
                    let truth = labels.iter().position(|label| *label == genres[row]);
                    Ok(Row {
                        fold: folds[row] as usize,
                        whole: wholes[row].clone(),
                        scored: Scored {
                            clip_id: clip_ids[row].clone(),
                            credit: credits[row].clone(),
                            group: groups[row].clone(),
                            truth: truth.with_context(|| format!("`{}` is none of its genres", genres[row]))?,
                            probabilities: columns.iter().map(|column| column[row]).collect(),
                        },
                    })
                })
                .collect()
        };
        read().with_context(|| format!("failed to read {}", path.display()))
    }
}

fn table(labels: &[String], rows: &[Row]) -> data::Result<data::DataFrame> {
    let text = |of: fn(&Row) -> &str| Values::Text(rows.iter().map(|row| of(row).to_owned()).collect());
    let mut columns = vec![
        ("clip_id", text(|row| &row.scored.clip_id)),
        ("whole", text(|row| &row.whole)),
        ("artist_group", text(|row| &row.scored.group)),
        ("credit", text(|row| &row.scored.credit)),
        ("fold", Values::Whole(rows.iter().map(|row| row.fold as u64).collect())),
        ("genre", Values::Text(rows.iter().map(|row| labels[row.scored.truth].clone()).collect())),
    ];
    for (class, label) in labels.iter().enumerate() {
        columns.push((label, Values::Real(rows.iter().map(|row| row.scored.probabilities[class]).collect())));
    }
    frames::frame(columns)
}

/// Name of the folder of a result.
fn folder(split: &str, pieces: Option<usize>, seed: u64, key: &str) -> String {
    let pieces = pieces.map(|pieces| format!(".pieces-{pieces}")).unwrap_or_default();
    format!("{}{pieces}.seed-{seed}.{}", split.replace(':', "-"), key.get(..12).unwrap_or(key))
}

/// The folders in a folder, but for hidden ones, by name; none where there is no such folder.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to list {}", folder.display()))?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list {}", folder.display()))?;
        if entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}
