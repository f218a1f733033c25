//! The command line: what a person types, and nothing of what it does.

use std::{fmt, path::PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use models::{
    artifact::names,
    ensemble::EnsembleClassifier,
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier},
};

use crate::{
    console::args::{DataArgs, OpenArgs, RunArgs},
    places::ArtifactsArgs,
    training::pretrained::DEFAULT_WEIGHTS,
};

/// Train and evaluate music-genre classifiers.
///
/// Without a command: opens a dataset (--data, else the folder in TONEARM_DATA, else data/gtzan, else a synthetic one that
/// it makes), trains both models, evaluates them on held-out clips, and writes them to artifacts/ (see --artifacts).
#[derive(Debug, Parser)]
#[command(name = "train", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; everything when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the run without a command.
    #[command(flatten)]
    pub fit: FitArgs,
}

/// The commands of `train`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train the support vector machine.
    Svm(SvmArgs),
    /// Train VGG19: a head on frozen convolutions, or the last blocks too.
    Vgg19(Vgg19Args),
    /// Join trained models into an ensemble: learn how much each counts, without fitting any of them again.
    ///
    /// Learns from what the trainings of the members predicted of clips that they held out, which their artifacts keep, and names the
    /// members in an artifact of its own. It is served, and predicts, as long as these versions of its members are there.
    Ensemble(EnsembleArgs),
    /// Get public weights of VGG19.
    Weights {
        /// What to do.
        #[command(subcommand)]
        command: WeightsCommand,
    },
    /// Put a version of a model in use, go back to the one before, pin one, or list them.
    ///
    /// All bytes of a version are checked, and its model is loaded, before it is put in use.
    #[command(override_usage = "train promote <MODEL> <VERSION|--previous|--list> [--pin] [--unpin] [OPTIONS]")]
    Promote(PromoteArgs),
    /// Extract the features of an audio folder into a feature store, which later runs read much faster.
    Extract(ExtractArgs),
    /// Score an artifact on labelled clips, alone or beside another: text on a terminal, one JSON object with --json or when piped.
    Evaluate(EvaluateArgs),
    /// Write the model card of an artifact: data, licence, figures, limits, use.
    Card(CardArgs),
    /// Write a model as an ONNX file, for ONNX Runtime, tract and other programs.
    ///
    /// Its input is the log-mel of segments in dB (of a support vector machine with descriptors that need more than the log-mel: the
    /// descriptors), its output the probability of each label. Labels, feature specification, model and version are in its metadata.
    Export(ExportArgs),
    /// Show what one audio file holds: container, codec, and every descriptor.
    Inspect(InspectArgs),
    /// Look for faults in a dataset: unreadable, silent, clipped or repeated clips.
    Audit(AuditArgs),
    /// Write the clips of a dataset, with label, artist, title and split, as a table.
    Manifest(ManifestArgs),
    /// Make the synthetic dataset: ten genres from a seed.
    Synth(SynthArgs),
    /// Train a small configuration several times, and compare every byte of the dataset, the features and the models.
    ///
    /// The runs differ in threads, folder, time zone, language, user (as root) and width of vectors. Their results must be
    /// the same, and those of the lock; else this fails, and names the first stage that differs: data, features or model.
    Verify(VerifyArgs),
}

/// Options of training.
#[derive(Args, Clone, Debug)]
pub struct FitArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub data: DataArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub artifacts: ArtifactsArgs,
    /// Seed of everything that is drawn: folds, the synthetic dataset, the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 42, allow_negative_numbers = true)]
    pub seed: u64,
    /// Features: a preset (gtzan-store, librosa) or a JSON file as `inspect --json` prints it.
    #[arg(long, value_name = "NAME|FILE", default_value = "gtzan-store")]
    pub spec: String,
    /// Clips to hold out: `given:valid` or `given:test`, of the split that the dataset came with (the default where it has one);
    /// `fault-filtered:valid` (the default where every clip is GTZAN's); `artist-kfold:K`, the first of K folds that share no artist (the
    /// default elsewhere, with K = 4); `artist-holdout:PERCENT`; `leave-one-artist-out`, with --refit; or `track-kfold:K`.
    #[arg(long, value_name = "SPLIT")]
    pub held_out: Option<String>,
    /// Evaluate on every fold of --held-out, each with a model that was fitted on the others, then fit the final model on all of
    /// their clips: what to do once nothing is to be chosen any more.
    #[arg(long)]
    pub refit: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub run: RunArgs,
}

/// Options of `svm`.
#[derive(Args, Clone, Debug)]
pub struct SvmArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub fit: FitArgs,
    /// Name of the model, the folder of its artifacts: 1 to 64 of a-z, 0-9, `-`, `_` and `.`.
    #[arg(long, value_name = "NAME", default_value = SvmClassifier::NAME, value_parser = model_name)]
    pub name: String,
    /// How C, gamma and the rest are chosen, as a JSON file of the form of `training.search` in artifact.json.
    #[arg(long, value_name = "FILE")]
    pub search: Option<PathBuf>,
}

/// What of the network is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Regime {
    /// The head alone, on embeddings that are computed once.
    #[default]
    Frozen,
    /// The head, then the last blocks with it.
    Finetune,
}

/// What the head of the network is, and how it is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HeadKind {
    /// Statistics and log-covariances of the channels, ridge regression.
    Ridge,
    /// Statistics alone, logistic regression.
    Logistic,
}

/// Options of `vgg19`.
#[derive(Args, Clone, Debug)]
pub struct Vgg19Args {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub fit: FitArgs,
    /// Name of the model, the folder of its artifacts: 1 to 64 of a-z, 0-9, `-`, `_` and `.`.
    #[arg(long, value_name = "NAME", default_value = Vgg19Classifier::NAME, value_parser = model_name)]
    pub name: String,
    /// Weights to begin with: a VGG19 of torchvision or timm (.safetensors, .pth), or a VGG19 artifact; else
    /// data/weights/vgg19.safetensors, as `train weights fetch` writes it; else those of a network in --artifacts, or elsewhere
    /// that models are found, that were learnt on photographs and not tuned since, such as the one that comes with Tonearm; else
    /// random ones.
    #[arg(long, value_name = "FILE", env = "TONEARM_WEIGHTS")]
    pub weights: Option<PathBuf>,
    /// A trained network to start from: the name of a model that is found, or the folder of an artifact. Its convolutions, normalisations,
    /// statistics and the standardisation of its input are kept; the head is new, for the labels of this dataset. It must take the
    /// features of --spec.
    #[arg(long, value_name = "ARTIFACT")]
    pub init: Option<PathBuf>,
    /// What is trained.
    #[arg(long, value_enum, default_value_t)]
    pub regime: Regime,
    /// What the head takes, and how it is fitted [default: ridge with frozen convolutions, logistic with --regime finetune, which tunes no
    /// other].
    #[arg(long, value_enum, value_name = "KIND")]
    pub head: Option<HeadKind>,
    /// The hyperparameters of the training, as a JSON file of the form of `training.fit.config` in artifact.json.
    #[arg(long, alias = "recipe", value_name = "FILE", conflicts_with_all = ["regime", "head"])]
    pub config: Option<PathBuf>,
    /// Epochs of the tuning, instead of those of the configuration.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub epochs: Option<usize>,
    /// What computes: flex, ndarray, wgpu, cuda.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub device: Backend,
    /// Folder of embeddings and unfinished trainings; a training that was killed goes on from there.
    #[arg(long, value_name = "DIR", env = "TONEARM_CACHE", default_value = DEFAULT_CACHE)]
    pub cache: PathBuf,
    /// Write no embeddings and no unfinished training, and read none.
    #[arg(long)]
    pub no_cache: bool,
}

const DEFAULT_CACHE: &str = "data/cache";

impl Vgg19Args {
    /// The frozen regime with what is there, as `train` without a command takes it.
    #[must_use]
    pub fn of(fit: FitArgs) -> Self {
        Self {
            fit,
            name: Vgg19Classifier::NAME.to_owned(),
            weights: std::env::var_os("TONEARM_WEIGHTS").map(PathBuf::from),
            init: None,
            regime: Regime::Frozen,
            head: None,
            config: None,
            epochs: None,
            device: Backend::default(),
            cache: std::env::var_os("TONEARM_CACHE").map_or_else(|| DEFAULT_CACHE.into(), PathBuf::from),
            no_cache: false,
        }
    }
}

/// Options of `ensemble`.
#[derive(Args, Clone, Debug)]
pub struct EnsembleArgs {
    /// The models that it joins, two or more, separated by commas: the version in use of each, or another as NAME@VERSION. They must have
    /// been trained on the same dataset with the same --held-out, --refit and --seed.
    #[arg(long, value_name = "NAME[@VERSION]", value_delimiter = ',', value_parser = member_name, default_values_t = default_members())]
    pub members: Vec<MemberName>,
    /// Name of the ensemble, the folder of its artifacts: 1 to 64 of a-z, 0-9, `-`, `_` and `.`.
    #[arg(long, value_name = "NAME", default_value = EnsembleClassifier::NAME, value_parser = model_name)]
    pub name: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub artifacts: ArtifactsArgs,
    /// Seed of the bootstrap of the interval, and of the plot of the clips.
    #[arg(long, value_name = "N", default_value_t = 42, allow_negative_numbers = true)]
    pub seed: u64,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// A model that is to be a member of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberName {
    /// Its name.
    pub name: String,
    /// The version, if it is not to be the one in use.
    pub version: Option<String>,
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

fn default_members() -> [MemberName; 2] {
    [SvmClassifier::NAME, Vgg19Classifier::NAME].map(|name| MemberName { name: name.to_owned(), version: None })
}

/// Parses NAME or NAME@VERSION.
fn member_name(text: &str) -> Result<MemberName, String> {
    let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
    let name = model_name(name)?;
    let version = version.map(names::check_version).transpose().map_err(|error| error.to_string())?;
    Ok(MemberName { name, version: version.map(str::to_owned) })
}

/// What can be done about weights.
#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
    /// Download a public VGG19 and keep its convolutions. A download that was cut goes on where it ended.
    ///
    /// The default is torchvision's network as timm publishes it on the Hugging Face hub. HF_ENDPOINT names another hub, HF_TOKEN
    /// a token for it; a file in the cache of huggingface_hub (HF_HOME) is not downloaded again.
    Fetch(FetchArgs),
}

/// The repository that `weights fetch` takes where none is named.
pub const DEFAULT_REPO: &str = "timm/vgg19.tv_in1k";

/// Options of `weights fetch`.
#[derive(Args, Debug)]
pub struct FetchArgs {
    /// Repository of a VGG19 of torchvision or timm on the hub [default: timm/vgg19.tv_in1k].
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<String>,
    /// Branch, tag or commit of the repository.
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub revision: String,
    /// File of the repository: a .safetensors, or what torch.save wrote (.pth, .bin).
    #[arg(long, value_name = "PATH", default_value = "model.safetensors")]
    pub file: String,
    /// Address of such a file elsewhere, instead of a repository.
    #[arg(long, value_name = "URL", env = "TONEARM_WEIGHTS_URL")]
    pub url: Option<String>,
    /// The file to write.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_WEIGHTS)]
    pub out: PathBuf,
    /// SHA-256 that the downloaded or the written file must have.
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// Accepted for older scripts; the whole file is always downloaded.
    #[arg(long, hide = true)]
    pub whole: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Parses the name of a model.
fn model_name(name: &str) -> Result<String, String> {
    names::check_model(name).map(str::to_owned).map_err(|error| error.to_string())
}

/// Options of `promote`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").args(["version", "previous", "pin", "unpin", "list"]).required(true).multiple(true)))]
pub struct PromoteArgs {
    /// The name of the model, such as svm; with --list every model when left out.
    #[arg(value_name = "MODEL", value_parser = model_name, required_unless_present = "list")]
    pub model: Option<String>,
    /// The version to put in use: 12 hexadecimal digits, as --list shows them.
    #[arg(value_name = "VERSION")]
    pub version: Option<String>,
    /// Go back to the version that was in use before.
    #[arg(long, conflicts_with = "version")]
    pub previous: bool,
    /// Keep the version in use, or the one that is put in use now: trainings and promotions leave it until --unpin.
    #[arg(long)]
    pub pin: bool,
    /// Let go of the pinned version, before anything else.
    #[arg(long)]
    pub unpin: bool,
    /// List the versions: which is in use, was before, or is pinned, how good each is, and which are damaged.
    #[arg(long, conflicts_with_all = ["version", "previous", "pin", "unpin"])]
    pub list: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub artifacts: ArtifactsArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `extract`.
#[derive(Args, Debug)]
pub struct ExtractArgs {
    /// A dataset of audio: see `train --help`.
    #[arg(long, value_name = "DATASET")]
    pub data: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub opening: OpenArgs,
    /// The store to write: a new folder, or a store to replace.
    #[arg(long, value_name = "STORE")]
    pub out: PathBuf,
    /// Features: a preset (gtzan-store, librosa) or a JSON file.
    #[arg(long, value_name = "NAME|FILE", default_value = "gtzan-store")]
    pub spec: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub run: RunArgs,
}

/// Options of `evaluate`.
#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// The artifact: its folder, or `artifacts/<model>` for the one in use.
    #[arg(long, value_name = "DIR")]
    pub artifact: PathBuf,
    /// Another artifact, to compare with on the same clips: paired difference by artist, McNemar's exact test, each class.
    #[arg(long, value_name = "DIR")]
    pub against: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub data: DataArgs,
    /// `given:train|valid|test|all` of the split that the dataset came with, `fault-filtered:train|valid|test|all` of GTZAN's catalogue, or
    /// `everything` for all clips of the dataset.
    #[arg(long, value_name = "SPLIT")]
    pub split: String,
    /// Seed of the bootstrap of the interval.
    #[arg(long, value_name = "N", default_value_t = 42, allow_negative_numbers = true)]
    pub seed: u64,
    /// Also write the report to this HTML file: figures, plots, mistakes, a projection of the clips, and the comparison if there is one.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Show in the report what bad recordings and short ones do to the model: a file that `experiments robustness --out` wrote.
    #[arg(long, value_name = "FILE", requires = "report")]
    pub robustness: Option<PathBuf>,
    /// Also write each clip's probabilities to this CSV file.
    #[arg(long, value_name = "FILE")]
    pub scores: Option<PathBuf>,
    /// What a network computes on: flex, ndarray, wgpu, cuda.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub device: Backend,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub run: RunArgs,
}

/// Options of `card`.
#[derive(Args, Debug)]
pub struct CardArgs {
    /// The artifact: its folder, or `artifacts/<model>` for the one in use.
    #[arg(long, value_name = "DIR")]
    pub artifact: PathBuf,
    /// Say what bad recordings and short ones do to the model: a file that `experiments robustness --out` wrote.
    #[arg(long, value_name = "FILE")]
    pub robustness: Option<PathBuf>,
    /// The Markdown file to write, instead of printing it.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// The model: the name of one that is found, or the folder of an artifact.
    #[arg(value_name = "MODEL", default_value = SvmClassifier::NAME)]
    pub model: PathBuf,
    /// The ONNX file to write.
    #[arg(long, value_name = "FILE")]
    pub onnx: PathBuf,
    /// Frames of a segment, for clips that are shorter than the segments of the model [default: those of its specification].
    #[arg(long, value_name = "N")]
    pub frames: Option<usize>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub artifacts: ArtifactsArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// The audio file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Features: a preset (gtzan-store, librosa) or a JSON file.
    #[arg(long, value_name = "NAME|FILE", default_value = "gtzan-store")]
    pub spec: String,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `audit`.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// The dataset: audio in any of the forms of `train --help`, or a feature store.
    #[arg(long, value_name = "DATASET")]
    pub data: PathBuf,
    /// Also write the findings to this Parquet or CSV file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub run: RunArgs,
}

/// Options of `manifest`.
#[derive(Args, Debug)]
pub struct ManifestArgs {
    /// The dataset: audio in any of the forms of `train --help`, or a feature store.
    #[arg(long, value_name = "DATASET")]
    pub data: PathBuf,
    /// The Parquet or CSV file to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `synth`.
#[derive(Args, Debug)]
pub struct SynthArgs {
    /// The folder to write; it must not exist.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Clips of each genre.
    #[arg(long, value_name = "N", default_value_t = 12, allow_negative_numbers = true)]
    pub clips_per_genre: usize,
    /// Length of each clip.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, allow_negative_numbers = true)]
    pub seconds: f64,
    /// Seed of the clips.
    #[arg(long, value_name = "N", default_value_t = 42, allow_negative_numbers = true)]
    pub seed: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub run: RunArgs,
}

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// A dataset of audio, instead of the synthetic one that each run makes; all runs then have one user.
    #[arg(long, value_name = "DATASET")]
    pub data: Option<PathBuf>,
    /// Features: a preset (gtzan-store, librosa) or a JSON file.
    #[arg(long, value_name = "NAME|FILE", default_value = "gtzan-store")]
    pub spec: String,
    /// The hyperparameters of the small network, as a JSON file like that of `vgg19 --config`.
    #[arg(long, alias = "recipe", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The digests that must be found again.
    #[arg(long, value_name = "FILE", default_value = "experiments/reproducibility.lock")]
    pub lock: PathBuf,
    /// Compare the runs with each other alone.
    #[arg(long, conflicts_with = "write_lock")]
    pub no_lock: bool,
    /// Write what the runs agree on into the lock, instead of asking it.
    #[arg(long)]
    pub write_lock: bool,
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
