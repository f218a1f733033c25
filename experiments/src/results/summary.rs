//! [`Summary`]: the results of one experiment by one split, over its seeds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use data::{
    DataFrame,
    tables::{self, Values},
};
use serde::Serialize;
use train::evaluation::metrics::{Evaluation, bootstrap_by_group};

use crate::{
    declarations::DEFAULT_SEED,
    results::store::{self, RunResult, StoredResult},
};

/// Figures over seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The experiment.
    pub name: String,
    /// The experiments whose networks it started from, in the order in which they were trained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// What its grid sets; empty without a grid.
    pub point: String,
    /// `svm`, `vgg19` or `ensemble`.
    pub model: String,
    /// The split.
    pub split: String,
    /// What it leaks.
    pub leaks: String,
    /// Segments of each clip that were evaluated one by one; `None` for whole clips.
    pub segments_per_clip: Option<usize>,
    /// The seeds, ascending.
    pub seeds: Vec<u64>,
    /// Clips, or segments, that were evaluated with each seed.
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
    /// Mean accuracy of whole clips, each predicted by the mean of its segments.
    pub of_whole_clips: Option<f64>,
    /// What a reader should know before the figures.
    pub remarks: Vec<String>,
    /// Configuration id: tells apart what was declared under one name at different times.
    pub configuration: String,
    /// Digest of the clips: figures on other data are not to be compared.
    pub data: String,
}

impl Summary {
    /// Summarises results that differ in their seeds alone; `None` of none.
    ///
    /// # Errors
    /// When their tables cannot be read.
    pub fn new(results: &[&StoredResult]) -> Result<Option<Self>> {
        let mut results = results.to_vec();
        results.sort_by_key(|stored| stored.result.seed);
        let Some(first) = results.first().map(|stored| &stored.result) else { return Ok(None) };
        // All predictions of the clips of an artist, with every seed, are drawn together.
        let tables = results.iter().map(|stored| stored.scores()).collect::<Result<Vec<_>>>()?;
        let right =
            tables.iter().flat_map(|rows| rows.iter().map(|row| (row.scored.group.as_str(), row.scored.right())));
        // In the order of the seeds, so that a mean has the same last digit however often the results are read.
        let of = |figure: fn(&Evaluation) -> f64| results.iter().map(move |stored| figure(&stored.result.evaluation));
        let mean = |figure| of(figure).sum::<f64>() / results.len() as f64;
        let accuracy = |evaluation: &Evaluation| evaluation.accuracy;
        let whole =
            results.iter().map(|stored| stored.result.of_whole_clips.as_ref().map(accuracy)).sum::<Option<f64>>();
        let remarks: BTreeSet<_> = results.iter().flat_map(|stored| stored.result.remarks.clone()).collect();
        Ok(Some(Self {
            name: first.name.clone(),
            chain: first.chain.iter().map(|link| link.name.clone()).collect(),
            point: first.point.clone(),
            model: first.model.clone(),
            split: first.split.clone(),
            leaks: first.leaks.clone(),
            segments_per_clip: first.segments_per_clip,
            seeds: results.iter().map(|stored| stored.result.seed).collect(),
            n: first.evaluation.n,
            accuracy: mean(accuracy),
            range: [of(accuracy).fold(f64::INFINITY, f64::min), of(accuracy).fold(f64::NEG_INFINITY, f64::max)],
            ci95: bootstrap_by_group(right, DEFAULT_SEED),
            macro_f1: mean(|evaluation| evaluation.macro_f1),
            log_loss: mean(|evaluation| evaluation.log_loss),
            ece: mean(|evaluation| evaluation.ece),
            of_whole_clips: whole.map(|whole| whole / results.len() as f64),
            remarks: remarks.into_iter().collect(),
            configuration: first.configuration.clone(),
            data: first.data.digest.clone(),
        }))
    }

    /// Summarises every experiment by every split, in the order of splits, and within each the best first: the most accurate, of
    /// equals the one with the least log-loss.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn of_all<'a>(results: impl IntoIterator<Item = &'a StoredResult>) -> Result<Vec<Self>> {
        let mut groups: BTreeMap<_, Vec<&StoredResult>> = BTreeMap::new();
        for stored in results {
            let RunResult { split, segments_per_clip, name, point, configuration, .. } = &stored.result;
            groups.entry((split, segments_per_clip, name, point, configuration)).or_default().push(stored);
        }
        let summaries = groups.into_values().filter_map(|results| Self::new(&results).transpose());
        let mut summaries = summaries.collect::<Result<Vec<_>>>()?;
        summaries.sort_by(|a, b| {
            (&a.split, a.segments_per_clip)
                .cmp(&(&b.split, b.segments_per_clip))
                .then(b.accuracy.total_cmp(&a.accuracy))
                .then(a.log_loss.total_cmp(&b.log_loss))
        });
        Ok(summaries)
    }

    /// Its name, and those of the experiments whose networks it started from, for people.
    #[must_use]
    pub fn name_with_chain(&self) -> String {
        store::name_with_chain(&self.name, self.chain.iter().map(String::as_str))
    }

    /// What was evaluated on, for people.
    #[must_use]
    pub fn evaluated_on(&self) -> String {
        self.segments_per_clip.map_or_else(|| "whole clips".to_owned(), |n| format!("{n} segments of each clip"))
    }

    /// The seeds, for people: `0 to 4`, or each.
    #[must_use]
    pub fn seed_list(&self) -> String {
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
/// Those of [`tables::frame`].
pub fn table(summaries: &[Summary]) -> Result<DataFrame> {
    let text = |of: &dyn Fn(&Summary) -> String| Values::Text(summaries.iter().map(of).collect());
    let real = |of: &dyn Fn(&Summary) -> f64| Values::Real(summaries.iter().map(of).collect());
    let whole = |of: &dyn Fn(&Summary) -> usize| Values::Whole(summaries.iter().map(|s| of(s) as u64).collect());
    Ok(tables::frame([
        ("name", text(&|s| s.name.clone())),
        ("point", text(&|s| s.point.clone())),
        ("model", text(&|s| s.model.clone())),
        ("split", text(&|s| s.split.clone())),
        ("leaks", text(&|s| s.leaks.clone())),
        ("evaluated_on", text(&Summary::evaluated_on)),
        ("seeds", text(&Summary::seed_list)),
        ("n", whole(&|s| s.n)),
        ("accuracy", real(&|s| s.accuracy)),
        ("least", real(&|s| s.range[0])),
        ("most", real(&|s| s.range[1])),
        ("ci95_low", real(&|s| s.ci95[0])),
        ("ci95_high", real(&|s| s.ci95[1])),
        ("macro_f1", real(&|s| s.macro_f1)),
        ("log_loss", real(&|s| s.log_loss)),
        ("ece", real(&|s| s.ece)),
        ("configuration", text(&|s| s.configuration.clone())),
        ("data", text(&|s| s.data.clone())),
    ])?)
}

/// A table for people: columns as wide as they must be, the first `left` flush left and the others flush right.
#[must_use]
pub fn aligned(left: usize, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match width(column).unwrap_or(0) {
            width if column < left => format!("{cell:<width$}"),
            width => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The figures of summaries as rows under a head, each begun by what `begin` gives.
#[must_use]
pub fn figures(heads: &[&str], summaries: &[Summary], begin: impl Fn(&Summary) -> Vec<String>) -> String {
    let of_figures = ["seeds", "n", "accuracy", "95 % by artist", "seeds from–to", "macro F1", "log-loss", "ECE"];
    let row = |summary: &Summary| {
        let Summary { n, accuracy, range, ci95, macro_f1, log_loss, ece, .. } = summary;
        let mut row = begin(summary);
        row.extend([
            summary.seed_list(),
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
    aligned(heads.len(), &[heads, &of_figures].concat(), summaries.iter().map(row))
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        assert_eq!(super::aligned(1, &["a", "1"], [vec!["bé".into(), "22".into()]]), "a    1\nbé  22\n");
    }
}
