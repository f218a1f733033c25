//! What was wrong with a file that was decoded all the same.

use std::fmt;

use serde::Serialize;

/// Something that is wrong with a file whose audio could be decoded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Warning {
    /// What it is.
    pub kind: WarningKind,
    /// Where in the decoded audio it was first met, in seconds; `None` if it has no place there.
    pub at_seconds: Option<f64>,
    /// Seconds of audio that are missing because of it, as far as that can be told.
    pub lost_seconds: Option<f64>,
    /// What was found.
    pub detail: String,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningKind {
    /// The file ends before its audio does.
    Truncated,
    /// A part of the audio cannot be decoded and was left out.
    Damaged,
    /// A size in a header contradicts the bytes that are there.
    WrongSize,
    /// Bytes behind the audio that are no tag.
    TrailingData,
    /// Bytes before the audio that are no tag.
    LeadingData,
    /// A field of a header contradicts the audio.
    WrongHeader,
    /// The sample rate or the number of channels changes; what follows was converted.
    FormatChange,
    /// The channels cancel each other out; the loudest one was taken instead of their mean.
    Antiphase,
}

impl WarningKind {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::Truncated,
        Self::Damaged,
        Self::WrongSize,
        Self::TrailingData,
        Self::LeadingData,
        Self::WrongHeader,
        Self::FormatChange,
        Self::Antiphase,
    ];

    /// The kind in words, such as `wrong size`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
            Self::WrongSize => "wrong size",
            Self::TrailingData => "trailing data",
            Self::LeadingData => "leading data",
            Self::WrongHeader => "wrong header",
            Self::FormatChange => "format change",
            Self::Antiphase => "antiphase",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            WarningKind::Truncated => "The file is cut short",
            WarningKind::Damaged => "A part of the audio is damaged",
            WarningKind::WrongSize => "A size in the header is wrong",
            WarningKind::TrailingData => "Other data stands behind the audio",
            WarningKind::LeadingData => "Other data stands before the audio",
            WarningKind::WrongHeader => "A field of the header is wrong",
            WarningKind::FormatChange => "The format changes within the file",
            WarningKind::Antiphase => "The channels cancel each other out",
        };
        f.write_str(what)?;
        if let Some(at) = self.at_seconds {
            write!(f, " at {at:.1} s")?;
        }
        if let Some(lost) = self.lost_seconds {
            write!(f, ", {lost:.1} s are lost")?;
        }
        write!(f, ": {}.", self.detail)
    }
}

/// The warnings of a file while it is decoded: one for each kind, however often it is met.
#[derive(Default)]
pub(super) struct Log {
    warnings: Vec<(Warning, u64)>,
    /// Seconds decoded so far.
    pub(super) now: f64,
    /// Whether audio is missing, so that little of it is not enough.
    pub(super) is_incomplete: bool,
    /// Seconds of audio that could not be decoded.
    pub(super) damaged_seconds: f64,
}

impl Log {
    /// Adds a warning without a place.
    pub(super) fn warn(&mut self, kind: WarningKind, detail: impl Into<String>) {
        self.add(kind, None, None, detail.into());
    }

    /// Adds a warning about what was just decoded.
    pub(super) fn warn_here(&mut self, kind: WarningKind, detail: impl Into<String>) {
        self.add(kind, Some(self.now), None, detail.into());
    }

    /// The file ends here, `lost` seconds too early if that is known.
    pub(super) fn truncated(&mut self, lost: Option<f64>, detail: impl Into<String>) {
        self.is_incomplete = true;
        // Told by a header before anything is decoded, it is where the audio will end.
        let at = (self.now > 0.0).then_some(self.now);
        self.add(WarningKind::Truncated, at, lost, detail.into());
    }

    /// A part of about `lost` seconds that should follow here cannot be decoded.
    pub(super) fn damaged(&mut self, lost: f64, detail: impl Into<String>) {
        self.is_incomplete = true;
        self.damaged_seconds += lost;
        self.add(WarningKind::Damaged, Some(self.now), Some(lost), detail.into());
    }

    fn add(&mut self, kind: WarningKind, at: Option<f64>, lost: Option<f64>, detail: String) {
        if let Some((known, count)) = self.warnings.iter_mut().find(|(warning, _)| warning.kind == kind) {
            *count += 1;
            known.at_seconds = known.at_seconds.or(at);
            known.lost_seconds = match (known.lost_seconds, lost) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
            return;
        }
        self.warnings.push((Warning { kind, at_seconds: at, lost_seconds: lost, detail }, 1));
    }

    /// The first warning of audio that is missing.
    pub(super) fn first_loss(&self) -> Option<(WarningKind, &str)> {
        let is_loss = |kind: WarningKind| matches!(kind, WarningKind::Damaged | WarningKind::Truncated);
        self.warnings
            .iter()
            .find(|(warning, _)| is_loss(warning.kind))
            .map(|(warning, _)| (warning.kind, warning.detail.as_str()))
    }

    /// All warnings, in the order in which they were first met.
    pub(super) fn finish(self) -> Vec<Warning> {
        let end = self.now;
        let with_count = |(mut warning, count): (Warning, u64)| {
            if warning.kind == WarningKind::Truncated {
                warning.at_seconds = warning.at_seconds.or(Some(end));
            }
            if count > 1 {
                warning.detail = format!("{}; {count} places", warning.detail);
            }
            // Microseconds are enough, and a sum of many parts has no more.
            let round = |seconds: f64| (seconds * 1e6).round() / 1e6;
            warning.at_seconds = warning.at_seconds.map(round);
            warning.lost_seconds = warning.lost_seconds.map(round);
            warning
        };
        self.warnings.into_iter().map(with_count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_a_kind_are_one() {
        let mut log = Log { now: 1.5, ..Log::default() };
        log.damaged(0.25, "a frame");
        log.now = 3.0;
        log.damaged(0.5, "another frame");
        log.warn(WarningKind::WrongSize, "7 bytes for 5");
        let warnings = log.finish();
        assert_eq!(warnings.len(), 2);
        assert_eq!(
            warnings[0].to_string(),
            "A part of the audio is damaged at 1.5 s, 0.8 s are lost: a frame; 2 places."
        );
        let json = serde_json::to_value(&warnings[1]).unwrap();
        let expected = serde_json::json!({"kind": "wrong_size", "at_seconds": null, "lost_seconds": null, "detail": "7 bytes for 5"});
        assert_eq!(json, expected);
    }
}
