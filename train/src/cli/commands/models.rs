//! `train promote`, `card`, `export` and `weights fetch`: the version in use, the model card, ONNX files, and public weights.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use models::{
    artifact::{self, Artifact, SplitMetrics, names},
    ensemble::EnsembleClassifier,
    svm::SvmClassifier,
    vgg19::{Backend, Vgg19Classifier},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    cli::args::{CardArgs, DEFAULT_REPO, ExportArgs, FetchArgs, PromoteArgs},
    console::{interrupt, output, progress::Stage},
    evaluation::{self, robustness::Robustness},
    onnx,
    places::Places,
    weights::{Fetch, HubFile, Source},
};

/// Puts a version in use, pins it, lets go of the pin, or lists what there is.
///
/// # Errors
/// When the version is not there, is damaged or does not load, or another is pinned; the version in use stays as it was then.
pub fn promote(args: &PromoteArgs) -> Result<()> {
    let places = args.artifacts.places();
    let artifacts = places.folder();
    let Some(model) = args.model.as_deref() else { return list_all(args, artifacts) };
    let model_dir = artifacts.join(model);
    if !model_dir.is_dir() {
        bail!("no model `{model}` is in {}; {}", artifacts.display(), known(artifacts)?);
    }
    let there = artifact::versions(&model_dir)?;
    if args.list {
        let listing = Listing::read(model, &model_dir, there);
        return if args.json { output::print_json(&listing) } else { output::write(&listing.text(&model_dir)) };
    }
    let before = artifact::current(&model_dir).ok();
    let version = match &args.version {
        Some(version) => Some(version.clone()),
        None if args.previous => Some(artifact::previous(&model_dir)?),
        None => None,
    };
    if let Some(version) = &version {
        check(model, &model_dir, version, &there)?;
    }
    interrupt::uninterrupted(|| -> Result<()> {
        if args.unpin {
            artifact::unpin(&model_dir)?;
        }
        if let Some(version) = &version {
            artifact::set_current(&model_dir, version)?;
        }
        if args.pin {
            let in_use = version.clone().map_or_else(|| artifact::current(&model_dir), Ok)?;
            artifact::pin(&model_dir, &in_use)?;
        }
        Ok(())
    })?;
    let (current, pinned) = (artifact::current(&model_dir).ok(), artifact::pinned(&model_dir)?);
    if args.json {
        return output::print_json(&json!({ "model": model, "version": current, "before": before, "pinned": pinned }));
    }
    output::line(summary(model, current.as_deref(), before.as_deref(), pinned.as_deref(), args.unpin))
}

/// Lists the versions of every model.
fn list_all(args: &PromoteArgs, artifacts: &Path) -> Result<()> {
    let mut listings = Vec::new();
    for model in artifact::models(artifacts)? {
        let model_dir = artifacts.join(&model);
        listings.push((Listing::read(&model, &model_dir, artifact::versions(&model_dir)?), model_dir));
    }
    if args.json {
        return output::print_json(&listings.iter().map(|(listing, _)| listing).collect::<Vec<_>>());
    }
    if listings.is_empty() {
        return output::line(format!("no model is in {}; `train` makes one", artifacts.display()));
    }
    let texts: Vec<String> = listings.iter().map(|(listing, model_dir)| listing.text(model_dir)).collect();
    output::write(&texts.join("\n"))
}

/// Which models are in a folder of artifacts, for a message.
pub(super) fn known(artifacts: &Path) -> Result<String> {
    let models = artifact::models(artifacts)?;
    Ok(if models.is_empty() {
        "there is none; `train` makes one".into()
    } else {
        format!("there are: {}", models.join(", "))
    })
}

fn summary(model: &str, current: Option<&str>, before: Option<&str>, pinned: Option<&str>, unpinned: bool) -> String {
    let mut text = match (current, before) {
        (None, _) => format!("no version of {model} is in use"),
        (Some(current), Some(before)) if before != current => {
            format!("{model} {current} is in use; before, it was {before}, to which --previous goes back")
        }
        (Some(current), _) => format!("{model} {current} is in use"),
    };
    match pinned {
        Some(pinned) => {
            let _ = write!(text, "\n{pinned} is pinned: trainings and promotions leave it in use until --unpin");
        }
        None if unpinned => text.push_str("\nno version is pinned"),
        None => {}
    }
    text
}

/// Refuses a version that a server would refuse: its bytes are checked, and its model is loaded.
fn check(model: &str, model_dir: &Path, version: &str, there: &[String]) -> Result<()> {
    if !there.iter().any(|known| known == version) {
        bail!(
            "no version `{}` of {model} is in {}; there are: {}",
            version.escape_debug(),
            model_dir.display(),
            if there.is_empty() { "none".to_owned() } else { there.join(", ") }
        );
    }
    let artifact = Artifact::open(&model_dir.join(version))?;
    let found = &artifact.manifest().model;
    // A name that is that of a kind is for that kind; any other keeps the kind that it has.
    let expected = match model {
        SvmClassifier::NAME | Vgg19Classifier::NAME | EnsembleClassifier::NAME => Some(model.to_owned()),
        _ => in_use(model_dir).map(|in_use| in_use.manifest().model.clone()),
    };
    if let Some(expected) = expected.filter(|expected| expected != found) {
        bail!(
            "{} holds a model `{found}`, not `{expected}`; move it to the folder of its model",
            artifact.dir().display()
        );
    }
    models::from_artifact(&artifact, Backend::default())?;
    Ok(())
}

/// The artifact in use, if it can be read.
fn in_use(model_dir: &Path) -> Option<Artifact> {
    Artifact::open(&model_dir.join(artifact::current(model_dir).ok()?)).ok()
}

/// The versions of a model.
#[derive(Serialize)]
struct Listing {
    model: String,
    current: Option<String>,
    previous: Option<String>,
    pinned: Option<String>,
    versions: Vec<Version>,
    /// What of this could not be read.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Version {
    version: String,
    current: bool,
    previous: bool,
    pinned: bool,
    /// How good it is, as its training found; none of a damaged one.
    metrics: Vec<SplitMetrics>,
    /// Why it cannot be put in use.
    problem: Option<String>,
}

impl Listing {
    /// A listing is read when something is wrong, so whatever is wrong becomes part of it.
    fn read(model: &str, model_dir: &Path, there: Vec<String>) -> Self {
        let mut problems = Vec::new();
        let mut known = |answer: models::Result<Option<String>>| match answer {
            Ok(version) => version,
            Err(models::Error::NotFound { .. }) => None,
            Err(error) => {
                problems.push(error.to_string());
                None
            }
        };
        let current = known(artifact::current(model_dir).map(Some));
        let previous = if current.is_some() { known(artifact::previous(model_dir).map(Some)) } else { None };
        let pinned = known(artifact::pinned(model_dir));
        let is = |of: &Option<String>, version: &str| of.as_deref() == Some(version);
        let versions = there.into_iter().map(|version| {
            let (metrics, problem) = match Artifact::open(&model_dir.join(&version)) {
                Ok(artifact) => (artifact.manifest().metrics.clone(), None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            Version {
                current: is(&current, &version),
                previous: is(&previous, &version),
                pinned: is(&pinned, &version),
                version,
                metrics,
                problem,
            }
        });
        Self { model: model.to_owned(), versions: versions.collect(), current, previous, pinned, problems }
    }

    fn text(&self, model_dir: &Path) -> String {
        let mut text = format!("versions of {} in {}\n", self.model, model_dir.display());
        for Version { version, current, previous, pinned, metrics, problem } in &self.versions {
            let marks = [(*current, "in use"), (*previous, "before"), (*pinned, "pinned")];
            let marks: Vec<_> = marks.into_iter().filter_map(|(is, mark)| is.then_some(mark)).collect();
            let _ = write!(text, "{version}  {:<14}", marks.join(", "));
            for SplitMetrics { split, n, accuracy, .. } in metrics {
                let _ = write!(text, "  accuracy {accuracy:.3} on {split} ({n} clips)");
            }
            if let Some(problem) = problem {
                let _ = write!(text, "  damaged: {problem}");
            }
            text.push('\n');
        }
        if self.versions.is_empty() {
            text.push_str("none; `train` makes one\n");
        }
        for problem in &self.problems {
            let _ = writeln!(text, "{problem}");
        }
        text
    }
}

/// Writes the card to a file, or prints it.
///
/// # Errors
/// When the artifact cannot be read, or the card not written.
pub fn card(args: &CardArgs) -> Result<()> {
    let artifact = Artifact::open(&artifact::resolve(&args.artifact, None)?)?;
    let robustness =
        args.robustness.as_deref().map(|path| Robustness::read(path, &artifact.manifest().model)).transpose()?;
    let text = evaluation::card::markdown(&artifact, robustness.as_ref())?;
    match &args.out {
        Some(path) => fs::write(path, text).with_context(|| format!("failed to write {}", path.display())),
        None => output::write(&text),
    }
}

/// Writes a model as an ONNX file, and says what it takes and gives.
///
/// # Errors
/// When there is no such model, it cannot be read, or not be written as ONNX, or the file cannot be written.
pub fn export(args: &ExportArgs) -> Result<()> {
    let artifact = Artifact::open(&version_of(&args.model, &args.artifacts.places(), None)?)?;
    let kind = &artifact.manifest().model;
    let exported = onnx::export(&artifact, args.frames)
        .with_context(|| format!("failed to export {}", artifact.dir().display()))?;
    let path = &args.onnx;
    fs::write(path, &exported.bytes).with_context(|| format!("failed to write {}", path.display()))?;
    let (input, shape, labels) = (exported.input.name(), &exported.shape, &exported.labels);
    if args.json {
        return output::print_json(&json!({
            "path": path,
            "bytes": exported.bytes.len(),
            "model": kind,
            "version": artifact.version(),
            "fingerprint": artifact.manifest().fingerprint,
            "input": input,
            "shape": shape,
            "labels": labels,
        }));
    }
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    output::line(format!(
        "model     {kind} {}\ninput     {input} [segments, {}], f32\noutput    probabilities [segments, {}], f32; the mean over segments is that of the clip\nwritten   {}, {:.1} MB",
        artifact.version(),
        sizes.join(", "),
        labels.len(),
        path.display(),
        exported.bytes.len() as f64 / 1e6,
    ))
}

/// The folder of the version in use of the model `named` in the first place that has one, else of the artifact in the folder `named`; `kind`
/// is that of the model which is looked for in a folder of several.
///
/// # Errors
/// When there is neither.
pub(super) fn version_of(named: &Path, places: &Places, kind: Option<&str>) -> Result<PathBuf> {
    let artifacts = places.folder();
    let name = named.to_str().filter(|name| names::check_model(name).is_ok());
    let model_dir = name.and_then(|name| {
        let in_use = artifact::places::holding(places.all(), name).unwrap_or(artifacts);
        Some(in_use.join(name)).filter(|model_dir| model_dir.is_dir())
    });
    match model_dir {
        Some(model_dir) => Ok(artifact::resolve(&model_dir, None)?),
        None if named.exists() => Ok(artifact::resolve(named, kind)?),
        None => bail!(
            "no model `{}` is in {}, and there is no such folder; {}",
            named.display(),
            artifacts.display(),
            known(artifacts)?
        ),
    }
}

/// Fetches public weights of VGG19 and says what was kept.
///
/// # Errors
/// Those of [`Fetch::run`].
pub fn fetch_weights(args: &FetchArgs) -> Result<()> {
    let source = match (&args.url, &args.repo) {
        (Some(url), None) => Source::Url(url.clone()),
        (_, repo) => Source::Hub(HubFile {
            repo: repo.clone().unwrap_or_else(|| DEFAULT_REPO.to_owned()),
            revision: args.revision.clone(),
            file: args.file.clone(),
        }),
    };
    let stage = Stage::new("downloading weights");
    let request = Fetch { sha256: args.sha256.clone(), ..Fetch::new(source, args.out.clone()) };
    let fetched = request.run(&|done, total| stage.at(done as usize, total as usize))?;
    drop(stage);
    if args.json {
        return output::print_json(&json!({
            "path": fetched.path,
            "sha256": fetched.sha256,
            "source_sha256": fetched.source_sha256,
            "bytes_downloaded": fetched.bytes_downloaded,
            "bytes_kept": fetched.bytes_kept,
        }));
    }
    output::line(format!(
        "weights   {}\nSHA-256   {}\n{:.1} MB downloaded, {:.1} MB kept\ntrain it  cargo run --release -p train -- vgg19 --weights {}",
        fetched.path.display(),
        fetched.sha256,
        fetched.bytes_downloaded as f64 / 1e6,
        fetched.bytes_kept as f64 / 1e6,
        fetched.path.display(),
    ))
}
