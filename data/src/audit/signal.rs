//! Faults that the samples of one clip show.

use features::decode::AudioInfo;

use super::Fault;

/// −60 dB of full scale.
const SILENCE: f32 = 1e-3;
/// Shortest run that is silence and not a pause between two waves, in seconds.
const SILENT_SECONDS: f64 = 0.1;
/// Fraction of silence above which a clip is reported.
const MAX_SILENT: f64 = 0.25;
/// Shortest run of samples at full scale that is clipping; single peaks may touch it.
const CLIPPED_RUN: usize = 3;
/// Fraction of clipped samples above which a clip is reported.
const MAX_CLIPPED: f64 = 1e-4;
/// Mean, of full scale, above which a clip is reported.
const MAX_DC: f64 = 0.01;

/// Silence, clipping and DC offset of decoded samples.
pub(super) fn faults(samples: &[f32], info: &AudioInfo) -> Vec<(Fault, String)> {
    let mut faults = Vec::new();
    let n = samples.len() as f64;
    let shortest = ((SILENT_SECONDS * f64::from(info.sample_rate)) as usize).clamp(1, samples.len().max(1));
    let silent = in_runs(samples, shortest, |sample| sample.abs() < SILENCE) as f64 / n;
    if silent > MAX_SILENT {
        let percent = 100.0 * silent;
        faults.push((Fault::Silent, format!("{percent:.1} % of it is below −60 dB of full scale")));
    }
    let full = full_scale(info.bits_per_sample);
    let clipped = in_runs(samples, CLIPPED_RUN, |sample| sample.abs() >= full) as f64 / n;
    if clipped > MAX_CLIPPED {
        let percent = 100.0 * clipped;
        faults.push((Fault::Clipped, format!("{percent:.3} % of its samples are in runs at full scale")));
    }
    let mean = samples.iter().map(|&sample| f64::from(sample)).sum::<f64>() / n;
    if mean.abs() > MAX_DC {
        faults.push((Fault::DcOffset, format!("its mean is {:+.2} % of full scale", 100.0 * mean)));
    }
    faults
}

/// The level that only a clipped sample has: the second step from the top of its integers, as converters stop at either
/// of the last two; for lossy and for floating-point audio, 0.999.
fn full_scale(bits: Option<u32>) -> f32 {
    match bits {
        Some(bits @ 8..=24) => 1.0 - 1.5 / (1u32 << (bits - 1)) as f32,
        _ => 0.999,
    }
}

/// How many samples are in runs of at least `shortest` for which `holds`.
fn in_runs(samples: &[f32], shortest: usize, holds: impl Fn(f32) -> bool) -> usize {
    samples
        .chunk_by(|&a, &b| holds(a) == holds(b))
        .filter(|run| run.len() >= shortest && holds(run[0]))
        .map(<[f32]>::len)
        .sum()
}

#[cfg(test)]
mod tests {
    use features::decode::Tags;

    use super::*;

    fn kinds(samples: &[f32]) -> Vec<Fault> {
        let info = AudioInfo {
            container: "wav",
            codec: "pcm_s16le",
            sample_rate: 8_000,
            channels: 1,
            seconds: samples.len() as f64 / 8_000.0,
            bits_per_sample: Some(16),
            warnings: Vec::new(),
            tags: Tags::default(),
        };
        faults(samples, &info).into_iter().map(|(fault, _)| fault).collect()
    }

    fn sine(gain: f64) -> Vec<f32> {
        (0..16_000).map(|i| ((gain * libm::sin(f64::from(i) * 0.1)) as f32).clamp(-1.0, 32_767.0 / 32_768.0)).collect()
    }

    #[test]
    fn each_fault_is_found_and_sound_is_not_one() {
        assert_eq!(kinds(&sine(0.5)), []);
        assert_eq!(kinds(&sine(1.0)), [], "a peak that touches full scale is not clipped");
        assert_eq!(kinds(&sine(2.0)), [Fault::Clipped]);
        assert_eq!(kinds(&vec![0.0; 16_000]), [Fault::Silent]);
        let offset: Vec<f32> = sine(0.5).iter().map(|s| s + 0.02).collect();
        assert_eq!(kinds(&offset), [Fault::DcOffset]);
        let mut half = sine(0.5);
        half[..4_100].fill(0.0);
        assert_eq!(kinds(&half), [Fault::Silent]);
        half[..4_100].copy_from_slice(&sine(0.5)[..4_100]);
        assert_eq!(kinds(&half), []);
    }

    #[test]
    fn short_pauses_are_not_silence() {
        let quiet: Vec<f32> = (0..16_000).map(|i| if i % 100 < 50 { 0.0 } else { 0.3 * (-1f32).powi(i) }).collect();
        assert_eq!(kinds(&quiet), []);
    }
}
