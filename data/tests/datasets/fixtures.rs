//! Clips and folders for the tests of this crate.

use std::{
    fs,
    path::{Path, PathBuf},
};

use data::rng::Rng;

/// Samples a second of the test clips.
pub(crate) const RATE: u32 = 22_050;

/// A tune that no other seed has: a chord and a noise burst every quarter of a second or so.
pub(crate) fn tune(seed: u64, seconds: f64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let n = (seconds * f64::from(RATE)) as usize;
    let mut samples = Vec::with_capacity(n);
    while samples.len() < n {
        let length = rng.uniform(0.15, 0.4) * f64::from(RATE);
        let tones: Vec<(f64, f64)> =
            (0..5).map(|_| (rng.uniform(0.02, 0.2), 110.0 * libm::exp2(rng.uniform(0.0, 5.5)))).collect();
        let noise = rng.uniform(0.0, 0.1);
        for i in 0..length as usize {
            let t = i as f64 / f64::from(RATE);
            let tone: f64 = tones.iter().map(|(gain, hz)| gain * libm::sin(std::f64::consts::TAU * hz * t)).sum();
            samples.push(((tone + noise * rng.normal()) * libm::exp(-5.0 * t)) as f32);
        }
    }
    samples.truncate(n);
    samples
}

/// Writes 16-bit mono WAV, with the folders above it.
pub(crate) fn write_wav(path: &Path, samples: &[f32], sample_rate: u32) {
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("folders");
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).expect("a new file");
    for sample in samples {
        writer.write_sample((sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16).expect("a sample");
    }
    writer.finalize().expect("a whole file");
}

/// An audio folder of clips of different lengths: `per_genre` each of blues, jazz and rock.
pub(crate) fn write_folder(root: &Path, per_genre: usize) {
    for (g, genre) in ["blues", "jazz", "rock"].into_iter().enumerate() {
        for clip in 0..per_genre {
            let samples = tune((g * 100 + clip) as u64, 2.0 + clip as f64);
            write_wav(&root.join(genre).join(format!("{genre}.own{clip}.wav")), &samples, RATE);
        }
    }
}

/// The real data, where they are: the folder in `TONEARM_SHARED`, or `shared` beside the clone. Says when a test is
/// skipped for want of it.
pub(crate) fn shared(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TONEARM_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = root.join(part);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no {part} in {}", root.display());
    None
}
