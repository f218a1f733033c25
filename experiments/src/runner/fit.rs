//! What a job fits.

use train::training::{Learner, SvmLearner, Vgg19Learner};

use crate::runner::{job::Model, music::Music};

/// One model, with all that fitting it takes.
pub(crate) enum Single {
    Svm(SvmLearner),
    /// The configuration has the seed of the job.
    Vgg19(Box<Vgg19Learner>),
}

impl Single {
    pub(crate) fn learner(&self) -> &dyn Learner {
        match self {
            Self::Svm(learner) => learner,
            Self::Vgg19(learner) => learner.as_ref(),
        }
    }

    /// Its part of the identity of a job on these clips.
    pub(crate) fn identity<'a>(&'a self, music: &'a Music, data: &'a str) -> Model<'a> {
        let features = music.data.dataset().spec();
        match self {
            Self::Svm(SvmLearner { search }) => Model::Svm { data, features, search },
            Self::Vgg19(learner) => Model::Vgg19 {
                data,
                features,
                recipe: &learner.config,
                weights: learner.weights.weights().digest(),
                device: learner.backend.name(),
            },
        }
    }

    /// `random` if it begins with weights that are drawn.
    pub(crate) fn drawn(&self) -> Option<&'static str> {
        match self {
            Self::Svm(_) => None,
            Self::Vgg19(learner) => learner.weights.is_random().then(|| learner.weights.description()),
        }
    }

    /// What a reader should know before the figures.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let Self::Vgg19(learner) = self else { return Vec::new() };
        let early = "The tuning was stopped early by the very clips that judge it, which flatters.";
        let early = learner.config.finetune.as_ref().map(|_| early);
        learner.weights.remark().into_iter().chain(early).map(str::to_owned).collect()
    }
}
