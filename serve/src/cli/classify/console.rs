//! Standard error: progress bars, if it is a terminal, and lines above them.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use labels::display;

use super::files::File;

/// Bytes from which on a file has a bar of its own.
const LONG: u64 = 16 << 20;
/// Columns of a file's name beside its bar.
const NAME: usize = 40;
/// Between two pictures of a file that is being decoded.
const TICK: Duration = Duration::from_millis(200);

/// Standard error.
#[derive(Debug)]
pub(super) struct Console {
    bars: MultiProgress,
    files: ProgressBar,
}

/// The bar of a long file while it is at hand; of a short one there is none.
#[derive(Debug)]
pub(super) struct AtHand<'a> {
    console: &'a Console,
    bar: Option<ProgressBar>,
}

/// How many files were classified, failed or were no audio.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) classified: usize,
    /// Of these, those that an earlier run had classified.
    pub(super) stored: usize,
    /// Of these, those whose genre is not probable enough.
    pub(super) unknown: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    pub(super) tags: TagCounts,
}

/// How many files got a tag.
#[derive(Debug, Default)]
pub(super) struct TagCounts {
    pub(super) written: usize,
    /// Would get one.
    pub(super) planned: usize,
    /// Keep what they have.
    pub(super) kept: usize,
    /// Have the genre already.
    pub(super) same: usize,
    pub(super) failed: usize,
}

impl Console {
    pub(super) fn new(files: usize) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let files = bars.add(ProgressBar::new(files as u64));
        files.set_style(style("{bar:32} {pos}/{len} {elapsed} (ETA {eta})"));
        Self { bars, files }
    }

    /// Writes a line.
    pub(super) fn say(&self, line: &str) {
        // Standard error may be closed.
        self.aside(|| drop(writeln!(io::stderr(), "serve classify: {line}")));
    }

    /// Writes elsewhere on the terminal, with the bars out of the way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bars.suspend(write)
    }

    /// One file is done.
    pub(super) fn step(&self) {
        self.files.inc(1);
    }

    /// A file is at hand.
    pub(super) fn at_hand(&self, file: &File) -> AtHand<'_> {
        let length = file.path().and_then(|path| path.metadata().ok()).map_or(0, |metadata| metadata.len());
        let bar = (length >= LONG && !self.bars.is_hidden()).then(|| {
            let bar = self.bars.add(ProgressBar::new(length));
            bar.set_style(style("{bar:32} {msg} {bytes}/{total_bytes}"));
            bar.set_message(display::cut_start(&file.shown(), NAME));
            bar
        });
        AtHand { console: self, bar }
    }

    pub(super) fn finish(&self) {
        self.files.finish_and_clear();
    }

    /// What was done: on a terminal, or where there is something to know.
    pub(super) fn summarise(&self, counts: &Counts, files: usize, interrupted: bool) {
        let Counts { classified, stored, unknown, failed, skipped, tags } = counts;
        let mut line = format!("{classified} of {files} files classified");
        let notes = [(*stored, "done before"), (*unknown, "below --min-probability, or unlike the training set")];
        let notes: Vec<String> =
            notes.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !notes.is_empty() {
            line += &format!(" ({})", notes.join(", "));
        }
        let more = [
            (*failed, "failed"),
            (*skipped, "skipped as no audio"),
            (tags.written, "tags written"),
            (tags.planned, "tags to write"),
            (tags.kept, "tags kept"),
            (tags.same, "tags the same"),
            (tags.failed, "tags failed"),
        ];
        for (n, what) in more.into_iter().filter(|(n, _)| *n > 0) {
            line += &format!(", {n} {what}");
        }
        if interrupted {
            line += ", then interrupted";
        }
        if files == 0 {
            "found no file to classify".clone_into(&mut line);
        }
        let has_more = more.iter().any(|(n, _)| *n > 0) || !notes.is_empty();
        if interrupted || has_more || files == 0 || (files > 1 && io::stderr().is_terminal()) {
            self.say(&line);
        }
    }
}

impl AtHand<'_> {
    /// What counts the bytes that are read.
    pub(super) fn progress(&self) -> impl Fn(u64) + Send + 'static + use<> {
        let bar = self.bar.clone();
        move |bytes| {
            if let Some(bar) = &bar {
                bar.inc(bytes);
            }
        }
    }

    /// It is read, and now something else is done with it, for which there is no measure.
    pub(super) fn now(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(style(&format!("{{spinner}} {what} {{msg}} {{elapsed}}")));
            bar.enable_steady_tick(TICK);
        }
    }
}

impl Drop for AtHand<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.console.bars.remove(bar);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
