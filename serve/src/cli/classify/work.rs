//! Work on several threads whose results are taken in order.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Calls `work` with each number below `count` on `threads` threads, and `take` on this one with the results, in the order
/// of the numbers. Once `stop` is set no more work is begun; what was begun is still taken.
///
/// # Errors
/// The first of `take`, after which no more work is begun; that of a thread which cannot be started.
pub(super) fn in_order<T: Send>(
    count: usize,
    threads: usize,
    stop: &AtomicBool,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> io::Result<()>,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let refused = AtomicBool::new(false);
    let (send, receive) = mpsc::channel();
    let (next, refused, work) = (&next, &refused, &work);
    let each = |send: mpsc::Sender<(usize, T)>| {
        move || {
            while !stop.load(Ordering::Relaxed) && !refused.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count || send.send((index, work(index))).is_err() {
                    return;
                }
            }
        }
    };
    thread::scope(|scope| {
        for number in 0..threads.clamp(1, count.max(1)) {
            let started =
                thread::Builder::new().name(format!("classify-{number}")).spawn_scoped(scope, each(send.clone()));
            if let Err(error) = started {
                refused.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        drop(send);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (index, result) in receive {
            early.insert(index, result);
            while let Some(result) = early.remove(&wanted) {
                take(wanted, result).inspect_err(|_| refused.store(true, Ordering::Relaxed))?;
                wanted += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in [1, 2, 7, 100] {
            let mut taken = Vec::new();
            let work = |index: usize| {
                thread::sleep(Duration::from_micros(((index * 7919) % 13) as u64 * 100));
                index * index
            };
            let take = |index, square| {
                taken.push((index, square));
                Ok(())
            };
            in_order(50, threads, &AtomicBool::new(false), work, take).expect("takes");
            assert_eq!(taken, (0..50).map(|index| (index, index * index)).collect::<Vec<_>>());
        }
        in_order(0, 4, &AtomicBool::new(false), |_| (), |_, ()| Ok(())).expect("takes nothing");
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
            Ok(())
        };
        in_order(10_000, 3, &stop, work, take).expect("takes");
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
        let error = in_order(10_000, 3, &AtomicBool::new(false), work, refuse).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(begun.into_inner() < 1000);
    }
}
