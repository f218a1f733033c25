//! [`extract`]: an audio tree becomes a store.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use features::{
    Extractor, FeatureSpec,
    decode::{Limits, decode_file},
};

use crate::{
    AudioClip, AudioFolder, Error, Result,
    dataset::store::{Row, StoreWriter},
};

/// Analyses that may wait, for each thread, until the clips before them are written.
const AHEAD: usize = 8;

/// How [`extract`] works, not what it gives: no option changes a byte of the store, but for what `limits` refuse.
pub struct ExtractOptions<'a> {
    /// Threads that decode and extract; 0 for one a core.
    pub threads: usize,
    /// Called with (clips done, clips in all), on the calling thread.
    pub progress: &'a dyn Fn(usize, usize),
    /// Called with each clip that is left out and why, on the calling thread.
    pub on_reject: &'a dyn Fn(&AudioClip, &str),
    /// How much audio a file may hold.
    pub limits: Limits,
    /// Where [`LabelledDataset`](crate::LabelledDataset) makes temporary stores; the system's temporary folder by default.
    pub scratch: Option<&'a Path>,
}

impl Default for ExtractOptions<'_> {
    fn default() -> Self {
        Self { threads: 0, progress: &|_, _| (), on_reject: &|_, _| (), limits: Limits::default(), scratch: None }
    }
}

impl fmt::Debug for ExtractOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractOptions")
            .field("threads", &self.threads)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What [`extract`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtractReport {
    /// Clips in the store.
    pub written: usize,
    /// Clips that were left out, by id, and why.
    pub rejected: Vec<(String, String)>,
}

/// Decodes and analyses every clip of `tree` and writes the store `out`.
///
/// Rows are in order of clip id and their bytes do not depend on the number of threads. Clips are padded to
/// one passage of `spec` (30 s in the presets); of a longer one the first passage is kept if it has fewer than twice as many frames,
/// else the middle one. Memory does not grow with the corpus. A clip that cannot be decoded or is too short is left out
/// and reported. An existing store is replaced at the very end; until then it stays as it is.
///
/// # Errors
/// [`Error::NotEmpty`] if `out` holds something other than a store; [`Error::NothingUsable`] if every clip was
/// left out; [`Error::Io`]; [`Error::Features`] for a specification that cannot be computed.
pub fn extract(
    tree: &AudioFolder,
    spec: &FeatureSpec,
    out: &Path,
    options: &ExtractOptions<'_>,
) -> Result<ExtractReport> {
    let extractor = Extractor::new(spec.clone())?;
    let mut writer = StoreWriter::new(out, spec)?;
    let mut report = ExtractReport::default();
    let limits = &options.limits;
    let extract = |clip: &AudioClip| {
        let decoded = decode_file(&clip.path, limits)?;
        Row::encode(&extractor.extract(&decoded.clip)?, spec)
    };
    for_each_ordered(tree.clips(), options.threads, &extract, |done, clip, row| {
        match row {
            Ok(row) => writer.push(clip, &row)?,
            Err(reason) => {
                (options.on_reject)(clip, &reason);
                report.rejected.push((clip.clip_id.clone(), reason));
            }
        }
        (options.progress)(done, tree.clips().len());
        Ok(())
    })?;
    report.written = writer.written();
    if report.written == 0 {
        let first =
            report.rejected.first().map_or_else(|| "no clip".into(), |(id, reason)| format!("`{id}`: {reason}"));
        return Err(Error::NothingUsable { path: tree.root().to_owned(), clips: tree.clips().len(), first });
    }
    writer.finish()?;
    Ok(report)
}

/// A pool of `threads` threads, 0 for one a core.
pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("clip-{i}"))
        .build()
        .map_err(|error| Error::Setting { name: "threads", problem: format!("cannot be {threads}: {error}") })
}

/// Computes `work` of every clip on `threads` threads and hands the results to `sink` on the calling thread, in order.
/// A failure of a clip, even a panic in a decoder, is its message; a failure of `sink` stops everything.
///
/// Every worker takes the next clip as soon as it is free, but never one that is further ahead of the sink than
/// [`AHEAD`] for each thread, which bounds memory.
pub(crate) fn for_each_ordered<T: Send>(
    clips: &[AudioClip],
    threads: usize,
    work: &(dyn Fn(&AudioClip) -> Result<T> + Sync),
    mut sink: impl FnMut(usize, &AudioClip, Result<T, String>) -> Result<()>,
) -> Result<()> {
    let pool = pool(threads)?;
    let workers = pool.current_num_threads();
    let next = AtomicUsize::new(0);
    let gate = Gate { open_to: Mutex::new(AHEAD * workers), moved: Condvar::new() };
    let (sender, receiver) = mpsc::channel();
    pool.in_place_scope(|scope| {
        for _ in 0..workers {
            let (sender, next, gate) = (sender.clone(), &next, &gate);
            scope.spawn(move |_| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(clip) = clips.get(index) else { break };
                    if !gate.wait_for(index) {
                        break;
                    }
                    let result = match catch_unwind(AssertUnwindSafe(|| work(clip))) {
                        Ok(result) => result.map_err(|error| error.to_string()),
                        Err(_) => Err("the program failed on this file; please report it".into()),
                    };
                    if sender.send((index, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut done = 0;
        let outcome = receiver.iter().try_for_each(|(index, result)| {
            early.insert(index, result);
            while let Some(result) = early.remove(&done) {
                let clip = &clips[done];
                done += 1;
                sink(done, clip, result)?;
                gate.open(done.saturating_add(AHEAD * workers));
            }
            Ok(())
        });
        // Whether all is done or the sink failed, nobody may wait any longer.
        gate.open(if outcome.is_ok() { usize::MAX } else { 0 });
        drop(receiver);
        outcome
    })
}

/// How far ahead the workers may be; 0 once they must stop.
struct Gate {
    open_to: Mutex<usize>,
    moved: Condvar,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, usize> {
        // The number is valid at any time, so a panic elsewhere does not spoil it.
        self.open_to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `index` may be worked on; false if all must stop.
    fn wait_for(&self, index: usize) -> bool {
        let mut open_to = self.lock();
        while *open_to != 0 && index >= *open_to {
            open_to = self.moved.wait(open_to).unwrap_or_else(PoisonError::into_inner);
        }
        *open_to != 0
    }

    fn open(&self, to: usize) {
        *self.lock() = to;
        self.moved.notify_all();
    }
}
