//! Which artifacts this program may read.

use serde::{Deserialize, Serialize};

/// Version of the layout of an artifact.
///
/// The major number changes when an older program would misread it, the minor when something is added that an older
/// program does not know. After `RunStoreFormatVersion` of nextest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormatVersion {
    /// Changes that break reading.
    pub major: MajorVersion,
    /// Additions.
    pub minor: MinorVersion,
}

/// The major part of a [`FormatVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MajorVersion(pub u32);

/// The minor part of a [`FormatVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MinorVersion(pub u32);

impl FormatVersion {
    /// The newest that this program reads and writes.
    pub const CURRENT: Self = Self { major: MajorVersion(1), minor: MinorVersion(2) };

    /// What is written where nothing in the artifact is newer, so that older programs read it too.
    pub(crate) const FIRST: Self = Self { major: MajorVersion(1), minor: MinorVersion(0) };

    /// Machines of one class against the rest ([`Scheme::OneVsRest`](crate::svm::Scheme::OneVsRest)).
    pub(crate) const ONE_VS_REST: Self = Self { major: MajorVersion(1), minor: MinorVersion(1) };

    /// Networks whose head takes log-covariances ([`LogCovariance`](crate::vgg19::LogCovariance)).
    pub(crate) const LOG_COVARIANCE: Self = Self { major: MajorVersion(1), minor: MinorVersion(2) };

    /// What is calibrated on clips of held-out artists ([`Conformal`](crate::conformal::Conformal)).
    pub(crate) const CONFORMAL: Self = Self { major: MajorVersion(1), minor: MinorVersion(2) };

    /// Whether a program that writes `reader` can read this: the same major version, and no later minor one.
    ///
    /// # Errors
    /// What to do instead.
    pub fn check_readable_by(self, reader: Self) -> Result<(), &'static str> {
        match (self.major.cmp(&reader.major), self.minor <= reader.minor) {
            (std::cmp::Ordering::Equal, true) => Ok(()),
            (std::cmp::Ordering::Less, _) => Err("train it again with this program, or use the program that wrote it"),
            _ => Err("use the program that wrote it, or a newer one"),
        }
    }
}

impl std::fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major.0, self.minor.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_minor_versions_are_read_and_newer_ones_refused() {
        let version = |major, minor| FormatVersion { major: MajorVersion(major), minor: MinorVersion(minor) };
        let reader = version(2, 3);
        assert!(version(2, 0).check_readable_by(reader).is_ok());
        assert!(version(2, 3).check_readable_by(reader).is_ok());
        assert!(version(2, 4).check_readable_by(reader).is_err_and(|advice| advice.contains("newer")));
        assert!(version(3, 0).check_readable_by(reader).is_err_and(|advice| advice.contains("newer")));
        assert!(version(1, 9).check_readable_by(reader).is_err_and(|advice| advice.contains("train it again")));
    }
}
