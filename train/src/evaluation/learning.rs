//! [`LearningCurve`]: what a larger training set is worth.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use data::rng::Rng;
use serde::Serialize;

use crate::evaluation::{
    metrics::{Evaluation, Scored},
    scoring::ScoredClips,
};

/// Shares of the artists of each class that are fitted on, beside all.
const SHARES: [f64; 3] = [0.25, 0.5, 0.75];
/// Artists of a class that a classifier must be fitted on: one to fit on, one to calibrate by.
const LEAST_ARTISTS: usize = 2;
/// Stream of the seed that deals artists.
const STREAM: u64 = 0x1EA2;

/// Fits the same model again on some of the clips and predicts others by their embeddings: for each clip of
/// `[clip][segment][dimension]` a probability for each class.
pub type Refit<'a> = Box<dyn Fn(&[usize], &[Vec<Vec<f32>>]) -> Result<Vec<Vec<f64>>> + 'a>;

/// How a learning curve is made.
pub enum Learning<'a> {
    /// Fit again on less.
    Refit(Refit<'a>),
    /// Nothing, and why.
    LeftOut(&'static str),
}

impl std::fmt::Debug for Learning<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refit(_) => f.write_str("Refit"),
            Self::LeftOut(why) => f.debug_tuple("LeftOut").field(why).finish(),
        }
    }
}

/// Accuracy on the held-out clips against how much was fitted on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LearningCurve {
    /// By rising share; the last is the model itself.
    pub points: Vec<LearningPoint>,
    /// Shares that could not be fitted on, and why.
    pub skipped: Vec<SkippedShare>,
    /// Why there is no curve at all, where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<&'static str>,
}

/// One fit of a [`LearningCurve`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LearningPoint {
    /// Share of the artists of each class, over 0, to 1.
    pub share: f64,
    /// Artists that were fitted on.
    pub artists: usize,
    /// Clips that were fitted on.
    pub clips: usize,
    /// Share of the held-out clips that is right.
    pub accuracy: f64,
    /// 95 % interval of it, by bootstrap over artists.
    pub ci95: [f64; 2],
    /// Unweighted mean of the F1 of the classes.
    pub macro_f1: f64,
}

/// A share that could not be fitted on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkippedShare {
    /// Share of the artists of each class.
    pub share: f64,
    /// The class with the fewest artists in it.
    #[serde(rename = "genre")]
    pub label: String,
    /// How many those are.
    pub artists: usize,
}

/// The clips that were fitted on.
#[derive(Clone, Copy, Debug)]
pub struct FittedOn<'a> {
    /// Class of each.
    pub labels: &'a [usize],
    /// Artist of each.
    pub groups: &'a [String],
}

impl FittedOn<'_> {
    /// The clips, ascending, of this share of the artists of each class, rounded up. A larger share has the clips of a smaller one:
    /// the seed deals the artists of each class into an order, of which the first are taken.
    #[must_use]
    pub fn some(&self, share: f64, seed: u64) -> Vec<usize> {
        let mut clips: Vec<usize> = Vec::new();
        for (class, artists) in self.artists().iter().enumerate() {
            let mut order: Vec<&str> = artists.iter().copied().collect();
            Rng::stream(seed ^ STREAM, class as u64).shuffle(&mut order);
            // A share of whole artists, up to rounding, is that many.
            let taken = (share * order.len() as f64 - 1e-9).ceil().max(0.0) as usize;
            let taken: BTreeSet<&str> = order.into_iter().take(taken).collect();
            let of_them = |&clip: &usize| self.labels[clip] == class && taken.contains(self.groups[clip].as_str());
            clips.extend((0..self.labels.len()).filter(of_them));
        }
        clips.sort_unstable();
        clips
    }

    /// The artists of each class.
    fn artists(&self) -> Vec<BTreeSet<&str>> {
        let mut artists = vec![BTreeSet::new(); self.labels.iter().max().map_or(0, |largest| largest + 1)];
        for (&label, group) in self.labels.iter().zip(self.groups) {
            artists[label].insert(group.as_str());
        }
        artists
    }

    fn point(&self, clips: &[usize], share: f64, evaluation: &Evaluation) -> LearningPoint {
        let artists: BTreeSet<&str> = clips.iter().map(|&clip| self.groups[clip].as_str()).collect();
        let Evaluation { accuracy, ci95, macro_f1, .. } = *evaluation;
        LearningPoint { share, artists: artists.len(), clips: clips.len(), accuracy, ci95, macro_f1 }
    }
}

impl LearningCurve {
    /// Fits on a quarter, on half and on three quarters of the artists of each class, and evaluates on the held-out clips. `evaluation` is
    /// that of the model itself.
    ///
    /// # Errors
    /// Those of the fits.
    pub fn new(
        learning: &Learning<'_>,
        fitted_on: FittedOn<'_>,
        clips: &ScoredClips,
        evaluation: &Evaluation,
        seed: u64,
    ) -> Result<Self> {
        let refit = match learning {
            Learning::LeftOut(why) => return Ok(Self { left_out: Some(*why), ..Self::default() }),
            Learning::Refit(_) if clips.embeddings.len() != clips.scored.len() => {
                let left_out = Some("the embeddings of the held-out clips come from several models");
                return Ok(Self { left_out, ..Self::default() });
            }
            Learning::Refit(refit) => refit,
        };
        let labels = &evaluation.labels;
        let mut curve = Self::default();
        for share in SHARES {
            let fitted = fitted_on.some(share, seed);
            let mut artists: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
            for &clip in &fitted {
                artists.entry(fitted_on.labels[clip]).or_default().insert(&fitted_on.groups[clip]);
            }
            let of_class = |class: usize| artists.get(&class).map_or(0, BTreeSet::len);
            let fewest = (0..labels.len()).min_by_key(|&class| of_class(class)).unwrap_or(0);
            if of_class(fewest) < LEAST_ARTISTS {
                let label = labels.get(fewest).cloned().unwrap_or_default();
                curve.skipped.push(SkippedShare { share, label, artists: of_class(fewest) });
                continue;
            }
            let said = refit(&fitted, &clips.embeddings)
                .with_context(|| format!("failed to fit on {share} of the artists"))?;
            let with = |(clip, probabilities): (&Scored, Vec<f64>)| Scored { probabilities, ..clip.clone() };
            let scored: Vec<Scored> = clips.scored.iter().zip(said).map(with).collect();
            curve.points.push(fitted_on.point(&fitted, share, &Evaluation::new(labels, &scored, seed)));
        }
        let everyone: Vec<usize> = (0..fitted_on.labels.len()).collect();
        curve.points.push(fitted_on.point(&everyone, 1.0, evaluation));
        Ok(curve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scored(truth: usize, right: bool) -> Scored {
        let (clip_id, metadata) = Default::default();
        let probabilities = if (truth == 0) == right { vec![0.9, 0.1] } else { vec![0.1, 0.9] };
        Scored { clip_id, metadata, group: truth.to_string(), truth, probabilities }
    }

    /// The curve of a classifier that is right of so many clips as it was fitted on, of eight clips that are held out.
    fn curve(artists: usize) -> LearningCurve {
        let labels: Vec<usize> = (0..4 * artists).map(|clip| clip % 2).collect();
        let groups: Vec<String> = (0..4 * artists).map(|clip| format!("{} of {}", clip / 4, clip % 2)).collect();
        let held_out: Vec<_> = (0..8).map(|i| scored(i % 2, true)).collect();
        let embeddings = vec![Vec::new(); 8];
        let names = ["a", "b"].map(String::from);
        let refit: Refit<'_> = Box::new(|clips, embeddings| {
            Ok((0..embeddings.len()).map(|i| scored(i % 2, i < clips.len()).probabilities).collect())
        });
        let evaluation = Evaluation::new(&names, &held_out, 1);
        let clips = ScoredClips { scored: held_out, embeddings };
        let fitted_on = FittedOn { labels: &labels, groups: &groups };
        LearningCurve::new(&Learning::Refit(refit), fitted_on, &clips, &evaluation, 1).unwrap()
    }

    #[test]
    fn a_quarter_a_half_three_quarters_and_the_model_itself() {
        let LearningCurve { points, skipped, left_out } = curve(8);
        assert!(skipped.is_empty() && left_out.is_none());
        let figures: Vec<_> = points.iter().map(|p| (p.share, p.artists, p.clips, p.accuracy)).collect();
        assert_eq!(figures, [(0.25, 4, 8, 1.0), (0.5, 8, 16, 1.0), (0.75, 12, 24, 1.0), (1.0, 16, 32, 1.0)]);
    }

    #[test]
    fn a_share_with_one_artist_of_a_class_is_skipped_and_said_to_be() {
        let LearningCurve { points, skipped, .. } = curve(3);
        assert_eq!(points.iter().map(|point| point.share).collect::<Vec<_>>(), [0.5, 0.75, 1.0]);
        assert_eq!(skipped, [SkippedShare { share: 0.25, label: "a".into(), artists: 1 }]);
        let nothing = Learning::LeftOut("why");
        let clips = ScoredClips { scored: Vec::new(), embeddings: Vec::new() };
        let fitted_on = FittedOn { labels: &[], groups: &[] };
        let none = LearningCurve::new(&nothing, fitted_on, &clips, &Evaluation::new(&[], &[], 1), 1).unwrap();
        assert!(none.points.is_empty() && none.left_out == Some("why"));
    }

    proptest! {
        #[test]
        fn subsets_are_nested_and_hold_whole_artists(
            clips in proptest::collection::vec((0usize..3, 0u8..12), 1..80),
            seed in any::<u64>(),
        ) {
            let labels: Vec<usize> = clips.iter().map(|clip| clip.0).collect();
            let groups: Vec<String> = clips.iter().map(|clip| clip.1.to_string()).collect();
            let fitted_on = FittedOn { labels: &labels, groups: &groups };
            let mut before: BTreeSet<usize> = BTreeSet::new();
            for share in [0.25, 0.5, 0.75, 1.0] {
                let some = fitted_on.some(share, seed);
                prop_assert!(some.is_sorted_by(|a, b| a < b));
                let some: BTreeSet<usize> = some.into_iter().collect();
                prop_assert!(before.is_subset(&some));
                let artist = |clip: usize| (labels[clip], &groups[clip]);
                let taken: BTreeSet<_> = some.iter().map(|&clip| artist(clip)).collect();
                // All clips of an artist in a class, or none.
                prop_assert!((0..labels.len()).all(|clip| some.contains(&clip) == taken.contains(&artist(clip))));
                for (class, artists) in fitted_on.artists().iter().enumerate() {
                    let n = taken.iter().filter(|(label, _)| *label == class).count();
                    prop_assert_eq!(n, (share * artists.len() as f64).ceil() as usize);
                }
                before = some;
            }
            prop_assert_eq!(before.len(), labels.len());
        }
    }
}
