//! Whether two clips are one recording, by their acoustic fingerprints.
//!
//! After Haitsma and Kalker (2002), "A highly robust audio fingerprinting system": each bit says whether the difference
//! in level between two neighbouring bands rises or falls. Where they compare frames of 370 ms every 12 ms, the frames of
//! a store hardly overlap; so the levels are first averaged over four of its steps (350 ms) and compared four steps
//! apart, which makes the bits agree even if two clips are shifted by half a step.
//!
//! Limits were set on the 710 rows of GTZAN's store: of its known repeats 52 pairs are found, and no two tracks are taken
//! for one.

use std::collections::BTreeMap;

use features::{FeatureSpec, LogMel};
use rayon::prelude::*;

/// Bits of a step: differences of 17 bands.
const BITS: usize = 16;
/// Part of the mel bands that is used: the lowest hold rumble, the highest are lost in lossy codecs.
const BAND_RANGE: (f64, f64) = (4.0 / 128.0, 116.0 / 128.0);
/// Seconds from one step to the next, about: the hop of GTZAN's store.
const STEP_SECONDS: f64 = 1920.0 / 22_050.0;
/// Steps that are averaged, and steps between the two that a bit compares.
const SMOOTH: usize = 4;
/// Fewest steps of a clip that can be recognised (about 2 s of audio).
const MIN_STEPS: usize = 16;
/// Steps that must overlap, where both clips are long enough (7.5 s).
const MIN_OVERLAP: usize = 86;
/// A fraction of differing bits that no two tracks have, however alike their loops are.
const CERTAIN: f64 = 0.3;
/// Above it, by how much the best shift must surpass all shifts that are further from it than `NEARBY` steps (1 s).
const PROMINENCE: f64 = 0.04;
const NEARBY: usize = 12;
/// Steps are compared one in this many when shifts are searched.
const COARSE: usize = 4;

/// Up to so many clips every pair is compared; of more, those pairs that [`likely_pairs`] finds.
const EVERY_PAIR: usize = 1000;
/// Words of two clips that must agree at one shift, up to a bit, to make the pair likely.
const VOTES: u16 = 4;

/// The bits of a clip.
#[derive(Clone, Debug)]
pub(crate) struct SoundPrint {
    words: Vec<u16>,
    /// Every fourth word, from each of the first four.
    coarse: [Vec<u16>; COARSE],
    step_seconds: f64,
}

/// Where and how well two clips agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Agreement {
    /// Fraction of bits that differ; 0.5 for two clips that have nothing to do with each other.
    pub(crate) error: f64,
    /// Length of what they share.
    pub(crate) overlap_seconds: f64,
    /// How much later it comes in the first than in the second.
    pub(crate) shift_seconds: f64,
}

impl SoundPrint {
    /// The print of a log-mel; `None` if it is too short or too coarse.
    pub(crate) fn of(log_mel: &LogMel, spec: &FeatureSpec) -> Option<Self> {
        let hop_seconds = spec.stft.hop_length as f64 / f64::from(spec.sample_rate);
        let frames_in_step = ((STEP_SECONDS / hop_seconds).round() as usize).max(1);
        if hop_seconds > 2.0 * STEP_SECONDS {
            return None;
        }
        let bands = bands(log_mel)?;
        let n_steps = log_mel.n_frames() / frames_in_step;
        if n_steps < MIN_STEPS + 2 * SMOOTH - 1 {
            return None;
        }
        // Sums over time of the differences between neighbouring bands, so that any average is one subtraction.
        let mut words = vec![0u16; n_steps + 1 - 2 * SMOOTH];
        for (bit, pair) in bands.windows(2).enumerate() {
            let mut sums = vec![0.0];
            for step in 0..n_steps {
                let frames = step * frames_in_step..(step + 1) * frames_in_step;
                let difference: f64 = frames.map(|frame| pair[1][frame] - pair[0][frame]).sum();
                sums.push(sums[step] + difference);
            }
            for (step, word) in words.iter_mut().enumerate() {
                let average = |from: usize| sums[from + SMOOTH] - sums[from];
                *word |= u16::from(average(step + SMOOTH) > average(step)) << bit;
            }
        }
        let coarse = std::array::from_fn(|first| words.iter().skip(first).step_by(COARSE).copied().collect());
        Some(Self { words, coarse, step_seconds: frames_in_step as f64 * hop_seconds })
    }

    /// Looks for the second clip in the first at every shift; `None` if they are not one recording.
    pub(crate) fn find(&self, other: &Self) -> Option<Agreement> {
        let (n, m) = (self.words.len() as isize, other.words.len() as isize);
        let least = (MIN_OVERLAP as isize).min(n).min(m);
        // Bits agree beyond the exact shift by a step or two, so every second shift is enough to come near it.
        let margins: Vec<(isize, f64)> = (least - m..=n - least)
            .step_by(2)
            .filter_map(|shift| Some((shift, self.coarse_margin(other, shift)?)))
            .collect();
        let &(shift, margin) = margins.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        // The coarse figure is of a quarter of the steps and up to a step off.
        if margin < -0.06 {
            return None;
        }
        let (_, found) = (shift - 2..=shift + 2)
            .filter(|&shift| overlap(n, m, shift).len() as isize >= least)
            .filter_map(|shift| self.compare(other, shift))
            .max_by(|a, b| a.0.total_cmp(&b.0))?;
        // Two tracks with one drum loop agree at every bar; one recording agrees once.
        let elsewhere = margins.iter().filter(|(other, _)| other.abs_diff(shift) > NEARBY).map(|(_, margin)| *margin);
        let alone = elsewhere.fold(f64::NEG_INFINITY, f64::max) < margin - PROMINENCE;
        (alone || found.error < CERTAIN).then_some(found)
    }

    /// Tolerated less found error of every fourth step at a shift.
    fn coarse_margin(&self, other: &Self, shift: isize) -> Option<f64> {
        let steps = overlap(self.words.len() as isize, other.words.len() as isize, shift);
        let (from, to) = (steps.start.div_ceil(COARSE), steps.end.div_ceil(COARSE));
        let theirs = other.coarse[0].get(from..to)?;
        let step = COARSE as isize;
        let start = usize::try_from(from as isize + shift.div_euclid(step)).ok()?;
        let ours = self.coarse[shift.rem_euclid(step) as usize].get(start..start + theirs.len())?;
        let differing: u32 = ours.iter().zip(theirs).map(|(a, b)| (a ^ b).count_ones()).sum();
        let error = f64::from(differing) / (BITS * theirs.len()).max(1) as f64;
        Some(tolerance(steps.len()) - error)
    }

    /// All steps at a shift: how far they are within the tolerance, if they are.
    fn compare(&self, other: &Self, shift: isize) -> Option<(f64, Agreement)> {
        let steps = overlap(self.words.len() as isize, other.words.len() as isize, shift);
        let n_steps = steps.len();
        let theirs = other.words.get(steps.clone())?;
        let start = usize::try_from(steps.start as isize + shift).ok()?;
        let ours = self.words.get(start..start + theirs.len())?;
        // Where nothing changes in either clip, as in silence, all bits are 0: that they agree says nothing.
        let (mut sounding, mut differing) = (0usize, 0);
        for (a, b) in ours.iter().zip(theirs).filter(|(a, b)| **a != 0 || **b != 0) {
            sounding += 1;
            differing += (a ^ b).count_ones();
        }
        if sounding < MIN_STEPS || 2 * sounding < n_steps {
            return None;
        }
        let error = f64::from(differing) / (BITS * sounding) as f64;
        let margin = tolerance(sounding) - error;
        let agreement = Agreement {
            error,
            overlap_seconds: n_steps as f64 * self.step_seconds,
            shift_seconds: shift as f64 * self.step_seconds,
        };
        (margin > 0.0).then_some((margin, agreement))
    }
}

/// Clips that are one recording, as far as they have prints: (earlier, later, how they agree), ordered by later and then by earlier. On
/// the threads of the pool that it is called from.
///
/// Up to 1,000 clips every pair is compared. Of more, pairs are found by an index whose keys grow with the number of clips, so that the time
/// is about proportional to it; repeats of which more than a quarter of the bits differ may be missed then.
pub(crate) fn repeats(prints: &[Option<SoundPrint>]) -> Vec<(usize, usize, Agreement)> {
    repeats_among(prints, EVERY_PAIR)
}

fn repeats_among(prints: &[Option<SoundPrint>], every_pair: usize) -> Vec<(usize, usize, Agreement)> {
    let compare =
        |earlier: usize, later: usize| Some((earlier, later, prints[earlier].as_ref()?.find(prints[later].as_ref()?)?));
    if prints.len() <= every_pair {
        let of_later = |later| (0..later).filter_map(move |earlier| compare(earlier, later)).collect::<Vec<_>>();
        return (0..prints.len()).into_par_iter().flat_map_iter(of_later).collect();
    }
    likely_pairs(prints).into_par_iter().filter_map(|(later, earlier)| compare(earlier, later)).collect()
}

/// Pairs (later, earlier), ordered, of which [`VOTES`] words agree at one shift, but for one bit.
///
/// A word has 16 bits, and random words of many clips agree. So a key is a word with as many bits of a later word as make all keys of
/// all clips fall apart; the words of one key are then few, whatever the number of clips.
fn likely_pairs(prints: &[Option<SoundPrint>]) -> Vec<(usize, usize)> {
    let more_bits = (prints.len() / 500).max(1).ilog2().min(16);
    let keys = |print: &SoundPrint| -> Vec<u32> {
        let later = print.words.iter().skip(2 * SMOOTH);
        let bits = (1u32 << more_bits) - 1;
        // Silence has no bits, and agrees with any other silence.
        print.words.iter().zip(later).map(|(&a, &b)| u32::from(a) | (u32::from(b) & bits) << BITS).collect()
    };
    let keys: Vec<Vec<u32>> = prints.par_iter().map(|print| print.as_ref().map(keys).unwrap_or_default()).collect();
    let mut index: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for (clip, keys) in keys.iter().enumerate() {
        for (step, &key) in keys.iter().enumerate().filter(|(_, key)| **key != 0) {
            index.entry(key).or_default().push((clip as u32, step as u32));
        }
    }
    // A key that a tenth of all clips have says nothing.
    let common = (prints.len() / 10).max(100);
    index.retain(|_, places| places.len() <= common);
    let of_later = |later: usize| {
        let mut votes: BTreeMap<(u32, i64), u16> = BTreeMap::new();
        for (step, &key) in keys[later].iter().enumerate().filter(|(_, key)| **key != 0) {
            let probes = std::iter::once(key).chain((0..BITS as u32 + more_bits).map(|bit| key ^ 1 << bit));
            for &(clip, at) in probes.filter_map(|probe| index.get(&probe)).flatten() {
                if (clip as usize) < later {
                    // Half a step apart, two clips agree at two shifts.
                    let shift = (i64::from(at) - step as i64).div_euclid(2);
                    *votes.entry((clip, shift)).or_default() += 1;
                }
            }
        }
        let mut earlier: Vec<usize> =
            votes.into_iter().filter(|(_, votes)| *votes >= VOTES).map(|((clip, _), _)| clip as usize).collect();
        earlier.dedup();
        earlier.into_iter().map(move |earlier| (later, earlier)).collect::<Vec<_>>()
    };
    (0..prints.len()).into_par_iter().flat_map_iter(of_later).collect()
}

/// Steps of the second clip that lie within the first when step `i` of it falls on step `i + shift` of the first.
fn overlap(n: isize, m: isize, shift: isize) -> std::ops::Range<usize> {
    let start = 0.max(-shift);
    let end = m.min(n - shift).max(start);
    start as usize..end as usize
}

/// Fraction of bits that may differ. Chance alone comes as low as about `0.5 − 1/√steps` somewhere among all pairs and
/// shifts of a thousand clips.
fn tolerance(steps: usize) -> f64 {
    (0.5 - 1.25 / (steps.max(1) as f64).sqrt()).min(0.39)
}

/// Mean level of 17 bands in each frame; `None` if the log-mel has too few.
fn bands(log_mel: &LogMel) -> Option<Vec<Vec<f64>>> {
    let n_mels = log_mel.n_mels() as f64;
    let (low, high) = (BAND_RANGE.0 * n_mels, BAND_RANGE.1 * n_mels);
    let edge = |i: usize| (low + (high - low) * i as f64 / (BITS + 1) as f64).floor() as usize;
    let db = log_mel.db();
    (0..=BITS)
        .map(|band| {
            let (from, to) = (edge(band), edge(band + 1));
            let mut sums = vec![0.0; log_mel.n_frames()];
            for mel in from..to {
                sums.iter_mut().zip(db.row(mel)).for_each(|(sum, &db)| *sum += f64::from(db));
            }
            sums.iter_mut().for_each(|sum| *sum /= (to - from) as f64);
            (from < to).then_some(sums)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// A print of random words that stay for a while, as those of a track do.
    fn print(rng: &mut Rng, steps: usize) -> Vec<u16> {
        let mut word = 0;
        (0..steps)
            .map(|_| {
                for bit in 0..BITS {
                    if rng.below(4) == 0 {
                        word ^= 1 << bit;
                    }
                }
                word
            })
            .collect()
    }

    fn of(words: Vec<u16>) -> SoundPrint {
        let coarse = std::array::from_fn(|first| words.iter().skip(first).step_by(COARSE).copied().collect());
        SoundPrint { words, coarse, step_seconds: STEP_SECONDS }
    }

    #[test]
    fn the_index_finds_what_the_comparison_of_every_pair_finds() {
        let mut rng = Rng::new(3);
        let mut words: Vec<Vec<u16>> = (0..400).map(|_| print(&mut rng, 337)).collect();
        // Copies that are shifted, and of which one bit in eight is another.
        for (copy, original) in [(350, 10), (360, 20), (370, 30), (380, 10), (399, 0)] {
            let mut copied: Vec<u16> = words[original][copy % 60..].to_vec();
            copied
                .iter_mut()
                .for_each(|word| (0..BITS).filter(|_| rng.below(8) == 0).for_each(|bit| *word ^= 1 << bit));
            words[copy] = copied;
        }
        let mut prints: Vec<Option<SoundPrint>> = words.into_iter().map(of).map(Some).collect();
        prints[5] = None;
        let pairs =
            |found: Vec<(usize, usize, Agreement)>| found.into_iter().map(|(a, b, _)| (a, b)).collect::<Vec<_>>();
        let every = pairs(repeats_among(&prints, usize::MAX));
        assert_eq!(every, [(10, 350), (20, 360), (30, 370), (10, 380), (350, 380), (0, 399)]);
        assert_eq!(pairs(repeats_among(&prints, 0)), every);
    }
}
