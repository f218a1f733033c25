//! How well each genre is told.

use std::fmt::Write as _;

use super::page::{escape, heading};
use crate::evaluation::metrics::Evaluation;

/// Width of a bar of 1.
const BAR: f64 = 90.0;

pub(super) fn section(page: &mut String, evaluation: &Evaluation) {
    heading(page, "Each genre");
    let _ = writeln!(
        page,
        "<p>Precision: of the clips that were called so, the share that is so. Recall: of the clips that are so, the share that was \
         called so. F1: the harmonic mean of both.</p>\n<div class=\"wide\"><table>\
         <thead><tr><th>genre</th><th>clips</th><th colspan=\"2\">precision</th><th colspan=\"2\">recall</th><th>F1</th></tr></thead>"
    );
    for (label, class) in &evaluation.per_class {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td>{}{}<td>{:.2}</td></tr>",
            escape(label),
            class.support,
            share(class.precision),
            share(class.recall),
            class.f1
        );
    }
    let _ = writeln!(page, "</table></div>");
}

/// A number, and a bar of it.
fn share(value: f64) -> String {
    format!(
        "<td>{value:.2}</td><td><svg viewBox=\"0 0 {BAR} 12\" width=\"{BAR}\" height=\"12\" aria-hidden=\"true\">\
         <rect class=\"frame\" x=\".5\" y=\".5\" width=\"{:.1}\" height=\"11\"/>\
         <rect x=\".5\" y=\".5\" width=\"{:.1}\" height=\"11\" fill=\"var(--blue)\"/></svg></td>",
        BAR - 1.0,
        (BAR - 1.0) * value
    )
}
