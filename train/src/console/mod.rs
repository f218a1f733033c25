//! What command-line programs of this workspace share: options, output, progress, interruption.

pub mod args;
pub mod interrupt;
pub mod output;
pub mod program;
pub mod progress;
