//! [`Warned`]: a file of a dataset that is used although something is wrong with it.

use std::{collections::BTreeMap, fmt};

use features::decode::{Warning, WarningKind};
use serde::{Serialize, Serializer};

/// A file whose audio could be decoded although something is wrong with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Warned {
    /// The file, from the folder of its dataset, as [`shown`](super::unused::shown) writes it.
    pub file: String,
    /// What is wrong with it; at least one.
    pub warnings: Vec<Warning>,
}

impl Warned {
    /// The files of these names with their warnings, ordered by name; a file of which there are several clips is one, for each has all
    /// its warnings.
    pub(super) fn of(files: BTreeMap<String, Vec<Warning>>) -> Vec<Self> {
        let warned = files.into_iter().filter(|(_, warnings)| !warnings.is_empty());
        warned.map(|(file, warnings)| Self { file, warnings }).collect()
    }
}

/// Its warnings, a sentence each, on one line.
impl fmt::Display for Warned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentences(&self.warnings))
    }
}

/// Warnings as text on one line, a sentence each.
pub(crate) fn sentences(warnings: &[Warning]) -> String {
    warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// How many files have warnings of each kind. In JSON an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarnedCounts(pub BTreeMap<WarningKind, usize>);

impl WarnedCounts {
    /// Counts files.
    #[must_use]
    pub fn of(warned: &[Warned]) -> Self {
        let mut counts = BTreeMap::new();
        let kinds = warned.iter().flat_map(|warned| &warned.warnings).map(|warning| warning.kind);
        kinds.for_each(|kind| *counts.entry(kind).or_default() += 1);
        Self(counts)
    }
}

impl Serialize for WarnedCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

/// `2 truncated, 1 wrong size`.
impl fmt::Display for WarnedCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, count)) in self.0.iter().enumerate() {
            write!(f, "{}{count} {}", if index == 0 { "" } else { ", " }, kind.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(kind: WarningKind) -> Warning {
        Warning { kind, at_seconds: Some(1.5), lost_seconds: None, detail: "of a test".into() }
    }

    #[test]
    fn files_are_counted_by_the_kinds_of_their_warnings() {
        use WarningKind::{Damaged, Truncated, WrongSize};
        let files = [("b", vec![Truncated, WrongSize]), ("a", vec![Truncated]), ("c", vec![]), ("d", vec![Damaged])];
        let files = files.map(|(file, kinds)| (file.to_owned(), kinds.into_iter().map(warning).collect()));
        let warned = Warned::of(files.into());
        assert_eq!(warned.iter().map(|warned| warned.file.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
        let counts = WarnedCounts::of(&warned);
        assert_eq!(counts.to_string(), "2 truncated, 1 damaged, 1 wrong size");
        let json = serde_json::to_string(&counts).expect("JSON");
        assert_eq!(json, r#"{"truncated":2,"damaged":1,"wrong_size":1}"#);
        assert_eq!(warned[1].to_string(), format!("{} {}", warning(Truncated), warning(WrongSize)));
        assert_eq!(WarnedCounts::default().to_string(), "");
    }
}
