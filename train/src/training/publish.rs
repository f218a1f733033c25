//! From a fitted model to an artifact in use.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use data::labels::LabelSet;
use models::{
    artifact::{self, Artifact, DataDescription, Draft, PREDICTIONS, SplitMetrics, Written, names, places},
    ensemble::EnsembleClassifier,
    svm::SvmClassifier,
    vgg19::Vgg19Classifier,
};
use serde_json::{Value, json};

use super::{
    dataset::TrainingData, learner::Fitted, plan::TrainingPlan, predictions::HeldOutPredictions, transfer, vgg19::Epoch,
};
use crate::{
    console::{interrupt, output},
    evaluation::{
        conformal::{ConformalFigures, NovelShare, SetFigures},
        documents::Documents,
        metrics::Evaluation,
        report::Curve,
        scoring::ScoredClips,
    },
    source,
};

/// Names that stand for models of one kind, or for several models, and so are not for others.
const RESERVED: [(&str, &str); 4] = [
    (SvmClassifier::NAME, "the SVM of `POST /predict`"),
    (Vgg19Classifier::NAME, "the VGG19 of `POST /vgg`"),
    (EnsembleClassifier::NAME, "the ensemble that `train ensemble` makes"),
    ("both", "the SVM and the VGG19 in `serve classify --model both`"),
];
/// Labels that a message names.
const NAMED_LABELS: usize = 5;

/// Where a model is published: `artifacts/<name>/<version>`.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Folder of all artifacts.
    pub artifacts: &'a Path,
    /// Folders from which a model is served as long as that one holds none of its name.
    pub others: &'a [PathBuf],
    /// Name of the model.
    pub name: &'a str,
}

/// An artifact, and how good it is.
#[derive(Debug)]
pub struct Published {
    /// Where it is.
    pub artifact: Written,
    /// Which version is in use now.
    pub in_use: InUse,
    /// Name of the model, such as `svm`.
    pub name: String,
    /// How good it is on the clips that evaluate.
    pub evaluation: Evaluation,
    /// Accuracy by cross-validation among the clips that were fitted on.
    pub cross_validated_accuracy: f64,
    /// Fingerprint of its features.
    pub fingerprint: String,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
    /// The network that it started from, as its artifact says it; `None` where it started from none.
    pub init: Option<Value>,
}

/// Which version is in use after a training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InUse {
    /// The new one.
    This,
    /// Another, which is pinned.
    Pinned(String),
    /// Another, which was trained on a real dataset where this one was trained on a synthetic one alone.
    Real(String),
    /// Another, which has labels that this one lacks.
    Labels {
        /// The version in use.
        in_use: String,
        /// Its labels that the new one lacks, in its order; at least one.
        missing: Vec<String>,
    },
}

/// Writes the artifact of a model into the folder of `target` and puts it in use, unless another version is pinned, was trained on
/// real music where this one was not, or has labels that this one lacks; of a version in another folder, only the second counts.
/// `command` makes it again.
///
/// # Errors
/// When a clip cannot be read or the artifact cannot be written.
pub fn publish(
    target: Target<'_>,
    data: &TrainingData,
    plan: &TrainingPlan,
    (fitted, scored_clips): (Fitted, ScoredClips),
    seed: u64,
    command: &str,
) -> Result<Published> {
    let (dataset, TrainingPlan { split, train, test, labels, .. }) = (data.dataset(), plan);
    let kind = fitted.classifier.identity().name.clone();
    let spec = fitted.classifier.extractor().spec().clone();
    let fingerprint = spec.fingerprint();
    let evaluation = Evaluation::new(labels, &scored_clips.scored, seed);
    let learning = plan.learning_curve(&fitted.learning, data, &scored_clips, &evaluation, seed)?;
    let conformal = conformal_figures(data, plan, &fitted, &scored_clips, seed)?;
    let clip_ids: Vec<_> = train.iter().map(|&index| dataset.clips()[index].clip_id.as_str()).collect();
    let warning = source::synthetic_warning(clip_ids.iter().copied());
    let mut training = fitted.training;
    let mut summarised = training.clone();
    if let (Some(all), Some(short)) = (training.as_object_mut(), summarised.as_object_mut()) {
        for fields in [&mut *all, &mut *short] {
            fields.insert("seed".into(), json!(seed));
            fields.insert("held_out".into(), json!(split.to_string()));
            if plan.refit {
                fields.insert("refit".into(), json!(true));
            }
            fields.insert("novelty".into(), json!(fitted.novelty));
            fields.insert("warning".into(), json!(warning));
        }
        all.insert("clip_ids".into(), json!(clip_ids));
        // Long lists belong in artifact.json.
        for field in fitted.long_fields {
            short.remove(*field);
        }
    }
    let description = DataDescription {
        digest: dataset.digest_of(train)?,
        description: dataset.description().to_string(),
        clips: train.len(),
    };
    let summary = split_metrics(&split.to_string(), &evaluation);
    let documents = Documents {
        model: &kind,
        split: &split.to_string(),
        leaks: split.leaks(),
        warning,
        seed,
        clips: &scored_clips,
        evaluation: &evaluation,
        evaluation_data: dataset.digest_of(test)?,
        fingerprint: &fingerprint,
        weights: &fitted.weights,
        data: &description,
        training: &summarised,
        command,
        against: None,
        learning: Some(&learning),
        conformal: Some(&conformal),
        robustness: None,
        curves: &curves(&fitted.history),
    };
    let predictions = HeldOutPredictions {
        cross_validated: fitted.cross_validated,
        held_out: scored_clips.scored.clone(),
        folds: plan.folds_of_test(),
    };
    let predictions = predictions.to_tensors()?;
    let mut remarks = fitted.remarks;
    if predictions.is_none() {
        remarks.push(
            "The predictions of held-out clips are not kept, since they are too many or none: it cannot be a member of an ensemble.".into(),
        );
    }
    let further: Vec<(&str, &[u8])> = predictions.iter().map(|bytes| (PREDICTIONS, bytes.as_slice())).collect();
    let (metrics_json, report_html) = (serde_json::to_vec_pretty(&documents.metrics())?, documents.page());
    let draft = Draft {
        model: kind,
        labels: LabelSet::from_names(labels)?,
        spec,
        training,
        data: description,
        metrics: vec![summary],
        weights: fitted.weights,
        metrics_json,
        report_html: report_html.into_bytes(),
    };
    let (artifact, in_use) = write(target, &draft, &further, warning.is_some())?;
    Ok(Published {
        artifact,
        in_use,
        name: target.name.to_owned(),
        evaluation,
        cross_validated_accuracy: fitted.cross_validated_accuracy,
        fingerprint: fingerprint.to_string(),
        remarks,
        init: draft.training.get(transfer::FIELD).cloned(),
    })
}

/// How good a model is on a split, as its manifest says it.
pub(super) fn split_metrics(split: &str, evaluation: &Evaluation) -> SplitMetrics {
    let more = [
        ("macro_f1", json!(evaluation.macro_f1)),
        ("log_loss", json!(evaluation.log_loss)),
        ("ece", json!(evaluation.ece)),
        ("ci95", json!(evaluation.ci95)),
    ];
    SplitMetrics {
        split: split.to_owned(),
        n: evaluation.n,
        accuracy: evaluation.accuracy,
        more: more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

/// Writes an artifact with further files, and puts it in use unless another version is to stay; see [`publish`].
pub(super) fn write(
    target: Target<'_>,
    draft: &Draft,
    further: &[(&str, &[u8])],
    is_synthetic: bool,
) -> Result<(Written, InUse)> {
    let model_dir = target.artifacts.join(target.name);
    interrupt::uninterrupted(|| -> Result<_> {
        let artifact = draft.write_with(target.artifacts, target.name, further)?;
        // A pin is the stronger reason, and what to do about it is another thing.
        if artifact::pinned(&model_dir)?.is_none()
            && let Some(kept) =
                kept_in_use(&model_dir, &draft.labels, is_synthetic).or_else(|| kept_elsewhere(target, is_synthetic))
        {
            return Ok((artifact, kept));
        }
        match artifact::set_current(&model_dir, &artifact.version) {
            Ok(()) => Ok((artifact, InUse::This)),
            Err(models::Error::Pinned { pinned, .. }) => Ok((artifact, InUse::Pinned(pinned))),
            Err(error) => Err(error.into()),
        }
    })
}

/// What predictions of a fitted model are worth beside their probabilities.
fn conformal_figures(
    data: &TrainingData,
    plan: &TrainingPlan,
    fitted: &Fitted,
    scored_clips: &ScoredClips,
    seed: u64,
) -> Result<ConformalFigures> {
    let (labels, scored) = (&plan.labels, &scored_clips.scored);
    let conformal = fitted.classifier.conformal();
    let sets = conformal.and_then(|conformal| conformal.sets.as_ref());
    // Without vectors the clips were scored by models of folds, which have no detector.
    let detector =
        conformal.and_then(|conformal| conformal.novelty.as_ref()).filter(|_| !scored_clips.embeddings.is_empty());
    let novel = match detector {
        None => None,
        Some(detector) => {
            let mut novel = 0;
            for (&clip, vectors) in plan.test.iter().zip(&scored_clips.embeddings) {
                let n_frames = data.dataset().features(clip)?.log_mel().n_frames();
                novel += usize::from(detector.p_value(vectors, n_frames)? <= detector.threshold());
            }
            let n = scored_clips.embeddings.len();
            (n > 0).then(|| NovelShare { n, share: novel as f64 / n as f64 })
        }
    };
    Ok(ConformalFigures {
        sets_cross_validated: SetFigures::cross_validated(labels, &fitted.cross_validated, seed),
        // With `refit` the clips that evaluate are those that calibrate.
        sets: sets.filter(|_| !plan.refit).and_then(|sets| SetFigures::new(sets, labels, scored)),
        novelty: fitted.novelty.clone(),
        novel,
    })
}

impl Published {
    /// Whether it is the one that a server takes.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.in_use == InUse::This
    }

    /// Why it is not the version in use, and what puts it in use: of the object of `train --json`; null where it is.
    pub(super) fn not_in_use(&self) -> Value {
        let (reason, in_use, missing) = match &self.in_use {
            InUse::This => return Value::Null,
            InUse::Pinned(version) => ("pinned", version, None),
            InUse::Real(version) => ("synthetic", version, None),
            InUse::Labels { in_use, missing } => ("labels", in_use, Some(missing)),
        };
        let (name, version) = (&self.name, &self.artifact.version);
        json!({
            "reason": reason,
            "in_use": in_use,
            "missing_labels": missing,
            "promote": format!("train promote {name} {version}{}", self.in_use.flag()),
        })
    }

    /// The object of `train --json`.
    #[must_use]
    pub fn json(&self, data: &TrainingData, plan: &TrainingPlan) -> Value {
        let mut object = json!({
            "name": self.name,
            "artifact": self.artifact.dir,
            "version": self.artifact.version,
            "in_use": self.is_in_use(),
            "not_in_use": self.not_in_use(),
            "pinned": match &self.in_use {
                InUse::Pinned(version) => Some(version),
                _ => None,
            },
            "fingerprint": self.fingerprint,
            "held_out": plan.split.to_string(),
            "refit": plan.refit,
            "cross_validated_accuracy": self.cross_validated_accuracy,
            "held_out_because": plan.why,
            "shared_groups": plan.shared,
            "rejected": data.dataset().description().rejected,
            "unused": output::unused_json(data.dataset().unused()),
            "warnings": output::warnings_json(data.dataset().warned()),
            "notes": data.dataset().notes(),
            "evaluation": self.evaluation,
        });
        if let Some(init) = &self.init {
            object[transfer::FIELD] = init.clone();
        }
        object
    }
}

impl InUse {
    /// The version that stays in use, and why; `None` where the new one is in use.
    #[must_use]
    pub fn kept(&self) -> Option<String> {
        match self {
            Self::This => None,
            Self::Pinned(version) => Some(format!("{version} is pinned and stays in use")),
            Self::Real(version) => Some(format!("{version} knows real music and stays in use")),
            Self::Labels { in_use, missing } => {
                let more = match missing.len().saturating_sub(NAMED_LABELS) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let named = missing[..missing.len().min(NAMED_LABELS)].join(", ");
                Some(format!(
                    "{in_use} has labels that this one lacks ({named}{more}) and stays in use; --name NAME trains another model beside it"
                ))
            }
        }
    }

    /// What `train promote` needs beside the name and the version.
    #[must_use]
    pub fn flag(&self) -> &'static str {
        if matches!(self, Self::Pinned(_)) { " --unpin" } else { "" }
    }
}

/// Refuses a name that a model of that kind cannot have: one that is no name, one that is reserved, and one whose folder in
/// `artifacts` holds another kind of model.
///
/// # Errors
/// Which of these it is, and what to do.
pub fn check_name(target: Target<'_>, kind: &str) -> Result<()> {
    let Target { artifacts, name, .. } = target;
    names::check_model(name)?;
    if let Some((_, what)) = RESERVED.iter().find(|(reserved, _)| *reserved == name && name != kind) {
        bail!("the name `{name}` is reserved for {what}; choose another with --name");
    }
    let model_dir = artifacts.join(name);
    if !model_dir.is_dir() {
        return Ok(());
    }
    // The one in use first; what cannot be read says nothing.
    let in_use = artifact::current(&model_dir).ok();
    let there = artifact::versions(&model_dir)?;
    let open = |version: &String| Artifact::open(&model_dir.join(version)).ok();
    match in_use.iter().chain(&there).find_map(open) {
        Some(other) if other.manifest().model != kind => bail!(
            "{} holds a model of the kind `{}`, and this one would be `{kind}`; choose another name with --name",
            model_dir.display(),
            other.manifest().model
        ),
        _ => Ok(()),
    }
}

/// Refuses a folder for artifacts that cannot be written, and leaves nothing there.
///
/// # Errors
/// Which folder it is.
pub fn check_writable(folder: &Path) -> Result<()> {
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

/// The version that is served from another folder, if there is none of this name in the folder of `target`, and it was trained on
/// real music where the new one was not.
fn kept_elsewhere(target: Target<'_>, is_synthetic: bool) -> Option<InUse> {
    if !is_synthetic || target.artifacts.join(target.name).join(artifact::CURRENT).is_file() {
        return None;
    }
    let model_dir = places::holding(target.others, target.name)?.join(target.name);
    let version = artifact::current(&model_dir).ok()?;
    let artifact = Artifact::open(&model_dir.join(&version)).ok()?;
    artifact.manifest().training["warning"].is_null().then_some(InUse::Real(version))
}

/// The version in use in the folder of a model, if it can be used and is not to be replaced by one with these labels: it was
/// trained on real music and the other is synthetic, or it has labels that the other lacks.
fn kept_in_use(model_dir: &Path, labels: &LabelSet, is_synthetic: bool) -> Option<InUse> {
    let in_use = artifact::current(model_dir).ok()?;
    let artifact = Artifact::open(&model_dir.join(&in_use)).ok()?;
    let manifest = artifact.manifest();
    match (is_synthetic, !manifest.training["warning"].is_null()) {
        (true, false) => return Some(InUse::Real(in_use)),
        // Whatever its labels, a model of synthetic audio makes way for one of real audio.
        (false, true) => return None,
        _ => {}
    }
    let lacks = |label: &&data::labels::Label| labels.index_of(label.as_str()).is_none();
    let missing: Vec<String> = manifest.labels.iter().filter(lacks).map(ToString::to_string).collect();
    if missing.is_empty() { None } else { Some(InUse::Labels { in_use, missing }) }
}

/// The curves of a tuning, for the report.
fn curves(history: &[Epoch]) -> Vec<Curve> {
    if history.is_empty() {
        return Vec::new();
    }
    let of = |value: &dyn Fn(&Epoch) -> Option<f64>| -> Vec<(f64, f64)> {
        history.iter().enumerate().filter_map(|(i, epoch)| Some(((i + 1) as f64, value(epoch)?))).collect()
    };
    vec![
        Curve { title: "Loss", name: "crops that are fitted on", points: of(&|epoch| Some(epoch.loss)) },
        Curve { title: "Loss", name: "held out", points: of(&|epoch| Some(epoch.held_out?.log_loss)) },
        Curve { title: "Accuracy", name: "crops that are fitted on", points: of(&|epoch| Some(epoch.accuracy)) },
        Curve { title: "Accuracy", name: "held out", points: of(&|epoch| Some(epoch.held_out?.accuracy)) },
    ]
}
