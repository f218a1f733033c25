//! [`Statistics`]: how often a version of a model predicted, and how long each step took, as Triton's extension of statistics tells it.
//!
//! A clip counts as a request, since each is predicted by itself, whatever request it came in. Times add up over requests that were
//! answered; a cancelled request counts as a failure.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{model::Model, pool::lock};

/// The counters of a version of a model, from its loading on.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<Counters>);

/// What was counted until now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// When a clip was last predicted, in milliseconds from 1970 on; 0 before the first.
    pub last_inference: u64,
    /// Clips that were predicted; those that the cache answered are not.
    pub inference_count: u64,
    /// Runs of the model: of one clip, or of a batch.
    pub execution_count: u64,
    /// Requests that were answered, from the end of the upload to the response.
    pub success: Total,
    /// Requests that were not.
    pub fail: Total,
    /// Waiting for a worker, and of a network for its batch.
    pub queue: Total,
    /// Decoding and feature extraction.
    pub compute_input: Total,
    /// The model itself; of a clip in a batch, the whole batch.
    pub compute_infer: Total,
    /// Writing the response.
    pub compute_output: Total,
    /// Requests that the cache answered.
    pub cache_hit: Total,
    /// Requests that were looked up there in vain.
    pub cache_miss: Total,
    /// Runs of the model by the clips in them.
    pub batches: BTreeMap<usize, Total>,
}

/// How often, and how long altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How often.
    pub count: u64,
    /// Nanoseconds.
    pub ns: u64,
}

impl Total {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.ns = self.ns.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// How long the steps of one request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(super) queue: Duration,
    pub(super) input: Duration,
    pub(super) infer: Duration,
    /// Looking up the response in the cache, where there is one.
    pub(super) lookup: Option<Duration>,
}

impl Statistics {
    /// What was counted until now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.0).clone()
    }

    /// Counts a run of the model for so many clips.
    pub(super) fn executed(&self, clips: usize, took: Duration) {
        let mut counters = lock(&self.0);
        counters.execution_count += 1;
        counters.batches.entry(clips).or_default().add(took);
    }

    fn predicted(&self, spent: Spent, output: Duration, whole: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut counters = lock(&self.0);
        counters.last_inference = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        counters.inference_count += 1;
        counters.success.add(whole);
        counters.queue.add(spent.queue);
        counters.compute_input.add(spent.input);
        counters.compute_infer.add(spent.infer);
        counters.compute_output.add(output);
        if let Some(lookup) = spent.lookup {
            counters.cache_miss.add(lookup);
        }
    }

    fn cached(&self, lookup: Duration, whole: Duration) {
        let mut counters = lock(&self.0);
        counters.success.add(whole);
        counters.cache_hit.add(lookup);
    }

    fn failed(&self, whole: Duration) {
        lock(&self.0).fail.add(whole);
    }
}

/// A request to a model that is being answered: a failure, if it is dropped before it is finished.
#[derive(Debug)]
pub(crate) struct Measured {
    model: Arc<Model>,
    since: Instant,
    is_open: bool,
}

impl Measured {
    pub(super) fn start(model: &Arc<Model>) -> Self {
        Self { model: Arc::clone(model), since: Instant::now(), is_open: true }
    }

    /// Counts its prediction; its response was begun at `output`.
    pub(super) fn predicted(mut self, spent: Spent, output: Instant) {
        self.is_open = false;
        self.model.statistics().predicted(spent, output.elapsed(), self.since.elapsed());
    }

    /// Counts a response from the cache.
    pub(super) fn cached(mut self, lookup: Duration) {
        self.is_open = false;
        self.model.statistics().cached(lookup, self.since.elapsed());
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        if self.is_open {
            self.model.statistics().failed(self.since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up() {
        let statistics = Statistics::default();
        let millis = Duration::from_millis;
        let spent = Spent { queue: millis(1), input: millis(2), infer: millis(3), lookup: None };
        statistics.predicted(spent, millis(4), millis(10));
        statistics.predicted(Spent { lookup: Some(millis(5)), ..spent }, millis(4), millis(15));
        statistics.cached(millis(6), millis(7));
        statistics.failed(millis(8));
        statistics.executed(2, millis(3));
        let counters = statistics.counters();
        let total = |count, ms: u64| Total { count, ns: ms * 1_000_000 };
        assert_eq!((counters.inference_count, counters.execution_count), (2, 1));
        assert_eq!((counters.success, counters.fail), (total(3, 32), total(1, 8)));
        assert_eq!((counters.queue, counters.compute_input), (total(2, 2), total(2, 4)));
        assert_eq!((counters.compute_infer, counters.compute_output), (total(2, 6), total(2, 8)));
        assert_eq!((counters.cache_hit, counters.cache_miss), (total(1, 6), total(1, 5)));
        assert_eq!(counters.batches, [(2, total(1, 3))].into());
        assert!(counters.last_inference > 1_700_000_000_000);
    }
}
