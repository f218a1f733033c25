//! Two classifiers as one: their probabilities multiplied, each to a power (log-linear pooling: Genest and Zidek 1986).

use anyhow::{Context as _, Result};
use train::{
    evaluation::{comparison::pairs, metrics::Scored},
    training::golden,
};

use crate::declarations::Weight;

/// Least probability whose logarithm is taken.
const LEAST_PROBABILITY: f64 = 1e-15;
/// Steps of the search of the weight: to within 1e-6.
const STEPS: usize = 30;

/// `a^share · b^(1 − share)`, normalised to a sum of 1.
fn mixed(a: &[f64], b: &[f64], share: f64) -> Vec<f64> {
    let log = |p: &f64| libm::log(p.max(LEAST_PROBABILITY));
    let logs: Vec<f64> = a.iter().zip(b).map(|(a, b)| share * log(a) + (1.0 - share) * log(b)).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logs.iter().map(|log| libm::exp(log - largest)).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}

/// How much the first counts.
pub(super) fn share(weight: Weight, a: &[Scored], b: &[Scored]) -> Result<f64> {
    if let Weight::Fixed(share) = weight {
        return Ok(share);
    }
    let both = pairs(a, b).context("the weight of an ensemble cannot be learnt")?;
    let loss = |share: f64| -> f64 {
        both.iter()
            .map(|(a, b)| -libm::log(mixed(&a.probabilities, &b.probabilities, share)[a.truth].max(LEAST_PROBABILITY)))
            .sum()
    };
    let least = golden::minimum([0.0, 1.0], STEPS, loss);
    // The search never tries the ends.
    Ok([0.0, least, 1.0].into_iter().min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(least))
}

/// What both say together of the same clips, in the order of `a`.
pub(super) fn predictions(a: &[Scored], b: &[Scored], share: f64) -> Result<Vec<Scored>> {
    let mix = |(a, b): (&Scored, &Scored)| Scored {
        probabilities: mixed(&a.probabilities, &b.probabilities, share),
        ..a.clone()
    };
    Ok(pairs(a, b)?.into_iter().map(mix).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(number: usize, truth: usize, first: f64) -> Scored {
        let (metadata, group) = Default::default();
        Scored { clip_id: number.to_string(), metadata, group, truth, probabilities: vec![first, 1.0 - first] }
    }

    #[test]
    fn the_ends_are_the_members() {
        let (a, b) = ([0.7, 0.2, 0.1], [0.1, 0.1, 0.8]);
        for (share, expected) in [(1.0, a), (0.0, b)] {
            assert!(mixed(&a, &b, share).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12));
        }
        let half = mixed(&a, &b, 0.5);
        assert!((half[0] / half[2] - (0.07f64 / 0.08).sqrt()).abs() < 1e-12);
        assert!(mixed(&[1.0, 0.0], &[0.0, 1.0], 0.5).iter().all(|p| (p - 0.5).abs() < 1e-12));
    }

    #[test]
    fn the_one_that_knows_gets_the_weight() {
        let knows: Vec<_> = (0..20).map(|i| clip(i, i % 2, if i % 2 == 0 { 0.9 } else { 0.1 })).collect();
        let guesses: Vec<_> = (0..20).rev().map(|i| clip(i, i % 2, if i % 3 == 0 { 0.9 } else { 0.1 })).collect();
        assert!(share(Weight::Learnt, &knows, &guesses).unwrap() > 0.9);
        assert!(share(Weight::Learnt, &guesses, &knows).unwrap() < 0.1);
        assert_eq!(share(Weight::Fixed(0.3), &guesses, &knows).unwrap(), 0.3);
        assert!(share(Weight::Learnt, &knows, &guesses[1..]).is_err());
    }
}
