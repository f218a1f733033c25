//! What is bowed, blown or held: string sections, solo strings, brass, reeds, flute, pedal steel, synthesisers.

use super::effects::{Biquad, saturate};
use super::osc::{CONTROL, Envelope, Note, Osc, Pitch, STRAIGHT, Vibrato, hz, noise, sine, sound};
use crate::rng::Rng;

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
