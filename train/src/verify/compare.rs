//! Outcomes beside each other and beside the lock.

use features::Fingerprint;
use serde::Serialize;

use super::{
    Holds, Item, Lock, Stage,
    digest::{Files, digest},
};

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
            let judged = |lock: Option<&Lock>, set| {
                let (comparison, difference) = compare(item, runs(), lock, set);
                assert_eq!(comparison.sha256.iter().flatten().count(), 2);
                (comparison.lock, difference)
            };
            assert_eq!(judged(Some(&lock(item, "x")), "here"), (Against::Same, None));
            assert_eq!(judged(None, "here"), (Against::NotAsked, None));
            let (against, difference) = judged(Some(&lock(item, "y")), "here");
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
