//! [`Pool`]: threads of their own for work on the CPU, behind a queue that is bounded.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

/// Threads that run jobs in the order of their arrival.
///
/// A job whose caller has gone is never started, and gives its place in the queue to the next that needs one. A job that
/// panics takes nothing with it but itself.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
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
pub struct Caller<'a>(&'a dyn Fn() -> bool);

impl Caller<'_> {
    /// Whether the caller has gone, so that the rest of the work is for nobody.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        (self.0)()
    }
}

impl Pool {
    /// Starts `threads` workers (at least one), and lets `queue` jobs wait beside those that run.
    ///
    /// # Errors
    /// The operating system's, when it has no more threads.
    pub fn new(threads: usize, queue: usize) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), places: threads + queue });
        let pool = Self { shared, workers: Mutex::default() };
        for index in 0..threads {
            let shared = Arc::clone(&pool.shared);
            // On failure `pool` is dropped, which stops the workers that were started.
            let worker = thread::Builder::new().name(format!("worker-{index}")).spawn(move || shared.work())?;
            lock(&pool.workers).push(worker);
        }
        Ok(pool)
    }

    /// Whether a job would be refused now: a reason to refuse an upload before it is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.make_room(&mut lock(&self.shared.state)).is_err()
    }

    /// Runs `job` on a worker and gives its result. Dropping the future abandons the job.
    ///
    /// # Errors
    /// [`PoolError`], at once when there is no place.
    pub async fn run<T, F>(&self, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce(&Caller<'_>) -> T + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        {
            let mut state = lock(&self.shared.state);
            self.shared.make_room(&mut state)?;
            state.queue.push_back(Box::new(Task { job, reply }));
        }
        self.shared.wake.notify_one();
        // A worker drops a reply only by way of a panic outside of the job.
        result.await.unwrap_or(Err(PoolError::Panicked))
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

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Jobs that may be here at once, running ones included.
    places: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Box<dyn Work>>,
    running: usize,
    stopping: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.queue.len())
            .field("running", &self.running)
            .field("stopping", &self.stopping)
            .finish()
    }
}

impl Shared {
    /// Finds a place for one more job, if need be that of one whose caller has gone.
    fn make_room(&self, state: &mut State) -> Result<(), PoolError> {
        if state.stopping {
            return Err(PoolError::Stopping);
        }
        if state.queue.len() + state.running >= self.places {
            state.queue.retain(|work| work.is_wanted());
        }
        if state.queue.len() + state.running < self.places { Ok(()) } else { Err(PoolError::Full) }
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
            state.running += 1;
            drop(state);
            let deliver = if work.is_wanted() { Some(work.run()) } else { None };
            // The place is free before the answer is out: a client that asks again at once finds it.
            lock(&self.state).running -= 1;
            if let Some(deliver) = deliver {
                deliver();
            }
            state = lock(&self.state);
        }
    }
}

/// A job and where its result goes, whatever their types.
trait Work: Send {
    fn is_wanted(&self) -> bool;
    /// Does the job; what it returns hands over the result.
    fn run(self: Box<Self>) -> Box<dyn FnOnce()>;
}

struct Task<T, F> {
    job: F,
    reply: oneshot::Sender<Result<T, PoolError>>,
}

impl<T, F> Work for Task<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Caller<'_>) -> T + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(self: Box<Self>) -> Box<dyn FnOnce()> {
        let Self { job, reply } = *self;
        // Whatever the job left half done is dropped with it: nothing of it is seen again.
        let result = catch_unwind(AssertUnwindSafe(|| job(&Caller(&|| reply.is_closed()))));
        Box::new(move || {
            // The caller may have gone.
            let _ = reply.send(result.map_err(|_| PoolError::Panicked));
        })
    }
}

/// Jobs run outside of the locks, so that a panic never leaves what they guard half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_job_gives_its_result() {
        let pool = Pool::new(2, 2).expect("threads");
        assert_eq!(pool.run(|_| 6 * 7).await, Ok(42));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_the_worker_lives_on() {
        let pool = Pool::new(1, 0).expect("threads");
        for round in 0..3 {
            let panics = pool.run(|_| std::panic::resume_unwind(Box::new("on purpose"))).await;
            assert_eq!(panics, Err::<(), _>(PoolError::Panicked), "round {round}");
        }
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn beyond_the_queue_is_full_and_an_abandoned_job_gives_its_place_back() {
        let pool = Arc::new(Pool::new(1, 1).expect("threads"));
        let (open, gate) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move |caller| {
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
            async move { pool.run(move |_| tell.send(())).await }
        });
        while !pool.is_full() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|_| ()).await, Err(PoolError::Full));

        waiting.abort();
        assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
        assert!(!pool.is_full());
        open.send(()).expect("is awaited");
        assert_eq!(running.await.expect("ends"), Ok(false));
        assert!(ran.recv().is_err(), "the abandoned job must never run");
        pool.finish();
        assert_eq!(pool.run(|_| ()).await, Err(PoolError::Stopping));
    }

    #[tokio::test]
    async fn what_was_taken_is_finished() {
        let pool = Arc::new(Pool::new(2, 20).expect("threads"));
        let jobs: Vec<_> = (0..20)
            .map(|index| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move {
                    pool.run(move |_| {
                        thread::sleep(std::time::Duration::from_millis(2));
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
