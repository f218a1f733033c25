//! The commands of `train`.

pub mod both;
pub mod datasets;
pub mod evaluate;
mod fit;
pub mod models;
pub mod svm;
pub mod verify;
pub mod vgg19;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data::{DataFrame, ExtractOptions, LabelledDataset, dataset::frames};
use features::{FeatureSpec, spec::PRESETS};
use serde::Serialize;

use crate::console::{interrupt::Scratch, output, progress::Stage};

/// Prints one JSON document on stdout.
///
/// # Errors
/// Those of [`output::write`](fn@output::write).
pub fn print_json(value: &impl Serialize) -> Result<()> {
    output::line(serde_json::to_string_pretty(value)?)
}

/// Reads `--spec`: the name of a preset, or a JSON file.
///
/// # Errors
/// When it is neither, or no specification that can be computed.
pub fn read_spec(name_or_file: &str) -> Result<FeatureSpec> {
    if PRESETS.contains(&name_or_file) {
        return Ok(FeatureSpec::preset(name_or_file)?);
    }
    let path = Path::new(name_or_file);
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "failed to read the feature specification {name_or_file} (it is neither a file nor one of the presets {})",
            PRESETS.join(", ")
        )
    })?;
    FeatureSpec::from_json(&text).with_context(|| format!("failed to read the feature specification {name_or_file}"))
}

/// Opens corpora as one set; audio is extracted on the way, into `scratch`, which must outlive the set.
/// Stores need no `scratch`.
///
/// # Errors
/// Those of [`LabelledDataset::open`].
pub fn open_set(
    corpora: &[PathBuf],
    spec: &FeatureSpec,
    threads: usize,
    scratch: Option<&Scratch>,
) -> Result<LabelledDataset> {
    let stage = Stage::new("extracting features");
    let options = ExtractOptions {
        threads,
        progress: &|done, total| stage.at(done, total),
        scratch: scratch.map(Scratch::path),
        ..ExtractOptions::default()
    };
    Ok(LabelledDataset::open(corpora, spec, &options)?)
}

/// Says on stderr which files could not be used.
pub fn say_rejected(rejected: &[(String, String)]) {
    for (clip_id, reason) in rejected {
        output::remark(&format!("left out {clip_id}: {reason}"));
    }
}

/// Writes a table as what the name of the file says.
///
/// # Errors
/// When that is neither Parquet nor CSV, or the file cannot be written.
pub fn write_table(frame: &mut DataFrame, path: &Path) -> Result<()> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => frames::write_parquet(frame, path)?,
        Some("csv") => frames::write_csv(frame, path)?,
        _ => bail!("{}: name a file that ends in .parquet or .csv", path.display()),
    }
    Ok(())
}
