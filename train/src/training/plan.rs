//! [`TrainingPlan`]: which clips a model is fitted on, and which evaluate it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use data::{FaultFiltered, Fold, LabelledDataset, Part, Split, labels::LabelSet};

use super::{
    dataset::{self, TrainingData},
    learner::{FitInput, Fitted, Learner},
};
use crate::evaluation::{
    learning::{FittedOn, Learning, LearningCurve},
    metrics::{Evaluation, Scored},
    scoring::ScoredClips,
};

/// Folds of the split by artist that holds clips out where GTZAN's own split does not apply.
const FOLDS: usize = 4;

/// The clips of a dataset, split.
#[derive(Clone, Debug)]
pub struct TrainingPlan {
    /// The split.
    pub split: Split,
    /// Why it was taken.
    pub why: &'static str,
    /// Artists, or recordings, on both sides of the dataset's own split.
    pub shared: usize,
    /// The folds that evaluate: one, or with `refit` all of the split.
    folds: Vec<Fold>,
    /// Whether the model is fitted on the clips that evaluate too, once models of the folds were evaluated by them.
    pub refit: bool,
    /// Clips that the model is fitted on, ascending.
    pub train: Vec<usize>,
    /// Clips that evaluate it, or models that are fitted alike; ascending.
    pub test: Vec<usize>,
    /// Names of the classes.
    pub labels: Vec<String>,
}

impl TrainingPlan {
    /// The split that `name` names, if it holds clips out.
    ///
    /// # Errors
    /// When it names none, or one that holds no clip out.
    pub fn split(name: &str) -> Result<Split> {
        let split = name.parse()?;
        match split {
            Split::FaultFiltered(Part::Train | Part::All)
            | Split::Given(Part::Train | Part::All)
            | Split::SegmentKFold { .. } => bail!(
                "`{name}` holds no clip out that is not fitted on; use given:valid, fault-filtered:valid or artist-kfold:{FOLDS}"
            ),
            _ => Ok(split),
        }
    }

    /// Splits a dataset: as named, else by the split that it came with, else by GTZAN's own where every clip is GTZAN's, else by artist.
    ///
    /// # Errors
    /// When there is nothing to fit on, or a class has no clip to fit on.
    pub fn new(dataset: &LabelledDataset, split: Option<Split>, refit: bool, seed: u64) -> Result<Self> {
        let everything: Vec<usize> = (0..dataset.len()).collect();
        check_labels(&dataset::labels(dataset, &everything), dataset.len())?;
        let (split, why) = match split {
            Some(split) => (split, "as --held-out says"),
            None => default_split(dataset),
        };
        if split == Split::LeaveOneArtistOut && !refit {
            bail!("{split} fits a model for each artist; add --refit, which evaluates on all of them");
        }
        // Repeats and faults are in no part.
        let parts = BTreeSet::from([FaultFiltered::Train, FaultFiltered::Valid, FaultFiltered::Test]);
        let mut folds = dataset.folds(split, &parts, seed)?;
        if !refit {
            folds.truncate(1);
        }
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for fold in &folds {
            if fold.train.is_empty() {
                bail!("nothing is left to fit on beside {split}; name a dataset with the train part too");
            }
            train.extend(&fold.train);
            test.extend(&fold.test);
        }
        if refit {
            train.extend(&test);
        }
        train.sort_unstable();
        train.dedup();
        test.sort_unstable();
        let labels = dataset::labels(dataset, &[train.as_slice(), &test].concat());
        check_labels(&labels, train.len() + test.len())?;
        dataset::check_folds(dataset, &labels, split, &folds)?;
        let shared = if matches!(split, Split::Given(_)) { shared_groups(dataset, &folds) } else { 0 };
        Ok(Self { split, why, shared, folds, refit, train, test, labels })
    }

    /// Fits a model, and scores the clips that evaluate: by that model; or with `refit`, each by a model that was fitted on the
    /// other folds. What the models of several folds decide by cannot be compared, so those vectors are dropped.
    ///
    /// # Errors
    /// Those of the learner; when a clip cannot be read.
    pub fn fit(
        &self,
        learner: &dyn Learner,
        data: &TrainingData,
        seed: u64,
        threads: usize,
    ) -> Result<(Fitted, ScoredClips)> {
        // With `refit` the clips that evaluate are fitted on too, so they can stop nothing early.
        let held_out: &[usize] = if self.refit { &[] } else { &self.test };
        let input = FitInput { data, train: &self.train, held_out, labels: &self.labels, seed, threads };
        let fitted = learner.fit(&input)?.calibrated(&input)?;
        if !self.refit {
            let scored_clips = fitted.score(data, &self.test, threads)?;
            return Ok((fitted, scored_clips));
        }
        let mut scored: Vec<(usize, Scored)> = Vec::new();
        for (number, Fold { train, test }) in self.folds.iter().enumerate() {
            let of_fold = learner.fit(&FitInput { train, held_out: test, ..input });
            let of_fold = of_fold.and_then(|fitted| fitted.score(data, test, threads));
            let of_fold = of_fold.with_context(|| format!("fold {} of {}", number + 1, self.folds.len()))?;
            scored.extend(test.iter().copied().zip(of_fold.scored));
        }
        scored.sort_by_key(|(clip, _)| *clip);
        let scored = scored.into_iter().map(|(_, scored)| scored).collect();
        Ok((fitted, ScoredClips { scored, embeddings: Vec::new() }))
    }

    /// The number of the fold of each clip that evaluates, in the order of `test`.
    #[must_use]
    pub fn folds_of_test(&self) -> Vec<usize> {
        let fold_of = |clip: &usize| self.folds.iter().position(|fold| fold.test.contains(clip)).unwrap_or(0);
        self.test.iter().map(fold_of).collect()
    }

    /// What more clips to fit on are worth to a fitted model, by the clips that evaluate it.
    ///
    /// # Errors
    /// Those of [`LearningCurve::new`].
    pub fn learning_curve(
        &self,
        learning: &Learning<'_>,
        data: &TrainingData,
        scored_clips: &ScoredClips,
        evaluation: &Evaluation,
        seed: u64,
    ) -> Result<LearningCurve> {
        let fitted_on_too =
            Learning::LeftOut("every clip that evaluates was fitted on too (--refit), each by a model of its fold");
        let learning = if self.refit { &fitted_on_too } else { learning };
        let labels = data.dataset().classes(&self.train, &LabelSet::from_names(&self.labels)?)?;
        let groups: Vec<String> = self.train.iter().map(|&index| data.dataset().clips()[index].group.clone()).collect();
        LearningCurve::new(learning, FittedOn { labels: &labels, groups: &groups }, scored_clips, evaluation, seed)
    }

    /// The flag of the command that splits them so again.
    #[must_use]
    pub fn flag(&self) -> &'static str {
        if self.refit { " --refit" } else { "" }
    }

    /// How the clips that evaluate were held out, in words.
    #[must_use]
    pub fn description(&self) -> String {
        let Self { split, test, refit, folds, .. } = self;
        if *refit {
            let models = if folds.len() == 1 { "a model".to_owned() } else { format!("{} models", folds.len()) };
            format!("evaluated: {} by {split}, by {models} that did not see them", test.len())
        } else {
            format!("held out: {} by {split}", test.len())
        }
    }
}

/// The split that holds clips out where none is named, and why it is taken: the dataset's own, GTZAN's where every clip is GTZAN's, else one
/// by artist.
fn default_split(dataset: &LabelledDataset) -> (Split, &'static str) {
    let given = |part: Part| dataset.clips().iter().any(|clip| clip.given == Some(part));
    if given(Part::Train) && given(Part::Valid) {
        (Split::Given(Part::Valid), "the split that the dataset came with")
    } else if given(Part::Train) && given(Part::Test) {
        (Split::Given(Part::Test), "the split that the dataset came with, which has no valid part")
    } else if dataset.clips().iter().all(|clip| clip.part.is_some()) {
        (Split::FaultFiltered(Part::Valid), "every clip is GTZAN's")
    } else {
        (Split::ArtistKFold { k: FOLDS }, "the dataset came with no split")
    }
}

/// Refuses clips of one label.
fn check_labels(labels: &[String], clips: usize) -> Result<()> {
    if let [label] = labels {
        bail!("all {clips} clips are {label}; a classifier needs two labels or more: add clips of others");
    }
    Ok(())
}

/// Artists, or recordings, that stand on both sides of a fold.
fn shared_groups(dataset: &LabelledDataset, folds: &[Fold]) -> usize {
    let groups = |clips: &[usize]| -> BTreeSet<&str> {
        clips.iter().map(|&clip| dataset.clips()[clip].group.as_str()).collect()
    };
    folds.iter().map(|fold| groups(&fold.train).intersection(&groups(&fold.test)).count()).sum()
}
