//! Fits the support vector machine on vectors from a folder and scores it: our side of `experiments/bench/svm_peer.py`.
//!
//! `svm_on_vectors FOLDER [SEED [SEARCH]]` reads `vectors.safetensors` (`vectors`: F32 `[n, D]`), `names.txt` (a name for
//! each dimension) and `clips.csv` (for each row: id, label, artist, `train` or `valid`). `SEARCH` is a JSON object of
//! fields of [`Search`] that replace the defaults. Prints one JSON object.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use train::svm::{Search, TrainingSet, fit};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("usage: svm_on_vectors FOLDER [SEED [SEARCH]]")?;
    let seed = arguments.next().map_or(Ok(0), |seed| seed.parse()).context("the seed is not a number")?;
    let search = search(arguments.next().as_deref().unwrap_or("{}"))?;
    let (train, valid) = read(Path::new(&folder))?;

    let fitted = fit(&train, &search, seed, 0, &|_, _| {})?;
    let (mut right, mut loss) = (0.0, 0.0);
    for (vector, &label) in valid.vectors.iter().zip(&valid.labels) {
        let probabilities = fitted.svm.probabilities(vector)?;
        right += f64::from(u8::from(models::most_probable(&probabilities) == label));
        loss -= libm::log(probabilities[label].max(1e-15));
    }
    let n = valid.labels.len() as f64;
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
        serde_json::from_str(fields).context("the search is no JSON object")?;
    for (name, value) in fields {
        search[&name] = value;
    }
    serde_json::from_value(search).context("the search is not valid")
}

/// The train and the valid part.
fn read(folder: &Path) -> Result<(TrainingSet, TrainingSet)> {
    let bytes = fs::read(folder.join("vectors.safetensors")).context("failed to read vectors.safetensors")?;
    let file = SafeTensors::deserialize(&bytes)?;
    let view = file.tensor("vectors")?;
    ensure!(view.dtype() == safetensors::Dtype::F32 && view.shape().len() == 2, "`vectors` is not F32 [n, D]");
    let values: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let names = fs::read_to_string(folder.join("names.txt")).context("failed to read names.txt")?;
    let names: Vec<String> = names.lines().map(str::to_owned).collect();
    ensure!(names.len() == view.shape()[1] && !names.is_empty(), "names.txt does not name every dimension");

    let clips = fs::read_to_string(folder.join("clips.csv")).context("failed to read clips.csv")?;
    let new = || TrainingSet { names: names.clone(), ..TrainingSet::default() };
    let (mut train, mut valid) = (new(), new());
    for (vector, line) in values.chunks_exact(names.len()).zip(clips.lines()) {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, label, artist, part] = fields[..] else { anyhow::bail!("`{line}` is not id,label,artist,part") };
        let set = match part {
            "train" => &mut train,
            "valid" => &mut valid,
            _ => continue,
        };
        set.clip.push(set.labels.len());
        set.judged.push(true);
        set.vectors.push(vector.to_vec());
        set.labels.push(label.parse().with_context(|| format!("`{line}`: the label is no number"))?);
        set.groups.push(artist.to_owned());
    }
    Ok((train, valid))
}
