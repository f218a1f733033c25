//! Statistics of a series over time. Sums run from the first frame to the last, in `f64`.

/// Arithmetic mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Population standard deviation about `mean`.
pub(crate) fn std(values: &[f64], mean: f64) -> f64 {
    central_moment(values, mean, 2).sqrt()
}

/// Mean of the `order`th power of the deviation from `mean`.
pub(crate) fn central_moment(values: &[f64], mean: f64, order: usize) -> f64 {
    let power = |deviation: f64| (1..order).fold(deviation, |product, _| product * deviation);
    values.iter().map(|&value| power(value - mean)).sum::<f64>() / values.len().max(1) as f64
}

/// Skewness: the third central moment over the cube of the deviation, with a floor under it for what hardly moves.
pub(crate) fn skewness(values: &[f64]) -> f64 {
    const FLOOR: f64 = 1e-3;
    let mean = mean(values);
    let std = std(values, mean);
    central_moment(values, mean, 3) / (std * std * std + FLOOR)
}

/// Percentile `p` (0 to 100) of values sorted in rising order, linear between neighbours (numpy's default).
pub(crate) fn percentile_of_sorted(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let position = last as f64 * p / 100.0;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_hand_counted_series() {
        let values = [1.0, 2.0, 3.0, 6.0];
        assert_eq!(mean(&values), 3.0);
        assert_eq!(std(&values, 3.0), (14.0f64 / 4.0).sqrt());
        assert_eq!(central_moment(&values, 3.0, 3), (27.0 - 8.0 - 1.0) / 4.0);
        assert_eq!(percentile_of_sorted(&values, 50.0), 2.5);
        assert_eq!(percentile_of_sorted(&values, 0.0), 1.0);
        assert_eq!(percentile_of_sorted(&values, 100.0), 6.0);
        assert!((percentile_of_sorted(&values, 10.0) - 1.3).abs() < 1e-12);
        assert_eq!((mean(&[]), std(&[], 0.0), percentile_of_sorted(&[], 50.0)), (0.0, 0.0, 0.0));
    }
}
