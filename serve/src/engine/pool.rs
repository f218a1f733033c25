//! [`Pool`]: threads of their own for work on the CPU, behind a queue that is bounded.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{engine::sync::lock, http::metrics::Metrics};

/// Threads that run jobs in the order of their arrival, for callers who each hold a [`Permit`].
///
/// A job whose caller has gone is never started. A job that panics takes nothing with it but itself.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// A caller's right to be here, from its entry until its answer is ready. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    since: Instant,
}

/// Why a job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Every worker is busy and every place in the queue is taken.
    #[error("the queue is full")]
    Full,
    /// [`Pool::finish`] was called.
    #[error("the pool is stopping")]
    Stopping,
    /// The job panicked; the panic's message went to standard error.
    #[error("the job panicked")]
    Panicked,
}

/// Lets a job ask, between two steps, whether anybody still waits for it.
pub struct CancellationToken<'a>(&'a (dyn Fn() -> bool + Sync));

impl CancellationToken<'_> {
    /// Whether the caller has gone, so that the rest of the work is for nobody.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        (self.0)()
    }
}

impl Pool {
    /// Starts `threads` workers (at least one), and lets in so many callers and `queue` more.
    ///
    /// # Errors
    /// The operating system's, when it has no more threads.
    pub fn new(threads: usize, queue: usize, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            places: threads + queue,
            stay_micros: AtomicU64::new(0),
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

    /// Whether a caller would be refused now: a reason to refuse an upload before it is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.has_room(&lock(&self.shared.state)).is_err()
    }

    /// Takes a place, if there is one.
    ///
    /// # Errors
    /// [`PoolError::Full`], [`PoolError::Stopping`].
    pub fn enter(&self) -> Result<Permit, PoolError> {
        let mut state = lock(&self.shared.state);
        self.shared.has_room(&state)?;
        state.inside += 1;
        Ok(Permit { shared: Arc::clone(&self.shared), since: Instant::now() })
    }

    /// How many callers are inside, and how many of their jobs wait for a worker.
    #[must_use]
    pub fn occupancy(&self) -> (usize, usize) {
        let state = lock(&self.shared.state);
        (state.inside, state.queue.len())
    }

    /// How long callers stay of late: what one who was refused may expect to wait for a place.
    #[must_use]
    pub fn stay(&self) -> Duration {
        Duration::from_micros(self.shared.stay_micros.load(Ordering::Relaxed))
    }

    /// Takes no more jobs, finishes those that were taken, and returns when the last worker has ended.
    pub fn finish(&self) {
        lock(&self.shared.state).stopping = true;
        self.shared.wake.notify_all();
        for worker in std::mem::take(&mut *lock(&self.workers)) {
            // Workers catch the panics of their jobs; one that died all the same is reported by the panic hook.
            let _ = worker.join();
        }
    }
}

impl Drop for Pool {
    /// Lets the workers end without waiting for them.
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.wake.notify_all();
    }
}

impl Permit {
    /// Runs `job` on a worker and gives its result. Dropping the future abandons the job.
    ///
    /// # Errors
    /// [`PoolError::Stopping`] after [`Pool::finish`]; [`PoolError::Panicked`].
    pub async fn run<T, F>(&self, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce(&CancellationToken<'_>) -> T + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        {
            let mut state = lock(&self.shared.state);
            if state.stopping {
                return Err(PoolError::Stopping);
            }
            // What was abandoned while it waited is let go of here, with the body that it holds.
            state.queue.retain(|work| work.is_wanted());
            state.queue.push_back(Box::new(Task { job, reply, since: Instant::now() }));
        }
        self.shared.wake.notify_one();
        // A worker drops a reply only by way of a panic outside of the job.
        result.await.unwrap_or(Err(PoolError::Panicked))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.shared.state).inside -= 1;
        let stay = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Of two at once one may be lost: an average can bear that.
        let before = self.shared.stay_micros.load(Ordering::Relaxed);
        let after = if before == 0 { stay } else { before - before / 8 + stay / 8 };
        self.shared.stay_micros.store(after, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Callers who may be inside at once.
    places: usize,
    /// A running mean of how long they stay.
    stay_micros: AtomicU64,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Box<dyn Work>>,
    inside: usize,
    stopping: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.queue.len())
            .field("inside", &self.inside)
            .field("stopping", &self.stopping)
            .finish()
    }
}

impl Shared {
    fn has_room(&self, state: &State) -> Result<(), PoolError> {
        match state {
            State { stopping: true, .. } => Err(PoolError::Stopping),
            State { inside, .. } if *inside < self.places => Ok(()),
            State { .. } => Err(PoolError::Full),
        }
    }

    /// What a worker does all day.
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            let Some(work) = state.queue.pop_front() else {
                if state.stopping {
                    return;
                }
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            if work.is_wanted() {
                self.metrics.queue_wait.observe(work.waited().as_secs_f64());
                work.run();
            }
            state = lock(&self.state);
        }
    }
}

/// A job and where its result goes, whatever their types.
trait Work: Send {
    fn is_wanted(&self) -> bool;
    /// How long it has waited.
    fn waited(&self) -> Duration;
    /// Does the job and hands over the result.
    fn run(self: Box<Self>);
}

struct Task<T, F> {
    job: F,
    reply: oneshot::Sender<Result<T, PoolError>>,
    since: Instant,
}

impl<T, F> Work for Task<T, F>
where
    T: Send + 'static,
    F: FnOnce(&CancellationToken<'_>) -> T + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    fn run(self: Box<Self>) {
        let Self { job, reply, .. } = *self;
        // Whatever the job left half done is dropped with it: nothing of it is seen again.
        let result = catch_unwind(AssertUnwindSafe(|| job(&CancellationToken(&|| reply.is_closed()))));
        // The caller may have gone.
        let _ = reply.send(result.map_err(|_| PoolError::Panicked));
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
        F: FnOnce(&CancellationToken<'_>) -> T + Send + 'static,
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
    async fn a_panic_is_an_answer_and_the_worker_lives_on() {
        let pool = Pool::new(1, 0, Arc::default()).expect("threads");
        for round in 0..3 {
            let panics = run(&pool, |_| std::panic::resume_unwind(Box::new("on purpose"))).await;
            assert_eq!(panics, Err::<(), _>(PoolError::Panicked), "round {round}");
        }
        assert_eq!(run(&pool, |_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_place_is_held_from_one_job_to_the_next() {
        let pool = Pool::new(1, 0, Arc::default()).expect("threads");
        let place = pool.enter().expect("is free");
        assert_eq!(place.run(|_| 1).await, Ok(1));
        assert!(pool.is_full() && matches!(pool.enter(), Err(PoolError::Full)));
        assert_eq!(place.run(|_| 2).await, Ok(2));
        drop(place);
        assert!(!pool.is_full());
    }

    #[tokio::test]
    async fn beyond_the_queue_is_full_and_an_abandoned_job_gives_its_place_back() {
        let pool = Arc::new(Pool::new(1, 1, Arc::default()).expect("threads"));
        let (open, gate) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                run(&pool, move |caller| {
                    started.send(()).expect("is awaited");
                    gate.recv().expect("is opened");
                    caller.is_gone()
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
        assert!(pool.stay() > Duration::ZERO);
        pool.finish();
        assert!(ran.recv().is_err(), "the abandoned job must never run");
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
