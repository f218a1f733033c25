//! Locks of a server that lives on after a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks also what a thread that panicked had locked: nothing here leaves what it guards half changed where it can panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
