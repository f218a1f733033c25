//! What is said of scored clips: `metrics.json` and `report.html`, of a training and of `train evaluate` alike.

use features::Fingerprint;
use models::{artifact::DataDescription, svm::SvmClassifier, vgg19::Vgg19Classifier};
use serde::Serialize;
use serde_json::Value;

use super::{
    conformal::ConformalFigures,
    learning::LearningCurve,
    metrics::{Coverage, Evaluation, Faults, coverage_curve},
    projection::Projection,
    report::{self, Against, Curve, Provenance, Report},
    robustness::Robustness,
    scoring::ScoredClips,
};

/// The document of `metrics.json`: an [`Evaluation`] and what else is known of the same clips, as fields of one object. Fields are
/// added to it, and none is taken away.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics<'a> {
    /// The figures.
    #[serde(flatten)]
    pub evaluation: &'a Evaluation,
    /// How often it is right where it is sure.
    pub coverage: Coverage,
    /// What is known against the clips.
    pub known_faults: Faults,
    /// What a larger training set is worth; not in `train evaluate`, which fits nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_curve: Option<&'a LearningCurve>,
    /// What predictions are worth beside their probabilities; not in `train evaluate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conformal: Option<&'a ConformalFigures>,
    /// Where the figures come from.
    pub made_from: MadeFrom,
}

/// Where figures come from: equal digests and an equal seed give equal figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MadeFrom {
    /// The split.
    pub split: String,
    /// Seed of the bootstrap, and of all that was drawn in the training where there was one.
    pub seed: u64,
    /// Digest of the clips that were fitted on.
    pub training_data: String,
    /// Digest of the clips that it was evaluated on.
    pub evaluation_data: String,
    /// Fingerprint of the features.
    pub features: String,
    /// SHA-256 of `weights.safetensors`.
    pub weights: String,
}

/// All that is known of scored clips and of the model that scored them.
pub struct Documents<'a> {
    /// Kind of model, such as `svm`.
    pub model: &'a str,
    /// Name of the split.
    pub split: &'a str,
    /// What the split leaks.
    pub leaks: &'a str,
    /// What a reader should know before the figures.
    pub warning: Option<&'a str>,
    /// Seed of the bootstrap and of the projection.
    pub seed: u64,
    /// The scored clips.
    pub clips: &'a ScoredClips,
    /// Their figures.
    pub evaluation: &'a Evaluation,
    /// Digest of the scored clips.
    pub evaluation_data: String,
    /// Fingerprint of the features.
    pub fingerprint: &'a Fingerprint,
    /// The bytes of `weights.safetensors`.
    pub weights: &'a [u8],
    /// What was fitted on.
    pub data: &'a DataDescription,
    /// What the training says of itself, without what is too long for a page.
    pub training: &'a Value,
    /// The command that gives the same again.
    pub command: &'a str,
    /// Another model on the same clips.
    pub against: Option<Against<'a>>,
    /// What a larger training set is worth.
    pub learning: Option<&'a LearningCurve>,
    /// What predictions are worth beside their probabilities.
    pub conformal: Option<&'a ConformalFigures>,
    /// What bad recordings and short ones do to its predictions; not in `metrics.json`.
    pub robustness: Option<&'a Robustness>,
    /// The course of the training; may be empty.
    pub curves: &'a [Curve],
}

impl Documents<'_> {
    /// The document of `metrics.json`.
    pub fn metrics(&self) -> Metrics<'_> {
        Metrics {
            evaluation: self.evaluation,
            coverage: Coverage::new(&coverage_curve(&self.clips.scored)),
            known_faults: Faults::of(&self.clips.scored),
            learning_curve: self.learning,
            conformal: self.conformal,
            made_from: MadeFrom {
                split: self.split.to_owned(),
                seed: self.seed,
                training_data: self.data.digest.clone(),
                evaluation_data: self.evaluation_data.clone(),
                features: self.fingerprint.to_string(),
                weights: self.weights_digest(),
            },
        }
    }

    /// The page.
    pub fn page(&self) -> String {
        let Self {
            model,
            split,
            leaks,
            clips,
            evaluation,
            against,
            learning,
            conformal,
            robustness,
            curves,
            command,
            training,
            data,
            ..
        } = self;
        let by = match *model {
            SvmClassifier::NAME => "its descriptors, each standardised over the clips shown",
            Vgg19Classifier::NAME => {
                "the embedding that the network’s head decides by, each dimension standardised over the clips shown"
            }
            _ => "the vectors that the model decides by",
        };
        let projection = Projection::of_embeddings(by, &clips.scored, &clips.embeddings, self.seed)
            .or_else(|| Projection::of_probabilities(&clips.scored, self.seed));
        let digests = [
            ("training data", data.digest.clone()),
            ("evaluation data", self.evaluation_data.clone()),
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
            scored: &clips.scored,
            against: *against,
            learning: *learning,
            conformal: *conformal,
            robustness: *robustness,
            projection: projection.as_ref(),
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
