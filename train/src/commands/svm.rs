//! `train svm`, and `train` without a command: from music to an artifact that a server loads.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use data::{Fold, LabelledSet, Part, Split};
use features::{Extractor, Fingerprint};
use models::{
    Identity,
    artifact::{self, DataDescription, Draft, SplitMetrics, Written},
    svm::SvmClassifier,
};
use serde_json::json;

use super::{open_set, print_json, read_spec, say_rejected};
use crate::{
    cli::FitArgs,
    describe,
    interrupt::{self, Scratch},
    metrics::Evaluation,
    output,
    progress::Stage,
    report::{self, Report},
    scoring,
    source::{self, Source},
    svm::{self, FittedSvm, Search, TrainingSet},
    text,
};

/// Folds of the split by artist that holds clips out where GTZAN's own split does not apply.
const FOLDS: usize = 4;

/// Trains, evaluates on the clips that were held out, writes the artifact and puts it in use.
///
/// # Errors
/// When there is no usable music, or the artifact cannot be written.
pub fn run(args: &FitArgs) -> Result<()> {
    let threads = args.run.threads.into();
    // What is wrong with the settings is said before anything that takes long.
    let spec = read_spec(&args.spec)?;
    let named = args.held_out.as_deref().map(held_out_split).transpose()?;
    can_write_into(&args.artifacts)?;
    let source = Source::choose(&args.data.corpora, args.seed, threads)?;
    if args.run.json {
        output::remark(&source.announcement);
    } else {
        output::line(&source.announcement)?;
    }

    let scratch = Scratch::new().ok();
    let set = open_set(&source.corpora, &spec, threads, scratch.as_ref())?;
    let split = named.unwrap_or_else(|| default_split(&set));
    let Fold { train, test } = split.folds(&set.items(), args.seed)?.swap_remove(0);
    if train.is_empty() {
        bail!("nothing is left to fit on beside {split}; name a corpus with the train part too");
    }
    let labels = describe::labels(&set, &train);
    if let [genre] = labels.as_slice() {
        bail!(
            "all {} clips to fit on are {genre}; a classifier needs two genres or more: add clips of others",
            train.len()
        );
    }
    let extractor = Extractor::new(set.spec().clone())?;
    let training = describe::training_set(&set, &train, &labels, &extractor, threads)?;
    let fitted = fit(&training, &labels, args.seed, threads)?;
    let written = interrupt::uninterrupted(|| -> Result<_> {
        let written = keep(args, &set, &split, &train, &test, labels, extractor, &fitted)?;
        artifact::set_current(&args.artifacts.join(SvmClassifier::NAME), &written.artifact.version)?;
        Ok(written)
    })?;
    written.say(args, &set, &split, &test)
}

/// The split that was named, if it holds clips out.
fn held_out_split(name: &str) -> Result<Split> {
    let split = name.parse()?;
    match split {
        Split::FaultFiltered(Part::Valid | Part::Test) | Split::ArtistKFold { .. } | Split::TrackKFold { .. } => {
            Ok(split)
        }
        _ => {
            bail!("`{name}` holds no clip out that is not fitted on; use fault-filtered:valid or artist-kfold:{FOLDS}")
        }
    }
}

/// GTZAN's own split where every clip is GTZAN's, else one by artist.
fn default_split(set: &LabelledSet) -> Split {
    if set.clips().iter().all(|clip| clip.part.is_some()) {
        Split::FaultFiltered(Part::Valid)
    } else {
        Split::ArtistKFold { k: FOLDS }
    }
}

/// Refuses a folder for artifacts that cannot be written, and leaves nothing there.
fn can_write_into(folder: &Path) -> Result<()> {
    let here = Path::new(".");
    let mut ancestors = folder.ancestors().map(|path| if path.as_os_str().is_empty() { here } else { path });
    let there = ancestors.find(|path| path.symlink_metadata().is_ok()).unwrap_or(here);
    tempfile::tempfile_in(there).map(drop).with_context(|| {
        format!(
            "cannot keep artifacts in {}: {} cannot be written; name another with --artifacts",
            folder.display(),
            there.display()
        )
    })
}

fn fit(training: &TrainingSet, labels: &[String], seed: u64, threads: usize) -> Result<FittedSvm> {
    let stage = Stage::new("choosing C and gamma");
    svm::fit(training, &Search::default(), seed, threads, &|done, total| stage.at(done, total)).map_err(|error| match error {
        svm::Error::TooFewGroups { class, clips, groups } => anyhow!(
            "{} has {clips} clip(s) of {groups} artist(s) to fit on; two artists of every genre are needed, so that choices can \
             be judged on music of artists that were not fitted on: add clips, leave the genre out, or name artists in clips.csv",
            labels[class]
        ),
        other => other.into(),
    })
}

/// An artifact on disk, and how good it is.
struct Kept {
    artifact: Written,
    evaluation: Evaluation,
    fingerprint: Fingerprint,
    cross_validated: f64,
    fitted_on: usize,
}

#[expect(clippy::too_many_arguments, reason = "everything that an artifact holds comes together here")]
fn keep(
    args: &FitArgs,
    set: &LabelledSet,
    split: &Split,
    train: &[usize],
    test: &[usize],
    labels: Vec<String>,
    extractor: Extractor,
    fitted: &FittedSvm,
) -> Result<Kept> {
    let spec = extractor.spec().clone();
    let fingerprint = spec.fingerprint();
    // Not written yet, so it has no version.
    let identity =
        Identity { name: SvmClassifier::NAME.into(), version: String::new(), fingerprint: fingerprint.clone() };
    let classifier = SvmClassifier::new(identity, labels.clone(), extractor, fitted.svm.clone())?;
    let scored = scoring::score(&classifier, set, test, args.run.threads.into())?;
    let evaluation = Evaluation::new(&labels, &scored, args.seed);
    let clip_ids: Vec<_> = train.iter().map(|&index| set.clips()[index].clip_id.as_str()).collect();
    let warning = source::synthetic_warning(clip_ids.iter().copied());
    let training = json!({
        "seed": args.seed,
        "held_out": split.to_string(),
        "search": Search::default(),
        "fit": fitted.report,
        "clip_ids": clip_ids,
        "warning": warning,
    });
    let data = DataDescription {
        digest: set.digest_of(train)?,
        description: set.description().to_string(),
        clips: train.len(),
    };
    let more = [
        ("macro_f1", json!(evaluation.macro_f1)),
        ("log_loss", json!(evaluation.log_loss)),
        ("ece", json!(evaluation.ece)),
        ("ci95", json!(evaluation.ci95)),
    ];
    let summary = SplitMetrics {
        split: split.to_string(),
        n: evaluation.n,
        accuracy: evaluation.accuracy,
        more: more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let mut summarised = training.clone();
    if let Some(fields) = summarised.as_object_mut() {
        // Long lists belong in artifact.json.
        fields.remove("clip_ids");
        fields.remove("fit");
        fields.insert("chosen".into(), json!(fitted.report.chosen));
        fields.insert("counts".into(), json!(fitted.report.counts));
        fields.insert("warnings".into(), json!(fitted.report.warnings));
    }
    let report_html = report::html(&Report {
        model: SvmClassifier::NAME,
        fingerprint: &fingerprint,
        training: &summarised,
        data: &data,
        split: &split.to_string(),
        leaks: split.leaks(),
        warning,
        evaluation: &evaluation,
        scored: &scored,
        command: &format!("train svm --data CORPUS --held-out {split} --seed {}", args.seed),
    });
    let draft = Draft {
        model: SvmClassifier::NAME.into(),
        labels,
        spec,
        training,
        data,
        metrics: vec![summary],
        weights: fitted.svm.to_tensors()?,
        metrics_json: serde_json::to_vec_pretty(&evaluation)?,
        report_html: report_html.into_bytes(),
    };
    let artifact = draft.write(&args.artifacts)?;
    Ok(Kept {
        artifact,
        evaluation,
        fingerprint,
        cross_validated: fitted.report.cross_validated.accuracy,
        fitted_on: train.len(),
    })
}

impl Kept {
    fn say(&self, args: &FitArgs, set: &LabelledSet, split: &Split, test: &[usize]) -> Result<()> {
        let Self { artifact, evaluation, .. } = self;
        if args.run.json {
            return print_json(&json!({
                "artifact": artifact.dir,
                "version": artifact.version,
                "fingerprint": self.fingerprint,
                "held_out": split.to_string(),
                "cross_validated_accuracy": self.cross_validated,
                "rejected": set.rejected().len(),
                "evaluation": evaluation,
            }));
        }
        say_rejected(set.rejected());
        if let Some(warning) = source::synthetic_warning(set.clips().iter().map(|clip| clip.clip_id.as_str())) {
            output::line(warning)?;
        }
        output::line(format!(
            "Fitted on {} of {}; held out: {} by {split}, which leaks: {}.\n\
             Cross-validated by artist among those that were fitted on: accuracy {:.3}.",
            self.fitted_on,
            set.description(),
            evaluation.n,
            split.leaks(),
            self.cross_validated
        ))?;
        let custom = if args.artifacts.as_os_str() == "artifacts" {
            String::new()
        } else {
            format!(" --artifacts {}", args.artifacts.display())
        };
        output::line(format!(
            "{}\nartifact  {}\nreport    {}\nserve it  cargo run --release -p serve -- svm{custom}",
            text::figures(evaluation),
            artifact.dir.display(),
            artifact.dir.join(artifact::REPORT).display(),
        ))?;
        let held_out = test.first().map(|&index| set.clips()[index].clip_id.as_str());
        if let Some(file) = held_out.and_then(|clip_id| source::synthetic_file(clip_id, args.seed)) {
            output::line(format!("and ask   curl -F audio_file=@{file} http://127.0.0.1:8081/predict"))?;
        }
        Ok(())
    }
}
