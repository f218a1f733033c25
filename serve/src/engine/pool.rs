//! [`Pool`]: CPU-bound work on threads of its own, behind a bounded queue.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};
pub use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{Rejection, telemetry::Metrics};

/// Locks a mutex even if a thread panicked while it held it: nothing here panics between two halves of a change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads that run jobs in the order of their arrival, for requests that each hold a [`Permit`].
///
/// A job whose request was cancelled is never started. A job that panics ends no worker and no other job.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// The right of a request to run jobs, from its admission until its response is ready. Dropping it admits the next one.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

/// Why a job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Every worker is busy and the queue is full.
    #[error("the queue is full")]
    Full,
    /// [`Pool::finish`] was called.
    #[error("the pool is stopping")]
    Stopping,
    /// The job panicked; the panic's message went to standard error.
    #[error("the job panicked")]
    Panicked,
}

impl From<PoolError> for Rejection {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Full => Self::Busy { retry_after: 1 },
            PoolError::Stopping => Self::STOPPING,
            PoolError::Panicked => Self::internal(error),
        }
    }
}

impl Pool {
    /// Starts `threads` workers (at least one), and gives permits to as many requests and to `queue` more.
    ///
    /// # Errors
    /// The operating system's, when it has no more threads.
    pub fn new(threads: usize, queue: usize, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let capacity = threads + queue;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            permits: Arc::new(Semaphore::new(capacity)),
            capacity,
            mean_micros: AtomicU64::new(0),
            metrics,
        });
        let pool = Self { shared, workers: Mutex::default() };
        for index in 0..threads {
            let shared = Arc::clone(&pool.shared);
            // On failure `pool` is dropped, which stops the workers that were started.
            let worker = thread::Builder::new().name(format!("worker-{index}")).spawn(move || shared.work())?;
            lock(&pool.workers).push(worker);
        }
        Ok(pool)
    }

    /// Whether a request would be refused now: a reason to refuse an upload before it is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.permits.available_permits() == 0 || self.shared.permits.is_closed()
    }

    /// Takes a permit, if there is one.
    ///
    /// # Errors
    /// [`PoolError::Full`], [`PoolError::Stopping`].
    pub fn enter(&self) -> Result<Permit, PoolError> {
        match Arc::clone(&self.shared.permits).try_acquire_owned() {
            Ok(permit) => Ok(self.admit(permit)),
            Err(TryAcquireError::NoPermits) => Err(PoolError::Full),
            Err(TryAcquireError::Closed) => Err(PoolError::Stopping),
        }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// [`PoolError::Stopping`].
    pub async fn acquire(&self) -> Result<Permit, PoolError> {
        let permit = Arc::clone(&self.shared.permits).acquire_owned().await;
        permit.map(|permit| self.admit(permit)).map_err(|_| PoolError::Stopping)
    }

    fn admit(&self, permit: OwnedSemaphorePermit) -> Permit {
        Permit { shared: Arc::clone(&self.shared), since: Instant::now(), _permit: permit }
    }

    /// How many requests hold a permit, and how many of their jobs wait for a worker.
    #[must_use]
    pub fn occupancy(&self) -> (usize, usize) {
        (self.shared.capacity - self.shared.permits.available_permits(), lock(&self.shared.queue).jobs.len())
    }

    /// How long requests have held a permit of late: what a refused one may expect to wait.
    #[must_use]
    pub fn mean_latency(&self) -> Duration {
        Duration::from_micros(self.shared.mean_micros.load(Ordering::Relaxed))
    }

    /// Takes no more jobs, finishes those that were taken, and returns when the last worker has ended.
    pub fn finish(&self) {
        self.shared.stop();
        for worker in std::mem::take(&mut *lock(&self.workers)) {
            // Workers catch the panics of their jobs; one that died all the same is reported by the panic hook.
            let _ = worker.join();
        }
    }
}

impl Drop for Pool {
    /// Lets the workers end without waiting for them.
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Permit {
    /// Runs `job` on a worker, in the span of the caller, and gives its result. Dropping the future cancels the job.
    ///
    /// # Errors
    /// [`PoolError::Stopping`] after [`Pool::finish`]; [`PoolError::Panicked`].
    pub async fn run<T, F>(&self, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce(&CancellationToken) -> T + Send + 'static,
    {
        let (sender, result) = oneshot::channel();
        let (token, span) = (CancellationToken::new(), Span::current());
        let _cancel_on_drop = token.clone().drop_guard();
        {
            let mut queue = lock(&self.shared.queue);
            if queue.stopping {
                return Err(PoolError::Stopping);
            }
            // What was cancelled while it waited is dropped here, with the body that it holds.
            queue.jobs.retain(|job| !job.token.is_cancelled());
            let run = {
                let token = token.clone();
                // Whatever the job left half done is dropped with it: nothing of it is seen again.
                let run = AssertUnwindSafe(move || span.in_scope(|| job(&token)));
                // The request may have been cancelled.
                move || drop(sender.send(catch_unwind(run).map_err(|_| PoolError::Panicked)))
            };
            queue.jobs.push_back(QueuedJob { token, since: Instant::now(), run: Box::new(run) });
        }
        self.shared.wake.notify_one();
        // A worker drops a sender only by way of a panic outside of the job.
        result.await.unwrap_or(Err(PoolError::Panicked))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let latency = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Of two at once one may be lost: an average can bear that.
        let before = self.shared.mean_micros.load(Ordering::Relaxed);
        let after = if before == 0 { latency } else { before - before / 8 + latency / 8 };
        self.shared.mean_micros.store(after, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<JobQueue>,
    wake: Condvar,
    permits: Arc<Semaphore>,
    capacity: usize,
    /// A running mean of how long permits are held.
    mean_micros: AtomicU64,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct JobQueue {
    jobs: VecDeque<QueuedJob>,
    stopping: bool,
}

struct QueuedJob {
    token: CancellationToken,
    since: Instant,
    /// Does the job and hands over the result.
    run: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for QueuedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueuedJob").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Shared {
    fn stop(&self) {
        self.permits.close();
        lock(&self.queue).stopping = true;
        self.wake.notify_all();
    }

    /// The loop of a worker.
    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            let Some(job) = queue.jobs.pop_front() else {
                if queue.stopping {
                    return;
                }
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(queue);
            if !job.token.is_cancelled() {
                self.metrics.queue_wait.observe(job.since.elapsed().as_secs_f64());
                (job.run)();
            }
            queue = lock(&self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Enters and runs one job, as a request does.
    async fn run<T, F>(pool: &Pool, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce(&CancellationToken) -> T + Send + 'static,
    {
        pool.enter()?.run(job).await
    }

    #[tokio::test]
    async fn a_job_gives_its_result() {
        let pool = Pool::new(2, 2, Arc::default()).expect("threads");
        assert_eq!(run(&pool, |_| 6 * 7).await, Ok(42));
        assert_eq!(pool.occupancy(), (0, 0));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_worker_lives_on() {
        let pool = Pool::new(1, 0, Arc::default()).expect("threads");
        for round in 0..3 {
            let panics = run(&pool, |_| std::panic::resume_unwind(Box::new("on purpose"))).await;
            assert_eq!(panics, Err::<(), _>(PoolError::Panicked), "round {round}");
        }
        assert_eq!(run(&pool, |_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_permit_is_held_from_one_job_to_the_next() {
        let pool = Pool::new(1, 0, Arc::default()).expect("threads");
        let permit = pool.enter().expect("is free");
        assert_eq!(permit.run(|_| 1).await, Ok(1));
        assert!(pool.is_full() && matches!(pool.enter(), Err(PoolError::Full)));
        assert_eq!(permit.run(|_| 2).await, Ok(2));
        drop(permit);
        assert!(!pool.is_full());
    }

    #[tokio::test]
    async fn beyond_the_queue_is_full_and_a_cancelled_job_gives_its_permit_back() {
        let pool = Arc::new(Pool::new(1, 1, Arc::default()).expect("threads"));
        let (open, gate) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                run(&pool, move |token| {
                    started.send(()).expect("is awaited");
                    gate.recv().expect("is opened");
                    token.is_cancelled()
                })
                .await
            }
        });
        has_started.await.expect("runs");

        let (tell, ran) = mpsc::channel::<()>();
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { run(&pool, move |_| tell.send(())).await }
        });
        while !pool.is_full() {
            tokio::task::yield_now().await;
        }
        assert_eq!(run(&pool, |_| ()).await, Err(PoolError::Full));

        waiting.abort();
        assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
        assert!(!pool.is_full());
        open.send(()).expect("is awaited");
        assert_eq!(running.await.expect("ends"), Ok(false));
        assert!(pool.mean_latency() > Duration::ZERO);
        pool.finish();
        assert!(ran.recv().is_err(), "the cancelled job must never run");
        assert_eq!(run(&pool, |_| ()).await, Err(PoolError::Stopping));
    }

    #[tokio::test]
    async fn what_was_taken_is_finished() {
        let pool = Arc::new(Pool::new(2, 20, Arc::default()).expect("threads"));
        let jobs: Vec<_> = (0..20)
            .map(|index| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move {
                    run(&pool, move |_| {
                        thread::sleep(Duration::from_millis(2));
                        index
                    })
                    .await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let stop = Arc::clone(&pool);
        tokio::task::spawn_blocking(move || stop.finish()).await.expect("ends");
        for (index, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.expect("ends"), Ok(index));
        }
    }
}
