//! Standard error: progress where somebody watches, and what went wrong.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of the files that are done, if standard error is a terminal, and lines above it.
#[derive(Debug)]
pub(super) struct Console {
    bar: ProgressBar,
}

/// How many files came to what.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) classified: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Console {
    pub(super) fn new(files: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(files as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {elapsed} (ETA {eta})");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    /// Says something, in a line.
    pub(super) fn say(&self, line: &str) {
        // Where standard error is closed there is nobody to tell.
        self.aside(|| drop(writeln!(io::stderr(), "serve classify: {line}")));
    }

    /// Writes elsewhere on the terminal, with the bar out of the way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// One file is done.
    pub(super) fn step(&self) {
        self.bar.inc(1);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// The last line: where somebody watches, or where not all went well.
    pub(super) fn sum_up(&self, counts: &Counts, files: usize, interrupted: bool) {
        let Counts { classified, failed, skipped } = counts;
        let mut line = format!("{classified} of {files} files classified");
        if *failed > 0 {
            line += &format!(", {failed} failed");
        }
        if *skipped > 0 {
            line += &format!(", {skipped} skipped");
        }
        if interrupted {
            line += ", and then it was interrupted";
        }
        if files == 0 {
            "there is no file to classify".clone_into(&mut line);
        }
        if interrupted || failed + skipped > 0 || files == 0 || (files > 1 && io::stderr().is_terminal()) {
            self.say(&line);
        }
    }
}
