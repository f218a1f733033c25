//! Options that the programs share.

use std::path::PathBuf;

use clap::Args;

/// Where labelled datasets are.
#[derive(Args, Clone, Debug, Default)]
pub struct DataArgs {
    /// A dataset: a folder with a folder of audio files for each label, or a feature store. Several are joined; of a clip in two,
    /// the first counts.
    #[arg(long = "data", value_name = "DATASET")]
    pub datasets: Vec<PathBuf>,
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
