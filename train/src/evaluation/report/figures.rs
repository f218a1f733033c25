//! The few numbers that come first.

use std::fmt::Write as _;

use crate::evaluation::metrics::Evaluation;

pub(super) fn section(page: &mut String, evaluation: &Evaluation) {
    let Evaluation { n, accuracy, ci95: [low, high], macro_f1, log_loss, ece, .. } = evaluation;
    let _ = writeln!(page, "<div class=\"figures\">");
    for (value, label) in [
        (
            format!("{:.1} %", accuracy * 100.0),
            format!("accuracy, 95 % interval {:.1} to {:.1} % (bootstrap by artist)", low * 100.0, high * 100.0),
        ),
        (format!("{macro_f1:.3}"), "macro F1".into()),
        (format!("{log_loss:.3}"), "log-loss".into()),
        (format!("{ece:.3}"), "calibration error".into()),
        (n.to_string(), "clips".into()),
    ] {
        let _ = writeln!(page, "<div><b>{value}</b><span>{label}</span></div>");
    }
    let _ = writeln!(page, "</div>");
}
