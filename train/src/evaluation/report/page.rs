//! The frame of the page: head, style, and what every part writes with.

use std::fmt::Write as _;

/// Colours of genres, by day and by night; a genre has a symbol of its own beside.
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
th:first-child,td:first-child,.songs td,.songs th,.texts td,.texts th{text-align:left}.songs td:nth-child(5),.songs th:nth-child(5){text-align:right}
.songs td:first-child{white-space:nowrap}.fault{color:var(--orange);font-weight:600}.soft{color:var(--soft)}
pre{overflow-x:auto;border:1px solid var(--rule);padding:.8rem;font-size:.85rem}code{overflow-wrap:anywhere}summary{cursor:pointer}
svg{max-width:100%;height:auto}svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg text.soft{fill:var(--soft)}svg text.count{paint-order:stroke;stroke:var(--paper);stroke-width:2px;font-weight:600}
svg .rule{stroke:var(--rule)}svg .frame{stroke:var(--soft);fill:none}svg .line{fill:none;stroke-width:2}svg .bar{stroke-width:2}
@media print{body{margin:0;max-width:none;font-size:11pt}h2,h2+p,h2+p+p{break-after:avoid}svg,tr,.figures,table:not(.songs){break-inside:avoid}thead{display:table-header-group}
pre{white-space:pre-wrap;overflow-wrap:anywhere}.wide{overflow:visible}}
";

/// Everything up to the headline. A warning comes first of all.
pub(super) fn begin(title: &str, warnings: &[String]) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(
        page,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>Tonearm: {}</title><style>\n{}{STYLE}</style></head><body>\n",
        escape(title),
        colours()
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
        COLOURS.iter().enumerate().for_each(|(genre, pair)| text += &format!("--g{genre}:{};", pair[time]));
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

/// The colour of a genre, by its number.
pub(super) fn colour(genre: usize) -> String {
    format!("var(--g{})", genre % COLOURS.len())
}

/// Text that was not written here, as it may stand in the page, in an attribute too.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A share as a whole number of percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
