//! Ctrl-c and SIGTERM.

use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
};

use super::INTERRUPTED;

/// What is set by the first ctrl-c or SIGTERM. A second one ends the process.
///
/// # Errors
/// Those of the operating system.
pub(super) fn watch() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    let told = Arc::clone(&stop);
    let wait = move || {
        runtime.block_on(async {
            for _ in 0..2 {
                select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if told.swap(true, Ordering::Relaxed) {
                    process::exit(INTERRUPTED.into());
                }
            }
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(stop)
}
