//! How often it is right where it is sure.

use std::fmt::Write as _;

use super::{
    page::{heading, percent},
    plot::{Axis, Plot},
};
use crate::evaluation::metrics::{Coverage, CoveragePoint, Evaluation};

pub(super) fn section(page: &mut String, evaluation: &Evaluation, curve: &[CoveragePoint]) {
    heading(page, "Confidence against coverage");
    if curve.is_empty() {
        let _ = writeln!(page, "<p>No clip was judged.</p>");
        return;
    }
    let coverage = Coverage::new(curve);
    let _ = writeln!(
        page,
        "<p>If only its most confident answers are taken, this many per cent of all, how many of them are right? At the right end all are \
         taken (dashed: the accuracy of all); a confidence that says nothing would keep to that line. The first few clips, at the left, \
         leave much to chance.</p>"
    );
    // The first clips alone make any accuracy.
    let steady = curve.iter().filter(|point| point.coverage >= 0.05);
    let least = steady.map(|point| point.accuracy).fold(evaluation.accuracy, f64::min);
    let plot = Plot {
        x: Axis::percent("share of the clips, the most confident first"),
        y: Axis::tenths(least, "share that is right"),
        width: 440.0,
        height: 240.0,
    };
    plot.begin(page, "accuracy of the most confident clips");
    plot.line(
        page,
        [(0.0, evaluation.accuracy), (1.0, evaluation.accuracy)].into_iter(),
        "stroke=\"var(--ink)\" stroke-dasharray=\"4 4\"",
    );
    let shown = curve.iter().map(|point| (point.coverage, point.accuracy.max(plot.y.from)));
    plot.line(page, shown, "stroke=\"var(--blue)\"");
    for reached in &coverage.reached {
        let Some(point) = reached.at.filter(|point| point.accuracy >= plot.y.from) else { continue };
        let (x, y) = plot.at(point.coverage, point.accuracy);
        let _ = writeln!(
            page,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"var(--orange)\"><title>{:.2} at {}</title></circle>\
             <text x=\"{:.1}\" y=\"{:.1}\"{}>{:.2}</text>",
            reached.accuracy,
            percent(point.coverage),
            if x > 470.0 { x - 8.0 } else { x + 8.0 },
            y - 8.0,
            if x > 470.0 { " text-anchor=\"end\"" } else { "" },
            reached.accuracy,
        );
    }
    let _ = writeln!(
        page,
        "</svg>\n<div class=\"wide\"><table><thead><tr><th>to be right so often</th><th>take this share of the clips</th>\
         <th>whose confidence is at least</th></tr></thead>"
    );
    for reached in &coverage.reached {
        let (share, threshold) = match reached.at {
            Some(point) => (percent(point.coverage), format!("{:.2}", point.threshold)),
            None => ("none".into(), "–".into()),
        };
        let _ = writeln!(page, "<tr><td>{:.2}</td><td>{share}</td><td>{threshold}</td></tr>", reached.accuracy);
    }
    let _ = writeln!(
        page,
        "</table></div>\n<p>Mean error over all shares (the area under the risk–coverage curve; the less, the better its confidence orders the \
         clips): {:.3}. All clips together: {:.3}.</p>",
        coverage.mean_risk,
        1.0 - evaluation.accuracy
    );
}
