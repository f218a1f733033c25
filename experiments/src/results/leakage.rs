//! The leakage study: one model and one set of features, evaluated by splits that leak less and less, as a table and as a plot.

use std::fmt::Write as _;

use anyhow::Result;
use data::{Part, Split};
use serde::Serialize;

use crate::results::{
    store::StoredResult,
    summary::{self, Summary},
};

const STYLE: &str = "
svg{--ink:#1b1b1f;--paper:#fff;--rule:#d0d0d7;--soft:#5c5c66}
@media(prefers-color-scheme:dark){svg{--ink:#e8e8ee;--paper:#17171a;--rule:#44444d;--soft:#a5a5b0}}
text{fill:var(--ink);font:13px system-ui,sans-serif}.soft{fill:var(--soft);font-size:12px}.head{font-weight:600}
.paper{fill:var(--paper)}.rule{stroke:var(--rule)}
.s0{--c:#0b62a8}.s1{--c:#c25a00}.s2{--c:#2f7d32}.s3{--c:#7a3fa0}
@media(prefers-color-scheme:dark){.s0{--c:#6ab7ff}.s1{--c:#ffb066}.s2{--c:#8bd48f}.s3{--c:#cfa3ee}}
.bar{stroke:var(--c);stroke-width:2.5}.mark{fill:var(--c)}
";
/// Series that have a colour and a mark of their own; those after them begin again.
const SERIES: usize = 4;
const WIDTH: f64 = 900.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = 60.0;
const ROW: f64 = 24.0;

/// A way to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// How clips, or segments, are dealt.
    pub split: Split,
    /// Segments of each clip; `None` for whole clips.
    pub segments_per_clip: Option<usize>,
}

/// The results of one experiment on each level.
#[derive(Clone, Debug, Serialize)]
pub struct LeakageStudy {
    /// The experiment.
    pub name: String,
    /// In the order of [`levels`].
    pub levels: Vec<Summary>,
}

/// The levels, the leakiest first. Segments of clips, where there are any, are dealt by segment, by track, by artist and by the
/// valid part, whole clips by the last three: so that on each side nothing changes from level to level but who may have been seen
/// in training.
#[must_use]
pub fn levels(folds: usize, segments_per_clip: Option<usize>) -> Vec<Level> {
    let (track, artist) = (Split::TrackKFold { k: folds }, Split::ArtistKFold { k: folds });
    let fair = [track, artist, Split::FaultFiltered(Part::Valid)];
    let of_segments = std::iter::once(Split::SegmentKFold { k: folds }).chain(fair);
    let of_segments =
        of_segments.filter(|_| segments_per_clip.is_some()).map(|split| Level { split, segments_per_clip });
    of_segments.chain(fair.map(|split| Level { split, segments_per_clip: None })).collect()
}

impl LeakageStudy {
    /// Summarises results level by level; each level has `seeds` of them.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn new(name: &str, seeds: usize, results: &[&StoredResult]) -> Result<Self> {
        let levels = results.chunks(seeds.max(1)).filter_map(|level| Summary::new(level).transpose());
        Ok(Self { name: name.to_owned(), levels: levels.collect::<Result<_>>()? })
    }
}

/// Draws studies as SVG that needs nothing else, in the colours of the reader's choice of light or dark. The same studies give the
/// same bytes.
#[must_use]
pub fn svg(studies: &[LeakageStudy]) -> String {
    // The longest study has the levels of the others.
    let levels =
        studies.iter().map(|study| &study.levels).max_by_key(|levels| levels.len()).map_or(&[][..], Vec::as_slice);
    let lowest = studies.iter().flat_map(|study| &study.levels).map(|level| level.ci95[0]).fold(1.0, f64::min);
    let from = (lowest * 10.0).floor() / 10.0;
    let x = |accuracy: f64| LEFT + (WIDTH - LEFT - RIGHT) * (accuracy - from) / (1.0 - from);

    let mut body = String::new();
    let mut y = 64.0;
    let mut side = None;
    for level in levels {
        let same =
            |other: &&Summary| (&other.split, other.segments_per_clip) == (&level.split, level.segments_per_clip);
        let here: Vec<_> = studies
            .iter()
            .enumerate()
            .filter_map(|(series, study)| Some((series, study.levels.iter().find(same)?)))
            .collect();
        if side != Some(level.segments_per_clip) {
            side = Some(level.segments_per_clip);
            y += 14.0;
            let on = level.evaluated_on();
            let _ = writeln!(body, "<text class=\"head\" x=\"16\" y=\"{:.1}\">Evaluated on {on}</text>", y + 4.0);
            y += ROW;
        }
        let height = ROW * (here.len() as f64).max(1.5);
        let middle = y + height / 2.0;
        let _ = writeln!(
            body,
            "<text x=\"{0}\" y=\"{1:.1}\" text-anchor=\"end\">{2}</text><text class=\"soft\" x=\"{0}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>",
            LEFT - 16.0,
            middle - 4.0,
            level.split,
            middle + 12.0,
            seen(&level.split),
        );
        for (position, (series, level)) in here.iter().enumerate() {
            let offset = ROW * (position as f64 - (here.len() as f64 - 1.0) / 2.0);
            point(&mut body, *series, level, middle + offset, &x);
        }
        y += height + 16.0;
    }
    let bottom = y;
    let remarks = summary::remarks(studies.iter().flat_map(|study| &study.levels));
    let mut page = String::new();
    let height = bottom + 48.0 + 20.0 * remarks.len() as f64;
    let _ = writeln!(
        page,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" role=\"img\" \
         aria-label=\"accuracy by split\"><style>{STYLE}</style>\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>"
    );
    for (series, study) in studies.iter().enumerate() {
        let at = LEFT + 190.0 * series as f64;
        let _ = write!(page, "<g class=\"s{}\">", series % SERIES);
        mark(&mut page, series, at, 26.0);
        let _ = writeln!(page, "</g><text x=\"{}\" y=\"30.5\">{}</text>", at + 14.0, study.name);
    }
    let _ = writeln!(page, "<text class=\"head\" x=\"16\" y=\"30.5\">Effect of leakage</text>");
    for tenth in (from * 10.0).round() as usize..=10 {
        let accuracy = tenth as f64 / 10.0;
        let _ = writeln!(
            page,
            "<line class=\"rule\" x1=\"{0:.1}\" y1=\"52\" x2=\"{0:.1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"soft\" x=\"{0:.1}\" y=\"{1:.1}\" text-anchor=\"middle\">{accuracy:.1}</text>",
            x(accuracy),
            bottom + 16.0
        );
    }
    let _ = writeln!(
        page,
        "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">accuracy, with its 95 % interval by artist</text>",
        x(f64::midpoint(from, 1.0)),
        bottom + 34.0
    );
    for (line, remark) in remarks.into_iter().enumerate() {
        let _ = writeln!(page, "<text x=\"16\" y=\"{:.1}\">{remark}</text>", bottom + 56.0 + 20.0 * line as f64);
    }
    page.push_str(&body);
    page.push_str("</svg>\n");
    page
}

/// The interval, the mark and the number of one experiment on one level.
fn point(body: &mut String, series: usize, level: &Summary, y: f64, x: &dyn Fn(f64) -> f64) {
    let [low, high] = level.ci95;
    let _ = write!(
        body,
        "<g class=\"s{}\"><title>{}, {}: {:.3} ({low:.3} to {high:.3})</title>\
         <line class=\"bar\" x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>",
        series % SERIES,
        level.name,
        level.split,
        level.accuracy,
        x(low),
        x(high),
    );
    mark(body, series, x(level.accuracy), y);
    let _ = writeln!(body, "</g><text x=\"{:.1}\" y=\"{:.1}\">{:.3}</text>", x(high) + 8.0, y + 4.5, level.accuracy);
}

/// The mark of a series: told apart without colour too.
fn mark(to: &mut String, series: usize, x: f64, y: f64) {
    let _ = match series % SERIES {
        0 => write!(to, "<circle class=\"mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5.5\"/>"),
        1 => write!(to, "<rect class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\"/>", x - 5.0, y - 5.0),
        2 => write!(to, "<path class=\"mark\" d=\"M{x:.1} {:.1}l6.5 11h-13z\"/>", y - 6.5),
        _ => write!(to, "<path class=\"mark\" d=\"M{x:.1} {:.1}l6.5 6.5l-6.5 6.5l-6.5 -6.5z\"/>", y - 6.5),
    };
}

/// What was seen in training, in a few words.
fn seen(split: &str) -> &'static str {
    match split.split(':').next() {
        Some("segment-kfold") => "other segments of the same clip seen",
        Some("track-kfold") => "other tracks of the same artist seen",
        Some("artist-kfold") => "no artist seen",
        _ => "no artist seen; fitted on train alone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_come_first_and_the_last_level_of_each_side_is_the_valid_part() {
        let all = levels(5, Some(10));
        let names: Vec<_> = all.iter().map(|level| (level.split.to_string(), level.segments_per_clip)).collect();
        assert_eq!(names.len(), 7);
        assert_eq!(names[0], ("segment-kfold:5".into(), Some(10)));
        let valid = || "fault-filtered:valid".to_owned();
        assert_eq!((&names[3], &names[6]), (&(valid(), Some(10)), &(valid(), None)));
        assert_eq!(levels(3, None).len(), 3);
    }
}
