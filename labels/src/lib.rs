//! What a classifier predicts: a [`Label`], and the [`LabelSet`] that gives each one its index.
//!
//! A set is made once, where a dataset is opened; it goes with the dataset, the model and the artifact. A model's class
//! `i` is label `i` of its set.
//!
//! ```
//! use labels::{Label, LabelSet};
//!
//! # fn main() -> Result<(), labels::Error> {
//! let names = ["rock", "chanson française", "rock", " blues "];
//! let labels = LabelSet::distinct(names.map(Label::new).into_iter().collect::<Result<Vec<_>, _>>()?)?;
//! assert_eq!(labels.iter().map(Label::as_str).collect::<Vec<_>>(), ["blues", "chanson française", "rock"]);
//! assert_eq!(labels.index_of("rock"), Some(2));
//! assert_eq!(labels.get(0).map(Label::as_str), Some("blues"));
//! # Ok(())
//! # }
//! ```

pub mod display;

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Most characters of a label.
pub const MAX_CHARS: usize = 200;
/// Most labels of a set.
pub const MAX_LABELS: usize = 1000;
/// Fewest labels that a classifier can be trained on.
pub const MIN_CLASSES: usize = 2;

/// Why a text is not a label, or labels are not a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing but spaces.
    #[error("a label is empty")]
    Empty,
    /// A line break, a tab or another control character.
    #[error("label `{}` has a control character", .0.escape_debug())]
    Control(String),
    /// More than [`MAX_CHARS`] characters.
    #[error("label `{start}…` has {chars} characters; at most {MAX_CHARS} are allowed")]
    TooLong {
        /// Its first characters.
        start: String,
        /// How many it has.
        chars: usize,
    },
    /// The same label twice.
    #[error("label `{0}` is there twice")]
    Duplicate(Label),
    /// More than [`MAX_LABELS`] labels.
    #[error("there are {0} labels; at most {MAX_LABELS} are allowed")]
    TooMany(usize),
    /// Fewer than [`MIN_CLASSES`] labels to train on.
    #[error("there is only {}; a classifier needs {MIN_CLASSES} labels or more", .0.as_ref().map_or("no label".to_owned(), |label| format!("one label, `{label}`")))]
    TooFew(Option<Label>),
}

/// The name of a class: any Unicode text of 1 to [`MAX_CHARS`] characters without control characters, and without
/// spaces around it. Cheap to clone. Ordered by code points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(Arc<str>);

impl Label {
    /// The label of that name; spaces around it are dropped.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Control`], [`Error::TooLong`].
    pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
        let name = name.as_ref().trim();
        let chars = name.chars().count();
        if name.is_empty() {
            Err(Error::Empty)
        } else if chars > MAX_CHARS {
            Err(Error::TooLong { start: name.chars().filter(|c| !c.is_control()).take(20).collect(), chars })
        } else if name.chars().any(char::is_control) {
            Err(Error::Control(name.to_owned()))
        } else {
            Ok(Self(name.into()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Label {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Label {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl TryFrom<String> for Label {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.as_str().to_owned()
    }
}

/// Different labels, each with its index: up to [`MAX_LABELS`] of them. Cheap to clone. In JSON, an array of strings.
///
/// The set of a dataset is ordered by name ([`LabelSet::distinct`]); that of a trained model has the order of the
/// model's classes, whatever it is ([`LabelSet::in_order`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Label>", into = "Vec<Label>")]
pub struct LabelSet {
    labels: Arc<[Label]>,
    /// Indices of the labels, ordered by name.
    by_name: Arc<[usize]>,
}

impl LabelSet {
    /// The distinct labels among `labels`, ordered by name.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub fn distinct(labels: impl IntoIterator<Item = Label>) -> Result<Self, Error> {
        let mut labels: Vec<Label> = labels.into_iter().collect();
        labels.sort_unstable();
        labels.dedup();
        Self::in_order(labels)
    }

    /// These labels, in this order.
    ///
    /// # Errors
    /// [`Error::Duplicate`], [`Error::TooMany`].
    pub fn in_order(labels: Vec<Label>) -> Result<Self, Error> {
        if labels.len() > MAX_LABELS {
            return Err(Error::TooMany(labels.len()));
        }
        let mut by_name: Vec<usize> = (0..labels.len()).collect();
        by_name.sort_unstable_by_key(|&index| &labels[index]);
        if let Some(pair) = by_name.windows(2).find(|pair| labels[pair[0]] == labels[pair[1]]) {
            return Err(Error::Duplicate(labels[pair[0]].clone()));
        }
        Ok(Self { labels: labels.into(), by_name: by_name.into() })
    }

    /// [`LabelSet::in_order`] of names that are yet to be validated.
    ///
    /// # Errors
    /// Those of [`Label::new`] and [`LabelSet::in_order`].
    pub fn from_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        Self::in_order(names.into_iter().map(Label::new).collect::<Result<_, _>>()?)
    }

    /// The same set, if it has labels enough to train on.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than [`MIN_CLASSES`].
    pub fn for_training(self) -> Result<Self, Error> {
        if self.len() < MIN_CLASSES { Err(Error::TooFew(self.get(0).cloned())) } else { Ok(self) }
    }

    /// The label of that index, 0 to `len − 1`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Label> {
        self.labels.get(index)
    }

    /// The index of that label, in time with the logarithm of the number of labels.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        let found = self.by_name.binary_search_by(|&index| self.labels[index].as_str().cmp(name)).ok()?;
        self.by_name.get(found).copied()
    }

    /// The labels in order of their indices.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.labels.iter()
    }

    /// The labels in order of their indices.
    #[must_use]
    pub fn as_slice(&self) -> &[Label] {
        &self.labels
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The names, joined by `separator`.
    #[must_use]
    pub fn join(&self, separator: &str) -> String {
        self.iter().map(Label::as_str).collect::<Vec<_>>().join(separator)
    }
}

/// The label of that index.
///
/// # Panics
/// If it is not below [`LabelSet::len`].
impl std::ops::Index<usize> for LabelSet {
    type Output = Label;

    fn index(&self, index: usize) -> &Label {
        &self.labels[index]
    }
}

impl<'a> IntoIterator for &'a LabelSet {
    type Item = &'a Label;
    type IntoIter = std::slice::Iter<'a, Label>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl TryFrom<Vec<Label>> for LabelSet {
    type Error = Error;

    fn try_from(labels: Vec<Label>) -> Result<Self, Error> {
        Self::in_order(labels)
    }
}

impl From<LabelSet> for Vec<Label> {
    fn from(set: LabelSet) -> Self {
        set.labels.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_label_is_any_text_on_one_line() {
        for name in ["blues", "hip hop", "Rock 'n' roll", "演歌", "ραπ", "🎷", "a,\"b\"", &"é".repeat(MAX_CHARS)]
        {
            let label = Label::new(name).expect(name);
            assert_eq!((label.as_str(), label.to_string().as_str()), (name, name));
        }
        assert_eq!(Label::new("\u{2003} blues \n").expect("trimmed"), "blues");
        for empty in ["", " ", "\t\n"] {
            assert_eq!(Label::new(empty), Err(Error::Empty));
        }
        for control in ["a\nb", "a\tb", "a\u{0}", "a\u{7f}b", "a\u{85}b"] {
            let error = Label::new(control).expect_err("a control character");
            assert_eq!(error, Error::Control(control.to_owned()));
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
        let long = Label::new("é".repeat(MAX_CHARS + 1)).expect_err("too long");
        assert!(matches!(long, Error::TooLong { chars: 201, .. }) && long.to_string().contains("201"), "{long}");
    }

    #[test]
    fn a_set_tells_what_is_wrong_with_it() {
        let twice = LabelSet::from_names(["b", "a", " b"]).expect_err("twice");
        assert_eq!(twice.to_string(), "label `b` is there twice");
        let many: Vec<String> = (0..=MAX_LABELS).map(|i| i.to_string()).collect();
        assert_eq!(LabelSet::from_names(&many), Err(Error::TooMany(1001)));
        assert_eq!(LabelSet::from_names(&many[1..]).map(|set| set.len()), Ok(1000));
        let few = |names: &[&str]| LabelSet::from_names(names).and_then(LabelSet::for_training);
        assert!(few(&["a"]).expect_err("one").to_string().contains("`a`"));
        assert_eq!(few(&[]), Err(Error::TooFew(None)));
        assert_eq!(few(&["a", "b"]).map(|set| set.join("|")), Ok("a|b".to_owned()));
    }

    #[test]
    fn in_json_it_is_an_array_of_strings() {
        let set: LabelSet = serde_json::from_str(r#"["rock", "blues"]"#).expect("labels");
        assert_eq!((set.index_of("rock"), set.index_of("blues"), set.index_of("jazz")), (Some(0), Some(1), None));
        assert_eq!(serde_json::to_string(&set).expect("JSON"), r#"["rock","blues"]"#);
        for (text, problem) in
            [(r#"["a", "a"]"#, "twice"), (r#"[""]"#, "empty"), (r#"["a\nb"]"#, "control"), ("[1]", "string")]
        {
            let error = serde_json::from_str::<LabelSet>(text).expect_err(text).to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_label_is_found_at_its_index(names in proptest::collection::vec("[a-zé]{1,3}", 0..60), stranger in "\\PC{0,8}") {
            let labels: Vec<Label> = names.iter().map(|name| Label::new(name).expect("letters")).collect();
            let set = LabelSet::distinct(labels).expect("few");
            prop_assert!(set.as_slice().windows(2).all(|pair| pair[0] < pair[1]));
            for (index, label) in set.iter().enumerate() {
                prop_assert_eq!(set.index_of(label), Some(index));
                prop_assert_eq!(&set[index], label);
            }
            prop_assert!(names.iter().all(|name| set.index_of(name).is_some()));
            prop_assert_eq!(set.index_of(&stranger).is_some(), names.contains(&stranger));
            let reversed: Vec<Label> = set.iter().rev().cloned().collect();
            let back: LabelSet = serde_json::from_str(&serde_json::to_string(&reversed).expect("JSON")).expect("labels");
            prop_assert_eq!(back.as_slice(), reversed);
            prop_assert!(back.iter().enumerate().all(|(index, label)| back.index_of(label) == Some(index)));
        }

        #[test]
        fn no_text_panics_and_a_label_is_its_own(text in "\\PC{0,220}|[\\x00-\\x20]{0,3}") {
            if let Ok(label) = Label::new(&text) {
                prop_assert_eq!(Label::new(&label), Ok(label.clone()));
                prop_assert!(!label.is_empty() && label.chars().count() <= MAX_CHARS);
            }
        }
    }
}
