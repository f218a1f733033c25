//! Two classifiers as one, as [`train::training::ensemble`] joins them.

use anyhow::Result;
use train::{evaluation::metrics::Scored, training::ensemble};

use crate::declarations::Weight;

/// How much the first counts.
pub(super) fn share(weight: Weight, a: &[Scored], b: &[Scored]) -> Result<f64> {
    match weight {
        Weight::Fixed(share) => Ok(share),
        Weight::Learnt => Ok(ensemble::weights(&[a, b])?[0]),
    }
}

/// What both say together of the same clips, in the order of `a`.
pub(super) fn predictions(a: &[Scored], b: &[Scored], share: f64) -> Result<Vec<Scored>> {
    ensemble::predictions(&[a, b], &[share, 1.0 - share])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_weight_is_taken_as_it_is() {
        let clip = |number: usize, first: f64| {
            let (metadata, group) = Default::default();
            let probabilities = vec![first, 1.0 - first];
            Scored { clip_id: number.to_string(), metadata, group, truth: number % 2, probabilities }
        };
        let knows: Vec<_> = (0..20).map(|i| clip(i, if i % 2 == 0 { 0.9 } else { 0.1 })).collect();
        let guesses: Vec<_> = (0..20).rev().map(|i| clip(i, if i % 3 == 0 { 0.9 } else { 0.1 })).collect();
        assert_eq!(share(Weight::Fixed(0.3), &guesses, &knows).unwrap(), 0.3);
        assert!(share(Weight::Learnt, &knows, &guesses).unwrap() > 0.9);
        assert!(predictions(&knows, &guesses[1..], 0.3).is_err());
    }
}
