//! Statistics of the series that come from the waveform or its linear-frequency spectrum.

use super::stats;
use crate::{ClipFeatures, Error, Result, series, spec::Descriptor};

const STATISTICS: [&str; 6] = ["mean", "std", "p10", "p50", "p90", "delta.std"];

/// Statistics that a series is worth: one for a tempo, which is the same in every frame.
fn statistics(descriptor: Descriptor) -> &'static [&'static str] {
    if descriptor == Descriptor::Tempo { &STATISTICS[..1] } else { &STATISTICS }
}

pub(super) fn names(descriptor: Descriptor) -> Vec<String> {
    let name = descriptor.name();
    let full = |row: &str| if row.is_empty() { name.to_owned() } else { format!("{name}.{row}") };
    series::rows(descriptor)
        .iter()
        .flat_map(|row| statistics(descriptor).iter().map(move |statistic| format!("{}.{statistic}", full(row))))
        .collect()
}

/// Mean, deviation, percentiles and the deviation of the step from frame to frame, of each row.
pub(super) fn values(descriptor: Descriptor, features: &ClipFeatures) -> Result<Vec<f64>> {
    let series = features.series(descriptor).ok_or_else(|| Error::Shape {
        what: "series of a descriptor",
        expected: format!("`{}`, which the specification names", descriptor.name()),
        found: "none: the features were extracted with another specification, or comes from a log-mel store".into(),
    })?;
    let rows = series::rows(descriptor).len();
    if series.nrows() != rows {
        let found = format!("{} rows", series.nrows());
        return Err(Error::Shape { what: "series of a descriptor", expected: format!("{rows} rows"), found });
    }
    let mut values = Vec::new();
    for row in series.outer_iter() {
        let row: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
        let mut sorted = row.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let steps: Vec<f64> = row.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = stats::mean(&row);
        let percentile = |p| stats::percentile_of_sorted(&sorted, p);
        let all = [
            mean,
            stats::std(&row, mean),
            percentile(10.0),
            percentile(50.0),
            percentile(90.0),
            stats::std(&steps, stats::mean(&steps)),
        ];
        values.extend_from_slice(&all[..statistics(descriptor).len()]);
    }
    Ok(values)
}
