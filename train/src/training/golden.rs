//! Golden-section search.

const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Where `f` is least between `low` and `high`, to within `(high − low) · 0.618^steps`, if it has one minimum there.
#[must_use]
pub fn minimum([mut low, mut high]: [f64; 2], steps: usize, f: impl Fn(f64) -> f64) -> f64 {
    let (mut left, mut right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_left, mut at_right) = (f(left), f(right));
    for _ in 0..steps {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - GOLDEN * (high - low);
            at_left = f(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + GOLDEN * (high - low);
            at_right = f(right);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lowest_point_of_a_parabola_is_found() {
        assert!((super::minimum([-3.0, 10.0], 60, |x| (x - 2.5) * (x - 2.5)) - 2.5).abs() < 1e-6);
    }
}
