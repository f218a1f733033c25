//! Our side of `experiments/bench/svm_size.py`.
//!
//! `svm_size vectors DATASET FOLDER` leaves the vectors of GTZAN's `train` and `valid` parts in the folder: `vectors.safetensors`
//! (`vectors`: F32 `[n, D]`), `rows.csv` (for each row: part, label, clip, group, 1 if clips are evaluated by it) and `names.txt`.
//!
//! `svm_size fit FOLDER THREADS [SEARCH]` fits the machine on the `train` rows of such a folder, scores it on the evaluated `valid` rows, and
//! prints one JSON object. `SEARCH` is a JSON object of fields of [`Search`] that replace the defaults.
//!
//! `svm_size head FOLDER THREADS` takes the vectors for embeddings, of which those that are too many to hold go to a file in the folder, fits
//! the head of the frozen network once, without the cross-validation that its temperature comes from, and prints the same. `svm_size head-dimensions` prints how many dimensions an embedding has.

use std::{
    fmt::Write as _,
    fs,
    io::{BufReader, Read as _},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use data::{ExtractOptions, LabelledDataset, Part, Split};
use features::FeatureSpec;
use models::vgg19::Backend;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use train::training::{
    TrainingData,
    dataset::labels,
    svm::{Search, TrainingSet, fit},
    vgg19::{Embeddings, Rows, TrainingConfig, fit_head, logits},
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["vectors", dataset, folder] => vectors(dataset, Path::new(folder)),
        ["fit", folder, threads] => fitted(Path::new(folder), threads, "{}"),
        ["fit", folder, threads, search] => fitted(Path::new(folder), threads, search),
        ["head", folder, threads] => head(Path::new(folder), threads),
        ["head-dimensions"] => {
            println!("{}", TrainingConfig::logistic(0).network(2).embedding_dim());
            Ok(())
        }
        _ => bail!(
            "usage: svm_size vectors DATASET FOLDER | svm_size fit FOLDER THREADS [SEARCH] | svm_size head FOLDER THREADS | \
             svm_size head-dimensions"
        ),
    }
}

fn vectors(dataset: &str, folder: &Path) -> Result<()> {
    let set = LabelledDataset::open(&[dataset], &FeatureSpec::gtzan_store(), &ExtractOptions::default())?;
    let fold = Split::FaultFiltered(Part::Valid).folds(&set.items(), 0)?.swap_remove(0);
    let labels = labels(&set, &fold.train);
    let data = TrainingData::new(set)?;
    let parts = [("train", fold.train), ("valid", fold.test)];
    let (mut bytes, mut rows, mut n, mut dim) = (Vec::new(), String::new(), 0, 0);
    for (part, clips) in parts {
        let set = data.training_set(&clips, &labels, false, 0)?;
        for ((vector, &clip), &evaluated) in set.vectors.iter().zip(&set.clip).zip(&set.evaluated) {
            bytes.extend(vector.iter().copied().flat_map(f32::to_le_bytes));
            writeln!(rows, "{part}\t{}\t{clip}\t{}\t{}", set.labels[clip], set.groups[clip], u8::from(evaluated))?;
            n += 1;
        }
        dim = set.names.len();
        fs::create_dir_all(folder)?;
        fs::write(folder.join("names.txt"), set.names.join("\n"))?;
    }
    let view = TensorView::new(Dtype::F32, vec![n, dim], &bytes)?;
    fs::write(folder.join("vectors.safetensors"), safetensors::serialize([("vectors", view)], None)?)?;
    fs::write(folder.join("rows.csv"), rows)?;
    Ok(())
}

fn fitted(folder: &Path, threads: &str, search: &str) -> Result<()> {
    let [train, valid] = ["train", "valid"].map(|part| read(folder, part));
    let (train, valid, search) = (train?, valid?, search_of(search)?);
    let started = Instant::now();
    let searched = Mutex::new(Duration::ZERO);
    let progress = |_, _| {
        if let Ok(mut searched) = searched.lock() {
            *searched = started.elapsed();
        }
    };
    let fitted = fit(&train, &search, 0, threads.parse().context("THREADS is not a number")?, &progress)?;
    let seconds = started.elapsed().as_secs_f64();
    let (mut right, mut loss, mut n) = (0.0, 0.0, 0.0);
    for row in (0..valid.vectors.len()).filter(|&row| valid.evaluated[row]) {
        let probabilities = fitted.svm.probabilities(&valid.vectors[row])?;
        let label = valid.labels[valid.clip[row]];
        right += f64::from(u8::from(models::most_probable(&probabilities) == label));
        loss -= libm::log(probabilities[label].max(1e-15));
        n += 1.0;
    }
    let report = &fitted.report;
    let searched = searched.into_inner().unwrap_or_default().as_secs_f64();
    println!(
        "{}",
        json!({
            "seconds": seconds,
            "seconds_of_search": searched,
            "seconds_of_predictions": started.elapsed().as_secs_f64() - seconds,
            "predictions": n,
            "accuracy": right / n,
            "log_loss": loss / n,
            "chosen": report.chosen,
            "grid": report.grid,
            "gamma": report.gamma,
            "temperature": report.temperature,
            "cross_validated": report.cross_validated,
            "counts": report.counts,
            "low_rank": report.low_rank,
            "warnings": report.warnings,
            "peak_kib": peak_kib(),
        })
    );
    Ok(())
}

fn head(folder: &Path, threads: &str) -> Result<()> {
    let config = TrainingConfig::logistic(0);
    let dim = config.network(2).embedding_dim();
    // Row by row, so that the peak of the memory is that of the fit: each vector as a clip of its own, of the class of its clip.
    let mut file = BufReader::new(fs::File::open(folder.join("vectors.safetensors"))?);
    let mut header = [0; 8];
    file.read_exact(&mut header)?;
    file.seek_relative(i64::from_le_bytes(header))?;
    let mut bytes = vec![0; dim * size_of::<f32>()];
    let mut embeddings = Embeddings::new(dim, Some(folder));
    let (mut labels, mut valid) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(folder.join("rows.csv"))?.lines() {
        let [part, label, ..] = line.split('\t').collect::<Vec<_>>()[..] else { bail!("rows.csv: {line}") };
        file.read_exact(&mut bytes).with_context(|| format!("the vectors have not {dim} dimensions"))?;
        let row: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
        if part == "train" {
            embeddings.push(&[row], &[])?;
            labels.push(label.parse()?);
        } else {
            valid.push((row, label.parse::<usize>()?));
        }
    }
    let network = config.network(labels.iter().max().map_or(0, |largest: &usize| largest + 1));
    let rows = Rows::new(&embeddings, &(0..labels.len()).collect::<Vec<_>>(), &labels);
    let device = Backend::Flex.open()?;
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(threads.parse().context("THREADS is not a number")?).build()?;
    let started = Instant::now();
    let head = pool.install(|| fit_head(&rows, &network, &config.head, 0, &device))?;
    let seconds = started.elapsed().as_secs_f64();
    let right = valid.iter().filter(|(vector, label)| {
        let logits: Vec<f64> = logits(&head, vector).into_iter().map(f64::from).collect();
        models::most_probable(&logits) == *label
    });
    let accuracy = right.count() as f64 / valid.len() as f64;
    println!("{}", json!({ "seconds": seconds, "accuracy": accuracy, "peak_kib": peak_kib() }));
    Ok(())
}

/// Most memory that this process had, in KiB, where the system says it.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok())
}

/// The rows of a part.
fn read(folder: &Path, part: &str) -> Result<TrainingSet> {
    let bytes = fs::read(folder.join("vectors.safetensors"))?;
    let file = SafeTensors::deserialize(&bytes)?;
    let view = file.tensor("vectors")?;
    let dim = *view.shape().get(1).context("the vectors are no matrix")?;
    let names = fs::read_to_string(folder.join("names.txt"))?;
    let mut set = TrainingSet { names: names.lines().map(str::to_owned).collect(), ..TrainingSet::default() };
    let mut last = None;
    for (row, line) in fs::read_to_string(folder.join("rows.csv"))?.lines().enumerate() {
        let [of, label, clip, group, evaluated] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("rows.csv: line {} has not five columns", row + 1);
        };
        if of != part {
            continue;
        }
        if last.as_deref() != Some(clip) {
            set.labels.push(label.parse()?);
            set.groups.push(group.to_owned());
            last = Some(clip.to_owned());
        }
        let (values, _) = view.data()[row * dim * 4..(row + 1) * dim * 4].as_chunks::<4>();
        set.vectors.push(values.iter().map(|&value| f32::from_le_bytes(value)).collect());
        set.clip.push(set.labels.len() - 1);
        set.evaluated.push(evaluated == "1");
    }
    Ok(set)
}

/// The default search with the fields of a JSON object in place of its own.
fn search_of(fields: &str) -> Result<Search> {
    let mut search = serde_json::to_value(Search::default())?;
    let fields: serde_json::Map<String, Value> =
        serde_json::from_str(fields).context("the search is no JSON object")?;
    for (name, value) in fields {
        search[&name] = value;
    }
    serde_json::from_value(search).context("the search is not valid")
}
