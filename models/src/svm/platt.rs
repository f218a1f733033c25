//! Platt's sigmoid: from a decision value to a probability.
//!
//! J. Platt, "Probabilistic outputs for support vector machines", 1999; fitted by the Newton method with backtracking of
//! H.-T. Lin, C.-J. Lin and R. C. Weng, "A note on Platt's probabilistic outputs for support vector machines", Machine
//! Learning 68, 2007 (appendix, pseudo code), which is also what libsvm does.

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

#[cfg(test)]
mod tests {
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
    struct Case {
        decisions: Vec<f64>,
        first: Vec<bool>,
        a: f64,
        b: f64,
    }

    /// `experiments/parity/svm_golden.py`: the optimum by SciPy.
    #[test]
    fn the_likeliest_sigmoid_is_found() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/golden/platt.json")).expect("cases");
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
}
