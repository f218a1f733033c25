//! [`LabelOptions`]: which spellings are one label, and which labels are called otherwise or left out.

use std::{collections::BTreeMap, path::Path};

use labels::Label;

use super::table::TextTable;
use crate::{Error, Result};

/// What becomes of the labels that a dataset has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelOptions {
    /// Spellings of one label become the one that most clips have: see [`Variants`].
    pub merge: bool,
    /// Labels and what they are called instead; `None` leaves them out. Applied before spellings are merged.
    pub map: BTreeMap<Label, Option<Label>>,
}

/// Spellings that differ in case, spaces, punctuation or the form of their accents alone, with the clips of each; the one that most have
/// first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variants(pub Vec<(Label, usize)>);

/// What labels become; `None` where they are left out. Others stay.
pub(crate) type Becomes = BTreeMap<Label, Option<Label>>;

impl LabelOptions {
    /// Reads a label map: a table with the columns `from` and `to`; an empty `to` leaves the label out.
    ///
    /// # Errors
    /// [`Error::Table`] for a malformed table, or a label twice; [`Error::Io`].
    pub fn read_map(path: &Path) -> Result<BTreeMap<Label, Option<Label>>> {
        let table = TextTable::read(path)?;
        let (Some(from), Some(to)) = (table.column(&["from", "label"]), table.column(&["to"])) else {
            return Err(table.problem(1, format!("it needs the columns `from` and `to`; it has {}", table.columns())));
        };
        let mut map = BTreeMap::new();
        for row in table.rows() {
            let label = |name: &str| Label::new(name).map_err(|error| table.problem(row.line, error.to_string()));
            let Some(old) = row.get(Some(from)) else {
                return Err(table.problem(row.line, "its `from` is empty"));
            };
            let old = label(old)?;
            let new = row.get(Some(to)).map(label).transpose()?;
            if map.insert(old.clone(), new).is_some() {
                return Err(table.problem(row.line, format!("`{old}` is named twice")));
            }
        }
        Ok(map)
    }

    /// What becomes of each of the labels that is changed, and the spellings that are left to be merged, or were. `counts` are the clips of
    /// each label.
    ///
    /// # Errors
    /// [`Error::Option`] for a label of the map that no clip has.
    pub(crate) fn apply(&self, counts: &BTreeMap<Label, usize>) -> Result<(Becomes, Vec<Variants>)> {
        if let Some(unknown) = self.map.keys().find(|label| !counts.contains_key(*label)) {
            let problem = format!("names the label `{unknown}`, which no clip has");
            return Err(Error::Option { name: "label-map", problem });
        }
        let mut becomes: Becomes = counts.keys().map(|label| (label.clone(), Some(label.clone()))).collect();
        becomes.extend(self.map.clone());
        let mut mapped: BTreeMap<Label, usize> = BTreeMap::new();
        for (label, count) in counts {
            if let Some(Some(new)) = becomes.get(label) {
                *mapped.entry(new.clone()).or_default() += count;
            }
        }
        let variants = variants(&mapped);
        if self.merge {
            let merged: BTreeMap<&Label, &Label> = variants
                .iter()
                .flat_map(|Variants(spellings)| spellings.iter().skip(1).map(|(label, _)| (label, &spellings[0].0)))
                .collect();
            for new in becomes.values_mut().flatten() {
                if let Some(first) = merged.get(new) {
                    *new = (*first).clone();
                }
            }
        }
        becomes.retain(|label, new| new.as_ref() != Some(label));
        Ok((becomes, variants))
    }
}

impl LabelOptions {
    /// What a reader should know of spellings.
    pub(crate) fn notes(&self, variants: &[Variants]) -> Vec<String> {
        let what = if self.merge {
            "were merged into the first"
        } else {
            "differ in spelling alone; --merge-labels makes them one"
        };
        variants.iter().map(|variants| format!("The labels {variants} {what}.")).collect()
    }
}

/// The labels that are spellings of one another.
fn variants(counts: &BTreeMap<Label, usize>) -> Vec<Variants> {
    let mut of_key: BTreeMap<String, Vec<(Label, usize)>> = BTreeMap::new();
    counts.iter().for_each(|(label, &count)| of_key.entry(key(label)).or_default().push((label.clone(), count)));
    let mut found: Vec<Vec<(Label, usize)>> = of_key.into_values().filter(|spellings| spellings.len() > 1).collect();
    // A stable sort: of equals the first by name.
    found.iter_mut().for_each(|spellings| spellings.sort_by_key(|(_, count)| std::cmp::Reverse(*count)));
    found.into_iter().map(Variants).collect()
}

/// What spellings of one label share: its letters, digits and signs that tell names apart (`C++`, `C#`, `R&B`), in lower case, with accents
/// composed, and `and` for `&`.
fn key(label: &Label) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    let folded: String = label.nfkc().flat_map(char::to_lowercase).collect::<String>().replace('&', " and ");
    let key: String = folded.chars().filter(|c| c.is_alphanumeric() || matches!(c, '+' | '#')).collect();
    if key.is_empty() { folded } else { key }
}

impl std::fmt::Display for Variants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (label, count)) in self.0.iter().enumerate() {
            let clips = if *count == 1 { "clip" } else { "clips" };
            write!(f, "{}`{label}` ({count} {clips})", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str) -> Label {
        Label::new(name).expect("a label")
    }

    fn counts(of: &[(&str, usize)]) -> BTreeMap<Label, usize> {
        of.iter().map(|&(name, count)| (label(name), count)).collect()
    }

    #[test]
    fn spellings_are_found_and_merged_only_when_asked() {
        let there = counts(&[
            ("Hip-Hop", 3),
            ("hiphop", 9),
            ("hip hop", 3),
            ("Drum & Bass", 1),
            ("drum and bass", 1),
            ("Chanson franc\u{327}aise", 2),
            ("chanson fran\u{e7}aise", 1),
            ("C", 1),
            ("C++", 1),
            ("🎷", 1),
            ("🎸", 1),
            ("演歌", 2),
        ]);
        let (becomes, variants) = LabelOptions::default().apply(&there).expect("applied");
        assert!(becomes.is_empty());
        let said: Vec<String> = variants.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "`Chanson franc\u{327}aise` (2 clips), `chanson fran\u{e7}aise` (1 clip)",
                "`Drum & Bass` (1 clip), `drum and bass` (1 clip)",
                "`hiphop` (9 clips), `Hip-Hop` (3 clips), `hip hop` (3 clips)",
            ]
        );
        let merge = LabelOptions { merge: true, ..LabelOptions::default() };
        let (becomes, _) = merge.apply(&there).expect("applied");
        assert_eq!(becomes.len(), 4);
        assert_eq!(becomes[&label("Hip-Hop")], Some(label("hiphop")));
        assert_eq!(becomes[&label("drum and bass")], Some(label("Drum & Bass")));
    }

    #[test]
    fn a_map_renames_unites_and_leaves_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("map.csv");
        std::fs::write(&path, "from,to\nRock,rock\nmetal,rock\npodcast,\n").expect("written");
        let options = LabelOptions { map: LabelOptions::read_map(&path).expect("a map"), ..LabelOptions::default() };
        let there = counts(&[("Rock", 1), ("metal", 2), ("podcast", 3), ("jazz", 1)]);
        let (becomes, variants) = options.apply(&there).expect("applied");
        assert!(variants.is_empty());
        let rock = Some(label("rock"));
        assert_eq!(
            becomes.into_iter().map(|(old, new)| (old.to_string(), new)).collect::<Vec<_>>(),
            [("Rock".to_owned(), rock.clone()), ("metal".to_owned(), rock), ("podcast".to_owned(), None)]
        );
        let problem = options.apply(&counts(&[("Rock", 1)])).expect_err("unknown").to_string();
        assert!(problem.contains("`metal`"), "{problem}");
        for (text, words) in
            [("from,to\na,b\na,c\n", "twice"), ("a,b\n", "`from` and `to`"), ("from,to\n,b\n", "empty")]
        {
            std::fs::write(&path, text).expect("written");
            let problem = LabelOptions::read_map(&path).expect_err(words).to_string();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
