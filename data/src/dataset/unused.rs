//! [`Unused`]: a file of a dataset that is not used, and why. Nothing is passed over in silence.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

/// Why a file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It cannot be read, or is damaged.
    Unreadable,
    /// It could be decoded although something is wrong with it, and no such file is to be used.
    WithWarnings,
    /// It is silence, or one constant level.
    Silent,
    /// It is not audio, by its content.
    NotAudio,
    /// It is too short for a window.
    TooShort,
    /// It is longer than the limit.
    TooLong,
    /// Nothing says what its label is.
    NoLabel,
    /// It was left out on purpose: by a label map, by the dataset's own split, or as a hidden file.
    Excluded,
    /// It is in the dataset already.
    Duplicate,
}

impl Reason {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::Unreadable,
        Self::WithWarnings,
        Self::Silent,
        Self::NotAudio,
        Self::TooShort,
        Self::TooLong,
        Self::NoLabel,
        Self::Excluded,
        Self::Duplicate,
    ];

    /// The reason in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::WithWarnings => "with warnings",
            Self::Silent => "silent",
            Self::NotAudio => "not audio",
            Self::TooShort => "too short",
            Self::TooLong => "too long",
            Self::NoLabel => "no label",
            Self::Excluded => "excluded",
            Self::Duplicate => "duplicate",
        }
    }

    /// The reason of a failure to decode a file or to extract its features.
    #[must_use]
    pub fn of(error: &crate::Error) -> Self {
        match error {
            crate::Error::Features(error) => match error {
                features::Error::NotAudio { .. } => Self::NotAudio,
                features::Error::TooShort { .. } | features::Error::Empty => Self::TooShort,
                features::Error::TooLong { .. } | features::Error::TooLarge { .. } => Self::TooLong,
                features::Error::Silent { .. } => Self::Silent,
                _ => Self::Unreadable,
            },
            crate::Error::Warned { .. } => Self::WithWarnings,
            _ => Self::Unreadable,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A file of a dataset that is not used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Unused {
    /// Why.
    pub reason: Reason,
    /// The file, from the folder of its dataset, as [`shown`] writes it.
    pub file: String,
    /// Why, in a sentence.
    pub detail: String,
}

impl Unused {
    pub(crate) fn new(reason: Reason, file: String, detail: impl Into<String>) -> Self {
        Self { reason, file, detail: detail.into() }
    }
}

/// How many files there are for each reason. In JSON an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnusedCounts(pub BTreeMap<Reason, usize>);

impl UnusedCounts {
    /// Counts files.
    #[must_use]
    pub fn of(unused: &[Unused]) -> Self {
        let mut counts = BTreeMap::new();
        unused.iter().for_each(|unused| *counts.entry(unused.reason).or_default() += 1);
        Self(counts)
    }
}

impl Serialize for UnusedCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

/// `3 not audio, 1 too short`.
impl fmt::Display for UnusedCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (reason, count)) in self.0.iter().enumerate() {
            write!(f, "{}{count} {reason}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A name of a file as text on one line: bytes that are not UTF-8, control characters and `%` as `%` and two hexadecimal digits for each
/// byte, so that no two names look alike.
#[must_use]
pub fn shown(name: &std::ffi::OsStr) -> String {
    let mut text = String::new();
    let escape = |text: &mut String, bytes: &[u8]| bytes.iter().for_each(|byte| *text += &format!("%{byte:02X}"));
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '%' {
                escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// A path below a folder as text on one line, its parts joined by `/`.
pub(crate) fn shown_below(path: &std::path::Path, folder: &std::path::Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<String> = below.iter().map(shown).collect();
    // An absolute path begins with the separator itself.
    parts.join("/").replacen("//", "/", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn names_of_any_bytes_become_text_that_is_their_own() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};
        let of = |bytes: &[u8]| shown(OsStr::from_bytes(bytes));
        assert_eq!(of("Ça va.mp3".as_bytes()), "Ça va.mp3");
        assert_eq!(of(b"a\nb\xff\xc3.wav"), "a%0Ab%FF%C3.wav");
        assert_eq!(of(b"100%FF"), "100%25FF");
        assert_ne!(of(b"\xff"), of(b"%FF"));
        assert_eq!(of("\u{85}".as_bytes()), "%C2%85");
        assert_eq!(shown_below(Path::new("/a/b/c\n"), Path::new("/a")), "b/c%0A");
        assert_eq!(shown_below(Path::new("/x/y"), Path::new("/a")), "/x/y");
    }

    #[test]
    fn files_are_counted_by_reason() {
        let unused = [(Reason::NotAudio, "b"), (Reason::Unreadable, "a"), (Reason::NotAudio, "c")]
            .map(|(reason, file)| Unused::new(reason, file.to_owned(), ""));
        let counts = UnusedCounts::of(&unused);
        assert_eq!(counts.to_string(), "1 unreadable, 2 not audio");
        assert_eq!(serde_json::to_string(&counts).expect("JSON"), r#"{"unreadable":1,"not_audio":2}"#);
        assert_eq!(UnusedCounts::default().to_string(), "");
        assert!(Reason::ALL.is_sorted());
    }
}
