//! How good a classifier is: one [`Evaluation`] from the probabilities that it gave to labelled clips.

use std::collections::BTreeMap;

use data::{
    gtzan::{KnownFault, catalogue, known_faults},
    rng::Rng,
};
use serde::{Deserialize, Serialize};

/// Resamples of the bootstrap behind [`Evaluation::ci95`].
const BOOTSTRAP_RESAMPLES: usize = 2_000;
/// Bins of equal mass of the calibration error.
const ECE_BINS: usize = 10;
/// Least probability that the log-loss takes the logarithm of.
const LEAST_PROBABILITY: f64 = 1e-15;

/// A prediction of one labelled clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Its id.
    pub clip_id: String,
    /// Artist and title, as far as they are known; for people.
    pub metadata: String,
    /// What clips that are not independent share: one key for an artist.
    pub group: String,
    /// Index of its true label.
    pub truth: usize,
    /// Probability of each label.
    pub probabilities: Vec<f64>,
}

impl Scored {
    /// Index of the most probable label; the first of equals.
    #[must_use]
    pub fn predicted(&self) -> usize {
        models::most_probable(&self.probabilities)
    }

    /// 1 where that is the true one, else 0.
    #[must_use]
    pub fn right(&self) -> f64 {
        f64::from(u8::from(self.predicted() == self.truth))
    }

    /// The probability of the most probable label.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.probabilities.get(self.predicted()).copied().unwrap_or(0.0)
    }
}

/// Figures of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Clips of this class.
    pub support: usize,
    /// Of the clips called so, how many are.
    pub precision: f64,
    /// Of the clips that are so, how many were called so.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

/// One bin of a reliability diagram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Clips in it.
    pub n: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
}

/// How good a classifier is on a set of labelled clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Clips scored.
    pub n: usize,
    /// Share of clips whose most probable label is the true one.
    pub accuracy: f64,
    /// 95 % interval of the accuracy: percentile bootstrap over artists (clips of one artist are drawn together).
    pub ci95: [f64; 2],
    /// Unweighted mean of the F1 of the classes that have clips.
    pub macro_f1: f64,
    /// Mean of −ln of the probability given to the true label.
    pub log_loss: f64,
    /// Expected calibration error of the most probable label, in ten bins of equal mass.
    pub ece: f64,
    /// The labels, in the order of `confusion`.
    pub labels: Vec<String>,
    /// Counts; rows are the true labels, columns the predicted ones.
    pub confusion: Vec<Vec<usize>>,
    /// Figures of each class.
    pub per_class: BTreeMap<String, ClassFigures>,
    /// The bins behind `ece`, by rising confidence.
    pub reliability: Vec<ReliabilityBin>,
}

impl Evaluation {
    /// Evaluates `scored`; `seed` is that of the bootstrap. Everything but `labels` is zero when nothing was scored.
    #[must_use]
    pub fn new(labels: &[String], scored: &[Scored], seed: u64) -> Self {
        let k = labels.len();
        let n = scored.len();
        let mut confusion = vec![vec![0; k]; k];
        let mut log_loss = 0.0;
        for clip in scored {
            confusion[clip.truth][clip.predicted()] += 1;
            log_loss -= libm::log(clip.probabilities[clip.truth].max(LEAST_PROBABILITY));
        }
        let right: usize = (0..k).map(|i| confusion[i][i]).sum();
        let per_class: BTreeMap<_, _> =
            labels.iter().enumerate().map(|(i, label)| (label.clone(), class_figures(&confusion, i))).collect();
        let present: Vec<_> = per_class.values().filter(|figures| figures.support > 0).collect();
        let reliability = reliability(scored);
        Self {
            n,
            accuracy: share(right, n),
            ci95: bootstrap_by_group(scored.iter().map(|clip| (clip.group.as_str(), clip.right())), seed),
            macro_f1: present.iter().map(|figures| figures.f1).sum::<f64>() / present.len().max(1) as f64,
            log_loss: log_loss / n.max(1) as f64,
            ece: reliability.iter().map(|bin| bin.n as f64 * (bin.confidence - bin.accuracy).abs()).sum::<f64>()
                / n.max(1) as f64,
            labels: labels.to_vec(),
            confusion,
            per_class,
            reliability,
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn class_figures(confusion: &[Vec<usize>], class: usize) -> ClassFigures {
    let right = confusion[class][class];
    let support: usize = confusion[class].iter().sum();
    let predicted: usize = confusion.iter().map(|row| row[class]).sum();
    ClassFigures {
        support,
        precision: share(right, predicted),
        recall: share(right, support),
        f1: share(2 * right, support + predicted),
    }
}

/// Clips sorted by confidence and cut into bins that differ by one clip at most.
fn reliability(scored: &[Scored]) -> Vec<ReliabilityBin> {
    let mut clips: Vec<_> = scored.iter().map(|clip| (clip.confidence(), clip.predicted() == clip.truth)).collect();
    clips.sort_by(|a, b| a.0.total_cmp(&b.0));
    (0..ECE_BINS)
        .map(|bin| &clips[bin * clips.len() / ECE_BINS..(bin + 1) * clips.len() / ECE_BINS])
        .filter(|bin| !bin.is_empty())
        .map(|bin| ReliabilityBin {
            n: bin.len(),
            confidence: bin.iter().map(|clip| clip.0).sum::<f64>() / bin.len() as f64,
            accuracy: share(bin.iter().filter(|clip| clip.1).count(), bin.len()),
        })
        .collect()
}

/// 95 % interval of the mean of values of which those with the same group are not independent: 2.5 % and 97.5 % percentiles of the
/// mean when whole groups are drawn with replacement (Efron & Tibshirani 1993). Zeros when there is no value.
#[must_use]
pub fn bootstrap_by_group<'a>(values: impl IntoIterator<Item = (&'a str, f64)>, seed: u64) -> [f64; 2] {
    let mut groups: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for (group, value) in values {
        let (sum, n) = groups.entry(group).or_default();
        *sum += value;
        *n += 1;
    }
    let groups: Vec<_> = groups.into_values().collect();
    if groups.is_empty() {
        return [0.0, 0.0];
    }
    let mut rng = Rng::new(seed);
    let mut means: Vec<f64> = (0..BOOTSTRAP_RESAMPLES)
        .map(|_| {
            let (sum, n) = (0..groups.len()).fold((0.0, 0), |(sum, n), _| {
                let drawn = groups[rng.below(groups.len())];
                (sum + drawn.0, n + drawn.1)
            });
            sum / n as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let percentile = |p: f64| means[((BOOTSTRAP_RESAMPLES - 1) as f64 * p).round() as usize];
    [percentile(0.025), percentile(0.975)]
}

/// Accuracies of which [`Coverage`] says up to which share of the clips they are reached.
const TARGETS: [f64; 3] = [0.8, 0.9, 0.95];
/// Points of [`Coverage::at`].
const STEPS: usize = 10;

/// The most confident share of the clips, and how often that is right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CoveragePoint {
    /// Share of the clips, over 0, to 1.
    pub coverage: f64,
    /// Share of these that is right.
    pub accuracy: f64,
    /// The least confidence among them.
    pub threshold: f64,
}

/// How far an accuracy goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reached {
    /// The accuracy.
    pub accuracy: f64,
    /// The largest share of the most confident clips that has it; `None` where no share has.
    pub at: Option<CoveragePoint>,
}

/// A [`coverage_curve`] in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// The curve at a tenth of the clips, two tenths, and so on: at the first of its points that cover as many.
    pub at: Vec<CoveragePoint>,
    /// How far accuracies of 0.8, 0.9 and 0.95 go.
    pub reached: Vec<Reached>,
    /// Mean error (1 − accuracy) over all coverages: the area under the risk–coverage curve (Geifman and El-Yaniv 2017), in steps of
    /// the points; 0 is best. 0 of no clip.
    pub mean_risk: f64,
}

/// A point for each confidence that there is, the highest first: clips of one confidence are taken together, for nothing tells
/// which of them is to go first.
#[must_use]
pub fn coverage_curve(scored: &[Scored]) -> Vec<CoveragePoint> {
    let mut clips: Vec<_> = scored.iter().map(|clip| (clip.confidence(), clip.right())).collect();
    clips.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut taken, mut right) = (0usize, 0.0);
    let of_one_confidence = clips.chunk_by(|a, b| a.0 == b.0);
    of_one_confidence
        .map(|chunk| {
            taken += chunk.len();
            right += chunk.iter().map(|clip| clip.1).sum::<f64>();
            CoveragePoint {
                coverage: taken as f64 / clips.len() as f64,
                accuracy: right / taken as f64,
                threshold: chunk[0].0,
            }
        })
        .collect()
}

impl Coverage {
    /// Sums a [`coverage_curve`] up.
    #[must_use]
    pub fn new(curve: &[CoveragePoint]) -> Self {
        let at = (1..=STEPS).filter_map(|step| {
            let least = step as f64 / STEPS as f64 - 1e-9;
            curve.iter().find(|point| point.coverage >= least).copied()
        });
        let reached = TARGETS.map(|accuracy| Reached {
            accuracy,
            at: curve.iter().rev().find(|point| point.accuracy >= accuracy - 1e-9).copied(),
        });
        let mut before = 0.0;
        let mean_risk = curve.iter().map(|point| {
            let width = point.coverage - before;
            before = point.coverage;
            width * (1.0 - point.accuracy)
        });
        Self { mean_risk: mean_risk.sum(), at: at.collect(), reached: reached.to_vec() }
    }
}

/// An evaluated clip with something against it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultyClip {
    /// Its id.
    pub clip_id: String,
    /// Whether it was named rightly.
    pub right: bool,
    /// What is known against it; at least one thing.
    pub faults: Vec<KnownFault>,
}

/// How many clips have a fault of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultCount {
    /// Of the evaluated clips.
    pub clips: usize,
    /// Of those that were named wrongly.
    pub mistakes: usize,
}

/// What GTZAN's catalogue knows against the evaluated clips; see [`KnownFault`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Faults {
    /// Evaluated clips that are in the catalogue. Nothing is known of others.
    pub in_catalogue: usize,
    /// Repeats and faults that Kereliuk, Sturm and Larsen left out.
    pub excluded: FaultCount,
    /// Clips of which an artist is in another part of the split too.
    pub shared_artist: FaultCount,
    /// Each of them, in the order of the ids.
    pub clips: Vec<FaultyClip>,
}

impl Faults {
    /// Looks every clip up. A part of a clip (`blues.00000.3`) is looked up as the clip.
    #[must_use]
    pub fn of(scored: &[Scored]) -> Self {
        let mut found = Self::default();
        for clip in scored {
            let id = whole(&clip.clip_id);
            found.in_catalogue += usize::from(catalogue().get(id).is_some());
            let faults = known_faults(id);
            if faults.is_empty() {
                continue;
            }
            let right = clip.right() == 1.0;
            for fault in faults {
                let count = match fault {
                    KnownFault::Excluded { .. } => &mut found.excluded,
                    KnownFault::SharedArtist { .. } => &mut found.shared_artist,
                };
                count.clips += 1;
                count.mistakes += usize::from(!right);
            }
            found.clips.push(FaultyClip { clip_id: clip.clip_id.clone(), right, faults: faults.to_vec() });
        }
        found.clips.sort_by(|a, b| a.clip_id.cmp(&b.clip_id));
        found
    }

    /// What is known against an evaluated clip.
    #[must_use]
    pub fn against(&self, clip_id: &str) -> &[KnownFault] {
        let index = self.clips.binary_search_by(|clip| clip.clip_id.as_str().cmp(clip_id));
        index.map_or(&[], |index| self.clips[index].faults.as_slice())
    }
}

/// The id of the clip that this is a part of, or itself.
fn whole(clip_id: &str) -> &str {
    let part = clip_id.rsplit_once('.').filter(|(whole, _)| catalogue().get(whole).is_some());
    part.map_or(clip_id, |(whole, _)| whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(k: usize) -> Vec<String> {
        (0..k).map(|i| format!("label {i}")).collect()
    }

    fn scored(truth: usize, probabilities: &[f64], group: &str) -> Scored {
        Scored {
            clip_id: String::new(),
            metadata: String::new(),
            group: group.into(),
            truth,
            probabilities: probabilities.to_vec(),
        }
    }

    #[test]
    fn figures_of_a_hand_counted_case() {
        let clips = [
            scored(0, &[0.8, 0.2], "a"),
            scored(0, &[0.4, 0.6], "b"),
            scored(1, &[0.1, 0.9], "c"),
            scored(1, &[0.3, 0.7], "d"),
        ];
        let evaluation = Evaluation::new(&labels(2), &clips, 1);
        assert_eq!(evaluation.accuracy, 0.75);
        assert_eq!(evaluation.confusion, [[1, 1], [0, 2]]);
        assert_eq!(evaluation.per_class["label 0"].recall, 0.5);
        assert_eq!(evaluation.per_class["label 1"].precision, 2.0 / 3.0);
        // F1: 2/3 and 4/5.
        assert!((evaluation.macro_f1 - (2.0 / 3.0 + 0.8) / 2.0).abs() < 1e-12);
        let expected = -(0.8f64.ln() + 0.4f64.ln() + 0.9f64.ln() + 0.7f64.ln()) / 4.0;
        assert!((evaluation.log_loss - expected).abs() < 1e-12);
        // Each clip is a bin of its own: |0.6−0| + |0.7−1| + |0.8−1| + |0.9−1|, over four.
        assert!((evaluation.ece - (0.6 + 0.3 + 0.2 + 0.1) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_sure_mistake_costs_a_finite_loss_and_nothing_scored_gives_zeros() {
        let evaluation = Evaluation::new(&labels(2), &[scored(0, &[0.0, 1.0], "a")], 1);
        assert!(evaluation.log_loss.is_finite() && evaluation.log_loss > 30.0);
        let nothing = Evaluation::new(&labels(2), &[], 1);
        assert_eq!((nothing.n, nothing.accuracy, nothing.ci95), (0, 0.0, [0.0, 0.0]));
    }

    #[test]
    fn one_artist_is_one_draw() {
        // Forty clips of two artists, one always right and one never: a draw is 0, ½ or 1.
        let clips: Vec<_> =
            (0..40).map(|i| scored(i % 2, &[1.0, 0.0], if i % 2 == 0 { "right" } else { "wrong" })).collect();
        assert_eq!(Evaluation::new(&labels(2), &clips, 7).ci95, [0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn figures_stay_in_their_ranges(
            clips in proptest::collection::vec((0usize..3, 0.01f64..1.0, 0.01f64..1.0, 0.01f64..1.0, 0u8..9), 1..60),
            seed in any::<u64>(),
        ) {
            let clips: Vec<_> = clips.iter().map(|&(truth, a, b, c, group)| {
                let sum = a + b + c;
                scored(truth, &[a / sum, b / sum, c / sum], &group.to_string())
            }).collect();
            let evaluation = Evaluation::new(&labels(3), &clips, seed);
            let Evaluation { accuracy, ci95: [low, high], macro_f1, log_loss, ece, .. } = evaluation;
            prop_assert!(low <= high);
            for share in [accuracy, low, high, macro_f1, ece] {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            prop_assert!(log_loss >= 0.0);
            prop_assert_eq!(evaluation.confusion.iter().flatten().sum::<usize>(), clips.len());
            prop_assert_eq!(evaluation.reliability.iter().map(|bin| bin.n).sum::<usize>(), clips.len());
        }
    }

    fn answer(confidence: f64, right: bool) -> Scored {
        let (clip_id, metadata, group) = Default::default();
        Scored {
            clip_id,
            metadata,
            group,
            truth: usize::from(!right),
            probabilities: vec![confidence, 1.0 - confidence],
        }
    }

    #[test]
    fn a_hand_counted_curve() {
        // By confidence: right, right, wrong and right (alike), wrong.
        let clips = [answer(0.7, false), answer(0.9, true), answer(0.6, false), answer(0.95, true), answer(0.7, true)];
        let points = coverage_curve(&clips);
        let point = |coverage, accuracy, threshold| CoveragePoint { coverage, accuracy, threshold };
        assert_eq!(points, [point(0.2, 1.0, 0.95), point(0.4, 1.0, 0.9), point(0.8, 0.75, 0.7), point(1.0, 0.6, 0.6)]);
        let coverage = Coverage::new(&points);
        assert_eq!(
            coverage.at.iter().map(|point| point.accuracy).collect::<Vec<_>>(),
            [1.0, 1.0, 1.0, 1.0, 0.75, 0.75, 0.75, 0.75, 0.6, 0.6]
        );
        assert_eq!(coverage.reached[1].at, Some(points[1]), "0.9 is reached by two clips of five");
        assert!((coverage.mean_risk - (0.4 * 0.25 + 0.2 * 0.4)).abs() < 1e-12);
        let nothing = Coverage::new(&coverage_curve(&[answer(0.8, false)]));
        assert!(nothing.reached.iter().all(|reached| reached.at.is_none()));
        assert_eq!(Coverage::new(&coverage_curve(&[])).mean_risk, 0.0);
    }

    proptest! {
        #[test]
        fn it_ends_with_the_accuracy_of_all_and_no_order_matters(
            clips in proptest::collection::vec((50u32..100, any::<bool>()), 1..60),
        ) {
            let mut clips: Vec<_> = clips.iter().map(|&(p, right)| answer(f64::from(p) / 100.0, right)).collect();
            let points = coverage_curve(&clips);
            let last = points.last().unwrap();
            let accuracy = clips.iter().map(Scored::right).sum::<f64>() / clips.len() as f64;
            prop_assert!(last.coverage == 1.0 && (last.accuracy - accuracy).abs() < 1e-12);
            prop_assert!(points.is_sorted_by(|a, b| a.coverage < b.coverage && a.threshold > b.threshold));
            clips.reverse();
            prop_assert_eq!(coverage_curve(&clips), points);
        }
    }

    fn named(clip_id: &str, right: bool) -> Scored {
        let (metadata, group) = Default::default();
        let truth = usize::from(!right);
        Scored { clip_id: clip_id.into(), metadata, group, truth, probabilities: vec![0.9, 0.1] }
    }

    #[test]
    fn faults_are_counted_among_clips_and_among_mistakes() {
        let excluded = catalogue().entries().iter().find(|entry| entry.split == data::FaultFiltered::Excluded);
        let excluded = excluded.expect("one of seventy").clip_id.as_str();
        let part = format!("{excluded}.2");
        let clips = [
            named("disco.00013", false),
            named(excluded, false),
            named(&part, true),
            named("blues.00000", false),
            named("mine", false),
        ];
        let faults = Faults::of(&clips);
        assert_eq!(faults.in_catalogue, 4);
        assert_eq!(faults.excluded, FaultCount { clips: 2, mistakes: 1 });
        assert_eq!(faults.shared_artist, FaultCount { clips: 1, mistakes: 1 });
        assert_eq!(faults.against("disco.00013").len(), 1);
        assert!(faults.against(&part)[0].name() == "excluded" && faults.against("mine").is_empty());
    }
}
