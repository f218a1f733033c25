//! How often a classifier is right where it is sure: its most confident answers alone, as many as one likes.

use serde::Serialize;

use super::Scored;

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

/// A [`curve`] in a few numbers.
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
pub fn curve(scored: &[Scored]) -> Vec<CoveragePoint> {
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
    /// Sums a [`curve`] up.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clip(confidence: f64, right: bool) -> Scored {
        let (clip_id, credit, group) = Default::default();
        Scored { clip_id, credit, group, truth: usize::from(!right), probabilities: vec![confidence, 1.0 - confidence] }
    }

    #[test]
    fn a_hand_counted_curve() {
        // By confidence: right, right, wrong and right (alike), wrong.
        let clips = [clip(0.7, false), clip(0.9, true), clip(0.6, false), clip(0.95, true), clip(0.7, true)];
        let points = curve(&clips);
        let point = |coverage, accuracy, threshold| CoveragePoint { coverage, accuracy, threshold };
        assert_eq!(points, [point(0.2, 1.0, 0.95), point(0.4, 1.0, 0.9), point(0.8, 0.75, 0.7), point(1.0, 0.6, 0.6)]);
        let coverage = Coverage::new(&points);
        assert_eq!(
            coverage.at.iter().map(|point| point.accuracy).collect::<Vec<_>>(),
            [1.0, 1.0, 1.0, 1.0, 0.75, 0.75, 0.75, 0.75, 0.6, 0.6]
        );
        assert_eq!(coverage.reached[1].at, Some(points[1]), "0.9 is reached by two clips of five");
        assert!((coverage.mean_risk - (0.4 * 0.25 + 0.2 * 0.4)).abs() < 1e-12);
        let nothing = Coverage::new(&curve(&[clip(0.8, false)]));
        assert!(nothing.reached.iter().all(|reached| reached.at.is_none()));
        assert_eq!(Coverage::new(&curve(&[])).mean_risk, 0.0);
    }

    proptest! {
        #[test]
        fn it_ends_with_the_accuracy_of_all_and_no_order_matters(
            clips in proptest::collection::vec((50u32..100, any::<bool>()), 1..60),
        ) {
            let mut clips: Vec<_> = clips.iter().map(|&(p, right)| clip(f64::from(p) / 100.0, right)).collect();
            let points = curve(&clips);
            let last = points.last().unwrap();
            let accuracy = clips.iter().map(Scored::right).sum::<f64>() / clips.len() as f64;
            prop_assert!(last.coverage == 1.0 && (last.accuracy - accuracy).abs() < 1e-12);
            prop_assert!(points.is_sorted_by(|a, b| a.coverage < b.coverage && a.threshold > b.threshold));
            clips.reverse();
            prop_assert_eq!(curve(&clips), points);
        }
    }
}
