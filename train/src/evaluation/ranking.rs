//! What is named of many labels: the best, the worst, and those that are confused most.

use super::metrics::{ClassFigures, Evaluation};

/// Labels that are named at each end, unless little space is left.
pub const EXTREMES: usize = 20;

/// Labels with clips by rising recall: both ends, and how many are between.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked<'a> {
    /// The worst, the very worst first.
    pub worst: Vec<(&'a str, &'a ClassFigures)>,
    /// How many are between.
    pub between: usize,
    /// The best, the very best last.
    pub best: Vec<(&'a str, &'a ClassFigures)>,
    /// Labels of which no clip was evaluated; they have no recall.
    pub without_clips: usize,
}

impl<'a> Ranked<'a> {
    /// At most `each` labels at each end; all of them, shared out, where there are no more. Of one recall, the lower F1 comes first,
    /// then the first by name.
    #[must_use]
    pub fn by_recall(evaluation: &'a Evaluation, each: usize) -> Self {
        let mut order = by_recall(evaluation);
        let without_clips = evaluation.per_class.len() - order.len();
        let best = order.split_off(order.len() - each.min(order.len() / 2));
        let between = order.len().saturating_sub(each);
        order.truncate(each);
        Self { worst: order, between, best, without_clips }
    }
}

/// Every label with clips by rising recall; see [`Ranked::by_recall`].
#[must_use]
pub fn by_recall(evaluation: &Evaluation) -> Vec<(&str, &ClassFigures)> {
    let with_clips = evaluation.per_class.iter().filter(|(_, figures)| figures.support > 0);
    let mut order: Vec<_> = with_clips.map(|(label, figures)| (label.as_str(), figures)).collect();
    // Stable: the map is in the order of the names.
    order.sort_by(|(_, a), (_, b)| a.recall.total_cmp(&b.recall).then(a.f1.total_cmp(&b.f1)));
    order
}

/// Clips of one label that were called another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// Index of what they are.
    pub truth: usize,
    /// Index of what they were called.
    pub called: usize,
    /// How many they are.
    pub clips: usize,
    /// Clips of that label in all.
    pub of: usize,
}

/// Every confusion, the most frequent first; of equals in the order of the labels.
#[must_use]
pub fn confusions(evaluation: &Evaluation) -> Vec<Confusion> {
    let mut found = Vec::new();
    for (truth, row) in evaluation.confusion.iter().enumerate() {
        let of = row.iter().sum();
        let wrong = row.iter().enumerate().filter(|&(called, &clips)| called != truth && clips > 0);
        found.extend(wrong.map(|(called, &clips)| Confusion { truth, called, clips, of }));
    }
    found.sort_by_key(|confusion| (std::cmp::Reverse(confusion.clips), confusion.truth, confusion.called));
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evaluation::metrics::Scored;

    /// Names to be careful with, then plain ones.
    pub(crate) fn labels(k: usize) -> Vec<String> {
        let odd = [
            "演歌".to_owned(),
            "<b>rock & \"roll\"</b>".to_owned(),
            "موسيقى شعبية".to_owned(),
            "é".repeat(200),
            "🎷 a|b `c` *d* 'e'".to_owned(),
            "\u{202e}turned".to_owned(),
        ];
        (0..k).map(|i| odd.get(i).cloned().unwrap_or_else(|| format!("label {i:03}"))).collect()
    }

    /// Clips of `k` labels, `each` of a label, of which some are taken for the next label.
    pub(crate) fn clips(k: usize, each: usize) -> Vec<Scored> {
        let clip = |i: usize| {
            let truth = i % k;
            let called = if (i / k + truth).is_multiple_of(3) { (truth + 1) % k } else { truth };
            let mut probabilities = vec![0.4 / k as f64; k];
            probabilities[called] += 0.6;
            Scored {
                clip_id: format!("clip.{i:05}"),
                metadata: format!("artist {}", i / 2),
                group: (i / 2).to_string(),
                truth,
                probabilities,
            }
        };
        (0..k * each).map(clip).collect()
    }

    /// Their figures.
    pub(crate) fn evaluation(k: usize, each: usize) -> Evaluation {
        Evaluation::new(&labels(k), &clips(k, each), 1)
    }

    #[test]
    fn the_most_frequent_confusions_come_first() {
        let evaluation = evaluation(3, 6);
        let expected = |truth, called| Confusion { truth, called, clips: 2, of: 6 };
        assert_eq!(confusions(&evaluation), [expected(0, 1), expected(1, 2), expected(2, 0)]);
    }

    proptest! {
        #[test]
        fn both_ends_and_what_is_between_are_all(k in 2usize..60, each in 0usize..5, ends in 1usize..30) {
            let evaluation = evaluation(k, each);
            let ranked = Ranked::by_recall(&evaluation, ends);
            let named = ranked.worst.len() + ranked.best.len();
            prop_assert_eq!(named + ranked.between + ranked.without_clips, k);
            prop_assert!(ranked.worst.len() <= ends && ranked.best.len() <= ends);
            prop_assert!(ranked.between == 0 || named == 2 * ends);
            let recalls: Vec<f64> = ranked.worst.iter().chain(&ranked.best).map(|(_, figures)| figures.recall).collect();
            prop_assert!(recalls.is_sorted());
        }
    }
}
