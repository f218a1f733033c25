//! From a fitted model to an artifact in use.

use std::path::Path;

use anyhow::{Context as _, Result};
use data::labels::LabelSet;
use models::artifact::{self, Artifact, DataDescription, Draft, SplitMetrics, Written};
use serde_json::{Value, json};

use super::{dataset::TrainingData, learner::Fitted, plan::TrainingPlan, vgg19::Epoch};
use crate::{
    console::interrupt,
    evaluation::{documents::Documents, metrics::Evaluation, report::Curve, scoring::ScoredClips},
    source,
};

/// An artifact, and how good it is.
#[derive(Debug)]
pub struct Published {
    /// Where it is.
    pub artifact: Written,
    /// Which version is in use now.
    pub in_use: InUse,
    /// Kind of model, such as `svm`.
    pub model: String,
    /// How good it is on the clips that evaluate.
    pub evaluation: Evaluation,
    /// Accuracy by cross-validation among the clips that were fitted on.
    pub cross_validated_accuracy: f64,
    /// Fingerprint of its features.
    pub fingerprint: String,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
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
}

/// Writes the artifact of a model into the folder `artifacts` and puts it in use, unless another version is pinned, or was trained
/// on a real dataset where this one was not. `command` makes it again.
///
/// # Errors
/// When a clip cannot be read or the artifact cannot be written.
pub fn publish(
    artifacts: &Path,
    data: &TrainingData,
    plan: &TrainingPlan,
    (fitted, scored_clips): (Fitted, ScoredClips),
    seed: u64,
    command: &str,
) -> Result<Published> {
    let (dataset, TrainingPlan { split, train, test, labels, .. }) = (data.dataset(), plan);
    let name = fitted.classifier.identity().name.clone();
    let spec = fitted.classifier.extractor().spec().clone();
    let fingerprint = spec.fingerprint();
    let evaluation = Evaluation::new(labels, &scored_clips.scored, seed);
    let learning = plan.learning_curve(&fitted.learning, data, &scored_clips, &evaluation, seed)?;
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
    let documents = Documents {
        model: &name,
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
        curves: &curves(&fitted.history),
    };
    let (metrics_json, report_html) = (serde_json::to_vec_pretty(&documents.metrics())?, documents.page());
    let draft = Draft {
        model: name.clone(),
        labels: LabelSet::from_names(labels)?,
        spec,
        training,
        data: description,
        metrics: vec![summary],
        weights: fitted.weights,
        metrics_json,
        report_html: report_html.into_bytes(),
    };
    let model_dir = artifacts.join(&name);
    let (artifact, in_use) = interrupt::uninterrupted(|| -> Result<_> {
        let artifact = draft.write(artifacts)?;
        // A pin is the stronger reason, and what to do about it is another thing.
        if artifact::pinned(&model_dir)?.is_none()
            && let Some(real) = real_in_use(&model_dir).filter(|_| warning.is_some())
        {
            return Ok((artifact, InUse::Real(real)));
        }
        match artifact::set_current(&model_dir, &artifact.version) {
            Ok(()) => Ok((artifact, InUse::This)),
            Err(models::Error::Pinned { pinned, .. }) => Ok((artifact, InUse::Pinned(pinned))),
            Err(error) => Err(error.into()),
        }
    })?;
    Ok(Published {
        artifact,
        in_use,
        model: name,
        evaluation,
        cross_validated_accuracy: fitted.cross_validated_accuracy,
        fingerprint: fingerprint.to_string(),
        remarks: fitted.remarks,
    })
}

impl Published {
    /// Whether it is the one that a server takes.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.in_use == InUse::This
    }

    /// The object of `train --json`.
    #[must_use]
    pub fn json(&self, data: &TrainingData, plan: &TrainingPlan) -> Value {
        json!({
            "artifact": self.artifact.dir,
            "version": self.artifact.version,
            "in_use": self.is_in_use(),
            "pinned": match &self.in_use {
                InUse::Pinned(version) => Some(version),
                _ => None,
            },
            "fingerprint": self.fingerprint,
            "held_out": plan.split.to_string(),
            "refit": plan.refit,
            "cross_validated_accuracy": self.cross_validated_accuracy,
            "rejected": data.dataset().rejected().len(),
            "evaluation": self.evaluation,
        })
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

/// The version in use in the folder of a model, if it can be used and was trained on a real dataset.
fn real_in_use(model_dir: &Path) -> Option<String> {
    let version = artifact::current(model_dir).ok()?;
    let artifact = Artifact::open(&model_dir.join(&version)).ok()?;
    artifact.manifest().training["warning"].is_null().then_some(version)
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
