//! Figures as text for a terminal.

use std::{cmp::Reverse, fmt::Write as _};

use data::labels::display;

use super::{
    comparison::Paired,
    metrics::{ClassFigures, Evaluation},
    ranking::{Confusion, Ranked, confusions},
};

/// Up to so many labels, the whole confusion matrix is written.
const MATRIX: usize = 12;
/// Of more labels, those that are named at each end of a list.
const ENDS: usize = 10;
/// Confusions that are named, of all labels and of each.
const CONFUSIONS: [usize; 2] = [10, 2];
/// Columns of a label, at most.
const LABEL: usize = 28;

/// Accuracy with its interval, recall of each class, and the confusion matrix; of more than twelve labels the recall of the worst and
/// of the best, and the most frequent confusions.
#[must_use]
pub fn figures(evaluation: &Evaluation) -> String {
    let Evaluation { accuracy, ci95: [low, high], macro_f1, log_loss, ece, n, .. } = evaluation;
    let mut text = format!(
        "\naccuracy {accuracy:.3} (95 % interval {low:.3} to {high:.3}, {n} clips)   macro F1 {macro_f1:.3}   log-loss {log_loss:.3}   ECE {ece:.3}\n\n"
    );
    if evaluation.labels.len() > MATRIX {
        ranking(&mut text, evaluation)
    } else {
        matrix(&mut text, evaluation)
    }
    text
}

/// A label as it stands in a table.
fn shown(label: &str) -> String {
    display::cut(&display::unturned(label), LABEL)
}

/// Columns that the widest of some labels takes, and at least as many as the word above them.
fn widest<'a>(labels: impl Iterator<Item = &'a String>) -> usize {
    labels.map(|label| display::width(&shown(label))).max().unwrap_or(0).max("class".len())
}

fn matrix(text: &mut String, evaluation: &Evaluation) {
    let Evaluation { labels, confusion, per_class, .. } = evaluation;
    let width = widest(labels.iter());
    let _ = write!(text, "{:width$}  recall  predicted:", "class");
    for label in labels {
        let start = start_of(&display::unturned(label), 4);
        let _ = write!(text, "{}{start}", " ".repeat(5usize.saturating_sub(display::width(&start))));
    }
    text.push('\n');
    for (label, row) in labels.iter().zip(confusion) {
        let recall = per_class.get(label).map_or(0.0, |figures| figures.recall);
        let _ = write!(text, "{}  {recall:>6.2}            ", display::padded(&shown(label), width));
        for count in row {
            let _ = if *count == 0 { write!(text, "{:>5}", "·") } else { write!(text, "{count:>5}") };
        }
        text.push('\n');
    }
}

/// As much of the beginning of a text as these columns hold.
fn start_of(text: &str, columns: usize) -> String {
    let mut start = String::new();
    for letter in text.chars() {
        start.push(letter);
        if display::width(&start) > columns {
            start.pop();
            break;
        }
    }
    start
}

fn ranking(text: &mut String, evaluation: &Evaluation) {
    let labels = &evaluation.labels;
    let Ranked { worst, between, best, without_clips } = Ranked::by_recall(evaluation, ENDS);
    let all = confusions(evaluation);
    let width =
        widest(labels.iter().filter(|label| worst.iter().chain(&best).any(|(named, _)| named == &label.as_str())));
    let _ = writeln!(text, "{:width$}  clips  recall  precision  called instead", "class");
    let line = |(label, figures): &(&str, &ClassFigures)| -> String {
        let instead = all.iter().filter(|confusion| labels[confusion.truth] == *label).take(CONFUSIONS[1]);
        let instead: Vec<_> =
            instead.map(|Confusion { called, clips, .. }| format!("{} ({clips})", shown(&labels[*called]))).collect();
        let line = format!(
            "{}  {:>5}  {:>6.2}  {:>9.2}  {}",
            display::padded(&shown(label), width),
            figures.support,
            figures.recall,
            figures.precision,
            instead.join(", ")
        );
        format!("{}\n", line.trim_end())
    };
    text.extend(worst.iter().map(&line));
    if between > 0 {
        let _ = writeln!(text, "… {between} labels between; --json has all of them …");
    }
    text.extend(best.iter().map(&line));
    if without_clips > 0 {
        let _ = writeln!(text, "{without_clips} labels have no clip among these");
    }
    if !all.is_empty() {
        let _ = writeln!(text, "\nmost frequent confusions");
    }
    for Confusion { truth, called, clips, of } in all.iter().take(CONFUSIONS[0]) {
        let _ = writeln!(text, "{clips:>5} of {of:<5} {} called {}", shown(&labels[*truth]), shown(&labels[*called]));
    }
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
    let mut listed: Vec<_> = classes.iter().collect();
    let many = listed.len() > 2 * ENDS;
    if many {
        // Stable: of equals the first by name.
        listed.sort_by_key(|(_, of)| Reverse(of.only_a.abs_diff(of.only_b)));
        listed.truncate(2 * ENDS);
    }
    let width = widest(listed.iter().map(|(class, _)| *class));
    let _ = writeln!(text, "{:width$}  clips   both  only the first  only the second  neither", "class");
    for (class, of) in listed {
        let _ = writeln!(
            text,
            "{}  {:>5}  {:>5}  {:>14}  {:>15}  {:>7}",
            display::padded(&shown(class), width),
            of.n,
            of.both,
            of.only_a,
            of.only_b,
            of.neither()
        );
    }
    if many {
        let _ = writeln!(
            text,
            "… the {} labels of {} on which they differ most; --json has all of them",
            2 * ENDS,
            classes.len()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::ranking::tests::{clips, evaluation, labels};

    #[test]
    fn ten_labels_have_the_whole_matrix() {
        let names: Vec<String> = (0..10).map(|i| format!("genre{i}")).collect();
        let text = figures(&Evaluation::new(&names, &clips(10, 6), 1));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[3], "class   recall  predicted: genr genr genr genr genr genr genr genr genr genr");
        assert_eq!(lines[4], "genre0    0.67                4    2    ·    ·    ·    ·    ·    ·    ·    ·");
        assert_eq!(lines.len(), 14);
    }

    #[test]
    fn a_table_has_a_line_of_bounded_width_for_each_label_that_is_named() {
        for k in [2, 10, 50, 500] {
            let text = figures(&evaluation(k, 6));
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines.len() <= 45, "{k}: {} lines", lines.len());
            assert!(lines.iter().all(|line| display::width(line) <= 128), "{k}: {text}");
            assert!(!text.contains('\u{202e}'));
            let (a, b) = (clips(k, 6), clips(k, 6));
            let text = paired("a", "b", &Paired::new(&labels(k), &a, &b, 1).expect("the same clips"));
            assert!(text.lines().count() <= 30, "{k}: {text}");
        }
    }

    #[test]
    fn columns_begin_at_the_same_place_whatever_the_script() {
        let text = figures(&evaluation(6, 6));
        let places: Vec<usize> =
            text.lines().skip(4).map(|line| display::width(line.split_once(" 0.").expect("a recall").0)).collect();
        assert_eq!(places.len(), 6);
        assert!(places.windows(2).all(|pair| pair[0] == pair[1]), "{places:?}\n{text}");
    }
}
