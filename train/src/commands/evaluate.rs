//! `train evaluate`: how good an artifact is on labelled clips.

use std::{collections::BTreeSet, fmt::Write as _, fs, io::IsTerminal as _, path::Path};

use anyhow::{Context, Result, bail};
use data::{LabelledSet, Split};
use models::artifact::{self, Artifact};
use serde_json::{Value, json};

use super::{open_set, print_json, say_rejected};
use crate::{
    cli::EvaluateArgs,
    interrupt::Scratch,
    metrics::{Evaluation, Scored},
    output,
    report::{self, Report},
    scoring, source, text,
};

/// Every clip of the corpus, whatever part it is in.
const EVERYTHING: &str = "everything";
/// What can be evaluated on.
const SPLITS: &str = "fault-filtered:train|valid|test|all, and everything";

/// Scores the artifact and prints the figures.
///
/// # Errors
/// When the artifact or a corpus cannot be read, or no clip is in the split.
pub fn run(args: &EvaluateArgs) -> Result<()> {
    if args.data.corpora.is_empty() {
        bail!("no corpus is named; add --data CORPUS");
    }
    let artifact = Artifact::open(&artifact::resolve(&args.artifact, None)?)?;
    let classifier = models::from_artifact(&artifact, args.device)?;
    let spec = classifier.extractor().spec();
    let split = chosen(&args.split)?;
    let scratch = Scratch::new().ok();
    let set = open_set(&args.data.corpora, spec, args.run.threads.into(), scratch.as_ref())?;
    if set.spec() != spec {
        bail!(
            "{} hears descriptors that a log-mel store does not hold; evaluate it on an audio tree, or train on the store",
            classifier.identity()
        );
    }
    let (indices, leaks) = clips_of(split, &set)?;
    let scored = scoring::score(classifier.as_ref(), &set, &indices, args.run.threads.into())?;
    let evaluation = Evaluation::new(classifier.labels(), &scored, args.seed);
    let seen = seen_in_training(&artifact.manifest().training, &scored);

    if let Some(path) = &args.scores {
        write(path, &scores_csv(classifier.labels(), &scored))?;
    }
    if let Some(path) = &args.report {
        let manifest = artifact.manifest();
        let page = report::html(&Report {
            model: &manifest.model,
            fingerprint: &manifest.fingerprint,
            training: &manifest.training,
            data: &manifest.data,
            split: &args.split,
            leaks: &leaks,
            warning: source::synthetic_warning(scored.iter().map(|clip| clip.clip_id.as_str())),
            curves: &[],
            evaluation: &evaluation,
            scored: &scored,
            command: &format!("train evaluate --artifact ARTIFACT --data CORPUS --split {}", args.split),
        });
        write(path, &page)?;
    }
    // A program reads what is piped, and figures of an evaluation are what programs want.
    if args.run.json || !std::io::stdout().is_terminal() {
        let mut object = serde_json::to_value(&evaluation)?;
        if let Value::Object(fields) = &mut object {
            fields.insert("split".into(), json!(args.split));
            fields.insert("left_out".into(), json!(set.len() - indices.len()));
            fields.insert("rejected".into(), json!(set.rejected().len()));
            fields.insert("seen_in_training".into(), json!(seen));
            fields.insert("model".into(), json!(classifier.identity().name));
            fields.insert("version".into(), json!(classifier.identity().version));
            fields.insert("fingerprint".into(), json!(classifier.identity().fingerprint));
        }
        return print_json(&object);
    }
    say_rejected(set.rejected());
    let (identity, left_out) = (classifier.identity(), set.len() - indices.len());
    output::line(format!("{identity} on {}: {} clips, {left_out} left out", args.split, evaluation.n))?;
    output::line(format!("This split leaks: {leaks}."))?;
    if seen > 0 {
        output::line(format!("Of these clips, {seen} were fitted on: the figures flatter."))?;
    }
    output::write(&text::figures(&evaluation))
}

/// The split that was named; `None` for every clip.
fn chosen(name: &str) -> Result<Option<Split>> {
    if name == EVERYTHING {
        return Ok(None);
    }
    match name.parse() {
        Ok(split @ Split::FaultFiltered(_)) => Ok(Some(split)),
        Ok(_) => bail!("`{name}` deals clips for a training; evaluate on {SPLITS}"),
        Err(_) => bail!("`{name}` is no split to evaluate on; there are {SPLITS}"),
    }
}

/// The clips of the split, and what it leaks.
fn clips_of(split: Option<Split>, set: &LabelledSet) -> Result<(Vec<usize>, String)> {
    let Some(split) = split else {
        return Ok(((0..set.len()).collect(), "whatever of these clips was fitted on or chosen by".into()));
    };
    let fold = split.folds(&set.items(), 0)?.swap_remove(0);
    Ok((fold.test, split.leaks().into()))
}

/// How many of the scored clips the artifact says it was fitted on.
fn seen_in_training(training: &Value, scored: &[Scored]) -> usize {
    let fitted: BTreeSet<&str> =
        training["clip_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    scored.iter().filter(|clip| fitted.contains(clip.clip_id.as_str())).count()
}

fn scores_csv(labels: &[String], scored: &[Scored]) -> String {
    let mut csv = format!("clip_id,genre,predicted,{}\n", labels.join(","));
    for clip in scored {
        let probabilities: Vec<_> = clip.probabilities.iter().map(f64::to_string).collect();
        let (truth, predicted) = (&labels[clip.truth], &labels[clip.predicted()]);
        let _ =
            writeln!(csv, "\"{}\",{truth},{predicted},{}", clip.clip_id.replace('"', "\"\""), probabilities.join(","));
    }
    csv
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}
