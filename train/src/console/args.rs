//! Options that the programs share.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use data::{LabelOptions, OpenOptions};
use features::decode::Limits;

/// Which labelled datasets, and how they are opened.
#[derive(Args, Clone, Debug, Default)]
pub struct DataArgs {
    /// A dataset: a folder with a folder of audio files for each label, Hugging Face's AudioFolder, FMA, a table of files and labels (CSV,
    /// TSV, JSON lines, Parquet), or a feature store. Several are joined; of a clip in two, the first counts.
    #[arg(long = "data", value_name = "DATASET")]
    pub datasets: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub opening: OpenArgs,
}

/// How a dataset is opened.
#[derive(Args, Clone, Debug)]
pub struct OpenArgs {
    /// Make one label of those that differ in case, spaces or punctuation alone: the spelling that most clips have.
    #[arg(long)]
    pub merge_labels: bool,
    /// A table with the columns `from` and `to`: labels, and what they are called instead; an empty `to` leaves a label out.
    #[arg(long, value_name = "FILE")]
    pub label_map: Option<PathBuf>,
    /// Longest audio file; longer ones are not used.
    #[arg(long, value_name = "SECONDS", default_value_t = MAX_SECONDS, allow_negative_numbers = true)]
    pub max_seconds: f64,
    /// Use no audio file that something is wrong with, such as one that was cut short or is damaged in one spot; without it, what is there
    /// is used and the file is named.
    #[arg(long)]
    pub strict: bool,
}

/// Two hours.
const MAX_SECONDS: f64 = 7200.0;
/// Two hours of stereo WAV of 24 bits at 48 kHz.
const MAX_BYTES: u64 = 2 << 30;

impl Default for OpenArgs {
    fn default() -> Self {
        Self { merge_labels: false, label_map: None, max_seconds: MAX_SECONDS, strict: false }
    }
}

impl OpenArgs {
    /// What they say.
    ///
    /// # Errors
    /// When the label map cannot be read, or the seconds are no length.
    pub fn options(&self) -> Result<OpenOptions> {
        let Self { merge_labels, label_map, max_seconds, strict } = self;
        anyhow::ensure!(
            max_seconds.is_finite() && *max_seconds > 0.0,
            "--max-seconds must be above 0, and is {max_seconds}"
        );
        let map = label_map.as_deref().map(LabelOptions::read_map).transpose().context("failed to read --label-map")?;
        Ok(OpenOptions {
            labels: LabelOptions { merge: *merge_labels, map: map.unwrap_or_default() },
            limits: Limits { max_bytes: MAX_BYTES, max_seconds: *max_seconds },
            strict: *strict,
        })
    }
}

/// What every command that works for long takes.
#[derive(Args, Clone, Copy, Debug)]
pub struct RunArgs {
    /// Threads; the result is the same for any number.
    #[arg(long, value_name = "N", default_value_t = default_threads(), allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

fn default_threads() -> u16 {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(1024) as u16)
}
