//! Where it is surest, and wrong; and what is known against the clips.

use std::fmt::Write as _;

use super::page::{escape, heading};
use crate::evaluation::metrics::{Evaluation, FaultCount, Faults, Scored};

/// Mistakes that are listed; those with a known fault are listed besides.
const LISTED: usize = 20;

pub(super) fn section(page: &mut String, evaluation: &Evaluation, scored: &[Scored], faults: &Faults) {
    heading(page, "Most confident mistakes");
    let mut wrong: Vec<_> = scored.iter().filter(|clip| clip.predicted() != clip.truth).collect();
    wrong.sort_by(|a, b| b.confidence().total_cmp(&a.confidence()).then_with(|| a.clip_id.cmp(&b.clip_id)));
    known(page, scored.len(), wrong.len(), faults);
    if wrong.is_empty() {
        let _ = writeln!(page, "<p>There is no mistake.</p>");
        return;
    }
    let is_listed = |(place, clip): &(usize, &&Scored)| *place < LISTED || !faults.against(&clip.clip_id).is_empty();
    let listed: Vec<_> = wrong.iter().enumerate().filter(is_listed).map(|(_, clip)| clip).collect();
    let _ = writeln!(
        page,
        "<p>{} of {} mistakes, the most confident first.</p>\n<div class=\"wide\"><table class=\"songs\"><thead><tr><th>clip</th>\
         <th>song</th><th>is</th><th>was called</th><th>confidence</th><th>known fault</th></tr></thead>",
        listed.len(),
        wrong.len()
    );
    for clip in listed {
        let known: Vec<_> = faults.against(&clip.clip_id).iter().map(ToString::to_string).collect();
        let fault = if known.is_empty() {
            String::new()
        } else {
            format!("<span class=\"fault\">⚑</span> {}", escape(&known.join("; ")))
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td><td>{fault}</td></tr>",
            escape(&clip.clip_id),
            escape(&clip.credit),
            escape(&evaluation.labels[clip.truth]),
            escape(&evaluation.labels[clip.predicted()]),
            clip.confidence()
        );
    }
    let _ = writeln!(page, "</table></div>");
}

/// How many of the clips and of the mistakes have a fault that is known.
fn known(page: &mut String, clips: usize, mistakes: usize, faults: &Faults) {
    let text = match faults {
        Faults { in_catalogue: 0, .. } => {
            "No fault is known of these clips: none is in GTZAN's catalogue, and faults are known of GTZAN alone.".to_owned()
        }
        Faults { excluded: FaultCount { clips: 0, .. }, shared_artist: FaultCount { clips: 0, .. }, .. } => {
            "No fault is known of these clips: the 70 repeats and faults of GTZAN that Kereliuk, Sturm and Larsen (2015) name are not among \
             them, nor is one with an artist of another part."
                .to_owned()
        }
        Faults { excluded, shared_artist, .. } => {
            let none = if excluded.clips == 0 { " (a fault-filtered split has none of them)" } else { "" };
            format!(
                "Known faults of GTZAN. Among the 70 repeats and faults that Kereliuk, Sturm and Larsen (2015) left out are {} of {clips} judged \
                 clips and {} of {mistakes} mistakes{none}. By our audit, {} of the clips and {} of the mistakes have an artist, or a guest, who \
                 is in another part of the split too. A mistake with a mark (⚑) says less against the model than another, and a right answer \
                 less for it.",
                excluded.clips, excluded.mistakes, shared_artist.clips, shared_artist.mistakes
            )
        }
    };
    let _ = writeln!(page, "<p>{text}</p>");
}
