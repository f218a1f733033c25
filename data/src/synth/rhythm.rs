//! When things are played: patterns on a grid, phrases with breaths between them.

use crate::rng::Rng;

/// Beats at which `pattern` has a hit, in bars of `meter` beats, with the strength of the hit (`x` 0.6, `X` 1, `o` 0.3).
///
/// The pattern is one bar long, however fine its grid: `"x.x.X.x."` is eighths of a bar of four.
pub(super) fn pattern(pattern: &str, meter: f64, bars: usize) -> Vec<(f64, f64)> {
    let steps: Vec<f64> = pattern
        .bytes()
        .map(|step| match step {
            b'X' => 1.0,
            b'x' => 0.6,
            b'o' => 0.3,
            _ => 0.0,
        })
        .collect();
    let step_beats = meter / steps.len().max(1) as f64;
    let mut hits = Vec::new();
    for bar in 0..bars {
        for (i, &strength) in steps.iter().enumerate() {
            if strength > 0.0 {
                hits.push((bar as f64 * meter + i as f64 * step_beats, strength));
            }
        }
    }
    hits
}

/// How a melody is dealt out in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phrasing {
    /// Beats between two places where a note may start.
    pub(super) grid: f64,
    /// Probability that one starts there; on the beat it is higher.
    pub(super) density: f64,
    /// Beats in a phrase.
    pub(super) phrase: f64,
    /// Probability that a phrase is left to others.
    pub(super) rest: f64,
    /// Beats after which the rhythm comes again; 0 if it never does.
    pub(super) period: f64,
    /// Longest note in beats.
    pub(super) longest: f64,
}

impl Phrasing {
    /// Starts and lengths in beats of the notes of a melody of `beats`.
    pub(super) fn notes(&self, beats: f64, rng: &mut Rng) -> Vec<(f64, f64)> {
        let period = if self.period > 0.0 { self.period.min(beats) } else { beats };
        let mut motif = Vec::new();
        let mut from = 0.0;
        while from < period {
            let end = (from + self.phrase).min(period);
            if !rng.chance(self.rest) {
                // The last quarter of a phrase is for breathing.
                let sung = from + 0.75 * (end - from);
                let mut at = from;
                while at < sung {
                    let on_beat = (at - at.floor()).abs() < 1e-6;
                    if rng.chance(if on_beat { (self.density * 1.35).min(0.95) } else { self.density }) {
                        motif.push(at);
                    }
                    at += self.grid;
                }
            }
            from = end;
        }
        let mut starts = Vec::new();
        let mut offset = 0.0;
        while offset < beats {
            starts.extend(motif.iter().map(|at| at + offset).filter(|&at| at < beats));
            offset += period;
        }
        let lengths = starts.iter().skip(1).copied().chain([beats]);
        starts.iter().zip(lengths).map(|(&at, next)| (at, (next - at).clamp(self.grid * 0.5, self.longest))).collect()
    }
}
