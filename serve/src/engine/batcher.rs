//! [`Batcher`]: clips of different requests in one forward pass.
//!
//! A network reads all its weights for every forward pass, so clips in one batch share that cost, and no two requests
//! compete for the same threads. One thread runs the batches; the network spreads over threads of its own. A batch is what
//! waits for the same model, up to a maximum; with a delay it waits that long for more.

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

use super::{model::Model, pool::lock};
use crate::{Rejection, telemetry::Metrics};

/// Collects requests and predicts them in batches.
#[derive(Debug)]
pub struct Batcher {
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<BatchQueue>,
    wake: Condvar,
    max_batch: usize,
    delay: Duration,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct BatchQueue {
    requests: VecDeque<QueuedRequest>,
    stopping: bool,
}

#[derive(Debug)]
struct QueuedRequest {
    model: Arc<Model>,
    features: Arc<ClipFeatures>,
    explain: Option<Explain>,
    since: Instant,
    result: oneshot::Sender<Result<Batched, Rejection>>,
}

/// A prediction in a batch.
#[derive(Debug)]
pub struct Batched {
    /// What the model gave.
    pub output: PredictOutput,
    /// How long the clip waited for the batch.
    pub waited: Duration,
    /// How long the whole batch took.
    pub took: Duration,
}

impl Batcher {
    /// Starts the thread; a batch has at most `max_batch` clips, and its first one waits for others for `delay`.
    ///
    /// # Errors
    /// The operating system's, when it has no more threads.
    pub fn new(max_batch: usize, delay: Duration, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let max_batch = max_batch.max(1);
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new(), max_batch, delay, metrics });
        let worker = thread::Builder::new().name("batcher".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.work()
        })?;
        Ok(Self { shared, worker: Mutex::new(Some(worker)) })
    }

    /// Predicts a clip. Dropping the future cancels it: it is not begun, or stopped at its next segment.
    ///
    /// # Errors
    /// What the model found wrong with it; [`Rejection::Internal`] for a panic; [`Rejection::NotReady`] after
    /// [`Batcher::finish`].
    pub async fn predict(
        &self,
        model: Arc<Model>,
        features: Arc<ClipFeatures>,
        explain: Option<Explain>,
    ) -> Result<Batched, Rejection> {
        let (result, received) = oneshot::channel();
        {
            let mut queue = lock(&self.shared.queue);
            if queue.stopping {
                return Err(Rejection::STOPPING);
            }
            queue.requests.push_back(QueuedRequest { model, features, explain, since: Instant::now(), result });
        }
        self.shared.wake.notify_one();
        received.await.unwrap_or_else(|_| Err(Rejection::internal("the model panicked")))
    }

    /// Takes no more requests, finishes those that were taken, and returns when that is done.
    pub fn finish(&self) {
        self.shared.stop();
        if let Some(worker) = lock(&self.worker).take() {
            // It catches the panics of models; one that died all the same is reported by the panic hook.
            let _ = worker.join();
        }
    }
}

impl Drop for Batcher {
    /// Lets the thread end without waiting for it.
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    fn stop(&self) {
        lock(&self.queue).stopping = true;
        self.wake.notify_all();
    }

    fn work(&self) {
        while let Some(batch) = self.next_batch() {
            self.predict(batch);
        }
    }

    /// The next batch, of one model and in the order of arrival; `None` at the end.
    fn next_batch(&self) -> Option<Vec<QueuedRequest>> {
        let mut queue = lock(&self.queue);
        loop {
            queue.requests.retain(|request| !request.result.is_closed());
            let Some(first) = queue.requests.front() else {
                if queue.stopping {
                    return None;
                }
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = self.delay.saturating_sub(first.since.elapsed());
            if left.is_zero() || queue.requests.len() >= self.max_batch || queue.stopping {
                break;
            }
            queue = self.wake.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let model = Arc::clone(&queue.requests.front()?.model);
        let same = queue.requests.iter().take(self.max_batch).take_while(|next| Arc::ptr_eq(&next.model, &model));
        let len = same.count();
        Some(queue.requests.drain(..len).collect())
    }

    fn predict(&self, batch: Vec<QueuedRequest>) {
        let Some(model) = batch.first().map(|request| Arc::clone(&request.model)) else { return };
        let waited: Vec<Duration> = batch.iter().map(|request| request.since.elapsed()).collect();
        for waited in &waited {
            self.metrics.batch_wait.observe(waited.as_secs_f64());
        }
        self.metrics.batch_size.observe(batch.len() as f64);
        let start = Instant::now();
        let outputs = catch_unwind(AssertUnwindSafe(|| predict_batch(&**model, &batch)));
        let took = start.elapsed();
        self.metrics.inference(model.name(), took);
        let Ok(outputs) = outputs else {
            // One clip is no reason to fail the others. Where it is alone its sender is dropped, which says so.
            if batch.len() > 1 {
                batch.into_iter().for_each(|request| self.predict(vec![request]));
            }
            return;
        };
        model.statistics().executed(batch.len(), took);
        for ((request, output), waited) in batch.into_iter().zip(outputs).zip(waited) {
            let batched = output.map(|output| Batched { output, waited, took });
            // The request may have been cancelled.
            let _ = request.result.send(batched.map_err(Rejection::from));
        }
    }
}

fn predict_batch(model: &dyn Classifier, batch: &[QueuedRequest]) -> Vec<models::Result<PredictOutput>> {
    let cancelled: Vec<_> = batch.iter().map(|request| move || request.result.is_closed()).collect();
    let requests = batch.iter().zip(&cancelled);
    let requests: Vec<PredictRequest<'_>> = requests
        .map(|(request, cancelled)| PredictRequest { features: &request.features, explain: request.explain, cancelled })
        .collect();
    model.predict_batch(&requests)
}
