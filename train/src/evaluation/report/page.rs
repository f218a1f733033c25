//! What every part of the page is made of: its frame, style and escaping, and [`Plot`], axes with lines at round numbers.

use std::fmt::Write as _;

use data::labels::display;

/// Up to so many labels, everything is shown of each; of more, less.
pub(super) const FEW: usize = 12;
/// Up to so many labels, the confusion matrix is drawn and every label has its row in a table; of more, some are named.
pub(super) const SEVERAL: usize = 50;

/// Colours of classes, by day and by night; a class has a symbol of its own beside.
const COLOURS: [[&str; 2]; 10] = [
    ["#0b62a8", "#6ab7ff"],
    ["#7a3fa0", "#cfa3ee"],
    ["#8a5a00", "#e6b34d"],
    ["#c2185b", "#ff8ab5"],
    ["#2f7d32", "#8bd48f"],
    ["#00727c", "#5fd6e0"],
    ["#55555f", "#c4c4cc"],
    ["#c25a00", "#ffb066"],
    ["#5f6f00", "#cddc39"],
    ["#b3261e", "#ff8a80"],
];

const STYLE: &str = "
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}
.warning{border:2px solid var(--orange);padding:.6rem 1rem;font-weight:600}
.figures{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;margin:1rem 0}
.figures div{display:flex;flex-direction:column}.figures b{font-size:1.5rem}
.wide{overflow-x:auto}.beside{display:flex;flex-wrap:wrap;gap:1rem 3rem;align-items:flex-start}th[colspan]{text-align:center}
table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--rule);vertical-align:top}
th:first-child,td:first-child,.tracks td,.tracks th,.texts td,.texts th{text-align:left}.tracks td:nth-child(5),.tracks th:nth-child(5){text-align:right}
.tracks td:first-child{white-space:nowrap}.fault{color:var(--orange);font-weight:600}.soft{color:var(--soft)}
pre{overflow-x:auto;border:1px solid var(--rule);padding:.8rem;font-size:.85rem}code{overflow-wrap:anywhere}summary{cursor:pointer}
svg{max-width:100%;height:auto}svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg text.soft{fill:var(--soft)}svg text.count{paint-order:stroke;stroke:var(--paper);stroke-width:2px;font-weight:600}
svg .rule{stroke:var(--rule)}svg .frame{stroke:var(--soft);fill:none}svg .line{fill:none;stroke-width:2}svg .bar{stroke-width:2}
@media print{body{margin:0;max-width:none;font-size:11pt}h2,h2+p,h2+p+p{break-after:avoid}svg,tr,.figures,table:not(.tracks){break-inside:avoid}thead{display:table-header-group}
pre{white-space:pre-wrap;overflow-wrap:anywhere}.wide{overflow:visible}}
";

/// What pages of many labels have besides: a table that scrolls, but not on paper, and cells of a matrix without a line around.
const STYLE_OF_MANY: &str = "
.many{max-height:34rem;overflow:auto}.many thead th{position:sticky;top:0;background:var(--paper)}td.gap{text-align:center}.many td:first-child,table.texts td{overflow-wrap:anywhere;min-width:6rem}
@media print{.many{max-height:none;overflow:visible}}
";

/// Everything up to the headline, of a page about that many labels. A warning comes first of all.
pub(super) fn begin(title: &str, labels: usize, warnings: &[String]) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(
        page,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>Tonearm: {}</title><style>\n{}{STYLE}{}</style></head><body>\n",
        escape(title),
        colours(),
        if labels > FEW { STYLE_OF_MANY } else { "" }
    );
    for warning in warnings {
        let _ = writeln!(page, "<p class=\"warning\">{}</p>", escape(warning));
    }
    page
}

/// What is printed is always on white.
fn colours() -> String {
    let of = |time: usize, own: [&str; 6]| -> String {
        let names = ["ink", "paper", "rule", "soft", "blue", "orange"];
        let mut text: String = names.iter().zip(own).map(|(name, colour)| format!("--{name}:{colour};")).collect();
        COLOURS.iter().enumerate().for_each(|(class, pair)| text += &format!("--g{class}:{};", pair[time]));
        text
    };
    format!(
        ":root{{color-scheme:light dark;{}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        of(0, ["#1b1b1f", "#fff", "#d0d0d7", "#5c5c66", "#0b62a8", "#c25a00"]),
        of(1, ["#e8e8ee", "#17171a", "#44444d", "#a5a5b0", "#6ab7ff", "#ffb066"]),
    )
}

/// The headline, and what the split leaks.
pub(super) fn title(page: &mut String, model: &str, split: &str, leaks: &str) {
    let _ = writeln!(
        page,
        "<h1>{}, evaluated on {}</h1>\n<p>This split leaks: {}.</p>",
        escape(model),
        escape(split),
        escape(leaks)
    );
}

pub(super) fn end(page: &mut String) {
    page.push_str("</body></html>\n");
}

/// Begins a part.
pub(super) fn heading(page: &mut String, text: &str) {
    let _ = writeln!(page, "<h2>{text}</h2>");
}

/// The colour of a class, by its index.
pub(super) fn colour(class: usize) -> String {
    format!("var(--g{})", class % COLOURS.len())
}

/// Text that was not written here, as it may stand in the page, in an attribute too.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// The name of a label, or another name, within other text.
pub(super) fn name(label: &str) -> String {
    escape(&display::isolated(label))
}

/// The same, cut where it is longer than `columns` of a terminal, which is a measure of its length in a plot too.
pub(super) fn short(label: &str, columns: usize) -> String {
    name(&display::cut(label, columns))
}

/// A share as a whole number of percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

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
    /// Where a value is, in the coordinates of the plot.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let share = |axis: &Axis, value: f64| (value - axis.from) / (axis.to - axis.from).max(f64::MIN_POSITIVE);
        (LEFT + self.width * share(&self.x, x), TOP + self.height * (1.0 - share(&self.y, y)))
    }

    /// Begins the plot with its frame; `says` describes it to somebody who does not see it.
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
