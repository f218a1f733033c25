//! `train card`: the model card of an artifact.

use std::fs;

use anyhow::{Context as _, Result};
use models::artifact::{self, Artifact};

use crate::{cli::args::CardArgs, console::output, evaluation::card};

/// Writes the card to a file, or prints it.
///
/// # Errors
/// When the artifact cannot be read, or the card not written.
pub fn run(args: &CardArgs) -> Result<()> {
    let artifact = Artifact::open(&artifact::resolve(&args.artifact, None)?)?;
    let text = card::markdown(&artifact)?;
    match &args.out {
        Some(path) => fs::write(path, text).with_context(|| format!("failed to write {}", path.display())),
        None => output::write(&text),
    }
}
