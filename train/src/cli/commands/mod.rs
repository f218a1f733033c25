//! The commands of `train`.

pub mod datasets;
pub mod ensemble;
pub mod evaluate;
pub mod models;
pub mod train;
pub mod verify;

use std::path::Path;

use anyhow::{Context, Result};
use features::{FeatureSpec, spec::PRESETS};

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
