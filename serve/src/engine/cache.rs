//! [`ResponseCache`]: answers that were computed before, for songs that are sent again.

use std::sync::{Mutex, MutexGuard};

use axum::body::Bytes;
use lru::LruCache;

use crate::engine::sync::lock;

/// What is counted for an entry beside its bytes: its nodes in the map and in the list, and their allocations.
const OVERHEAD: usize = 256;
/// An entry that is larger than the bound divided by this is not kept: it would push out too many others.
const LARGEST_SHARE: usize = 4;

/// All that an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResponseKey {
    /// SHA-256 of the audio as it was sent.
    pub audio: [u8; 32],
    /// Version of the model, which names the artifact by its content.
    pub version: String,
    /// What else was asked for, such as the label that is explained; empty for the plain answer.
    pub variant: String,
}

/// Serialised answers, bounded by their bytes; those that were used longest ago are forgotten first.
///
/// An answer is a function of its key: equal audio and version give equal bits. So nothing here grows stale, and a new
/// version of a model needs no emptying; answers of the old one fall out by themselves.
pub struct ResponseCache {
    limit: usize,
    entries: Mutex<Entries>,
}

struct Entries {
    answers: LruCache<ResponseKey, Bytes>,
    /// The sum of [`cost`] over `answers`.
    bytes: usize,
}

impl ResponseCache {
    /// A cache that takes at most `limit` bytes, keys and bookkeeping included; 0 keeps nothing.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        // Unbounded in their number: `put` bounds their bytes.
        Self { limit, entries: Mutex::new(Entries { answers: LruCache::unbounded(), bytes: 0 }) }
    }

    /// Whether anything is kept at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.limit > 0
    }

    /// The answer of that key, which is now the one that was used last.
    #[must_use]
    pub fn get(&self, key: &ResponseKey) -> Option<Bytes> {
        if self.limit == 0 {
            return None;
        }
        self.lock().answers.get(key).cloned()
    }

    /// Keeps `answer`, in place of what its key had, and forgets as many others as that takes. One that would take more
    /// than a quarter of the bound is not kept.
    pub fn put(&self, key: ResponseKey, answer: &[u8]) {
        let taken = cost(&key, answer);
        if taken > self.limit / LARGEST_SHARE {
            return;
        }
        // A copy: what was given may be a view of a larger buffer, which would be kept with it and not be counted.
        let answer = Bytes::copy_from_slice(answer);
        let mut entries = self.lock();
        if let Some((key, old)) = entries.answers.push(key, answer) {
            entries.bytes -= cost(&key, &old);
        }
        entries.bytes += taken;
        while entries.bytes > self.limit {
            // Never empty here: one entry alone is within the bound.
            let Some((key, old)) = entries.answers.pop_lru() else { break };
            entries.bytes -= cost(&key, &old);
        }
    }

    /// Bytes taken, keys and bookkeeping included; never more than the bound.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// How many answers are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().answers.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing panics between two halves of a change, so that what a poisoned lock guards is whole.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        lock(&self.entries)
    }
}

impl std::fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.lock();
        f.debug_struct("ResponseCache")
            .field("limit", &self.limit)
            .field("bytes", &entries.bytes)
            .field("len", &entries.answers.len())
            .finish()
    }
}

/// Bytes that an entry takes.
fn cost(key: &ResponseKey, answer: &[u8]) -> usize {
    [key.version.len(), key.variant.len(), answer.len()].into_iter().fold(OVERHEAD, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        thread,
    };

    use super::*;

    fn key(song: u8) -> ResponseKey {
        ResponseKey { audio: [song; 32], version: "v".to_owned(), variant: String::new() }
    }

    /// An answer that takes `bytes` bytes with its key.
    fn answer(bytes: usize) -> Vec<u8> {
        vec![7; bytes - cost(&key(0), &[])]
    }

    #[test]
    fn an_answer_is_found_by_all_of_its_key() {
        let cache = ResponseCache::new(1 << 20);
        cache.put(key(1), b"blues");
        assert_eq!(cache.get(&key(1)).as_deref(), Some(&b"blues"[..]));
        assert_eq!(cache.get(&key(2)), None);
        assert_eq!(cache.get(&ResponseKey { version: "w".to_owned(), ..key(1) }), None);
        assert_eq!(cache.get(&ResponseKey { variant: "explain=jazz".to_owned(), ..key(1) }), None);
        cache.put(key(1), b"jazz");
        assert_eq!(cache.get(&key(1)).as_deref(), Some(&b"jazz"[..]));
        assert_eq!((cache.len(), cache.bytes()), (1, cost(&key(1), b"jazz")), "replaced, and counted once");
    }

    #[test]
    fn those_used_longest_ago_are_forgotten_first() {
        let cache = ResponseCache::new(4000);
        for song in 0..4 {
            cache.put(key(song), &answer(1000));
        }
        assert_eq!((cache.len(), cache.bytes()), (4, 4000), "filled to the last byte");
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(4), &answer(500));
        let kept: Vec<bool> = (0..5).map(|song| cache.get(&key(song)).is_some()).collect();
        assert_eq!(kept, [true, false, true, true, true]);
        assert_eq!((cache.len(), cache.bytes()), (4, 3500));
    }

    #[test]
    fn an_answer_over_a_quarter_of_the_bound_is_not_kept() {
        let cache = ResponseCache::new(4000);
        cache.put(key(1), &answer(1001));
        assert!(cache.is_empty());
        cache.put(key(1), &answer(1000));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_bound_of_0_keeps_nothing() {
        let cache = ResponseCache::new(0);
        cache.put(key(1), b"");
        assert_eq!((cache.get(&key(1)), cache.len(), cache.bytes()), (None, 0, 0));
    }

    #[test]
    fn many_empty_answers_are_bounded_too() {
        let cache = ResponseCache::new(100_000);
        for song in 0..2000_u32 {
            cache.put(ResponseKey { variant: song.to_string(), ..key(0) }, b"");
        }
        assert!(cache.bytes() <= 100_000 && cache.len() < 400, "{cache:?}");
    }

    #[test]
    fn threads_share_it_and_the_count_stays_right() {
        let cache = ResponseCache::new(20_000);
        thread::scope(|scope| {
            for thread in 0..4_usize {
                let cache = &cache;
                scope.spawn(move || {
                    for round in 0..2000_usize {
                        let song = ((thread + round * 13) % 40) as u8;
                        cache.put(key(song), &answer(300 + round % 700));
                        let _ = cache.get(&key(song / 2));
                        assert!(cache.bytes() <= 20_000);
                    }
                });
            }
        });
        let entries = cache.lock();
        let sum: usize = entries.answers.iter().map(|(key, answer)| cost(key, answer)).sum();
        assert_eq!(entries.bytes, sum);
    }

    #[test]
    fn a_thread_that_panicked_with_the_lock_does_no_harm() {
        let cache = ResponseCache::new(4000);
        cache.put(key(1), b"blues");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = cache.lock();
            resume_unwind(Box::new("on purpose"));
        }));
        assert!(panicked.is_err() && cache.entries.is_poisoned());
        assert!(cache.get(&key(1)).is_some());
        cache.put(key(2), b"jazz");
        assert_eq!(cache.len(), 2);
    }
}
