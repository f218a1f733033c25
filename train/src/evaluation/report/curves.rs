//! How a training went, epoch by epoch.

use std::fmt::Write as _;

use super::page::heading;

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
const STYLES: [(&str, &str); 2] = [("var(--blue)", ""), ("var(--orange)", " stroke-dasharray=\"6 3\"")];
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 30.0;

/// Draws each title once, in the order of their first lines. Nothing without a line.
pub(super) fn section(page: &mut String, curves: &[Curve]) {
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
        one(page, title, &lines);
    }
}

fn one(page: &mut String, title: &str, lines: &[&Curve]) {
    let all = || lines.iter().flat_map(|curve| &curve.points);
    let epochs = all().map(|point| point.0).fold(2.0, f64::max);
    let highest = all().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let x = |epoch: f64| LEFT + WIDTH * (epoch - 1.0) / (epochs - 1.0);
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / highest);
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 520 290\" width=\"520\" role=\"img\" aria-label=\"{title} by epoch\">\
         <text x=\"{LEFT}\" y=\"14\">{title}</text><text x=\"{}\" y=\"280\" text-anchor=\"middle\">epoch</text>",
        x(f64::midpoint(1.0, epochs))
    );
    for tick in 0..=4 {
        let value = highest * f64::from(tick) / 4.0;
        let epoch = 1.0 + ((epochs - 1.0) * f64::from(tick) / 4.0).round();
        let _ = writeln!(
            page,
            "<line x1=\"{LEFT}\" y1=\"{0:.1}\" x2=\"{1}\" y2=\"{0:.1}\" stroke=\"var(--rule)\"/>\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{value:.2}</text>\
             <text x=\"{4:.1}\" y=\"250\" text-anchor=\"middle\">{epoch}</text>",
            y(value),
            LEFT + WIDTH,
            LEFT - 6.0,
            y(value) + 4.0,
            x(epoch),
        );
    }
    for (index, (curve, (colour, dashes))) in lines.iter().zip(STYLES.iter().cycle()).enumerate() {
        let points: Vec<_> = curve.points.iter().map(|&(a, b)| format!("{:.1},{:.1}", x(a), y(b))).collect();
        let at = LEFT + 120.0 + 170.0 * index as f64;
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
