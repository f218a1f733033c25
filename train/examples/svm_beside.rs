//! Our side of `experiments/bench/svm_peer.py`.
//!
//! `svm_beside DATASET FOLDER [SEED [SEARCH]]` fits the machine on GTZAN's `train` part of the dataset as `train svm`
//! does, scores it on `valid`, prints one JSON object, and leaves the vectors of both parts in the folder for another
//! program: `vectors.safetensors` (`vectors`: F32 `[n, D]`) and `rows.csv` (for each row: part, label, 1 if clips are
//! evaluated by it).
//! `SEARCH` is a JSON object of fields of [`Search`] that replace the defaults.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use data::{ExtractOptions, LabelledDataset, Part, Split};
use features::FeatureSpec;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use train::training::{
    TrainingData,
    dataset::labels,
    svm::{Search, TrainingSet, fit},
};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: svm_beside DATASET FOLDER [SEED [SEARCH]]";
    let (dataset, folder) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    let seed = arguments.next().map_or(Ok(0), |seed| seed.parse()).context("the seed is not a number")?;
    let search = search(arguments.next().as_deref().unwrap_or("{}"))?;

    let set = LabelledDataset::open(&[dataset], &FeatureSpec::gtzan_store(), &ExtractOptions::default())?;
    let fold = Split::FaultFiltered(Part::Valid).folds(&set.items(), seed)?.swap_remove(0);
    let labels = labels(&set, &fold.train);
    let data = TrainingData::new(set)?;
    let (train, valid) = (
        data.training_set(&fold.train, &labels, search.band_limited, 2)?,
        data.training_set(&fold.test, &labels, false, 2)?,
    );
    write(Path::new(&folder), &train, &valid)?;

    let fitted = fit(&train, &search, seed, 0, &|_, _| {})?;
    let evaluated: Vec<usize> = (0..valid.vectors.len()).filter(|&row| valid.evaluated[row]).collect();
    let (mut right, mut loss) = (0.0, 0.0);
    for &row in &evaluated {
        let probabilities = fitted.svm.probabilities(&valid.vectors[row])?;
        let label = valid.labels[valid.clip[row]];
        right += f64::from(u8::from(models::most_probable(&probabilities) == label));
        loss -= libm::log(probabilities[label].max(1e-15));
    }
    let n = evaluated.len() as f64;
    let mut report = serde_json::to_value(&fitted.report)?;
    report["accuracy"] = json!(right / n);
    report["log_loss"] = json!(loss / n);
    println!("{report:#}");
    Ok(())
}

/// The default search with the fields of a JSON object in place of its own.
fn search(fields: &str) -> Result<Search> {
    let mut search = serde_json::to_value(Search::default())?;
    let fields: serde_json::Map<String, Value> =
        serde_json::from_str(fields).context("the search is not a JSON object")?;
    for (name, value) in fields {
        search[&name] = value;
    }
    serde_json::from_value(search).context("the search is not valid")
}

fn write(folder: &Path, train: &TrainingSet, valid: &TrainingSet) -> Result<()> {
    let mut bytes = Vec::new();
    let mut rows = String::new();
    let mut n = 0;
    for (part, set) in [("train", train), ("valid", valid)] {
        for ((vector, &clip), &evaluated) in set.vectors.iter().zip(&set.clip).zip(&set.evaluated) {
            bytes.extend(vector.iter().copied().flat_map(f32::to_le_bytes));
            writeln!(rows, "{part},{},{}", set.labels[clip], u8::from(evaluated))?;
            n += 1;
        }
    }
    let view = TensorView::new(Dtype::F32, vec![n, train.names.len()], &bytes)?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("vectors.safetensors"), safetensors::serialize([("vectors", view)], None)?)?;
    fs::write(folder.join("rows.csv"), rows)?;
    Ok(())
}
