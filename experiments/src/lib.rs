//! Declared runs, what they gave, and comparisons.
//!
//! A [`declaration`] says in TOML what is fitted on what, and by which splits and seeds it is judged. A [`runner`] does each
//! (declaration, split, seed) once: a [`job`] has a key, the digest of everything that decides its result, and what
//! it gave is [kept](results) under that key. Figures of several seeds are [put together](summary) and [compared](compare)
//! clip by clip; a [`ladder`] shows what the leaks of a split are worth; [`mlflow`] tells a server of what was found.
//!
//! Fitting, splits and scoring are those of [`train`] and [`data`].

pub mod cli;
pub mod declarations;
pub mod mlflow;
pub mod results;
pub mod runner;
