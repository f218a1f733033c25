//! `report.html`: one self-contained page that says how good a model is, on what, and how it was made. Plots are SVG in the page;
//! there is no script, and nothing comes from elsewhere.
//!
//! Of more than twelve labels it shows less of each, of more than fifty it names the best and the worst; `metrics.json` has all.

mod page;
mod plots;
mod sections;

pub use plots::Curve;
pub use sections::{Against, Provenance};

use crate::evaluation::{
    conformal::ConformalFigures,
    learning::LearningCurve,
    metrics::{Evaluation, Faults, Scored, coverage_curve},
    projection::Projection,
    robustness::Robustness,
};

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What is evaluated, such as `svm`.
    pub model: &'a str,
    /// Name of the split, such as `fault-filtered:valid`.
    pub split: &'a str,
    /// What the split leaks, in a sentence.
    pub leaks: &'a str,
    /// What a reader should know before the figures, such as that the dataset is synthetic; may be empty.
    pub warnings: &'a [String],
    /// The figures.
    pub evaluation: &'a Evaluation,
    /// The clips behind the figures.
    pub scored: &'a [Scored],
    /// Another model on the same clips.
    pub against: Option<Against<'a>>,
    /// What a larger training set is worth.
    pub learning: Option<&'a LearningCurve>,
    /// What predictions are worth beside their probabilities.
    pub conformal: Option<&'a ConformalFigures>,
    /// What bad recordings and short ones do to its predictions.
    pub robustness: Option<&'a Robustness>,
    /// Which clips are similar to the model.
    pub projection: Option<&'a Projection>,
    /// How the training went; may be empty.
    pub curves: &'a [Curve],
    /// How it was made.
    pub provenance: Provenance<'a>,
}

/// Renders the page. The same report gives the same bytes.
#[must_use]
pub fn html(report: &Report<'_>) -> String {
    let Report {
        model,
        split,
        leaks,
        warnings,
        evaluation,
        scored,
        against,
        learning,
        conformal,
        robustness,
        projection,
        curves,
        provenance,
    } = report;
    let faults = Faults::of(scored);
    let mut page = page::begin(&format!("{model} on {split}"), evaluation.labels.len(), warnings);
    page::title(&mut page, model, split, leaks);
    sections::figures(&mut page, evaluation);
    sections::classes(&mut page, evaluation);
    plots::confusion(&mut page, evaluation);
    plots::reliability(&mut page, evaluation);
    plots::coverage(&mut page, evaluation, &coverage_curve(scored));
    if let Some(against) = against {
        sections::paired(&mut page, model, against);
    }
    if let Some(learning) = learning {
        plots::learning(&mut page, learning);
    }
    if let Some(conformal) = conformal {
        sections::conformal(&mut page, conformal);
    }
    if let Some(robustness) = robustness {
        sections::robustness(&mut page, robustness);
        plots::lengths(&mut page, robustness);
    }
    if let Some(projection) = projection {
        plots::projection(&mut page, projection, evaluation, scored);
    }
    sections::mistakes(&mut page, evaluation, scored, &faults);
    plots::curves(&mut page, curves);
    sections::provenance(&mut page, provenance);
    page::end(&mut page);
    page
}

#[cfg(test)]
mod tests;
