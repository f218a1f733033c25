//! [`Budget`]: a bound on the bytes that all requests hold at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// So many bytes, for all requests together.
///
/// A bound on each body alone does not bound a process: as many bodies as there are connections may be here at once.
/// Each takes a [`Reservation`] before it is read, and is refused where none is left.
///
/// ```
/// use std::sync::Arc;
///
/// use serve::engine::budget::Budget;
///
/// let budget = Arc::new(Budget::new(100));
/// let mut body = budget.try_reserve(60).expect("60 of 100");
/// assert!(budget.try_reserve(60).is_none());
/// assert!(body.grow(40) && !body.grow(1));
/// drop(body);
/// assert_eq!(budget.in_use(), 0);
/// ```
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    // Guards no other memory, so that `Relaxed` is enough: every change is one atomic step on this number.
    used: AtomicU64,
}

impl Budget {
    /// A budget of `bytes`, all of them free.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self { limit: bytes, used: AtomicU64::new(0) }
    }

    /// The bound in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are reserved now; never more than [`limit`](Self::limit).
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Reserves `bytes` until the reservation is dropped; `None` when fewer are free. Never waits.
    #[must_use]
    pub fn try_reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        self.take(bytes).then(|| Reservation { budget: Arc::clone(self), bytes })
    }

    /// Takes `bytes`, or nothing.
    fn take(&self, bytes: u64) -> bool {
        let more = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// Bytes of a [`Budget`], which are free again when this is dropped.
#[derive(Debug)]
#[must_use = "the bytes are free again when this is dropped"]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Bytes of this reservation.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves `more` bytes beside those that it has; `false`, with all as it was, when fewer are free.
    #[must_use]
    pub fn grow(&mut self, more: u64) -> bool {
        let grown = self.budget.take(more);
        if grown {
            self.bytes += more;
        }
        grown
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn bytes_are_taken_and_given_back() {
        let budget = Arc::new(Budget::new(10));
        let first = budget.try_reserve(7).expect("7 of 10");
        assert_eq!((budget.in_use(), first.bytes()), (7, 7));
        assert!(budget.try_reserve(4).is_none(), "3 are left");
        let mut second = budget.try_reserve(3).expect("the last 3");
        assert!(!second.grow(1));
        assert_eq!((budget.in_use(), second.bytes()), (10, 3), "a growth that is refused changes nothing");
        drop(first);
        assert!(second.grow(7));
        assert_eq!(budget.in_use(), 10);
        drop(second);
        assert_eq!(budget.in_use(), 0);
    }

    #[test]
    fn nothing_costs_nothing_and_an_empty_budget_gives_nothing_else() {
        let budget = Arc::new(Budget::new(0));
        let mut none = budget.try_reserve(0).expect("0 of 0");
        assert!(!none.grow(1) && budget.try_reserve(1).is_none());
        assert_eq!(budget.in_use(), 0);
    }

    #[test]
    fn a_sum_over_64_bits_is_refused() {
        let budget = Arc::new(Budget::new(u64::MAX));
        let mut one = budget.try_reserve(1).expect("1");
        assert!(budget.try_reserve(u64::MAX).is_none() && !one.grow(u64::MAX));
        assert_eq!(budget.in_use(), 1);
    }

    #[test]
    fn threads_never_hold_more_than_the_bound_together() {
        const LIMIT: u64 = 1000;
        let budget = Arc::new(Budget::new(LIMIT));
        thread::scope(|scope| {
            for thread in 0..8_u64 {
                let budget = &budget;
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let Some(mut held) = budget.try_reserve((thread * 31 + round * 7) % 300) else {
                            continue;
                        };
                        let before = held.bytes();
                        let grown = held.grow(round % 50);
                        assert_eq!(held.bytes(), before + if grown { round % 50 } else { 0 });
                        assert!((held.bytes()..=LIMIT).contains(&budget.in_use()), "{}", budget.in_use());
                    }
                });
            }
        });
        assert_eq!(budget.in_use(), 0, "all was given back");
    }
}
