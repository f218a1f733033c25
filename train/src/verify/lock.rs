//! The lock: digests that were found once, which every run must find again.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use features::Fingerprint;
use serde::{Deserialize, Serialize};

use super::{Holds, Item, PARTS, Report, Stage};

/// The form of the file.
const FORMAT: u32 = 1;

const HEADING: &str = "\
# What `train verify` must find again: SHA-256 of what a small configuration makes of its inputs, by stage.
# holds = \"any-cpu\": on every machine. holds = \"same-instruction-set\": on machines whose widest vectors are those of
# `instruction_set`; elsewhere such an entry is passed over, and said to be.
# Whoever changes a number on purpose writes this file anew, in the same commit: train verify --write-lock

";

/// The instruction set of this machine, as far as a network's sums follow it: its architecture, and the widest vectors.
#[must_use]
pub fn instruction_set() -> String {
    let widest = simd::Level::available().last().map_or("scalar", |level| level.name());
    format!("{}-{widest}", std::env::consts::ARCH)
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    format: u32,
    entry: Vec<Entry>,
}

/// What one item must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    stage: Stage,
    item: String,
    holds: Holds,
    /// Which machines those are; none for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction_set: Option<String>,
    sha256: Fingerprint,
}

impl Default for Lock {
    fn default() -> Self {
        Self { format: FORMAT, entry: Vec::new() }
    }
}

impl Lock {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there or is no lock of this form.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!(
                "failed to read the lock {}; name another with --lock, make one with --write-lock, or compare the runs with \
                 each other alone with --no-lock",
                path.display()
            )
        })?;
        let lock: Self =
            toml::from_str(&text).with_context(|| format!("failed to understand the lock {}", path.display()))?;
        ensure!(
            lock.format == FORMAT,
            "the lock {} has form {}, and this program reads form {FORMAT}",
            path.display(),
            lock.format
        );
        Ok(lock)
    }

    /// What `item` must be on machines of `instruction_set`.
    pub(super) fn get(&self, item: Item, instruction_set: &str) -> Option<Fingerprint> {
        let entry = self.entry.iter().find(|entry| entry.is(item, instruction_set));
        entry.map(|entry| entry.sha256.clone())
    }

    /// Holds what a verification found from now on; what other machines found stays.
    pub fn take(&mut self, report: &Report) {
        for (item, comparison) in items().zip(&report.items) {
            if let Some(sha256) = comparison.sha256.iter().flatten().next() {
                self.set(item, &report.instruction_set, sha256.clone());
            }
        }
    }

    /// Says what `item` must be from now on, on machines of `instruction_set` if it does not hold on all.
    pub(super) fn set(&mut self, item: Item, instruction_set: &str, sha256: Fingerprint) {
        self.entry.retain(|entry| !entry.is(item, instruction_set));
        let Item { stage, name, holds } = item;
        let instruction_set = (holds == Holds::SameInstructionSet).then(|| instruction_set.to_owned());
        self.entry.push(Entry { stage, item: name.into(), holds, instruction_set, sha256 });
        let order = |entry: &Entry| (items().position(|item| item.name == entry.item), entry.instruction_set.clone());
        self.entry.sort_by_cached_key(order);
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = format!("{HEADING}{}", toml::to_string(self)?);
        fs::write(path, text).with_context(|| format!("failed to write the lock {}", path.display()))
    }
}

/// All that is compared, in the order in which it is made.
fn items() -> impl Iterator<Item = Item> {
    PARTS.iter().flat_map(|part| part.items()).copied()
}

impl Entry {
    /// Whether it is the entry of `item` for machines of `instruction_set`.
    fn is(&self, item: Item, instruction_set: &str) -> bool {
        let here = match self.holds {
            Holds::AnyCpu => true,
            Holds::SameInstructionSet => self.instruction_set.as_deref() == Some(instruction_set),
        };
        here && self.item == item.name && self.holds == item.holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_keeps_what_other_machines_found() {
        let [of, and] = ["x86_64-v3", "x86_64-v4"];
        let mut lock = Lock::default();
        for (number, item) in items().enumerate().collect::<Vec<_>>().into_iter().rev() {
            lock.set(item, of, Fingerprint::of(&[number as u8]));
            lock.set(item, and, Fingerprint::of(&[100 + number as u8]));
        }
        let names: Vec<_> = lock.entry.iter().map(|entry| entry.item.as_str()).collect();
        assert_eq!(names, ["corpus", "log-mel store", "vectors of the SVM", "svm", "vgg19", "vgg19"]);
        for (number, item) in items().enumerate() {
            assert_eq!(lock.get(item, and), Some(Fingerprint::of(&[100 + number as u8])));
            let elsewhere = (item.holds == Holds::AnyCpu).then(|| Fingerprint::of(&[100 + number as u8]));
            assert_eq!(lock.get(item, "aarch64-native"), elsewhere);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        lock.write(&path).expect("written");
        assert_eq!(Lock::read(&path).expect("read"), lock);
    }

    #[test]
    fn a_lock_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.lock");
        let refused = |text: Option<&str>, why: &str| {
            if let Some(text) = text {
                fs::write(&path, text).expect("a file");
            }
            let said = format!("{:#}", Lock::read(&path).expect_err("refused"));
            assert!(said.contains("a.lock") && said.contains(why), "{said}");
        };
        refused(None, "--no-lock");
        refused(Some("format = 2\nentry = []"), "form 2");
        refused(Some("format = 1\n[[entry]]\nstage = \"soup\""), "soup");
        refused(
            Some("format = 1\n[[entry]]\nstage = \"data\"\nitem = \"corpus\"\nholds = \"any-cpu\"\nsha256 = \"12\""),
            "64 hexadecimal",
        );
    }
}
