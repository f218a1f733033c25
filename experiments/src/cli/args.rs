//! The command line: what a person types, and nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use data::Split;
use train::console::args::{DataArgs, RunArgs};

/// Declared experiments: run them, choose among them, compare them.
#[derive(Debug, Parser)]
#[command(name = "experiments", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The parts of `experiments`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Do what files declare, for each of their splits and seeds. What was done before is not done again.
    Run(RunFilesArgs),
    /// Do every point of the `grid` of a file, and choose one: by the valid part or by folds that share no artist.
    Sweep(SweepArgs),
    /// Compare two experiments on the same clips: paired difference by artist, McNemar's exact test, each genre.
    Compare(CompareArgs),
    /// Write the page of a kept result: figures, plots, mistakes, a map of the clips, and a comparison if one is asked for.
    Report(ReportArgs),
    /// List what was found so far, the best first, with what each split leaks.
    Leaderboard(LeaderboardArgs),
    /// Show what leaks are worth: the same model and features judged by segment, by track, by artist and by the valid part.
    Ladder(LadderArgs),
    /// Tell an MLflow server of what was found so far. What is there already is not sent again.
    Export(ExportArgs),
}

/// Where results are.
#[derive(Args, Clone, Debug)]
pub struct ResultsArgs {
    /// Where results are kept.
    #[arg(long, value_name = "DIR", env = "TONEARM_RESULTS", default_value = "experiments/results")]
    pub results: PathBuf,
}

/// Where experiments are done.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub data: DataArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub results: ResultsArgs,
    /// Weights that networks begin with where their declaration names none: as for `train vgg19`.
    #[arg(long, value_name = "FILE", env = "TONEARM_WEIGHTS")]
    pub weights: Option<PathBuf>,
    /// Where embeddings of networks and unfinished tunings are kept.
    #[arg(long, value_name = "DIR", env = "TONEARM_CACHE", default_value = "data/cache")]
    pub cache: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub run: RunArgs,
}

/// Options of `run`.
#[derive(Args, Debug)]
pub struct RunFilesArgs {
    /// Declarations.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Only this split of those declared; may be given again.
    #[arg(long = "split", value_name = "SPLIT")]
    pub splits: Vec<Split>,
    /// Only this seed of those declared; may be given again.
    #[arg(long = "seed", value_name = "N")]
    pub seeds: Vec<u64>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub place: PlaceArgs,
}

/// Options of `sweep`.
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// A declaration with a `grid`.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the chosen point to this file, as a declaration. In another folder than FILE, paths in it mean other files.
    #[arg(long, value_name = "FILE")]
    pub best: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub place: PlaceArgs,
}

/// Options of `compare`.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// An experiment by its name, or the folder of one result.
    #[arg(value_name = "A")]
    pub a: String,
    /// The other.
    #[arg(value_name = "B")]
    pub b: String,
    /// The split, where an experiment has several; the first that both have.
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<Split>,
    /// One seed alone; all that both have.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub results: ResultsArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// An experiment by its name, or the folder of one result.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Another, to compare with on the same clips.
    #[arg(long, value_name = "OTHER")]
    pub against: Option<String>,
    /// The split, where the experiment has several; the first, which the other has too.
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<Split>,
    /// The seed; the least that is kept.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The HTML file to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub results: ResultsArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `leaderboard`.
#[derive(Args, Debug)]
pub struct LeaderboardArgs {
    /// One split alone.
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<Split>,
    /// Also write the table to this Parquet or CSV file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub results: ResultsArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `ladder`.
#[derive(Args, Debug)]
pub struct LadderArgs {
    /// Declarations; their splits are not looked at. One with `data.pieces` is judged on pieces of clips too.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Folds of each rung but the last.
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub folds: u16,
    /// Only this seed of those declared; may be given again.
    #[arg(long = "seed", value_name = "N")]
    pub seeds: Vec<u64>,
    /// Also draw the ladder into this SVG file.
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Also write the table to this Parquet or CSV file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub place: PlaceArgs,
}

/// Options of `export`.
#[derive(Args, Debug)]
#[command(
    after_help = "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, say who exports."
)]
pub struct ExportArgs {
    /// Experiments by their names, or folders of results; without any, all results.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The address of the server, such as http://127.0.0.1:5000.
    #[arg(long, value_name = "URL", env = "MLFLOW_TRACKING_URI", hide_env_values = true)]
    pub mlflow: String,
    /// What the names of experiments begin with on the server.
    #[arg(long, value_name = "TEXT", default_value = "tonearm/")]
    pub prefix: String,
    /// Only this split; may be given again.
    #[arg(long = "split", value_name = "SPLIT")]
    pub splits: Vec<Split>,
    /// Only this seed; may be given again.
    #[arg(long = "seed", value_name = "N")]
    pub seeds: Vec<u64>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub results: ResultsArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
