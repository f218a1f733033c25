//! What is made, as digests: beside what other runs made, and beside the lock, which holds digests that every run must find again.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use features::Fingerprint;
use serde::{Deserialize, Serialize};

/// A stage of the way from a dataset to a model. Whatever differs in one differs in those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The dataset.
    Data,
    /// The features of its clips.
    Features,
    /// The fitted model.
    Model,
}

impl Stage {
    /// What a person calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Features => "features",
            Self::Model => "model",
        }
    }
}

/// Over which machines an item is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// All: every operation is one that IEEE 754 defines, in an order that no width of vectors changes.
    AnyCpu,
    /// Those with the same [`instruction_set`]: fused multiply-adds and the order of sums follow it.
    SameInstructionSet,
}

/// One thing that a run makes and that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Its stage.
    pub stage: Stage,
    /// Its name, which the lock knows it by.
    pub name: &'static str,
    /// Over which machines it is the same.
    pub holds: Holds,
}

/// What is made in one go, and then compared before the next is begun.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Dataset,
    FeatureStore,
    Svm,
    Network,
}

/// In the order in which they are made.
pub(super) const STEPS: [Step; 4] = [Step::Dataset, Step::FeatureStore, Step::Svm, Step::Network];

impl Step {
    /// What comes of it.
    pub(super) fn items(self) -> &'static [Item] {
        use {Holds::*, Stage::*};
        const fn item(stage: Stage, name: &'static str, holds: Holds) -> Item {
            Item { stage, name, holds }
        }
        match self {
            Self::Dataset => const { &[item(Data, "dataset", AnyCpu)] },
            Self::FeatureStore => const { &[item(Features, "feature store", AnyCpu)] },
            Self::Svm => {
                const {
                    &[
                        item(Features, "vectors of the SVM", AnyCpu),
                        item(Model, "svm weights", AnyCpu),
                        item(Model, "svm documents", AnyCpu),
                    ]
                }
            }
            Self::Network => {
                const {
                    &[
                        item(Model, "vgg19 weights", SameInstructionSet),
                        item(Model, "vgg19 documents", SameInstructionSet),
                    ]
                }
            }
        }
    }
}

/// The SHA-256 of files, by their path in a folder, parts joined by `/`.
pub(super) type Files = BTreeMap<String, Fingerprint>;

/// Every file below `folder`.
///
/// # Errors
/// When something there cannot be read, or there is none.
pub(super) fn files(folder: &Path) -> Result<Files> {
    let mut found = Files::new();
    let mut open = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, within)) = open.pop() {
        let reading = || format!("failed to read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(reading)? {
            let path = entry.with_context(reading)?.path();
            let name = format!("{within}{}", path.file_name().unwrap_or_default().to_string_lossy());
            if path.is_dir() {
                // What a link points to counts, as for whoever reads the dataset; but not where that leads in a circle.
                let target = path.canonicalize().with_context(reading)?;
                if !folder.canonicalize().with_context(reading)?.starts_with(target) {
                    open.push((path, format!("{name}/")));
                }
                continue;
            }
            let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
            found.insert(name, Fingerprint::of(&bytes));
        }
    }
    ensure!(!found.is_empty(), "{} holds no file", folder.display());
    Ok(found)
}

/// The SHA-256 of all of them: of what `sha256sum` prints for them in the order of their paths.
///
/// ```sh
/// find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
/// ```
pub(super) fn digest(files: &Files) -> Fingerprint {
    let listing: String = files.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
    Fingerprint::of(listing.as_bytes())
}

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
    /// When it does not exist or is not a lock of this form.
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

    /// Holds what a verification found from now on; what other machines found stays, unless it is of an item that is no more.
    pub fn take(&mut self, found: &[Comparison], instruction_set: &str) {
        self.entry.retain(|entry| items().any(|item| item.name == entry.item));
        for (item, comparison) in items().zip(found) {
            if let Some(sha256) = comparison.sha256.iter().flatten().next() {
                self.set(item, instruction_set, sha256.clone());
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
    STEPS.iter().flat_map(|step| step.items()).copied()
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

/// What the lock says of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// The same digest.
    Same,
    /// Another.
    Different,
    /// Nothing, though it holds on any machine.
    Missing,
    /// Nothing for machines like this one.
    OtherMachines,
    /// The lock was not asked.
    NotAsked,
}

/// One item in all runs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Its stage.
    pub stage: Stage,
    /// Its name.
    pub item: &'static str,
    /// Over which machines it is the same.
    pub holds: Holds,
    /// Its digest in each run; `None` where a run left it out.
    pub sha256: Vec<Option<Fingerprint>>,
    /// What the lock says.
    pub lock: Against,
    /// Its digest there.
    pub locked: Option<Fingerprint>,
}

/// The first thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Difference {
    /// Two runs of the same inputs differ.
    #[error("{}: {item} differs between the runs `{first}` and `{second}`: {file}", stage.name())]
    BetweenRuns {
        /// The stage.
        stage: Stage,
        /// The item.
        item: &'static str,
        /// The first file of it that differs.
        file: String,
        /// The one run.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The runs agree, and the lock does not.
    #[error("{}: {item} has the digest {found}, and the lock says {locked}", stage.name())]
    FromLock {
        /// The stage.
        stage: Stage,
        /// The item.
        item: &'static str,
        /// What the runs made.
        found: Fingerprint,
        /// What the lock says.
        locked: Fingerprint,
    },
    /// The lock knows nothing of an item that holds on any machine.
    #[error("{}: the lock says nothing of {item}; --write-lock adds it", stage.name())]
    NotInLock {
        /// The stage.
        stage: Stage,
        /// The item.
        item: &'static str,
    },
}

/// Compares what runs of these names made of an item, `None` where a run left it out, with each other and with what `lock`
/// says of it for machines of `instruction_set`.
pub(super) fn compare(
    item: Item,
    made: impl Iterator<Item = (&'static str, Option<Files>)>,
    lock: Option<&Lock>,
    instruction_set: &str,
) -> (Comparison, Option<Difference>) {
    let made: Vec<_> = made.collect();
    let sha256: Vec<_> = made.iter().map(|(_, files)| files.as_ref().map(digest)).collect();
    let found = sha256.iter().flatten().next().cloned();
    let Item { stage, name, holds } = item;
    let locked = lock.and_then(|lock| lock.get(item, instruction_set));
    let (against, from_lock) = match (lock, &found, &locked) {
        (Some(_), Some(found), Some(locked)) if found != locked => {
            let (found, locked) = (found.clone(), locked.clone());
            (Against::Different, Some(Difference::FromLock { stage, item: name, found, locked }))
        }
        (Some(_), _, Some(_)) => (Against::Same, None),
        (Some(_), _, None) if holds == Holds::AnyCpu => {
            (Against::Missing, Some(Difference::NotInLock { stage, item: name }))
        }
        (Some(_), _, None) => (Against::OtherMachines, None),
        (None, ..) => (Against::NotAsked, None),
    };
    (Comparison { stage, item: name, holds, sha256, lock: against, locked }, between(item, &made).or(from_lock))
}

/// Where an item of two runs differs.
fn between(item: Item, made: &[(&'static str, Option<Files>)]) -> Option<Difference> {
    let mut made = made.iter().filter_map(|(run, files)| Some((*run, files.as_ref()?)));
    let (first, ours) = made.next()?;
    made.find_map(|(second, theirs)| {
        let file = ours.keys().chain(theirs.keys()).filter(|path| ours.get(*path) != theirs.get(*path)).min()?.clone();
        Some(Difference::BetweenRuns { stage: item.stage, item: item.name, file, first, second })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_sha256sum() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("b")).expect("a folder");
        for (name, text) in [("b/c", "one"), ("a", "two"), ("b.x", "three")] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        let files = files(folder.path()).expect("readable");
        assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b.x", "b/c"]);
        // $ printf two >a; printf three >b.x; mkdir b; printf one >b/c; sha256sum a b.x b/c | sha256sum
        assert_eq!(digest(&files).to_string(), "c2588a5bc4e6f8cb64877c2b9a4bed27704286d39a4b288d67bfb8021378fb75");
    }

    #[test]
    fn a_lock_keeps_what_other_machines_found() {
        let [of, and] = ["x86_64-v3", "x86_64-v4"];
        let mut lock = Lock::default();
        for (number, item) in items().enumerate().collect::<Vec<_>>().into_iter().rev() {
            lock.set(item, of, Fingerprint::of(&[number as u8]));
            lock.set(item, and, Fingerprint::of(&[100 + number as u8]));
        }
        let names: Vec<_> = lock.entry.iter().map(|entry| entry.item.as_str()).collect();
        assert_eq!(
            names,
            [
                "dataset",
                "feature store",
                "vectors of the SVM",
                "svm weights",
                "svm documents",
                "vgg19 weights",
                "vgg19 weights",
                "vgg19 documents",
                "vgg19 documents"
            ]
        );
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
            Some("format = 1\n[[entry]]\nstage = \"data\"\nitem = \"dataset\"\nholds = \"any-cpu\"\nsha256 = \"12\""),
            "64 hexadecimal",
        );
    }

    const ANYWHERE: Item = Item { stage: Stage::Features, name: "store", holds: Holds::AnyCpu };
    const SOMEWHERE: Item = Item { stage: Stage::Model, name: "net", holds: Holds::SameInstructionSet };

    fn made(bytes: &str) -> Option<Files> {
        Some(Files::from([("a".into(), Fingerprint::of(b"always")), ("b".into(), Fingerprint::of(bytes.as_bytes()))]))
    }

    fn lock(item: Item, bytes: &str) -> Lock {
        let mut lock = Lock::default();
        lock.set(item, "here", digest(&made(bytes).expect("files")));
        lock
    }

    #[test]
    fn runs_that_agree_are_compared_with_the_lock() {
        for item in [ANYWHERE, SOMEWHERE] {
            let runs = || [("one", made("x")), ("two", None), ("three", made("x"))].into_iter();
            let compared = |lock: Option<&Lock>, set| {
                let (comparison, difference) = compare(item, runs(), lock, set);
                assert_eq!(comparison.sha256.iter().flatten().count(), 2);
                (comparison.lock, difference)
            };
            assert_eq!(compared(Some(&lock(item, "x")), "here"), (Against::Same, None));
            assert_eq!(compared(None, "here"), (Against::NotAsked, None));
            let (against, difference) = compared(Some(&lock(item, "y")), "here");
            assert_eq!(against, Against::Different);
            let said = difference.expect("a difference").to_string();
            assert!(said.starts_with(&format!("{}: {} has the digest", item.stage.name(), item.name)), "{said}");
        }
        let runs = || [("one", made("x"))].into_iter();
        let elsewhere = |item| compare(item, runs(), Some(&lock(item, "y")), "elsewhere");
        assert!(matches!(elsewhere(ANYWHERE).1, Some(Difference::FromLock { stage: Stage::Features, .. })));
        assert_eq!((elsewhere(SOMEWHERE).0.lock, elsewhere(SOMEWHERE).1), (Against::OtherMachines, None));
        let unknown = compare(ANYWHERE, runs(), Some(&Lock::default()), "here");
        assert_eq!(unknown.1, Some(Difference::NotInLock { stage: Stage::Features, item: "store" }));
    }

    #[test]
    fn the_first_file_that_differs_is_named() {
        let (_, difference) =
            compare(SOMEWHERE, [("one", made("x")), ("two", None), ("three", made("y"))].into_iter(), None, "here");
        let (stage, item) = (Stage::Model, "net");
        let expected = Difference::BetweenRuns { stage, item, file: "b".into(), first: "one", second: "three" };
        assert_eq!(difference, Some(expected));
        let mut more = made("x");
        more.as_mut().expect("files").insert("0".into(), Fingerprint::of(b""));
        let (_, difference) = compare(SOMEWHERE, [("one", made("x")), ("two", more)].into_iter(), None, "here");
        assert!(matches!(difference, Some(Difference::BetweenRuns { file, .. }) if file == "0"));
    }
}
