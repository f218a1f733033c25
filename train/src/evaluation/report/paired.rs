//! Another model on the same clips.

use std::fmt::Write as _;

use super::page::{escape, heading};
use crate::evaluation::metrics::Paired;

/// The other model, and how the two differ.
#[derive(Clone, Copy, Debug)]
pub struct Against<'a> {
    /// What it is called.
    pub model: &'a str,
    /// The judged model as the first, this one as the second.
    pub paired: &'a Paired,
}

pub(super) fn section(page: &mut String, model: &str, Against { model: other, paired }: &Against<'_>) {
    let (model, other) = (escape(model), escape(other));
    heading(page, &format!("Beside {other}"));
    let Paired { n, accuracy, difference, ci95: [low, high], only_a, only_b, p, genres } = paired;
    let verdict = if *low > 0.0 {
        format!("{model} is right more often than chance among artists explains.")
    } else if *high < 0.0 {
        format!("{other} is right more often than chance among artists explains.")
    } else {
        "The interval holds 0: neither is shown to be right more often.".to_owned()
    };
    let _ = writeln!(
        page,
        "<p>Both judged the same {n} clips: {model} {:.3}, {other} {:.3}.</p>\n<div class=\"figures\">\
         <div><b>{difference:+.3}</b><span>difference of accuracy, 95 % interval {low:+.3} to {high:+.3} (paired, by artist)</span></div>\
         <div><b>{p:.3}</b><span>McNemar’s exact p: only {model} is right on {only_a}, only {other} on {only_b}</span></div></div>\n\
         <p>{verdict} McNemar’s test takes clips as independent; those of one artist are not, so where the two disagree the interval is \
         the safer guide.</p>",
        accuracy[0], accuracy[1]
    );
    let _ = writeln!(
        page,
        "<div class=\"wide\"><table><thead><tr><th>genre</th><th>clips</th><th>both right</th><th>only {model}</th><th>only {other}</th>\
         <th>neither</th></tr></thead>"
    );
    for (genre, of) in genres {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(genre),
            of.n,
            of.both,
            of.only_a,
            of.only_b,
            of.neither()
        );
    }
    let sum = |count: fn(&crate::evaluation::metrics::PairedGenre) -> usize| genres.values().map(count).sum::<usize>();
    let _ = writeln!(
        page,
        "<tr><td>all</td><td>{n}</td><td>{}</td><td>{only_a}</td><td>{only_b}</td><td>{}</td></tr></table></div>",
        sum(|of| of.both),
        sum(crate::evaluation::metrics::PairedGenre::neither)
    );
}
