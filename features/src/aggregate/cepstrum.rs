//! Statistics of the MFCC over time.

use ndarray::Array2;

use super::{stats, upper_triangle};
use crate::descriptors::delta::{Order, delta};

/// Coefficients of the means alone: the shape of the spectrum without its level (the 0th) and its fine detail.
const MEAN_MFCC: std::ops::Range<usize> = 1..13;
/// Percentiles of the statistics.
const PERCENTILES: [f64; 3] = [10.0, 50.0, 90.0];
/// Coefficients that are correlated.
const CORRELATED_MFCC: usize = 20;

pub(super) fn statistics_names(n_mfcc: usize) -> Vec<String> {
    (0..n_mfcc)
        .flat_map(|k| ["mean", "std", "p10", "p50", "p90"].map(|name| format!("mfcc.stats.{k}.{name}")))
        .collect()
}

pub(super) fn delta_names(n_mfcc: usize) -> Vec<String> {
    (0..n_mfcc).flat_map(|k| ["delta.mean", "delta.std", "delta2.std"].map(|name| format!("mfcc.{k}.{name}"))).collect()
}

pub(super) fn correlation_names(n_mfcc: usize) -> Vec<String> {
    let n = n_mfcc.min(CORRELATED_MFCC);
    upper_triangle(n).filter(|(i, j)| i < j).map(|(i, j)| format!("mfcc.corr.{i}.{j}")).collect()
}

pub(super) fn mean_names() -> Vec<String> {
    MEAN_MFCC.map(|k| format!("mfcc.{k}.mean")).collect()
}

/// Mean, deviation and percentiles of each coefficient.
pub(super) fn statistics(mfcc: &[Vec<f64>]) -> Vec<f64> {
    mfcc.iter()
        .flat_map(|values| {
            let mean = stats::mean(values);
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            [mean, stats::std(values, mean)]
                .into_iter()
                .chain(PERCENTILES.map(|p| stats::percentile_of_sorted(&sorted, p)))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Mean and deviation of the first derivative and deviation of the second, of each coefficient.
pub(super) fn deltas(mfcc: &[Vec<f64>]) -> Vec<f64> {
    let n_frames = mfcc.first().map_or(0, Vec::len);
    let matrix = Array2::from_shape_fn((mfcc.len(), n_frames), |(k, t)| mfcc[k][t] as f32);
    let first = super::widened(&delta(matrix.view(), Order::First));
    let second = super::widened(&delta(matrix.view(), Order::Second));
    first
        .iter()
        .zip(&second)
        .flat_map(|(first, second)| {
            let mean = stats::mean(first);
            [mean, stats::std(first, mean), stats::std(second, stats::mean(second))]
        })
        .collect()
}

/// Pearson's correlation in time of each pair of coefficients; 0 where one of them does not move.
pub(super) fn correlations(mfcc: &[Vec<f64>]) -> Vec<f64> {
    let n = mfcc.len().min(CORRELATED_MFCC);
    let centred: Vec<Vec<f64>> = mfcc[..n]
        .iter()
        .map(|values| {
            let mean = stats::mean(values);
            values.iter().map(|value| value - mean).collect()
        })
        .collect();
    let product = |i: usize, j: usize| -> f64 { centred[i].iter().zip(&centred[j]).map(|(a, b)| a * b).sum() };
    upper_triangle(n)
        .filter(|(i, j)| i < j)
        .map(|(i, j)| {
            let scale = (product(i, i) * product(j, j)).sqrt();
            if scale > 1e-9 { product(i, j) / scale } else { 0.0 }
        })
        .collect()
}

/// Mean of the coefficients 1 to 12.
pub(super) fn means(mfcc: &[Vec<f64>]) -> Vec<f64> {
    mfcc[MEAN_MFCC].iter().map(|values| stats::mean(values)).collect()
}
