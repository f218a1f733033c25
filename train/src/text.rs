//! Figures as text for a terminal.

use std::fmt::Write as _;

use crate::metrics::Evaluation;

/// Accuracy with its interval, recall of each genre, and the confusion matrix.
#[must_use]
pub fn figures(evaluation: &Evaluation) -> String {
    let Evaluation { accuracy, ci95: [low, high], macro_f1, log_loss, ece, labels, confusion, per_class, n, .. } =
        evaluation;
    let mut text = format!(
        "\naccuracy {accuracy:.3} (95 % interval {low:.3} to {high:.3}, {n} clips)   macro F1 {macro_f1:.3}   log-loss {log_loss:.3}   ECE {ece:.3}\n\n"
    );
    let width = labels.iter().map(String::len).max().unwrap_or(0).max(5);
    let _ = write!(text, "{:width$}  recall  called:", "genre");
    for label in labels {
        let _ = write!(text, "{:>5}", label.chars().take(4).collect::<String>());
    }
    text.push('\n');
    for (label, row) in labels.iter().zip(confusion) {
        let recall = per_class.get(label).map_or(0.0, |figures| figures.recall);
        let _ = write!(text, "{label:width$}  {recall:>6.2}         ");
        for count in row {
            let _ = if *count == 0 { write!(text, "{:>5}", "·") } else { write!(text, "{count:>5}") };
        }
        text.push('\n');
    }
    text
}
