//! [`Batcher`]: songs of different requests, through one network together.
//!
//! A network reads all its weights for every forward pass, so songs that go through it together share that cost, and no two
//! requests compete for the same threads. One thread does it: what computes spreads over its own. It takes what is waiting,
//! as long as it is for the same model, at most so many; with a delay it waits that long for company.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use features::ClipFeatures;
use models::{Classifier, Explain, PredictOutput, PredictRequest};
use tokio::sync::oneshot;

use crate::{Rejection, engine::sync::lock, http::metrics::Metrics};

/// A song that waits.
struct Song {
    model: Arc<dyn Classifier>,
    analysis: ClipFeatures,
    /// What is to be explained, if anything.
    explain: Option<Explain>,
    since: Instant,
    reply: oneshot::Sender<Result<PredictOutput, Rejection>>,
}

/// Takes songs one by one and computes them together.
#[derive(Debug)]
pub struct Batcher {
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    max: usize,
    delay: Duration,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Song>,
    stopping: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("waiting", &self.queue.len()).field("stopping", &self.stopping).finish()
    }
}

impl Batcher {
    /// Starts the thread; at most `max` songs go together, and one waits for others for `delay`.
    ///
    /// # Errors
    /// The operating system's, when it has no more threads.
    pub fn new(max: usize, delay: Duration, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), max: max.max(1), delay, metrics });
        let worker = thread::Builder::new().name("batcher".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.work()
        })?;
        Ok(Self { shared, worker: Mutex::new(Some(worker)) })
    }

    /// Has `model` judge a song. Dropping the future abandons it: it is not begun, or stopped at its next passage.
    ///
    /// # Errors
    /// What the model found wrong with it; [`Rejection::Internal`] for a panic, or after [`Batcher::finish`].
    pub async fn judge(
        &self,
        model: Arc<dyn Classifier>,
        analysis: ClipFeatures,
        explain: Option<Explain>,
    ) -> Result<PredictOutput, Rejection> {
        let (reply, result) = oneshot::channel();
        {
            let mut state = lock(&self.shared.state);
            if state.stopping {
                return Err(Rejection::NotReady { reason: "the server is stopping".into() });
            }
            state.queue.push_back(Song { model, analysis, explain, since: Instant::now(), reply });
        }
        self.shared.wake.notify_one();
        result.await.unwrap_or_else(|_| Err(Rejection::internal("the model panicked")))
    }

    /// Takes no more songs, finishes those that were taken, and returns when that is done.
    pub fn finish(&self) {
        lock(&self.shared.state).stopping = true;
        self.shared.wake.notify_all();
        if let Some(worker) = lock(&self.worker).take() {
            // It catches the panics of models; one that died all the same is reported by the panic hook.
            let _ = worker.join();
        }
    }
}

impl Drop for Batcher {
    /// Lets the thread end without waiting for it.
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        while let Some(songs) = self.next() {
            self.compute(songs);
        }
    }

    /// The songs that go next, at least one; `None` at the end.
    fn next(&self) -> Option<Vec<Song>> {
        let mut state = lock(&self.state);
        loop {
            state.queue.retain(|song| !song.reply.is_closed());
            let Some(first) = state.queue.front() else {
                if state.stopping {
                    return None;
                }
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = self.delay.saturating_sub(first.since.elapsed());
            if left.is_zero() || state.queue.len() >= self.max || state.stopping {
                break;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        // A batch is of one model, and the order of arrival is kept.
        let first = state.queue.pop_front()?;
        let mut songs = vec![first];
        while songs.len() < self.max
            && state.queue.front().is_some_and(|song| Arc::ptr_eq(&song.model, &songs[0].model))
            && let Some(song) = state.queue.pop_front()
        {
            songs.push(song);
        }
        Some(songs)
    }

    fn compute(&self, songs: Vec<Song>) {
        let Some(model) = songs.first().map(|song| Arc::clone(&song.model)) else { return };
        for song in &songs {
            self.metrics.batch_wait.observe(song.since.elapsed().as_secs_f64());
        }
        self.metrics.batch_songs.observe(songs.len() as f64);
        let start = Instant::now();
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&*model, &songs)));
        self.metrics.inference(&model.identity().name, start.elapsed());
        // Where the model panicked the replies are dropped, which says so.
        let Ok(judged) = judged else { return };
        for (song, judgement) in songs.into_iter().zip(judged) {
            // The caller may have gone.
            let _ = song.reply.send(judgement.map_err(Rejection::from));
        }
    }
}

fn judge(model: &dyn Classifier, songs: &[Song]) -> Vec<models::Result<PredictOutput>> {
    let cancelled: Vec<_> = songs.iter().map(|song| move || song.reply.is_closed()).collect();
    let requests = songs.iter().zip(&cancelled);
    let requests: Vec<PredictRequest<'_>> = requests
        .map(|(song, cancelled)| PredictRequest { features: &song.analysis, explain: song.explain, cancelled })
        .collect();
    model.predict_batch(&requests)
}
