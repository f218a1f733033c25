//! Time, pitch, level, and the oscillators and envelopes that every instrument is made of.
//!
//! Everything here is `+ − × ÷` and the `libm` crate, so that a render has the same bits on every CPU.

use std::sync::LazyLock;

use crate::rng::Rng;

/// Samples a second of everything that is synthesised: GTZAN's rate.
pub(super) const RATE: u32 = 22_050;

/// [`RATE`] as a number to calculate with.
pub(super) const FS: f64 = RATE as f64;

/// 2³²: the steps in one turn of an oscillator's phase.
const TURN: f64 = 4_294_967_296.0;

/// One turn in radians, as the filters need it.
pub(super) const TAU: f64 = std::f64::consts::TAU;

/// Frequency in Hz of a MIDI pitch (69 is 440 Hz); fractions are between the keys.
pub(super) fn hz(pitch: f64) -> f64 {
    440.0 * libm::exp2((pitch - 69.0) / 12.0)
}

/// Linear gain of a level in decibels.
pub(super) fn gain(db: f64) -> f32 {
    libm::pow(10.0, db / 20.0) as f32
}

/// Factor a sample by which a level falls 60 dB within `seconds`.
pub(super) fn decay_factor(seconds: f64) -> f32 {
    libm::exp(-6.907_755 / (seconds.max(1e-3) * FS)) as f32
}

/// A sample of white noise, uniform in [−1, 1).
pub(super) fn noise(rng: &mut Rng) -> f32 {
    (rng.unit() * 2.0 - 1.0) as f32
}

/// The part of `out` from `start` seconds and `seconds` long that exists; a start before 0 is 0.
pub(super) fn window(out: &mut [f32], start: f64, seconds: f64) -> &mut [f32] {
    let from = ((start.max(0.0) * FS) as usize).min(out.len());
    let to = (from + (seconds.max(0.0) * FS) as usize).min(out.len());
    &mut out[from..to]
}

const TABLE_BITS: u32 = 12;

/// One turn of a sine and the first point again, for interpolation.
static SINE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let points = 1_u32 << TABLE_BITS;
    (0..=points).map(|i| libm::sin(TAU * f64::from(i) / f64::from(points)) as f32).collect()
});

/// Sine of a phase in 2⁻³² turns; a harmonic is `phase.wrapping_mul(k)`.
pub(super) fn sine(phase: u32) -> f32 {
    let table = SINE.as_slice();
    let index = (phase >> (32 - TABLE_BITS)) as usize;
    let fraction = (phase << TABLE_BITS) as f32 * (1.0 / TURN as f32);
    table[index] + fraction * (table[index + 1] - table[index])
}

/// A number of turns as a phase, for frequency modulation.
pub(super) fn turns(x: f32) -> u32 {
    (f64::from(x) * TURN) as i64 as u32
}

/// A phase that advances; the wave is chosen at each sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Osc {
    phase: u32,
    step: u32,
}

impl Osc {
    /// At `hz`, starting at `phase` in turns.
    pub(super) fn new(hz: f64, phase: f64) -> Self {
        let mut osc = Self { phase: turns(phase as f32), step: 0 };
        osc.tune(hz);
        osc
    }

    /// Changes the frequency and keeps the phase; above Nyquist it is held there.
    pub(super) fn tune(&mut self, hz: f64) {
        self.step = (hz.clamp(0.0, 0.49 * FS) / FS * TURN) as u32;
    }

    /// The phase now, and one sample forward.
    pub(super) fn advance(&mut self) -> u32 {
        let now = self.phase;
        self.phase = now.wrapping_add(self.step);
        now
    }

    /// Next sample of a sine.
    pub(super) fn sine(&mut self) -> f32 {
        sine(self.advance())
    }

    /// Next sample of a saw, its step rounded by a polyBLEP (Välimäki and Huovilainen 2007) against aliasing.
    pub(super) fn saw(&mut self) -> f32 {
        let step = self.step;
        let phase = self.advance();
        ramp(phase, step)
    }

    /// Next sample of a pulse that is high for `width` of a turn, as the difference of two saws.
    pub(super) fn pulse(&mut self, width: f32) -> f32 {
        let step = self.step;
        let phase = self.advance();
        ramp(phase, step) - ramp(phase.wrapping_add(turns(width)), step)
    }
}

fn ramp(phase: u32, step: u32) -> f32 {
    let t = phase as f32 * (1.0 / TURN as f32);
    let dt = (step as f32 * (1.0 / TURN as f32)).max(1e-9);
    let blep = if t < dt {
        let x = t / dt;
        x + x - x * x - 1.0
    } else if t > 1.0 - dt {
        let x = (t - 1.0) / dt;
        x * x + x + x + 1.0
    } else {
        0.0
    };
    2.0 * t - 1.0 - blep
}

/// One note of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    /// Onset in seconds.
    pub(super) start: f64,
    /// How long it is held, in seconds; the release comes after.
    pub(super) seconds: f64,
    /// MIDI pitch.
    pub(super) pitch: f64,
    /// Linear level, about 1 for a strong note.
    pub(super) level: f32,
    /// Semitones from the pitch at which it starts, and the seconds in which it arrives.
    pub(super) bend: (f64, f64),
}

impl Note {
    /// A note without a bend.
    pub(super) fn new(start: f64, seconds: f64, pitch: impl Into<f64>, level: f64) -> Self {
        Self { start, seconds, pitch: pitch.into(), level: level as f32, bend: (0.0, 0.0) }
    }

    /// The same, arriving at its pitch from `semitones` away within `seconds`.
    pub(super) fn bent(self, semitones: f64, seconds: f64) -> Self {
        Self { bend: (semitones, seconds), ..self }
    }
}

/// Slow change of pitch while a note sounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vibrato {
    /// Hz.
    pub(super) rate: f64,
    /// Semitones to each side.
    pub(super) depth: f64,
    /// Seconds until it is there.
    pub(super) delay: f64,
}

/// No vibrato.
pub(super) const STRAIGHT: Vibrato = Vibrato { rate: 1.0, depth: 0.0, delay: 1.0 };

/// Samples between two values of a slow control.
pub(super) const CONTROL: usize = 32;

/// The frequency of a note as it bends and shakes, a value every [`CONTROL`] samples.
#[derive(Debug)]
pub(super) struct Pitch {
    note: Note,
    vibrato: Vibrato,
    lfo: Osc,
    tick: usize,
}

impl Pitch {
    pub(super) fn new(note: &Note, vibrato: Vibrato) -> Self {
        Self { note: *note, vibrato, lfo: Osc::new(vibrato.rate * CONTROL as f64, 0.0), tick: 0 }
    }

    /// Called once a sample: the new frequency in Hz where there is one.
    pub(super) fn change(&mut self) -> Option<f64> {
        let tick = self.tick;
        self.tick += 1;
        let moving = self.vibrato.depth > 0.0 || self.note.bend.0 != 0.0;
        if !tick.is_multiple_of(CONTROL) || (tick > 0 && !moving) {
            return None;
        }
        let time = tick as f64 / FS;
        let bend = self.note.bend.0 * (1.0 - time / self.note.bend.1.max(1e-3)).max(0.0);
        let shake = self.vibrato.depth * (time / self.vibrato.delay.max(1e-3)).min(1.0) * f64::from(self.lfo.sine());
        Some(hz(self.note.pitch + bend + shake))
    }
}

/// Level over a note: linear attack, exponential decay to the sustained level, exponential release.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    /// Seconds.
    pub(super) attack: f64,
    /// Seconds in which the excess over the sustained level falls by 60 dB.
    pub(super) decay: f64,
    /// Part of the peak.
    pub(super) sustain: f32,
    /// Seconds in which the rest falls by 60 dB once the note is let go.
    pub(super) release: f64,
}

impl Envelope {
    pub(super) const fn new(attack: f64, decay: f64, sustain: f32, release: f64) -> Self {
        Self { attack, decay, sustain, release }
    }

    /// The running envelope of a note held for `seconds`.
    pub(super) fn start(&self, seconds: f64) -> Level {
        Level {
            rise: (1.0 / (self.attack.max(1e-3) * FS)) as f32,
            rising: true,
            level: 0.0,
            sustain: self.sustain,
            decay: decay_factor(self.decay),
            release: decay_factor(self.release),
            held: (seconds * FS) as usize,
        }
    }
}

/// An envelope in progress.
#[derive(Debug)]
pub(super) struct Level {
    rise: f32,
    rising: bool,
    level: f32,
    sustain: f32,
    decay: f32,
    release: f32,
    held: usize,
}

impl Level {
    /// The level at the next sample, in [0, 1].
    pub(super) fn next(&mut self) -> f32 {
        if self.held == 0 {
            self.level *= self.release;
            return self.level;
        }
        self.held -= 1;
        if self.rising {
            self.level += self.rise;
            self.rising = self.level < 1.0;
        } else {
            self.level = self.sustain + (self.level - self.sustain) * self.decay;
        }
        self.level = self.level.min(1.0);
        self.level
    }
}

/// Adds `note` to `out`: `source` makes the samples, `envelope` their level.
pub(super) fn sound(out: &mut [f32], note: &Note, envelope: &Envelope, mut source: impl FnMut() -> f32) {
    let mut level = envelope.start(note.seconds);
    for sample in window(out, note.start, note.seconds + envelope.release) {
        *sample += note.level * level.next() * source();
    }
}
