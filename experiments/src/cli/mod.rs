//! The command line of `experiments`.

mod commands;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use data::Split;
use train::console::{interrupt, output};

/// Declared experiments: run them, choose among them, compare them.
#[derive(Debug, Parser)]
#[command(name = "experiments", version)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The parts of `experiments`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Do what files declare, for each of their splits and seeds. What was done before is not done again.
    Run(RunFilesArgs),
    /// Do every point of the `grid` of a file, and choose one: by the valid part or by folds that share no artist.
    Sweep(SweepArgs),
    /// Compare two experiments on the same clips: paired difference by artist, McNemar's exact test, each class.
    Compare(CompareArgs),
    /// Write the report of a stored result: figures, plots, mistakes, a map of the clips, and a comparison if one is asked for.
    Report(ReportArgs),
    /// List the results so far, the best first, with what each split leaks.
    Leaderboard(LeaderboardArgs),
    /// Show the effect of leakage: the same configuration evaluated by segment, track, artist and on the valid part.
    #[command(alias = "ladder")]
    Leakage(LeakageArgs),
    /// Measure bad recordings and short ones: codecs, noise, clipping, rooms, excerpts, as a file declares them. What was measured before is
    /// not measured again.
    Robustness(RobustnessArgs),
    /// Send the results so far to an MLflow server. What is there already is not sent again.
    Export(ExportArgs),
}

/// Where results are, and how they are printed.
#[derive(Args, Clone, Debug)]
struct ResultsArgs {
    /// Where results are stored.
    #[arg(long, value_name = "DIR", env = "TONEARM_RESULTS", default_value = "experiments/results")]
    results: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// How jobs are done.
#[derive(Args, Clone, Debug)]
struct JobArgs {
    /// A dataset: a folder of label folders, or a feature store. Several are joined; of a clip in two, the first counts.
    #[arg(long = "data", value_name = "DATASET")]
    datasets: Vec<PathBuf>,
    /// Weights that networks begin with where their declaration names none: as for `train vgg19`.
    #[arg(long, value_name = "FILE", env = "TONEARM_WEIGHTS")]
    weights: Option<PathBuf>,
    /// Where embeddings of networks and unfinished tunings are cached.
    #[arg(long, value_name = "DIR", env = "TONEARM_CACHE", default_value = "data/cache")]
    cache: PathBuf,
    /// Threads; the result is the same for any number.
    #[arg(long, value_name = "N", default_value_t = default_threads(), allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    #[command(flatten)]
    output: ResultsArgs,
}

fn default_threads() -> u16 {
    std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX).min(1024))
}

/// Options of `run`.
#[derive(Args, Debug)]
struct RunFilesArgs {
    /// Declarations.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only this split of those declared; may be given again.
    #[arg(long = "split", value_name = "SPLIT")]
    splits: Vec<Split>,
    /// Only this seed of those declared; may be given again.
    #[arg(long = "seed", value_name = "N")]
    seeds: Vec<u64>,
    #[command(flatten)]
    job: JobArgs,
}

/// Options of `sweep`.
#[derive(Args, Debug)]
struct SweepArgs {
    /// A declaration with a `grid`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the chosen point to this file, as a declaration. In another folder than FILE, paths in it mean other files.
    #[arg(long, value_name = "FILE")]
    best: Option<PathBuf>,
    #[command(flatten)]
    job: JobArgs,
}

/// Options of `compare`.
#[derive(Args, Debug)]
struct CompareArgs {
    /// An experiment by its name, or the folder of one result.
    #[arg(value_name = "A")]
    a: String,
    /// The other.
    #[arg(value_name = "B")]
    b: String,
    /// The split, where an experiment has several; the first that both have.
    #[arg(long, value_name = "SPLIT")]
    split: Option<Split>,
    /// One seed alone; all that both have.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    output: ResultsArgs,
}

/// Options of `report`.
#[derive(Args, Debug)]
struct ReportArgs {
    /// An experiment by its name, or the folder of one result.
    #[arg(value_name = "NAME")]
    name: String,
    /// Another, to compare with on the same clips.
    #[arg(long, value_name = "OTHER")]
    against: Option<String>,
    /// The split, where the experiment has several; the first, which the other has too.
    #[arg(long, value_name = "SPLIT")]
    split: Option<Split>,
    /// The seed; the least that is stored.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The HTML file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: ResultsArgs,
}

/// Options of `leaderboard`.
#[derive(Args, Debug)]
struct LeaderboardArgs {
    /// One split alone.
    #[arg(long, value_name = "SPLIT")]
    split: Option<Split>,
    /// Also write the table to this Parquet or CSV file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: ResultsArgs,
}

/// Options of `leakage`.
#[derive(Args, Debug)]
struct LeakageArgs {
    /// Declarations; their splits do not matter. One with `data.segments_per_clip` is evaluated on segments of clips too.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Folds of each level but the last.
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=1000))]
    folds: u16,
    /// Only this seed of those declared; may be given again.
    #[arg(long = "seed", value_name = "N")]
    seeds: Vec<u64>,
    /// Also draw the plot into this SVG file.
    #[arg(long, alias = "picture", value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Also write the table to this Parquet or CSV file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    job: JobArgs,
}

/// Options of `robustness`.
#[derive(Args, Debug)]
struct RobustnessArgs {
    /// A declaration, such as experiments/declared/robustness.toml.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A folder with audio of held-out clips, under their ids as names, in folders or not; may be given again. It is degraded, and cut.
    #[arg(long = "audio", value_name = "DIR", required = true)]
    audio: Vec<PathBuf>,
    /// A folder with other recordings of held-out clips, such as short ones, which are predicted as they are; may be given again.
    #[arg(long = "recordings", value_name = "DIR")]
    recordings: Vec<PathBuf>,
    /// Measure this artifact instead of the experiments that are declared; may be given again.
    #[arg(long = "artifact", value_name = "DIR")]
    artifacts: Vec<PathBuf>,
    /// Only the experiment of this name of those declared; may be given again.
    #[arg(long = "experiment", value_name = "NAME", conflicts_with = "artifacts")]
    experiments: Vec<String>,
    /// Only this seed of those declared; may be given again.
    #[arg(long = "seed", value_name = "N", conflicts_with = "artifacts")]
    seeds: Vec<u64>,
    /// The ffmpeg that encodes. Without one, codecs are left out.
    #[arg(long, value_name = "PROGRAM", default_value = "ffmpeg")]
    ffmpeg: PathBuf,
    /// Also write the figures to this JSON file, for `train card` and `train evaluate`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    job: JobArgs,
}

/// Options of `export`.
#[derive(Args, Debug)]
#[command(
    after_help = "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, say who exports."
)]
struct ExportArgs {
    /// Experiments by their names, or folders of results; without any, all results.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The address of the server, such as http://127.0.0.1:5000.
    #[arg(long, value_name = "URL", env = "MLFLOW_TRACKING_URI", hide_env_values = true)]
    mlflow: String,
    /// What the names of experiments begin with on the server.
    #[arg(long, value_name = "TEXT", default_value = "tonearm/")]
    prefix: String,
    /// Only this split; may be given again.
    #[arg(long = "split", value_name = "SPLIT")]
    splits: Vec<Split>,
    /// Only this seed; may be given again.
    #[arg(long = "seed", value_name = "N")]
    seeds: Vec<u64>,
    #[command(flatten)]
    output: ResultsArgs,
}

/// Does what the arguments of this process say.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return ExitCode::from(output::end_with(&said)),
    };
    interrupt::handle();
    let result = match &cli.command {
        Command::Run(args) => commands::run(args),
        Command::Sweep(args) => commands::sweep(args),
        Command::Compare(args) => commands::compare(args),
        Command::Report(args) => commands::report(args),
        Command::Leaderboard(args) => commands::leaderboard(args),
        Command::Leakage(args) => commands::leakage(args),
        Command::Robustness(args) => commands::robustness(args),
        Command::Export(args) => commands::export(args),
    };
    ExitCode::from(output::end("experiments", result))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
