//! What is done to a sound once it is made: filters, drive, echo, room, compression.

use super::osc::{FS, Osc, decay_factor, gain};
pub(super) use crate::biquad::Biquad;

/// Filters at [`FS`]; frequencies in Hz.
impl Biquad {
    /// Passes what is below `hz`.
    pub(super) fn low_pass(hz: f64, q: f64) -> Self {
        Self::low_pass_at(FS, hz, q)
    }

    /// Passes what is above `hz`.
    pub(super) fn high_pass(hz: f64, q: f64) -> Self {
        Self::high_pass_at(FS, hz, q)
    }

    /// Passes what is around `hz`, with gain 1 there.
    pub(super) fn band_pass(hz: f64, q: f64) -> Self {
        Self::band_pass_at(FS, hz, q)
    }

    /// Raises or lowers what is around `hz` by `db`.
    pub(super) fn peak(hz: f64, q: f64, db: f64) -> Self {
        Self::peak_at(FS, hz, q, db)
    }

    /// Raises or lowers what is above `hz` by `db`.
    pub(super) fn high_shelf(hz: f64, db: f64) -> Self {
        Self::high_shelf_at(FS, hz, db)
    }
}

/// A curve like tanh, by its Padé approximant: odd, slope 1 at 0, ±1 from ±3 on.
pub(super) fn saturate(x: f32) -> f32 {
    let x = x.clamp(-3.0, 3.0);
    x * (27.0 + x * x) / (27.0 + 9.0 * x * x)
}

/// An amplifier driven by `db`, in place; `bias` makes it asymmetric, which adds the even harmonics of a tube.
pub(super) fn drive(track: &mut [f32], db: f64, bias: f32) {
    let (factor, rest) = (gain(db), saturate(bias));
    for sample in track {
        *sample = saturate(*sample * factor + bias) - rest;
    }
}

/// The loudspeaker of a guitar amplifier: little below 90 Hz and above `top` Hz, a presence near 2.5 kHz.
pub(super) fn cabinet(track: &mut [f32], top: f64) {
    Biquad::high_pass(90.0, 0.8).apply(track);
    Biquad::peak(2_500.0, 0.9, 4.0).apply(track);
    Biquad::low_pass(top, 0.8).apply(track);
}

/// Level that swings by `depth` (0 to 1) at `rate` Hz, in place.
pub(super) fn tremolo(track: &mut [f32], rate: f64, depth: f32) {
    let mut lfo = Osc::new(rate, 0.0);
    for sample in track {
        *sample *= 1.0 - depth * (0.5 + 0.5 * lfo.sine());
    }
}

/// A second voice of a moving delay around 12 ms, as a chorus pedal or a rotating loudspeaker has, in place.
pub(super) fn chorus(track: &mut [f32], rate: f64, depth: f32) {
    const LINE: usize = 1024;
    let mut line = [0.0_f32; LINE];
    let mut lfo = Osc::new(rate, 0.0);
    for (i, sample) in track.iter_mut().enumerate() {
        line[i % LINE] = *sample;
        let back = 265.0 + 90.0 * lfo.sine();
        let whole = back as usize;
        let fraction = back - whole as f32;
        let near = line[(i + LINE - whole) % LINE];
        let far = line[(i + LINE - whole - 1) % LINE];
        *sample += depth * (near + fraction * (far - near));
    }
}

/// A tape echo: repeats every `seconds`, each `feedback` of the last and duller; adds `mix` of them in place.
pub(super) fn echo(track: &mut [f32], seconds: f64, feedback: f32, mix: f32) {
    let length = ((seconds * FS) as usize).max(1);
    let mut line = vec![0.0_f32; length];
    let mut dull = Biquad::low_pass(2_400.0, 0.7);
    for (i, sample) in track.iter_mut().enumerate() {
        let back = line[i % length];
        line[i % length] = dull.next(*sample + feedback * back);
        *sample += mix * back;
    }
}

/// A room after Schroeder (1962) with damped combs (Moorer 1979): `seconds` of decay, `size` 0.5 (chamber) to 1.5 (hall).
pub(super) fn reverb(input: &[f32], seconds: f64, size: f64, damping: f32) -> Vec<f32> {
    const COMBS: [f64; 6] = [0.0253, 0.0269, 0.0290, 0.0307, 0.0322, 0.0353];
    const DIFFUSERS: [f64; 2] = [0.0126, 0.0051];
    let mut out = vec![0.0_f32; input.len()];
    for delay in COMBS {
        let length = ((delay * size * FS) as usize).max(1);
        let feedback = gain(-60.0 * delay * size / seconds.max(0.05));
        let mut line = vec![0.0_f32; length];
        let (mut at, mut low) = (0, 0.0_f32);
        for (&x, y) in input.iter().zip(&mut out) {
            let back = line[at];
            low = back + damping * (low - back);
            line[at] = x + feedback * low + 1e-15;
            at = if at + 1 == length { 0 } else { at + 1 };
            *y += back;
        }
    }
    for delay in DIFFUSERS {
        let length = ((delay * size * FS) as usize).max(1);
        let mut line = vec![0.0_f32; length];
        let mut at = 0;
        for sample in &mut out {
            let back = line[at];
            let into = *sample + 0.5 * back;
            line[at] = into;
            at = if at + 1 == length { 0 } else { at + 1 };
            *sample = back - 0.5 * into;
        }
    }
    out
}

/// Lowers what is louder than `threshold_db` (of RMS over some 20 ms) by `ratio`, in place.
pub(super) fn compress(track: &mut [f32], threshold_db: f64, ratio: f64, release: f64) {
    const BLOCK: usize = 128;
    let threshold = f64::from(gain(threshold_db));
    let fall = f64::from(decay_factor(release * 4.0));
    let fall = libm::pow(fall, BLOCK as f64);
    let (mut power, mut last) = (0.0_f64, 1.0_f32);
    for block in track.chunks_mut(BLOCK) {
        let now = block.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / block.len() as f64;
        power = if now > power { 0.5 * (now + power) } else { now + fall * (power - now) };
        let over = (power.sqrt() / threshold).max(1.0);
        let next = libm::pow(over, 1.0 / ratio - 1.0) as f32;
        let slope = (next - last) / block.len() as f32;
        for (i, sample) in block.iter_mut().enumerate() {
            *sample *= last + slope * (i + 1) as f32;
        }
        last = next;
    }
}

/// Brings the track to `rms_db` of full scale and rounds its peaks so that none passes 0.98.
pub(super) fn master(track: &mut [f32], rms_db: f64) {
    let power = track.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / track.len().max(1) as f64;
    let factor = gain(rms_db) / (power.sqrt() as f32).max(1e-9);
    for sample in track {
        let x = *sample * factor;
        // Linear up to 0.6, from there towards 0.98.
        let over = (x.abs() - 0.6).max(0.0);
        let soft = 0.6_f32.min(x.abs()) + 0.38 * saturate(over / 0.38);
        *sample = if x < 0.0 { -soft } else { soft };
    }
}
