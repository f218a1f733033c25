//! Which datasets a run uses when none is named.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data::synth::{self, SynthSpec};

use crate::console::{interrupt::Unfinished, progress::Stage};

/// The folder that is tried when no dataset is named.
const DEFAULT_DATASET: &str = "data/gtzan";
/// The variable that names a dataset.
const ENVIRONMENT: &str = "TONEARM_DATA";

/// The datasets that a run uses.
#[derive(Debug)]
pub struct Source {
    /// Their folders, in the order of their precedence.
    pub datasets: Vec<PathBuf>,
    /// What a person should know about them: the first line of the output.
    pub announcement: String,
}

/// What every report on synthetic clips begins with; `None` when any of the clips is real.
pub fn synthetic_warning<'a>(mut clip_ids: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    clip_ids
        .all(synth::is_synthetic_id)
        .then_some("Synthetic music: these figures show that the program works, and say nothing about real music.")
}

impl Source {
    /// Takes the datasets that were named, else the one in `TONEARM_DATA`, else `data/gtzan` if it holds one, else the
    /// synthetic dataset of `seed`, which is made if it is not there yet.
    ///
    /// # Errors
    /// When a dataset that was named does not exist, or the synthetic one cannot be written.
    pub fn choose(named: &[PathBuf], seed: u64, threads: usize) -> Result<Self> {
        if !named.is_empty() {
            let list: Vec<_> = named.iter().map(|path| path.display().to_string()).collect();
            return Ok(Self::real(named.to_vec(), format!("Dataset: {}", list.join(", "))));
        }
        if let Some(path) = std::env::var_os(ENVIRONMENT).filter(|value| !value.is_empty()).map(PathBuf::from) {
            let announcement = format!("Dataset: {} (from {ENVIRONMENT})", path.display());
            return Ok(Self::real(vec![path], announcement));
        }
        let default = Path::new(DEFAULT_DATASET);
        if default.is_dir() {
            data::Dataset::open(default).with_context(|| {
                format!(
                    "{DEFAULT_DATASET} is there but is no dataset; repair or remove it, or name another with --data"
                )
            })?;
            return Ok(Self::real(vec![default.to_path_buf()], format!("Dataset: {DEFAULT_DATASET}")));
        }
        Self::synthetic(seed, threads)
    }

    fn real(datasets: Vec<PathBuf>, announcement: String) -> Self {
        Self { datasets, announcement }
    }

    fn synthetic(seed: u64, threads: usize) -> Result<Self> {
        let spec = SynthSpec { seed, ..SynthSpec::default() };
        let folder = synthetic_folder(seed);
        let made = if folder.is_dir() {
            "made earlier"
        } else {
            match write_synthetic(&folder, &spec, threads, &Stage::new("making clips")) {
                Ok(()) => "made now",
                // Another run in this folder was first; what it made is the same.
                Err(_) if folder.is_dir() => "made by another run",
                Err(error) => return Err(error),
            }
        };
        let announcement = format!(
            "Dataset: none given, so ten synthetic genres of {} clips from seed {seed} ({}, {made}); name real clips with --data",
            spec.clips_per_genre,
            folder.display(),
        );
        Ok(Self { datasets: vec![folder], announcement })
    }
}

/// Writes a synthetic dataset; an interruption leaves nothing of it.
///
/// # Errors
/// Those of [`synth::write_dataset`].
pub fn write_synthetic(out: &Path, spec: &SynthSpec, threads: usize, stage: &Stage) -> Result<()> {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let _unfinished = Unfinished::beside(out, format!(".{name}.partial-{}", std::process::id()));
    Ok(synth::write_dataset(out, spec, threads, &|done, total| stage.at(done, total))?)
}

/// Where a clip of the synthetic dataset that [`Source::choose`] makes lies, from the current folder.
#[must_use]
pub fn synthetic_file(clip_id: &str, seed: u64) -> Option<String> {
    let genre = clip_id.split('.').next()?;
    let path = synthetic_folder(seed).join(genre).join(format!("{clip_id}.wav"));
    path.is_file().then(|| path.display().to_string())
}

fn synthetic_folder(seed: u64) -> PathBuf {
    PathBuf::from(format!("data/synthetic-{seed}"))
}
