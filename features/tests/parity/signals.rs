//! The signals of `experiments/parity/signals.py`, sample for sample.

use std::f64::consts::TAU;

use libm::{exp, fmod, sin};

pub(crate) const SAMPLE_RATE: u32 = 22_050;
const LENGTH: usize = 3 * SAMPLE_RATE as usize;

/// Knuth's 64-bit linear congruential generator; values from −1 to 1 in steps of 2⁻²³.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / 8_388_608.0 - 1.0
    }
}

fn seconds(i: usize) -> f64 {
    i as f64 / f64::from(SAMPLE_RATE)
}

fn chirp() -> Vec<f64> {
    (0..LENGTH).map(seconds).map(|t| 0.6 * sin(TAU * (60.0 * t + 900.0 * t * t))).collect()
}

fn chord() -> Vec<f64> {
    let one = |t: f64| {
        let vibrato = 0.4 * sin(TAU * 5.5 * t);
        let mut x = 0.0;
        for note in [222.17, 279.92, 332.88] {
            for partial in 1..6 {
                let partial = f64::from(partial);
                x += sin(partial * (TAU * note * t + vibrato)) / partial;
            }
        }
        0.12 * exp(-3.0 * fmod(t, 0.75)) * x
    };
    (0..LENGTH).map(seconds).map(one).collect()
}

fn clicks() -> Vec<f64> {
    let mut noise = Noise(7);
    let one = |t: f64| {
        let t = fmod(t, 0.5);
        0.002 * noise.next() + exp(-60.0 * t) * (0.5 * sin(TAU * 1000.0 * t) + 0.3 * noise.next())
    };
    (0..LENGTH).map(seconds).map(one).collect()
}

fn bursts() -> Vec<f64> {
    let mut noise = Noise(11);
    let mut low = 0.0;
    let one = |i: usize| {
        low = 0.85 * low + 0.15 * noise.next();
        if i % 13_230 < 6615 { 0.9 * low } else { 0.0 }
    };
    (0..LENGTH).map(one).collect()
}

fn speech() -> Vec<f64> {
    let mut noise = Noise(13);
    let mut phase = 0.0;
    let one = |t: f64| {
        let pitch = 120.0 + 25.0 * sin(TAU * 0.7 * t);
        phase += TAU * pitch / f64::from(SAMPLE_RATE);
        let mut x = 0.0;
        for partial in 1..25 {
            let partial = f64::from(partial);
            let low = (partial * pitch - 600.0) / 250.0;
            let high = (partial * pitch - 1900.0) / 400.0;
            x += (exp(-low * low) + 0.4 * exp(-high * high)) * sin(partial * phase);
        }
        let mut syllable = sin(TAU * 2.0 * t);
        syllable *= syllable;
        0.25 * syllable * x + 0.02 * (1.0 - syllable) * noise.next()
    };
    (0..LENGTH).map(seconds).map(one).collect()
}

fn edges() -> Vec<f64> {
    let mut noise = Noise(17);
    let one = |i: usize| {
        let (part, at) = (i / (LENGTH / 6), i % (LENGTH / 6));
        let n = noise.next();
        match part {
            0 => 0.0,
            1 => 0.25,
            2 if at == 5000 => 0.9,
            2 => 0.0,
            3 if at % 2 == 0 => 0.5,
            3 => -0.5,
            4 => n / 32_768.0,
            _ => n,
        }
    };
    (0..LENGTH).map(one).collect()
}

/// Every signal by its name, as 16-bit samples.
pub(crate) fn all() -> Vec<(&'static str, Vec<i16>)> {
    let pcm = |x: Vec<f64>| x.into_iter().map(|x| (x * 32_767.0 + 0.5).floor() as i16).collect();
    [
        ("chirp", chirp()),
        ("chord", chord()),
        ("clicks", clicks()),
        ("bursts", bursts()),
        ("speech", speech()),
        ("edges", edges()),
    ]
    .into_iter()
    .map(|(name, x)| (name, pcm(x)))
    .collect()
}

/// Full scale ±1, as decoders give it.
pub(crate) fn samples(pcm: &[i16]) -> Vec<f32> {
    pcm.iter().map(|&s| f32::from(s) / 32_768.0).collect()
}

/// 64-bit FNV-1a of the little-endian bytes, in hex.
pub(crate) fn fnv1a(pcm: &[i16]) -> String {
    let bytes = pcm.iter().flat_map(|s| s.to_le_bytes());
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    format!("{hash:016x}")
}
