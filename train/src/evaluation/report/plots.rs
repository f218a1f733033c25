//! The plots of the page, each with its heading and its table.

use std::fmt::Write as _;

use data::labels::display;

use super::page::{Axis, FEW, Plot, SEVERAL, colour, escape, heading, name, percent, short};
use crate::evaluation::{
    learning::LearningCurve,
    metrics::{Coverage, CoveragePoint, Evaluation, Scored},
    projection::Projection,
    ranking::{by_recall, confusions},
    robustness::Robustness,
};

const MATRIX_CELL: usize = 48;
const MATRIX_LEFT: usize = 110;
const MATRIX_TOP: usize = 92;
const MATRIX_RIGHT: usize = 76;
const MATRIX_BOTTOM: usize = 66;

/// Columns of a label beside a matrix and in a legend.
const LABEL: usize = 16;
/// Columns of a label in a text that is shown on demand.
const TITLE: usize = 60;
/// Confusions of many labels that are named.
const CONFUSIONS: usize = 30;

/// Which classes are taken for which: a matrix with numbers of few labels, one of colours of more, and of many a list.
pub(super) fn confusion(page: &mut String, evaluation: &Evaluation) {
    heading(page, "Confusion matrix");
    let k = evaluation.labels.len();
    if k > FEW {
        if k > SEVERAL {
            recalls(page, evaluation);
        } else {
            heat_map(page, evaluation);
        }
        frequent_confusions(page, evaluation);
        return;
    }
    let _ = writeln!(
        page,
        "<p>Rows: what a clip is. Columns: what it was called. The number is of clips; the stronger the colour, the larger the \
         share of the row. Blue cells with a frame, on the diagonal, are right; orange ones are wrong.</p>"
    );
    matrix(page, evaluation);
}

fn matrix(page: &mut String, evaluation: &Evaluation) {
    let k = evaluation.labels.len();
    let (width, height) = (MATRIX_LEFT + MATRIX_CELL * k + MATRIX_RIGHT, MATRIX_TOP + MATRIX_CELL * k + MATRIX_BOTTOM);
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" aria-label=\"confusion matrix\">"
    );
    for (row, (label, counts)) in evaluation.labels.iter().zip(&evaluation.confusion).enumerate() {
        let label = short(label, LABEL);
        let total: usize = counts.iter().sum();
        let y = MATRIX_TOP + row * MATRIX_CELL;
        let middle = y + MATRIX_CELL / 2 + 4;
        let centre = MATRIX_LEFT + row * MATRIX_CELL + MATRIX_CELL / 2;
        let _ = writeln!(
            page,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{label}</text>\
             <text x=\"{centre}\" y=\"{1}\" transform=\"rotate(-45 {centre} {1})\">{label}</text>",
            MATRIX_LEFT - 8,
            MATRIX_TOP - 8
        );
        for (column, &count) in counts.iter().enumerate() {
            cell(page, evaluation, (row, column), (MATRIX_LEFT + column * MATRIX_CELL, y), count, total);
        }
        let called: usize = evaluation.confusion.iter().map(|row_of| row_of[row]).sum();
        let right = counts[row];
        let _ = writeln!(
            page,
            "<text class=\"soft\" x=\"{}\" y=\"{middle}\">{right} of {total}</text>\
             <text class=\"soft\" x=\"{centre}\" y=\"{}\" text-anchor=\"middle\">{right} of</text>\
             <text class=\"soft\" x=\"{centre}\" y=\"{}\" text-anchor=\"middle\">{called}</text>",
            MATRIX_LEFT + MATRIX_CELL * k + 10,
            MATRIX_TOP + MATRIX_CELL * k + 18,
            MATRIX_TOP + MATRIX_CELL * k + 33,
        );
    }
    let _ = writeln!(
        page,
        "<text x=\"14\" y=\"{0}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {0})\">what it is</text>\
         <text x=\"{1}\" y=\"{2}\" text-anchor=\"middle\">what it was called</text></svg>",
        MATRIX_TOP + MATRIX_CELL * k / 2,
        MATRIX_LEFT + MATRIX_CELL * k / 2,
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
        "<rect x=\"{x}\" y=\"{y}\" width=\"{MATRIX_CELL}\" height=\"{MATRIX_CELL}\" fill=\"{colour}\" fill-opacity=\"{shade:.3}\" class=\"rule\">\
         <title>{count} of {total} {} called {}</title></rect>",
        name(&evaluation.labels[row]),
        name(&evaluation.labels[column]),
    );
    if row == column {
        let _ = write!(
            page,
            "<rect x=\"{}\" y=\"{}\" width=\"{2}\" height=\"{2}\" fill=\"none\" stroke=\"var(--blue)\" stroke-width=\"2\"/>",
            x + 2,
            y + 2,
            MATRIX_CELL - 4
        );
    }
    if count > 0 {
        let _ = write!(
            page,
            "<text class=\"count\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{count}</text>",
            x + MATRIX_CELL / 2,
            y + MATRIX_CELL / 2 + 4
        );
    }
    page.push('\n');
}

/// Side of the cells of a matrix of colours, all together, and the least and the largest side of one.
const HEAT_SIDE: usize = 720;
const HEAT_CELL: [usize; 2] = [14, 40];
/// Space for the labels, at the left and at the top.
const HEAT_MARGIN: usize = 136;
const HEAT_END: usize = 24;

/// A matrix without numbers. Cells without a clip are not drawn.
fn heat_map(page: &mut String, evaluation: &Evaluation) {
    let _ = writeln!(
        page,
        "<p>Rows: what a clip is. Columns: what it was called. The stronger the colour, the larger the share of the row. Blue cells with a \
         frame, on the diagonal, are right; orange ones are wrong. On a screen, a cell names its labels and its clips.</p>"
    );
    let k = evaluation.labels.len();
    let cell = (HEAT_SIDE / k).clamp(HEAT_CELL[0], HEAT_CELL[1]);
    let side = k * cell;
    let (width, height) = (HEAT_MARGIN + side + HEAT_END, HEAT_MARGIN + side + HEAT_END);
    let _ = writeln!(
        page,
        "<div class=\"wide\"><svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" aria-label=\"confusion matrix\">\
         <rect class=\"frame\" x=\"{HEAT_MARGIN}\" y=\"{HEAT_MARGIN}\" width=\"{side}\" height=\"{side}\"/>"
    );
    for (row, (label, counts)) in evaluation.labels.iter().zip(&evaluation.confusion).enumerate() {
        let total: usize = counts.iter().sum();
        let (label, full) = (short(label, LABEL), short(label, TITLE));
        let at = HEAT_MARGIN + row * cell;
        let middle = at + cell / 2 + 4;
        let _ = writeln!(
            page,
            "<text x=\"{0}\" y=\"{middle}\" text-anchor=\"end\">{label}<title>{full}</title></text>\
             <text x=\"{middle}\" y=\"{0}\" transform=\"rotate(-90 {middle} {0})\">{label}<title>{full}</title></text>\
             <rect class=\"frame\" x=\"{at}\" y=\"{at}\" width=\"{cell}\" height=\"{cell}\"/>",
            HEAT_MARGIN - 6
        );
        for (column, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let colour = if row == column { "var(--blue)" } else { "var(--orange)" };
            let _ = writeln!(
                page,
                "<rect x=\"{}\" y=\"{at}\" width=\"{cell}\" height=\"{cell}\" fill=\"{colour}\" fill-opacity=\"{:.3}\">\
                 <title>{count} of {total} {full} called {}</title></rect>",
                HEAT_MARGIN + column * cell,
                count as f64 / total.max(1) as f64,
                short(&evaluation.labels[column], TITLE)
            );
        }
    }
    let _ = writeln!(page, "</svg></div>");
}

/// The recall of every label, from the worst to the best.
fn recalls(page: &mut String, evaluation: &Evaluation) {
    let order = by_recall(evaluation);
    let k = order.len();
    let _ = writeln!(
        page,
        "<p>{} labels are too many for a matrix. The plot: the recall of each of the {k} labels that have clips, the worst first; \
         dashed: their mean.</p>",
        evaluation.labels.len()
    );
    if k == 0 {
        return;
    }
    let ticks = (0..=4).map(|quarter| quarter * k / 4).map(|tick| (tick as f64, tick.to_string())).collect();
    let plot = Plot {
        x: Axis { from: 0.0, to: k as f64, ticks, label: "labels, the worst first" },
        y: Axis::share("recall"),
        width: 640.0,
        height: 240.0,
    };
    plot.begin(page, "recall of each label, the worst first");
    let mean = order.iter().map(|(_, figures)| figures.recall).sum::<f64>() / k as f64;
    plot.line(page, [(0.0, mean), (k as f64, mean)].into_iter(), "stroke=\"var(--ink)\" stroke-dasharray=\"4 4\"");
    let steps = order.iter().enumerate().flat_map(|(rank, (_, figures))| {
        let rank = rank as f64;
        [(rank, figures.recall), (rank + 1.0, figures.recall)]
    });
    plot.line(page, steps, "stroke=\"var(--blue)\"");
    let _ = writeln!(page, "</svg>");
}

/// The confusions that are most frequent, as a table.
fn frequent_confusions(page: &mut String, evaluation: &Evaluation) {
    let all = confusions(evaluation);
    if all.is_empty() {
        let _ = writeln!(page, "<p>No label was taken for another.</p>");
        return;
    }
    let listed = &all[..all.len().min(CONFUSIONS)];
    let _ = writeln!(
        page,
        "<p>The most frequent confusions: {} of {} pairs of labels.</p>\n<div class=\"wide many\"><table class=\"texts\"><thead><tr><th>is</th>\
         <th>was called</th><th>clips</th><th>of</th></tr></thead>",
        listed.len(),
        all.len()
    );
    for confusion in listed {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            name(&evaluation.labels[confusion.truth]),
            name(&evaluation.labels[confusion.called]),
            confusion.clips,
            confusion.of
        );
    }
    let _ = writeln!(page, "</table></div>");
}

/// z of a 95 % interval.
const Z: f64 = 1.959_963_985;

/// Whether a confidence is what it says.
pub(super) fn reliability(page: &mut String, evaluation: &Evaluation) {
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

/// How often it is right where it is sure.
pub(super) fn coverage(page: &mut String, evaluation: &Evaluation, curve: &[CoveragePoint]) {
    heading(page, "Confidence against coverage");
    if curve.is_empty() {
        let _ = writeln!(page, "<p>No clip was evaluated.</p>");
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

/// What a larger training set is worth.
pub(super) fn learning(page: &mut String, curve: &LearningCurve) {
    heading(page, "Learning curve");
    if let Some(why) = curve.left_out {
        let _ = writeln!(page, "<p>There is none: {}.</p>", escape(why));
        return;
    }
    let _ = writeln!(
        page,
        "<p>The same model fitted on some of the artists of each class, and evaluated on the same clips. Each step keeps the artists of the \
         one before it; the hyperparameters are those that were chosen with all. Where the line still rises at its right end, more \
         clips would help. The upright lines are 95 % intervals (bootstrap by artist).</p>"
    );
    if curve.points.len() > 1 {
        learning_plot(page, curve);
    }
    let _ = writeln!(
        page,
        "<div class=\"wide\"><table><thead><tr><th>artists of each class</th><th>artists</th><th>clips</th><th>accuracy</th>\
         <th>95 % interval</th><th>macro F1</th></tr></thead>"
    );
    for point in &curve.points {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3} to {:.3}</td><td>{:.3}</td></tr>",
            percent(point.share),
            point.artists,
            point.clips,
            point.accuracy,
            point.ci95[0],
            point.ci95[1],
            point.macro_f1
        );
    }
    let _ = writeln!(page, "</table></div>");
    for skipped in &curve.skipped {
        let _ = writeln!(
            page,
            "<p>Left out: {} of the artists. Of {} that is {}, and a model that is fitted on fewer than two of a class cannot be \
             calibrated on artists that it was not fitted on.</p>",
            percent(skipped.share),
            name(&skipped.label),
            if skipped.artists == 1 { "one artist".to_owned() } else { format!("{} artists", skipped.artists) },
        );
    }
}

fn learning_plot(page: &mut String, curve: &LearningCurve) {
    let points = &curve.points;
    let lowest = points.iter().map(|point| point.ci95[0]).fold(1.0, f64::min);
    let most = points.iter().map(|point| point.clips).max().unwrap_or(1) as f64;
    let ticks = points.iter().map(|point| (point.clips as f64, point.clips.to_string()));
    let plot = Plot {
        x: Axis {
            from: 0.0,
            to: most,
            ticks: std::iter::once((0.0, "0".into())).chain(ticks).collect(),
            label: "clips fitted on",
        },
        y: Axis::tenths(lowest, "accuracy on the held-out clips"),
        width: 440.0,
        height: 240.0,
    };
    plot.begin(page, "accuracy by the number of clips fitted on");
    plot.line(page, points.iter().map(|point| (point.clips as f64, point.accuracy)), "stroke=\"var(--blue)\"");
    for point in points {
        let clips = point.clips as f64;
        let ((x, y), (_, low), (_, high)) =
            (plot.at(clips, point.accuracy), plot.at(clips, point.ci95[0]), plot.at(clips, point.ci95[1]));
        let _ = writeln!(
            page,
            "<line class=\"bar\" x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\" stroke=\"var(--blue)\" stroke-opacity=\".5\"/>\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"var(--blue)\"><title>{} of the artists: {:.3}</title></circle>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.2}</text>",
            percent(point.share),
            point.accuracy,
            x - 8.0,
            y - 6.0,
            point.accuracy
        );
    }
    let _ = writeln!(page, "</svg>");
}

/// How the accuracy grows with the length of the audio. Nothing of fewer than two lengths.
pub(super) fn lengths(page: &mut String, robustness: &Robustness) {
    let points = &robustness.lengths;
    if points.len() < 2 {
        return;
    }
    heading(page, "Accuracy by length");
    let _ = writeln!(
        page,
        "<p>Excerpts of the same clips, drawn from them: how often they are right, and how probable the model calls what it says (dashed). Where \
         the dashed line is above the other, it is too sure. The upright lines are 95 % intervals (bootstrap by artist).</p>"
    );
    // Lengths lie from 2 to 30 s, mostly: equal ratios are equally far apart.
    let x = |seconds: f64| libm::log2(seconds.max(0.01));
    let ticks: Vec<_> = points.iter().map(|point| (x(point.seconds), format!("{:.0}", point.seconds))).collect();
    let lowest = points.iter().map(|point| point.ci95[0].min(point.confidence)).fold(1.0, f64::min);
    let (from, to) = (x(points[0].seconds), x(points[points.len() - 1].seconds));
    let plot = Plot {
        x: Axis { from: from - 0.2, to: to + 0.2, ticks, label: "seconds" },
        y: Axis::tenths(lowest, "accuracy, mean probability"),
        width: 440.0,
        height: 240.0,
    };
    plot.begin(page, "accuracy and mean probability by the length of the audio");
    plot.line(page, points.iter().map(|point| (x(point.seconds), point.accuracy)), "stroke=\"var(--blue)\"");
    let confidence = points.iter().map(|point| (x(point.seconds), point.confidence));
    plot.line(page, confidence, "stroke=\"var(--orange)\" stroke-dasharray=\"6 3\"");
    for point in points {
        let seconds = x(point.seconds);
        let ((x, y), (_, low), (_, high)) =
            (plot.at(seconds, point.accuracy), plot.at(seconds, point.ci95[0]), plot.at(seconds, point.ci95[1]));
        let _ = writeln!(
            page,
            "<line class=\"bar\" x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\" stroke=\"var(--blue)\" stroke-opacity=\".5\"/>\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"var(--blue)\"><title>{}: accuracy {:.3}, mean probability {:.3}, ECE {:.3}</title>\
             </circle>",
            escape(&point.name),
            point.accuracy,
            point.confidence,
            point.ece
        );
    }
    let _ = writeln!(page, "</svg>");
}

const PROJECTION_SIDE: f64 = 600.0;
const PROJECTION_MARGIN: f64 = 18.0;
/// Width of the legend.
const PROJECTION_NAMES: f64 = 150.0;
/// A symbol for each class, around 0: told apart without colour too. Classes after the last begin again.
const SYMBOLS: [&str; 10] = [
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "M-4 -4h8v8h-8z",
    "M0 -5.5l5.2 9.5h-10.4z",
    "M0 5.5l5.2 -9.5h-10.4z",
    "M0 -6l5 6l-5 6l-5 -6z",
    "M-1.6 -5.5h3.2v3.9h3.9v3.2h-3.9v3.9h-3.2v-3.9h-3.9v-3.2h3.9z",
    "M-5 -2.8l2.2 -2.2l2.8 2.8l2.8 -2.8l2.2 2.2l-2.8 2.8l2.8 2.8l-2.2 2.2l-2.8 -2.8l-2.8 2.8l-2.2 -2.2l2.8 -2.8z",
    "M0 -6.5l1.6 4.4l4.6 .1l-3.6 2.9l1.2 4.5l-3.8 -2.6l-3.8 2.6l1.2 -4.5l-3.6 -2.9l4.6 -.1z",
    "M-4.8 -5h9.6l-9.6 10h9.6z",
    "M-6 -2h12v4h-12z",
];

/// The symbol of a class without one of its own.
const DOT: &str = "M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0z";

/// The symbols and colours of classes in a projection.
struct Marks {
    /// The classes with a symbol and a colour of their own, in the order of both.
    own: Vec<usize>,
}

impl Marks {
    /// All of few classes; of many the ten with the most clips in the plot, of equals the first.
    fn new(projection: &Projection, classes: usize, scored: &[Scored]) -> Self {
        let mut own: Vec<usize> = (0..classes).collect();
        if classes > FEW {
            let mut clips = vec![0usize; classes];
            for clip in projection.clips.iter().filter_map(|&index| scored.get(index)) {
                clips[clip.truth] += 1;
            }
            own.sort_by_key(|&class| std::cmp::Reverse(clips[class]));
            own.truncate(SYMBOLS.len());
        }
        Self { own }
    }

    /// Symbol and colour of a class.
    fn of(&self, class: usize) -> (&'static str, String) {
        match self.own.iter().position(|&own| own == class) {
            Some(rank) => (SYMBOLS[rank % SYMBOLS.len()], colour(rank)),
            None => (DOT, "var(--soft)".to_owned()),
        }
    }
}

/// Which clips are similar to the model.
pub(super) fn projection(page: &mut String, projection: &Projection, evaluation: &Evaluation, scored: &[Scored]) {
    heading(page, "Similar clips");
    let _ = writeln!(
        page,
        "<p>Each mark is a clip; clips that lie close together are similar by {}. A ring is round every clip that was named wrongly. Exact t-SNE \
         (van der Maaten and Hinton 2008), perplexity {:.0}, begun from the first two principal components. What lies close together \
         is close; how far apart groups are, how large they are, and the two directions mean nothing.</p>",
        projection.similarity, projection.perplexity
    );
    if projection.clips.len() < projection.total {
        let _ = writeln!(
            page,
            "<p>Shown are {} of the {} clips, an even part of every class, drawn by the seed.</p>",
            projection.clips.len(),
            projection.total
        );
    }
    let classes = evaluation.labels.len();
    let marks = Marks::new(projection, classes, scored);
    let others = classes - marks.own.len();
    if others > 0 {
        let _ = writeln!(
            page,
            "<p>The {} labels with the most clips have a symbol and a colour of their own; grey dots are the other {others}.</p>",
            marks.own.len()
        );
    }
    let middle = |axis: usize| {
        let (low, high) = bounds(projection, axis);
        f64::midpoint(low, high)
    };
    let span =
        [0, 1].map(|axis| bounds(projection, axis)).map(|(low, high)| high - low).into_iter().fold(1e-9, f64::max);
    let scale = (PROJECTION_SIDE - 2.0 * PROJECTION_MARGIN) / span;
    let centre = [middle(0), middle(1)];
    let width = PROJECTION_SIDE + PROJECTION_NAMES;
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {width} {PROJECTION_SIDE}\" width=\"{width}\" role=\"img\" aria-label=\"projection of the clips\">\
         <rect class=\"frame\" x=\".5\" y=\".5\" width=\"{0}\" height=\"{0}\"/>",
        PROJECTION_SIDE - 1.0
    );
    for (&index, point) in projection.clips.iter().zip(&projection.points) {
        let Some(clip) = scored.get(index) else { continue };
        let x = PROJECTION_SIDE / 2.0 + (point[0] - centre[0]) * scale;
        let y = PROJECTION_SIDE / 2.0 - (point[1] - centre[1]) * scale;
        mark(page, clip, evaluation, &marks, (x, y));
    }
    let own = marks.own.iter().map(|&class| (marks.of(class), short(&evaluation.labels[class], LABEL)));
    let rest = (others > 0).then(|| (marks.of(usize::MAX), format!("{others} other labels")));
    let mut y = 24.0;
    for ((symbol, colour), label) in own.chain(rest) {
        let _ = writeln!(
            page,
            "<path d=\"{symbol}\" transform=\"translate({:.1} {y:.1})\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
            PROJECTION_SIDE + 22.0,
            PROJECTION_SIDE + 38.0,
            y + 4.0,
        );
        y += 24.0;
    }
    let _ = writeln!(
        page,
        "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"8\" fill=\"none\" stroke=\"var(--ink)\" stroke-width=\"1.5\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">named wrongly</text></svg>",
        PROJECTION_SIDE + 22.0,
        PROJECTION_SIDE + 38.0,
        y + 4.0
    );
}

fn mark(page: &mut String, clip: &Scored, evaluation: &Evaluation, marks: &Marks, (x, y): (f64, f64)) {
    let name = |label: usize| {
        let label = evaluation.labels.get(label).map_or("", String::as_str);
        display::isolated(&display::cut(label, TITLE))
    };
    let predicted = clip.predicted();
    let metadata = if clip.metadata.is_empty() { String::new() } else { format!(" ({})", clip.metadata) };
    let called = if predicted == clip.truth { String::new() } else { format!(", called {}", name(predicted)) };
    let (symbol, colour) = marks.of(clip.truth);
    let says = format!("{}{metadata}: {}{called}, confidence {:.2}", clip.clip_id, name(clip.truth), clip.confidence());
    let _ = write!(
        page,
        "<g transform=\"translate({x:.1} {y:.1})\"><title>{}</title><path d=\"{}\" fill=\"{}\"/>",
        escape(&says),
        symbol,
        colour
    );
    if predicted != clip.truth {
        let _ = write!(page, "<circle r=\"8\" fill=\"none\" stroke=\"var(--ink)\" stroke-width=\"1.5\"/>");
    }
    page.push_str("</g>\n");
}

fn bounds(projection: &Projection, axis: usize) -> (f64, f64) {
    let values = || projection.points.iter().map(|point| point[axis]);
    (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
}

/// One line of a plot; lines of the same title share a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What is plotted against the epochs.
    pub title: &'static str,
    /// On what.
    pub name: &'static str,
    /// Epoch and value.
    pub points: Vec<(f64, f64)>,
}

/// Colour and marker of the first and of the second line of a plot: told apart without colour too.
const CURVE_STYLES: [(&str, &str); 2] = [("var(--blue)", ""), ("var(--orange)", " stroke-dasharray=\"6 3\"")];
const CURVE_WIDTH: f64 = 420.0;
const CURVE_HEIGHT: f64 = 200.0;
const CURVE_LEFT: f64 = 50.0;
const CURVE_TOP: f64 = 30.0;

/// Draws each title once, in the order of their first lines. Nothing without a line.
/// How a training went, epoch by epoch.
pub(super) fn curves(page: &mut String, curves: &[Curve]) {
    let mut titles: Vec<&str> = Vec::new();
    for curve in curves {
        if !titles.contains(&curve.title) {
            titles.push(curve.title);
        }
    }
    if !titles.is_empty() {
        heading(page, "How the training went");
    }
    for title in titles {
        let lines: Vec<_> = curves.iter().filter(|curve| curve.title == title && !curve.points.is_empty()).collect();
        curve_plot(page, title, &lines);
    }
}

fn curve_plot(page: &mut String, title: &str, lines: &[&Curve]) {
    let all = || lines.iter().flat_map(|curve| &curve.points);
    let epochs = all().map(|point| point.0).fold(2.0, f64::max);
    let highest = all().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let x = |epoch: f64| CURVE_LEFT + CURVE_WIDTH * (epoch - 1.0) / (epochs - 1.0);
    let y = |value: f64| CURVE_TOP + CURVE_HEIGHT * (1.0 - value / highest);
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 520 290\" width=\"520\" role=\"img\" aria-label=\"{title} by epoch\">\
         <text x=\"{CURVE_LEFT}\" y=\"14\">{title}</text><text x=\"{}\" y=\"280\" text-anchor=\"middle\">epoch</text>",
        x(f64::midpoint(1.0, epochs))
    );
    for tick in 0..=4 {
        let value = highest * f64::from(tick) / 4.0;
        let epoch = 1.0 + ((epochs - 1.0) * f64::from(tick) / 4.0).round();
        let _ = writeln!(
            page,
            "<line x1=\"{CURVE_LEFT}\" y1=\"{0:.1}\" x2=\"{1}\" y2=\"{0:.1}\" stroke=\"var(--rule)\"/>\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{value:.2}</text>\
             <text x=\"{4:.1}\" y=\"250\" text-anchor=\"middle\">{epoch}</text>",
            y(value),
            CURVE_LEFT + CURVE_WIDTH,
            CURVE_LEFT - 6.0,
            y(value) + 4.0,
            x(epoch),
        );
    }
    for (index, (curve, (colour, dashes))) in lines.iter().zip(CURVE_STYLES.iter().cycle()).enumerate() {
        let points: Vec<_> = curve.points.iter().map(|&(a, b)| format!("{:.1},{:.1}", x(a), y(b))).collect();
        let at = CURVE_LEFT + 120.0 + 170.0 * index as f64;
        let _ = writeln!(
            page,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>\
             <line x1=\"{at}\" y1=\"10\" x2=\"{}\" y2=\"10\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>\
             <text x=\"{}\" y=\"14\">{}</text>",
            points.join(" "),
            at + 24.0,
            at + 30.0,
            curve.name,
        );
    }
    let _ = writeln!(page, "</svg>");
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
