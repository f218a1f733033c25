//! Work on several threads whose results are taken in order.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Results that may wait for one before them, for each thread: a bound on memory.
const AHEAD: usize = 8;

/// The number of threads that `threads` stands for: itself, or one for each core when it is 0.
#[must_use]
pub fn threads_of(threads: usize) -> usize {
    if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads }
}

/// Calls `work` with each number below `count` on `threads` threads (0 for one a core), and `take` on this thread with the
/// results, in the order of the numbers. Once `stop` is set no more work is begun; what was begun is still taken.
///
/// A thread takes the next number as soon as it is free, but never more than a few numbers for each thread are begun and
/// not taken, which bounds memory. A panic of `work` goes on in this thread when its turn comes.
///
/// # Errors
/// The first of `take`, after which no more work is begun; that of a thread which cannot be started.
pub fn for_each_ordered<T: Send, E: From<io::Error>>(
    count: usize,
    threads: usize,
    stop: &AtomicBool,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads_of(threads).min(count.max(1));
    let (next, refused, work) = (&AtomicUsize::new(0), &AtomicBool::new(false), &work);
    // A permit is had for each number that may be begun; taking a result gives one back.
    let (permit, permits) = mpsc::channel();
    for _ in 0..AHEAD * threads {
        let _ = permit.send(());
    }
    let permits = &Mutex::new(permits);
    let (send, receive) = mpsc::channel::<(usize, Result<T, Box<dyn Any + Send>>)>();
    let each = |send: mpsc::Sender<_>| {
        move || {
            while permits.lock().unwrap_or_else(PoisonError::into_inner).recv().is_ok() {
                if stop.load(Ordering::Relaxed) || refused.load(Ordering::Relaxed) {
                    return;
                }
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count || send.send((index, catch_unwind(AssertUnwindSafe(|| work(index))))).is_err() {
                    return;
                }
            }
        }
    };
    thread::scope(|scope| {
        // Dropped on every way out of this scope, which ends the threads.
        let (permit, receive) = (permit, receive);
        for number in 0..threads {
            let builder = thread::Builder::new().name(format!("clip-{number}"));
            builder.spawn_scoped(scope, each(send.clone())).inspect_err(|_| refused.store(true, Ordering::Relaxed))?;
        }
        drop(send);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (index, result) in receive {
            early.insert(index, result);
            while let Some(result) = early.remove(&wanted) {
                let result = result.unwrap_or_else(|panic| {
                    refused.store(true, Ordering::Relaxed);
                    resume_unwind(panic)
                });
                take(wanted, result).inspect_err(|_| refused.store(true, Ordering::Relaxed))?;
                wanted += 1;
                let _ = permit.send(());
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn uneven(index: usize) {
        thread::sleep(Duration::from_micros(((index * 7919) % 13) as u64 * 100));
    }

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in [0, 1, 2, 7, 100] {
            let mut taken = Vec::new();
            let work = |index: usize| {
                uneven(index);
                index * index
            };
            let take = |index, square| {
                taken.push((index, square));
                io::Result::Ok(())
            };
            for_each_ordered(150, threads, &AtomicBool::new(false), work, take).expect("takes");
            assert_eq!(taken, (0..150).map(|index| (index, index * index)).collect::<Vec<_>>());
        }
        for_each_ordered(0, 4, &AtomicBool::new(false), |_| (), |_, ()| io::Result::Ok(())).expect("takes nothing");
    }

    #[test]
    fn no_more_is_begun_ahead_than_memory_is_for() {
        let (begun, threads) = (AtomicUsize::new(0), 3);
        let mut taken = 0;
        let work = |index| {
            // The first takes long, and all others would be done before it.
            let pause = if index == 0 { Duration::from_millis(100) } else { Duration::ZERO };
            begun.fetch_add(1, Ordering::SeqCst);
            thread::sleep(pause);
        };
        let take = |_, ()| {
            let ahead = begun.load(Ordering::SeqCst) - taken;
            assert!(ahead <= AHEAD * threads, "{ahead}");
            taken += 1;
            io::Result::Ok(())
        };
        for_each_ordered(1_000, threads, &AtomicBool::new(false), work, take).expect("takes");
        assert_eq!(taken, 1_000);
    }

    #[test]
    fn when_told_to_stop_it_takes_what_was_begun() {
        let stop = AtomicBool::new(false);
        let begun = AtomicUsize::new(0);
        let mut taken = 0;
        let work = |index| {
            begun.fetch_add(1, Ordering::Relaxed);
            if index == 20 {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let take = |_, ()| {
            taken += 1;
            io::Result::Ok(())
        };
        for_each_ordered(10_000, 3, &stop, work, take).expect("takes");
        assert!((21..=24).contains(&taken), "{taken}");
        assert_eq!(taken, begun.into_inner());
    }

    #[test]
    fn when_a_result_is_refused_no_more_work_is_begun() {
        let begun = AtomicUsize::new(0);
        let work = |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        };
        let refuse = |_, ()| Err(io::Error::from(io::ErrorKind::BrokenPipe));
        let error = for_each_ordered(10_000, 3, &AtomicBool::new(false), work, refuse).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(begun.into_inner() < 1000);
    }

    #[test]
    fn a_panic_goes_on_where_the_results_are_taken() {
        let mut taken = 0;
        let work = |index| {
            uneven(index);
            assert!(index != 30, "thirty");
        };
        let take = |_, ()| {
            taken += 1;
            io::Result::Ok(())
        };
        let all = || for_each_ordered(10_000, 3, &AtomicBool::new(false), work, take);
        let panic = catch_unwind(AssertUnwindSafe(all)).expect_err("a panic");
        assert_eq!((panic.downcast_ref::<&str>(), taken), (Some(&"thirty"), 30));
    }
}
