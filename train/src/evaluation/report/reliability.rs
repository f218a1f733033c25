//! Whether a confidence is what it says.

use std::fmt::Write as _;

use super::{
    page::heading,
    plot::{Axis, Plot},
};
use crate::evaluation::metrics::Evaluation;

/// z of a 95 % interval.
const Z: f64 = 1.959_963_985;

pub(super) fn section(page: &mut String, evaluation: &Evaluation) {
    heading(page, "Reliability");
    let _ = writeln!(
        page,
        "<p>Ten bins with equally many clips, by rising confidence. On the dashed diagonal, a confidence of 0.7 is right 7 times in 10; \
         below it the model is too sure. The upright lines are 95 % intervals (Wilson's, clips taken as independent). Expected calibration error: \
         the mean distance from the diagonal, {:.3}.</p>",
        evaluation.ece
    );
    let plot =
        Plot { x: Axis::share("mean confidence"), y: Axis::share("share that is right"), width: 320.0, height: 320.0 };
    let _ = writeln!(page, "<div class=\"beside\">");
    plot.begin(page, "reliability diagram");
    plot.line(page, [(0.0, 0.0), (1.0, 1.0)].into_iter(), "stroke=\"var(--ink)\" stroke-dasharray=\"4 4\"");
    let bins = &evaluation.reliability;
    plot.line(page, bins.iter().map(|bin| (bin.confidence, bin.accuracy)), "stroke=\"var(--blue)\"");
    for bin in bins {
        let (low, high) = wilson(bin.accuracy, bin.n);
        let ((x, y), (_, bottom), (_, top)) =
            (plot.at(bin.confidence, bin.accuracy), plot.at(0.0, low), plot.at(0.0, high));
        let _ = writeln!(
            page,
            "<line class=\"bar\" x1=\"{x:.1}\" y1=\"{bottom:.1}\" x2=\"{x:.1}\" y2=\"{top:.1}\" stroke=\"var(--blue)\" stroke-opacity=\".5\"/>\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"var(--blue)\">\
             <title>{} clips: confidence {:.2}, right {:.2}</title></circle>",
            bin.n, bin.confidence, bin.accuracy
        );
    }
    let _ = writeln!(
        page,
        "</svg>\n<table><thead><tr><th>bin</th><th>clips</th><th>mean confidence</th><th>right</th></tr></thead>"
    );
    for (number, bin) in bins.iter().enumerate() {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{:.2}</td><td>{:.2}</td></tr>",
            number + 1,
            bin.n,
            bin.confidence,
            bin.accuracy
        );
    }
    let _ = writeln!(page, "</table></div>");
}

/// Wilson's score interval (1927) of a share of `n`.
fn wilson(share: f64, n: usize) -> (f64, f64) {
    let n = n.max(1) as f64;
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_interval_is_wilsons() {
        // R: prop.test(8, 10, correct = FALSE)$conf.int
        let (low, high) = super::wilson(0.8, 10);
        assert!((low - 0.490_162_5).abs() < 1e-6 && (high - 0.943_317_8).abs() < 1e-6, "{low} {high}");
        assert_eq!(super::wilson(0.0, 5).0, 0.0);
        assert_eq!(super::wilson(1.0, 5).1, 1.0);
    }
}
