//! `report.html`: one self-contained page that says how good a model is, on what, and how it was made.

mod curves;

use std::fmt::Write as _;

use features::Fingerprint;
use models::artifact::DataDescription;
use serde_json::Value;

pub use curves::Curve;

use crate::metrics::{Evaluation, Scored};

/// What a report is made from.
#[derive(Debug)]
pub struct Report<'a> {
    /// Kind of model, such as `svm`.
    pub model: &'a str,
    /// What it hears.
    pub fingerprint: &'a Fingerprint,
    /// How it was trained.
    pub training: &'a Value,
    /// What it was trained on.
    pub data: &'a DataDescription,
    /// Name of the split, such as `fault-filtered:valid`.
    pub split: &'a str,
    /// What the split leaks, in a sentence.
    pub leaks: &'a str,
    /// First line of a report of synthetic music; `None` for real music.
    pub warning: Option<&'a str>,
    /// How the training went; may be empty.
    pub curves: &'a [Curve],
    /// The figures.
    pub evaluation: &'a Evaluation,
    /// The clips behind the figures.
    pub scored: &'a [Scored],
    /// The command that gives the same figures again.
    pub command: &'a str,
}

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1b1f;--paper:#fff;--rule:#d0d0d7;--blue:#0b62a8;--orange:#c25a00}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8ee;--paper:#17171a;--rule:#44444d;--blue:#6ab7ff;--orange:#ffb066}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}
.warning{border:2px solid var(--orange);padding:.6rem 1rem;font-weight:600}
.figures{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;margin:1rem 0}
.figures div{display:flex;flex-direction:column}.figures b{font-size:1.5rem}
table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--rule)}
th:first-child,td:first-child,.songs td:nth-child(2),.songs th:nth-child(2){text-align:left}
pre{overflow-x:auto;border:1px solid var(--rule);padding:.8rem}
svg{max-width:100%;height:auto}svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg text.on{fill:var(--paper)}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}svg,table{break-inside:avoid}}
";

/// Renders the page. The same report gives the same bytes.
#[must_use]
pub fn html(report: &Report<'_>) -> String {
    let Report { model, fingerprint, training, data, split, leaks, warning, curves, evaluation, scored, command } =
        report;
    let mut page = String::new();
    let model = escape(model);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Tonearm: {model} on {split}</title><style>{STYLE}</style></head><body>\n",
        split = escape(split),
    );
    if let Some(warning) = warning {
        let _ = writeln!(page, "<p class=\"warning\">{}</p>", escape(warning));
    }
    let _ =
        writeln!(page, "<h1>{model}, evaluated on {}</h1>\n<p>This split leaks: {}.</p>", escape(split), escape(leaks));
    figures(&mut page, evaluation);
    let _ = writeln!(page, "<h2>Each genre</h2>");
    class_table(&mut page, evaluation);
    let _ = writeln!(page, "<h2>Confusion matrix</h2>\n<p>Rows: what a clip is. Columns: what it was called.</p>");
    confusion_plot(&mut page, evaluation);
    let _ = writeln!(
        page,
        "<h2>Reliability</h2>\n<p>Ten bins with equally many clips. On the diagonal, a confidence of 0.7 is right 7 times in 10. \
         Expected calibration error {:.3}.</p>",
        evaluation.ece
    );
    reliability_plot(&mut page, evaluation);
    let _ = writeln!(page, "<h2>Most confident mistakes</h2>");
    mistakes(&mut page, evaluation, scored);
    curves::plot(&mut page, curves);
    let training = serde_json::to_string_pretty(training).unwrap_or_default();
    let _ = writeln!(
        page,
        "<h2>How it was made</h2>\n<p>Training data {}: <code>{}</code>. Features <code>{}</code>.</p>\n<pre>{}</pre>\n\
         <p>The same figures again:</p>\n<pre>{}</pre>\n</body></html>",
        escape(&data.description),
        escape(&data.digest),
        fingerprint,
        escape(&training),
        escape(command),
    );
    page
}

fn figures(page: &mut String, evaluation: &Evaluation) {
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

fn class_table(page: &mut String, evaluation: &Evaluation) {
    let _ = writeln!(page, "<table><tr><th>genre</th><th>clips</th><th>precision</th><th>recall</th><th>F1</th></tr>");
    for (label, class) in &evaluation.per_class {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{:.2}</td><td>{:.2}</td><td>{:.2}</td></tr>",
            escape(label),
            class.support,
            class.precision,
            class.recall,
            class.f1
        );
    }
    let _ = writeln!(page, "</table>");
}

fn confusion_plot(page: &mut String, evaluation: &Evaluation) {
    const CELL: usize = 44;
    const LEFT: usize = 90;
    let k = evaluation.labels.len();
    let side = LEFT + CELL * k + 10;
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {side} {side}\" width=\"{side}\" role=\"img\" aria-label=\"confusion matrix\">"
    );
    for (row, (label, counts)) in evaluation.labels.iter().zip(&evaluation.confusion).enumerate() {
        let label = escape(label);
        let total: usize = counts.iter().sum();
        let y = LEFT + row * CELL;
        let centre = LEFT + row * CELL + CELL / 2;
        let _ =
            writeln!(page, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>", LEFT - 8, y + CELL / 2 + 4);
        let _ = writeln!(
            page,
            "<text x=\"{centre}\" y=\"{0}\" transform=\"rotate(-50 {centre} {0})\">{label}</text>",
            LEFT - 8
        );
        for (column, &count) in counts.iter().enumerate() {
            let x = LEFT + column * CELL;
            let shade = count as f64 / total.max(1) as f64;
            let colour = if row == column { "var(--blue)" } else { "var(--orange)" };
            let _ = writeln!(
                page,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{colour}\" fill-opacity=\"{shade:.3}\" stroke=\"var(--rule)\"/>"
            );
            if count > 0 {
                let _ = writeln!(
                    page,
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\"{}>{count}</text>",
                    x + CELL / 2,
                    y + CELL / 2 + 4,
                    if shade > 0.5 { " class=\"on\"" } else { "" }
                );
            }
        }
    }
    let _ = writeln!(page, "</svg>");
}

fn reliability_plot(page: &mut String, evaluation: &Evaluation) {
    const SIDE: f64 = 300.0;
    const LEFT: f64 = 50.0;
    let x = |confidence: f64| LEFT + SIDE * confidence;
    let y = |accuracy: f64| 10.0 + SIDE * (1.0 - accuracy);
    let _ =
        writeln!(page, "<svg viewBox=\"0 0 370 360\" width=\"370\" role=\"img\" aria-label=\"reliability diagram\">");
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let _ = writeln!(
            page,
            "<line x1=\"{0}\" y1=\"{1}\" x2=\"{2}\" y2=\"{1}\" stroke=\"var(--rule)\"/><text x=\"{3}\" y=\"{4}\" text-anchor=\"end\">{share:.1}</text>\
             <text x=\"{5}\" y=\"328\" text-anchor=\"middle\">{share:.1}</text>",
            x(0.0),
            y(share),
            x(1.0),
            LEFT - 6.0,
            y(share) + 4.0,
            x(share)
        );
    }
    let _ = writeln!(
        page,
        "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"var(--ink)\" stroke-dasharray=\"4 4\"/>\
         <text x=\"{}\" y=\"348\" text-anchor=\"middle\">mean confidence</text>\
         <text x=\"14\" y=\"160\" text-anchor=\"middle\" transform=\"rotate(-90 14 160)\">share that is right</text>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0),
        x(0.5)
    );
    let points: Vec<_> =
        evaluation.reliability.iter().map(|bin| format!("{:.1},{:.1}", x(bin.confidence), y(bin.accuracy))).collect();
    let _ = writeln!(
        page,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"var(--blue)\" stroke-width=\"2\"/>",
        points.join(" ")
    );
    for bin in &evaluation.reliability {
        let _ = writeln!(
            page,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"var(--blue)\"><title>{} clips: confidence {:.2}, right {:.2}</title></circle>",
            x(bin.confidence),
            y(bin.accuracy),
            bin.n,
            bin.confidence,
            bin.accuracy
        );
    }
    let _ = writeln!(page, "</svg>");
}

fn mistakes(page: &mut String, evaluation: &Evaluation, scored: &[Scored]) {
    let mut wrong: Vec<_> = scored.iter().filter(|clip| clip.predicted() != clip.truth).collect();
    wrong.sort_by(|a, b| b.confidence().total_cmp(&a.confidence()).then_with(|| a.clip_id.cmp(&b.clip_id)));
    if wrong.is_empty() {
        let _ = writeln!(page, "<p>None.</p>");
        return;
    }
    let _ = writeln!(
        page,
        "<table class=\"songs\"><tr><th>clip</th><th>song</th><th>is</th><th>was called</th><th>confidence</th></tr>"
    );
    for clip in wrong.iter().take(20) {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td></tr>",
            escape(&clip.clip_id),
            escape(&clip.credit),
            escape(&evaluation.labels[clip.truth]),
            escape(&evaluation.labels[clip.predicted()]),
            clip.confidence()
        );
    }
    let _ = writeln!(page, "</table>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
