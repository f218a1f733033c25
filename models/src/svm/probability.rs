//! From decision values to probabilities: Platt's sigmoid for each pair of classes, pairwise coupling for all of them, and a
//! temperature.
//!
//! [`Sigmoid`]: J. Platt, "Probabilistic outputs for support vector machines", 1999; fitted by the Newton method with
//! backtracking of H.-T. Lin, C.-J. Lin and R. C. Weng, "A note on Platt's probabilistic outputs for support vector machines",
//! Machine Learning 68, 2007 (appendix, pseudo code), which is also what libsvm does.
//!
//! [`couple`]: the second approach of T.-F. Wu, C.-J. Lin and R. C. Weng, "Probability estimates for multi-class classification
//! by pairwise coupling", JMLR 5, 2004, which libsvm uses too: the `p` with `Σ p_i = 1` that makes
//! `Σ_i Σ_{j≠i} (r_ji·p_i − r_ij·p_j)²` least, `r_ij` being the estimate of `P(i | i or j)`.
//!
//! [`normalised_odds`]: for machines of one class against the rest; with one slope for all of them it is the softmax of the
//! decision values, as in C. Guo et al. 2017.

/// `P(first | f) = 1 / (1 + exp(a·f + b))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sigmoid {
    /// Slope; negative where decision values over 0 speak for the first class.
    pub a: f64,
    /// Offset.
    pub b: f64,
}

impl Sigmoid {
    /// Probability of the first class at decision value `f`.
    #[must_use]
    pub fn probability(self, f: f64) -> f64 {
        let fapb = f * self.a + self.b;
        // Either form alone would overflow on one side.
        if fapb >= 0.0 {
            let e = libm::exp(-fapb);
            e / (1.0 + e)
        } else {
            1.0 / (1.0 + libm::exp(fapb))
        }
    }

    /// Fits the sigmoid to decision values and whether each is of the first class, by maximum likelihood with the smoothed
    /// targets of Platt: `(n₊ + 1) / (n₊ + 2)` and `1 / (n₋ + 2)`.
    ///
    /// The decision values must come from machines that had not seen the clips (cross-validation), else the sigmoid is
    /// too steep. Without a value the result gives 1/2 everywhere.
    #[must_use]
    pub fn fit(decisions: &[(f64, bool)]) -> Self {
        const MAX_ITERATIONS: usize = 100;
        const MIN_STEP: f64 = 1e-10;
        /// Ridge that keeps the Hessian positive definite.
        const SIGMA: f64 = 1e-12;
        const GRADIENT_TOLERANCE: f64 = 1e-5;

        let n_first = decisions.iter().filter(|(_, first)| *first).count() as f64;
        let n_second = decisions.len() as f64 - n_first;
        let (high, low) = ((n_first + 1.0) / (n_first + 2.0), 1.0 / (n_second + 2.0));
        let target = |first: bool| if first { high } else { low };

        let mut sigmoid = Self { a: 0.0, b: libm::log((n_second + 1.0) / (n_first + 1.0)) };
        let loss = |sigmoid: Self| -> f64 { decisions.iter().map(|&(f, first)| sigmoid.loss(f, target(first))).sum() };
        let mut value = loss(sigmoid);
        for _ in 0..MAX_ITERATIONS {
            let (mut h11, mut h22, mut h21) = (SIGMA, SIGMA, 0.0);
            let (mut g1, mut g2) = (0.0, 0.0);
            for &(f, first) in decisions {
                let p = sigmoid.probability(f);
                let curvature = p * (1.0 - p);
                h11 += f * f * curvature;
                h22 += curvature;
                h21 += f * curvature;
                let slope = target(first) - p;
                g1 += f * slope;
                g2 += slope;
            }
            if g1.abs() < GRADIENT_TOLERANCE && g2.abs() < GRADIENT_TOLERANCE {
                break;
            }
            let determinant = h11 * h22 - h21 * h21;
            let (da, db) = (-(h22 * g1 - h21 * g2) / determinant, -(-h21 * g1 + h11 * g2) / determinant);
            let descent = g1 * da + g2 * db;
            let mut step = 1.0;
            let accepted = loop {
                let next = Self { a: sigmoid.a + step * da, b: sigmoid.b + step * db };
                let next_value = loss(next);
                if next_value < value + 0.0001 * step * descent {
                    break Some((next, next_value));
                }
                step /= 2.0;
                if step < MIN_STEP {
                    break None;
                }
            };
            match accepted {
                Some((next, next_value)) => (sigmoid, value) = (next, next_value),
                // The line search failed: rounding hides any further gain.
                None => break,
            }
        }
        sigmoid
    }

    /// `−(t·ln p + (1 − t)·ln(1 − p))`, in the form that does not overflow.
    fn loss(self, f: f64, target: f64) -> f64 {
        let fapb = f * self.a + self.b;
        if fapb >= 0.0 {
            target * fapb + libm::log1p(libm::exp(-fapb))
        } else {
            (target - 1.0) * fapb + libm::log1p(libm::exp(fapb))
        }
    }
}

/// Estimates are held this far from 0 and 1, as in libsvm.
pub const MIN_PROBABILITY: f64 = 1e-7;
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
    for ((a, b), &estimate) in pairs(k).zip(pairwise) {
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

/// Probability of each class from the decision value of its machine against the rest and the sigmoid of that machine: the odds
/// `r / (1 − r) = exp(−(a·f + b))` of each over the sum of all. Never NaN for finite values.
#[must_use]
pub fn normalised_odds(machines: impl Iterator<Item = (f64, Sigmoid)>) -> Vec<f64> {
    let logarithms: Vec<f64> = machines.map(|(f, Sigmoid { a, b })| -(f * a + b)).collect();
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    normalise(logarithms.into_iter().map(|logarithm| libm::exp(logarithm - largest)).collect())
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

/// Pairs of `n_classes` classes, in the order of [`SvmParameters::rho`](super::SvmParameters::rho): (0, 1), (0, 2) … (k−2, k−1).
pub fn pairs(n_classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n_classes).flat_map(move |a| (a + 1..n_classes).map(move |b| (a, b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sigmoid_is_monotone_and_never_overflows() {
        let sigmoid = Sigmoid { a: -2.0, b: 0.5 };
        assert_eq!(sigmoid.probability(-1e300), 0.0);
        assert_eq!(sigmoid.probability(1e300), 1.0);
        assert!(sigmoid.probability(0.1) < sigmoid.probability(0.2));
        assert_eq!(Sigmoid { a: 0.0, b: 0.0 }.probability(3.0), 0.5);
    }

    #[test]
    fn values_that_say_nothing_give_the_smoothed_share() {
        let decisions: Vec<(f64, bool)> = (0..40).map(|i| (0.0, i % 4 == 0)).collect();
        let sigmoid = Sigmoid::fit(&decisions);
        // (10 · 11/12 + 30 · 1/32) / 40
        assert!((sigmoid.probability(0.0) - (10.0 * 11.0 / 12.0 + 30.0 / 32.0) / 40.0).abs() < 1e-6);
    }

    #[test]
    fn the_two_classes_are_alike() {
        let decisions =
            [(1.2, true), (0.3, true), (-0.2, true), (-1.0, false), (-0.4, false), (0.5, false), (-2.0, false)];
        let flipped = decisions.map(|(f, first)| (-f, !first));
        let (one, other) = (Sigmoid::fit(&decisions), Sigmoid::fit(&flipped));
        assert!(one.a < 0.0);
        for f in [-3.0, -0.5, 0.0, 0.7, 4.0] {
            assert!((one.probability(f) + other.probability(-f) - 1.0).abs() < 1e-6, "{f}");
        }
    }

    #[derive(serde::Deserialize)]
    struct PlattCase {
        decisions: Vec<f64>,
        first: Vec<bool>,
        a: f64,
        b: f64,
    }

    /// `experiments/parity/svm_golden.py`: the optimum by SciPy.
    #[test]
    fn the_likeliest_sigmoid_is_found() {
        let cases: Vec<PlattCase> = serde_json::from_str(include_str!("../../tests/golden/platt.json")).expect("cases");
        for case in cases {
            let samples: Vec<_> = case.decisions.iter().copied().zip(case.first).collect();
            let found = Sigmoid::fit(&samples);
            assert!(
                (found.a - case.a).abs() < 1e-4 && (found.b - case.b).abs() < 1e-4,
                "{found:?} {} {}",
                case.a,
                case.b
            );
        }
    }

    #[test]
    fn without_a_value_nothing_is_claimed() {
        assert_eq!(Sigmoid::fit(&[]).probability(5.0), 0.5);
    }

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
    fn odds_against_the_rest_are_shared_out() {
        let sigmoid = Sigmoid { a: -2.0, b: 0.0 };
        let p = normalised_odds([1.0, -1.0, 0.0].map(|f| (f, sigmoid)).into_iter());
        let total = 2.0_f64.exp() + (-2.0_f64).exp() + 1.0;
        for (p, odds) in p.iter().zip([2.0_f64.exp(), (-2.0_f64).exp(), 1.0]) {
            assert!((p - odds / total).abs() < 1e-15, "{p}");
        }
        // No machine claims the clip, and none overflows.
        let p = normalised_odds([-1e200, -1e200, -3e200].map(|f| (f, sigmoid)).into_iter());
        assert_eq!(p, [0.5, 0.5, 0.0]);
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
