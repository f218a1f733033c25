//! Instruments: plucked strings by the algorithm of Karplus and Strong (1983); keyboards (piano, electric piano, tonewheel
//! organ, vibraphone); bowed, blown and synthesised ones that hold their notes; and something like a voice, a buzzing source
//! through the formants of vowels, sung, spoken in rhythm, or growled.

use super::effects::{Biquad, saturate};
use super::osc::{
    CONTROL, Envelope, FS, Note, Osc, Pitch, STRAIGHT, Vibrato, decay_factor, hz, noise, sine, sound, turns, window,
};
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

/// The vibrato of a solo player.
pub(super) const SINGING: Vibrato = Vibrato { rate: 5.4, depth: 0.22, delay: 0.4 };

/// Several bowed strings as one: three detuned saws behind a low-pass at `top` Hz, with a bow's `attack` in seconds.
pub(super) fn strings(out: &mut [f32], note: &Note, attack: f64, top: f64, rng: &mut Rng) {
    let frequency = hz(note.pitch);
    let mut desks = [-0.0045, 0.0007, 0.0052].map(|d| Osc::new(frequency * (1.0 + d), rng.unit()));
    let mut filter = Biquad::low_pass(top.max(frequency * 1.5), 0.6);
    let mut body = Biquad::high_pass(frequency * 0.8, 0.7);
    sound(out, note, &Envelope::new(attack, 2.0, 0.85, 0.35), || {
        let sum: f32 = desks.iter_mut().map(Osc::saw).sum();
        body.next(filter.next(0.22 * sum))
    });
}

/// One bowed string (violin, fiddle, cello): a saw with vibrato through the resonances of a body.
pub(super) fn bowed(out: &mut [f32], note: &Note, attack: f64, vibrato: Vibrato, rng: &mut Rng) {
    let mut string = Osc::new(hz(note.pitch), rng.unit());
    let mut pitch = Pitch::new(note, vibrato);
    let mut filter = Biquad::low_pass((hz(note.pitch) * 6.0).clamp(2_500.0, 6_500.0), 0.7);
    let mut body = [Biquad::peak(480.0, 2.0, 5.0), Biquad::peak(1_250.0, 2.0, 4.0), Biquad::peak(2_900.0, 1.6, 5.0)];
    sound(out, note, &Envelope::new(attack, 1.5, 0.85, 0.15), || {
        if let Some(now) = pitch.change() {
            string.tune(now);
        }
        let scratch = 0.03 * noise(rng);
        let sample = filter.next(0.4 * string.saw() + scratch);
        body.iter_mut().fold(sample, |x, resonance| resonance.next(x))
    });
}

/// A brass player or section: a saw whose low-pass opens with the level, as a louder horn is a brighter one.
pub(super) fn brass(out: &mut [f32], note: &Note, bright: f64, vibrato: Vibrato, rng: &mut Rng) {
    let frequency = hz(note.pitch);
    let mut lips = Osc::new(frequency, rng.unit());
    let mut second = Osc::new(frequency * 1.004, rng.unit());
    let mut pitch = Pitch::new(note, vibrato);
    let peak = (2.0 + 6.0 * bright) * (0.6 + 0.4 * f64::from(note.level));
    let mut filter = Biquad::low_pass(frequency * 1.2, 0.8);
    let (mut opening, mut tick) = (Envelope::new(0.06, 0.5, 0.65, 0.12).start(note.seconds), 0_usize);
    sound(out, note, &Envelope::new(0.03, 0.6, 0.8, 0.1), || {
        if let Some(now) = pitch.change() {
            lips.tune(now);
            second.tune(now * 1.004);
        }
        let open = opening.next();
        if tick.is_multiple_of(CONTROL) {
            filter.retune(Biquad::low_pass(frequency * (1.2 + peak * f64::from(open)), 0.8));
        }
        tick += 1;
        filter.next(0.3 * (lips.saw() + 0.7 * second.saw()))
    });
}

/// A reed (saxophone, clarinet, harmonica): a pulse of `width` with breath, through a horn's formants near `formant` Hz.
pub(super) fn reed(out: &mut [f32], note: &Note, width: f32, formant: f64, breath: f32, rng: &mut Rng) {
    let mut tube = Osc::new(hz(note.pitch), rng.unit());
    let mut pitch = Pitch::new(note, Vibrato { rate: 5.0, depth: 0.16, delay: 0.35 });
    let mut filter = Biquad::low_pass(formant * 3.6, 0.7);
    let mut horn = [Biquad::peak(formant, 1.8, 8.0), Biquad::peak(formant * 2.4, 2.0, 5.0)];
    sound(out, note, &Envelope::new(0.025, 0.8, 0.8, 0.08), || {
        if let Some(now) = pitch.change() {
            tube.tune(now);
        }
        let sample = filter.next(0.22 * tube.pulse(width) + breath * noise(rng));
        horn.iter_mut().fold(sample, |x, resonance| resonance.next(x))
    });
}

/// A flute: few harmonics and the wind across the hole.
pub(super) fn flute(out: &mut [f32], note: &Note, rng: &mut Rng) {
    let frequency = hz(note.pitch);
    let mut tube = Osc::new(frequency, 0.0);
    let mut pitch = Pitch::new(note, Vibrato { rate: 5.0, depth: 0.14, delay: 0.3 });
    let mut wind = Biquad::band_pass(frequency * 2.0, 1.2);
    sound(out, note, &Envelope::new(0.06, 1.0, 0.9, 0.12), || {
        if let Some(now) = pitch.change() {
            tube.tune(now);
        }
        let phase = tube.advance();
        let tone = sine(phase) + 0.28 * sine(phase.wrapping_mul(2)) + 0.08 * sine(phase.wrapping_mul(3));
        0.5 * tone + wind.next(0.12 * noise(rng))
    });
}

/// A pedal steel guitar: a bright string that swells in, slides to its pitch and sings with a bar's vibrato.
pub(super) fn pedal_steel(out: &mut [f32], note: &Note) {
    let mut string = Osc::new(hz(note.pitch), 0.0);
    let mut pitch = Pitch::new(note, Vibrato { rate: 5.8, depth: 0.18, delay: 0.6 });
    let mut filter = Biquad::low_pass(3_200.0, 0.8);
    sound(out, note, &Envelope::new(0.09, 4.0, 0.3, 0.3), || {
        if let Some(now) = pitch.change() {
            string.tune(now);
        }
        let phase = string.advance();
        let tone = sine(phase)
            + 0.6 * sine(phase.wrapping_mul(2))
            + 0.4 * sine(phase.wrapping_mul(3))
            + 0.25 * sine(phase.wrapping_mul(4))
            + 0.15 * sine(phase.wrapping_mul(6));
        filter.next(0.35 * tone)
    });
}

/// A subtractive synthesiser.
#[derive(Clone, Copy, Debug)]
pub(super) struct Synth {
    /// Saw (0) or a pulse of this width.
    pub(super) width: f32,
    /// Relative detuning of the second oscillator.
    pub(super) detune: f64,
    /// Low-pass in Hz when closed, and how many octaves the filter's envelope opens it.
    pub(super) cutoff: f64,
    /// Octaves.
    pub(super) sweep: f64,
    /// Resonance.
    pub(super) q: f64,
    /// The level, and the filter's opening.
    pub(super) envelope: Envelope,
}

impl Synth {
    /// Adds a note to `out`.
    pub(super) fn play(&self, out: &mut [f32], note: &Note, rng: &mut Rng) {
        let mut first = Osc::new(hz(note.pitch), rng.unit());
        let mut second = Osc::new(hz(note.pitch), rng.unit());
        let mut pitch = Pitch::new(note, STRAIGHT);
        let mut filter = Biquad::low_pass(self.cutoff, self.q);
        let (mut opening, mut tick) = (self.envelope.start(note.seconds), 0_usize);
        sound(out, note, &self.envelope, || {
            if let Some(now) = pitch.change() {
                first.tune(now);
                second.tune(now * (1.0 + self.detune));
            }
            let open = opening.next();
            if tick.is_multiple_of(CONTROL) {
                let cutoff = self.cutoff * libm::exp2(self.sweep * f64::from(open));
                filter.retune(Biquad::low_pass(cutoff, self.q));
            }
            tick += 1;
            let sum = if self.width > 0.0 {
                first.pulse(self.width) + second.pulse(self.width)
            } else {
                first.saw() + second.saw()
            };
            filter.next(0.3 * sum)
        });
    }
}

/// A bass below everything: a sine, `warmth` of saturation for the loudspeakers that cannot play it.
pub(super) fn sub_bass(out: &mut [f32], note: &Note, warmth: f32) {
    let mut osc = Osc::new(hz(note.pitch), 0.0);
    let mut pitch = Pitch::new(note, STRAIGHT);
    let factor = 1.0 + 2.0 * warmth;
    sound(out, note, &Envelope::new(0.008, 3.0, 0.6, 0.08), || {
        if let Some(now) = pitch.change() {
            osc.tune(now);
        }
        0.9 * saturate(factor * osc.sine())
    });
}

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
