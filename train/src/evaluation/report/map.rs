//! Which clips the model hears alike.

use std::fmt::Write as _;

use super::page::{colour, escape, heading};
use crate::evaluation::{
    map::Map,
    metrics::{Evaluation, Scored},
};

const SIDE: f64 = 600.0;
const MARGIN: f64 = 18.0;
/// Width of the names beside the picture.
const NAMES: f64 = 150.0;
/// A symbol for each genre, around 0: told apart without colour too. Genres after the last begin again.
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

pub(super) fn section(page: &mut String, map: &Map, evaluation: &Evaluation, scored: &[Scored]) {
    heading(page, "What sounds alike to it");
    let _ = writeln!(
        page,
        "<p>Each mark is a clip; clips that lie together are alike by {}. A ring is round every clip that was named wrongly. Exact t-SNE \
         (van der Maaten and Hinton 2008), perplexity {:.0}, begun from the first two principal components. What lies close together \
         is close; how far apart groups are, how large they are, and the two directions mean nothing.</p>",
        map.by, map.perplexity
    );
    if map.clips.len() < map.of {
        let _ = writeln!(
            page,
            "<p>Shown are {} of the {} clips, an even part of every genre, drawn by the seed.</p>",
            map.clips.len(),
            map.of
        );
    }
    let middle = |axis: usize| {
        let (low, high) = bounds(map, axis);
        f64::midpoint(low, high)
    };
    let span = [0, 1].map(|axis| bounds(map, axis)).map(|(low, high)| high - low).into_iter().fold(1e-9, f64::max);
    let scale = (SIDE - 2.0 * MARGIN) / span;
    let centre = [middle(0), middle(1)];
    let width = SIDE + NAMES;
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {width} {SIDE}\" width=\"{width}\" role=\"img\" aria-label=\"map of the clips\">\
         <rect class=\"frame\" x=\".5\" y=\".5\" width=\"{0}\" height=\"{0}\"/>",
        SIDE - 1.0
    );
    for (&index, place) in map.clips.iter().zip(&map.places) {
        let Some(clip) = scored.get(index) else { continue };
        let x = SIDE / 2.0 + (place[0] - centre[0]) * scale;
        let y = SIDE / 2.0 - (place[1] - centre[1]) * scale;
        mark(page, clip, evaluation, x, y);
    }
    for (genre, label) in evaluation.labels.iter().enumerate() {
        let y = 24.0 + 24.0 * genre as f64;
        let _ = writeln!(
            page,
            "<path d=\"{}\" transform=\"translate({:.1} {y:.1})\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            SYMBOLS[genre % SYMBOLS.len()],
            SIDE + 22.0,
            colour(genre),
            SIDE + 38.0,
            y + 4.0,
            escape(label)
        );
    }
    let y = 24.0 + 24.0 * evaluation.labels.len() as f64;
    let _ = writeln!(
        page,
        "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"8\" fill=\"none\" stroke=\"var(--ink)\" stroke-width=\"1.5\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">named wrongly</text></svg>",
        SIDE + 22.0,
        SIDE + 38.0,
        y + 4.0
    );
}

fn mark(page: &mut String, clip: &Scored, evaluation: &Evaluation, x: f64, y: f64) {
    let name = |label: usize| evaluation.labels.get(label).map_or("", String::as_str);
    let predicted = clip.predicted();
    let credit = if clip.credit.is_empty() { String::new() } else { format!(" ({})", clip.credit) };
    let called = if predicted == clip.truth { String::new() } else { format!(", called {}", name(predicted)) };
    let says = format!("{}{credit}: {}{called}, confidence {:.2}", clip.clip_id, name(clip.truth), clip.confidence());
    let _ = write!(
        page,
        "<g transform=\"translate({x:.1} {y:.1})\"><title>{}</title><path d=\"{}\" fill=\"{}\"/>",
        escape(&says),
        SYMBOLS[clip.truth % SYMBOLS.len()],
        colour(clip.truth)
    );
    if predicted != clip.truth {
        let _ = write!(page, "<circle r=\"8\" fill=\"none\" stroke=\"var(--ink)\" stroke-width=\"1.5\"/>");
    }
    page.push_str("</g>\n");
}

fn bounds(map: &Map, axis: usize) -> (f64, f64) {
    let values = || map.places.iter().map(|place| place[axis]);
    (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
}
