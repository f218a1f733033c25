//! `serve classify`: predicts the labels of files, without a server.
//!
//! | step | module |
//! |---|---|
//! | names on the command line → files, and models | `files`, `models` |
//! | what an earlier run has done, by the content of the audio | `results`, `payload` |
//! | bytes → prediction, on several threads | [`Engine::predict`] |
//! | tags, on these threads too | `tags` |
//! | rows, in the order of the files | `row`, `output` |
//! | progress and failures, on standard error | `console` |
//! | playlists and counts, at the end | `playlists`, `summary` |

mod console;
mod files;
mod models;
mod options;
mod output;
mod payload;
mod playlists;
mod results;
mod row;
mod summary;
mod tags;

use std::{
    io::{self, IsTerminal as _},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use features::decode;
use futures_util::{StreamExt as _, stream};
use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
};

pub use self::options::ClassifyArgs;
use self::{
    console::{AtHand, Console, Counts},
    files::{Failure, File},
    options::{Format, Options},
    output::{Output, Renderer},
    payload::AudioDigest,
    playlists::Playlists,
    results::{Index, Results},
    row::{Answer, FileResult, Key, Predicted, Row},
    summary::Summary,
    tags::{Done, TagError},
};
use super::{FAILURE, SUCCESS};
use crate::{
    Engine, Error, PredictRequest, Rejection, Result,
    engine::{model::Model, pool::Permit},
    repository::Origin,
};

/// The exit code of a program that ctrl-c or SIGTERM ended.
const INTERRUPTED: u8 = 130;
/// Files whose predictions may wait for that of an earlier file.
const AHEAD: usize = 1024;

/// What predicts: shared by the files that are at hand.
struct Job<'a> {
    engine: Arc<Engine>,
    models: &'a [Arc<Model>],
    limits: decode::Limits,
    min_probability: f64,
    /// What an earlier run has done.
    index: Index,
    tags: Option<tags::Writer>,
    console: &'a Console,
    stop: Arc<AtomicBool>,
}

/// What is made of the results, in the order of the files.
struct Report<'a> {
    models: &'a [Arc<Model>],
    renderer: Renderer,
    output: Output,
    playlists: Option<Playlists>,
    summary: Summary,
    console: &'a Console,
    counts: Counts,
    /// Files that were reported.
    done: usize,
    tag_field: String,
}

/// Classifies files: predictions go to standard output or a file, all else to standard error. Gives the exit code.
///
/// # Errors
/// [`Error`], where no file could be tried: there is no artifact, or it cannot be used; or where the output fails.
pub fn run(args: &ClassifyArgs) -> Result<u8> {
    let options = args.options(io::stdout().is_terminal())?;
    // One thread watches for signals while this one writes.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build();
    let runtime = runtime.map_err(system("the async runtime"))?;
    let stop = {
        let _entered = runtime.enter();
        watch_signals().map_err(system("the handler of ctrl-c"))?
    };
    let (engine, left_out) = models::load(args)?;
    let models: Vec<_> = engine.slots().iter().filter_map(|slot| slot.get()).collect();
    let mut found = files::find(&args.files)?;
    check(&options, &models, &found.files)?;
    if options.sort == Some(options::Sort::Path) {
        found.files.sort_by(|a, b| a.path().cmp(&b.path()));
    }

    let console = Console::new(found.files.len());
    if let Some(left_out) = &left_out {
        console.say(left_out);
    }
    for model in &models {
        say_provenance(model, options.format, &console);
    }
    for failure in &found.failures {
        console.say(failure);
    }
    let (mut report, index) = open(&options, &models, &found.files, &console)?;
    report.counts.failed = found.failures.len();
    let limits = args.limits();
    let tags = options.tags.clone().map(tags::Writer::new);
    let (min_probability, console) = (options.min_probability, &console);
    let job = Job { engine, models: &models, limits, min_probability, index, tags, console, stop };
    let written = runtime.block_on(async {
        let job = &job;
        let predict = |file| async move { (file, job.predict(file).await) };
        let mut results = stream::iter(&found.files).map(predict).buffered(AHEAD);
        while let Some((file, result)) = results.next().await {
            if let Some(result) = result {
                report.add(file, &result)?;
            }
        }
        Ok(())
    });
    console.finish();
    let interrupted = job.stop.load(Ordering::Relaxed) && report.done < found.files.len();
    let ended = written.map_err(|source| report.failure(source)).and_then(|()| report.end(&options, interrupted));
    match ended {
        Ok(()) => {}
        // The reader has enough, as `head` has.
        Err(Error::Write { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => return Ok(SUCCESS),
        Err(error) => {
            console.say(&report.how_to_go_on(found.files.len()));
            return Err(error);
        }
    }
    console.summarise(&report.counts, found.files.len(), interrupted);
    if interrupted {
        console.say(&report.how_to_go_on(found.files.len()));
    }
    Ok(match (interrupted, report.counts.failed + report.counts.tags.failed) {
        (true, _) => INTERRUPTED,
        (false, 0) => SUCCESS,
        _ => FAILURE,
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
/// part of the program or a fallback, and that it was trained on synthetic audio.
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

/// Refuses what takes one genre for each file of a path, where there are several models, or no path.
fn check(options: &Options, models: &[Arc<Model>], files: &[File]) -> Result<()> {
    let wants = [("--write-tags", options.tags.is_some()), ("--m3u", options.playlists.is_some())];
    for (option, _) in wants.into_iter().filter(|(_, wanted)| *wanted) {
        if models.len() > 1 {
            return Err(Error::Usage(format!("{option} takes the genre of one model; name one with --model")));
        }
        if files.iter().any(|file| file.path().is_none()) {
            return Err(Error::Usage(format!("{option} takes files; standard input (`-`) is none")));
        }
    }
    Ok(())
}

/// Opens the output, and says what is done already.
fn open<'a>(
    options: &Options,
    models: &'a [Arc<Model>],
    files: &[File],
    console: &'a Console,
) -> Result<(Report<'a>, Index)> {
    let renderer = Renderer::new(options.format, models, files);
    let of_stdout = |source| Error::Write { what: "standard output".to_owned(), source };
    let header = renderer.header().map_err(of_stdout)?;
    let labels = models.iter().flat_map(|model| model.labels()).map(|label| label.as_str());
    let playlists =
        options.playlists.as_ref().map(|(folder, paths)| Playlists::new(folder, *paths, labels)).transpose()?;
    let (output, index) = match &options.output {
        None => {
            output::put(&header).map_err(of_stdout)?;
            (Output::Stdout { sort: options.sort, held: Vec::new() }, Index::default())
        }
        Some(path) => {
            let (results, index, opened) = Results::open(path, options.format, header, models)?;
            let name = results.shown();
            if opened.mended {
                console.say(&format!("{name}: its last row was cut off, and was taken out"));
            }
            if opened.rows + opened.failed > 0 {
                let again = if opened.failed > 0 {
                    format!(", {} of files that failed are tried again", opened.failed)
                } else {
                    String::new()
                };
                console.say(&format!("{name}: goes on from {} rows{again}", opened.rows));
            }
            (Output::File { sort: options.sort, results: Box::new(results) }, index)
        }
    };
    let summary = Summary::new(models);
    let tag_field = options.tags.as_ref().map_or_else(String::new, |tags| tags.field.name().to_owned());
    let report =
        Report { models, renderer, output, playlists, summary, console, counts: Counts::default(), done: 0, tag_field };
    Ok((report, index))
}

impl Job<'_> {
    /// Reads a file and has every model predict it, unless it is done; writes its tags. Nothing, if it was to stop before that was begun.
    async fn predict(&self, file: &File) -> Option<FileResult> {
        let permit = match self.engine.pool().acquire().await {
            Ok(permit) => permit,
            Err(error) => return Some(FileResult::failed(&Rejection::from(error).into(), self.models.len())),
        };
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let at_hand = self.console.at_hand(file);
        Some(match self.answers(&permit, file, &at_hand).await {
            Ok((answers, digest)) => {
                let tags = self.write_tags(&permit, file, &answers, digest, &at_hand).await;
                let predicted = answers.iter().any(|answer| answer.failure().is_none());
                FileResult { answers, digest: predicted.then_some(digest), tags }
            }
            Err(failure) => FileResult::failed(&failure, self.models.len()),
        })
    }

    async fn answers(
        &self,
        permit: &Permit,
        file: &File,
        at_hand: &AtHand<'_>,
    ) -> Result<(Vec<Answer>, AudioDigest), Failure> {
        let (reading, limits, progress) = (file.clone(), self.limits, at_hand.progress());
        let opened = permit.run(move |_| reading.open(&limits, progress));
        let (audio, digest) = opened.await.map_err(Rejection::from)??;
        let mut answers = Vec::new();
        for (number, model) in self.models.iter().enumerate() {
            if let Some(stored) = self.index.find(digest, number, &file.name()) {
                answers.push(stored);
                continue;
            }
            at_hand.now(model.name());
            let input = audio.clone().into();
            let request = PredictRequest { model: Arc::clone(model), input, explain: None };
            let response = self.engine.predict(permit, request).await.map_err(Failure::from);
            answers
                .push(Answer::New(response.map(|response| Box::new(Predicted::new(response, self.min_probability)))));
        }
        Ok((answers, digest))
    }

    /// Writes the genre into the tags, if that is wanted and there is one.
    async fn write_tags(
        &self,
        permit: &Permit,
        file: &File,
        answers: &[Answer],
        digest: AudioDigest,
        at_hand: &AtHand<'_>,
    ) -> Option<Result<Done, TagError>> {
        let (writer, path) = (self.tags.clone()?, file.path()?.to_owned());
        let top =
            answers.first()?.top().filter(|top| !top.genre.is_empty() && top.probability >= self.min_probability)?;
        let genre = top.genre.clone();
        at_hand.now("tags of");
        let written = permit.run(move |_| writer.write(&path, digest, &genre)).await;
        Some(written.unwrap_or_else(|error| Err(TagError::Unsupported(error.to_string()))))
    }
}

impl Report<'_> {
    /// Counts a file and writes its rows.
    fn add(&mut self, file: &File, result: &FileResult) -> io::Result<()> {
        self.console.step();
        self.done += 1;
        let failures: Vec<(&str, &Failure)> = result
            .answers
            .iter()
            .zip(self.models)
            .filter_map(|(answer, model)| Some((&**model.name(), answer.failure()?)))
            .collect();
        let shown = file.shown();
        match *failures {
            [] => self.count(result),
            [(_, failure), ..] if file.may_be_no_audio() && failure.is_not_audio() => {
                self.counts.skipped += 1;
                self.console.say(&format!("{shown}: skipped: {failure}"));
                if file.was_found() {
                    return Ok(());
                }
            }
            // What is wrong with the file itself is the same for every model.
            [(_, failure), ..] if failures.len() == result.answers.len() => {
                self.counts.failed += 1;
                self.console.say(&format!("{shown}: {failure}"));
            }
            _ => {
                self.counts.failed += 1;
                failures.iter().for_each(|(model, failure)| self.console.say(&format!("{shown}, {model}: {failure}")));
            }
        }
        self.say_tags(&shown, result);
        self.summary.add(result);
        if let (Some(playlists), Some(path), Some(top)) =
            (&mut self.playlists, file.path(), result.answers.first().and_then(Answer::top))
            && !top.genre.is_empty()
        {
            playlists.add(&top.genre, path, top.seconds);
        }
        let rows = self.rows(file, result)?;
        let key = Key::new(file.name(), result.answers.first().and_then(Answer::top));
        self.console.aside(|| self.output.write(key, rows))
    }

    fn count(&mut self, result: &FileResult) {
        self.counts.classified += 1;
        let is_stored = |answer: &Answer| matches!(answer, Answer::Stored { .. });
        self.counts.stored += usize::from(result.answers.iter().all(is_stored));
        let is_unknown = |answer: &Answer| answer.top().is_some_and(|top| top.genre.is_empty());
        self.counts.unknown += usize::from(result.answers.iter().any(is_unknown));
    }

    /// The rows of a file, but for those that are there.
    fn rows(&self, file: &File, result: &FileResult) -> io::Result<Vec<u8>> {
        let agree = result.agree();
        let mut rows = Vec::new();
        for (answer, model) in result.answers.iter().zip(self.models) {
            match (answer, &self.output) {
                (Answer::New(prediction), _) => {
                    let prediction = prediction.as_ref().map(|predicted| &**predicted);
                    let row = Row { file, model, prediction, digest: result.digest, agree };
                    rows.extend(self.renderer.row(&row)?);
                }
                (Answer::Stored { elsewhere: Some(place), .. }, Output::File { results, .. }) => {
                    rows.extend(results.renamed(place, file)?);
                }
                (Answer::Stored { .. }, _) => {}
            }
        }
        Ok(rows)
    }

    /// Counts what was done with the tags of a file, and says it unless it was what was wanted.
    fn say_tags(&mut self, file: &str, result: &FileResult) {
        let Some(done) = &result.tags else { return };
        let genre = result.answers.first().and_then(Answer::top).map_or("", |top| top.genre.as_str());
        let (counts, field) = (&mut self.counts.tags, &self.tag_field);
        let instead = |before: &Option<String>| {
            before.as_ref().map(|before| format!(" in place of `{before}`")).unwrap_or_default()
        };
        match done {
            Ok(Done::Written { links, .. }) => {
                counts.written += 1;
                if *links > 1 {
                    self.console.say(&format!(
                        "{file}: its {} other names (hard links) keep the file without the tag",
                        links - 1
                    ));
                }
            }
            Ok(Done::WouldWrite { before }) => {
                counts.planned += 1;
                self.console.say(&format!("{file}: would write {field} `{genre}`{}", instead(before)));
            }
            Ok(Done::Kept { value }) => {
                counts.kept += 1;
                self.console.say(&format!("{file}: keeps {field} `{value}` (`{genre}` with --overwrite)"));
            }
            Ok(Done::Same) => counts.same += 1,
            Err(error) => {
                counts.failed += 1;
                self.console.say(&format!("{file}: {error}"));
            }
        }
    }

    /// What is made once all files are done: sorted rows, playlists, the summary.
    fn end(&mut self, options: &Options, interrupted: bool) -> Result<()> {
        self.output.finish(interrupted)?;
        if let Some(playlists) = self.playlists.as_ref().filter(|_| !interrupted) {
            self.console.say(&playlists.write()?);
        }
        let agreement = self.summary.agreement();
        let mut lines = if options.summary { self.summary.table() } else { String::new() };
        if let Some(agreement) = agreement {
            lines += &agreement;
            lines.push('\n');
        }
        // What a program reads from standard output has rows alone.
        match (&self.output, options.format) {
            (Output::Stdout { .. }, Format::Json | Format::Csv { .. }) => {
                lines.lines().for_each(|line| self.console.say(line))
            }
            (Output::Stdout { .. }, Format::Table { .. }) if !lines.is_empty() => {
                let written = output::put(format!("\n{lines}").as_bytes());
                written.map_err(|source| Error::Write { what: "standard output".to_owned(), source })?;
            }
            _ => {
                let written = output::put(lines.as_bytes());
                written.map_err(|source| Error::Write { what: "standard output".to_owned(), source })?;
            }
        }
        Ok(())
    }

    fn failure(&self, source: io::Error) -> Error {
        let what = match &self.output {
            Output::Stdout { .. } => "standard output".to_owned(),
            Output::File { results, .. } => results.shown(),
        };
        Error::Write { what, source }
    }

    /// What to do after a run that did not come to its end.
    fn how_to_go_on(&self, files: usize) -> String {
        let left = files - self.done.min(files);
        match &self.output {
            Output::File { results, .. } => {
                format!(
                    "run the same command again to go on: {} has what is done, and {left} files are left",
                    results.shown()
                )
            }
            Output::Stdout { .. } => format!(
                "{left} files are left; with --output FILE.csv (or .jsonl) a run keeps what is done, and the same command goes on from it"
            ),
        }
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { what, source }
}
