//! A dataset out of nothing: ten genres synthesised from a seed, so that everything runs on a machine without recordings.
//!
//! Each genre has its own rhythm, harmony, instruments and form ([`Genre`] by genre in `genres`), made of plucked strings,
//! keyboards, bowed and blown instruments, synthesisers, voices and drums. Each of a genre's artists has a sound of its
//! own, which stays from clip to clip: instruments, habits of playing, room, mix, loudness, noise. So a split that keeps
//! artists together is harder than one that does not, as with real music.
//!
//! The samples depend on the [`SynthSpec`], the genre and the number of the clip only: they have the same bits on every
//! CPU and with every number of threads.
//!
//! ```
//! use data::{gtzan::Genre, synth::{SynthSpec, render}};
//!
//! let spec = SynthSpec { seconds: 2.0, ..SynthSpec::default() };
//! let clip = render(Genre::Reggae, 0, 0, &spec);
//! assert_eq!(clip.len(), 2 * 22_050);
//! ```

mod drums;
mod effects;
mod genres;
mod instruments;
mod notes;
mod osc;
mod song;
mod write;

pub use write::write_dataset;

use crate::{Error, gtzan::Genre};
use song::{Artist, Song};

/// Samples a second of a synthetic clip, as in GTZAN.
pub const SAMPLE_RATE: u32 = osc::RATE;

/// Whether a clip id is one that [`write_dataset`] gives.
#[must_use]
pub fn is_synthetic_id(clip_id: &str) -> bool {
    clip_id.contains(".synth.")
}

/// What a synthetic dataset holds. All of it follows from these three.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthSpec {
    /// Clips of each genre, 1 to 1000. Default 12.
    pub clips_per_genre: usize,
    /// Length of each clip in seconds, 1 to 600. Default 30.
    pub seconds: f64,
    /// Whence all chance comes. Default 20.
    pub seed: u64,
}

impl Default for SynthSpec {
    fn default() -> Self {
        Self { clips_per_genre: 12, seconds: 30.0, seed: 20 }
    }
}

impl SynthSpec {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Option`] for 0 or more than 1000 clips, and for a length below 1 s, above 600 s or not a number.
    pub fn validate(&self) -> Result<(), Error> {
        if !(1..=1000).contains(&self.clips_per_genre) {
            let problem = format!("is {}; a genre has 1 to 1000 clips", self.clips_per_genre);
            return Err(Error::Option { name: "clips_per_genre", problem });
        }
        if !(1.0..=600.0).contains(&self.seconds) {
            let problem = format!("is {}; a clip lasts 1 to 600 seconds", self.seconds);
            return Err(Error::Option { name: "seconds", problem });
        }
        Ok(())
    }

    /// Artists of each genre: one for every two clips, 24 at most; clip `i` is by artist `i` modulo this.
    #[must_use]
    pub fn artists_per_genre(&self) -> usize {
        self.clips_per_genre.div_ceil(2).clamp(1, 24)
    }

    /// Samples of each clip. Lengths out of [`Self::validate`]'s range are taken as the nearest in it.
    #[must_use]
    pub fn samples(&self) -> usize {
        let seconds = if self.seconds.is_finite() { self.seconds.clamp(1.0, 600.0) } else { 1.0 };
        (seconds * f64::from(SAMPLE_RATE)).round() as usize
    }
}

/// One clip: [`SynthSpec::samples`] samples at [`SAMPLE_RATE`], finite, within ±0.98.
///
/// `artist` and `clip` are numbers from 0; of the specification the length and the seed matter.
#[must_use]
pub fn render(genre: Genre, artist: usize, clip: usize, spec: &SynthSpec) -> Vec<f32> {
    let mut song = begin(genre, artist, clip, spec);
    genres::compose(genre, &mut song);
    song.finish()
}

/// What the clip is called: its key and tempo.
fn title(genre: Genre, artist: usize, clip: usize, spec: &SynthSpec) -> String {
    const KEYS: [&str; 12] = ["C", "D flat", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B"];
    let song = begin(genre, artist, clip, &SynthSpec { seconds: 1.0, ..spec.clone() });
    let key = KEYS[song.tonic.rem_euclid(12) as usize];
    format!("Number {} in {key} at {:.0} bpm", clip + 1, song.bpm)
}

fn begin(genre: Genre, artist: usize, clip: usize, spec: &SynthSpec) -> Song {
    Song::new(Artist::new(genre, artist, spec.seed), clip, spec.samples(), genres::tempo(genre))
}

#[cfg(test)]
mod tests;
