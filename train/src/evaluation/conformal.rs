//! [`ConformalFigures`]: whether sets of labels hold what they promise, and how well clips that are unlike the training set are told.

use std::collections::BTreeMap;

use data::grouped_kfold;
use models::conformal::PredictionSets;
use serde::Serialize;

use super::metrics::Scored;
use crate::training::conformal::NoveltyReport;

/// Folds by artist, of which each is covered by sets that were calibrated on the others.
const FOLDS: usize = 5;

/// What predictions of a model are worth beside their probabilities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConformalFigures {
    /// Sets of the clips that were fitted on, by models that did not see their artists, calibrated without them.
    pub sets_cross_validated: Option<SetFigures>,
    /// Sets of the clips that evaluate.
    pub sets: Option<SetFigures>,
    /// The detector of clips that are unlike the training set.
    pub novelty: Option<NoveltyReport>,
    /// Share of the clips that evaluate with a p-value at or below its threshold, 0 to 1, and how many these clips are.
    pub novel: Option<NovelShare>,
}

/// How many of some clips are unlike the training set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NovelShare {
    /// Clips.
    pub n: usize,
    /// Share of them, 0 to 1.
    pub share: f64,
}

/// Whether sets of labels hold what they promise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetFigures {
    /// Clips.
    pub n: usize,
    /// Share of the clips whose set has the true label, 0 to 1.
    pub coverage: f64,
    /// Mean number of labels in a set.
    pub mean_size: f64,
    /// Sets of one label.
    pub singletons: usize,
    /// Share of those that are right, 0 to 1.
    pub singletons_right: f64,
    /// The same of each label that has clips.
    pub per_label: BTreeMap<String, LabelSets>,
}

/// Sets of the clips of one label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LabelSets {
    /// Clips of this label.
    pub support: usize,
    /// Share of them whose set has it, 0 to 1.
    pub coverage: f64,
    /// Mean number of labels in their sets.
    pub mean_size: f64,
}

impl SetFigures {
    /// Of scored clips; `None` of none.
    #[must_use]
    pub fn new(sets: &PredictionSets, labels: &[String], scored: &[Scored]) -> Option<Self> {
        let found: Vec<_> = scored.iter().map(|clip| (clip.truth, sets.labels(&clip.probabilities))).collect();
        Self::of(labels, &found)
    }

    /// Of clips that were scored by models which did not see their artists: the sets of each fifth of the artists are calibrated on the
    /// others. `None` where these are too few.
    #[must_use]
    pub fn cross_validated(labels: &[String], scored: &[Scored], seed: u64) -> Option<Self> {
        let truths: Vec<usize> = scored.iter().map(|clip| clip.truth).collect();
        let groups: Vec<String> = scored.iter().map(|clip| clip.group.clone()).collect();
        let mut found = Vec::new();
        for fold in grouped_kfold(&truths, &groups, FOLDS, seed) {
            let others = (0..scored.len()).filter(|clip| fold.binary_search(clip).is_err()).map(|clip| &scored[clip]);
            let sets = PredictionSets::calibrate(others.map(|clip| (clip.probabilities.as_slice(), clip.truth)))?;
            found.extend(fold.iter().map(|&clip| (truths[clip], sets.labels(&scored[clip].probabilities))));
        }
        Self::of(labels, &found)
    }

    /// Of true labels and sets.
    fn of(labels: &[String], found: &[(usize, Vec<usize>)]) -> Option<Self> {
        if found.is_empty() {
            return None;
        }
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let summary = |of: &[&(usize, Vec<usize>)]| {
            let covered = of.iter().filter(|(truth, set)| set.contains(truth)).count();
            let size = of.iter().map(|(_, set)| set.len()).sum::<usize>();
            LabelSets { support: of.len(), coverage: share(covered, of.len()), mean_size: share(size, of.len()) }
        };
        let all: Vec<_> = found.iter().collect();
        let per_label = labels.iter().enumerate().filter_map(|(label, name)| {
            let of_label: Vec<_> = found.iter().filter(|(truth, _)| *truth == label).collect();
            (!of_label.is_empty()).then(|| (name.clone(), summary(&of_label)))
        });
        let singletons: Vec<_> = found.iter().filter(|(_, set)| set.len() == 1).collect();
        let LabelSets { support, coverage, mean_size } = summary(&all);
        Some(Self {
            n: support,
            coverage,
            mean_size,
            singletons: singletons.len(),
            singletons_right: summary(&singletons).coverage,
            per_label: per_label.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use data::rng::Rng;

    use super::*;

    #[test]
    fn figures_count_sets() {
        let labels = ["a", "b"].map(str::to_owned);
        let found = vec![(0, vec![0]), (0, vec![1]), (0, vec![1, 0]), (1, vec![1])];
        let figures = SetFigures::of(&labels, &found).expect("clips");
        assert_eq!((figures.n, figures.coverage, figures.mean_size), (4, 0.75, 1.25));
        assert_eq!((figures.singletons, figures.singletons_right), (3, 2.0 / 3.0));
        assert_eq!(figures.per_label["a"], LabelSets { support: 3, coverage: 2.0 / 3.0, mean_size: 4.0 / 3.0 });
        assert_eq!(SetFigures::of(&labels, &[]), None);
    }

    #[test]
    fn new_artists_are_covered() {
        let mut rng = Rng::new(5);
        let labels: Vec<String> = (0..4).map(|label| label.to_string()).collect();
        let clip = |i: usize| {
            let truth = i % 4;
            let mut probabilities: Vec<f64> =
                (0..4).map(|label| rng.unit() + 0.6 * f64::from(u8::from(label == truth))).collect();
            let total: f64 = probabilities.iter().sum();
            probabilities.iter_mut().for_each(|p| *p /= total);
            Scored { clip_id: i.to_string(), metadata: String::new(), group: (i / 8).to_string(), truth, probabilities }
        };
        let scored: Vec<Scored> = (0..2000).map(clip).collect();
        let figures = SetFigures::cross_validated(&labels, &scored, 0).expect("enough");
        assert_eq!(figures.n, 2000);
        assert!((0.88..0.93).contains(&figures.coverage), "{figures:?}");
        assert_eq!(SetFigures::cross_validated(&labels, &scored[..6], 0), None);
    }
}
