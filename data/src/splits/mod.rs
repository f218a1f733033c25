//! How clips are dealt to folds, and which clips belong together.

pub(crate) mod artist;
pub(crate) mod split;
