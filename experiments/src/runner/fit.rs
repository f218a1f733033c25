//! One fold of a job: fitted on some clips, judged by others.

use std::{path::Path, rc::Rc};

use anyhow::Result;
use data::Fold;
use models::vgg19::Backend;
use serde_json::{Value, json};
use train::{
    cli::commands::vgg19::Pretrained,
    evaluation::{metrics::Scored, scoring},
    training::{
        fitting::{self, Clips, Network},
        svm::Search,
        vgg19::TrainingConfig,
    },
};

use crate::runner::{job::Model, music::Music};

/// What a fold gave.
pub(crate) struct Fitted {
    /// The clips that were held out.
    pub(crate) scored: Vec<Scored>,
    /// Clips that were fitted on, by machines that did not see their artists.
    pub(crate) cross_validated: Vec<Scored>,
    /// How it went.
    pub(crate) report: Value,
}

/// What is fitted, with all that it takes.
pub(crate) enum Single<'a> {
    Svm {
        search: &'a Search,
        seed: u64,
    },
    /// The recipe has the seed of the job.
    Vgg19 {
        recipe: Box<TrainingConfig>,
        weights: Rc<Pretrained>,
        backend: Backend,
        cache: &'a Path,
    },
}

impl Single<'_> {
    /// Its part of the identity of a job on these clips.
    pub(crate) fn identity<'a>(&'a self, music: &'a Music, data: &'a str) -> Model<'a> {
        let features = music.set.spec();
        match self {
            Self::Svm { search, .. } => Model::Svm { data, features, search },
            Self::Vgg19 { recipe, weights, backend, .. } => {
                Model::Vgg19 { data, features, recipe, weights: weights.weights().digest(), device: backend.name() }
            }
        }
    }

    /// `random` if it begins with weights that are drawn.
    pub(crate) fn drawn(&self) -> Option<&'static str> {
        match self {
            Self::Svm { .. } => None,
            Self::Vgg19 { weights, .. } => weights.is_random().then(|| weights.description()),
        }
    }

    /// What a reader should know before the figures.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let Self::Vgg19 { recipe, weights, .. } = self else { return Vec::new() };
        let early = "The tuning was stopped early by the very clips that judge it, which flatters.";
        let early = recipe.finetune.as_ref().map(|_| early);
        weights.remark().into_iter().chain(early).map(str::to_owned).collect()
    }

    /// Fits on the one part of a fold, and judges by the other.
    pub(crate) fn fit(&self, music: &Music, Fold { train, test }: &Fold, threads: usize) -> Result<Fitted> {
        match self {
            Self::Svm { search, seed } => {
                // Clips of the set and clips of the vectors have the same numbers.
                let training = music.vectors(threads)?.some(train);
                let (classifier, fitted) =
                    fitting::svm(&training, &music.labels, music.extractor()?, search, *seed, threads)?;
                let report = &fitted.report;
                Ok(Fitted {
                    scored: scoring::score(&classifier, &music.set, test, threads)?,
                    cross_validated: unseen(music, train, fitted.cross_validated)?,
                    report: json!({
                        "chosen": report.chosen,
                        "temperature": report.temperature,
                        "cross_validated": report.cross_validated,
                        "counts": report.counts,
                        "warnings": report.warnings,
                    }),
                })
            }
            Self::Vgg19 { recipe, weights, backend, cache } => {
                let clips = Clips { set: &music.set, train, held_out: test, labels: &music.labels };
                let network = Network { recipe, weights: weights.weights(), backend: *backend, cache: Some(cache) };
                let (classifier, fitted) = fitting::vgg19(clips, network, threads)?;
                Ok(Fitted {
                    scored: scoring::score(&classifier, &music.set, test, threads)?,
                    cross_validated: unseen(music, train, fitted.cross_validated)?,
                    report: json!({ "calibration": fitted.report.calibration, "epochs": fitted.report.epochs }),
                })
            }
        }
    }
}

/// The clips `train` with what was said of them; those of which nothing was said are left out.
fn unseen(music: &Music, train: &[usize], said: Vec<Vec<f64>>) -> Result<Vec<Scored>> {
    let of_clip = |(&index, probabilities)| scoring::scored(&music.set.clips()[index], &music.labels, probabilities);
    train.iter().zip(said).filter(|(_, probabilities)| !probabilities.is_empty()).map(of_clip).collect()
}
