//! What command-line programs of this workspace share: output, progress, interruption.

pub mod interrupt;
pub mod output;
pub mod progress;
pub mod text;
