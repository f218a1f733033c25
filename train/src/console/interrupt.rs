//! Ctrl-C, SIGTERM and SIGHUP: what is half-written goes away, what is nearly done is finished, then the program ends.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// Exit code of a program that was interrupted, as shells count it: 128 + SIGINT.
pub const EXIT_CODE: u8 = 130;

/// Folder, and how the names begin of what is to be removed from it.
type Partial = (PathBuf, String);

static PARTIALS: Mutex<Vec<Partial>> = Mutex::new(Vec::new());
/// Held by whoever must not be interrupted.
static UNINTERRUPTED: Mutex<()> = Mutex::new(());
static ENDING: AtomicBool = AtomicBool::new(false);

/// Neither lock guards anything that a panic could leave half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on an interruption cleans up before it ends the program. Where the system has no such signals, it does not.
pub fn handle() {
    let _ = ctrlc::set_handler(|| {
        ENDING.store(true, Ordering::SeqCst);
        let _finished = lock(&UNINTERRUPTED);
        for (folder, prefix) in lock(&PARTIALS).iter() {
            remove(folder, prefix);
        }
        std::process::exit(EXIT_CODE.into());
    });
}

/// Whether the program is about to end, so that what fails now fails because its files are taken away.
#[must_use]
pub fn is_ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

/// Does what must not be left half done.
pub fn uninterrupted<T>(work: impl FnOnce() -> T) -> T {
    let _finished = lock(&UNINTERRUPTED);
    work()
}

/// While it lives, an interruption removes everything in a folder whose name begins as was said.
#[derive(Debug)]
pub struct Unfinished(Partial);

impl Unfinished {
    /// What this process writes beside `target` under a name that begins with `prefix`.
    #[must_use]
    pub fn beside(target: &Path, prefix: String) -> Self {
        let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let partial = (folder.to_owned(), prefix);
        lock(&PARTIALS).push(partial.clone());
        Self(partial)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut partials = lock(&PARTIALS);
        if let Some(index) = partials.iter().position(|partial| *partial == self.0) {
            partials.swap_remove(index);
        }
    }
}

/// A folder for temporary files, which goes when it is dropped and when the program is interrupted.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _unfinished: Option<Unfinished>,
}

impl Scratch {
    /// Makes it where the system keeps temporary files.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tonearm-").tempdir()?;
        let name = folder.path().file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let unfinished = name.map(|name| Unfinished::beside(folder.path(), name));
        Ok(Self { folder, _unfinished: unfinished })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what is in `folder` under such a name, though threads may still write into it.
fn remove(folder: &Path, prefix: &str) {
    for _ in 0..50 {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let ours: Vec<_> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path())
            .collect();
        if ours.is_empty() {
            return;
        }
        for path in ours {
            let _ = fs::remove_dir_all(path);
        }
        thread::sleep(Duration::from_millis(5));
    }
}
