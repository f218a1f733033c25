//! Pairwise coupling: one probability for each class from one for each pair.
//!
//! The second approach of T.-F. Wu, C.-J. Lin and R. C. Weng, "Probability estimates for multi-class classification by
//! pairwise coupling", JMLR 5, 2004, which libsvm uses too: the `p` with `Σ p_i = 1` that makes
//! `Σ_i Σ_{j≠i} (r_ji·p_i − r_ij·p_j)²` least, `r_ij` being the estimate of `P(i | i or j)`.

/// Estimates are held this far from 0 and 1, as in libsvm.
const MIN_PROBABILITY: f64 = 1e-7;
/// Largest residual of the optimality condition that is accepted.
const TOLERANCE: f64 = 1e-13;
const MAX_ITERATIONS: usize = 2_000;

/// Probability of each of `n_classes` classes from `pairwise`, one for each pair in the order (0, 1), (0, 2) …: the
/// probability of the first of the pair. Positive, with a sum of 1.
///
/// Algorithm 2 of the paper: the classes are taken in turn, each set to its best value given the others. It stays
/// positive at every step and converges from any start; libsvm stops at a residual of 0.005 / k, this at 1e-13.
#[must_use]
pub fn couple(pairwise: &[f64], n_classes: usize) -> Vec<f64> {
    let k = n_classes;
    debug_assert_eq!(pairwise.len(), k * (k - 1) / 2);
    let mut r = vec![0.5; k * k];
    for ((a, b), &estimate) in super::pairs(k).zip(pairwise) {
        let estimate = estimate.clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
        r[a * k + b] = estimate;
        r[b * k + a] = 1.0 - estimate;
    }
    // Q_tt = Σ_{j≠t} r_jt², Q_tj = −r_jt·r_tj
    let mut q = vec![0.0; k * k];
    for t in 0..k {
        for j in (0..k).filter(|&j| j != t) {
            q[t * k + t] += r[j * k + t] * r[j * k + t];
            q[t * k + j] = -r[j * k + t] * r[t * k + j];
        }
    }

    let mut p = vec![1.0 / k as f64; k];
    let mut qp = vec![0.0; k];
    for _ in 0..MAX_ITERATIONS {
        for (qp, row) in qp.iter_mut().zip(q.chunks_exact(k)) {
            *qp = row.iter().zip(&p).map(|(q, p)| q * p).sum();
        }
        let mut pqp: f64 = p.iter().zip(&qp).map(|(p, qp)| p * qp).sum();
        // The optimum has (Qp)_t = pᵀQp for every t.
        if qp.iter().all(|qp| (qp - pqp).abs() <= TOLERANCE) {
            break;
        }
        for t in 0..k {
            let row = &q[t * k..(t + 1) * k];
            let difference = (pqp - qp[t]) / row[t];
            p[t] += difference;
            let total = 1.0 + difference;
            pqp = (pqp + difference * (difference * row[t] + 2.0 * qp[t])) / total / total;
            for ((p, qp), q) in p.iter_mut().zip(&mut qp).zip(row) {
                *qp = (*qp + difference * q) / total;
                *p /= total;
            }
        }
    }
    normalise(p)
}

/// `p_i^(1/temperature)`, normalised: over 1 flattens, under 1 sharpens, 1 leaves the bits as they are.
///
/// As C. Guo et al., "On calibration of modern neural networks", 2017, on logarithms of probabilities.
#[must_use]
pub fn tempered(probabilities: &[f64], temperature: f64) -> Vec<f64> {
    if temperature == 1.0 {
        return probabilities.to_vec();
    }
    let logarithms: Vec<f64> =
        probabilities.iter().map(|&p| libm::log(p.max(f64::MIN_POSITIVE)) / temperature).collect();
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    normalise(logarithms.into_iter().map(|logarithm| libm::exp(logarithm - largest)).collect())
}

fn normalise(mut p: Vec<f64>) -> Vec<f64> {
    let total: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= total);
    p
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::svm::pairs;

    #[derive(serde::Deserialize)]
    struct Case {
        kind: String,
        n_classes: usize,
        pairwise: Vec<f64>,
        probabilities: Vec<f64>,
    }

    /// `experiments/parity/svm_golden.py`: the optimum by a linear system, without any iteration.
    #[test]
    fn the_optimum_of_the_paper_is_found() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/golden/coupling.json")).expect("cases");
        assert_eq!(cases.len(), 18);
        for case in cases {
            let found = couple(&case.pairwise, case.n_classes);
            let worst = found.iter().zip(&case.probabilities).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-9, "{} classes, {}: {worst:e}", case.n_classes, case.kind);
        }
    }

    #[test]
    fn two_classes_keep_their_estimate() {
        for estimate in [0.0_f64, 0.2, 0.5, 0.999, 1.0] {
            let expected = estimate.clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
            assert!((couple(&[estimate], 2)[0] - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_temperature_of_one_changes_no_bit_and_a_higher_one_flattens() {
        let p = [0.7, 0.2, 0.1, 0.0];
        assert_eq!(tempered(&p, 1.0), p);
        let flat = tempered(&p, 2.0);
        assert!((flat[0] / flat[1] - (0.7_f64 / 0.2).sqrt()).abs() < 1e-12 && flat[0] < 0.7 && flat[3] > 0.0);
        assert!(tempered(&p, 0.5)[0] > 0.7);
    }

    /// Estimates for every pair, among them certain and contradictory ones.
    fn estimates() -> impl Strategy<Value = (usize, Vec<f64>)> {
        let estimate = prop_oneof![6 => 0.0..=1.0, 1 => Just(0.0), 1 => Just(1.0), 1 => 0.0..=1e-6];
        (2_usize..=12).prop_flat_map(move |k| (Just(k), prop::collection::vec(estimate.clone(), k * (k - 1) / 2)))
    }

    proptest! {
        #[test]
        fn probabilities_are_positive_and_sum_to_one((k, pairwise) in estimates(), temperature in 0.05..20.0) {
            let p = couple(&pairwise, k);
            for p in [tempered(&p, temperature), p] {
                prop_assert_eq!(p.len(), k);
                prop_assert!(p.iter().all(|p| p.is_finite() && *p >= 0.0), "{:?}", p);
                prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }

        #[test]
        fn the_names_of_classes_do_not_matter(
            (k, pairwise) in (2_usize..=10)
                .prop_flat_map(|k| (Just(k), prop::collection::vec(0.01..=0.99, k * (k - 1) / 2))),
            seed in 0_usize..1000,
        ) {
            // A permutation of the classes, and the estimates under it.
            let mut order: Vec<usize> = (0..k).collect();
            order.sort_by_key(|&class| (class * 7919 + seed * 104_729) % 1009);
            let mut r = vec![0.5; k * k];
            for ((a, b), &estimate) in pairs(k).zip(&pairwise) {
                r[a * k + b] = estimate;
                r[b * k + a] = 1.0 - estimate;
            }
            let permuted: Vec<f64> = pairs(k).map(|(a, b)| r[order[a] * k + order[b]]).collect();
            let (p, q) = (couple(&pairwise, k), couple(&permuted, k));
            for (position, &class) in order.iter().enumerate() {
                prop_assert!((q[position] - p[class]).abs() < 1e-9, "{:?} {:?}", p, q);
            }
        }

        #[test]
        fn consistent_estimates_give_the_probabilities_that_they_came_from(
            weights in prop::collection::vec(0.01..1.0, 2..10),
        ) {
            let total: f64 = weights.iter().sum();
            let k = weights.len();
            let pairwise: Vec<f64> = pairs(k).map(|(a, b)| weights[a] / (weights[a] + weights[b])).collect();
            for (found, weight) in couple(&pairwise, k).into_iter().zip(&weights) {
                prop_assert!((found - weight / total).abs() < 1e-8);
            }
        }
    }
}
