//! The radial basis function, and sums in an order that no compiler and no CPU changes.
//!
//! A sum over a vector is kept in 8 partial sums, one for each index modulo 8, which are joined as a tree. A loop of this
//! shape is compiled to SIMD instructions of any width up to 8 lanes, all of which add in the same order.

const LANES: usize = 8;

/// `‖a − b‖²` of two vectors of one length.
#[must_use]
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    reduce(a, b, |x, y| (x - y) * (x - y))
}

/// `Σ a_i · b_i` of two vectors of one length.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    reduce(a, b, |x, y| x * y)
}

/// `exp(−gamma · squared_distance)`.
#[must_use]
pub fn rbf(squared_distance: f64, gamma: f64) -> f64 {
    libm::exp(-gamma * squared_distance)
}

#[inline(always)]
fn reduce(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    for (sum, (&x, &y)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum += term(x, y);
    }
    let [s0, s1, s2, s3, s4, s5, s6, s7] = sums;
    ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_cover_every_index() {
        for n in 0..40_u32 {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            let ones = vec![1.0; a.len()];
            assert_eq!(dot(&a, &ones), f64::from(n * n.saturating_sub(1) / 2));
            assert_eq!(squared_distance(&a, &a), 0.0);
            assert_eq!(squared_distance(&ones, &vec![3.0; ones.len()]), 4.0 * f64::from(n));
        }
    }

    #[test]
    fn the_order_of_a_sum_is_fixed() {
        // Bits of a sum that rounds at every step: they change with the order of the additions.
        let a: Vec<f64> = (0..1000).map(|i| 1.0 / (f64::from(i) + 0.7)).collect();
        let b: Vec<f64> = (0..1000).map(|i| f64::from(i * 7 % 13) - 6.1).collect();
        let mut lanes = [0.0; 8];
        a.iter().zip(&b).enumerate().for_each(|(i, (x, y))| lanes[i % 8] += x * y);
        let expected =
            ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
        assert_eq!(dot(&a, &b).to_bits(), expected.to_bits());
        assert_ne!(dot(&a, &b).to_bits(), a.iter().zip(&b).map(|(x, y)| x * y).sum::<f64>().to_bits());
    }

    #[test]
    fn the_kernel_falls_from_one_to_zero() {
        assert_eq!(rbf(0.0, 0.5), 1.0);
        assert!((rbf(2.0, 0.5) - 0.367_879_441_171_442_3).abs() < 1e-16);
        assert_eq!(rbf(f64::MAX, 1e15), 0.0);
    }
}
