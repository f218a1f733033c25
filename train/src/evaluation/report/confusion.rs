//! Which genres are taken for which.

use std::fmt::Write as _;

use super::page::{escape, heading};
use crate::evaluation::metrics::Evaluation;

const CELL: usize = 48;
const LEFT: usize = 110;
const TOP: usize = 92;
const RIGHT: usize = 76;
const BOTTOM: usize = 66;

pub(super) fn section(page: &mut String, evaluation: &Evaluation) {
    heading(page, "Confusion matrix");
    let _ = writeln!(
        page,
        "<p>Rows: what a clip is. Columns: what it was called. The number is of clips; the stronger the colour, the larger the \
         share of the row. Blue cells with a frame, on the diagonal, are right; orange ones are wrong.</p>"
    );
    plot(page, evaluation);
}

fn plot(page: &mut String, evaluation: &Evaluation) {
    let k = evaluation.labels.len();
    let (width, height) = (LEFT + CELL * k + RIGHT, TOP + CELL * k + BOTTOM);
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" aria-label=\"confusion matrix\">"
    );
    for (row, (label, counts)) in evaluation.labels.iter().zip(&evaluation.confusion).enumerate() {
        let label = escape(label);
        let total: usize = counts.iter().sum();
        let y = TOP + row * CELL;
        let middle = y + CELL / 2 + 4;
        let centre = LEFT + row * CELL + CELL / 2;
        let _ = writeln!(
            page,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{label}</text>\
             <text x=\"{centre}\" y=\"{1}\" transform=\"rotate(-45 {centre} {1})\">{label}</text>",
            LEFT - 8,
            TOP - 8
        );
        for (column, &count) in counts.iter().enumerate() {
            cell(page, evaluation, (row, column), (LEFT + column * CELL, y), count, total);
        }
        let called: usize = evaluation.confusion.iter().map(|row_of| row_of[row]).sum();
        let right = counts[row];
        let _ = writeln!(
            page,
            "<text class=\"soft\" x=\"{}\" y=\"{middle}\">{right} of {total}</text>\
             <text class=\"soft\" x=\"{centre}\" y=\"{}\" text-anchor=\"middle\">{right} of</text>\
             <text class=\"soft\" x=\"{centre}\" y=\"{}\" text-anchor=\"middle\">{called}</text>",
            LEFT + CELL * k + 10,
            TOP + CELL * k + 18,
            TOP + CELL * k + 33,
        );
    }
    let _ = writeln!(
        page,
        "<text x=\"14\" y=\"{0}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {0})\">what it is</text>\
         <text x=\"{1}\" y=\"{2}\" text-anchor=\"middle\">what it was called</text></svg>",
        TOP + CELL * k / 2,
        LEFT + CELL * k / 2,
        height - 10
    );
}

fn cell(
    page: &mut String,
    evaluation: &Evaluation,
    (row, column): (usize, usize),
    (x, y): (usize, usize),
    count: usize,
    total: usize,
) {
    let shade = count as f64 / total.max(1) as f64;
    let colour = if row == column { "var(--blue)" } else { "var(--orange)" };
    let _ = write!(
        page,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{colour}\" fill-opacity=\"{shade:.3}\" class=\"rule\">\
         <title>{count} of {total} {} called {}</title></rect>",
        escape(&evaluation.labels[row]),
        escape(&evaluation.labels[column]),
    );
    if row == column {
        let _ = write!(
            page,
            "<rect x=\"{}\" y=\"{}\" width=\"{2}\" height=\"{2}\" fill=\"none\" stroke=\"var(--blue)\" stroke-width=\"2\"/>",
            x + 2,
            y + 2,
            CELL - 4
        );
    }
    if count > 0 {
        let _ = write!(
            page,
            "<text class=\"count\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{count}</text>",
            x + CELL / 2,
            y + CELL / 2 + 4
        );
    }
    page.push('\n');
}
