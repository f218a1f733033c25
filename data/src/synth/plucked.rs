//! Plucked strings by the algorithm of Karplus and Strong (1983): guitars, banjo, harpsichord, basses.

use super::osc::{FS, Note, Pitch, Vibrato, decay_factor, hz, noise, window};
use crate::rng::Rng;

/// A string and how it is plucked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pluck {
    /// 0 (thumb, felt) to 1 (plectrum, steel): how bright the attack is.
    pub(super) attack: f64,
    /// 0 to 1: how slowly the high partials die.
    pub(super) ring: f64,
    /// Seconds in which an open string falls by 60 dB.
    pub(super) decay: f64,
    /// Where it is plucked, as a part of its length.
    pub(super) position: f64,
    /// Left hand's vibrato.
    pub(super) vibrato: Vibrato,
}

/// Seconds in which a string falls by 60 dB once it is let go.
const DAMPED: f64 = 0.12;

impl Pluck {
    /// Adds a note to `out`.
    pub(super) fn play(&self, out: &mut [f32], note: &Note, rng: &mut Rng) {
        let frequency = hz(note.pitch).min(0.2 * FS);
        let period = FS / frequency;
        // Room for a bend of a third downwards.
        let mut line = vec![0.0_f32; (period * 1.35) as usize + 8];
        let length = line.len();
        self.excite(&mut line, period, rng);

        let weight = (0.5 + 0.5 * self.ring.clamp(0.0, 1.0)) as f32;
        let mut keep = libm::powf(decay_factor(self.decay), period as f32);
        let damped = libm::powf(decay_factor(DAMPED), period as f32);
        let held = (note.seconds * FS) as usize;
        let mut pitch = Pitch::new(note, self.vibrato);
        let (mut delay, mut last, mut at) = (period, 0.0_f32, period as usize + 2);
        for (i, sample) in window(out, note.start, note.seconds + DAMPED).iter_mut().enumerate() {
            if let Some(now) = pitch.change() {
                // The averaging filter delays too.
                delay = (FS / now - f64::from(1.0 - weight)).clamp(2.0, length as f64 - 3.0);
            }
            if i == held {
                keep = damped;
            }
            let whole = delay as usize;
            let fraction = (delay - whole as f64) as f32;
            let near = line[(at + length - whole) % length];
            let far = line[(at + length - whole - 1) % length];
            let back = near + fraction * (far - near);
            let next = keep * (weight * back + (1.0 - weight) * last) + 1e-15;
            last = back;
            line[at % length] = next;
            at = if at + 1 >= length { 0 } else { at + 1 };
            *sample += note.level * next;
        }
    }

    /// Fills the first period with the shape that the plectrum leaves, at an RMS of 0.35.
    fn excite(&self, line: &mut [f32], period: f64, rng: &mut Rng) {
        let length = (period as usize + 2).min(line.len());
        let (smooth, mut low) = ((1.0 - self.attack.clamp(0.02, 1.0)) as f32, 0.0_f32);
        for slot in &mut line[..length] {
            low = noise(rng) + smooth * (low - noise(rng) * 0.2);
            *slot = low;
        }
        let gap = ((self.position * period) as usize).clamp(1, length);
        for i in (gap..length).rev() {
            line[i] -= 0.9 * line[i - gap];
        }
        let mean = line[..length].iter().sum::<f32>() / length as f32;
        for slot in &mut line[..length] {
            *slot -= mean;
        }
        let power = line[..length].iter().map(|s| s * s).sum::<f32>() / length as f32;
        let factor = 0.35 / power.sqrt().max(1e-6);
        for slot in &mut line[..length] {
            *slot *= factor;
        }
    }
}

/// Plays `pitches` as a strum of `spread` seconds from the first to the last string.
pub(super) fn strum(out: &mut [f32], string: &Pluck, pitches: &[i32], note: &Note, spread: f64, rng: &mut Rng) {
    let step = spread / pitches.len().max(1) as f64;
    for (i, &pitch) in pitches.iter().enumerate() {
        let late = step * i as f64;
        let level = note.level * (1.0 - 0.05 * i as f32);
        let one = Note { start: note.start + late, pitch: f64::from(pitch), level, ..*note };
        string.play(out, &one, rng);
    }
}
