//! Something like a voice: a buzzing source through the formants of vowels, sung, spoken in rhythm, or growled.

use super::effects::{Biquad, saturate};
use super::osc::{CONTROL, Envelope, FS, Note, Osc, Pitch, Vibrato, hz, noise, sound, window};
use crate::rng::Rng;

/// First three formants in Hz of a, e, i, o, u (of an adult man; Peterson and Barney 1952, rounded).
const VOWELS: [[f64; 3]; 5] = [
    [730.0, 1_090.0, 2_440.0],
    [530.0, 1_840.0, 2_480.0],
    [270.0, 2_290.0, 3_010.0],
    [570.0, 840.0, 2_410.0],
    [300.0, 870.0, 2_240.0],
];

/// Who sings, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Singer {
    /// Length of the throat: formants are multiplied by it (1 a man, 1.17 a woman).
    pub(super) throat: f64,
    /// 0 (dark) to 1 (bright, forward).
    pub(super) bright: f64,
    /// Part of noise in the tone.
    pub(super) breath: f32,
    /// 0 clean, 1 a growl.
    pub(super) grit: f32,
    /// Of held notes.
    pub(super) vibrato: Vibrato,
}

impl Singer {
    /// Adds a syllable: a vowel that glides to another, after a consonant where chance has one.
    pub(super) fn sing(&self, out: &mut [f32], note: &Note, rng: &mut Rng) {
        let from = VOWELS[rng.below(VOWELS.len())];
        let to = VOWELS[rng.below(VOWELS.len())];
        if rng.chance(0.55) {
            self.consonant(out, note, rng);
        }
        let mut folds = Osc::new(hz(note.pitch), rng.unit());
        let mut pitch = Pitch::new(note, self.vibrato);
        let mut formants = [Biquad::band_pass(500.0, 6.0); 3];
        let levels = [1.0, (0.35 + 0.45 * self.bright) as f32, (0.12 + 0.45 * self.bright) as f32];
        let total = (note.seconds * FS).max(1.0);
        let mut tick = 0_usize;
        let factor = 1.0 + 5.0 * self.grit;
        sound(out, note, &Envelope::new(0.025, 0.8, 0.8, 0.07), || {
            if let Some(now) = pitch.change() {
                folds.tune(now);
            }
            if tick.is_multiple_of(4 * CONTROL) {
                let way = (tick as f64 / total).min(1.0);
                for (k, formant) in formants.iter_mut().enumerate() {
                    let centre = (from[k] + way * (to[k] - from[k])) * self.throat;
                    formant.retune(Biquad::band_pass(centre, 5.0 + 3.0 * k as f64));
                }
            }
            tick += 1;
            let rough = noise(rng);
            let buzz = folds.saw() * (1.0 - 0.5 * self.grit * rough) + self.breath * rough;
            let sum: f32 = formants.iter_mut().zip(levels).map(|(formant, level)| level * formant.next(buzz)).sum();
            saturate(factor * 1.2 * sum) * (1.0 - 0.4 * self.grit)
        });
    }

    /// A short hiss before the vowel, like s, sh, t or k.
    fn consonant(&self, out: &mut [f32], note: &Note, rng: &mut Rng) {
        let seconds = 0.03 + 0.05 * rng.unit();
        let mut hiss = Biquad::band_pass((2_800.0 + 4_500.0 * rng.unit()) * self.throat, 1.5);
        let level = note.level * (0.12 + 0.25 * self.bright as f32);
        let part = window(out, note.start - seconds, seconds);
        let length = part.len().max(1) as f32;
        for (i, sample) in part.iter_mut().enumerate() {
            let x = i as f32 / length;
            *sample += level * 4.0 * x * (1.0 - x) * hiss.next(noise(rng));
        }
    }
}
