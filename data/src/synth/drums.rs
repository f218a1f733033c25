//! Drums and percussion, from sines that fall and noise that is filtered.

use super::effects::Biquad;
use super::osc::{FS, Osc, decay_factor, noise, window};
use crate::rng::Rng;

/// A drum kit, or a drum machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kit {
    /// Factor on the pitch of the skins, about 1.
    pub(super) tune: f64,
    /// Factor on how long they ring, about 1.
    pub(super) ring: f64,
    /// Factor on the frequency of the metal and of the snare's wires, about 1.
    pub(super) bright: f64,
    /// 0 soft and round, 1 with a hard click.
    pub(super) click: f32,
}

/// Noise in a band, at once loud or after `attack` seconds, falling by 60 dB within `decay`.
#[derive(Clone, Copy, Debug)]
struct Burst {
    attack: f64,
    decay: f64,
    filter: Biquad,
}

impl Burst {
    fn play(mut self, out: &mut [f32], at: f64, level: f32, rng: &mut Rng) {
        let rise = (1.0 / (self.attack.max(1e-4) * FS)) as f32;
        let fall = decay_factor(self.decay);
        let (mut up, mut down) = (0.0_f32, 1.0_f32);
        for sample in window(out, at, self.attack + self.decay) {
            if up < 1.0 {
                up = (up + rise).min(1.0);
            } else {
                down *= fall;
            }
            *sample += level * up * down * self.filter.next(noise(rng));
        }
    }
}

/// A skin: a sine that falls from `over` times its pitch to `hz` in some 20 ms.
fn skin(out: &mut [f32], at: f64, level: f32, hz: f64, over: f64, decay: f64) {
    let mut osc = Osc::new(hz * over, 0.0);
    let (mut excess, settle) = (hz * (over - 1.0), f64::from(decay_factor(0.14)));
    let (mut loud, fall) = (level, decay_factor(decay));
    for (i, sample) in window(out, at, decay).iter_mut().enumerate() {
        if i % 8 == 0 {
            osc.tune(hz + excess);
        }
        excess *= settle;
        loud *= fall;
        *sample += loud * osc.sine();
    }
}

impl Kit {
    /// Bass drum.
    pub(super) fn kick(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        let level = level as f32;
        skin(out, at, level, 52.0 * self.tune, 3.4, 0.55 * self.ring);
        let filter = Biquad::band_pass(2_800.0 * self.bright, 0.8);
        Burst { attack: 0.0, decay: 0.03, filter }.play(out, at, 0.9 * self.click * level, rng);
    }

    /// Snare drum.
    pub(super) fn snare(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        let level = level as f32;
        skin(out, at, 0.4 * level, 185.0 * self.tune, 1.6, 0.18 * self.ring);
        skin(out, at, 0.25 * level, 330.0 * self.tune, 1.4, 0.12 * self.ring);
        let filter = Biquad::high_pass(1_700.0 * self.bright, 0.7);
        Burst { attack: 0.0, decay: 0.45 * self.ring, filter }.play(out, at, 0.75 * level, rng);
    }

    /// The stick on the rim.
    pub(super) fn rim(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        let level = level as f32;
        skin(out, at, 0.5 * level, 520.0 * self.tune, 1.3, 0.06);
        let filter = Biquad::band_pass(1_900.0 * self.tune, 3.0);
        Burst { attack: 0.0, decay: 0.1, filter }.play(out, at, 1.3 * level, rng);
    }

    /// Closed hi-hat.
    pub(super) fn hat(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        let filter = Biquad::high_pass(6_800.0 * self.bright, 0.9);
        Burst { attack: 0.0, decay: 0.16 * self.ring, filter }.play(out, at, 0.85 * level as f32, rng);
    }

    /// Open hi-hat.
    pub(super) fn open_hat(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        let filter = Biquad::high_pass(6_000.0 * self.bright, 0.9);
        Burst { attack: 0.0, decay: 0.75 * self.ring, filter }.play(out, at, 0.65 * level as f32, rng);
    }

    /// Ride cymbal: a wash and a bell.
    pub(super) fn ride(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        let level = level as f32;
        let filter = Biquad::high_pass(4_800.0 * self.bright, 0.8);
        Burst { attack: 0.0, decay: 0.7 * self.ring, filter }.play(out, at, 0.2 * level, rng);
        for (hz, part) in [(2_430.0, 0.05), (3_370.0, 0.06), (5_210.0, 0.05)] {
            skin(out, at, part * level, hz * self.bright, 1.0, 0.5 * self.ring);
        }
    }

    /// Crash cymbal.
    pub(super) fn crash(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        let filter = Biquad::high_pass(3_200.0 * self.bright, 0.7);
        Burst { attack: 0.0, decay: 2.2 * self.ring, filter }.play(out, at, 0.4 * level as f32, rng);
    }

    /// Tom, `which` from 0 (high) to 2 (floor).
    pub(super) fn tom(&self, out: &mut [f32], at: f64, level: f64, which: usize, rng: &mut Rng) {
        let pitch = [190.0, 140.0, 95.0][which.min(2)] * self.tune;
        skin(out, at, 0.8 * level as f32, pitch, 1.7, 0.4 * self.ring);
        let filter = Biquad::band_pass(1_200.0, 0.8);
        Burst { attack: 0.0, decay: 0.05, filter }.play(out, at, 0.3 * level as f32, rng);
    }

    /// Hands clapping: three bursts and their room.
    pub(super) fn clap(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        for (late, decay) in [(0.0, 0.02), (0.011, 0.02), (0.023, 0.4 * self.ring)] {
            let filter = Biquad::band_pass(1_300.0 * self.bright, 1.2);
            Burst { attack: 0.0, decay, filter }.play(out, at + late, 1.1 * level as f32, rng);
        }
    }

    /// Shaker or tambourine.
    pub(super) fn shaker(&self, out: &mut [f32], at: f64, level: f64, rng: &mut Rng) {
        let filter = Biquad::band_pass(6_200.0 * self.bright, 1.4);
        Burst { attack: 0.025, decay: 0.15, filter }.play(out, at, 0.9 * level as f32, rng);
    }

    /// A wire brush swept over the skin for `seconds`.
    pub(super) fn brush(&self, out: &mut [f32], at: f64, level: f64, seconds: f64, rng: &mut Rng) {
        let filter = Biquad::band_pass(3_400.0 * self.bright, 0.6);
        Burst { attack: 0.4 * seconds, decay: 0.9 * seconds, filter }.play(out, at, 0.5 * level as f32, rng);
    }

    /// A record pushed and pulled under the needle: noise and a tone whose pitch rises or falls.
    pub(super) fn scratch(&self, out: &mut [f32], at: f64, level: f64, seconds: f64, rng: &mut Rng) {
        let up = rng.chance(0.5);
        let mut tone = Osc::new(400.0, 0.0);
        let mut filter = Biquad::band_pass(1_500.0, 2.0);
        let part = window(out, at, seconds);
        let length = part.len().max(1) as f64;
        for (i, sample) in part.iter_mut().enumerate() {
            let x = i as f64 / length;
            let way = if up { x } else { 1.0 - x };
            if i % 32 == 0 {
                tone.tune(250.0 + 1_300.0 * way);
                filter.retune(Biquad::band_pass(600.0 + 3_000.0 * way, 2.0));
            }
            let shape = (4.0 * x * (1.0 - x)) as f32;
            *sample += level as f32 * shape * filter.next(1.2 * noise(rng) + 0.5 * tone.saw());
        }
    }
}
