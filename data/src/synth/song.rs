//! One clip in the making: its artist, tempo and key, the clock from beats to seconds, and the mixing desk.

use super::effects::{Biquad, compress, master, reverb};
use super::osc::{FS, TAU, gain, noise};
use crate::gtzan::Genre;
use crate::rng::Rng;

/// Seconds that are made before the clip begins, so that it begins in the middle of things.
const LEAD_IN: f64 = 2.5;

/// What stays the same from clip to clip of one artist: habits of playing, instruments, room and recording.
#[derive(Clone, Debug)]
pub(super) struct Artist {
    seed: u64,
    /// Where in the genre's range of tempi, 0 to 1.
    tempo: f64,
    /// Decibels at the treble and at the bass against a neutral mix.
    treble: f64,
    bass: f64,
    /// Decibels and place of a colour in the middle.
    colour: (f64, f64),
    /// Reverberation: seconds, size, and level in dB.
    room: (f64, f64, f64),
    /// Hiss in dB of full scale, and the highest frequency that the recording kept.
    hiss: f64,
    top: f64,
    /// RMS in dB of full scale.
    loudness: f64,
    /// Threshold of the compressor over the mix, in dB.
    squeeze: f64,
}

impl Artist {
    pub(super) fn new(genre: Genre, artist: usize, seed: u64) -> Self {
        let seed = labelled(seed, &format!("artist/{}/{artist}", genre.name()));
        let rng = &mut Rng::new(seed);
        Self {
            seed,
            tempo: rng.unit(),
            treble: rng.normal() * 2.2,
            bass: rng.normal() * 1.8,
            colour: (rng.normal() * 2.0, 300.0 * libm::exp2(3.5 * rng.unit())),
            room: (rng.uniform(0.3, 1.4), rng.uniform(0.6, 1.3), rng.uniform(-9.0, 3.0)),
            hiss: rng.uniform(-82.0, -58.0),
            top: if rng.chance(0.3) { rng.uniform(6_000.0, 8_500.0) } else { rng.uniform(8_500.0, 10_500.0) },
            loudness: rng.uniform(-20.0, -12.0),
            squeeze: rng.uniform(-14.0, 0.0),
        }
    }

    /// Which of `n` ways this artist always does the thing named `what`.
    pub(super) fn habit(&self, what: &str, n: usize) -> usize {
        Rng::new(labelled(self.seed, what)).below(n)
    }

    /// A number from `low` to `high` that is this artist's for the thing named `what`.
    pub(super) fn taste(&self, what: &str, low: f64, high: f64) -> f64 {
        Rng::new(labelled(self.seed, what)).uniform(low, high)
    }
}

/// A seed for the part `label` of a task (FNV-1a over the label, then mixed by the generator).
fn labelled(seed: u64, label: &str) -> u64 {
    let hash = label
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Rng::stream(seed, hash).next_u64()
}

/// A clip: its clock, and the desk on which its tracks are summed.
#[derive(Debug)]
pub(super) struct Song {
    /// Who plays.
    pub(super) artist: Artist,
    /// Pitch class of the tonic.
    pub(super) tonic: i32,
    /// Beats a minute.
    pub(super) bpm: f64,
    /// Where the second eighth of a beat falls, in parts of the beat: ½ straight, ⅔ triplets.
    pub(super) swing: f64,
    /// Beats by which the tempo breathes (rubato), and over how many beats.
    pub(super) rubato: (f64, f64),
    /// How far players stray from the beat, in seconds (standard deviation).
    pub(super) loose: f64,
    seed: u64,
    samples: usize,
    dry: Vec<f32>,
    wet: Vec<f32>,
}

impl Song {
    /// An empty clip of `samples`; its tempo lies in `tempo` (beats a minute).
    pub(super) fn new(artist: Artist, clip: usize, samples: usize, tempo: (f64, f64)) -> Self {
        let seed = labelled(artist.seed, &format!("clip/{clip}"));
        let rng = &mut Rng::new(seed);
        let bpm = (tempo.0 + artist.tempo * (tempo.1 - tempo.0)) * (1.0 + 0.035 * rng.normal());
        let whole = samples + (LEAD_IN * FS) as usize;
        Self {
            tonic: rng.below(12) as i32,
            bpm: bpm.clamp(tempo.0, tempo.1),
            swing: 0.5,
            rubato: (0.0, 16.0),
            loose: 0.004,
            seed,
            samples,
            dry: vec![0.0; whole],
            wet: vec![0.0; whole],
            artist,
        }
    }

    /// Independent chance for the part named `what`: what one part draws does not shift another.
    pub(super) fn chance(&self, what: &str) -> Rng {
        Rng::new(labelled(self.seed, what))
    }

    /// An empty track.
    pub(super) fn track(&self) -> Vec<f32> {
        vec![0.0; self.dry.len()]
    }

    /// Beats until the end.
    pub(super) fn beats(&self) -> f64 {
        self.dry.len() as f64 / FS * self.bpm / 60.0
    }

    /// Bars of `meter` beats that are needed to fill the clip.
    pub(super) fn bars(&self, meter: f64) -> usize {
        (self.beats() / meter) as usize + 1
    }

    /// Seconds of a number of beats.
    pub(super) fn seconds(&self, beats: f64) -> f64 {
        beats * 60.0 / self.bpm
    }

    /// Second at which `beat` falls, with swing on the off-beats and rubato.
    pub(super) fn at(&self, beat: f64) -> f64 {
        let whole = beat.floor();
        let part = beat - whole;
        let swung = if part <= 0.5 { part * 2.0 * self.swing } else { 1.0 - (1.0 - part) * 2.0 * (1.0 - self.swing) };
        let (depth, period) = self.rubato;
        let breath = if depth > 0.0 { depth * libm::sin(TAU * beat / period) } else { 0.0 };
        self.seconds(whole + swung + breath)
    }

    /// [`Self::at`] as a player hits it.
    pub(super) fn about(&self, beat: f64, rng: &mut Rng) -> f64 {
        self.at(beat) + self.loose * rng.normal()
    }

    /// Plays in another room than the artist's own: seconds of reverberation, size, level in dB.
    pub(super) fn move_to(&mut self, room: (f64, f64, f64)) {
        self.artist.room = room;
    }

    /// Brings a track into the mix at the level of `db` RMS (of what sounds in it), `send_db` of that into the room.
    pub(super) fn mix(&mut self, track: &[f32], db: f64, send_db: f64) {
        let power = track.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / track.len().max(1) as f64;
        if power <= 1e-12 {
            return;
        }
        let level = gain(db) / power.sqrt() as f32;
        let send = level * gain(send_db);
        for ((dry, wet), &x) in self.dry.iter_mut().zip(&mut self.wet).zip(track) {
            *dry += level * x;
            *wet += send * x;
        }
    }

    /// The finished clip: room, colour of the recording, compression, hiss, loudness; peak below 1.
    pub(super) fn finish(self) -> Vec<f32> {
        let Self { artist, seed, samples, mut dry, wet, .. } = self;
        let rng = &mut Rng::new(labelled(seed, "recording"));
        let (seconds, size, db) = artist.room;
        let room = reverb(&wet, seconds, size, 0.45);
        let level = 0.3 * gain(db);
        for (dry, room) in dry.iter_mut().zip(&room) {
            *dry += level * room;
        }
        // The same studio is not quite the same on another day.
        Biquad::high_shelf(2_200.0, artist.treble + 1.5 * rng.normal()).apply(&mut dry);
        Biquad::peak(110.0, 0.7, artist.bass + 1.2 * rng.normal()).apply(&mut dry);
        Biquad::peak(artist.colour.1, 0.9, artist.colour.0 + rng.normal()).apply(&mut dry);
        Biquad::high_pass(35.0, 0.7).apply(&mut dry);
        Biquad::low_pass(artist.top, 0.7).apply(&mut dry);
        let mut clip = dry.split_off(dry.len() - samples);
        let loudness = artist.loudness + 1.5 * rng.normal();
        master(&mut clip, -14.0);
        compress(&mut clip, -14.0 + artist.squeeze, 2.5, 0.15);
        let hiss = gain(artist.hiss);
        for sample in &mut clip {
            *sample += hiss * 1.7 * noise(rng);
        }
        master(&mut clip, loudness.clamp(-24.0, -10.0));
        clip
    }
}
