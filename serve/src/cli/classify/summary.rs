//! `--summary`: files and hours by genre; and how often models agree.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use labels::display::{self, padded, width};

use super::{
    output::UNKNOWN,
    row::{FileResult, Top},
};
use crate::engine::model::Model;

/// Between two columns.
const GAP: &str = "  ";

/// What was predicted, counted.
#[derive(Debug)]
pub(super) struct Summary {
    /// Of each model, in their order.
    models: Vec<(String, BTreeMap<String, Count>)>,
    /// Files for which every model has a genre: those for which they have the same one, and all.
    agreement: (usize, usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    files: usize,
    seconds: f64,
}

impl Summary {
    pub(super) fn new(models: &[Arc<Model>]) -> Self {
        Self::named(models.iter().map(|model| model.name().to_string()))
    }

    fn named(names: impl Iterator<Item = String>) -> Self {
        Self { models: names.map(|name| (name, BTreeMap::new())).collect(), agreement: (0, 0) }
    }

    /// Counts a file.
    pub(super) fn add(&mut self, result: &FileResult) {
        for ((_, genres), answer) in self.models.iter_mut().zip(&result.answers) {
            if let Some(top) = answer.top() {
                count(genres, top);
            }
        }
        if let Some(agree) = result.agree() {
            self.agreement.0 += usize::from(agree);
            self.agreement.1 += 1;
        }
    }

    /// A table for each model: the genres with most files first, then those that are not probable enough, then all.
    pub(super) fn table(&self) -> String {
        let several = self.models.len() > 1;
        let mut table = String::new();
        for (name, genres) in &self.models {
            if several {
                table += &format!("{name}\n");
            }
            table += &table_of(genres);
        }
        table
    }

    /// How often models agree; nothing, if there is one alone, or no file for which all have a genre.
    pub(super) fn agreement(&self) -> Option<String> {
        let (same, all) = self.agreement;
        let names: Vec<&str> = self.models.iter().map(|(name, _)| name.as_str()).collect();
        let [others @ .., last] = names.as_slice() else { return None };
        (all > 0).then(|| {
            format!("{} and {last} agree on {same} of {all} files ({})", others.join(", "), percent(same, all))
        })
    }
}

fn count(genres: &mut BTreeMap<String, Count>, top: &Top) {
    let count = genres.entry(top.genre.clone()).or_default();
    count.files += 1;
    count.seconds += top.seconds;
}

fn table_of(genres: &BTreeMap<String, Count>) -> String {
    let all = genres.values().fold(Count::default(), |all, count| Count {
        files: all.files + count.files,
        seconds: all.seconds + count.seconds,
    });
    let mut rows: Vec<(&str, Count)> = genres.iter().map(|(genre, count)| (genre.as_str(), *count)).collect();
    // Stable: of equals the first in the order of names stays first.
    rows.sort_by_key(|(genre, count)| (genre.is_empty(), Reverse(count.files)));
    let rows = rows.into_iter().map(|(genre, count)| {
        let genre = if genre.is_empty() { UNKNOWN.to_owned() } else { display::unturned(genre) };
        [genre, count.files.to_string(), percent(count.files, all.files), hours(count.seconds)]
    });
    let header = ["genre", "files", "share", "hours"].map(str::to_owned);
    let total = ["all".to_owned(), all.files.to_string(), percent(all.files, all.files), hours(all.seconds)];
    let rows: Vec<[String; 4]> = std::iter::once(header).chain(rows).chain([total]).collect();
    let widths: [usize; 4] =
        std::array::from_fn(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0));
    let line = |row: &[String; 4]| {
        let numbers = (1..4).map(|column| format!("{GAP}{:>1$}", row[column], widths[column]));
        format!("{}{}\n", padded(&row[0], widths[0]), numbers.collect::<String>())
    };
    rows.iter().map(line).collect()
}

fn percent(part: usize, all: usize) -> String {
    if all == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / all as f64) }
}

fn hours(seconds: f64) -> String {
    format!("{:.2}", seconds / 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::classify::row::Answer;

    fn result(genres: &[&str], seconds: f64) -> FileResult {
        let top = |genre: &&str| Top { genre: (*genre).to_owned(), probability: 0.5, seconds };
        let answers = genres.iter().map(|genre| Answer::Stored { top: top(genre), elsewhere: None }).collect();
        FileResult { answers, digest: None, tags: None }
    }

    #[test]
    fn genres_are_counted_in_files_and_hours() {
        let mut summary = Summary::named(["svm".to_owned()].into_iter());
        for (genre, seconds) in [("演歌", 1800.0), ("blues", 900.0), ("演歌", 5400.0), ("", 360.0)] {
            summary.add(&result(&[genre], seconds));
        }
        let expected = "genre    files    share  hours\n\
                        演歌         2   50.0 %   2.00\n\
                        blues        1   25.0 %   0.25\n\
                        unknown      1   25.0 %   0.10\n\
                        all          4  100.0 %   2.35\n";
        assert_eq!(summary.table(), expected);
        assert_eq!(summary.agreement(), None);
    }

    #[test]
    fn models_agree_where_all_have_the_same_genre() {
        let mut summary = Summary::named(["a", "b", "c"].map(str::to_owned).into_iter());
        for genres in [["x", "x", "x"], ["x", "y", "x"], ["x", "x", ""], ["z", "z", "z"]] {
            summary.add(&result(&genres, 1.0));
        }
        assert_eq!(summary.agreement().as_deref(), Some("a, b and c agree on 2 of 3 files (66.7 %)"));
        assert!(summary.table().starts_with("a\ngenre"), "{}", summary.table());
    }

    #[test]
    fn nothing_is_counted_without_a_prediction() {
        let mut summary = Summary::named(["svm".to_owned()].into_iter());
        summary.add(&FileResult { answers: vec![], digest: None, tags: None });
        assert_eq!(summary.table(), "genre  files  share  hours\nall        0      -   0.00\n");
    }
}
