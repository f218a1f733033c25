//! `serve classify`: the genre of files, without a server.
//!
//! | step | where |
//! |---|---|
//! | names on the command line → files, folders walked | `files` |
//! | files → answers, on several threads, in the order of the files | `work` |
//! | bytes → [`PredictResponse`], as the server has it | [`hear::answer`] |
//! | answers → a table, JSON or CSV on standard output | `output` |
//! | progress, and what went wrong, on standard error | `console` |

mod console;
mod files;
mod interrupt;
mod output;
mod work;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
};

use clap::{Args, ValueEnum};
use features::decode;
use models::{Classifier, vgg19::Backend};

use crate::{
    Error, Limits, PredictResponse, Rejection, Result,
    api::problem,
    cli::config::Kind,
    engine::{
        hear,
        slot::{self, Source},
    },
    repository::{Repository, RepositoryError},
};

use console::{Console, Counts};
use files::{Failure, File};
use output::{Form, Output, Row};

/// The exit code of a program that ctrl-c or SIGTERM ended.
const INTERRUPTED: u8 = 130;

/// Options of `serve classify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  serve classify song.mp3\n  serve classify --csv ~/music > genres.csv\n  \
                        curl -s https://example.org/song.ogg | serve classify --json -\n\
                        Of a folder, what is audio by its content is classified, in the order of the names; what is not is \
                        skipped, and said so.\n\
                        Exit codes: 0 every file was classified, 1 some were not, 2 wrong usage or no artifact, 130 ctrl-c.")]
pub struct ClassifyArgs {
    /// Files; folders, with all that is below them; `-` for standard input
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,

    /// Which model is asked
    #[arg(long, value_enum, default_value_t = Models::Svm)]
    model: Models,

    /// Folder that `train` writes to, or the folder of one version, or the URL of an object store: s3://, gs://, az://, http://
    #[arg(long, value_name = "DIR|URL", env = "TONEARM_ARTIFACTS", default_value = "artifacts")]
    artifacts: String,

    /// One JSON object a line: the server's answer, or its problem, and the file
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// A table as CSV, with a column for each label
    #[arg(long)]
    csv: bool,

    /// Files that are worked on at once [default: one for each core]
    #[arg(long, value_name = "N", env = "TONEARM_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// What computes the network: flex or ndarray, on the CPU; wgpu or cuda, on a GPU, in a program built with that feature
    #[arg(long, value_name = "DEVICE", env = "TONEARM_DEVICE", default_value_t = Backend::default())]
    device: Backend,

    /// Largest file
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().max_body_bytes, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    max_bytes: u64,

    /// Longest audio, decoded
    #[arg(long, value_name = "SECONDS", env = "TONEARM_MAX_SECONDS", default_value_t = Limits::default().max_seconds, value_parser = crate::cli::args::seconds)]
    max_seconds: f64,
}

/// Which models are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Models {
    /// The support vector machine
    Svm,
    /// The network
    Vgg19,
    /// Both, one after the other
    Both,
}

impl Models {
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Svm => &[Kind::Svm],
            Self::Vgg19 => &[Kind::Vgg19],
            Self::Both => &Kind::ALL,
        }
    }
}

/// What each model said of a file, in the order of the models.
type Answers = Vec<Result<PredictResponse, Failure>>;

/// Classifies files: answers go to standard output, all else to standard error.
///
/// # Errors
/// [`Error`], where no file could be tried: there is no artifact, or it cannot be used; or where standard output takes no more.
pub fn run(args: &ClassifyArgs) -> Result<ExitCode> {
    let threads = args.threads.map_or_else(crate::cli::args::cores, usize::from);
    let stop = interrupt::watch().map_err(system("the handler of ctrl-c"))?;
    let models = load(args, threads)?;
    let limits = decode::Limits { max_bytes: args.max_bytes, max_seconds: args.max_seconds };
    let found = files::find(&args.files)?;

    let form = match (args.json, args.csv) {
        (true, _) => Form::Json,
        (_, true) => Form::Csv,
        _ => Form::Table { narrow: io::stdout().is_terminal() },
    };
    let console = Console::new(found.files.len());
    for failure in &found.failures {
        console.say(failure);
    }
    let mut counts = Counts { failed: found.failures.len(), ..Counts::default() };
    let mut output = Output::new(form, &models, &found.files, io::stdout());
    let written = output.begin().and_then(|()| {
        let answer = |index: usize| found.files.get(index).map(|file| ask(&models, file, &limits));
        let take = |index: usize, answers: Option<Answers>| match (found.files.get(index), answers) {
            (Some(file), Some(answers)) => tell(file, &answers, &models, &mut output, &console, &mut counts),
            _ => Ok(()),
        };
        work::in_order(found.files.len(), threads, &stop, answer, take)
    });
    console.finish();
    match written {
        Ok(()) => {}
        // Whoever reads has enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(source) => return Err(Error::System { what: "writing the answers", source }),
    }
    let done = counts.classified + counts.failed + counts.skipped - found.failures.len();
    let interrupted = stop.load(Ordering::Relaxed) && done < found.files.len();
    console.sum_up(&counts, found.files.len(), interrupted);
    Ok(match (interrupted, counts.failed) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Loads the models that are asked, in order, each checked as the server checks it.
fn load(args: &ClassifyArgs, threads: usize) -> Result<Vec<Arc<dyn Classifier>>> {
    let kinds = args.model.kinds();
    if kinds.contains(&Kind::Vgg19) {
        slot::open_network(args.device, threads)?;
    }
    let repository =
        Repository::open(&args.artifacts).map_err(|error| Error::Usage(format!("--artifacts: {error}")))?;
    let source = Source { repository: Arc::new(repository), device: args.device, pinned: None };
    let load = |kind: Kind| {
        let of = |error: RepositoryError| error.of(kind);
        let version = source.repository.current(kind.name()).map_err(of)?;
        source.load(kind, &version)
    };
    kinds.iter().map(|kind| load(*kind).map_err(advise)).collect()
}

/// The advice of [`Error`] is for a server.
fn advise(error: Error) -> Error {
    match error {
        Error::NoArtifact { kind, artifacts, reason } => Error::Usage(format!(
            "no {} artifact in {artifacts} ({reason}); train one with `cargo run --release -p train`, name another folder \
             with --artifacts, or another model with --model",
            kind.name()
        )),
        Error::WrongModel { kind, artifacts, found } => Error::Usage(format!(
            "the artifact in {artifacts} holds the model `{found}`, and `{}` is asked; name another folder with \
             --artifacts, or another model with --model",
            kind.name()
        )),
        error => error,
    }
}

/// Reads a file and asks every model.
fn ask(models: &[Arc<dyn Classifier>], file: &File, limits: &decode::Limits) -> Answers {
    match file.read(limits) {
        Ok(bytes) => models.iter().map(|model| answer(&**model, &bytes, limits).map_err(Failure::from)).collect(),
        Err(failure) => models.iter().map(|_| Err(failure.clone())).collect(),
    }
}

/// What the server would answer. One file that makes a model panic is no reason to leave the others.
fn answer(model: &dyn Classifier, audio: &[u8], limits: &decode::Limits) -> Result<PredictResponse, Rejection> {
    let answer = std::panic::AssertUnwindSafe(|| hear::answer(model, audio, limits));
    std::panic::catch_unwind(answer).unwrap_or_else(|_| Err(Rejection::internal("the model panicked")))
}

/// Writes what was found in a file, and counts it.
fn tell(
    file: &File,
    answers: &Answers,
    models: &[Arc<dyn Classifier>],
    output: &mut Output<io::Stdout>,
    console: &Console,
    counts: &mut Counts,
) -> io::Result<()> {
    let rows = || {
        let answers = answers.iter().zip(models);
        answers.map(|(answer, model)| Row { file, model: model.identity(), answer: answer.as_ref() })
    };
    let failures: Vec<(&str, &Failure)> =
        rows().filter_map(|row| row.answer.err().map(|failure| (row.model.name.as_str(), failure))).collect();
    let (skippable, file) = (file.may_be_skipped(), file.shown());
    console.step();
    match *failures {
        [] => counts.classified += 1,
        [(_, failure), ..] if skippable && failure.is_no_audio() => {
            counts.skipped += 1;
            console.say(&format!("{file}: skipped: {failure}"));
            return Ok(());
        }
        // What is wrong with the file itself is the same for every model.
        [(_, failure), ..] if failures.len() == answers.len() => {
            counts.failed += 1;
            console.say(&format!("{file}: {failure}"));
        }
        _ => {
            counts.failed += 1;
            failures.iter().for_each(|(model, failure)| console.say(&format!("{file}, {model}: {failure}")));
        }
    }
    console.aside(|| rows().try_for_each(|row| output.write(&row)))
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { what, source }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(Arc::new(rejection))
    }
}

/// Whether a problem says that the bytes are no audio at all.
fn is_no_audio(kind: &problem::Kind) -> bool {
    *kind == problem::NOT_AUDIO || *kind == problem::EMPTY_AUDIO
}
