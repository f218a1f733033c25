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
