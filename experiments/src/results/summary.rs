//! [`Summary`]: the results of one experiment by one split, over its seeds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use data::{
    DataFrame,
    dataset::frames::{self, Values},
};
use serde::Serialize;
use train::evaluation::metrics::{Evaluation, bootstrap_by_group};

use crate::{declarations::declaration::DEFAULT_SEED, results::store::StoredResult};

/// Figures over seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The experiment.
    pub name: String,
    /// What its grid sets; empty without a grid.
    pub point: String,
    /// `svm`, `vgg19` or `ensemble`.
    pub model: String,
    /// The split.
    pub split: String,
    /// What it leaks.
    pub leaks: String,
    /// Pieces of each clip that were judged one by one; `None` for whole clips.
    pub pieces: Option<usize>,
    /// The seeds, ascending.
    pub seeds: Vec<u64>,
    /// Clips, or pieces, that were judged with each seed.
    pub n: usize,
    /// Mean over the seeds.
    pub accuracy: f64,
    /// Least and largest of them.
    pub range: [f64; 2],
    /// 95 % interval of the mean, by bootstrap over artists.
    pub ci95: [f64; 2],
    /// Mean over the seeds.
    pub macro_f1: f64,
    /// Mean over the seeds.
    pub log_loss: f64,
    /// Mean over the seeds.
    pub ece: f64,
    /// Mean accuracy of whole clips, each judged by the mean of its pieces.
    pub of_whole_clips: Option<f64>,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
    /// Tells apart what was declared under one name at different times.
    pub setting: String,
    /// Digest of what was fitted on and judged: figures on other data are not to be compared.
    pub data: String,
}

impl Summary {
    /// Puts together results that differ in their seeds alone; `None` of none.
    ///
    /// # Errors
    /// When their tables cannot be read.
    pub fn new(results: &[&StoredResult]) -> Result<Option<Self>> {
        let mut results = results.to_vec();
        results.sort_by_key(|kept| kept.outcome.seed);
        let Some(first) = results.first().map(|kept| &kept.outcome) else { return Ok(None) };
        // All that is said of the clips of an artist, with every seed, is drawn together.
        let mut right = Vec::new();
        for kept in &results {
            right.extend(kept.scores()?.into_iter().map(|row| (row.scored.right(), row.scored.group)));
        }
        let right_of = right.iter().map(|(right, group)| (group.as_str(), *right));
        let of = |figure: fn(&Evaluation) -> f64| results.iter().map(move |kept| figure(&kept.outcome.evaluation));
        let mean = |figure| of(figure).sum::<f64>() / results.len() as f64;
        let accuracy = |evaluation: &Evaluation| evaluation.accuracy;
        let whole: Option<Vec<f64>> =
            results.iter().map(|kept| kept.outcome.of_whole_clips.as_ref().map(accuracy)).collect();
        let remarks: BTreeSet<_> = results.iter().flat_map(|kept| kept.outcome.remarks.clone()).collect();
        Ok(Some(Self {
            name: first.name.clone(),
            point: first.point.clone(),
            model: first.model.clone(),
            split: first.split.clone(),
            leaks: first.leaks.clone(),
            pieces: first.pieces,
            seeds: results.iter().map(|kept| kept.outcome.seed).collect(),
            n: first.evaluation.n,
            accuracy: mean(accuracy),
            range: [of(accuracy).fold(f64::INFINITY, f64::min), of(accuracy).fold(f64::NEG_INFINITY, f64::max)],
            ci95: bootstrap_by_group(right_of, DEFAULT_SEED),
            macro_f1: mean(|evaluation| evaluation.macro_f1),
            log_loss: mean(|evaluation| evaluation.log_loss),
            ece: mean(|evaluation| evaluation.ece),
            of_whole_clips: whole.map(|whole| whole.iter().sum::<f64>() / whole.len() as f64),
            remarks: remarks.into_iter().collect(),
            setting: first.setting.clone(),
            data: first.data.digest.clone(),
        }))
    }

    /// Puts together what belongs together, in the order of splits, and within each the best first.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn of_all<'a>(results: impl IntoIterator<Item = &'a StoredResult>) -> Result<Vec<Self>> {
        let mut together: BTreeMap<_, Vec<&StoredResult>> = BTreeMap::new();
        for kept in results {
            let outcome = &kept.outcome;
            let of = (&outcome.split, outcome.pieces, &outcome.name, &outcome.point, &outcome.setting);
            together.entry(of).or_default().push(kept);
        }
        let mut summaries = Vec::new();
        for results in together.into_values() {
            summaries.extend(Self::new(&results)?);
        }
        summaries.sort_by(|a, b| {
            let judged = |of: &Self| (of.split.clone(), of.pieces);
            judged(a).cmp(&judged(b)).then_with(|| a.better(b))
        });
        Ok(summaries)
    }

    /// Before another one, if it is more often right; of equals, if its log-loss is lower.
    #[must_use]
    pub fn better(&self, other: &Self) -> std::cmp::Ordering {
        other.accuracy.total_cmp(&self.accuracy).then(self.log_loss.total_cmp(&other.log_loss))
    }

    /// What was judged, for people.
    #[must_use]
    pub fn judged(&self) -> String {
        self.pieces.map_or_else(|| "whole clips".to_owned(), |pieces| format!("{pieces} pieces of each clip"))
    }

    /// The seeds, for people: `0 to 4`, or each.
    #[must_use]
    pub fn seeds_said(&self) -> String {
        match self.seeds.as_slice() {
            [first, .., last] if self.seeds.len() > 2 && last - first + 1 == self.seeds.len() as u64 => {
                format!("{first} to {last}")
            }
            seeds => seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
        }
    }
}

/// What a reader of summaries should know before the figures, each once.
pub fn remarks<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> BTreeSet<&'a str> {
    summaries.into_iter().flat_map(|summary| &summary.remarks).map(String::as_str).collect()
}

/// The summaries as a table for other programs.
///
/// # Errors
/// Those of [`frames::frame`].
pub fn frame(summaries: &[Summary]) -> Result<DataFrame> {
    let text = |of: &dyn Fn(&Summary) -> String| Values::Text(summaries.iter().map(of).collect());
    let real = |of: &dyn Fn(&Summary) -> f64| Values::Real(summaries.iter().map(of).collect());
    let whole = |of: &dyn Fn(&Summary) -> usize| Values::Whole(summaries.iter().map(|s| of(s) as u64).collect());
    Ok(frames::frame([
        ("name", text(&|s| s.name.clone())),
        ("point", text(&|s| s.point.clone())),
        ("model", text(&|s| s.model.clone())),
        ("split", text(&|s| s.split.clone())),
        ("leaks", text(&|s| s.leaks.clone())),
        ("judged", text(&Summary::judged)),
        ("seeds", text(&Summary::seeds_said)),
        ("n", whole(&|s| s.n)),
        ("accuracy", real(&|s| s.accuracy)),
        ("least", real(&|s| s.range[0])),
        ("most", real(&|s| s.range[1])),
        ("ci95_low", real(&|s| s.ci95[0])),
        ("ci95_high", real(&|s| s.ci95[1])),
        ("macro_f1", real(&|s| s.macro_f1)),
        ("log_loss", real(&|s| s.log_loss)),
        ("ece", real(&|s| s.ece)),
        ("setting", text(&|s| s.setting.clone())),
        ("data", text(&|s| s.data.clone())),
    ])?)
}

/// A table for people: columns as wide as they must be, the first `left` flush left and the others flush right.
#[must_use]
pub fn aligned(left: usize, rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The figures of summaries as rows under a head, each begun by what `begin` says.
#[must_use]
pub fn figures(heads: &[&str], summaries: &[&Summary], begin: impl Fn(&Summary) -> Vec<String>) -> String {
    let of_figures = ["seeds", "n", "accuracy", "95 % by artist", "seeds from–to", "macro F1", "log-loss", "ECE"];
    let head = heads.iter().chain(&of_figures).map(ToString::to_string).collect();
    let row = |summary: &&Summary| {
        let Summary { n, accuracy, range, ci95, macro_f1, log_loss, ece, .. } = *summary;
        let mut row = begin(summary);
        row.extend([
            summary.seeds_said(),
            n.to_string(),
            format!("{accuracy:.3}"),
            format!("{:.3}–{:.3}", ci95[0], ci95[1]),
            format!("{:.3}–{:.3}", range[0], range[1]),
            format!("{macro_f1:.3}"),
            format!("{log_loss:.3}"),
            format!("{ece:.3}"),
        ]);
        row
    };
    let rows: Vec<_> = std::iter::once(head).chain(summaries.iter().map(row)).collect();
    aligned(heads.len(), &rows)
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["a", "1"], ["bé", "22"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(super::aligned(1, &rows), "a    1\nbé  22\n");
    }
}
