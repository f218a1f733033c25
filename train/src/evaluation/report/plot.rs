//! Axes: a frame with lines at round numbers, their numbers, and what is measured, in words.

use std::fmt::Write as _;

const LEFT: f64 = 64.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = 24.0;
const BOTTOM: f64 = 52.0;

/// One axis.
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Where a line is drawn, and what stands there.
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) label: &'static str,
}

impl Axis {
    /// From 0 to 1 in fifths.
    pub(super) fn share(label: &'static str) -> Self {
        Self::tenths(0.0, label)
    }

    /// From a multiple of a tenth, at most `least`, to 1.
    pub(super) fn tenths(least: f64, label: &'static str) -> Self {
        let first = (least * 10.0 + 1e-9).floor().clamp(0.0, 9.0) as u8;
        let step = if first < 5 { 2 } else { 1 };
        let first = if first < 5 { first / 2 * 2 } else { first };
        let ticks = (first..=10).step_by(step).map(|tenth| f64::from(tenth) / 10.0);
        Self {
            from: f64::from(first) / 10.0,
            to: 1.0,
            ticks: ticks.map(|tick| (tick, format!("{tick:.1}"))).collect(),
            label,
        }
    }

    /// From 0 to 100 % in fifths.
    pub(super) fn percent(label: &'static str) -> Self {
        let ticks = (0..=5).map(|fifth| (f64::from(fifth) / 5.0, format!("{} %", 20 * fifth))).collect();
        Self { from: 0.0, to: 1.0, ticks, label }
    }
}

/// A plot of this size within its frame.
pub(super) struct Plot {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Plot {
    /// Where a value is, in the coordinates of the picture.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let share = |axis: &Axis, value: f64| (value - axis.from) / (axis.to - axis.from).max(f64::MIN_POSITIVE);
        (LEFT + self.width * share(&self.x, x), TOP + self.height * (1.0 - share(&self.y, y)))
    }

    /// Begins the picture with its frame; `says` is what it is to somebody who does not see it.
    pub(super) fn begin(&self, page: &mut String, says: &str) {
        let (width, height) = (LEFT + self.width + RIGHT, TOP + self.height + BOTTOM);
        let _ = writeln!(
            page,
            "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" aria-label=\"{says}\">\
             <rect class=\"frame\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/>",
            self.width, self.height
        );
        for (value, text) in &self.y.ticks {
            let (left, y) = self.at(self.x.from, *value);
            let _ = writeln!(
                page,
                "<line class=\"rule\" x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                left + self.width,
                left - 8.0,
                y + 4.0
            );
        }
        for (value, text) in &self.x.ticks {
            let (x, bottom) = self.at(*value, self.y.from);
            let _ = writeln!(
                page,
                "<line class=\"rule\" x1=\"{x:.1}\" y1=\"{bottom:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 5.0,
                bottom + 19.0
            );
        }
        let middle = TOP + self.height / 2.0;
        let _ = writeln!(
            page,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"16\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {middle:.1})\">{}</text>",
            LEFT + self.width / 2.0,
            height - 12.0,
            self.x.label,
            self.y.label
        );
    }

    /// A line through values.
    pub(super) fn line(&self, page: &mut String, values: impl Iterator<Item = (f64, f64)>, style: &str) {
        let points: Vec<_> = values.map(|(x, y)| self.at(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(page, "<polyline class=\"line\" points=\"{}\" {style}/>", points.join(" "));
    }
}
