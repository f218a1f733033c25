//! Frame-wise series of the waveform itself: root mean square and zero-crossing rate.
//!
//! Both take frames of `frame_length` samples every `hop_length`. Centred, frame `t` is around sample
//! `t · hop_length`, and the waveform is continued by `frame_length / 2` samples at either end; otherwise the frame
//! starts there. An empty waveform, one shorter than an uncentred frame, and a length or hop of 0 have no frames.

use libm::sqrt;

/// Frames that [`rms`] and [`zero_crossing_rate`] give for `len` samples.
#[must_use]
pub fn n_frames(len: usize, frame_length: usize, hop_length: usize, center: bool) -> usize {
    if len == 0 || frame_length == 0 || hop_length == 0 {
        return 0;
    }
    let padded = if center { len + 2 * (frame_length / 2) } else { len };
    if padded < frame_length { 0 } else { 1 + (padded - frame_length) / hop_length }
}

/// Root mean square of each frame, in full scales (≥ 0), one value a frame.
///
/// Centred frames see zeros beyond the ends, as `librosa.feature.rms` does since version 0.10. Squares are summed in `f64`.
#[must_use]
pub fn rms(y: &[f32], frame_length: usize, hop_length: usize, center: bool) -> Vec<f32> {
    let frames = n_frames(y.len(), frame_length, hop_length, center);
    if frames == 0 {
        return Vec::new();
    }
    let pad = if center { frame_length / 2 } else { 0 };
    // Every frame is a whole number of blocks, so each sample is squared once and not once a frame.
    let block = gcd(frame_length, hop_length);
    let (in_frame, in_hop) = (frame_length / block, hop_length / block);
    let energy: Vec<f64> = (0..(frames - 1) * in_hop + in_frame)
        .map(|b| {
            let start = (b * block).saturating_sub(pad).min(y.len());
            let end = ((b + 1) * block).saturating_sub(pad).min(y.len());
            sum_of_squares(&y[start..end])
        })
        .collect();
    (0..frames)
        .map(|t| {
            let sum: f64 = energy[t * in_hop..][..in_frame].iter().sum();
            sqrt(sum / frame_length as f64) as f32
        })
        .collect()
}

/// Σ x² in eight interleaved sums, added in a fixed order.
fn sum_of_squares(x: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let chunks = x.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(v) * f64::from(v);
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(rest) {
        *lane += f64::from(v) * f64::from(v);
    }
    lanes.iter().sum()
}

/// Magnitudes up to this count as 0, and 0 as positive (`librosa.zero_crossings`).
const ZERO_CROSSING_THRESHOLD: f32 = 1e-10;

/// Share of the samples of each frame whose sign differs from that of the sample before (0 to 1), one value a frame.
///
/// The first sample of a frame never counts (`pad=False`); centred frames see the first and last sample repeated beyond
/// the ends. As `librosa.feature.zero_crossing_rate` does.
#[must_use]
pub fn zero_crossing_rate(y: &[f32], frame_length: usize, hop_length: usize, center: bool) -> Vec<f32> {
    let frames = n_frames(y.len(), frame_length, hop_length, center);
    if frames == 0 {
        return Vec::new();
    }
    // until[i]: crossings at samples 1..=i. Repeated edge samples add none, so an index beyond the ends is clamped.
    let mut until = Vec::with_capacity(y.len());
    let mut crossings = 0u64;
    let mut before = y[0] < -ZERO_CROSSING_THRESHOLD;
    for &v in y {
        let negative = v < -ZERO_CROSSING_THRESHOLD;
        crossings += u64::from(negative != before);
        before = negative;
        until.push(crossings);
    }
    let pad = if center { frame_length / 2 } else { 0 };
    let at = |padded: usize| until[padded.saturating_sub(pad).min(y.len() - 1)];
    (0..frames)
        .map(|t| {
            let start = t * hop_length;
            ((at(start + frame_length - 1) - at(start)) as f64 / frame_length as f64) as f32
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Both series straight from their definitions.
    fn by_definition(y: &[f32], frame_length: usize, hop: usize, center: bool) -> (Vec<f64>, Vec<f64>) {
        let pad = if center { frame_length / 2 } else { 0 };
        let zeros: Vec<f32> = [vec![0.0; pad], y.to_vec(), vec![0.0; pad]].concat();
        let edges: Vec<f32> = [vec![y[0]; pad], y.to_vec(), vec![y[y.len() - 1]; pad]].concat();
        let starts = || (0..).map(|t| t * hop).take_while(|s| s + frame_length <= zeros.len());
        let rms = starts()
            .map(|s| {
                let frame = &zeros[s..s + frame_length];
                (frame.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / frame_length as f64).sqrt()
            })
            .collect();
        let zcr = starts()
            .map(|s| {
                let frame = &edges[s..s + frame_length];
                frame.windows(2).filter(|w| (w[0] < -1e-10) != (w[1] < -1e-10)).count() as f64 / frame_length as f64
            })
            .collect();
        (rms, zcr)
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            y in prop::collection::vec(prop_oneof![Just(0.0f32), -1.0f32..1.0], 1..200),
            frame_length in 1usize..40, hop in 1usize..30, center: bool,
        ) {
            let (want_rms, want_zcr) = by_definition(&y, frame_length, hop, center);
            let (got_rms, got_zcr) = (rms(&y, frame_length, hop, center), zero_crossing_rate(&y, frame_length, hop, center));
            prop_assert_eq!(got_rms.len(), want_rms.len());
            prop_assert_eq!(got_zcr.len(), want_zcr.len());
            for (g, w) in got_rms.iter().zip(want_rms).chain(got_zcr.iter().zip(want_zcr)) {
                prop_assert!((f64::from(*g) - w).abs() < 1e-6, "{} {}", g, w);
            }
        }
    }

    #[test]
    fn no_frames_without_samples_or_lengths() {
        assert!(rms(&[], 2048, 512, true).is_empty());
        assert!(zero_crossing_rate(&[0.5; 100], 2048, 512, false).is_empty());
        assert!(rms(&[0.5; 100], 0, 512, true).is_empty());
        assert!(zero_crossing_rate(&[0.5; 100], 16, 0, true).is_empty());
    }

    #[test]
    fn one_sample_has_one_centred_frame() {
        let want = (0.25f64 / 2048.0).sqrt() as f32;
        assert_eq!(rms(&[0.5], 2048, 512, true), [want]);
        assert_eq!(zero_crossing_rate(&[0.5], 2048, 512, true), [0.0]);
    }
}
