//! Feature stores: the features of a dataset in one file, rows read as they are needed.
//!
//! A store is a folder:
//! - `logmel.safetensors`: `logmel_u8` `[clips, n_mels, max_frames]` (or `logmel_f32` where the specification does not
//!   quantise); `n_frames` `[clips]`, u32, where clips are shorter than the row (absent: all are full); and
//!   `series.<descriptor>` `[clips, rows, max_frames]`, f32, for each descriptor that needs more than the log-mel.
//!   Its metadata holds `tonearm_store`, the version of this layout, and `tonearm_spec`, the canonical JSON of the
//!   [`FeatureSpec`]. Without metadata it is the GTZAN store that was recovered from images.
//! - `ids.txt`: one clip id a line, in order of the rows; written last.
//! - `clips.csv`: `clip_id,genre,artist,title`, and `album`, `split` and `gtzan` (the clip of GTZAN that was recognised) where any clip has
//!   them; optional, labels are then the part of the clip id before its first dot.

mod header;
mod read;
mod write;

use features::spec::Quantisation;

pub use read::FeatureStore;
pub(crate) use write::{Row, RowWriter, StoreTarget};

/// Version of the layout that this program writes: the first number is raised when an older program would misread it,
/// the second when it would only miss something.
pub const STORE_VERSION: (u32, u32) = (1, 0);

pub(crate) const TENSORS: &str = "logmel.safetensors";
pub(crate) const IDS: &str = "ids.txt";
pub(crate) const CLIPS: &str = "clips.csv";

const SPEC_KEY: &str = "tonearm_spec";
const VERSION_KEY: &str = "tonearm_store";
const N_FRAMES: &str = "n_frames";
const SERIES: &str = "series.";

/// Name of the log-mel's tensor.
fn log_mel_tensor(quantisation: Option<&Quantisation>) -> &'static str {
    if quantisation.is_some() { "logmel_u8" } else { "logmel_f32" }
}
