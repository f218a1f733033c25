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

/// The tuning of a network: epochs, steps, loss, accuracy and the time that is left. As [`Stage`], only on a terminal.
#[derive(Debug)]
pub struct Tuning {
    bar: ProgressBar,
    title: String,
    epochs: usize,
    steps: usize,
}

impl Tuning {
    /// Starts a tuning of so many epochs of so many steps.
    #[must_use]
    pub fn new(title: &str, epochs: usize, steps: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some((epochs * steps) as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:<60} {bar:20} {pos}/{len} {elapsed} (ETA {eta})");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, title: title.to_owned(), epochs, steps }
    }

    /// Says that so many steps of an epoch, counted from 0, are done, with the mean loss and accuracy in it so far.
    pub fn at(&self, epoch: usize, step: usize, loss: f64, accuracy: f64) {
        let Self { bar, title, epochs, steps } = self;
        bar.set_message(format!("{title}: epoch {} of {epochs}, loss {loss:.3}, accuracy {accuracy:.3}", epoch + 1));
        bar.set_position((epoch * steps + step) as u64);
    }

    /// Leaves a line above the bar.
    pub fn say(&self, line: &str) {
        self.bar.println(line);
    }
}

impl Drop for Tuning {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
