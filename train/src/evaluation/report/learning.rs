//! What more music to fit on is worth.

use std::fmt::Write as _;

use super::{
    page::{escape, heading, percent},
    plot::{Axis, Plot},
};
use crate::evaluation::learning::LearningCurve;

pub(super) fn section(page: &mut String, curve: &LearningCurve) {
    heading(page, "Learning curve");
    if let Some(why) = curve.left_out {
        let _ = writeln!(page, "<p>There is none: {}.</p>", escape(why));
        return;
    }
    let _ = writeln!(
        page,
        "<p>The same model fitted on some of the artists of each genre, and judged by the same clips. Each step keeps the artists of the \
         one before it; the hyperparameters are those that were chosen with all. Where the line still rises at its right end, more \
         music would help. The upright lines are 95 % intervals (bootstrap by artist).</p>"
    );
    if curve.points.len() > 1 {
        plot(page, curve);
    }
    let _ = writeln!(
        page,
        "<div class=\"wide\"><table><thead><tr><th>artists of each genre</th><th>artists</th><th>clips</th><th>accuracy</th>\
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
            "<p>Left out: {} of the artists. Of {} that is {}, and a model that is fitted on fewer than two of a genre cannot be \
             calibrated on music of artists that it did not hear.</p>",
            percent(skipped.share),
            escape(&skipped.genre),
            if skipped.artists == 1 { "one artist".to_owned() } else { format!("{} artists", skipped.artists) },
        );
    }
}

fn plot(page: &mut String, curve: &LearningCurve) {
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
