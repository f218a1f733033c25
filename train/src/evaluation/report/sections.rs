//! The parts of the page that are text and tables.

use std::{cmp::Reverse, fmt::Write as _};

use serde_json::Value;

use super::page::{FEW, SEVERAL, escape, heading, name};
use crate::evaluation::{
    comparison::{Paired, PairedClass},
    conformal::{ConformalFigures, SetFigures},
    metrics::{ClassFigures, Evaluation, FaultCount, Faults, Scored},
    ranking::{EXTREMES, Ranked},
    robustness::{Condition, OverDegradations, Robustness},
};

/// The few numbers that come first.
pub(super) fn figures(page: &mut String, evaluation: &Evaluation) {
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

/// Width of a bar of 1.
const BAR: f64 = 90.0;

/// How well each class is recognised.
pub(super) fn classes(page: &mut String, evaluation: &Evaluation) {
    heading(page, "Classes");
    let _ = writeln!(
        page,
        "<p>Precision: of the clips that were called so, the share that is so. Recall: of the clips that are so, the share that was \
         called so. F1: the harmonic mean of both.</p>"
    );
    let k = evaluation.labels.len();
    if k > SEVERAL {
        extremes(page, evaluation);
        return;
    }
    begin_classes(page, if k > FEW { "wide many" } else { "wide" });
    evaluation.per_class.iter().for_each(|(label, class)| class_row(page, label, class));
    let _ = writeln!(page, "</table></div>");
}

/// The labels that are recognised worst and best.
fn extremes(page: &mut String, evaluation: &Evaluation) {
    let Ranked { worst, between, best, without_clips } = Ranked::by_recall(evaluation, EXTREMES);
    let _ = writeln!(
        page,
        "<p>By rising recall: the {} worst and the {} best of {} labels. {without_clips} labels have no clip among these. \
         <code>metrics.json</code> has the figures of every label.</p>",
        worst.len(),
        best.len(),
        evaluation.labels.len()
    );
    begin_classes(page, "wide many");
    worst.iter().for_each(|(label, class)| class_row(page, label, class));
    if between > 0 {
        let _ = writeln!(page, "<tr><td class=\"gap\" colspan=\"7\">… {between} labels between …</td></tr>");
    }
    best.iter().for_each(|(label, class)| class_row(page, label, class));
    let _ = writeln!(page, "</table></div>");
}

fn begin_classes(page: &mut String, class: &str) {
    let _ = writeln!(
        page,
        "<div class=\"{class}\"><table>\
         <thead><tr><th>class</th><th>clips</th><th colspan=\"2\">precision</th><th colspan=\"2\">recall</th><th>F1</th></tr></thead>"
    );
}

fn class_row(page: &mut String, label: &str, class: &ClassFigures) {
    let _ = writeln!(
        page,
        "<tr><td>{}</td><td>{}</td>{}{}<td>{:.2}</td></tr>",
        name(label),
        class.support,
        share(class.precision),
        share(class.recall),
        class.f1
    );
}

/// A number, and a bar of it.
fn share(value: f64) -> String {
    format!(
        "<td>{value:.2}</td><td><svg viewBox=\"0 0 {BAR} 12\" width=\"{BAR}\" height=\"12\" aria-hidden=\"true\">\
         <rect class=\"frame\" x=\".5\" y=\".5\" width=\"{:.1}\" height=\"11\"/>\
         <rect x=\".5\" y=\".5\" width=\"{:.1}\" height=\"11\" fill=\"var(--blue)\"/></svg></td>",
        BAR - 1.0,
        (BAR - 1.0) * value
    )
}

/// Whether sets of labels hold what they promise, and how well clips that are unlike the training set are told.
pub(super) fn conformal(page: &mut String, figures: &ConformalFigures) {
    let ConformalFigures { sets_cross_validated, sets, novelty, novel } = figures;
    if sets_cross_validated.is_some() || sets.is_some() {
        heading(page, "Sets of labels");
        let _ = writeln!(
            page,
            "<p><code>labels_90</code> is to hold the true label of nine tracks in ten by new artists. Below: the share of clips whose set \
             does, and the mean number of labels in a set.</p>"
        );
    }
    for (figures, of) in [
        (
            sets_cross_validated,
            "the clips that were fitted on, by models that did not see their artists and sets that were calibrated on others",
        ),
        (sets, "the clips that evaluate"),
    ] {
        let Some(SetFigures { n, coverage, mean_size, singletons, singletons_right, per_label }) = figures else {
            continue;
        };
        let _ = writeln!(
            page,
            "<p>{n} of {of}: {:.1} % hold the true label, {mean_size:.2} labels on average. Of {singletons} sets of one label {:.1} % \
             are right.</p>",
            coverage * 100.0,
            singletons_right * 100.0
        );
        if per_label.len() <= SEVERAL {
            let _ = writeln!(
                page,
                "<div class=\"wide\"><table><thead><tr><th>class</th><th>clips</th><th colspan=\"2\">hold it</th><th>labels</th></tr></thead>"
            );
            for (label, sets) in per_label {
                let cells = share(sets.coverage);
                let _ = writeln!(
                    page,
                    "<tr><td>{}</td><td>{}</td>{cells}<td>{:.2}</td></tr>",
                    name(label),
                    sets.support,
                    sets.mean_size
                );
            }
            let _ = writeln!(page, "</table></div>");
        }
    }
    let Some(novelty) = novelty else { return };
    heading(page, "Unlike the training set");
    let _ = writeln!(
        page,
        "<p>A clip is unlike the training set from a p-value of {} on down: its distance is compared with those of {} clips whose artists \
         were held out.{}</p>",
        novelty.threshold,
        novelty.calibrated_on,
        novel.map_or_else(String::new, |novel| format!(
            " Of the {} clips that evaluate {:.1} % are.",
            novel.n,
            novel.share * 100.0
        ))
    );
    if let Some(mean) = novelty.left_out_mean {
        let _ = writeln!(
            page,
            "<p>With all clips of a label left out of the training set: how often one of them has a larger distance than a clip of another \
             label by a new artist (area under the ROC curve), {mean:.2} on average.</p>\n<div class=\"wide\"><table>\
             <thead><tr><th>left out</th><th colspan=\"2\">area</th></tr></thead>"
        );
        for (label, area) in &novelty.left_out {
            let cells = share(*area);
            let _ = writeln!(page, "<tr><td>{}</td>{cells}</tr>", name(label));
        }
        let _ = writeln!(page, "</table></div>");
    }
}

/// What bad recordings and short ones do to predictions, as a table.
pub(super) fn robustness(page: &mut String, robustness: &Robustness) {
    heading(page, "Bad and short recordings");
    let _ = writeln!(
        page,
        "<p>{}</p>\n<p>The same clips in other conditions: the difference of accuracy to the clips as they are, with its 95 % interval (paired, by \
         artist), and the share that is called as those are. Other recordings are compared with their clips in the dataset.</p>",
        escape(&robustness.about())
    );
    for remark in &robustness.remarks {
        let _ = writeln!(page, "<p class=\"warning\">{}</p>", escape(remark));
    }
    let _ = writeln!(
        page,
        "<div class=\"wide\"><table><thead><tr><th>condition</th><th>seconds</th><th>predictions</th><th colspan=\"2\">accuracy</th>\
         <th>difference</th><th>95 % interval</th><th>agreement</th><th>confidence</th><th>log-loss</th><th>ECE</th><th>flagged</th></tr></thead>"
    );
    for (_, condition) in robustness.rows() {
        let Condition { name, seconds, n, accuracy, difference, difference_ci95: [low, high], .. } = condition;
        let Condition { agreement, confidence, log_loss, ece, novel, .. } = condition;
        let novel = novel.map_or_else(|| "–".to_owned(), |novel| format!("{novel:.2}"));
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{seconds:.1}</td><td>{n}</td>{}<td>{difference:+.3}</td><td>{low:+.3} to {high:+.3}</td><td>{agreement:.2}</td>\
             <td>{confidence:.2}</td><td>{log_loss:.2}</td><td>{ece:.2}</td><td>{novel}</td></tr>",
            escape(name),
            share(*accuracy)
        );
    }
    let _ = writeln!(page, "</table></div>");
    if let Some(OverDegradations { accuracy, agreement, least_accuracy, least }) = &robustness.over_degradations {
        let _ = writeln!(
            page,
            "<p>Over {} degradations the accuracy is {accuracy:.3} on average ({:+.3}) and the agreement {agreement:.3}; the least accuracy is \
             {least_accuracy:.3} ({}).</p>",
            robustness.degradations.len(),
            accuracy - robustness.clean.accuracy,
            escape(least)
        );
    }
    for left_out in &robustness.left_out {
        let _ = writeln!(page, "<p>Left out: {}: {}.</p>", escape(&left_out.name), escape(&left_out.reason));
    }
}

/// Labels of many that a comparison names.
const DIFFERING: usize = 30;

/// The other model, and how the two differ.
#[derive(Clone, Copy, Debug)]
pub struct Against<'a> {
    /// What it is called.
    pub model: &'a str,
    /// The evaluated model as the first, this one as the second.
    pub paired: &'a Paired,
}

/// Another model on the same clips.
pub(super) fn paired(page: &mut String, model: &str, Against { model: other, paired }: &Against<'_>) {
    let (model, other) = (escape(model), escape(other));
    heading(page, &format!("Compared with {other}"));
    let Paired { n, accuracy, difference, ci95: [low, high], only_a, only_b, p, classes } = paired;
    let verdict = if *low > 0.0 {
        format!("{model} is right more often than chance among artists explains.")
    } else if *high < 0.0 {
        format!("{other} is right more often than chance among artists explains.")
    } else {
        "The interval holds 0: neither is shown to be right more often.".to_owned()
    };
    let _ = writeln!(
        page,
        "<p>Both were evaluated on the same {n} clips: {model} {:.3}, {other} {:.3}.</p>\n<div class=\"figures\">\
         <div><b>{difference:+.3}</b><span>difference of accuracy, 95 % interval {low:+.3} to {high:+.3} (paired, by artist)</span></div>\
         <div><b>{p:.3}</b><span>McNemar’s exact p: only {model} is right on {only_a}, only {other} on {only_b}</span></div></div>\n\
         <p>{verdict} McNemar’s test takes clips as independent; those of one artist are not, so where the two disagree the interval is \
         the safer guide.</p>",
        accuracy[0], accuracy[1]
    );
    let mut listed: Vec<_> = classes.iter().collect();
    if listed.len() > SEVERAL {
        listed.sort_by_key(|(_, of)| Reverse(of.only_a.abs_diff(of.only_b)));
        listed.truncate(DIFFERING);
        let _ = writeln!(
            page,
            "<p>The {DIFFERING} of {} labels on which the two differ most, and all together.</p>",
            classes.len()
        );
    }
    let _ = writeln!(
        page,
        "<div class=\"wide{}\"><table><thead><tr><th>class</th><th>clips</th><th>both right</th><th>only {model}</th><th>only {other}</th>\
         <th>neither</th></tr></thead>",
        if classes.len() > FEW { " many" } else { "" }
    );
    for (class, of) in listed {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            name(class),
            of.n,
            of.both,
            of.only_a,
            of.only_b,
            of.neither()
        );
    }
    let sum = |count: fn(&PairedClass) -> usize| classes.values().map(count).sum::<usize>();
    let _ = writeln!(
        page,
        "<tr><td>all</td><td>{n}</td><td>{}</td><td>{only_a}</td><td>{only_b}</td><td>{}</td></tr></table></div>",
        sum(|of| of.both),
        sum(PairedClass::neither)
    );
}

/// Mistakes that are listed; those with a known fault are listed besides.
const LISTED: usize = 20;

/// Where it is surest, and wrong; and what is known against the clips.
pub(super) fn mistakes(page: &mut String, evaluation: &Evaluation, scored: &[Scored], faults: &Faults) {
    heading(page, "Most confident mistakes");
    let mut wrong: Vec<_> = scored.iter().filter(|clip| clip.predicted() != clip.truth).collect();
    wrong.sort_by(|a, b| b.confidence().total_cmp(&a.confidence()).then_with(|| a.clip_id.cmp(&b.clip_id)));
    known(page, scored.len(), wrong.len(), faults);
    if wrong.is_empty() {
        let _ = writeln!(page, "<p>There is no mistake.</p>");
        return;
    }
    let is_listed = |(rank, clip): &(usize, &&Scored)| *rank < LISTED || !faults.against(&clip.clip_id).is_empty();
    let listed: Vec<_> = wrong.iter().enumerate().filter(is_listed).map(|(_, clip)| clip).collect();
    let _ = writeln!(
        page,
        "<p>{} of {} mistakes, the most confident first.</p>\n<div class=\"wide\"><table class=\"tracks\"><thead><tr><th>clip</th>\
         <th>track</th><th>is</th><th>was called</th><th>confidence</th><th>known fault</th></tr></thead>",
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
            escape(&clip.metadata),
            name(&evaluation.labels[clip.truth]),
            name(&evaluation.labels[clip.predicted()]),
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
                "Known faults of GTZAN. Among the 70 repeats and faults that Kereliuk, Sturm and Larsen (2015) left out are {} of {clips} evaluated \
                 clips and {} of {mistakes} mistakes{none}. By our audit, {} of the clips and {} of the mistakes have an artist, or a guest, who \
                 is in another part of the split too. A mistake with a mark (⚑) says less against the model than another, and a right answer \
                 less for it.",
                excluded.clips, excluded.mistakes, shared_artist.clips, shared_artist.mistakes
            )
        }
    };
    let _ = writeln!(page, "<p>{text}</p>");
}

/// How figures came about.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// The command that gives the same figures again; the paths of datasets and artifacts are left to the reader.
    pub command: &'a str,
    /// What was fitted on, in words.
    pub data: &'a str,
    /// What is digested, and its digest.
    pub digests: &'a [(&'a str, String)],
    /// All that decided the training.
    pub training: &'a Value,
}

/// How the figures came about, so that they can be had again.
pub(super) fn provenance(page: &mut String, Provenance { command, data, digests, training }: &Provenance<'_>) {
    heading(page, "How it was made");
    let _ = writeln!(
        page,
        "<p>Fitted on {}.</p>\n<div class=\"wide\"><table class=\"texts\"><thead><tr><th>what</th><th>digest</th></tr></thead>",
        escape(data)
    );
    for (what, digest) in *digests {
        let _ = writeln!(page, "<tr><td>{}</td><td><code>{}</code></td></tr>", escape(what), escape(digest));
    }
    let training = serde_json::to_string_pretty(training).unwrap_or_default();
    let _ = writeln!(
        page,
        "</table></div>\n<p>The same figures again, with the dataset and, where it is named, the artifact of these digests:</p>\n<pre>{}</pre>\n\
         <p>All that decided the training:</p>\n<pre>{}</pre>",
        escape(command),
        escape(&training)
    );
}
