//! `serve classify`: predicts the labels of files, without a server.
//!
//! Names on the command line lead to files (`files`) and to models; [`Engine::predict`] predicts them on several threads; predictions are
//! written in the order of the files to standard output, progress and failures to standard error (`output`).

mod files;
mod output;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::{self, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::Bytes;
use clap::Args;
use features::decode;
use futures_util::{StreamExt as _, stream};
use models::vgg19::Backend;
use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
};

use self::{
    files::{Failure, File},
    output::{Console, Counts, Format, Output, Row},
};
use super::{artifacts::ArtifactsArgs, config_file::ConfigArgs};
use crate::{
    Engine, Error, Input, Limits, PredictRequest, PredictResponse, Rejection, Result,
    config::{Compute, ModelKind, ModelName, cores, seconds},
    engine::{
        model::Model,
        slot::{self, Source},
    },
    repository::{Contents, Origin, Repository},
};

/// The exit code of a program that ctrl-c or SIGTERM ended.
const INTERRUPTED: u8 = 130;
/// Files whose predictions may wait for that of an earlier file.
const AHEAD: usize = 1024;

/// Options of `serve classify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  serve classify song.mp3\n  serve classify --csv ~/music > genres.csv\n  \
                        curl -s https://example.org/song.ogg | serve classify --json -\n  serve classify --model dances song.mp3\n\
                        Of a folder, what is audio by its content is classified, in the order of the names; other files are \
                        skipped and named.\n\
                        Exit codes: 0 every file was classified, 1 some were not, 2 wrong usage or no artifact, 130 ctrl-c.")]
pub struct ClassifyArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Files; folders, with all that is below them; `-` for standard input
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,

    /// Name of the model that predicts, such as svm or vgg19, or `both` for these two; may be repeated [default: svm, or the only
    /// model that there is]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    model: Vec<ModelName>,

    #[command(flatten)]
    artifacts: ArtifactsArgs,

    /// One JSON object on each line: the response of the server, or its problem, and the file
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// A table as CSV, with a column for each label
    #[arg(long)]
    csv: bool,

    /// Add columns to the CSV that say which version of the model it is, what it was trained on, and how good it was found to be
    #[arg(long, requires = "csv")]
    provenance: bool,

    /// Worker threads: files that are classified at once [default: one for each core]
    #[arg(long, value_name = "N", env = "TONEARM_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Device of the network: flex or ndarray, on the CPU; wgpu or cuda, on a GPU, in a program built with that feature
    #[arg(long, value_name = "DEVICE", env = "TONEARM_DEVICE", default_value_t = Backend::default())]
    device: Backend,

    /// Largest file
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().max_body_bytes, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    max_bytes: u64,

    /// Longest audio, decoded
    #[arg(long, value_name = "SECONDS", env = "TONEARM_MAX_SECONDS", default_value_t = Limits::default().max_seconds, value_parser = seconds)]
    max_seconds: f64,
}

/// Stands for the models that have the names of the kinds.
const BOTH: &str = "both";

/// What each model predicted for a file, in the order of the models.
type Predictions = Vec<Result<PredictResponse, Failure>>;

/// Classifies files: predictions go to standard output, all else to standard error.
///
/// # Errors
/// [`Error`], where no file could be tried: there is no artifact, or it cannot be used; or where standard output fails.
pub fn run(args: &ClassifyArgs) -> Result<ExitCode> {
    // One thread watches for signals while this one writes.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build();
    let runtime = runtime.map_err(system("the async runtime"))?;
    let stop = {
        let _entered = runtime.enter();
        watch_signals().map_err(system("the handler of ctrl-c"))?
    };
    let engine = load(args)?;
    let models: Vec<_> = engine.slots().iter().filter_map(|slot| slot.get()).collect();
    let limits = decode::Limits { max_bytes: args.max_bytes, max_seconds: args.max_seconds };
    let found = files::find(&args.files)?;

    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv { provenance: args.provenance },
        _ => Format::Table { narrow: io::stdout().is_terminal() },
    };
    let console = Console::new(found.files.len());
    for model in &models {
        say_provenance(model, format, &console);
    }
    for failure in &found.failures {
        console.say(failure);
    }
    let mut counts = Counts { failed: found.failures.len(), ..Counts::default() };
    let mut output = Output::new(format, &models, &found.files, io::stdout());
    let written = output.begin().and_then(|()| {
        runtime.block_on(async {
            let (engine, models, stop) = (&engine, &models, &*stop);
            let predict = |file| async move { (file, predict(engine, models, file, limits, stop).await) };
            let mut predicted = stream::iter(&found.files).map(predict).buffered(AHEAD);
            while let Some((file, predictions)) = predicted.next().await {
                if let Some(predictions) = predictions {
                    report(file, &predictions, models, &mut output, &console, &mut counts)?;
                }
            }
            Ok(())
        })
    });
    console.finish();
    match written {
        Ok(()) => {}
        // The reader has enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(source) => return Err(Error::System { what: "writing the predictions", source }),
    }
    let done = counts.classified + counts.failed + counts.skipped - found.failures.len();
    let interrupted = stop.load(Ordering::Relaxed) && done < found.files.len();
    console.summarise(&counts, found.files.len(), interrupted);
    Ok(match (interrupted, counts.failed) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What the first ctrl-c or SIGTERM sets. The second one ends the process.
fn watch_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let set = Arc::clone(&stop);
    tokio::spawn(async move {
        loop {
            select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if set.swap(true, Ordering::Relaxed) {
                process::exit(INTERRUPTED.into());
            }
        }
    });
    Ok(stop)
}

/// Says where a model comes from, unless the format of the predictions says it; and what a reader must know in any case: that it is
/// part of the program, and that it was trained on synthetic audio.
fn say_provenance(model: &Model, format: Format, console: &Console) {
    let info = model.info();
    match format {
        Format::Table { .. } => {
            console.say(&format!("{model} {}: {} labels, {}", model.place(), info.labels, info.provenance));
        }
        _ if model.origin() == Some(Origin::Artifacts) => {}
        _ => console.say(&format!("{model} {}", model.place())),
    }
    if let Some(warning) = &info.provenance.warning {
        console.say(&format!("{model}: warning: {warning}"));
    }
}

/// The models that are named; without a name the SVM, or the only model that there is.
fn named(args: &ClassifyArgs, repository: &Repository) -> Result<Vec<ModelName>> {
    let of_kinds = || ModelKind::ALL.into_iter().map(ModelName::from);
    if !args.model.is_empty() {
        let all = args.model.iter().flat_map(|name| match &**name {
            BOTH => of_kinds().collect(),
            _ => vec![name.clone()],
        });
        return Ok(all.collect());
    }
    let svm = ModelName::from(ModelKind::Svm);
    let there = models_in(repository);
    match there.as_slice() {
        [only] => Ok(vec![only.clone()]),
        [] => Ok(vec![svm]),
        several if several.contains(&svm) => Ok(vec![svm]),
        several => Err(Error::Usage(format!(
            "{} holds several models; name one with --model: {}",
            repository.address(),
            list(several)
        ))),
    }
}

/// The models of a repository that can tell, in the order of their names.
fn models_in(repository: &Repository) -> Vec<ModelName> {
    let Ok(Contents::Models(names)) = repository.contents() else { return Vec::new() };
    let names = names.iter().filter_map(|name| name.parse::<ModelName>().ok());
    names.filter(|name| repository.current(name).is_ok()).collect()
}

fn list(names: &[ModelName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An engine with the models that are named, each checked as the server checks it.
fn load(args: &ClassifyArgs) -> Result<Arc<Engine>> {
    let threads = args.threads.map_or_else(cores, usize::from);
    let repository = args.artifacts.open()?;
    let models = named(args, &repository)?;
    let is_network = |name: &ModelName| match name.kind() {
        Some(kind) => kind.batches(),
        // What cannot be read is told below.
        None => repository
            .current(name)
            .and_then(|version| repository.kind(name, &version))
            .is_ok_and(|kind| ModelKind::named(&kind).is_some_and(ModelKind::batches)),
    };
    if models.iter().any(is_network) {
        slot::open_network(args.device, threads)?;
    }
    let source = Source { repository: Arc::new(repository), device: args.device, models, pinned: None };
    // Without a queue: a file waits for its permit before it is read.
    let compute = Compute { device: args.device, threads, queue: 0, cache_bytes: 0, ..Compute::default() };
    let limits = Limits { max_body_bytes: args.max_bytes, max_seconds: args.max_seconds, ..Limits::default() };
    let engine = Engine::new(&ModelKind::ALL, &limits, &compute, Some(&source))?;
    for slot in engine.slots() {
        slot.refresh().map_err(|error| advise(error, &source.repository))?;
    }
    Ok(Arc::new(engine))
}

/// The advice of [`Error`] is for a server.
fn advise(error: Error, repository: &Repository) -> Error {
    match error {
        Error::NoArtifact { name, artifacts, reason } => {
            let there = models_in(repository);
            let others = if there.is_empty() { String::new() } else { format!(" (there are: {})", list(&there)) };
            Error::Usage(format!(
                "no {name} artifact in {artifacts} ({reason}); train one with `cargo run --release -p train`, name another folder \
                 with --artifacts, or another model with --model{others}"
            ))
        }
        Error::WrongModel { name, artifacts, found, .. } => Error::Usage(format!(
            "the artifact in {artifacts} holds the model `{found}`; expected `{name}`; name another folder with --artifacts, or \
             another model with --model"
        )),
        error => error,
    }
}

/// Reads a file and has every model predict it; nothing, if `stop` was set before it was begun.
async fn predict(
    engine: &Arc<Engine>,
    models: &[Arc<Model>],
    file: &File,
    limits: decode::Limits,
    stop: &AtomicBool,
) -> Option<Predictions> {
    let failed = |failure: Failure| Some(models.iter().map(|_| Err(failure.clone())).collect());
    let permit = match engine.pool().acquire().await {
        Ok(permit) => permit,
        Err(error) => return failed(Rejection::from(error).into()),
    };
    if stop.load(Ordering::Relaxed) {
        return None;
    }
    let reading = file.clone();
    let bytes: Bytes = match permit.run(move |_| reading.read(&limits)).await {
        Ok(Ok(bytes)) => bytes.into(),
        Ok(Err(failure)) => return failed(failure),
        Err(error) => return failed(Rejection::from(error).into()),
    };
    let mut predictions = Predictions::new();
    for model in models {
        let bytes = bytes.clone();
        let input = Input::Audio { read: Box::new(|| Ok(bytes)), reservation: None };
        let request = PredictRequest { model: Arc::clone(model), input, explain: None };
        predictions.push(engine.predict(&permit, request).await.map_err(Failure::from));
    }
    Some(predictions)
}

/// Writes the predictions of a file, and counts it.
fn report(
    file: &File,
    predictions: &Predictions,
    models: &[Arc<Model>],
    output: &mut Output<io::Stdout>,
    console: &Console,
    counts: &mut Counts,
) -> io::Result<()> {
    let rows = || {
        let predictions = predictions.iter().zip(models);
        predictions.map(|(prediction, model)| Row { file, model, prediction: prediction.as_ref() })
    };
    let failures: Vec<(&str, &Failure)> = rows()
        .filter_map(|row| row.prediction.err().map(|failure| (row.model.info().name.as_str(), failure)))
        .collect();
    let (skippable, file) = (file.may_be_skipped(), file.shown());
    console.step();
    match *failures {
        [] => counts.classified += 1,
        [(_, failure), ..] if skippable && failure.is_not_audio() => {
            counts.skipped += 1;
            console.say(&format!("{file}: skipped: {failure}"));
            return Ok(());
        }
        // What is wrong with the file itself is the same for every model.
        [(_, failure), ..] if failures.len() == predictions.len() => {
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
