//! Results of `experiments robustness` on disk: `<results>/<experiment>/<declaration>.<split>.seed-<n>.<key>`, complete or not there.
//!
//! - `robustness.json`: a [`RobustnessResult`];
//! - `predictions.parquet`: a row for each clip in each condition: `clip_id`, `kind`, `condition`, `excerpt`, `seconds`, `artist_group`,
//!   `credit`, `fold`, `genre`, the probability of each label, and of a model with a detector of novelty `p_value`, `threshold` and
//!   `signal`;
//! - `cross_validated.parquet`: as of other results; for ensembles.

use std::{path::PathBuf, rc::Rc};

use anyhow::{Context as _, Result, bail};
use data::{
    DataFrame, Split,
    tables::{self, Values},
};
use features::Signal;
use models::{Novelty, artifact::DataDescription};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use train::evaluation::robustness::Robustness;

use super::store::{self, CROSS_VALIDATED, Results, Row};
use crate::robustness::{Kind, Prediction};

const RESULT: &str = "robustness.json";
const PREDICTIONS: &str = "predictions.parquet";

/// What an experiment gave in bad and short recordings, with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobustnessResult {
    /// Version of this file.
    pub format: u32,
    /// Digest of `made_from`.
    pub key: String,
    /// The digest of what this has in common with results of other seeds.
    pub configuration: String,
    /// The key of the result of `experiments run` whose models these are.
    pub fit: String,
    /// The name of the declaration.
    pub declaration: String,
    /// The seed.
    pub seed: u64,
    /// Everything that decided the result.
    pub made_from: Value,
    /// The clips of all folds.
    pub data: DataDescription,
    /// The labels.
    pub labels: Vec<String>,
    /// The figures.
    pub robustness: Robustness,
}

/// A result that is on disk.
#[derive(Clone, Debug)]
pub struct StoredRobustness {
    /// Its folder.
    pub dir: PathBuf,
    /// Its figures.
    pub result: RobustnessResult,
    /// The predictions.
    pub predictions: Rc<[Prediction]>,
    /// The clips that were fitted on, predicted by models that were not fitted on their artists.
    pub cross_validated: Rc<[Row]>,
}

impl Results {
    /// The result of the declaration and the experiment of these names with this key, if it was done.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn find_robustness(
        &self,
        [declaration, experiment]: [&str; 2],
        split: Split,
        seed: u64,
        key: &str,
    ) -> Result<Option<StoredRobustness>> {
        let dir = self.robustness_folder([declaration, experiment], split, seed, key);
        if !dir.join(RESULT).is_file() {
            return Ok(None);
        }
        let stored = read(dir)?;
        if stored.result.key != key {
            bail!("{} is the result of another job; remove it", stored.dir.display());
        }
        Ok(Some(stored))
    }

    /// Stores a result.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn store_robustness(
        &self,
        result: RobustnessResult,
        predictions: Vec<Prediction>,
        cross_validated: Vec<Row>,
    ) -> Result<StoredRobustness> {
        let RobustnessResult { declaration, robustness, seed, key, labels, .. } = &result;
        let split: Split = robustness.split.parse()?;
        let dir = self.robustness_folder([declaration, &robustness.name], split, *seed, key);
        store::write_folder(&dir, RESULT, &result, |writing| {
            tables::write_parquet(&mut table(labels, &predictions)?, &writing.join(PREDICTIONS))?;
            if !cross_validated.is_empty() {
                tables::write_parquet(&mut store::table(labels, &cross_validated)?, &writing.join(CROSS_VALIDATED))?;
            }
            Ok(())
        })?;
        Ok(StoredRobustness { dir, result, predictions: predictions.into(), cross_validated: cross_validated.into() })
    }

    /// The figures of the models of a result of `experiments run`, in the order of the folders' names.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn robustness_of(&self, experiment: &str, fit: &str) -> Result<Vec<RobustnessResult>> {
        let mut found = Vec::new();
        for dir in store::folders(&self.folder().join(experiment))? {
            if dir.join(RESULT).is_file() {
                let result: RobustnessResult = store::read_json(&dir.join(RESULT))?;
                found.extend(Some(result).filter(|result| result.fit == fit));
            }
        }
        Ok(found)
    }

    fn robustness_folder(&self, [declaration, experiment]: [&str; 2], split: Split, seed: u64, key: &str) -> PathBuf {
        let folder = store::folder(&split.to_string(), None, seed, key);
        self.folder().join(experiment).join(format!("{declaration}.{folder}"))
    }
}

fn read(dir: PathBuf) -> Result<StoredRobustness> {
    let result: RobustnessResult = store::read_json(&dir.join(RESULT))?;
    let path = dir.join(PREDICTIONS);
    let predictions = tables::read_parquet(&path).map_err(anyhow::Error::from);
    let predictions = predictions.and_then(|frame| predictions_of(&frame, &result.labels));
    let predictions = predictions.with_context(|| format!("failed to read {}", path.display()))?;
    let path = dir.join(CROSS_VALIDATED);
    let cross_validated = if path.is_file() { store::rows(&path, &result.labels)? } else { Vec::new() };
    Ok(StoredRobustness { dir, result, predictions: predictions.into(), cross_validated: cross_validated.into() })
}

fn table(labels: &[String], predictions: &[Prediction]) -> data::Result<DataFrame> {
    let mut columns = store::scored_columns(labels, &predictions.iter().map(|one| &one.scored).collect::<Vec<_>>());
    let text = |of: fn(&Prediction) -> &str| Values::Text(predictions.iter().map(|one| of(one).to_owned()).collect());
    let real = |of: &dyn Fn(&Prediction) -> f64| Values::Real(predictions.iter().map(of).collect());
    let whole = |of: fn(&Prediction) -> usize| Values::Whole(predictions.iter().map(|one| of(one) as u64).collect());
    let others = [
        ("kind", text(|one| one.kind.name())),
        ("condition", text(|one| &one.condition)),
        ("excerpt", whole(|one| one.excerpt)),
        ("seconds", real(&|one| one.seconds)),
        ("fold", whole(|one| one.fold)),
    ];
    drop(columns.splice(1..1, others));
    // A model has a detector, or none of its predictions says anything.
    if predictions.iter().all(|one| one.novelty.is_some()) {
        let of = |field: fn(&Novelty) -> f64| real(&|one| one.novelty.as_ref().map_or(f64::NAN, field));
        columns.push(("p_value", of(|novelty| novelty.p_value)));
        columns.push(("threshold", of(|novelty| novelty.threshold)));
        columns.push(("signal", text(|one| one.novelty.map_or("", |novelty| novelty.signal.name()))));
    }
    tables::frame(columns)
}

fn predictions_of(frame: &DataFrame, labels: &[String]) -> Result<Vec<Prediction>> {
    let (kinds, conditions) = (tables::text(frame, "kind")?, tables::text(frame, "condition")?);
    let (excerpts, folds) = (tables::wholes(frame, "excerpt")?, tables::wholes(frame, "fold")?);
    let seconds = tables::reals(frame, "seconds")?;
    let novelty = match frame.column("p_value") {
        Err(_) => vec![None; kinds.len()],
        Ok(_) => {
            let (p_values, thresholds) = (tables::reals(frame, "p_value")?, tables::reals(frame, "threshold")?);
            let signals = tables::text(frame, "signal")?;
            let one = |((p_value, threshold), name): ((f64, f64), String)| {
                let signal = Signal::ALL.into_iter().find(|signal| signal.name() == name);
                let signal = signal.with_context(|| format!("`{name}` is no kind of sound"))?;
                Ok(Some(Novelty { p_value, threshold, signal }))
            };
            p_values.into_iter().zip(thresholds).zip(signals).map(one).collect::<Result<_>>()?
        }
    };
    let scored = store::scored_of(frame, labels)?.into_iter().zip(novelty).enumerate();
    scored
        .map(|(row, (scored, novelty))| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == kinds[row]);
            Ok(Prediction {
                kind: kind.with_context(|| format!("`{}` is no kind of condition", kinds[row]))?,
                condition: conditions[row].clone(),
                fold: folds[row] as usize,
                excerpt: excerpts[row] as usize,
                seconds: seconds[row],
                scored,
                novelty,
            })
        })
        .collect()
}
