//! Keyboards: piano, electric piano, tonewheel organ, vibraphone.

use super::osc::{Envelope, FS, Note, Osc, decay_factor, hz, noise, sine, sound, turns};
use crate::rng::Rng;

/// A piano: harmonics that die the faster the higher they are, on two strings a little apart, after a hammer's knock.
/// `bright` from 0 (felt) to 1 (hard).
pub(super) fn piano(out: &mut [f32], note: &Note, bright: f64, rng: &mut Rng) {
    const PARTIALS: usize = 9;
    let frequency = hz(note.pitch);
    let life = 9.0 * libm::exp2((40.0 - note.pitch) / 18.0);
    let touch = 0.5 + 0.5 * bright + 0.4 * f64::from(note.level);
    let mut level = [0.0_f32; PARTIALS];
    let mut fall = [1.0_f32; PARTIALS];
    for (k, (level, fall)) in level.iter_mut().zip(&mut fall).enumerate() {
        let order = (k + 1) as f64;
        if frequency * order < 0.45 * FS {
            *level = (libm::pow(order, -1.9 + 0.9 * touch) * 0.45) as f32;
        }
        *fall = decay_factor(life / (1.0 + 0.35 * (order - 1.0)));
    }
    let mut first = Osc::new(frequency, rng.unit());
    let mut second = Osc::new(frequency * 1.0006, rng.unit());
    let (mut knock, knock_fall) = (0.25 * touch as f32, decay_factor(0.03));
    sound(out, note, &Envelope::new(0.002, 1.0, 1.0, 0.18), || {
        let (a, b) = (first.advance(), second.advance());
        knock *= knock_fall;
        let mut sum = knock * noise(rng);
        for (harmonic, (level, fall)) in (1_u32..).zip(level.iter_mut().zip(&fall)) {
            *level *= *fall;
            sum += *level * (sine(a.wrapping_mul(harmonic)) + 0.5 * sine(b.wrapping_mul(harmonic)));
        }
        sum
    });
}

/// An electric piano by frequency modulation (Chowning 1973): a body at 1:1 and a tine at 1:14. `bark` 0 to 1.
pub(super) fn electric_piano(out: &mut [f32], note: &Note, bark: f64) {
    let frequency = hz(note.pitch);
    let mut carrier = Osc::new(frequency, 0.0);
    let mut tine = Osc::new((frequency * 14.0).min(0.45 * FS), 0.0);
    let (mut index, index_fall) = ((0.05 + 0.35 * bark) as f32 * note.level, decay_factor(1.2));
    let (mut ping, ping_fall) = ((0.02 + 0.06 * bark) as f32, decay_factor(0.25));
    sound(out, note, &Envelope::new(0.002, 5.0, 0.0, 0.2), || {
        index *= index_fall;
        ping *= ping_fall;
        let phase = carrier.advance();
        0.8 * sine(phase.wrapping_add(turns(index * sine(phase) + ping * sine(tine.advance()))))
    });
}

/// A vibraphone or glockenspiel: two partials, the fourth harmonic dying fast.
pub(super) fn vibes(out: &mut [f32], note: &Note) {
    let mut low = Osc::new(hz(note.pitch), 0.0);
    let (mut strike, fall) = (0.6_f32, decay_factor(0.35));
    sound(out, note, &Envelope::new(0.002, 3.0, 0.0, 0.4), || {
        strike *= fall;
        let phase = low.advance();
        0.7 * sine(phase) + strike * sine(phase.wrapping_mul(4))
    });
}

/// A tonewheel organ. The `drawbars` are the levels at ½, 1, 1½, 2, 3, 4 and 6 times the pitch; `click` is the key's.
pub(super) fn organ(out: &mut [f32], note: &Note, drawbars: [f32; 7], click: f32, rng: &mut Rng) {
    const MULTIPLES: [u32; 7] = [1, 2, 3, 4, 6, 8, 12];
    let half = hz(note.pitch) / 2.0;
    let mut wheel = Osc::new(half, rng.unit());
    let audible = MULTIPLES.map(|m| half * f64::from(m) < 0.45 * FS);
    let (mut knock, fall) = (click, decay_factor(0.02));
    sound(out, note, &Envelope::new(0.006, 1.0, 1.0, 0.05), || {
        knock *= fall;
        let phase = wheel.advance();
        let mut sum = knock * noise(rng);
        for ((&level, &multiple), &audible) in drawbars.iter().zip(&MULTIPLES).zip(&audible) {
            if audible && level > 0.0 {
                sum += level * sine(phase.wrapping_mul(multiple));
            }
        }
        0.3 * sum
    });
}
