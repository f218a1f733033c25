//! [`ResponseCache`]: serialised responses, for audio that is sent again.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard},
};

use axum::body::Bytes;
use clru::{CLruCache, CLruCacheConfig, WeightScale};

use super::pool::lock;
use crate::config::ModelName;

/// What is counted for an entry beside its bytes: its nodes in the map and in the list, and their allocations.
const OVERHEAD: usize = 256;
/// An entry that is larger than the limit divided by this is not cached: it would evict too many others.
const LARGEST_SHARE: usize = 4;

/// All that a response depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResponseKey {
    /// SHA-256 of the audio as it was sent.
    pub audio: [u8; 32],
    /// Name of the model, which the response has.
    pub model: ModelName,
    /// Version of the model, which names the artifact by its content.
    pub version: String,
    /// The options of the request, such as the label that is explained; empty for the plain response.
    pub variant: String,
}

/// Serialised responses, bounded by their bytes; the least recently used are evicted first.
///
/// A response is a function of its key: equal audio and version give equal bits. So nothing here grows stale, and a new
/// version of a model needs no emptying; the responses of the old one are evicted in time.
pub struct ResponseCache {
    limit: usize,
    entries: Mutex<Entries>,
}

/// Its capacity bounds the sum of the weights and the number of entries together: see [`Cost`].
type Entries = CLruCache<ResponseKey, Bytes, std::hash::RandomState, Cost>;

/// Weighs an entry by the bytes that it takes, less the 1 that the cache counts for each.
struct Cost;

impl WeightScale<ResponseKey, Bytes> for Cost {
    fn weight(&self, key: &ResponseKey, response: &Bytes) -> usize {
        cost(key, response) - 1
    }
}

impl ResponseCache {
    /// A cache that takes at most `limit` bytes, keys and bookkeeping included; 0 turns it off.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let capacity = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        Self { limit, entries: Mutex::new(CLruCache::with_config(CLruCacheConfig::new(capacity).with_scale(Cost))) }
    }

    /// Whether anything is cached at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.limit > 0
    }

    /// The response of that key, which is now the most recently used.
    #[must_use]
    pub fn get(&self, key: &ResponseKey) -> Option<Bytes> {
        self.lock().get(key).cloned()
    }

    /// Caches `response`, in place of what its key had, and evicts as many others as that takes. One that would take more
    /// than a quarter of the limit is not cached.
    pub fn put(&self, key: ResponseKey, response: &[u8]) {
        if cost(&key, response) > self.limit / LARGEST_SHARE {
            return;
        }
        // A copy: the slice may be a view of a larger buffer, which would be held with it and not be counted. The entry
        // fits, so that this does not fail.
        let _ = self.lock().put_with_weight(key, Bytes::copy_from_slice(response));
    }

    /// Bytes taken, keys and bookkeeping included; never more than the limit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let entries = self.lock();
        entries.weight() + entries.len()
    }

    /// How many responses are cached.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is cached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        lock(&self.entries)
    }
}

impl std::fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseCache")
            .field("limit", &self.limit)
            .field("bytes", &self.bytes())
            .field("len", &self.len())
            .finish()
    }
}

/// Bytes that an entry takes.
fn cost(key: &ResponseKey, response: &[u8]) -> usize {
    [key.model.len(), key.version.len(), key.variant.len(), response.len()]
        .into_iter()
        .fold(OVERHEAD, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        thread,
    };

    use super::*;
    use crate::config::ModelKind;

    fn key(track: u8) -> ResponseKey {
        ResponseKey {
            audio: [track; 32],
            model: ModelKind::Svm.into(),
            version: "v".to_owned(),
            variant: String::new(),
        }
    }

    /// A response that takes `bytes` bytes with its key.
    fn response(bytes: usize) -> Vec<u8> {
        vec![7; bytes - cost(&key(0), &[])]
    }

    #[test]
    fn a_response_is_found_by_all_of_its_key() {
        let cache = ResponseCache::new(1 << 20);
        cache.put(key(1), b"blues");
        assert_eq!(cache.get(&key(1)).as_deref(), Some(&b"blues"[..]));
        assert_eq!(cache.get(&key(2)), None);
        assert_eq!(cache.get(&ResponseKey { version: "w".to_owned(), ..key(1) }), None);
        assert_eq!(cache.get(&ResponseKey { model: ModelKind::Vgg19.into(), ..key(1) }), None);
        assert_eq!(cache.get(&ResponseKey { variant: "explain=jazz".to_owned(), ..key(1) }), None);
        cache.put(key(1), b"jazz");
        assert_eq!(cache.get(&key(1)).as_deref(), Some(&b"jazz"[..]));
        assert_eq!((cache.len(), cache.bytes()), (1, cost(&key(1), b"jazz")), "replaced, and counted once");
    }

    #[test]
    fn the_least_recently_used_are_evicted_first() {
        let cache = ResponseCache::new(4000);
        for track in 0..4 {
            cache.put(key(track), &response(1000));
        }
        assert_eq!((cache.len(), cache.bytes()), (4, 4000), "filled to the last byte");
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(4), &response(500));
        let cached: Vec<bool> = (0..5).map(|track| cache.get(&key(track)).is_some()).collect();
        assert_eq!(cached, [true, false, true, true, true]);
        assert_eq!((cache.len(), cache.bytes()), (4, 3500));
    }

    #[test]
    fn a_response_over_a_quarter_of_the_limit_is_not_cached() {
        let cache = ResponseCache::new(4000);
        cache.put(key(1), &response(1001));
        assert!(cache.is_empty());
        cache.put(key(1), &response(1000));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_limit_of_0_turns_it_off() {
        let cache = ResponseCache::new(0);
        cache.put(key(1), b"");
        assert_eq!((cache.get(&key(1)), cache.len(), cache.bytes()), (None, 0, 0));
    }

    #[test]
    fn many_empty_responses_are_bounded_too() {
        let cache = ResponseCache::new(100_000);
        for track in 0..2000_u32 {
            cache.put(ResponseKey { variant: track.to_string(), ..key(0) }, b"");
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
                        let track = ((thread + round * 13) % 40) as u8;
                        cache.put(key(track), &response(300 + round % 700));
                        let _ = cache.get(&key(track / 2));
                        assert!(cache.bytes() <= 20_000);
                    }
                });
            }
        });
        let sum: usize = cache.lock().iter().map(|(key, response)| cost(key, response)).sum();
        assert_eq!(cache.bytes(), sum);
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
