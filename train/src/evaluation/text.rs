//! Figures as text for a terminal.

use std::fmt::Write as _;

use super::{comparison::Paired, metrics::Evaluation};

/// Accuracy with its interval, recall of each class, and the confusion matrix.
#[must_use]
pub fn figures(evaluation: &Evaluation) -> String {
    let Evaluation { accuracy, ci95: [low, high], macro_f1, log_loss, ece, labels, confusion, per_class, n, .. } =
        evaluation;
    let mut text = format!(
        "\naccuracy {accuracy:.3} (95 % interval {low:.3} to {high:.3}, {n} clips)   macro F1 {macro_f1:.3}   log-loss {log_loss:.3}   ECE {ece:.3}\n\n"
    );
    let width = labels.iter().map(String::len).max().unwrap_or(0).max(5);
    let _ = write!(text, "{:width$}  recall  predicted:", "class");
    for label in labels {
        let _ = write!(text, "{:>5}", label.chars().take(4).collect::<String>());
    }
    text.push('\n');
    for (label, row) in labels.iter().zip(confusion) {
        let recall = per_class.get(label).map_or(0.0, |figures| figures.recall);
        let _ = write!(text, "{label:width$}  {recall:>6.2}            ");
        for count in row {
            let _ = if *count == 0 { write!(text, "{:>5}", "·") } else { write!(text, "{count:>5}") };
        }
        text.push('\n');
    }
    text
}

/// How two models differ on the same clips, by whole and by class.
#[must_use]
pub fn paired(a: &str, b: &str, paired: &Paired) -> String {
    let Paired { n, accuracy, difference, ci95: [low, high], only_a, only_b, p, classes } = paired;
    let mut text = format!(
        "\n{a} beside {b}, on the same {n} clips: {:.3} and {:.3}\n\
         difference of accuracy {difference:+.3}, 95 % interval {low:+.3} to {high:+.3} (paired, by artist)\n\
         only {a} right {only_a}, only {b} right {only_b}: McNemar's exact p {p:.3}\n\
         McNemar's test takes clips as independent; those of one artist are not, so the interval by artist is the safer guide.\n\n",
        accuracy[0], accuracy[1]
    );
    let width = classes.keys().map(String::len).max().unwrap_or(0).max(5);
    let _ = writeln!(text, "{:width$}  clips   both  only the first  only the second  neither", "class");
    for (class, of) in classes {
        let _ = writeln!(
            text,
            "{class:width$}  {:>5}  {:>5}  {:>14}  {:>15}  {:>7}",
            of.n,
            of.both,
            of.only_a,
            of.only_b,
            of.neither()
        );
    }
    text
}
