//! `train evaluate`: how good an artifact is on labelled clips.

use std::{fs, io::IsTerminal as _, path::Path};

use anyhow::{Context, Result, bail};
use data::{LabelledDataset, Split, Unused, Warned};
use models::{
    Classifier,
    artifact::{self, Artifact},
};
use serde_json::{Value, json};

use crate::{
    cli::args::EvaluateArgs,
    console::{interrupt::Scratch, output},
    evaluation::{
        comparison::Paired,
        documents::Documents,
        metrics::{Evaluation, Scored},
        report::Against,
        robustness::Robustness,
        scoring::{self, ScoredClips},
        text,
    },
    source,
    training::dataset::open_dataset,
};

/// Every clip of the dataset, whatever part it is in.
const EVERYTHING: &str = "everything";
/// What can be evaluated on.
const SPLITS: &str = "given:train|valid|test|all, fault-filtered:train|valid|test|all, and everything";
/// What an artifact says of its training that is too long for a page.
const LONG: [&str; 2] = ["clip_ids", "fit"];

/// An artifact, and its predictions of the clips of a split.
struct Evaluated {
    artifact: Artifact,
    classifier: Box<dyn Classifier>,
    clips: ScoredClips,
    /// Digest of the clips.
    digest: String,
    /// Clips of the datasets that are not in the split.
    left_out: usize,
    rejected: usize,
    unused: Vec<Unused>,
    warned: Vec<Warned>,
    leaks: String,
}

/// Scores the artifact and prints the figures.
///
/// # Errors
/// When an artifact or a dataset cannot be read, no clip is in the split, or the two artifacts cannot be compared.
pub fn run(args: &EvaluateArgs) -> Result<()> {
    if args.data.datasets.is_empty() {
        bail!("no dataset is named; add --data DATASET");
    }
    let split = chosen(&args.split)?;
    // An artifact that cannot be read is said before the other is evaluated.
    let open = |path: &Path| Artifact::open(&artifact::resolve(path, None)?);
    let artifact = open(&args.artifact)?;
    let other = args.against.as_deref().map(open).transpose()?;
    let robustness =
        args.robustness.as_deref().map(|path| Robustness::read(path, &artifact.manifest().model)).transpose()?;
    let evaluated = Evaluated::new(artifact, split, args)?;
    let Evaluated { classifier, clips, unused, warned, leaks, left_out, .. } = &evaluated;
    let (identity, scored) = (classifier.identity(), &clips.scored);
    let labels: Vec<String> = classifier.labels().iter().map(ToString::to_string).collect();
    let evaluation = Evaluation::new(&labels, scored, args.seed);
    let seen = scoring::seen_in_training(&evaluated.artifact.manifest().training, scored);
    let other = other.map(|other| Evaluated::new(other, split, args)).transpose()?;
    let compared = other.as_ref().map(|other| -> Result<_> {
        let paired = Paired::new(&labels, scored, &other.clips.scored, args.seed)?;
        Ok((other.classifier.identity(), paired))
    });
    let compared = compared.transpose()?;
    let names = compared.as_ref().map(|(other, _)| (identity.to_string(), other.to_string()));

    if let Some(path) = &args.scores {
        write(path, &scores_csv(&labels, scored)?)?;
    }
    let manifest = evaluated.artifact.manifest();
    let documents = Documents {
        model: &manifest.model,
        split: &args.split,
        leaks,
        warning: source::synthetic_warning(scored.iter().map(|clip| clip.clip_id.as_str())),
        seed: args.seed,
        clips,
        evaluation: &evaluation,
        evaluation_data: evaluated.digest.clone(),
        fingerprint: &manifest.fingerprint,
        weights: evaluated.artifact.weights()?,
        data: &manifest.data,
        training: &short(&manifest.training),
        command: &command(args),
        against: compared
            .as_ref()
            .zip(names.as_ref())
            .map(|((_, paired), (_, other))| Against { model: other, paired }),
        learning: None,
        conformal: None,
        robustness: robustness.as_ref(),
        curves: &[],
    };
    if let Some(path) = &args.report {
        write(path, &documents.page())?;
    }
    // A program reads what is piped, and figures of an evaluation are what programs want.
    if args.run.json || !std::io::stdout().is_terminal() {
        let mut object = serde_json::to_value(documents.metrics())?;
        if let Value::Object(fields) = &mut object {
            fields.insert("split".into(), json!(args.split));
            fields.insert("left_out".into(), json!(left_out));
            fields.insert("rejected".into(), json!(evaluated.rejected));
            fields.insert("unused".into(), output::unused_json(unused));
            fields.insert("warnings".into(), output::warnings_json(warned));
            fields.insert("seen_in_training".into(), json!(seen));
            fields.insert("model".into(), json!(identity.name));
            fields.insert("version".into(), json!(identity.version));
            fields.insert("fingerprint".into(), json!(identity.fingerprint));
            if let Some((other, paired)) = &compared {
                fields.insert(
                    "against".into(),
                    json!({ "model": other.name, "version": other.version, "paired": paired }),
                );
            }
        }
        return output::print_json(&object);
    }
    output::say_unused(unused);
    output::say_warned(warned);
    output::line(format!("{identity} on {}: {} clips, {left_out} left out", args.split, evaluation.n))?;
    output::line(format!("This split leaks: {leaks}."))?;
    if seen > 0 {
        output::line(format!("Of these clips, {seen} were seen in training: the figures flatter."))?;
    }
    output::write(&text::figures(&evaluation))?;
    match compared.zip(names) {
        Some(((_, paired), (a, b))) => output::write(&text::paired(&a, &b, &paired)),
        None => Ok(()),
    }
}

impl Evaluated {
    /// Scores the clips of the split.
    fn new(artifact: Artifact, split: Option<Split>, args: &EvaluateArgs) -> Result<Self> {
        let threads = args.run.threads.into();
        let classifier = models::from_artifact(&artifact, args.device)?;
        let spec = classifier.extractor().spec();
        let scratch = Scratch::new().ok();
        let opening = args.data.opening.options()?;
        let set = open_dataset(&args.data.datasets, spec, &opening, threads, scratch.as_ref())?;
        if set.spec() != spec {
            bail!(
                "{} needs descriptors that a feature store does not hold; evaluate it on an audio folder, or train on the store",
                classifier.identity()
            );
        }
        let (indices, leaks) = clips_of(split, &set)?;
        let clips = scoring::score(classifier.as_ref(), &set, &indices, threads, &|_| Ok(None))?;
        Ok(Self {
            clips,
            digest: set.digest_of(&indices)?,
            left_out: set.len() - indices.len(),
            rejected: set.description().rejected,
            unused: set.unused().to_vec(),
            warned: set.warned().to_vec(),
            leaks,
            artifact,
            classifier,
        })
    }
}

/// The command, without the folders of this machine.
fn command(args: &EvaluateArgs) -> String {
    let against = if args.against.is_some() { " --against OTHER" } else { "" };
    let EvaluateArgs { split, seed, .. } = args;
    format!("train evaluate --artifact ARTIFACT{against} --data DATASET --split {split} --seed {seed}")
}

/// What an artifact says of its training, without long lists.
fn short(training: &Value) -> Value {
    let mut training = training.clone();
    if let Some(fields) = training.as_object_mut() {
        fields.retain(|field, value| !LONG.contains(&field.as_str()) || value.to_string().len() < 4_000);
    }
    training
}

/// The split that was named; `None` for every clip.
fn chosen(name: &str) -> Result<Option<Split>> {
    if name == EVERYTHING {
        return Ok(None);
    }
    match name.parse() {
        Ok(split @ (Split::FaultFiltered(_) | Split::Given(_))) => Ok(Some(split)),
        Ok(_) => bail!("`{name}` is a split to train by; evaluate on {SPLITS}"),
        Err(_) => bail!("unknown split `{name}`; evaluate on {SPLITS}"),
    }
}

/// The clips of the split, and what it leaks.
fn clips_of(split: Option<Split>, set: &LabelledDataset) -> Result<(Vec<usize>, String)> {
    let Some(split) = split else {
        return Ok(((0..set.len()).collect(), "whatever of these clips was fitted on or chosen by".into()));
    };
    let fold = split.folds(&set.items(), 0)?.swap_remove(0);
    Ok((fold.test, split.leaks().into()))
}

fn scores_csv(labels: &[String], scored: &[Scored]) -> Result<String> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["clip_id", "genre", "predicted"].into_iter().chain(labels.iter().map(String::as_str)))?;
    for clip in scored {
        let probabilities = clip.probabilities.iter().map(f64::to_string);
        let names = [&clip.clip_id, &labels[clip.truth], &labels[clip.predicted()]].map(String::clone);
        table.write_record(names.into_iter().chain(probabilities))?;
    }
    Ok(String::from_utf8(table.into_inner()?)?)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}
