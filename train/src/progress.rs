//! Progress of long work: bars on a terminal, nothing where the output is piped.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One stage of work with a known number of steps. Drawn on stderr, and only when that is a terminal.
#[derive(Debug)]
pub struct Stage(ProgressBar);

impl Stage {
    /// Starts the stage that `title` names; its length is told by the first [`Stage::at`].
    #[must_use]
    pub fn new(title: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:<24} {bar:32} {pos}/{len} {elapsed} (ETA {eta})");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(title);
        Self(bar)
    }

    /// Says that `done` of `total` steps are done.
    pub fn at(&self, done: usize, total: usize) {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
