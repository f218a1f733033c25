//! Results on disk: a folder for each, `<results>/<name>/<split>.seed-<n>.<key>`, complete or not there.
//!
//! - `result.json`: a [`RunResult`];
//! - `scores.parquet`: a row for each clip that was held out: `clip_id`, `whole` (the clip that a segment was cut from),
//!   `artist_group`, `credit`, `fold`, `genre`, and the probability of each label;
//! - `cross_validated.parquet`: the same of the clips that were fitted on, predicted by models that were not fitted on their
//!   artists; for ensembles. An ensemble has none.
//!
//! Nothing in it says when, where or by how many threads it was made: the same job gives the same bytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::{Context as _, Result, bail};
use data::{
    Split,
    tables::{self, Values},
};
use models::artifact::DataDescription;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use train::{
    console::interrupt::Unfinished,
    evaluation::metrics::{Evaluation, Scored},
};

/// Version of the files; one of another is not read.
const FORMAT: u32 = 1;

pub(crate) const RESULT: &str = "result.json";
pub(crate) const SCORES: &str = "scores.parquet";
pub(super) const CROSS_VALIDATED: &str = "cross_validated.parquet";

/// The result of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Version of this file.
    pub format: u32,
    /// Digest of `made_from`.
    pub key: String,
    /// Configuration id: the digest of what this has in common with results of other seeds.
    #[serde(alias = "setting")]
    pub configuration: String,
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
    /// Segments of each clip that were evaluated one by one; `None` for whole clips.
    #[serde(alias = "pieces")]
    pub segments_per_clip: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// Everything that decided the result: it is what `key` digests.
    pub made_from: Value,
    /// Of a network that started from those of other experiments: these, in the order in which they were trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<ChainLink>,
    /// The clips of all folds.
    pub data: DataDescription,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
    /// The figures, of the held-out clips of all folds together.
    pub evaluation: Evaluation,
    /// The figures of whole clips, each predicted by the mean of its segments; `None` where whole clips were evaluated.
    pub of_whole_clips: Option<Evaluation>,
    /// Each fold.
    pub folds: Vec<FoldResult>,
}

/// An experiment whose network another started from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainLink {
    /// Its name.
    pub name: String,
    /// The split on whose first fold the network was fitted.
    pub split: String,
    /// The key of its result.
    pub key: String,
    /// The clips of all folds.
    pub data: DataDescription,
}

impl ChainLink {
    /// The chain of what starts from the network of `result`.
    #[must_use]
    pub fn after(result: &RunResult) -> Vec<Self> {
        let RunResult { name, split, key, data, chain, .. } = result;
        let link = Self { name: name.clone(), split: split.clone(), key: key.clone(), data: data.clone() };
        chain.iter().cloned().chain([link]).collect()
    }
}

/// The result of one fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldResult {
    /// Clips that were fitted on.
    pub fitted_on: usize,
    /// Clips that were held out.
    #[serde(alias = "judged")]
    pub evaluated_on: usize,
    /// Share of them that is right.
    pub accuracy: f64,
    /// How the fit went.
    pub fit: Value,
}

/// A clip with its prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// In which fold, from 0.
    pub fold: usize,
    /// The clip that it is a segment of, or itself.
    pub whole: String,
    /// Label and prediction.
    pub scored: Scored,
}

/// A folder of results.
#[derive(Clone, Debug)]
pub struct Results(PathBuf);

/// A result that is on disk.
#[derive(Clone, Debug)]
pub struct StoredResult {
    /// Its folder.
    pub dir: PathBuf,
    /// Its figures.
    pub result: RunResult,
    /// The tables, where this process has just written them: `scores.parquet` and `cross_validated.parquet`.
    written: Option<[Rc<[Row]>; 2]>,
}

impl RunResult {
    /// The version that this program writes.
    pub const FORMAT: u32 = FORMAT;

    /// Its name, and those of the experiments whose networks it started from.
    #[must_use]
    pub fn name_with_chain(&self) -> String {
        name_with_chain(&self.name, self.chain.iter().map(|link| link.name.as_str()))
    }
}

/// The name of an experiment, and of those whose networks it started from, for people.
pub(super) fn name_with_chain<'a>(name: &str, chain: impl Iterator<Item = &'a str>) -> String {
    let chain: Vec<&str> = chain.collect();
    if chain.is_empty() { name.to_owned() } else { format!("{name} (from {})", chain.join(", then ")) }
}

impl Results {
    /// The results in this folder, which need not be there yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// The result of the job of this key, if it was done.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn find(
        &self,
        name: &str,
        (split, segments_per_clip): (Split, Option<usize>),
        seed: u64,
        key: &str,
    ) -> Result<Option<StoredResult>> {
        let dir = self.0.join(name).join(folder(&split.to_string(), segments_per_clip, seed, key));
        if !StoredResult::is_at(&dir) {
            return Ok(None);
        }
        let stored = StoredResult::read(&dir)?;
        if stored.result.key != key {
            bail!("{} is the result of another job; remove it", dir.display());
        }
        Ok(Some(stored))
    }

    /// Stores a result. Another process may have done the same job meanwhile; what it stored is the same.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn store(&self, result: RunResult, scores: Vec<Row>, cross_validated: Vec<Row>) -> Result<StoredResult> {
        let folder = folder(&result.split, result.segments_per_clip, result.seed, &result.key);
        let dir = self.0.join(&result.name).join(folder);
        write_folder(&dir, RESULT, &result, |writing| {
            let labels = &result.evaluation.labels;
            tables::write_parquet(&mut table(labels, &scores)?, &writing.join(SCORES))?;
            if !cross_validated.is_empty() {
                tables::write_parquet(&mut table(labels, &cross_validated)?, &writing.join(CROSS_VALIDATED))?;
            }
            Ok(())
        })?;
        Ok(StoredResult { dir, result, written: Some([scores.into(), cross_validated.into()]) })
    }

    /// Every result, in the order of the folders' names.
    ///
    /// # Errors
    /// When a folder or a result cannot be read.
    pub fn all(&self) -> Result<Vec<StoredResult>> {
        let mut all = Vec::new();
        for name in folders(&self.0)? {
            all.extend(in_folder(&name)?);
        }
        Ok(all)
    }

    /// Every result of an experiment, in the order of the folders' names, or the one in a folder.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn named(&self, name_or_folder: &str) -> Result<Vec<StoredResult>> {
        if StoredResult::is_at(Path::new(name_or_folder)) {
            return Ok(vec![StoredResult::read(Path::new(name_or_folder))?]);
        }
        let results = in_folder(&self.0.join(name_or_folder))?;
        if results.is_empty() {
            bail!("found no result of `{name_or_folder}` in {}; run its declaration first", self.0.display());
        }
        Ok(results)
    }
}

impl StoredResult {
    /// Whether `dir` is the folder of a result.
    fn is_at(dir: &Path) -> bool {
        dir.join(RESULT).is_file()
    }

    /// Reads a result.
    ///
    /// # Errors
    /// When it does not exist, or of another version.
    fn read(dir: &Path) -> Result<Self> {
        let result = read_json(&dir.join(RESULT))?;
        Ok(Self { dir: dir.to_owned(), result, written: None })
    }

    /// The clips that were held out.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn scores(&self) -> Result<Rc<[Row]>> {
        self.written.as_ref().map_or_else(|| self.rows(SCORES), |[scores, _]| Ok(Rc::clone(scores)))
    }

    /// The clips that were fitted on, predicted by models that were not fitted on their artists.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn cross_validated(&self) -> Result<Rc<[Row]>> {
        self.written.as_ref().map_or_else(|| self.rows(CROSS_VALIDATED), |[_, rows]| Ok(Rc::clone(rows)))
    }

    fn rows(&self, file: &str) -> Result<Rc<[Row]>> {
        Ok(rows(&self.dir.join(file), &self.result.evaluation.labels)?.into())
    }
}

/// The clips of a table that was written of them.
pub(super) fn rows(path: &Path, labels: &[String]) -> Result<Vec<Row>> {
    let read = || -> Result<Vec<Row>> {
        let frame = tables::read_parquet(path)?;
        let (wholes, folds) = (tables::text(&frame, "whole")?, tables::wholes(&frame, "fold")?);
        let rows = scored_of(&frame, labels)?.into_iter().zip(wholes).zip(folds);
        Ok(rows.map(|((scored, whole), fold)| Row { fold: fold as usize, whole, scored }).collect())
    };
    read().with_context(|| format!("failed to read {}", path.display()))
}

/// Writes a folder that is complete or not there: `tables` writes into it, and `json` becomes its file `name`. Another process may have
/// written the same meanwhile.
pub(super) fn write_folder(
    dir: &Path,
    name: &str,
    json: &impl Serialize,
    tables: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let parent = dir.parent().unwrap_or(Path::new("."));
    let write = || -> Result<()> {
        fs::create_dir_all(parent)?;
        let prefix = format!(".writing-{}-", std::process::id());
        let _unfinished = Unfinished::beside(dir, prefix.clone());
        let writing = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
        tables(writing.path())?;
        let mut bytes = serde_json::to_vec_pretty(json)?;
        bytes.push(b'\n');
        fs::write(writing.path().join(name), bytes)?;
        match fs::rename(writing.path(), dir) {
            Err(_) if dir.join(name).is_file() => Ok(()),
            renamed => Ok(renamed?),
        }
    };
    write().with_context(|| format!("failed to store the result in {}", dir.display()))
}

/// Reads a JSON file of this [`FORMAT`].
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let read = || -> Result<T> {
        let value: Value = serde_json::from_slice(&fs::read(path)?)?;
        if value["format"] != FORMAT {
            bail!("expected format {FORMAT}, found {}; remove the folder", value["format"]);
        }
        Ok(serde_json::from_value(value)?)
    };
    read().with_context(|| format!("failed to read {}", path.display()))
}

/// The columns of scored clips: who they are, what they are, and the probability of each label.
pub(super) fn scored_columns<'a>(labels: &'a [String], scored: &[&Scored]) -> Vec<(&'a str, Values)> {
    let text = |of: fn(&Scored) -> &str| Values::Text(scored.iter().map(|clip| of(clip).to_owned()).collect());
    let mut columns = vec![
        ("clip_id", text(|clip| &clip.clip_id)),
        ("artist_group", text(|clip| &clip.group)),
        ("credit", text(|clip| &clip.metadata)),
        ("genre", Values::Text(scored.iter().map(|clip| labels[clip.truth].clone()).collect())),
    ];
    for (class, label) in labels.iter().enumerate() {
        columns.push((label, Values::Real(scored.iter().map(|clip| clip.probabilities[class]).collect())));
    }
    columns
}

/// The scored clips of a table with these columns.
pub(super) fn scored_of(frame: &data::DataFrame, labels: &[String]) -> Result<Vec<Scored>> {
    let text = |name| tables::text(frame, name);
    let columns = labels.iter().map(|label| tables::reals(frame, label)).collect::<Result<Vec<_>, _>>()?;
    let (clip_ids, groups, metadata, truths) =
        (text("clip_id")?, text("artist_group")?, text("credit")?, text("genre")?);
    (0..clip_ids.len())
        .map(|row| {
            let truth = labels.iter().position(|label| *label == truths[row]);
            Ok(Scored {
                clip_id: clip_ids[row].clone(),
                metadata: metadata[row].clone(),
                group: groups[row].clone(),
                truth: truth.with_context(|| format!("`{}` is not among its labels", truths[row]))?,
                probabilities: columns.iter().map(|column| column[row]).collect(),
            })
        })
        .collect()
}

/// Columns are in the order that they always had.
pub(super) fn table(labels: &[String], rows: &[Row]) -> data::Result<data::DataFrame> {
    let mut columns = scored_columns(labels, &rows.iter().map(|row| &row.scored).collect::<Vec<_>>());
    columns.insert(1, ("whole", Values::Text(rows.iter().map(|row| row.whole.clone()).collect())));
    columns.insert(4, ("fold", Values::Whole(rows.iter().map(|row| row.fold as u64).collect())));
    tables::frame(columns)
}

/// Name of the folder of a result.
pub(super) fn folder(split: &str, segments_per_clip: Option<usize>, seed: u64, key: &str) -> String {
    let segments = segments_per_clip.map(|n| format!(".segments-{n}")).unwrap_or_default();
    format!("{}{segments}.seed-{seed}.{}", split.replace(':', "-"), key.get(..12).unwrap_or(key))
}

fn in_folder(folder: &Path) -> Result<Vec<StoredResult>> {
    let dirs = folders(folder)?.into_iter().filter(|dir| StoredResult::is_at(dir));
    dirs.map(|dir| StoredResult::read(&dir)).collect()
}

/// The folders in a folder, but for hidden ones, by name; none where there is no such folder.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_results_of_before_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let labels = ["jazz".to_owned(), "rock".to_owned()];
        let clip = |id: &str, truth, first: f64| Row {
            fold: 0,
            whole: id.to_owned(),
            scored: Scored {
                clip_id: id.to_owned(),
                metadata: "A: B, \"C\"".to_owned(),
                group: "a".to_owned(),
                truth,
                probabilities: vec![first, 1.0 - first],
            },
        };
        let rows = vec![clip("rock.0", 1, 0.1), clip("jazz.0", 0, 0.7)];
        let scored: Vec<_> = rows.iter().map(|row| row.scored.clone()).collect();
        let result = RunResult {
            format: FORMAT,
            key: "0123456789abcdef".repeat(4),
            configuration: "c".to_owned(),
            name: "a".to_owned(),
            point: String::new(),
            model: "svm".to_owned(),
            split: "artist-kfold:2".to_owned(),
            leaks: String::new(),
            segments_per_clip: Some(2),
            seed: 7,
            made_from: Value::Null,
            chain: Vec::new(),
            data: DataDescription { digest: "d".to_owned(), description: "two clips".to_owned(), clips: 2 },
            remarks: Vec::new(),
            evaluation: Evaluation::new(&labels, &scored, 7),
            of_whole_clips: None,
            folds: vec![FoldResult { fitted_on: 2, evaluated_on: 2, accuracy: 1.0, fit: Value::Null }],
        };
        let results = Results::new(folder.path());
        let stored = results.store(result.clone(), rows.clone(), Vec::new()).expect("stored");
        let found = results.named("a").expect("there").remove(0);
        assert_eq!((&found.result, &*found.scores().expect("a table")), (&result, rows.as_slice()));
        assert_eq!(*stored.scores().expect("at hand"), *rows);

        let path = stored.dir.join(RESULT);
        let text = fs::read_to_string(&path).expect("there");
        let fields = [("configuration", "setting"), ("segments_per_clip", "pieces"), ("evaluated_on", "judged")];
        let before =
            fields.iter().fold(text, |text, (new, old)| text.replace(&format!("\"{new}\""), &format!("\"{old}\"")));
        fs::write(&path, before).expect("written");
        assert_eq!(results.all().expect("there")[0].result, result);
    }
}
