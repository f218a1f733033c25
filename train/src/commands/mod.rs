//! The commands of `train`, one in each file.

pub mod audit;
pub mod evaluate;
pub mod extract;
pub mod inspect;
pub mod svm;
pub mod synth;

use std::path::Path;

use anyhow::{Context, Result};
use features::{FeatureSpec, spec::PRESETS};
use serde::Serialize;

/// Prints one JSON document on stdout.
fn print_json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Reads `--spec`: the name of a preset, or a JSON file.
fn read_spec(name_or_file: &str) -> Result<FeatureSpec> {
    if PRESETS.contains(&name_or_file) {
        return Ok(FeatureSpec::preset(name_or_file)?);
    }
    let path = Path::new(name_or_file);
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("failed to read the feature specification {name_or_file} (it is neither a file nor one of the presets {})", PRESETS.join(", "))
    })?;
    FeatureSpec::from_json(&text).with_context(|| format!("failed to read the feature specification {name_or_file}"))
}
