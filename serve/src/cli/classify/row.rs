//! What models say of a file.

use std::{cmp::Ordering, path::Path};

use features::decode::AudioInfo;

use super::{
    files::{Failure, File},
    options::Sort,
    payload::AudioDigest,
    results::Place,
    tags,
};
use crate::{PredictResponse, engine::model::Model};

/// What came of a file: an answer of each model, in their order.
#[derive(Debug)]
pub(super) struct FileResult {
    pub(super) answers: Vec<Answer>,
    /// Of its audio; known where it was predicted.
    pub(super) digest: Option<AudioDigest>,
    /// What was done with its tags, if that was wanted and there is a genre.
    pub(super) tags: Option<Result<tags::Done, tags::TagError>>,
}

/// What a model says of a file.
#[derive(Debug)]
pub(super) enum Answer {
    /// It predicted it, or that failed.
    New(Result<Box<Predicted>, Failure>),
    /// An earlier run has a row of it; if under the name of another file of the same audio, where.
    Stored { top: Top, elsewhere: Option<Place> },
}

/// A prediction.
#[derive(Debug)]
pub(super) struct Predicted {
    pub(super) response: PredictResponse,
    pub(super) top: Top,
}

/// The most probable label.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Top {
    /// Its name; empty where it is less probable than wanted.
    pub(super) genre: String,
    /// Its probability, 0 to 1.
    pub(super) probability: f64,
    /// Seconds of the file's audio.
    pub(super) seconds: f64,
}

/// What one model says of a file, as it is written.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) file: &'a File,
    pub(super) model: &'a Model,
    pub(super) prediction: Result<&'a Predicted, &'a Failure>,
    pub(super) digest: Option<AudioDigest>,
    /// Whether all models have the same genre for the file; nothing, if there is one model, or one of them has none.
    pub(super) agree: Option<bool>,
}

impl Predicted {
    /// A response, whose genre is taken away where its probability is below `min_probability`, and, if that is over 0, where the audio is
    /// unlike the training set, whatever its probability.
    pub(super) fn new(mut response: PredictResponse, min_probability: f64) -> Self {
        let probability = ranked(&response)[0].1;
        let is_novel = response.novelty.as_ref().is_some_and(|novelty| novelty.out_of_distribution);
        if probability < min_probability || (min_probability > 0.0 && is_novel) {
            response.predicted_genre.clear();
        }
        let seconds = response.audio.as_ref().map_or(0.0, |audio| audio.seconds);
        Self { top: Top { genre: response.predicted_genre.clone(), probability, seconds }, response }
    }

    /// The most probable labels: the first and the second.
    pub(super) fn ranked(&self) -> [(&str, f64); 2] {
        ranked(&self.response)
    }

    /// Why the labels say little, in plain words; nothing where they do.
    pub(super) fn note(&self) -> Option<&str> {
        self.response.novelty.as_ref()?.note.as_deref()
    }

    /// What is wrong with the audio, though it was predicted.
    pub(super) fn warnings(&self) -> String {
        self.response.audio.as_ref().map(warnings).unwrap_or_default()
    }
}

/// The two most probable labels; of equals the first in the order of the labels, as in the response.
fn ranked(response: &PredictResponse) -> [(&str, f64); 2] {
    let mut best = [("", f64::NEG_INFINITY); 2];
    for (label, probability) in response.probabilities.iter() {
        if probability > best[0].1 {
            best = [(label, probability), best[0]];
        } else if probability > best[1].1 {
            best[1] = (label, probability);
        }
    }
    best.map(|(label, probability)| (label, probability.max(0.0)))
}

/// The warnings of the decoder, a sentence each.
fn warnings(audio: &AudioInfo) -> String {
    audio.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl Answer {
    /// The most probable label, if there is a prediction.
    pub(super) fn top(&self) -> Option<&Top> {
        match self {
            Self::New(prediction) => prediction.as_ref().ok().map(|predicted| &predicted.top),
            Self::Stored { top, .. } => Some(top),
        }
    }

    /// Why there is none.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::New(Err(failure)) => Some(failure),
            _ => None,
        }
    }
}

impl FileResult {
    /// One whose file could not even be read.
    pub(super) fn failed(failure: &Failure, models: usize) -> Self {
        let answers = (0..models).map(|_| Answer::New(Err(failure.clone()))).collect();
        Self { answers, digest: None, tags: None }
    }

    /// Whether all models have the same genre for it; nothing, if there is one model, or one of them has none.
    pub(super) fn agree(&self) -> Option<bool> {
        let genres: Vec<&str> = self
            .answers
            .iter()
            .filter_map(Answer::top)
            .map(|top| top.genre.as_str())
            .filter(|genre| !genre.is_empty())
            .collect();
        let [first, others @ ..] = genres.as_slice() else { return None };
        (genres.len() == self.answers.len() && !others.is_empty()).then(|| others.iter().all(|other| other == first))
    }
}

/// What the rows of a file are sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    path: String,
    top: Option<Top>,
}

impl Key {
    /// Of the file of that name; `top` is that of the first model.
    pub(super) fn new(path: String, top: Option<&Top>) -> Self {
        Self { path, top: top.cloned() }
    }

    /// The order of two files. Those without a prediction, and then those without a genre, are last.
    pub(super) fn compare(&self, other: &Self, sort: Sort) -> Ordering {
        let paths = || Path::new(&self.path).cmp(Path::new(&other.path));
        let (a, b) = match (&self.top, &other.top) {
            _ if sort == Sort::Path => return paths(),
            (Some(a), Some(b)) => (a, b),
            (a, b) => return a.is_none().cmp(&b.is_none()).then_with(paths),
        };
        let genres = match sort {
            Sort::Genre => a.genre.is_empty().cmp(&b.genre.is_empty()).then_with(|| a.genre.cmp(&b.genre)),
            _ => Ordering::Equal,
        };
        genres.then_with(|| b.probability.total_cmp(&a.probability)).then_with(paths)
    }
}
