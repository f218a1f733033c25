//! What is said of judged clips: `metrics.json` and `report.html`, of a training and of `train evaluate` alike.

use anyhow::{Context as _, Result};
use features::{Fingerprint, spec::PRESETS};
use models::{artifact::DataDescription, svm::SvmClassifier, vgg19::Vgg19Classifier};
use serde_json::Value;

use super::fit::Music;
use crate::{
    cli::args::FitArgs,
    evaluation::{
        learning::{FittedOn, Learning, LearningCurve},
        map::Map,
        metrics::{Coverage, Evaluation, Faults, MadeFrom, Metrics},
        report::{self, Against, Curve, Provenance, Report},
        scoring::Judged,
    },
};

/// All that is known of judged clips and of what judged them.
pub(super) struct Documents<'a> {
    /// Kind of model, such as `svm`.
    pub model: &'a str,
    pub split: &'a str,
    pub leaks: &'a str,
    /// What a reader should know before the figures.
    pub warning: Option<&'a str>,
    pub seed: u64,
    pub judged: &'a Judged,
    pub evaluation: &'a Evaluation,
    /// Digest of the judged clips.
    pub judged_data: String,
    pub fingerprint: &'a Fingerprint,
    /// The bytes of `weights.safetensors`.
    pub weights: &'a [u8],
    /// What was fitted on.
    pub data: &'a DataDescription,
    /// What the training says of itself, without what is too long for a page.
    pub training: &'a Value,
    pub command: &'a str,
    pub against: Option<Against<'a>>,
    pub learning: Option<&'a LearningCurve>,
    pub curves: &'a [Curve],
}

impl Documents<'_> {
    /// The document of `metrics.json`.
    pub(super) fn metrics(&self) -> Metrics<'_> {
        Metrics {
            evaluation: self.evaluation,
            coverage: Coverage::new(&crate::evaluation::metrics::coverage_curve(&self.judged.scored)),
            known_faults: Faults::of(&self.judged.scored),
            learning_curve: self.learning,
            made_from: MadeFrom {
                split: self.split.to_owned(),
                seed: self.seed,
                training_data: self.data.digest.clone(),
                judged_data: self.judged_data.clone(),
                features: self.fingerprint.to_string(),
                weights: self.weights_digest(),
            },
        }
    }

    /// The page.
    pub(super) fn page(&self) -> String {
        let Self {
            model, split, leaks, judged, evaluation, against, learning, curves, command, training, data, ..
        } = self;
        let by = match *model {
            SvmClassifier::NAME => "the descriptors that the machine hears, each standardised over the clips shown",
            Vgg19Classifier::NAME => {
                "the embedding that the network’s head decides by, each dimension standardised over the clips shown"
            }
            _ => "the vectors that the model decides by",
        };
        let map = Map::of_vectors(by, &judged.scored, &judged.passages, self.seed)
            .or_else(|| Map::of_probabilities(&judged.scored, self.seed));
        let digests = [
            ("training data", data.digest.clone()),
            ("judged clips", self.judged_data.clone()),
            ("features (fingerprint)", self.fingerprint.to_string()),
            ("weights.safetensors (SHA-256)", self.weights_digest()),
        ];
        let warnings: Vec<String> = self.warning.map(str::to_owned).into_iter().collect();
        report::html(&Report {
            model,
            split,
            leaks,
            warnings: &warnings,
            evaluation,
            scored: &judged.scored,
            against: *against,
            learning: *learning,
            map: map.as_ref(),
            curves,
            provenance: Provenance {
                command,
                data: &format!("{} of {}", data.clips, data.description),
                digests: &digests,
                training,
            },
        })
    }

    fn weights_digest(&self) -> String {
        Fingerprint::of(self.weights).to_string()
    }
}

/// What more music to fit on is worth to a model that was fitted on `music`, by the clips that it holds out.
///
/// # Errors
/// Those of [`LearningCurve::new`].
pub(super) fn learning(
    learning: &Learning<'_>,
    music: &Music,
    judged: &Judged,
    evaluation: &Evaluation,
    seed: u64,
) -> Result<LearningCurve> {
    let fitted_on_too =
        Learning::LeftOut("every clip that judges was fitted on too (--refit), each by a model of its fold");
    let learning = if music.refit { &fitted_on_too } else { learning };
    let clips = || music.train.iter().map(|&index| &music.set.clips()[index]);
    let label = |genre: data::Genre| music.labels.iter().position(|label| label == genre.name());
    let labels =
        clips().map(|clip| label(clip.genre).context("a genre without a label")).collect::<Result<Vec<_>>>()?;
    let groups: Vec<String> = clips().map(|clip| clip.group.clone()).collect();
    LearningCurve::new(learning, FittedOn { labels: &labels, groups: &groups }, judged, evaluation, seed)
}

/// What a command that was given these arguments was given beside its split and its seed: no path of this machine.
pub(super) fn spec_flag(args: &FitArgs) -> String {
    match args.spec.as_str() {
        "gtzan-store" => String::new(),
        preset if PRESETS.contains(&preset) => format!(" --spec {preset}"),
        _ => " --spec SPEC".into(),
    }
}
