//! The artifact: one trained model as a folder whose name is a digest of its content.
//!
//! ```text
//! artifacts/<name>/CURRENT                 the version in use
//! artifacts/<name>/HISTORY                 those before it, the newest last
//! artifacts/<name>/PINNED                  where it is there: the version that is to stay in use
//! artifacts/<name>/<version>/artifact.json         the Manifest, which holds the SHA-256 of the other files
//!                           /weights.safetensors
//!                           /metrics.json
//!                           /report.html
//!                           /predictions.safetensors   what its training predicted of clips that it held out
//! ```
//!
//! `<name>` is the model's name: `svm`, `vgg19` or `ensemble`, unless it was trained under another. The manifest says its kind.
//! `<version>` is the first 12 hexadecimal digits of the SHA-256 of `artifact.json`, so a name stands for every byte of
//! the folder. Nothing in it depends on time, host or path: the same training gives the same bytes.

mod files;
mod manifest;
pub mod names;
pub mod places;
mod versions;

pub use files::{Artifact, Draft, FILE_LIMIT, MANIFEST_LIMIT, Written};
pub use manifest::{DataDescription, Manifest, SplitMetrics};
pub use versions::{
    CURRENT_LIMIT, current, history, models, pin, pinned, previous, resolve, set_current, unpin, versions,
};

pub use crate::format::FormatVersion;

/// The [`Manifest`].
pub const MANIFEST: &str = "artifact.json";
/// The weights.
pub const WEIGHTS: &str = "weights.safetensors";
/// The full evaluation, as JSON.
pub const METRICS: &str = "metrics.json";
/// The full evaluation, for people.
pub const REPORT: &str = "report.html";
/// What the training of a member of an ensemble predicted of clips that were held out; not in every artifact.
pub const PREDICTIONS: &str = "predictions.safetensors";
/// Names the version in use, in the folder of a model.
pub const CURRENT: &str = "CURRENT";
/// Names the versions that were in use before, there too.
pub const HISTORY: &str = "HISTORY";
/// Names the version that is to stay in use, there too.
pub const PINNED: &str = "PINNED";

/// SHA-256 as 64 lower-case hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The version that an `artifact.json` of these bytes has.
fn version_of(manifest: &[u8]) -> String {
    let mut version = digest(manifest);
    version.truncate(names::VERSION_DIGITS);
    version
}
